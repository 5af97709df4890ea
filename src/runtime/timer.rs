//! The timer wheel: who is due, found without sorting anybody.
//!
//! Time is cut into ticks, a lap of the wheel is [`SLOTS`] of them, and each slot holds the numbers
//! of those to be looked at when its tick has come. A connection's deadline moves with every
//! request and almost never passes. So a number, once scheduled, stays where it is while its deadline
//! moves on; when its slot comes round, the owner says when to look again. Moving a deadline
//! forward thus costs the owner one store, and the wheel nothing.
//!
//! No clock in here: the caller says what tick it is, and tests move time by hand.

use std::time::Duration;

/// The length of a tick. Deadlines are met within two of them; nothing a server waits for needs finer.
const TICK: Duration = Duration::from_millis(16);

/// Slots in a lap: 65 s with 16 ms ticks, about the idle timeout, so that few go round twice.
const SLOTS: usize = 4096;

/// A point in time, in ticks since the runtime began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

impl Tick {
    /// Later than every deadline: not scheduled, or not due at all.
    pub(crate) const NEVER: Tick = Tick(u64::MAX);

    /// The tick that has begun when `elapsed` has gone by.
    pub(super) fn at(elapsed: Duration) -> Self {
        Self(whole_ticks(elapsed))
    }

    /// The first tick that begins when at least `delay` has gone by since this one began.
    pub(super) fn after(self, delay: Duration) -> Self {
        // One more, for this tick may be nearly over; two, for integer division rounds down.
        Self(self.0.saturating_add(whole_ticks(delay)).saturating_add(2))
    }

    /// How long after the runtime began this tick begins.
    pub(super) fn since_start(self) -> Duration {
        Duration::from_millis(self.0.saturating_mul(MILLIS_PER_TICK))
    }
}

/// In 64 bits, not the 128 of `Duration::as_millis`: deadlines are set with every request. In no
/// fewer, for 32 would come to their end in the third year.
fn whole_ticks(duration: Duration) -> u64 {
    let millis = duration.as_secs().saturating_mul(1000);
    millis.saturating_add(u64::from(duration.subsec_millis())) / MILLIS_PER_TICK
}

const MILLIS_PER_TICK: u64 = TICK.as_millis() as u64;

/// The wheel. Its numbers are small and dense: the reactor's source keys.
pub(super) struct Wheel {
    slots: Vec<Vec<usize>>,
    occupied: Occupied,
    /// For each number the tick in whose slot its one valid entry stands; others are leftovers.
    scheduled: Vec<Tick>,
    /// The last tick whose slot was emptied.
    current: Tick,
    /// The slot being emptied; kept for its capacity.
    emptying: Vec<usize>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS],
            occupied: Occupied::default(),
            scheduled: Vec::new(),
            current: Tick(0),
            emptying: Vec::new(),
        }
    }

    /// Sees to it that `number` is looked at when `deadline` has come, or before.
    ///
    /// Does nothing if it is scheduled early enough already, which is the usual case.
    pub(super) fn arm(&mut self, number: usize, deadline: Tick) {
        if self.scheduled.len() <= number {
            self.scheduled.resize(number + 1, Tick::NEVER);
        }
        if self.scheduled[number] <= deadline {
            return;
        }
        let soonest = self.current.0 + 1;
        let furthest = self.current.0 + SLOTS as u64 - 1;
        let tick = deadline.0.clamp(soonest, furthest);
        let slot = tick as usize % SLOTS;
        self.slots[slot].push(number);
        self.occupied.insert(slot);
        self.scheduled[number] = Tick(tick);
    }

    /// Empties every slot up to and with that of `now`.
    ///
    /// `look` is asked about each number whose time to be looked at has come, and answers with the
    /// tick to be asked again at.
    pub(super) fn expire(&mut self, now: Tick, mut look: impl FnMut(usize) -> Option<Tick>) {
        while let Some(tick) = self.next().filter(|tick| *tick <= now) {
            self.current = tick;
            let slot = tick.0 as usize % SLOTS;
            self.occupied.remove(slot);
            let mut due = std::mem::take(&mut self.emptying);
            std::mem::swap(&mut due, &mut self.slots[slot]);
            for number in due.drain(..) {
                if self.scheduled[number] == tick {
                    self.scheduled[number] = Tick::NEVER;
                    if let Some(again) = look(number) {
                        self.arm(number, again);
                    }
                }
            }
            self.emptying = due;
        }
        self.current = self.current.max(now);
    }

    /// The tick of the first slot that is not empty.
    pub(super) fn next(&self) -> Option<Tick> {
        let start = (self.current.0 + 1) as usize % SLOTS;
        let distance = self.occupied.distance_from(start)?;
        Some(Tick(self.current.0 + 1 + distance as u64))
    }
}

/// The slots that are not empty. The first of them is looked for twice in every turn of the loop, so
/// it is found without a walk.
struct Occupied {
    /// A bit for each slot.
    slots: [u64; WORDS],
    /// A bit for each word of `slots` that is not zero.
    words: u64,
}

/// One word tells of all the others.
const WORDS: usize = u64::BITS as usize;
const _: () = assert!(WORDS * 64 == SLOTS);

impl Default for Occupied {
    fn default() -> Self {
        Self {
            slots: [0; WORDS],
            words: 0,
        }
    }
}

