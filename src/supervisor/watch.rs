//! `tidegate run --watch`: a change to a file of the configuration leads to a reload.
//!
//! Directories are watched, not files, for an editor or a deployment may put a new file in the place
//! of the old one. What happens in them to other files, such as a log, is passed over.
//!
//! ```text
//! notify ─→ Message::Happened ─┐
//!                              ├─→ is it one of ours? ─→ until it is quiet ─→ Event::FilesChanged
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

/// How long nothing may have changed before the files are read: a save is several steps.
const QUIET: Duration = Duration::from_millis(200);

/// Looks after the files of the configuration, on a thread of its own.
pub(super) struct FileWatch(Sender<Message>);

enum Message {
    Happened(notify::Result<notify::Event>),
    Watch(Files),
}

impl FileWatch {
    /// Begins to watch `files`; each change to them becomes an event.
    ///
    /// # Errors
    /// If the system has no more watches, or no more threads.
    pub(super) fn start(files: Files, events: Sender<Event>) -> notify::Result<Self> {
        let (sender, messages) = channel();
        let happened = sender.clone();
        let watcher = notify::recommended_watcher(move |event| {
            // Nobody hears it only if the process is ending.
            let _ = happened.send(Message::Happened(event));
        })?;
        let mut watched = Watched {
            watcher,
            directories: BTreeSet::new(),
            files: Files::default(),
        };
        watched.renew(files);
        std::thread::Builder::new()
            .name("tidegate-watch".to_owned())
            .spawn(move || watched.forward(&messages, &events))
            .map_err(notify::Error::io)?;
        Ok(Self(sender))
    }

    /// Watches `files` from now on.
    pub(super) fn renew(&self, files: Files) {
        // The thread ends with the process only.
        let _ = self.0.send(Message::Watch(files));
    }
}

/// The files a configuration consists of, and those that would join it.
#[derive(Clone, Default)]
pub(crate) struct Files {
    paths: BTreeSet<PathBuf>,
    wildcards: Vec<Wildcard>,
}

impl Files {
    /// The files of `loaded`, their names made absolute, for so the system names what changed.
    ///
    /// # Errors
    /// If the current directory is unknown.
    pub(crate) fn of(loaded: &Loaded) -> io::Result<Self> {
        let mut paths = BTreeSet::new();
        for path in &loaded.files {
            let path = absolute(path)?;
            // Behind a symbolic link either may change: the link, or the file it leads to.
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

    fn directories(&self) -> BTreeSet<PathBuf> {
        let of_files = self.paths.iter().filter_map(|path| path.parent());
        let of_wildcards = self.wildcards.iter().map(|wildcard| &*wildcard.directory);
        let directories = of_files.chain(of_wildcards);
        let existing = directories.filter(|directory| directory.is_dir());
        existing.map(Path::to_owned).collect()
    }

    /// Whether the configuration may be another one after a change to `path`.
    fn concern(&self, path: &Path) -> bool {
        let (directory, name) = (path.parent(), path.file_name().unwrap_or(OsStr::new("")));
        let is_wanted = |wildcard: &Wildcard| {
            directory == Some(&*wildcard.directory) && wildcard.is_match(name)
        };
        // A link may be what all files are reached by: Kubernetes replaces `..data` alone.
        self.paths.contains(path) || self.wildcards.iter().any(is_wanted) || path.is_symlink()
    }
}

/// What the thread holds.
struct Watched {
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
    files: Files,
}

impl Watched {
    /// Until the supervisor is gone: an event for each change, when it is complete.
    fn forward(mut self, messages: &Receiver<Message>, events: &Sender<Event>) {
        let mut has_changed = false;
        loop {
            let next = match has_changed {
                true => messages.recv_timeout(QUIET),
                false => messages.recv().map_err(RecvTimeoutError::from),
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

    fn is_change(&self, event: notify::Result<notify::Event>) -> bool {
        match event {
            // Events were lost: it may have been ours.
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

    /// Watches the directories of `files`, and no others. One that is watched already is so again,
    /// for another may stand in its place by now.
    fn renew(&mut self, files: Files) {
        let directories = files.directories();
        for directory in self.directories.difference(&directories) {
            // It fails if the directory has gone, and its watch with it.
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

/// Whether something else is there after the event; reading a file is none of that.
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
