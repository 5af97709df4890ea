//! `tidegate run --watch`: reloads when a file of the configuration changes.
//!
//! Directories are watched, not files, because an editor or a deployment may replace a file by a new
//! one. Changes to other files in them, such as a log, are ignored.
//!
//! ```text
//! notify ─→ Message::Happened ─┐
//!                              ├─→ is the file ours? ─→ wait until quiet ─→ Event::FilesChanged
//! reload ─→ Message::Watch ────┘
//! ```

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ::notify::event::{AccessKind, AccessMode, EventKind};
use ::notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::events::Event;
use crate::config::{Loaded, Wildcard};
use crate::log::diagnostic;
use crate::runtime::spawn_thread;

/// For how long no file may have changed before a reload reads them: a save is several steps.
const QUIET: Duration = Duration::from_millis(200);

/// A thread that watches the files of the configuration; this is where it is told which.
pub(super) struct FileWatch(Sender<Message>);

/// What the thread waits for.
enum Message {
    /// The system reports a change, or an error.
    Happened(notify::Result<notify::Event>),
    /// The files to watch from now on.
    Watch(Files),
}

impl FileWatch {
    /// Begins to watch `files`; a change to them is sent to `events`.
    ///
    /// # Errors
    /// If the system has no more watches, or no more threads.
    pub(super) fn start(files: Files, events: Sender<Event>) -> notify::Result<Self> {
        let (sender, messages) = channel();
        let happened = sender.clone();
        let watcher = notify::recommended_watcher(move |event| {
            // The receiver is gone only while the process ends.
            let _ = happened.send(Message::Happened(event));
        })?;
        let mut watched = Watched {
            watcher,
            directories: BTreeSet::new(),
            files: Files::default(),
        };
        watched.renew(files);
        let forward = move || watched.forward(&messages, &events);
        spawn_thread("tidegate-watch", forward).map_err(notify::Error::io)?;
        Ok(Self(sender))
    }

    /// Watches `files` from now on, in the place of those before.
    pub(super) fn renew(&self, files: Files) {
        // The thread runs until the process ends.
        let _ = self.0.send(Message::Watch(files));
    }
}

/// The files of a configuration, and the patterns by which further files would belong to it.
#[derive(Clone, Default)]
pub(crate) struct Files {
    paths: BTreeSet<PathBuf>,
    wildcards: Vec<Wildcard>,
}

impl Files {
    /// The files of `loaded`. Their names are made absolute, because the system reports changes by
    /// absolute names.
    ///
    /// # Errors
    /// If the current directory is unknown.
    pub(crate) fn of(loaded: &Loaded) -> io::Result<Self> {
        let mut paths = BTreeSet::new();
        for path in &loaded.files {
            let path = absolute(path)?;
            // A symbolic link may change, or the file that it leads to.
            paths.extend(path.canonicalize());
            paths.insert(path);
        }
        let mut wildcards = loaded.wildcards.clone();
        for wildcard in &mut wildcards {
            // An empty path is the current directory.
            wildcard.directory = absolute(Path::new(".").join(&wildcard.directory))?;
        }
        Ok(Self { paths, wildcards })
    }

    /// The directories in which a change may concern these files; those that exist.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let of_files = self.paths.iter().filter_map(|path| path.parent());
        let of_wildcards = self.wildcards.iter().map(|wildcard| &*wildcard.directory);
        let directories = of_files.chain(of_wildcards);
        let existing = directories.filter(|directory| directory.is_dir());
        existing.map(Path::to_owned).collect()
    }

    /// Whether a change to `path` may change the configuration.
    fn concern(&self, path: &Path) -> bool {
        let (directory, name) = (path.parent(), path.file_name().unwrap_or(OsStr::new("")));
        let is_wanted = |wildcard: &Wildcard| {
            directory == Some(&*wildcard.directory) && wildcard.is_match(name)
        };
        // A link may be on the way to all of the files: Kubernetes replaces `..data`, and nothing else.
        self.paths.contains(path) || self.wildcards.iter().any(is_wanted) || path.is_symlink()
    }
}

/// The state of the thread.
struct Watched {
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
    files: Files,
}

impl Watched {
    /// Sends an event for each change, when it is complete, until the supervisor is gone.
    fn forward(mut self, messages: &Receiver<Message>, events: &Sender<Event>) {
        let mut has_changed = false;
        loop {
            let next = if has_changed {
                messages.recv_timeout(QUIET)
            } else {
                messages.recv().map_err(RecvTimeoutError::from)
            };
            match next {
                Ok(Message::Happened(event)) => has_changed |= self.is_change(event),
                Ok(Message::Watch(files)) => self.renew(files),
                Err(RecvTimeoutError::Timeout) => {
                    has_changed = false;
                    if events.send(Event::FilesChanged).is_err() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether what the system reports may have changed the configuration.
    fn is_change(&self, event: notify::Result<notify::Event>) -> bool {
        match event {
            // The system lost events: one may have been of our files.
            Ok(event) if event.need_rescan() => true,
            Ok(event) => {
                is_write(event.kind) && event.paths.iter().any(|path| self.files.concern(path))
            }
            Err(error) => {
                diagnostic::warn(format_args!("watching the configuration: {error}"));
                false
            }
        }
    }

    /// Watches the directories of `files`, and no others. A directory that is watched already is
    /// watched anew, because another one may have replaced it.
    fn renew(&mut self, files: Files) {
        let directories = files.directories();
        for directory in self.directories.difference(&directories) {
            // This fails if the directory has gone, and its watch with it.
            let _ = self.watcher.unwatch(directory);
        }
        for directory in &directories {
            let watched = self.watcher.watch(directory, RecursiveMode::NonRecursive);
            if let Err(error) = watched {
                let shown = directory.display();
                diagnostic::warn(format_args!("cannot watch {shown}: {error}"));
            }
        }
        (self.directories, self.files) = (directories, files);
    }
}

/// Whether an event may have changed a file, or which files there are; reading changes nothing.
fn is_write(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Handlers;
    use crate::config::{self, Strictness, Surroundings};
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn what_is_read_and_what_would_be_concerns_the_configuration() {
        let directory = TemporaryDirectory::new("watch");
        let site = "[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = { echo = true }\n";
        directory.write("sites/a.toml", site.as_bytes());
        directory.write("config.toml", b"include = ['sites/*.toml']\n");
        let main = directory.path().join("config.toml");
        let handlers = Handlers::new();
        let surroundings = Surroundings::of_process(&handlers);
        let loaded = config::load(&main, surroundings, Strictness::Lenient)
            .finish()
            .expect("it is good");
        let files = Files::of(&loaded).expect("the current directory is known");
        for (name, expected) in [
            ("config.toml", true),
            ("sites/a.toml", true),
            ("sites/new.toml", true),
            ("sites", true),
            ("sites/a.toml~", false),
            ("access.log", false),
            ("other.toml", false),
        ] {
            let path = directory.path().join(name);
            assert_eq!(files.concern(&path), expected, "{name}");
        }
    }

    #[test]
    fn reading_is_no_change() {
        for (kind, expected) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Read)),
                false,
            ),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Write)),
                true,
            ),
            (EventKind::Create(notify::event::CreateKind::File), true),
            (EventKind::Remove(notify::event::RemoveKind::File), true),
        ] {
            assert_eq!(is_write(kind), expected, "{kind:?}");
        }
    }
}
