//! A look at the disk: what a path leads to now, or that nothing has changed.
//!
//! A look owns all that it needs, so it can run on the loop, where it may not wait, and on the
//! blocking pool, where it may.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::load::{self, Loaded};
use super::lookup::{self, Found, FoundFile, LookedUp};
use crate::config::model::{Files, Links};
use crate::disk::barrier::Barrier;
use crate::disk::beneath::{Root, Waiting};
use crate::disk::identity::Identity;
use crate::http::negotiation::ContentCoding;

/// What a `files` route is, for its handler and for looks on the blocking pool.
pub(crate) struct FilesRoute {
    /// Tells this route's entries in a worker's cache from another route's.
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

    /// What tells its entries in a worker's cache from another route's.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

/// Which directory a path leads to. Another directory may take its number when it is gone, but not the
/// time when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place(Option<(u64, u64, Option<SystemTime>)>);

impl Place {
    /// The root of a route, and the further directories that links may lead to.
    pub(crate) fn of_all(options: &Files) -> Vec<Self> {
        let further = match &options.links {
            Links::Also(directories) => &directories[..],
            Links::Inside | Links::None | Links::Anywhere => &[],
        };
        let roots = [&options.root].into_iter().chain(further);
        roots.map(|path| Self::of(path)).collect()
    }

    fn of(path: &Path) -> Self {
        let state = std::fs::metadata(path).ok();
        Self(state.map(|state| (state.dev(), state.ino(), state.created().ok())))
    }
}

/// A look at the disk, with all that it needs to run on another thread.
pub(super) struct Look {
    pub(super) route: Arc<FilesRoute>,
    /// The open root; `None` if opening it would have had to wait.
    pub(super) root: Option<Arc<Root>>,
    pub(super) path: Vec<u8>,
    /// The state of the directory of `path` when the look begins; `None` if that state would prove
    /// nothing.
    pub(super) directory: Option<Identity>,
    /// The codings that the cache has, and their identities.
    pub(super) known: Vec<(ContentCoding, Identity)>,
}

/// What a look found.
pub(super) struct Seen {
    pub(super) new_root: Option<Arc<Root>>,
    pub(super) outcome: Outcome,
    /// What stood in the way of the file, or of one beside it.
    pub(super) barrier: Option<Barrier>,
}

pub(super) enum Outcome {
    /// The file is as the cache has it. With the state of the directory, if that can confirm the
    /// file.
    Unchanged(Option<Identity>),
    File(Loaded),
    Directory,
    Page,
    Missing,
    Forbidden,
}

impl Look {
    /// Looks up the path, and loads the file if it is not as the cache has it.
    ///
    /// # Errors
    /// The errors of [`lookup::look_up`] and [`load::load`].
    pub(super) fn run(&self, waiting: Waiting) -> io::Result<Seen> {
        let (root, new_root) = match &self.root {
            Some(root) => (Arc::clone(root), None),
            None => {
                let options = &self.route.options;
                let root = Arc::new(Root::open(&options.root, &options.links, waiting)?);
                (Arc::clone(&root), Some(root))
            }
        };
        // If a file changes while it is read, another look may succeed; a few are tried.
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
        let (outcome, barrier) = outcome?;
        Ok(Seen {
            new_root,
            outcome,
            barrier,
        })
    }

    fn look_beneath(
        &self,
        root: &Root,
        waiting: Waiting,
    ) -> io::Result<(Outcome, Option<Barrier>)> {
        let LookedUp { found, barrier } =
            lookup::look_up(root, &self.route.options, &self.path, waiting)?;
        let outcome = match found {
            Found::File(file) => self.compare(file, waiting)?,
            Found::Directory => Outcome::Directory,
            Found::Page => Outcome::Page,
            Found::Missing => Outcome::Missing,
            Found::Forbidden => Outcome::Forbidden,
        };
        Ok((outcome, barrier))
    }

    fn compare(&self, file: FoundFile, waiting: Waiting) -> io::Result<Outcome> {
        let directory = self.directory.filter(|_| file.depends_only_on_names);
        if file.identities().eq(self.known.iter().copied()) {
            return Ok(Outcome::Unchanged(directory));
        }
        Ok(Outcome::File(load::load(file, directory, waiting)?))
    }
}
