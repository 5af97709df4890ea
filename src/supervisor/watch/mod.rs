//! `tidegate run --watch`: reloads when a file of the configuration changes.
//!
//! The thread compares how the files look with how they looked before. The system's reports only have it
//! look at once. Without a report it looks every [`PATROL`], because the system reports nothing of what
//! happens further up the path (a link that leads elsewhere, a directory that is renamed), nor on most
//! network file systems.
//!
//! Reports are wanted of directories, not of files, because an editor or a deployment may replace a file
//! by a new one.
//!
//! ```text
//! notify ─→ Message::Happened ─┐
//!                              ├─→ do the files look different? ─→ wait until quiet ─→ Event::FilesChanged
//! reload ─→ Message::Watch ────┘
//! ```

mod files;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ::notify::event::{AccessKind, AccessMode, EventKind};
use ::notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::events::Event;
use crate::log::diagnostic;
use crate::runtime::{catch_panic, spawn_thread};

pub(crate) use files::Files;
use files::Look;

/// For how long no file may have changed before a reload reads them: a save is several steps.
const QUIET: Duration = Duration::from_millis(200);

/// How long the thread waits for a report before it looks at the files without one.
const PATROL: Duration = Duration::from_secs(1);

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
    /// Begins to watch `files`; a change to them since they were read is sent to `events`.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub(super) fn start(files: Files, events: Sender<Event>) -> io::Result<Self> {
        let (sender, messages) = channel();
        let watched = Watched::new(files, sender.clone());
        spawn_thread("tidegate-watch", move || {
            watched.forward(&messages, &events)
        })?;
        Ok(Self(sender))
    }

    /// Watches `files` from now on, in the place of those before.
    pub(super) fn renew(&self, files: Files) {
        // The thread runs until the process ends.
        let _ = self.0.send(Message::Watch(files));
    }
}

/// The state of the thread.
struct Watched {
    /// Has the system report changes; `None` if the system does not.
    watcher: Option<RecommendedWatcher>,
    /// The directories whose changes the system reports.
    directories: BTreeSet<PathBuf>,
    files: Files,
    /// How the files looked when the thread last looked.
    look: Look,
    /// Whether there is a change that the supervisor has not been told of.
    has_changed: bool,
    /// When to look at the files next.
    next_look: Instant,
}

impl Watched {
    /// A thread's state; what the system reports is sent to `happened`.
    fn new(files: Files, happened: Sender<Message>) -> Self {
        let handler = move |event| {
            // The receiver is gone only while the process ends.
            let _ = happened.send(Message::Happened(event));
        };
        // The library panics if the system has no thread for it.
        let watcher = catch_panic(|| notify::recommended_watcher(handler));
        let watcher =
            watcher.unwrap_or_else(|panic| Err(notify::Error::generic(&panic.to_string())));
        let watcher = watcher.map_err(|error| {
            diagnostic::warn(format_args!(
                "the system does not report changes to the configuration ({error}): its files are looked at every {PATROL:?}"
            ));
        });
        let mut watched = Self {
            watcher: watcher.ok(),
            directories: BTreeSet::new(),
            files: Files::default(),
            look: Look::default(),
            has_changed: false,
            next_look: Instant::now(),
        };
        watched.renew(files);
        watched
    }

    /// Sends an event for each change, when it is complete, until the supervisor is gone.
    fn forward(mut self, messages: &Receiver<Message>, events: &Sender<Event>) {
        loop {
            let left = self.next_look.saturating_duration_since(Instant::now());
            // Looks when it is time, also if reports of other files never cease.
            if left.is_zero() && self.look_again() && events.send(Event::FilesChanged).is_err() {
                return;
            }
            match messages.recv_timeout(left) {
                Ok(Message::Happened(event)) => self.note(event),
                Ok(Message::Watch(files)) => self.renew(files),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Takes note of what the system reports.
    fn note(&mut self, event: notify::Result<notify::Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                diagnostic::warn(format_args!("watching the configuration: {error}"));
                return;
            }
        };
        let soon = Instant::now() + QUIET;
        if event.need_rescan() {
            // The system lost events: one may have been of our files.
            self.next_look = self.next_look.min(soon);
        } else if is_write(event.kind) {
            if let Some(path) = event.paths.iter().find(|path| self.files.concern(path)) {
                diagnostic::debug(format_args!("{} was changed", path.display()));
                // Also if the files look the same: two writes may share one tick of the file system's clock.
                self.has_changed = true;
                self.look_now();
                self.next_look = soon;
            } else {
                // It may be a link or a directory on the way to our files.
                self.next_look = self.next_look.min(soon);
            }
        }
    }

    /// Looks at the files. Returns whether there was a change, and the files have been quiet since.
    fn look_again(&mut self) -> bool {
        let is_quiet = !self.look_now();
        let is_complete = self.has_changed && is_quiet;
        if is_complete {
            self.has_changed = false;
        }
        let pause = if self.has_changed { QUIET } else { PATROL };
        self.next_look = Instant::now() + pause;
        is_complete
    }

    /// Looks at the files, and returns whether they look different than before.
    fn look_now(&mut self) -> bool {
        let look = self.files.look();
        let is_different = look != self.look;
        if is_different {
            self.look = look;
            self.has_changed = true;
            self.have_reported();
        }
        is_different
    }

    /// Watches `files` from now on, and no others.
    fn renew(&mut self, files: Files) {
        self.files = files;
        self.have_reported();
        let known = std::mem::take(&mut self.look);
        // A file may have been written after it was read, and before it was watched.
        if self.files.differ_from_what_was_read(&known) {
            self.has_changed = true;
        }
        self.look = known.extended(self.files.look());
        self.next_look = Instant::now() + QUIET;
    }

    /// Has the system report changes in the directories of the files, as they are now: another directory
    /// may have taken the place of one that was reported.
    fn have_reported(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        self.files.resolve();
        for directory in std::mem::take(&mut self.directories) {
            // This fails if the directory has gone, and its watch with it.
            let _ = watcher.unwatch(&directory);
        }
        for directory in self.files.directories() {
            if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
                let shown = directory.display();
                diagnostic::warn(format_args!(
                    "the system does not report changes in {shown} ({error}): it is looked at every {PATROL:?}"
                ));
            } else {
                diagnostic::debug(format_args!("watching {}", directory.display()));
            }
            self.directories.insert(directory);
        }
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
