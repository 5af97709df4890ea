//! Which of the servers that can be asked is asked: the algorithms of `balance`.
//!
//! All workers choose at the same time, without a lock. Each server has a *turn*, a point on a line of
//! virtual time; the server with the earliest is next, and its turn then moves on by a step that is the
//! shorter the greater its weight (stride scheduling: C. A. Waldspurger and W. E. Weihl, 1995). So shares
//! are exact and evenly mixed, and weights may change at any time. Workers that choose the same server
//! at once move its turn twice, so that its share stays right.
//!
//! ```text
//! weight 2   ─┼───┼───┼───┼───┼───┼─→ virtual time
//! weight 1   ───┼───────┼───────┼───→
//! ```
//!
//! The other algorithms compare turns where they find servers equal.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::failures::FULL_SHARE;
use super::hash;

/// The step of a server with weight 1. Turns wrap around; two of them are never half the line apart.
const STEP: u64 = 1 << 32;

/// A server that can be asked, as it is in this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'m> {
    /// Its place in the group.
    pub(super) nth: usize,
    pub(super) turn: &'m Turn,
    /// Its weight times its share of [`FULL_SHARE`].
    pub(super) weight: u64,
    pub(super) in_flight: usize,
    /// The hash of its address.
    pub(super) place: u64,
}

/// When it is a server's turn.
#[derive(Debug)]
pub(super) struct Turn(AtomicU64);

/// The virtual time of a group.
#[derive(Debug)]
pub(super) struct Rotation {
    /// The turn that was taken last. A server that could not be asked for a while has an earlier one,
    /// and takes up here: it must not make up for what it missed.
    now: AtomicU64,
}

impl Turn {
    /// The first turn of a server of `weight`, the `nth` of `count`. They begin at different points, so
    /// that equal servers come one after the other.
    pub(super) fn first(nth: usize, count: usize, weight: u64) -> Self {
        let part = step(weight) / (2 * count.max(1) as u64) * (2 * nth as u64 + 1);
        Self(AtomicU64::new(part))
    }
}

impl Rotation {
    pub(super) fn new() -> Self {
        Self {
            now: AtomicU64::new(0),
        }
    }

    /// How far ahead the turn of a server is.
    fn ahead(&self, turn: &Turn) -> u64 {
        let now = self.now.load(Ordering::Relaxed);
        until(now, turn.0.load(Ordering::Relaxed))
    }

    /// The candidate whose turn it is.
    pub(super) fn next<'m>(
        &self,
        candidates: impl Iterator<Item = Candidate<'m>>,
    ) -> Option<Candidate<'m>> {
        candidates.min_by_key(|candidate| self.ahead(candidate.turn))
    }

    /// The candidate with the fewest requests for its weight; of several, the one whose turn it is.
    pub(super) fn least_connections<'m>(
        &self,
        candidates: impl Iterator<Item = Candidate<'m>>,
    ) -> Option<Candidate<'m>> {
        candidates.min_by(|a, b| {
            let turns = || self.ahead(a.turn).cmp(&self.ahead(b.turn));
            load(a, b).cmp(&load(b, a)).then_with(turns)
        })
    }

    /// Takes note that `candidate` was chosen.
    pub(super) fn take_turn(&self, candidate: &Candidate<'_>) {
        let Turn(turn) = candidate.turn;
        let now = self.now.load(Ordering::Relaxed);
        let step = step(candidate.weight);
        let start = |turn: u64| now.wrapping_add(until(now, turn));
        let update = |turn| Some(start(turn).wrapping_add(step));
        let before = turn.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        // The closure always returns `Some`.
        let before = before.unwrap_or_else(|turn| turn);
        self.now.store(start(before), Ordering::Relaxed);
    }
}

/// The less busy one of two candidates that are picked at random, by their weights.
pub(super) fn random_two<'m>(
    candidates: impl Iterator<Item = Candidate<'m>> + Clone,
    random: &Random,
) -> Option<Candidate<'m>> {
    let first = at_random(candidates.clone(), random)?;
    let others = candidates.filter(|other| other.nth != first.nth);
    match at_random(others, random) {
        Some(second) if load(&second, &first) < load(&first, &second) => Some(second),
        _ => Some(first),
    }
}

