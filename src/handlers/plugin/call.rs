//! A call of a handler: it runs on a thread of the pool while a task waits for its result.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{
    Body, Error, Handler, Instance, Life, Made, Pump, Refused, Request, Response, StreamWriter,
    UNDECIDED,
};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::reason::Reason;
use crate::runtime::{
    BlockingError, BlockingPool, Job, Receiver, catch_panic, channel, pipe_to_task,
};

/// Code that is at work for a request. Dropping it tells the code, and the pool, that the client has
/// gone.
pub(super) struct Call {
    pub(super) life: Arc<Life>,
    job: Option<Job>,
    /// The code has done its work.
    is_over: bool,
}

/// The result of a call of a handler.
pub(super) type Outcome = Result<Made, Failure>;

/// The outcome of a handler, which is there already or comes from a thread.
pub(super) enum Coming {
    Here(Outcome),
    FromThread(Receiver<Outcome>),
}

/// Why the loop stops waiting for a handler.
pub(super) enum Expiry {
    TimedOut,
    ClientGone,
}

/// Why the handler gave no response.
#[derive(Debug)]
pub(super) enum Failure {
    /// The handler returned an error.
    Error(Error),
    Panicked(String),
    /// Its response cannot be sent.
    Refused(Refused),
    /// All threads are busy and the queue is full, or there are no threads.
    Saturated(BlockingError),
    /// It was to be decided later, and its reply was dropped.
    Undecided,
    TimedOut {
        timeout: Duration,
        waited_for: WaitedFor,
    },
}

/// What was waited for when the time was up.
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitedFor {
    Thread,
    Handler,
    /// The decision about a response, which holds no thread.
    Decision,
}

impl Failure {
    /// The status of the response that is sent instead.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Error(error) if error.status().is_final() => error.status(),
            Self::Error(_) | Self::Panicked(_) | Self::Refused(_) | Self::Undecided => {
                Status::INTERNAL_SERVER_ERROR
            }
            Self::Saturated(_) => Status::SERVICE_UNAVAILABLE,
            Self::TimedOut { .. } => Status::GATEWAY_TIMEOUT,
        }
    }

    /// The reason of that response.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Error(_) => Reason::HandlerError,
            Self::Panicked(_) => Reason::HandlerPanicked,
            Self::Refused(_) | Self::Undecided => Reason::HandlerAnswerInvalid,
            Self::Saturated(_) => Reason::ThreadsBusy,
            Self::TimedOut { .. } => Reason::HandlerTimeout,
        }
    }

    /// The failure as the log says it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Error(error) => diagnostic::chain(error.cause()),
            Self::Panicked(message) => format!("the handler panicked: {message}"),
            Self::Refused(refused) => format!("its answer cannot be sent: {refused}"),
            Self::Saturated(error) => error.to_string(),
            Self::Undecided => UNDECIDED.to_owned(),
            Self::TimedOut {
                timeout,
                waited_for,
            } => match waited_for {
                WaitedFor::Thread => {
                    format!("no thread of the blocking pool was free within {timeout:?}")
                }
                WaitedFor::Handler => format!(
                    "the handler did not answer within {timeout:?}; its thread is lost until it \
                     returns"
                ),
                WaitedFor::Decision => {
                    format!("the handler did not decide its answer within {timeout:?}")
                }
            },
        }
    }
}

impl Call {
    /// Has a thread of `pool` call the handler.
    ///
    /// # Errors
    /// [`Failure::Saturated`] at once.
    pub(super) fn begin(
        instance: Arc<Instance>,
        request: Request,
        life: Arc<Life>,
        is_head: bool,
        pool: &BlockingPool,
    ) -> Result<(Self, Coming), Failure> {
        let (sender, outcome) = channel();
        let work = move || {
            let mut pump = None;
            let made = run(instance.handler(), request).map(|made| {
                let (made, rest) = take_pump(made, is_head);
                pump = rest;
                made
            });
            sender.send(made);
            // The task that has the response no longer waits for this sender.
            drop(sender);
            if let Some((pump, writer)) = pump {
                run_pump(pump, writer);
            }
        };
        let mut call = Self::on_loop(life);
        call.job = Some(pool.begin(work).map_err(Failure::Saturated)?);
        Ok((call, Coming::FromThread(outcome)))
    }

