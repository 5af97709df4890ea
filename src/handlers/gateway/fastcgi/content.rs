//! The content of a response, as it comes from an application server; and the rest of the request's
//! content, which is given to it meanwhile.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::conversation::Conversation;
use super::error::Failure;
use crate::disk::spool::Spooled;
use crate::log::diagnostic;
use crate::message::content::{
    BrokenOff, ContentError, ContentSource, LocalFuture, ReadContent, drain,
};
use crate::runtime::BlockingPool;

/// Octets read from a temporary file at once.
const BLOCK: u64 = 64 * 1024;

/// Content of a request that was spooled, to be read again.
pub(super) struct SpooledContent {
    octets: Vec<u8>,
    file: Option<SpooledFile>,
    disk: Arc<BlockingPool>,
}

/// Content in a temporary file, shared with the thread that reads it.
struct SpooledFile {
    file: Arc<File>,
    /// The range of octets that has not been read.
    left: Range<u64>,
}

impl SpooledContent {
    pub(super) fn new(content: Spooled, disk: &Arc<BlockingPool>) -> Self {
        let disk = Arc::clone(disk);
        let (octets, file) = match content {
            Spooled::Memory(octets) => (octets, None),
            Spooled::File { file, length } => {
                let file = Arc::new(file);
                let left = 0..length;
                (Vec::new(), Some(SpooledFile { file, left }))
            }
        };
        Self { octets, file, disk }
    }

    pub(super) fn nothing(disk: &Arc<BlockingPool>) -> Self {
        Self::new(Spooled::Memory(Vec::new()), disk)
    }
}

impl ReadContent for SpooledContent {
    /// # Cancellation
    /// A block whose reading was cancelled is read again.
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        let SpooledFile { file, left } = match &mut self.file {
            Some(kept) if !kept.left.is_empty() => kept,
            _ => {
                let has_some = !self.octets.is_empty();
                into.append(&mut self.octets);
                return Ok(has_some);
            }
        };
        let reader = Arc::clone(file);
        let (start, end) = (left.start, left.end.min(left.start + BLOCK));
        let read = move || -> io::Result<Vec<u8>> {
            let mut block = vec![0; (end - start) as usize];
            reader.read_exact_at(&mut block, start)?;
            Ok(block)
        };
        let block = self.disk.run(read).await.map_err(io::Error::other);
        let block = block.and_then(|block| block);
        into.append(&mut block.map_err(ContentError::NotKept)?);
        left.start = end;
        Ok(true)
    }

    /// The client has sent all of it, and is not watched.
    async fn client_gone(&self) {
        std::future::pending().await
    }
}

/// Content that was spooled, of a client that waits for the response.
pub(super) struct Replayed<'c, C> {
    kept: SpooledContent,
    client: &'c C,
}

impl<'c, C> Replayed<'c, C> {
    pub(super) fn new(kept: SpooledContent, client: &'c C) -> Self {
        Self { kept, client }
    }

    /// The part of it that has not been read.
    pub(super) fn into_rest(self) -> SpooledContent {
        self.kept
    }
}

impl<C: ReadContent> ReadContent for Replayed<'_, C> {
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        self.kept.read(into).await
    }

    async fn client_gone(&self) {
        self.client.client_gone().await;
    }
}

/// The rest of a response's content.
pub(super) struct UpstreamContent {
    /// `None` after its end.
    conversation: Option<Conversation>,
    /// The part of the request's content that the application server has not got.
    rest: SpooledContent,
    /// The script's name in the log, and the application server's.
    upstream: String,
}

impl UpstreamContent {
    pub(super) fn new(conversation: Conversation, rest: SpooledContent, upstream: String) -> Self {
        Self {
            conversation: Some(conversation),
            rest,
            upstream,
        }
    }
}

impl ContentSource for UpstreamContent {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async move {
            let Some(conversation) = &mut self.conversation else {
                return Ok(false);
            };
            let next = conversation.next(&mut self.rest, into).await;
            let broken_off = |failure: Failure| {
                BrokenOff(format!(
                    "{}: {}",
                    self.upstream,
                    diagnostic::chain(&failure)
                ))
            };
            let goes_on = next.map_err(broken_off)?;
            if !goes_on {
                // Closes the connection, so that the process behind it is free for other requests.
                self.conversation = None;
            }
            Ok(goes_on)
        })
    }

    /// Lets the script run to its end, within the timeout.
    fn discard(self: Box<Self>) {
        if let Some(conversation) = &self.conversation {
            let limit = conversation.timeout();
            drain(*self, limit);
        }
    }
}
