//! Long listings on their way out, each in a temporary file.
//!
//! A client may take its time over a listing, and a hundred clients over a hundred of them. So a
//! listing that is longer than what is sent at once waits in a file without a name, not in memory.
//! Clients that ask for the same listing at about the same time share one file.

use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::listing::View;
use crate::message::format::Format;

/// The most that the files of one worker may hold together, in octets.
const CAPACITY: u64 = 256 * 1024 * 1024;

/// What makes a listing another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListingKey {
    pub(super) route: u64,
    /// The path as the page shows it.
    pub(super) shown: Vec<u8>,
    pub(super) format: Format,
    pub(super) view: View,
}

/// The files of listings that are being sent.
#[derive(Default)]
pub(super) struct Listings {
    files: Vec<ListingFile>,
}

struct ListingFile {
    key: ListingKey,
    /// Responses own it: it is gone when the last one is sent.
    file: Weak<OwnedFd>,
    length: u64,
    made: Instant,
}

/// All files that are being sent hold too much already.
#[derive(Debug, thiserror::Error)]
#[error("the listings that clients are still reading take up all the room there is for listings")]
pub(super) struct NoRoom;

impl Listings {
    /// A file with the listing of `key`, made less than `period` ago or since `asked`.
    pub(super) fn find(
        &self,
        key: &ListingKey,
        (asked, now): (Instant, Instant),
        period: Duration,
    ) -> Option<(Rc<OwnedFd>, u64)> {
        let is_current = |file: &&ListingFile| {
            file.key == *key && (file.made >= asked || now.duration_since(file.made) < period)
        };
        let mut current = self.files.iter().filter(is_current);
        current.find_map(|file| Some((file.file.upgrade()?, file.length)))
    }

    /// Adds the file of a listing, which was made at `made`.
    ///
    /// # Errors
    /// [`NoRoom`]
    pub(super) fn add(
        &mut self,
        key: ListingKey,
        file: OwnedFd,
        length: u64,
        made: Instant,
    ) -> Result<Rc<OwnedFd>, NoRoom> {
        self.files.retain(|file| file.file.strong_count() > 0);
        let taken: u64 = self.files.iter().map(|file| file.length).sum();
        if taken + length > CAPACITY {
            return Err(NoRoom);
        }
        let file = Rc::new(file);
        self.files.push(ListingFile {
            key,
            file: Rc::downgrade(&file),
            length,
            made,
        });
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(shown: &str) -> ListingKey {
        ListingKey {
            route: 1,
            shown: shown.into(),
            format: Format::Html,
            view: View::default(),
        }
    }

    fn file() -> OwnedFd {
        tempfile::tempfile().expect("there is a disk").into()
    }

    /// A hundred clients that did not read a listing of 50,000 names took 503 MiB of memory.
    #[test]
    fn clients_share_a_file_while_it_is_fresh_and_sent() {
        let (mut listings, now) = (Listings::default(), Instant::now());
        let second = Duration::from_secs(1);
        let sent = listings
            .add(key("/a/"), file(), 5, now)
            .expect("there is room");
        let find = |listings: &Listings, shown, asked, now, period| {
            listings.find(&key(shown), (asked, now), period).is_some()
        };
        assert!(find(
            &listings,
            "/a/",
            now + second,
            now + second,
            2 * second
        ));
        assert!(
            !find(&listings, "/a/", now + second, now + second, second),
            "old"
        );
        assert!(
            find(&listings, "/a/", now, now + 9 * second, Duration::ZERO),
            "asked before"
        );
        assert!(!find(&listings, "/b/", now, now, second));
        drop(sent);
        assert!(
            !find(&listings, "/a/", now, now, second),
            "nothing holds it"
        );
    }

    #[test]
    fn the_files_have_a_budget() {
        let (mut listings, now) = (Listings::default(), Instant::now());
        let most = CAPACITY - 5;
        let sent = listings
            .add(key("/a/"), file(), most, now)
            .expect("there is room");
        assert!(listings.add(key("/b/"), file(), 6, now).is_err());
        drop(sent);
        assert!(listings.add(key("/b/"), file(), 6, now).is_ok());
    }
}
