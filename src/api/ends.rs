//! The ends of handlers: what their `drop` does, on a thread that nothing waits for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::runtime::catch_panic;

/// Handlers that are being dropped.
///
/// A handler's `drop` is code of the program. It may take its time (to flush a database, to join a
/// thread), and it may panic. The last owner of a handler may be the supervisor, which must go on to
/// reload and to stop, so each handler is dropped on a thread of its own. The process waits for these
/// threads when it ends.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    underway: Mutex<usize>,
    changed: Condvar,
}

impl Ends {
    /// Drops `value` on a thread of its own; on this thread if the system gives no other.
    pub(super) fn drop_elsewhere<T: Send + 'static>(self: &Arc<Self>, value: T) {
        let shared = Arc::new(Mutex::new(Some(value)));
        self.change(|underway| underway + 1);
        let (ends, moved) = (Arc::clone(self), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("tidegate-end".to_owned());
        if thread.spawn(move || ends.drop_here(&moved)).is_err() {
            self.drop_here(&shared);
        }
    }

    fn drop_here<T>(&self, shared: &Mutex<Option<T>>) {
        let value = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The panic hook has reported a panic.
        let _ = catch_panic(|| drop(value));
        self.change(|underway| underway - 1);
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut underway = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        *underway = change(*underway);
        self.changed.notify_all();
    }

    /// Waits until all have been dropped, at most for the time given. Returns how many have not.
    pub(crate) fn wait(&self, at_most: Duration) -> usize {
        let underway = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(underway, at_most, |underway| *underway > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
