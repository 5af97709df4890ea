//! The content of a request, given to a handler as it arrives: before the handler answers, and while
//! its response is sent.

use std::time::Duration;

use crate::api::Unreadable;
use crate::message::conditional::Supply;
use crate::message::content::{
    BrokenOff, ContentError, ContentSource, DuplexContent, LocalFuture, ReadContent,
};
use crate::runtime::{self, Either, TaskWriter, either};

/// A request's content on its way to a handler.
pub(super) struct Feed<C> {
    content: C,
    /// `None` once the handler has all of it, or wants no more.
    writer: Option<TaskWriter<Unreadable>>,
    /// Content that was read, and that the pipe had no room for yet.
    block: Vec<u8>,
}

/// The result of one step of feeding.
pub(super) enum Step {
    /// The handler has been given some content.
    Fed,
    /// The handler has all of it, has been told why there is no more, or wants no more.
    Done,
    /// The client has gone.
    ClientGone,
    /// The handler took nothing within the time given.
    TimedOut,
}

impl<C: ReadContent> Feed<C> {
    pub(super) fn new(content: C, writer: TaskWriter<Unreadable>) -> Self {
        Self {
            content,
            writer: Some(writer),
            block: Vec::new(),
        }
    }

    /// Reads some content and gives it to the handler, which has `timeout` to make room for it.
    ///
    /// # Cancellation
    /// Nothing is lost: the next step goes on where this one was.
    pub(super) async fn step(&mut self, timeout: Duration) -> Step {
        if let Err(step) = self.fill().await {
            return step;
        }
        let Some(writer) = &mut self.writer else {
            return Step::Done;
        };
        let written = either(writer.write(&mut self.block), self.content.client_gone());
        match runtime::timeout(timeout, written).await {
            Ok(Either::First(Ok(()))) => Step::Fed,
            // The handler wants no more, and responds without it.
            Ok(Either::First(Err(_))) => {
                self.writer = None;
                Step::Done
            }
            Ok(Either::Second(())) => Step::ClientGone,
            Err(_) => Step::TimedOut,
        }
    }

    /// Reads content into `block`, unless some is there.
    ///
    /// # Errors
    /// The step that ends feeding, if there is no more content.
    async fn fill(&mut self) -> Result<(), Step> {
        if self.writer.is_none() {
            return Err(Step::Done);
        }
        if !self.block.is_empty() {
            return Ok(());
        }
        match self.content.read(&mut self.block).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.writer.take().into_iter().for_each(TaskWriter::finish);
                Err(Step::Done)
            }
            Err(error) => Err(self.give_up(&error)),
        }
    }

    /// Tells the handler that the content cannot be read, unless the client has gone.
    fn give_up(&mut self, error: &ContentError) -> Step {
        let Some(status) = error.reason().status() else {
            return Step::ClientGone;
        };
        let message = error.to_string();
        if let Some(writer) = self.writer.take() {
            writer.break_off(Unreadable { status, message });
        }
        Step::Done
    }

    /// Waits until the client has gone.
    pub(super) async fn client_gone(&self) {
        self.content.client_gone().await;
    }

    /// Gives the handler one block of content, which has no time limit: the response that is sent
    /// meanwhile has one of its own. Never ends once there is nothing more to give.
    ///
    /// # Cancellation
    /// Nothing is lost, as with [`step`](Self::step).
    async fn pass_on(&mut self) {
        if self.fill().await.is_ok()
            && let Some(writer) = &mut self.writer
        {
            if writer.write(&mut self.block).await.is_err() {
                self.writer = None;
            }
            return;
        }
        std::future::pending().await
    }
}

/// The content of a response, beside which the handler is given the rest of the request's.
struct Beside<'c, C> {
    source: Box<dyn ContentSource + 'c>,
    feed: Feed<C>,
}

/// Has the handler given the rest of the request's content while `supply` is sent, if that is a stream:
/// only then can the handler still be at work.
pub(super) fn beside<'c>(supply: Supply<'static>, feed: Feed<impl ReadContent + 'c>) -> Supply<'c> {
    match supply {
        Supply::Entire(DuplexContent::Stream(stream)) => {
            let stream = stream.map_source(|source| Box::new(Beside { source, feed }));
            Supply::Entire(DuplexContent::Stream(stream))
        }
        supply => supply,
    }
}

impl<C: ReadContent> ContentSource for Beside<'_, C> {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async {
            loop {
                match either(self.source.next(into), self.feed.pass_on()).await {
                    Either::First(next) => return next,
                    Either::Second(()) => {}
                }
            }
        })
    }

    fn while_blocked<'s>(&'s mut self) -> LocalFuture<'s, ()> {
        Box::pin(self.feed.pass_on())
    }

    fn discard(self: Box<Self>) {
        self.source.discard();
    }
}