/// The candidate with the highest score for the key.
pub(super) fn by_hash<'m>(
    candidates: impl Iterator<Item = Candidate<'m>>,
    key: u64,
) -> Option<Candidate<'m>> {
    let score = |candidate: &Candidate<'_>| hash::score(key, candidate.place, candidate.weight);
    candidates.max_by(|a, b| score(a).total_cmp(&score(b)))
}

/// How busy `a` is, to be compared with `load(b, a)`: the fractions of requests and weights, both times
/// both weights.
fn load(a: &Candidate<'_>, b: &Candidate<'_>) -> u128 {
    a.in_flight as u128 * u128::from(b.weight)
}

/// A candidate, each as likely as its weight says.
fn at_random<'m>(
    candidates: impl Iterator<Item = Candidate<'m>> + Clone,
    random: &Random,
) -> Option<Candidate<'m>> {
    let total: u64 = candidates.clone().map(|candidate| candidate.weight).sum();
    let mut point = random.next().checked_rem(total)?;
    let mut last = None;
    for candidate in candidates {
        last = Some(candidate);
        match point.checked_sub(candidate.weight) {
            Some(rest) => point = rest,
            None => break,
        }
    }
    last
}

/// How far `turn` is ahead of `now`; 0 if it is behind.
fn until(now: u64, turn: u64) -> u64 {
    let ahead = turn.wrapping_sub(now);
    if ahead < 1 << 63 { ahead } else { 0 }
}

/// What a turn costs a server of `weight`, times [`FULL_SHARE`].
fn step(weight: u64) -> u64 {
    (STEP * FULL_SHARE / weight.max(1)).max(1)
}

/// Random numbers that all workers may take: SplitMix64, by Guy Steele and others.
#[derive(Debug)]
pub(super) struct Random(AtomicU64);

