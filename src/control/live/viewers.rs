//! Who looks at the server, each with a pipe to the task of its exchange.
//!
//! A snapshot is worth nothing once the next one is there. So a pipe holds one at most: a viewer that has not
//! taken the last one misses this one, gets the next, and never a part of one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::runtime::{PipeWriter, TaskReader, pipe_to_task};

/// How many may look at once. All of them together hold this many snapshots in memory.
pub(super) const MOST: usize = 64;

/// The last places, which are for the control socket alone: however many look by routes, the operator has a place.
const OF_OPERATOR: usize = 16;

/// Which way a viewer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The viewer asked a route with `dashboard`, which may be open to everybody.
    Route,
    /// The viewer asked the control socket, as `tidegate top` does.
    ControlSocket,
}

impl Way {
    /// A viewer who comes this way gets a place while fewer than so many look, whatever way those came.
    fn most_before(self) -> usize {
        match self {
            Self::Route => MOST - OF_OPERATOR,
            Self::ControlSocket => MOST,
        }
    }
}

/// A viewer that takes nothing for so long is let go, so that it keeps no other from looking.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a viewer's exchange reads events from.
pub(crate) type EventReader = TaskReader<Infallible>;

/// Why there is no place for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooMany,
    Stopping,
    /// The system has no more threads.
    NoThread,
}

/// A snapshot as a server-sent event.
#[derive(Clone)]
pub(super) struct Event(Arc<str>);

impl Event {
    pub(super) fn of(snapshot: &Value) -> Self {
        // JSON without indents has no line ends.
        Self(format!("event: snapshot\ndata: {snapshot}\n\n").into())
    }
}

/// Those who look.
#[derive(Default)]
pub(super) struct Viewers {
    all: Vec<Viewer>,
    /// What was shown last, while the thread runs.
    latest: Option<Event>,
    /// Whether there is a thread that shows something to them.
    pub(super) has_thread: bool,
    is_ended: bool,
}

struct Viewer {
    writer: PipeWriter<Infallible>,
    /// When it was last ready for a snapshot.
    taken: Instant,
}

impl Viewers {
    /// Adds a viewer who has come that `way` at `now`, and shows it the latest snapshot.
    ///
    /// # Errors
    /// There are too many, or the server stops.
    pub(super) fn add(&mut self, way: Way, now: Instant) -> Result<EventReader, Refusal> {
        if self.is_ended {
            return Err(Refusal::Stopping);
        }
        // Those that have gone may not have been noticed yet.
        self.all.retain(|viewer| !viewer.writer.is_abandoned());
        if self.all.len() >= way.most_before() {
            return Err(Refusal::TooMany);
        }
        let (writer, reader) = pipe_to_task();
        if let Some(Event(text)) = &self.latest {
            // Its reader is in our hands.
            let _ = writer.offer(text.as_bytes());
        }
        self.all.push(Viewer { writer, taken: now });
        Ok(reader)
    }

    /// Shows `event` to each viewer that is ready for it. Those that have gone, or take nothing, are let go.
    pub(super) fn show(&mut self, event: Event, now: Instant) {
        let octets = event.0.as_bytes();
        self.all
            .retain_mut(|viewer| match viewer.writer.offer(octets) {
                Ok(true) => {
                    viewer.taken = now;
                    true
                }
                Ok(false) => now.duration_since(viewer.taken) < PATIENCE,
                Err(_) => false,
            });
        self.latest = (!self.all.is_empty()).then_some(event);
    }

    /// Ends the streams of all.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.latest = None;
    }

    /// Ends the streams of all, and lets in no more.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
        self.clear();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(number: u32) -> Event {
        Event::of(&json!({ "number": number }))
    }

    /// What lies in the pipe.
    fn taken(reader: &mut EventReader) -> String {
        let mut octets = Vec::new();
        assert!(reader.read_on_thread(&mut octets).expect("nothing panics"));
        String::from_utf8(octets).expect("JSON")
    }

    #[test]
    fn a_slow_viewer_misses_snapshots_and_gets_none_in_part() {
        let (mut viewers, now) = (Viewers::default(), Instant::now());
        let mut slow = viewers.add(Way::Route, now).expect("the first");
        let long = Event::of(&json!("x".repeat(1024 * 1024)));
        for event in [long.clone(), event(2), event(3)] {
            viewers.show(event, now);
        }
        assert_eq!(taken(&mut slow), &*long.0);
        viewers.show(event(4), now);
        assert_eq!(taken(&mut slow), &*event(4).0);
    }

    #[test]
    fn one_that_takes_nothing_is_let_go_after_a_while() {
        let (mut viewers, start) = (Viewers::default(), Instant::now());
        let mut stuck = viewers.add(Way::Route, start).expect("a place");
        let mut other = viewers.add(Way::Route, start).expect("a place");
        for second in 0..30 {
            viewers.show(event(second), start + Duration::from_secs(second.into()));
            taken(&mut other);
        }
        assert_eq!(viewers.all.len(), 2);
        viewers.show(event(30), start + PATIENCE);
        assert_eq!(viewers.all.len(), 1);
        assert_eq!(taken(&mut stuck), &*event(0).0);
        let is_more = stuck.read_on_thread(&mut Vec::new());
        assert!(!is_more.expect("it ends in order"));
        assert_eq!(taken(&mut other), &*event(30).0);
    }

    #[test]
    fn one_too_many_is_refused_until_another_has_gone() {
        let (mut viewers, now) = (Viewers::default(), Instant::now());
        let mut all = Vec::new();
        for (way, most) in [(Way::Route, 48), (Way::ControlSocket, 64)] {
            while all.len() < most {
                all.push(viewers.add(way, now).expect("a place"));
            }
            assert!(matches!(viewers.add(way, now), Err(Refusal::TooMany)));
        }
        all.pop();
        assert!(matches!(
            viewers.add(Way::Route, now),
            Err(Refusal::TooMany)
        ));
        assert!(viewers.add(Way::ControlSocket, now).is_ok());
    }

    #[test]
    fn those_who_have_gone_are_forgotten() {
        let (mut viewers, now) = (Viewers::default(), Instant::now());
        drop(viewers.add(Way::Route, now).expect("a place"));
        viewers.show(event(1), now);
        assert!(viewers.is_empty() && viewers.latest.is_none());
    }
}
