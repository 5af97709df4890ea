//! The open root of each route. A look begins at it, so it is not resolved for each look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::disk::beneath::Root;

/// The roots that are open. A root is opened again after a while, because its name may lead to another
/// directory then.
#[derive(Default)]
pub(super) struct Roots {
    /// By the id of the route.
    open: HashMap<u64, OpenRoot>,
}

struct OpenRoot {
    root: Arc<Root>,
    /// Until when it is used.
    until: Instant,
}

impl Roots {
    /// The root of `route`, if it is open and can still be used.
    pub(super) fn find(&self, route: u64, now: Instant) -> Option<Arc<Root>> {
        let found = self.open.get(&route).filter(|open| now < open.until);
        found.map(|open| Arc::clone(&open.root))
    }

    /// Keeps a root for `period`; whether there is anything to keep. Of more than `most` roots, the one
    /// goes that would go first anyway.
    pub(super) fn keep(
        &mut self,
        route: u64,
        root: Arc<Root>,
        (now, period): (Instant, Duration),
        most: usize,
    ) -> bool {
        // A period may be longer than the clock counts.
        let Some(until) = now.checked_add(period).filter(|until| *until > now) else {
            return false;
        };
        self.open.insert(route, OpenRoot { root, until });
        if self.open.len() > most {
            self.close_unused(now);
        }
        while self.open.len() > most {
            let by_time = self.open.iter().min_by_key(|(_, open)| open.until);
            let Some(first) = by_time.map(|(route, _)| *route) else {
                break;
            };
            self.open.remove(&first);
        }
        true
    }

    /// Closes the roots that are used no more.
    pub(super) fn close_unused(&mut self, now: Instant) {
        self.open.retain(|_, open| now < open.until);
    }

    /// Closes all roots; whether there was one.
    pub(super) fn close_all(&mut self) -> bool {
        !std::mem::take(&mut self.open).is_empty()
    }

    /// When the first of them is used no more; `None` if none is open.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.open.values().map(|open| open.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Links;
    use crate::disk::beneath::Waiting;
    use crate::test_support::TemporaryDirectory;

    /// Each route keeps a root open. A configuration of 5,000 routes took all descriptors that way.
    #[test]
    fn the_roots_of_many_routes_are_bounded_and_close_in_time() {
        let tree = TemporaryDirectory::new("roots");
        let root = Root::open(tree.path(), &Links::Inside, Waiting::Allowed);
        let root = Arc::new(root.expect("it is there"));
        let (mut roots, now) = (Roots::default(), Instant::now());
        let second = Duration::from_secs(1);
        for route in 0..10 {
            let period = second * (10 + route as u32);
            assert!(roots.keep(route, Arc::clone(&root), (now, period), 3));
        }
        let open = |roots: &Roots, now| {
            (0..10)
                .filter(|route| roots.find(*route, now).is_some())
                .count()
        };
        assert_eq!(open(&roots, now), 3);
        assert!(roots.find(9, now).is_some(), "the last one");
        assert_eq!(roots.next_end(), Some(now + second * 17));
        roots.close_unused(now + second * 18);
        assert_eq!(Arc::strong_count(&root), 2);
        assert!(
            !roots.keep(1, Arc::clone(&root), (now, Duration::ZERO), 3),
            "never used again"
        );
    }
}
