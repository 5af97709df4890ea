//! A worker's end of the feed.

use std::cell::RefCell;
use std::sync::Arc;

use super::follower::{FeedFormat, Follower};
use super::shared::Feed;
use crate::log::record::{AccessRecord, LogTime};
use crate::log::stream_record::StreamRecord;

/// A worker's end of the feed. It keeps its own list of the followers, which [`look`](Self::look) renews, so that
/// the worker takes no lock for an exchange while the list is empty.
pub(crate) struct WorkerFeed {
    feed: Arc<Feed>,
    followers: RefCell<Vec<Arc<Follower>>>,
    /// Where lines are written before they go into a queue.
    room: RefCell<Vec<u8>>,
}

impl WorkerFeed {
    /// The end of a worker that knows of no follower yet.
    pub(crate) fn new(feed: Arc<Feed>) -> Self {
        Self {
            feed,
            followers: RefCell::default(),
            room: RefCell::default(),
        }
    }

    /// Renews the list of followers. Returns whether there is any follower.
    pub(crate) fn look(&self) -> bool {
        let followers = self.feed.followers();
        let is_followed = !followers.is_empty();
        *self.followers.borrow_mut() = followers;
        is_followed
    }

    /// Whether the list has a follower.
    pub(crate) fn is_followed(&self) -> bool {
        !self.followers.borrow().is_empty()
    }

    /// Offers `record`, which is redacted, to each follower. `is_failure`: it is one of the last failures
    /// from now on.
    pub(crate) fn publish(&self, record: &AccessRecord<'_>, is_failure: bool, time: &LogTime) {
        self.publish_line(record, is_failure, time, |format, out| {
            format.write(record, time, out);
        });
    }

    /// Offers the record of a connection of a stream; `access` is the same as one of an exchange. `is_failure`: as
    /// [`publish`](Self::publish) has it.
    pub(crate) fn publish_stream(
        &self,
        record: &StreamRecord<'_>,
        access: &AccessRecord<'_>,
        is_failure: bool,
        time: &LogTime,
    ) {
        self.publish_line(access, is_failure, time, |format, out| {
            format.write_stream(record, access, time, out);
        });
    }

    /// The same as [`publish`](Self::publish), with `write` for the lines.
    pub(super) fn publish_line(
        &self,
        record: &AccessRecord<'_>,
        is_failure: bool,
        time: &LogTime,
        write: impl Fn(&FeedFormat, &mut Vec<u8>),
    ) {
        let _noted = is_failure.then(|| self.feed.note_failure(record, time));
        let room = &mut *self.room.borrow_mut();
        for follower in self.followers.borrow().iter() {
            follower.offer(record, room, &write);
        }
    }
}