impl Occupied {
    fn insert(&mut self, slot: usize) {
        self.slots[slot / 64] |= 1 << (slot % 64);
        self.words |= 1 << (slot / 64);
    }

    fn remove(&mut self, slot: usize) {
        let word = &mut self.slots[slot / 64];
        *word &= !(1 << (slot % 64));
        if *word == 0 {
            self.words &= !(1 << (slot / 64));
        }
    }

    /// How many slots after `start` the first one stands, going round.
    fn distance_from(&self, start: usize) -> Option<usize> {
        let (word, bit) = (start / 64, start % 64);
        let in_first = self.slots[word] >> bit;
        if in_first != 0 {
            return Some(in_first.trailing_zeros() as usize);
        }
        // From the next word on; the last one is the first again, for the bits before `start`.
        let others = self.words.rotate_right(word as u32).rotate_right(1);
        if others == 0 {
            return None;
        }
        let step = 1 + others.trailing_zeros() as usize;
        let found = self.slots[(word + step) % WORDS].trailing_zeros();
        Some(step * 64 - bit + found as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves the wheel to `now` and tells whom it asked about; nobody is asked again.
    fn due(wheel: &mut Wheel, now: u64) -> Vec<usize> {
        let mut due = Vec::new();
        wheel.expire(Tick(now), |number| {
            due.push(number);
            None
        });
        due
    }

    #[test]
    fn asks_when_the_time_has_come_and_not_before() {
        let mut wheel = Wheel::new();
        wheel.arm(3, Tick(10));
        wheel.arm(4, Tick(12));
        assert_eq!(wheel.next(), Some(Tick(10)));
        assert_eq!(due(&mut wheel, 9), Vec::<usize>::new());
        assert_eq!(due(&mut wheel, 11), [3]);
        assert_eq!(due(&mut wheel, 500), [4]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_deadline_moved_forward_is_asked_about_at_the_old_one() {
        let mut wheel = Wheel::new();
        wheel.arm(0, Tick(10));
        wheel.arm(0, Tick(20));
        let mut asked = Vec::new();
        wheel.expire(Tick(10), |number| {
            asked.push(number);
            Some(Tick(20))
        });
        assert_eq!(asked, [0]);
        assert_eq!(due(&mut wheel, 19), Vec::<usize>::new());
        assert_eq!(due(&mut wheel, 20), [0]);
    }

    #[test]
    fn a_deadline_moved_back_is_asked_about_once() {
        let mut wheel = Wheel::new();
        wheel.arm(0, Tick(20));
        wheel.arm(0, Tick(10));
        assert_eq!(due(&mut wheel, 10), [0]);
        assert_eq!(
            due(&mut wheel, 30),
            Vec::<usize>::new(),
            "what was left in the slot of 20 is no longer valid"
        );
    }

    #[test]
    fn a_deadline_beyond_a_lap_is_looked_at_on_the_way() {
        let mut wheel = Wheel::new();
        let far = Tick(3 * SLOTS as u64);
        wheel.arm(0, far);
        let (mut asked, mut now) = (0, 0);
        while now < far.0 {
            now += 100;
            wheel.expire(Tick(now), |_| {
                asked += 1;
                (now < far.0).then_some(far)
            });
        }
        assert!((2..=4).contains(&asked), "{asked}");
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn time_may_jump_over_many_laps() {
        let mut wheel = Wheel::new();
        wheel.arm(1, Tick(5));
        wheel.arm(2, Tick(4000));
        assert_eq!(due(&mut wheel, 1_000_000), [1, 2]);
        wheel.arm(1, Tick(1));
        assert_eq!(
            wheel.next(),
            Some(Tick(1_000_001)),
            "what is past is due at the next tick"
        );
    }

    #[test]
    fn the_next_tick_is_found_wherever_it_stands() {
        for start in [0, 1, 63, 64, 4000, 4095, 4096, 9999] {
            for distance in [1, 2, 63, 64, 65, 1000, SLOTS as u64 - 1] {
                let mut wheel = Wheel::new();
                wheel.expire(Tick(start), |_| None);
                wheel.arm(0, Tick(start + distance));
                assert_eq!(
                    wheel.next(),
                    Some(Tick(start + distance)),
                    "{start} + {distance}"
                );
            }
        }
    }

    #[test]
    fn deadlines_are_met_after_years() {
        for years in [0, 2, 3, 100] {
            let elapsed = Duration::from_secs(years * 365 * 24 * 3600);
            let (now, deadline) = (Tick::at(elapsed), Tick::at(elapsed).after(TICK));
            let mut wheel = Wheel::new();
            wheel.expire(now, |_| None);
            wheel.arm(0, deadline);
            assert_eq!(wheel.next(), Some(deadline), "{years}");
            assert!(deadline.since_start() > elapsed, "{years}");
            assert_eq!(due(&mut wheel, deadline.0), [0], "{years}");
        }
    }

    #[test]
    fn a_delay_is_never_cut_short() {
        for millis in [0, 1, 15, 16, 17, 1000] {
            let delay = Duration::from_millis(millis);
            for elapsed in [0, 1, 15, 16, 31].map(Duration::from_millis) {
                let deadline = Tick::at(elapsed).after(delay);
                assert!(
                    deadline.since_start() >= elapsed + delay,
                    "{millis} {elapsed:?}"
                );
                assert!(deadline.since_start() <= elapsed + delay + 2 * TICK);
            }
        }
    }
}
