//! A script that runs. Its output is read on the loop, its end is noticed, and it is ended when its
//! response is no longer wanted.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::error::CgiError;
use super::errors::log_errors;
use super::start::Started;
use crate::handlers::gateway::script_log::{RunName, ScriptLog};
use crate::handlers::gateway::script_response::{HeaderSection, ScriptAnswer, ScriptError};
use crate::log::diagnostic;
use crate::message::content::{BrokenOff, ContentSource, LocalFuture, drain};
use crate::runtime::{
    self, Either, Exit, Permit, PolledFd, Process, Sender, channel, either, timeout,
};

/// Octets read at once: as much as the system's pipe holds.
const BLOCK: usize = 64 * 1024;

/// How long a script may live after it has closed its output. Nearly all end at the same moment.
const LINGER: Duration = Duration::from_secs(1);

/// A script that runs. Dropping it ends the script.
pub(super) struct Running {
    process: Process<Permit>,
    /// Readable when it has ended.
    end: PolledFd,
    output: PolledFd,
    has_ended: bool,
    /// Its name in the log, with the route's.
    name: RunName,
    /// Dropping it tells the task that reads standard error that nothing more will come.
    _errors: Sender<()>,
}

impl Running {
    /// # Errors
    /// If its output cannot be waited for.
    pub(super) fn new(started: Started, name: RunName) -> io::Result<Self> {
        let Started {
            process,
            output,
            errors,
        } = started;
        let end = process.end()?;
        let output = PolledFd::new(OwnedFd::from(output))?;
        let errors = PolledFd::new(OwnedFd::from(errors))?;
        let (sender, until) = channel();
        runtime::spawn(log_errors(errors, ScriptLog::new(name.clone()), until));
        Ok(Self {
            process,
            end,
            output,
            has_ended: false,
            name,
            _errors: sender,
        })
    }

    /// Reads its header section.
    pub(super) async fn head(&mut self) -> Result<ScriptAnswer, CgiError> {
        let mut section = HeaderSection::default();
        let mut block = Vec::new();
        while self.read(&mut block).await.map_err(CgiError::Read)? {
            if let Some(answer) = section.push(&block)? {
                return Ok(answer);
            }
            block.clear();
        }
        Err(match self.exit().await {
            Some(exit) => CgiError::Ended(exit),
            None => ScriptError::Incomplete.into(),
        })
    }

    /// Appends further output to `into`. Returns false at its end: when no process has the output
    /// open, or when the script itself has ended, whatever processes it leaves behind.
    ///
    /// # Errors
    /// If the output cannot be read, or the system does not watch it or the script.
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        into.reserve(BLOCK);
        loop {
            match self.output.try_read(into) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if self.has_ended => return Ok(false),
                Err(_) => {}
            }
            // It may have written after the attempt and before its end. The next attempt finds
            // that.
            self.has_ended = self.process.exit().is_some();
            if !self.has_ended {
                let ready = either(self.output.readable(), self.end.readable());
                let (Either::First(ready) | Either::Second(ready)) = ready.await;
                ready?;
            }
        }
    }

    /// How it ended; `None` if it has closed its output and lives on.
    async fn exit(&self) -> Option<Exit> {
        let end = async {
            while self.process.exit().is_none() {
                if self.end.readable().await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(LINGER, end).await;
        self.process.exit()
    }
}

/// The content: what follows the header section.
pub(super) struct Output {
    running: Running,
    /// The longest time between two reads.
    timeout: Duration,
    /// The length that the script gave.
    length: Option<u64>,
}

impl Output {
    pub(super) fn new(running: Running, timeout: Duration, length: Option<u64>) -> Self {
        Self {
            running,
            timeout,
            length,
        }
    }

    /// Reads to the end and drops what comes, within the timeout. The script has ended then, and has
    /// given its place to another one.
    pub(super) async fn drain(mut self) {
        let mut block = Vec::new();
        let limit = self.timeout;
        let to_the_end = async {
            while let Ok(true) = self.read(&mut block).await {
                block.clear();
                runtime::yield_now().await;
            }
        };
        let _ = timeout(limit, to_the_end).await;
    }

    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, BrokenOff> {
        match timeout(self.timeout, self.running.read(into)).await {
            Ok(Ok(true)) => Ok(true),
            Ok(Ok(false)) => self.at_end().await.map(|()| false),
            Ok(Err(error)) => Err(BrokenOff::Maker(format!(
                "its output cannot be read: {error}"
            ))),
            Err(_) => Err(BrokenOff::Maker(
                "it wrote nothing within the timeout".to_owned(),
            )),
        }
    }

    /// The end of the output. If the script was killed, the content may be incomplete, unless the
    /// script gave its length.
    async fn at_end(&self) -> Result<(), BrokenOff> {
        let name = &self.running.name;
        match self.running.exit().await {
            Some(Exit::Status(0)) => {}
            Some(exit @ Exit::Signal(_)) if self.length.is_none() => {
                return Err(BrokenOff::Maker(format!("it ended with {exit}")));
            }
            Some(exit) => diagnostic::error(format_args!("{name}: it ended with {exit}")),
            None => diagnostic::warn(format_args!(
                "{name}: it closed its output and went on; it is ended"
            )),
        }
        Ok(())
    }
}

impl ContentSource for Output {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(self.read(into))
    }

    /// Lets the script run to its end, within the timeout.
    fn discard(self: Box<Self>) {
        let limit = self.timeout;
        drain(*self, limit);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use super::*;
    use crate::runtime::Permits;
    use crate::test_support::unwatched::{on_own_loop, watch_no_more};

    /// The loop tried again and again, and did nothing else.
    #[test]
    fn a_script_that_the_system_does_not_watch_is_given_up() {
        on_own_loop(|| async {
            let permit = Arc::new(Permits::new(1))
                .take()
                .expect("it is the only one");
            let sleeping = Process::start(Command::new("/bin/sleep").arg("1000"), permit);
            let (process, output, errors) = sleeping.expect("it is there");
            let started = Started {
                process,
                output,
                errors,
            };
            watch_no_more();
            let mut running = Running::new(started, RunName::of_test()).expect("a script");
            let head = running.head().await;
            assert!(matches!(head, Err(CgiError::Read(_))));
        });
    }
}
