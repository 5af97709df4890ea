//! Upgrade of the program without a lost connection: a new process of it takes over the listening
//! sockets, and this one serves the connections that it has until they end.
//!
//! ```text
//! old                                        new
//!  ├─ starts ──────────────────────────────→ │  with sockets from 3 on, then the line to the old
//!  │                                         ├─ reads the configuration, adopts the sockets
//!  │                                         ├─ starts its applications, waits until they are ready
//!  │  (both accept)                          ├─ accepts
//!  │                                         ├─ publishes its control socket in place of ours
//!  │ ←───────────────────────────── "ready" ─┤
//!  ├─ accepts nothing more                   │
//!  └─ ends with its last connection          ┴
//! ```

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Supervisor;
use super::notify::{ServiceManager, State};
use super::predecessor::PREDECESSOR;
use super::unix::UnixSocket;
use crate::control::ControlReply;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::runtime::{is_first_process, open_files_before, sys};

/// How long the new process may take until it serves, without the time for its applications; after that it
/// is killed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why the new process does not take over. The operator can mend it; the old process goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("it is stopping, and waits only for `drain_delay`")]
    Stopping,
    #[error(
        "a reload waits to be confirmed, which no new process would take back: `tidegate confirm` keeps it; otherwise upgrade when it was taken back"
    )]
    OnTrial,
    #[error(
        "the server is the first process of its container, which would end with it: start a new container in its place"
    )]
    FirstProcess,
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the new process did not serve within {0:?}, and was ended")]
    Late(Duration),
    #[error(
        "the new process ended ({status}) before it served; what it wrote on the server's standard error says why"
    )]
    Ended { status: ExitStatus },
    #[error("the server was told to stop before the new process served, which was ended")]
    Stopped,
    #[error("cannot hear the new process")]
    Line(#[source] io::Error),
}

impl UpgradeError {
    /// Nothing was heard from the new process within `patience`, or because of `error`.
    pub(super) fn unheard(error: io::Error, patience: Duration) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock {
            Self::Late(patience)
        } else {
            Self::Line(error)
        }
    }
}

/// A new process that was started in our place.
pub(super) struct Successor {
    pub(super) child: Child,
    /// What it writes on when it serves.
    pub(super) line: UnixStream,
}

impl Supervisor {
    /// Starts the program again in our place. Returns the number of the process that serves now.
    ///
    /// # Errors
    /// Why the new process does not serve; this one goes on.
    pub(super) fn upgrade(&mut self) -> Result<u32, UpgradeError> {
        if self.leaving.is_some() {
            return Err(UpgradeError::Stopping);
        }
        if self.trial.is_some() {
            return Err(UpgradeError::OnTrial);
        }
        if is_first_process() {
            return Err(UpgradeError::FirstProcess);
        }
        // It serves when its applications do.
        let apps = self.config.apps.iter().map(|app| app.ready_timeout);
        let patience = PATIENCE.saturating_add(apps.max().unwrap_or_default());
        let sockets = self.sockets.descriptors();
        let secrets = self.generation.ticket_keys().to_octets();
        let names = self.sockets.descriptions(&sockets).join(":");
        let successor = self.program.start_successor(&sockets, &names, &secrets)?;
        let successor = self.wait_for_successor(successor, patience);
        if let (Err(_), Some(control)) = (&successor, &self.control) {
            // One that was killed leaves the file that it had not published.
            UnixSocket::remove_dead_drafts(control.path());
        }
        let successor = successor?;
        // The files of the sockets belong to the successor by now.
        self.sockets.leave_files();
        self.control.iter().for_each(UnixSocket::leave_file);
        self.manager.tell(State::ReplacedBy(successor));
        // From here on the successor notifies the service manager.
        self.manager = ServiceManager::default();
        diagnostic::info(format_args!("{}", describe(successor)));
        Ok(successor)
    }