impl Random {
    /// A sequence that no other process has.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(0)))
    }

    fn next(&self) -> u64 {
        let number = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        hash::mix(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers of some weights, with their turns.
    struct Servers(Vec<(Turn, u64)>);

    impl Servers {
        fn new(weights: &[u64]) -> Self {
            let full = weights.iter().map(|weight| weight * FULL_SHARE);
            let turns = full
                .enumerate()
                .map(|(nth, weight)| (Turn::first(nth, weights.len(), weight), weight));
            Self(turns.collect())
        }

        /// Those of the servers, each with so many requests.
        fn candidates<'s>(
            &'s self,
            in_flight: &'s [usize],
        ) -> impl Iterator<Item = Candidate<'s>> + Clone {
            let servers = self.0.iter().zip(in_flight).enumerate();
            servers.map(|(nth, ((turn, weight), in_flight))| Candidate {
                nth,
                turn,
                weight: *weight,
                in_flight: *in_flight,
                place: nth as u64,
            })
        }
    }

    /// The first letters of the alphabet stand for the servers, in the order in which they are asked.
    fn in_turn(weights: &[u64], rounds: usize) -> String {
        let (servers, rotation) = (Servers::new(weights), Rotation::new());
        let idle = vec![0; weights.len()];
        let ask = |_| {
            let next = rotation
                .next(servers.candidates(&idle))
                .expect("there are servers");
            rotation.take_turn(&next);
            char::from(b'a' + next.nth as u8)
        };
        (0..rounds).map(ask).collect()
    }

    #[test]
    fn servers_take_turns_by_their_weights_evenly_mixed() {
        for (weights, expected) in [
            (&[1, 1, 1][..], "abcabcabc"),
            (&[1], "aaa"),
            (&[2, 1], "aabaabaab"),
            (&[5, 1, 1], "aaabacaaaabaca"),
        ] {
            assert_eq!(in_turn(weights, expected.len()), expected, "{weights:?}");
        }
    }

    #[test]
    fn shares_are_exact_in_the_long_run_and_across_the_end_of_the_line() {
        // The line is as long as 2^32 turns of weight 1.
        let (servers, rotation) = (Servers::new(&[3, 2, 1]), Rotation::new());
        for start in [0, u64::MAX - 50 * STEP] {
            rotation.now.store(start, Ordering::Relaxed);
            let mut counts = [0; 3];
            for _ in 0..600 {
                let next = rotation.next(servers.candidates(&[0; 3])).expect("servers");
                rotation.take_turn(&next);
                counts[next.nth] += 1;
            }
            let expected = [300, 200, 100];
            let mut pairs = counts.iter().zip(&expected);
            assert!(
                pairs.all(|(a, b): (&i32, &i32)| a.abs_diff(*b) <= 1),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn a_server_that_was_away_does_not_make_up_for_it() {
        let (servers, rotation) = (Servers::new(&[1, 1]), Rotation::new());
        let ask = |is_there: [bool; 2]| {
            let candidates = servers.candidates(&[0; 2]).filter(|one| is_there[one.nth]);
            let next = rotation.next(candidates).expect("servers");
            rotation.take_turn(&next);
            next.nth
        };
        (0..100).for_each(|_| assert_eq!(ask([true, false]), 0));
        let after: Vec<usize> = (0..10).map(|_| ask([true, true])).collect();
        assert_eq!(
            after.iter().filter(|nth| **nth == 1).count(),
            5,
            "{after:?}"
        );
    }

    #[test]
    fn the_fewest_requests_for_the_weight_win_and_ties_take_turns() {
        let (servers, rotation) = (Servers::new(&[1, 2, 1]), Rotation::new());
        let ask = |in_flight: &[usize]| {
            let next = rotation.least_connections(servers.candidates(in_flight));
            let next = next.expect("servers");
            rotation.take_turn(&next);
            next.nth
        };
        for (in_flight, expected) in [
            ([1, 1, 1], 1),
            ([1, 3, 2], 0),
            ([5, 5, 2], 2),
            ([9, 1, 9], 1),
        ] {
            assert_eq!(ask(&in_flight), expected, "{in_flight:?}");
        }
        let mut counts = [0; 3];
        (0..400).for_each(|_| counts[ask(&[0; 3])] += 1);
        assert!(
            counts
                .iter()
                .zip([100, 200, 100])
                .all(|(a, b): (&u32, u32)| a.abs_diff(b) <= 2),
            "{counts:?}"
        );
    }

    #[test]
    fn the_less_busy_of_two_is_never_the_busiest_of_all() {
        let (servers, random) = (Servers::new(&[1, 1, 1]), Random(AtomicU64::new(1)));
        let mut counts = [0; 3];
        for _ in 0..3000 {
            let next = random_two(servers.candidates(&[0, 5, 9]), &random).expect("servers");
            counts[next.nth] += 1;
        }
        // Two of three pairs have the idle one.
        assert!(
            counts[0] > 1800 && counts[1] > 800 && counts[2] == 0,
            "{counts:?}"
        );
        let one = random_two(servers.candidates(&[0]), &random).map(|one| one.nth);
        assert_eq!(one, Some(0));
        assert!(random_two(servers.candidates(&[]), &random).is_none());
    }

    #[test]
    fn random_servers_come_by_their_weights() {
        let (servers, random) = (Servers::new(&[1, 3]), Random(AtomicU64::new(1)));
        let mut counts = [0; 2];
        for _ in 0..4000 {
            let next = at_random(servers.candidates(&[0; 2]), &random).expect("servers");
            counts[next.nth] += 1;
        }
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn the_highest_score_wins() {
        let servers = Servers::new(&[1, 1, 1]);
        let asked = |key, without: Option<usize>| {
            let candidates = servers
                .candidates(&[0; 3])
                .filter(|one| Some(one.nth) != without);
            by_hash(candidates, key).expect("servers").nth
        };
        for key in 0..100 {
            let first = asked(key, None);
            assert_eq!(asked(key, None), first);
            assert_eq!(
                asked(key, Some((first + 1) % 3)),
                first,
                "whatever becomes of others"
            );
            assert_ne!(asked(key, Some(first)), first);
        }
    }
}
