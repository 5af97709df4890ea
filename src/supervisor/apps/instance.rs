//! One process of an application.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::output::{Output, OutputLog};
use super::own::{Own, SocketDirectory};
use super::ready::Probe;
use super::start::{StartError, Started, start};
use crate::address::UpstreamAddress;
use crate::config::model::App;
use crate::log::diagnostic;
use crate::runtime::{Exit, Guard, Process, spawn_thread};

/// Identifies an instance; a number is never used again.
pub(super) type InstanceId = u64;

/// What happens to an instance by itself.
pub(super) enum Happened {
    Ready,
    Ended,
}

/// Takes note of what happens to an instance, on any thread.
pub(super) type Report = Arc<dyn Fn(InstanceId, Happened) + Send + Sync>;

/// A process of an application. Dropping it ends the process and what is in its group.
pub(super) struct Instance {
    pub(super) id: InstanceId,
    process: Process<()>,
    own: Own,
    pub(super) started: Instant,
    /// Since when it is ready.
    pub(super) ready: Option<Instant>,
    /// It has to be ready by then.
    pub(super) ready_by: Instant,
    /// Has its probe give up.
    is_over: Arc<AtomicBool>,
}

/// What starts instances.
pub(super) struct Launcher {
    sockets: SocketDirectory,
    guard: Guard,
    next: InstanceId,
    report: Report,
}

impl Launcher {
    /// Instances have their sockets in `sockets`. What happens to them is told by `report`.
    pub(super) fn new(sockets: SocketDirectory, report: Report) -> Self {
        Self {
            sockets,
            guard: Guard::default(),
            next: 0,
            report,
        }
    }

    /// Starts an instance of `app`, from the thread that lives as long as instances may.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) fn launch(&mut self, app: &App) -> Result<Instance, StartError> {
        let Started {
            process,
            output,
            own,
        } = start(app, &mut self.sockets)?;
        let id = self.next;
        self.next += 1;
        let number = process.id();
        if let Err(error) = self.guard.watch(number) {
            diagnostic::warn(format_args!(
                "app {}: what process {} has started may outlive this server if that is killed: {error}",
                app.name(),
                number.as_raw_nonzero()
            ));
        }
        let now = Instant::now();
        let instance = Instance {
            id,
            process,
            own,
            started: now,
            ready: None,
            ready_by: now + app.ready_timeout,
            is_over: Arc::default(),
        };
        match self.attend(app, &instance, output) {
            Ok(()) => Ok(instance),
            Err(error) => {
                self.bury(instance);
                Err(StartError::Threads(error))
            }
        }
    }

    /// Starts the threads that wait for what `instance` writes, for its end, and until it is ready.
    fn attend(&self, app: &App, instance: &Instance, pipe: io::PipeReader) -> io::Result<()> {
        let id = instance.id;
        let name = format!("app {} [{}]", app.name(), instance.number());
        let output = Output {
            pipe,
            end: instance.process.end_for_thread()?,
            log: OutputLog::new(name),
        };
        let report = Arc::clone(&self.report);
        spawn_thread("tidegate-app", move || {
            output.log_until_end();
            report(id, Happened::Ended);
        })?;
        let is_over = Arc::clone(&instance.is_over);
        let probe = Probe::new(app, instance.address(), instance.ready_by, is_over);
        let report = Arc::clone(&self.report);
        spawn_thread("tidegate-ready", move || {
            if probe.wait() {
                report(id, Happened::Ready);
            }
        })?;
        Ok(())
    }

    /// Lets go of an instance: what is left of its group is killed.
    pub(super) fn bury(&mut self, instance: Instance) {
        instance.process.signal(Signal::KILL);
        self.guard.forget(instance.process.id());
    }
}

impl Instance {
    /// Where it is asked.
    pub(super) fn address(&self) -> UpstreamAddress {
        self.own.address()
    }

    /// The number of its process.
    pub(super) fn number(&self) -> i32 {
        self.process.id().as_raw_nonzero().get()
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.process.exit()
    }

    /// Takes note that it is ready.
    pub(super) fn note_ready(&mut self, app: &str) {
        self.ready = Some(Instant::now());
        if let Err(error) = self.own.protect() {
            diagnostic::warn(format_args!(
                "app {app}: the socket of process {} keeps its permissions: {error}",
                self.number()
            ));
        }
    }

    /// How long it has been ready.
    pub(super) fn ready_for(&self) -> Duration {
        self.ready.map_or(Duration::ZERO, |ready| ready.elapsed())
    }

    /// Sends a signal to the process and to what is in its group.
    pub(super) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
