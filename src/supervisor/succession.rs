//! Waiting for a successor: an upgrade goes on when the new process serves, and is refused if it does not.
//!
//! The supervisor's thread waits for that, and the new process may wait long for its applications. Meanwhile this
//! thread answers questions, and replaces workers. A reload or another upgrade is refused: the new process has read
//! the configuration by then. A stop ends the new process, and the wait.

use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGUSR2};

use super::Supervisor;
use super::events::{self, Event};
use super::predecessor::READY;
use super::staging::Meanwhile;
use super::upgrade::{PATIENCE, Successor, UpgradeError, end, hear};
use crate::control::{ControlReply, ControlRequest};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::runtime::spawn_thread;

impl Supervisor {
    /// Waits until `successor` serves, for as long as `patience`. Returns its process number.
    ///
    /// # Errors
    /// Why it does not serve; by then it has ended.
    pub(super) fn wait_for_successor(
        &mut self,
        successor: Successor,
        patience: Duration,
    ) -> Result<u32, UpgradeError> {
        let Successor { mut child, line } = successor;
        let process = child.id();
        self.successor = Some(process);
        let heard = self.listen_to(process, line, patience);
        self.successor = None;
        let why = match heard {
            Ok(said) if said == READY => {
                // It may be replaced as well, and end while this process has a connection. Without a thread its
                // number stays taken until this process ends.
                let _ = spawn_thread("tidegate-reap", move || drop(child.wait()));
                return Ok(process);
            }
            Ok(_) => {
                let status = end(&mut child, PATIENCE).map_err(UpgradeError::Line)?;
                return Err(UpgradeError::Ended { status });
            }
            Err(why) => why,
        };
        // Told to stop, it ends its applications. One that is late or is not heard is killed.
        let is_told = matches!(why, UpgradeError::Stopped) && tell_to_stop(&child);
        let apps = self.config.apps.iter().map(|app| app.stop_timeout);
        let apps = apps.max().unwrap_or_default();
        let patience = if is_told {
            PATIENCE.saturating_add(apps)
        } else {
            Duration::ZERO
        };
        end(&mut child, patience).map_err(UpgradeError::Line)?;
        Err(why)
    }

    /// What the new `process` says on the `line`, and what came meanwhile is attended to.
    ///
    /// # Errors
    /// Why it is not waited for any more.
    fn listen_to(
        &mut self,
        process: u32,
        line: UnixStream,
        patience: Duration,
    ) -> Result<Vec<u8>, UpgradeError> {
        let sender = self.sender.clone();
        let listen = move || {
            let heard = hear(line, patience);
            let _ = sender.send(Event::Successor { process, heard });
        };
        spawn_thread("tidegate-upgrade", listen).map_err(UpgradeError::Line)?;
        loop {
            let event = self.events.recv().expect("we hold a sender ourselves");
            match self.attend(event) {
                Meanwhile::Done => {}
                Meanwhile::Stop => return Err(UpgradeError::Stopped),
                Meanwhile::Left(Event::Successor { process: of, heard }) if of == process => {
                    return heard.map_err(|error| UpgradeError::unheard(error, patience));
                }
                Meanwhile::Left(Event::Signal(signal @ (SIGHUP | SIGUSR2))) => {
                    let refused = refused(events::name(signal), process);
                    diagnostic::error(format_args!("{refused}"));
                }
                Meanwhile::Left(Event::Control(ControlRequest { verb, reply })) => {
                    let refused = refused(&format!("`{verb}`"), process);
                    reply(ControlReply::message(Status::CONFLICT, refused));
                }
                Meanwhile::Left(event) => self.deferred.push_back(event),
            }
        }
    }
}

/// Says that `what` was asked for while the new `process` was waited for.
fn refused(what: &str, process: u32) -> String {
    format!(
        "{what} is refused: an upgrade is under way, and process {process} does not serve yet; ask again when the upgrade is over"
    )
}

/// Tells a process to stop. Returns whether the system has taken that.
fn tell_to_stop(child: &Child) -> bool {
    kill_process(Pid::from_child(child), Signal::TERM).is_ok()
}