    /// Code that runs on the loop.
    pub(super) fn on_loop(life: Arc<Life>) -> Self {
        Self {
            life,
            job: None,
            is_over: false,
        }
    }

    /// Has a thread of the pool make the content of `made`, if it is still to be made: the response was
    /// made on the loop, or decided later.
    ///
    /// # Errors
    /// [`Failure::Saturated`] at once.
    pub(super) fn make_content(
        &mut self,
        made: Made,
        is_head: bool,
        pool: &BlockingPool,
    ) -> Outcome {
        let (made, pump) = take_pump(made, is_head);
        if let Some((pump, writer)) = pump {
            let work = move || run_pump(pump, writer);
            self.job = Some(pool.begin(work).map_err(Failure::Saturated)?);
        }
        Ok(made)
    }

    /// What is waited for until the outcome is there.
    pub(super) fn waits_for(&self) -> WaitedFor {
        match &self.job {
            Some(job) if job.is_queued() => WaitedFor::Thread,
            Some(job) if job.is_running() => WaitedFor::Handler,
            _ => WaitedFor::Decision,
        }
    }

    /// Ends in good order: the code has done its work, and no thread counts as lost.
    pub(super) fn end(mut self) {
        self.is_over = true;
        self.life.end();
        if let Some(job) = self.job.take() {
            job.detach();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_over {
            self.life.client_gone();
        }
    }
}

impl Coming {
    /// Waits for the outcome.
    pub(super) async fn outcome(self) -> Outcome {
        match self {
            Self::Here(outcome) => outcome,
            Self::FromThread(mut receiver) => {
                let outcome = receiver.receive().await;
                // `run` catches the panics of the handler. Without an outcome something panicked that
                // was dropped there.
                let panicked = || Failure::Panicked("while something was dropped".to_owned());
                outcome.unwrap_or_else(|| Err(panicked()))
            }
        }
    }
}

/// Calls the handler, on this thread.
pub(super) fn run(handler: &dyn Handler, request: Request) -> Outcome {
    // A panic may leave the handler's own state half done. The handler must guard that anyhow,
    // because all threads share it.
    match catch_panic(|| handler.handle(request)) {
        Ok(answer) => made(answer),
        Err(panic) => Err(Failure::Panicked(panic.to_string())),
    }
}

/// What the server makes of a handler's answer.
pub(super) fn made(answer: Result<Response, Error>) -> Outcome {
    let response = answer.map_err(Failure::Error)?;
    response.made().map_err(Failure::Refused)
}

/// Puts a stream in the place of content that is still to be made. Also returns what makes it,
/// unless the request is HEAD.
fn take_pump(made: Made, is_head: bool) -> (Made, Option<(Pump, StreamWriter)>) {
    let Body::Pumped { length, pump } = made.body else {
        return (made, None);
    };
    let (writer, reader) = pipe_to_task();
    let body = Body::Stream { length, reader };
    let pump = (!is_head).then(|| (pump, StreamWriter::new(writer)));
    (Made { body, ..made }, pump)
}

/// Makes content once the connection wants some. If it wants none (the client has the content
/// already), the pump does not run.
fn run_pump(pump: Pump, mut writer: StreamWriter) {
    if !writer.is_wanted() {
        return;
    }
    let pumped = catch_panic(|| pump.run(&mut writer));
    match pumped {
        Ok(Ok(())) => {}
        // The client has gone: nothing to report.
        Ok(Err(_)) if writer.client_has_gone() => {}
        Ok(Err(error)) => writer.break_off(diagnostic::chain(&error)),
        Err(panic) => writer.break_off(format!("it panicked: {panic}")),
    }
}
