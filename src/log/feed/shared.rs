//! What all workers share of the feed: who follows, and the last failures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::failures::{Failure, Failures};
use super::follower::{Follower, Wanted};
use crate::log::record::{AccessRecord, LogTime};
use crate::runtime::{Receiver, channel};

/// How many clients may follow at once: each costs the workers a part of every exchange.
const MAX_FOLLOWERS: usize = 16;

/// Who follows, and the last failures. A process has one, which outlives reloads.
#[derive(Default)]
pub(crate) struct Feed(Mutex<State>);

#[derive(Default)]
pub(super) struct State {
    followers: Vec<Arc<Follower>>,
    failures: Failures,
    /// The server ends, or another process serves in its place.
    is_closed: bool,
}

/// Why a client cannot follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    #[error("{MAX_FOLLOWERS} others follow already, and no more may: end one of them")]
    TooMany,
    #[error("the server is ending, and its exchanges cannot be followed any more")]
    Ending,
}

impl Feed {
    /// Enters a client who wants this, and returns it, with what its task is woken by. It gets no record
    /// before it is [opened](Self::open).
    ///
    /// # Errors
    /// Why it cannot follow.
    pub(crate) fn enter(&self, wanted: Wanted) -> Result<(Arc<Follower>, Receiver<()>), NoPlace> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(NoPlace::Ending);
        }
        if state.followers.len() >= MAX_FOLLOWERS {
            return Err(NoPlace::TooMany);
        }
        let (wake, woken) = channel();
        let follower = Arc::new(Follower::new(wanted, wake));
        state.followers.push(Arc::clone(&follower));
        Ok((follower, woken))
    }

    /// Has `follower` get records from now on: first the last failures that `wanted` takes, `last` of them
    /// at most, then what ends after them. A failure comes once, among the ones or the others.
    pub(crate) fn open(&self, follower: &Follower, wanted: &Wanted, last: usize) {
        let state = self.lock();
        let mut lines = Vec::new();
        if last > 0 {
            let failures = state.failures.all();
            wanted.write_last(failures.iter().map(|it| &**it), last, &mut lines);
        }
        follower.open(&lines);
    }

    /// Takes note that `follower` has gone.
    pub(crate) fn leave(&self, follower: &Arc<Follower>) {
        let mut state = self.lock();
        state
            .followers
            .retain(|other| !Arc::ptr_eq(other, follower));
    }

    /// Ends the lines of all followers, and refuses further followers: the server ends, or another process
    /// serves in its place.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.followers.iter().for_each(|follower| follower.close());
    }

    /// The last failures as lines of what `wanted` says, the oldest first, `last` of them at most.
    pub(crate) fn last_failures(&self, wanted: &Wanted, last: usize) -> Vec<u8> {
        let failures = self.all_failures();
        let mut lines = Vec::new();
        wanted.write_last(failures.iter().map(|it| &**it), last, &mut lines);
        lines
    }

    /// The last failures as the live snapshot has them, the newest first.
    pub(crate) fn failures(&self) -> Vec<Value> {
        let failures = self.all_failures();
        failures.iter().rev().map(|it| it.to_json()).collect()
    }

    fn all_failures(&self) -> Vec<Arc<Failure>> {
        self.lock().failures.all()
    }

    /// Those who follow now.
    pub(super) fn followers(&self) -> Vec<Arc<Follower>> {
        self.lock().followers.clone()
    }

    /// Takes in an exchange that has failed at `time`, as its line in an access log has it. While the caller holds what
    /// is returned, no follower is opened: it has the exchange among the last failures, or will be offered it, and not
    /// both.
    pub(super) fn note_failure(
        &self,
        record: &AccessRecord<'_>,
        time: &LogTime,
    ) -> MutexGuard<'_, State> {
        // Copied before the lock is taken, which all workers share.
        let failure = Failure::new(record, time.moment());
        let mut state = self.lock();
        state.failures.add(failure);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::filter::Filter;
    use super::super::follower::{FeedFormat, Taken};
    use super::super::of_worker::WorkerFeed;
    use super::*;
    use crate::config::model::{LogFormat, StatusRange};
    use crate::config::parse_log_template;
    use crate::http::status::Status;

    fn wanted() -> Wanted {
        Wanted {
            filter: Filter::default(),
            format: FeedFormat::OfLog(LogFormat::Template(parse_log_template("{path}"))),
        }
    }

    fn publish(worker: &WorkerFeed, path: &str, status: Status) {
        let line = format!("GET {path} HTTP/1.1");
        let client = IpAddr::from([192, 0, 2, 7]).into();
        let record = AccessRecord::unreadable(client, line.as_bytes(), status);
        let is_failure = status >= Status::INTERNAL_SERVER_ERROR;
        worker.publish_line(&record, is_failure, &LogTime::for_tests(), |_, out| {
            out.extend_from_slice(format!("{path}\n").as_bytes());
        });
    }

    fn lines(follower: &Follower) -> String {
        let mut lines = Vec::new();
        follower.take(&mut lines);
        String::from_utf8(lines).expect("it is text")
    }

    #[test]
    fn a_failure_comes_among_the_last_or_the_new_ones() {
        let feed = Arc::new(Feed::default());
        let worker = WorkerFeed::new(Arc::clone(&feed));
        publish(&worker, "/fine", Status::OK);
        publish(&worker, "/a", Status::BAD_GATEWAY);
        let (follower, _woken) = feed.enter(wanted()).expect("there is a place");
        assert!(worker.look());
        publish(&worker, "/b", Status::BAD_GATEWAY);
        feed.open(&follower, &wanted(), 50);
        publish(&worker, "/c", Status::BAD_GATEWAY);
        publish(&worker, "/d", Status::OK);
        assert_eq!(lines(&follower), "/a\n/b\n/c\n/d\n");
        feed.leave(&follower);
        assert!(!worker.look());
        publish(&worker, "/e", Status::OK);
        assert_eq!(lines(&follower), "");
    }

    #[test]
    fn of_the_last_failures_those_come_that_are_wanted() {
        let feed = Arc::new(Feed::default());
        let worker = WorkerFeed::new(Arc::clone(&feed));
        for (path, status) in [
            ("/a", Status::BAD_GATEWAY),
            ("/b", Status::INTERNAL_SERVER_ERROR),
            ("/c", Status::BAD_GATEWAY),
            ("/d", Status::BAD_GATEWAY),
            ("/e", Status::INTERNAL_SERVER_ERROR),
        ] {
            publish(&worker, path, status);
        }
        let mut wanted = wanted();
        let status = vec![StatusRange {
            first: 502,
            last: 502,
        }];
        wanted.filter.when.status = status;
        assert_eq!(feed.last_failures(&wanted, 2), b"/c\n/d\n");
        assert_eq!(feed.last_failures(&wanted, 50), b"/a\n/c\n/d\n");
        assert_eq!(feed.failures()[0]["path"], "/e");
        assert_eq!(feed.failures().len(), 5);
    }

    /// A failure took a clock of its own, and the access log often had another millisecond.
    #[test]
    fn a_failure_has_the_time_of_its_line_in_the_access_log() {
        let feed = Arc::new(Feed::default());
        let worker = WorkerFeed::new(Arc::clone(&feed));
        let client = IpAddr::from([192, 0, 2, 7]).into();
        let record = AccessRecord::unreadable(client, b"GET /", Status::BAD_GATEWAY);
        let mut time = LogTime::for_tests();
        time.set_milliseconds(123);
        worker.publish(&record, true, &time);
        let wanted = Wanted {
            format: FeedFormat::OfLog(LogFormat::Json),
            ..wanted()
        };
        let mut of_log = Vec::new();
        wanted.format.write(&record, &time, &mut of_log);
        assert_eq!(feed.last_failures(&wanted, 1), of_log);
        let line = String::from_utf8(of_log).expect("text");
        assert!(line.contains(":16.123Z"), "{line}");
    }

    #[test]
    fn followers_have_a_bound_and_an_end() {
        let feed = Feed::default();
        let all: Vec<_> = (0..MAX_FOLLOWERS)
            .map(|_| feed.enter(wanted()).expect("there is a place"))
            .collect();
        assert_eq!(feed.enter(wanted()).err(), Some(NoPlace::TooMany));
        feed.leave(&all[3].0);
        assert!(feed.enter(wanted()).is_ok());
        feed.close();
        assert_eq!(all[0].0.take(&mut Vec::new()), Taken::End);
        assert_eq!(feed.enter(wanted()).err(), Some(NoPlace::Ending));
    }
}
