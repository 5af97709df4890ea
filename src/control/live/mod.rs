//! The server as it is at this moment, for those who look at it: `tidegate top`, `tidegate dashboard`, and
//! routes with `dashboard`.
//!
//! ```text
//! thread "tidegate-live" ── a snapshot each second ──┬─→ pipe ─→ task of a viewer's exchange
//!   runs while there are viewers                     └─→ pipe ─→ task of another's
//! ```
//!
//! One snapshot serves all viewers, and the thread ends with the last of them: a server that no one looks at
//! does nothing for this. A viewer that is slow misses snapshots; see [`viewers`].

pub(crate) mod answer;
mod viewers;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::runtime::{catch_panic, spawn_thread};
use viewers::{Event, Viewers};
pub(crate) use viewers::{EventReader, Refusal, Way};

/// The time between two snapshots.
const PERIOD: Duration = Duration::from_secs(1);

/// Describes the server. It may wait for a moment, so no event loop that serves clients calls it.
pub(crate) type TakeSnapshot = Box<dyn Fn() -> Value + Send + Sync>;

/// What is shown of the server, and to whom.
pub(crate) struct Live {
    /// `None`: there is no server to be shown.
    take: Option<TakeSnapshot>,
    period: Duration,
    viewers: Mutex<Viewers>,
    /// Wakes the thread when the server stops.
    stopped: Condvar,
}

impl Live {
    /// Shows what `take` returns.
    pub(crate) fn new(take: TakeSnapshot) -> Arc<Self> {
        Self::with(Some(take), PERIOD)
    }

    /// For handlers that a command asks without a running server: each stream of snapshots ends at once, empty.
    pub(crate) fn without_server() -> Arc<Self> {
        Self::with(None, PERIOD)
    }

    fn with(take: Option<TakeSnapshot>, period: Duration) -> Arc<Self> {
        Arc::new(Self {
            take,
            period,
            viewers: Mutex::default(),
            stopped: Condvar::new(),
        })
    }

    /// One snapshot. It may take a moment.
    pub(crate) fn snapshot(&self) -> Value {
        self.take.as_ref().map_or(Value::Null, |take| take())
    }

    /// Returns where a new viewer, who has come that `way`, reads events from: the latest snapshot at once, then one
    /// each second.
    ///
    /// # Errors
    /// There are too many viewers, the server stops, or the system has no thread.
    pub(crate) fn subscribe(self: &Arc<Self>, way: Way) -> Result<EventReader, Refusal> {
        let mut viewers = self.lock();
        let reader = viewers.add(way, Instant::now())?;
        if self.take.is_none() {
            viewers.clear();
        } else if !viewers.has_thread {
            let live = Arc::clone(self);
            let started = spawn_thread("tidegate-live", move || live.show());
            if started.is_err() {
                viewers.clear();
                return Err(Refusal::NoThread);
            }
            viewers.has_thread = true;
        }
        Ok(reader)
    }

    /// Ends the streams of all viewers, and lets in no further ones: the server stops.
    pub(crate) fn end(&self) {
        self.lock().end();
        self.stopped.notify_all();
    }

    /// Shows a snapshot each second, until no viewer is left.
    fn show(&self) {
        let mut next = Instant::now();
        loop {
            // A panic has been reported; viewers connect again, and meet the next one.
            let Ok(snapshot) = catch_panic(|| self.snapshot()) else {
                let mut viewers = self.lock();
                viewers.clear();
                viewers.has_thread = false;
                return;
            };
            let now = Instant::now();
            let mut viewers = self.lock();
            viewers.show(Event::of(&snapshot), now);
            if viewers.is_empty() {
                viewers.has_thread = false;
                return;
            }
            // A snapshot that was late is followed by the next one a period later, not by several at once.
            next = (next + self.period).max(now);
            let left = next - now;
            let is_running = |viewers: &mut Viewers| !viewers.is_ended();
            let waited = self.stopped.wait_timeout_while(viewers, left, is_running);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Viewers> {
        // No change under the lock can panic half-way.
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde_json::json;

    use super::*;

    /// Waits for the next event on this thread, and returns its text.
    fn next(reader: &mut EventReader) -> Option<String> {
        let mut octets = Vec::new();
        reader
            .read_on_thread(&mut octets)
            .expect("nothing panics")
            .then(|| String::from_utf8(octets).expect("JSON"))
    }

    fn counting(period: Duration) -> Arc<Live> {
        let count = AtomicU64::new(0);
        let take = move || json!(count.fetch_add(1, Ordering::Relaxed));
        Live::with(Some(Box::new(take)), period)
    }

    /// So long that no second snapshot is made during a test.
    const NEVER: Duration = Duration::from_secs(3600);

    /// Waits until the thread has ended.
    fn wait_for_end_of_thread(live: &Live) {
        let start = Instant::now();
        while live.lock().has_thread {
            assert!(start.elapsed() < Duration::from_secs(30), "it does not end");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_viewer_is_shown_one_snapshot_after_the_other() {
        let live = counting(Duration::from_millis(1));
        let mut viewer = live.subscribe(Way::Route).expect("the first");
        let first = next(&mut viewer);
        assert_eq!(first.as_deref(), Some("event: snapshot\ndata: 0\n\n"));
        let second = next(&mut viewer);
        assert!(second.is_some() && second != first);
    }

    #[test]
    fn a_further_viewer_is_shown_the_latest_snapshot_at_once() {
        let live = counting(NEVER);
        let mut first = live.subscribe(Way::Route).expect("the first");
        let latest = next(&mut first);
        let mut second = live.subscribe(Way::Route).expect("the second");
        assert_eq!(next(&mut second), latest);
    }

    #[test]
    fn the_thread_ends_with_the_last_viewer_and_begins_with_the_next() {
        let live = counting(Duration::from_millis(1));
        assert!(!live.lock().has_thread, "no one looks");
        let mut first = live.subscribe(Way::Route).expect("the first");
        assert!(next(&mut first).is_some() && live.lock().has_thread);
        drop(first);
        wait_for_end_of_thread(&live);
        let taken = live.snapshot();
        let mut second = live.subscribe(Way::Route).expect("the next");
        let event = next(&mut second).expect("an event");
        let number = taken.as_u64().expect("a number") + 1;
        assert_eq!(event, format!("event: snapshot\ndata: {number}\n\n"));
    }

    #[test]
    fn the_end_of_the_server_ends_every_stream_at_once() {
        let live = counting(NEVER);
        let mut viewers: Vec<_> = (0..2)
            .map(|_| live.subscribe(Way::Route).expect("a place"))
            .collect();
        live.end();
        for viewer in &mut viewers {
            while next(viewer).is_some() {}
        }
        wait_for_end_of_thread(&live);
        assert!(matches!(live.subscribe(Way::Route), Err(Refusal::Stopping)));
    }

    #[test]
    fn without_a_server_a_stream_is_empty() {
        let live = Live::without_server();
        let mut viewer = live.subscribe(Way::Route).expect("a place");
        assert_eq!(next(&mut viewer), None);
        assert!(!live.lock().has_thread);
    }

    #[test]
    fn a_snapshot_that_panics_ends_the_streams_and_not_the_next_ones() {
        let count = AtomicU64::new(0);
        let live = Live::new(Box::new(move || {
            match count.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("the first one"),
                other => json!(other),
            }
        }));
        let mut first = live.subscribe(Way::Route).expect("the first");
        assert_eq!(next(&mut first), None);
        wait_for_end_of_thread(&live);
        let mut second = live.subscribe(Way::Route).expect("the second");
        assert!(next(&mut second).is_some());
    }
}
