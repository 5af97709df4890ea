//! A call of a handler: it runs on a thread of the pool while a task waits for its result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::{
    Body, Error, Gone, Handler, Instance, Made, Pump, Refused, Request, StreamWriter,
};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::runtime::{
    BlockingError, BlockingPool, Job, Receiver, catch_panic, channel, pipe_to_task,
};

/// A handler that is at work. Dropping it tells the handler and the pool that the caller has
/// stopped waiting.
pub(super) struct Call {
    outcome: Receiver<Outcome>,
    /// Set when the client has gone; the handler can look at it.
    gone: Gone,
    job: Option<Job>,
}

type Outcome = Result<Made, Failure>;

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
    TimedOut {
        timeout: Duration,
        /// If false, it waited for a thread all the time.
        has_begun: bool,
    },
}

impl Failure {
    /// The status of the response that is sent instead.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Error(error) if error.status().is_final() => error.status(),
            Self::Error(_) | Self::Panicked(_) | Self::Refused(_) => Status::INTERNAL_SERVER_ERROR,
            Self::Saturated(_) => Status::SERVICE_UNAVAILABLE,
            Self::TimedOut { .. } => Status::GATEWAY_TIMEOUT,
        }
    }

    /// The failure as the log says it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Error(error) => diagnostic::chain(error.cause()),
            Self::Panicked(message) => format!("the handler panicked: {message}"),
            Self::Refused(refused) => format!("its answer cannot be sent: {refused}"),
            Self::Saturated(error) => error.to_string(),
            Self::TimedOut {
                timeout,
                has_begun: true,
            } => format!(
                "the handler did not answer within {timeout:?}; its thread is lost until it returns"
            ),
            Self::TimedOut { timeout, .. } => {
                format!("no thread of the blocking pool was free within {timeout:?}")
            }
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
        is_head: bool,
        pool: &BlockingPool,
    ) -> Result<Self, Failure> {
        let (sender, outcome) = channel();
        let gone = request.gone();
        let work = move || {
            let mut pump = None;
            let made = run(&*instance.handler, request).map(|made| {
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
        let job = pool.begin(work).map_err(Failure::Saturated)?;
        let job = Some(job);
        Ok(Self { outcome, gone, job })
    }

    /// Waits for the handler's result.
    pub(super) async fn outcome(&mut self) -> Outcome {
        let outcome = self.outcome.receive().await;
        // `run` catches the panics of the handler. Without an outcome something panicked that was dropped
        // there.
        outcome.unwrap_or_else(|| Err(Failure::Panicked("while it was dropped".to_owned())))
    }

    /// Whether a thread has begun to run it.
    pub(super) fn has_begun(&self) -> bool {
        self.job.as_ref().is_some_and(Job::has_begun)
    }

    /// Stops tracking the job: the handler has done its work, and no thread counts as lost.
    pub(super) fn detach(mut self) {
        if let Some(job) = self.job.take() {
            job.detach();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.job.is_some() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}

/// Calls the handler, on this thread.
pub(super) fn run(handler: &dyn Handler, request: Request) -> Outcome {
    // A panic may leave the handler's own state half done. The handler must guard that anyhow,
    // because all threads share it.
    let answered = catch_panic(|| handler.handle(request));
    match answered {
        Ok(Ok(response)) => response.made().map_err(Failure::Refused),
        Ok(Err(error)) => Err(Failure::Error(error)),
        Err(panic) => Err(Failure::Panicked(panic.to_string())),
    }
}

/// Has a thread of the pool make the content of a response that was made on the loop, if its
/// content is still to be made.
///
/// # Errors
/// [`Failure::Saturated`] at once.
pub(super) fn pump_elsewhere(
    made: Made,
    is_head: bool,
    pool: &BlockingPool,
) -> Result<(Made, Option<Call>), Failure> {
    let (made, pump) = take_pump(made, is_head);
    let Some((pump, writer)) = pump else {
        return Ok((made, None));
    };
    let work = move || run_pump(pump, writer);
    let job = pool.begin(work).map_err(Failure::Saturated)?;
    let (_, outcome) = channel();
    let call = Call {
        outcome,
        gone: Gone::default(),
        job: Some(job),
    };
    Ok((made, Some(call)))
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
    let pumped = catch_panic(|| pump(&mut writer));
    match pumped {
        Ok(Ok(())) => {}
        // The client has gone: nothing to report.
        Ok(Err(_)) if writer.client_has_gone() => {}
        Ok(Err(error)) => writer.break_off(diagnostic::chain(&error)),
        Err(panic) => writer.break_off(format!("it panicked: {panic}")),
    }
}
