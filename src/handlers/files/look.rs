//! A look at the disk: from a path to what is there now, or the news that nothing has changed.
//!
//! It owns all that it takes, so that it runs on the loop, where it may not wait, as on the blocking
//! pool, where it may.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::load::{self, Loaded};
use super::lookup::{self, Found, FoundFile};
use crate::config::model::Files;
use crate::disk::beneath;
use crate::disk::beneath::Waiting;
use crate::disk::identity::Identity;
use crate::http::negotiation::ContentCoding;

/// What looks on the blocking pool need as well.
pub(crate) struct FilesRoute {
    /// Tells this handler's entries in a worker's cache from another's.
    pub(super) id: u64,
    pub(super) options: Files,
}

impl FilesRoute {
    pub(crate) fn new(options: &Files) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            options: options.clone(),
        }
    }
}

/// A look at the disk: what it takes, so that it can run on another thread.
pub(super) struct Look {
    pub(super) route: Arc<FilesRoute>,
    /// The open root, unless opening it would have had to be waited for.
    pub(super) root: Option<Arc<OwnedFd>>,
    pub(super) path: Vec<u8>,
    /// How the directory of `path` is now, at the beginning; `None` if that would prove nothing.
    pub(super) directory: Option<Identity>,
    /// The state the cache knows of.
    pub(super) known: Vec<(ContentCoding, Identity)>,
}

/// What a look found.
pub(super) struct Seen {
    pub(super) new_root: Option<Arc<OwnedFd>>,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    /// What the cache knows is still so; and how the directory was, if that vouches for it.
    Unchanged(Option<Identity>),
    File(Loaded),
    Directory,
    Missing,
    Forbidden,
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// What [`lookup::look_up`] and [`load::load`] come to.
    pub(super) fn run(&self, waiting: Waiting) -> io::Result<Seen> {
        let (root, new_root) = match &self.root {
            Some(root) => (Arc::clone(root), None),
            None => {
                let root = Arc::new(beneath::open_root(&self.route.options.root, waiting)?);
                (Arc::clone(&root), Some(root))
            }
        };
        // A file that changes while it is read is worth another look, a few times.
        const TRIES: usize = 4;
        let mut outcome = self.look_beneath(&root, waiting);
        for _ in 1..TRIES {
            match &outcome {
                Err(error)
                    if waiting == Waiting::Allowed && error.kind() == io::ErrorKind::WouldBlock =>
                {
                    outcome = self.look_beneath(&root, waiting);
                }
                _ => break,
            }
        }
        Ok(Seen {
            new_root,
            outcome: outcome?,
        })
    }

    fn look_beneath(&self, root: &OwnedFd, waiting: Waiting) -> io::Result<Outcome> {
        let found = lookup::look_up(root.as_fd(), &self.route.options, &self.path, waiting)?;
        Ok(match found {
            Found::File(file) => self.compare(file, waiting)?,
            Found::Directory => Outcome::Directory,
            Found::Missing => Outcome::Missing,
            Found::Forbidden => Outcome::Forbidden,
        })
    }

    fn compare(&self, file: FoundFile, waiting: Waiting) -> io::Result<Outcome> {
        let directory = self.directory.filter(|_| file.depends_only_on_names);
        if file.identities().eq(self.known.iter().copied()) {
            return Ok(Outcome::Unchanged(directory));
        }
        Ok(Outcome::File(load::load(file, directory, waiting)?))
    }
}