    /// [`upgrade`](Self::upgrade) by signal: an error goes to the log. Returns whether another process
    /// serves now.
    pub(super) fn upgrade_and_report(&mut self) -> bool {
        let outcome = self.upgrade();
        if let Err(error) = &outcome {
            diagnostic::error(format_args!("{}", refusal(error)));
        }
        outcome.is_ok()
    }
}

/// Describes an upgrade, in the log and to the command.
pub(super) fn describe(successor: u32) -> String {
    format!(
        "upgraded: process {successor} serves; the connections of before are served to their end"
    )
}

/// Describes an upgrade that failed.
pub(super) fn refusal(error: &UpgradeError) -> String {
    let goes_on = match error {
        UpgradeError::Stopped => "",
        _ => ", the server that ran goes on",
    };
    format!("no upgrade{goes_on}: {}", diagnostic::chain(error))
}

/// The reply to `tidegate upgrade`.
pub(super) fn reply(outcome: &Result<u32, UpgradeError>) -> ControlReply {
    let (status, text) = match outcome {
        Ok(successor) => (Status::OK, describe(*successor)),
        Err(error @ (UpgradeError::OnTrial | UpgradeError::FirstProcess)) => {
            (Status::CONFLICT, refusal(error))
        }
        Err(error) => (Status::INTERNAL_SERVER_ERROR, refusal(error)),
    };
    ControlReply {
        status,
        json: json!({ "message": text, "process": outcome.as_ref().ok() }),
        text: text + "\n",
    }
}

/// How this process was started. When it is started again, another program may stand at that path:
/// that is what an upgrade is for.
pub(super) struct Program {
    path: io::Result<PathBuf>,
    arguments: Vec<OsString>,
}

impl Program {
    /// The program of this process.
    pub(super) fn ours() -> Self {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let path = std::env::current_exe().map(|exe| {
            let search = std::env::var_os("PATH").unwrap_or_default();
            let name = arguments.first().map(Path::new);
            let invoked = name.and_then(|name| invoked(name, &search, &exe));
            invoked.unwrap_or(exe)
        });
        Self { path, arguments }
    }

    /// Starts the program again with the listening sockets, their `names`, and `secrets`, which no other
    /// process learns.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) fn start_successor(
        &self,
        sockets: &[Arc<OwnedFd>],
        names: &str,
        secrets: &[u8],
    ) -> Result<Successor, UpgradeError> {
        let (mut ours, theirs) = UnixStream::pair().map_err(UpgradeError::Line)?;
        // The new process reads it when it has started; a socket has room for this little.
        ours.write_all(secrets).map_err(UpgradeError::Line)?;
        let child = self.spawn(sockets, names, &theirs)?;
        let (process, count) = (child.id(), sockets.len());
        diagnostic::debug(format_args!(
            "process {process} has {count} sockets of ours, and is waited for"
        ));
        Ok(Successor { child, line: ours })
    }

    /// Starts the program; the new process has the sockets and the line as open descriptors.
    fn spawn(
        &self,
        sockets: &[Arc<OwnedFd>],
        names: &str,
        line: &UnixStream,
    ) -> Result<Child, UpgradeError> {
        let failed = |program: &PathBuf, source| UpgradeError::Start {
            program: program.clone(),
            source,
        };
        let program = self.path.as_ref().map_err(|error| {
            let source = io::Error::new(error.kind(), error.to_string());
            failed(&PathBuf::from("the program"), source)
        })?;
        let mut arguments = self.arguments.iter();
        let name = arguments.next().map_or(program.as_os_str(), |name| name);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os())
            .env("LISTEN_FDS", sockets.len().to_string())
            .env(PREDECESSOR, std::process::id().to_string())
            .env("LISTEN_FDNAMES", names)
            .env_remove("LISTEN_PID");
        let sockets = sockets.iter().map(|socket| socket.as_fd());
        let descriptors: Vec<BorrowedFd<'_>> = sockets.chain([line.as_fd()]).collect();
        sys::spawn_with(name, command, &descriptors, open_files_before())
            .map_err(|source| failed(program, source))
    }
}

