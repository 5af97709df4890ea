//! Which connections of a worker linger: they are answered, and only read and drop what their clients
//! still send. Their number is bounded.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

/// How many connections of a worker linger at once. The oldest ends when there is one more.
const MAX_LINGERING: usize = 256;

/// The connections of a worker that linger, the oldest first.
#[derive(Default)]
pub(in crate::server) struct Lingering(RefCell<VecDeque<Rc<Held>>>);

/// A connection's place among those that linger. It is given back when dropped.
pub(in crate::server) struct Place<'w> {
    all: &'w Lingering,
    held: Rc<Held>,
}

/// What the worker knows of a place.
#[derive(Default)]
struct Held {
    is_lost: Cell<bool>,
    /// Wakes the connection's task.
    waker: RefCell<Option<Waker>>,
}

impl Lingering {
    /// A place for one more connection. Where there are too many, the oldest one loses its place.
    pub(in crate::server) fn take_place(&self) -> Place<'_> {
        let mut places = self.0.borrow_mut();
        if places.len() >= MAX_LINGERING
            && let Some(oldest) = places.pop_front()
        {
            oldest.is_lost.set(true);
            if let Some(waker) = oldest.waker.take() {
                waker.wake();
            }
        }
        let held = Rc::new(Held::default());
        places.push_back(Rc::clone(&held));
        Place { all: self, held }
    }
}

impl Place<'_> {
    /// Whether another connection has taken the place.
    pub(in crate::server) fn is_lost(&self) -> bool {
        self.held.is_lost.get()
    }

    /// Has `waker` woken when another connection takes the place.
    pub(in crate::server) fn wake_when_lost(&self, waker: &Waker) {
        *self.held.waker.borrow_mut() = Some(waker.clone());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.all.0.borrow_mut();
        places.retain(|held| !Rc::ptr_eq(held, &self.held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let all = Lingering::default();
        let mut places: Vec<_> = (0..MAX_LINGERING).map(|_| all.take_place()).collect();
        assert!(!places.iter().any(Place::is_lost));
        let newest = all.take_place();
        let lost: Vec<bool> = places.iter().map(Place::is_lost).collect();
        assert!(lost[0] && !lost[1..].contains(&true));
        assert!(!newest.is_lost());
        // A place that is given back is free.
        places.truncate(MAX_LINGERING - 1);
        let further = all.take_place();
        assert!(!places[1].is_lost() && !newest.is_lost() && !further.is_lost());
    }
}
