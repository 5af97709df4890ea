//! The timer wheel: finds the sources whose deadline has come, without sorting them.
//!
//! Time is cut into ticks, and a lap of the wheel has [`SLOTS`] of them. Each slot holds the numbers of
//! the sources to look at when its tick has come. A connection's deadline moves with every request and
//! almost never passes. So a scheduled number stays in its slot while its deadline moves forward; when
//! the slot's tick has come, the owner says when to look again. Moving a deadline forward thus costs
//! the owner one store, and the wheel nothing.
//!
//! The wheel reads no clock: the caller says what tick it is, and tests move time by hand.

use std::time::Duration;

/// The length of a tick. A deadline is noticed within two ticks; no wait of a server needs a finer one.
const TICK: Duration = Duration::from_millis(16);

/// Slots in a lap. With 16 ms ticks a lap takes 65 s, about the idle timeout, so that few deadlines lie
/// beyond one lap.
const SLOTS: usize = 4096;

/// A point in time, in ticks since the runtime began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

impl Tick {
    /// Later than every deadline: says that a number is not scheduled, or that there is no deadline.
    pub(crate) const NEVER: Tick = Tick(u64::MAX);

    /// The tick in which the moment `elapsed` after the runtime's start lies.
    pub(super) fn at(elapsed: Duration) -> Self {
        Self(whole_ticks(elapsed))
    }

    /// A tick that begins at least `delay` after any moment of this tick, and at most two ticks later.
    pub(super) fn after(self, delay: Duration) -> Self {
        // One more, because this tick may be nearly over; another, because integer division rounds down.
        Self(self.0.saturating_add(whole_ticks(delay)).saturating_add(2))
    }

    /// The time from the runtime's start to the beginning of this tick.
    pub(super) fn since_start(self) -> Duration {
        Duration::from_millis(self.0.saturating_mul(MILLIS_PER_TICK))
    }
}

/// Uses 64 bits, not the 128 of `Duration::as_millis`, because every request sets a deadline. With 32
/// bits the ticks would overflow in the third year.
fn whole_ticks(duration: Duration) -> u64 {
    let millis = duration.as_secs().saturating_mul(1000);
    millis.saturating_add(u64::from(duration.subsec_millis())) / MILLIS_PER_TICK
}

const MILLIS_PER_TICK: u64 = TICK.as_millis() as u64;

/// The wheel. The numbers in it are the reactor's source keys, which are small and dense.
pub(super) struct Wheel {
    slots: Vec<Vec<usize>>,
    occupied: Occupied,
    /// For each number, the tick in whose slot its one valid entry stands. Entries of the number in
    /// other slots are no longer valid, and are skipped.
    scheduled: Vec<Tick>,
    /// The last tick whose slot was emptied.
    current: Tick,
    /// An empty vector that takes a slot's place while the slot is emptied; kept for its capacity.
    emptying: Vec<usize>,
}

impl Wheel {
    /// A wheel without entries, at tick 0.
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS],
            occupied: Occupied::default(),
            scheduled: Vec::new(),
            current: Tick(0),
            emptying: Vec::new(),
        }
    }

    /// Schedules `number`, so that [`expire`](Self::expire) looks at it when `deadline` has come, or
    /// before.
    ///
    /// Does nothing if `number` is scheduled early enough already, which is the usual case.
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

    /// Empties every slot up to and including that of `now`.
    ///
    /// Calls `look` with each number whose scheduled tick has come. `look` returns the tick at which it
    /// wants to be called for that number again, if it does.
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

    /// Returns the tick of the first slot that is not empty.
    pub(super) fn next(&self) -> Option<Tick> {
        let start = (self.current.0 + 1) as usize % SLOTS;
        let distance = self.occupied.distance_from(start)?;
        Some(Tick(self.current.0 + 1 + distance as u64))
    }
}

/// The slots that are not empty. Every turn of the loop needs the first of them twice, so it is found
/// without a walk over the slots.
struct Occupied {
    /// A bit for each slot.
    slots: [u64; WORDS],
    /// A bit for each word of `slots`, set if the word is not zero.
    words: u64,
}

/// Words in `Occupied::slots`: as many as the bits of `Occupied::words`.
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

    /// The distance from `start` to the first occupied slot, wrapping round at the end.
    fn distance_from(&self, start: usize) -> Option<usize> {
        let (word, bit) = (start / 64, start % 64);
        let in_first = self.slots[word] >> bit;
        if in_first != 0 {
            return Some(in_first.trailing_zeros() as usize);
        }
        // The words after the first one. The last of them is the first one again, for the bits before
        // `start`.
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

    /// Moves the wheel to `now` and returns the numbers that it looked at. None is scheduled again.
    fn due(wheel: &mut Wheel, now: u64) -> Vec<usize> {
        let mut due = Vec::new();
        wheel.expire(Tick(now), |number| {
            due.push(number);
            None
        });
        due
    }

    #[test]
    fn looks_at_a_number_when_its_deadline_has_come_and_not_before() {
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
    fn a_deadline_moved_forward_is_looked_at_at_the_old_tick() {
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
    fn a_deadline_moved_back_is_looked_at_once() {
        let mut wheel = Wheel::new();
        wheel.arm(0, Tick(20));
        wheel.arm(0, Tick(10));
        assert_eq!(due(&mut wheel, 10), [0]);
        assert_eq!(
            due(&mut wheel, 30),
            Vec::<usize>::new(),
            "the entry left in the slot of 20 is no longer valid"
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
            "a past deadline is due at the next tick"
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