/// Reads what the new process writes until it closes the line: [`READY`](super::predecessor::READY), or nothing. One that ends before
/// it has read what we wrote resets the line.
///
/// # Errors
/// `WouldBlock` if the new process does not close the line in time.
pub(super) fn hear(mut line: UnixStream, patience: Duration) -> io::Result<Vec<u8>> {
    // The new process writes once at most, so we wait no longer than this in all.
    line.set_read_timeout(Some(patience))?;
    let mut said = Vec::new();
    match line.read_to_end(&mut said) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(said),
    }
}

/// Waits until the new process has ended. Kills it if it does not end within `patience`.
pub(super) fn end(child: &mut Child, patience: Duration) -> io::Result<ExitStatus> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill()?;
    child.wait()
}

/// Where the program with the name `name` was found, if that is still `exe`: a path, or a name in one of
/// the directories of `search`. A link there may lead to another program by the next start.
fn invoked(name: &Path, search: &OsStr, exe: &Path) -> Option<PathBuf> {
    let identity = |path: &Path| {
        let state = std::fs::metadata(path).ok()?;
        Some((state.dev(), state.ino()))
    };
    let is_exe = |path: &PathBuf| identity(path).is_some_and(|found| identity(exe) == Some(found));
    if name.components().count() > 1 || name.has_root() {
        return std::path::absolute(name).ok().filter(is_exe);
    }
    let found = std::env::split_paths(search).map(|directory| directory.join(name));
    found
        .filter_map(|path| std::path::absolute(path).ok())
        .find(is_exe)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::io::Errno;

    use super::*;
    use crate::test_support::TemporaryDirectory;

    /// It was told as `Connection reset by peer`, without the status with which the process had ended.
    #[test]
    fn a_process_that_ends_at_once_says_nothing() {
        let (mut ours, theirs) = UnixStream::pair().expect("sockets");
        ours.write_all(b"secrets").expect("there is room");
        drop(theirs);
        let heard = hear(ours, PATIENCE);
        assert_eq!(heard.expect("no error"), b"");
    }

    /// A link that leads to another version by now started the version of before.
    #[test]
    fn the_program_is_started_by_the_name_that_it_was_started_by() {
        let directory = TemporaryDirectory::new("upgrade");
        directory.write("v1", b"1");
        directory.write("v2", b"2");
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("v1", at("current")).expect("ours");
        let search = directory.path().as_os_str();
        let found = |name: &Path| invoked(name, search, &at("v1"));
        assert_eq!(found(&at("current")), Some(at("current")));
        assert_eq!(found(Path::new("current")), Some(at("current")));
        assert_eq!(found(Path::new("v2")), None, "another program");
        assert_eq!(found(Path::new("gone")), None);
    }

    /// A text in the place of the program, as a failed download leaves it, was given to a shell, which did what it says
    /// with the rights of the server.
    #[test]
    fn a_file_that_is_no_program_is_not_given_to_a_shell() {
        let directory = TemporaryDirectory::new("no-program");
        let (path, proof) = (
            directory.path().join("tidegate"),
            directory.path().join("proof"),
        );
        directory.write(
            "tidegate",
            format!("echo >{}\n", proof.display()).as_bytes(),
        );
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("it is ours");
        let program = Program {
            path: Ok(path),
            arguments: vec!["tidegate".into()],
        };
        match program.start_successor(&[], "", b"") {
            Err(UpgradeError::Start { source, .. }) => {
                assert_eq!(Errno::from_io_error(&source), Some(Errno::NOEXEC));
            }
            Err(error) => panic!("{error:?}"),
            Ok(mut successor) => {
                let ended = successor.child.wait();
                panic!("it was started: {ended:?}, {}", proof.exists());
            }
        }
    }
}
