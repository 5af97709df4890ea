//! Random numbers that are cheap and keep no secret: for the ids of traces, and for which of them are
//! recorded.
//!
//! A generator for each thread, xoshiro256++ of Blackman and Vigna. It is seeded once, with what the
//! standard library has from the system for its hash tables; no number costs a system call.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

thread_local! {
    static STATE: Cell<[u64; 4]> = const { Cell::new([0; 4]) };
}

/// The next number of this thread, each as likely as any other.
#[inline]
pub(crate) fn next() -> u64 {
    STATE.with(|cell| {
        let mut state = cell.get();
        if state == [0; 4] {
            state = seed();
        }
        let number = step(&mut state);
        cell.set(state);
        number
    })
}

#[cold]
fn seed() -> [u64; 4] {
    let hashes = RandomState::new();
    // All zeros are the one state that the generator never leaves.
    [0_u64, 1, 2, 3].map(|nth| hashes.hash_one(nth) | 1)
}

fn step(state: &mut [u64; 4]) -> u64 {
    let [a, b, c, d] = state;
    let number = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
    let shifted = *b << 17;
    *c ^= *a;
    *d ^= *b;
    *b ^= *c;
    *a ^= *d;
    *c ^= shifted;
    *d = d.rotate_left(45);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the authors' own program, from the state 1, 2, 3, 4.
    #[test]
    fn numbers_are_those_of_xoshiro256plusplus() {
        let mut state = [1, 2, 3, 4];
        let numbers = [(); 4].map(|()| step(&mut state));
        let expected = [41943041, 58720359, 3588806011781223, 3591011842654386];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn threads_have_other_numbers() {
        let other = std::thread::spawn(next).join().expect("it does not panic");
        assert_ne!(next(), other);
        assert_ne!(next(), next());
    }
}
