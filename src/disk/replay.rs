//! Content of a request that was spooled, read again: for an upstream, and for the next one if the first
//! fails.

use std::fs::File;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::block::read_block;
use super::spool::Spooled;
use crate::message::content::{ContentError, ReadContent};
use crate::runtime::BlockingPool;

/// Content of a request that was spooled, to be read again.
pub(crate) struct SpooledContent {
    /// What is in memory, if there is anything; otherwise it is in the file.
    octets: Option<Rc<[u8]>>,
    /// Whether `octets` have been read.
    is_begun: bool,
    file: Option<Box<SpooledFile>>,
}

/// Content in a temporary file, shared with the thread that reads it.
struct SpooledFile {
    file: Arc<File>,
    length: u64,
    /// The range of octets that has not been read.
    left: Range<u64>,
    disk: Arc<BlockingPool>,
}

impl SpooledContent {
    pub(crate) fn new(content: Spooled, disk: &Arc<BlockingPool>) -> Self {
        let (octets, file) = match content {
            Spooled::Memory(octets) => (octets, None),
            Spooled::File { file, length } => {
                let file = SpooledFile {
                    file: Arc::new(file),
                    length,
                    left: 0..length,
                    disk: Arc::clone(disk),
                };
                (Vec::new(), Some(Box::new(file)))
            }
        };
        Self {
            octets: (!octets.is_empty()).then(|| octets.into()),
            is_begun: false,
            file,
        }
    }

    /// Whether there is content that has not been read.
    pub(crate) fn has_more(&self) -> bool {
        let is_in_file = |kept: &SpooledFile| !kept.left.is_empty();
        let is_in_memory = !self.is_begun && self.octets.is_some();
        is_in_memory || self.file.as_deref().is_some_and(is_in_file)
    }

    /// This content, from its start.
    pub(crate) fn again(&self) -> Self {
        let from_start = |kept: &SpooledFile| {
            Box::new(SpooledFile {
                file: Arc::clone(&kept.file),
                length: kept.length,
                left: 0..kept.length,
                disk: Arc::clone(&kept.disk),
            })
        };
        Self {
            octets: self.octets.clone(),
            is_begun: false,
            file: self.file.as_deref().map(from_start),
        }
    }

    /// No content.
    pub(crate) fn nothing() -> Self {
        Self {
            octets: None,
            is_begun: false,
            file: None,
        }
    }
}

impl ReadContent for SpooledContent {
    /// # Cancellation
    /// A block whose reading was cancelled is read again.
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        let SpooledFile {
            file, left, disk, ..
        } = match &mut self.file {
            Some(kept) if !kept.left.is_empty() => &mut **kept,
            _ => {
                let unread = self.octets.as_deref().filter(|_| !self.is_begun);
                into.extend_from_slice(unread.unwrap_or_default());
                let has_some = unread.is_some();
                self.is_begun = true;
                return Ok(has_some);
            }
        };
        let block = read_block(file, left, disk).await;
        let mut block = block.map_err(ContentError::NotKept)?;
        left.start += block.len() as u64;
        into.append(&mut block);
        Ok(true)
    }

    /// The client has sent all of it, and is not watched.
    fn poll_client_gone(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Content that was spooled, of a client that waits for the response.
pub(crate) struct Replayed<'c, C> {
    kept: SpooledContent,
    client: &'c C,
}

impl<'c, C> Replayed<'c, C> {
    pub(crate) fn new(kept: SpooledContent, client: &'c C) -> Self {
        Self { kept, client }
    }

    /// The part of it that has not been read.
    pub(crate) fn into_rest(self) -> SpooledContent {
        self.kept
    }
}

impl<C: ReadContent> ReadContent for Replayed<'_, C> {
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        self.kept.read(into).await
    }

    fn poll_client_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.client.poll_client_gone(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::{self, Either, either};

    #[test]
    fn waits_for_a_busy_disk() {
        let test = async {
            let disk = BlockingPool::new(1, 0);
            let (file, length) = (tempfile::tempfile().expect("a file"), 100_000);
            file.set_len(length).expect("there is room");
            let mut content = SpooledContent::new(Spooled::File { file, length }, &disk);
            let (go, gate) = mpsc::channel::<()>();
            let job = disk.begin(move || {
                let _ = gate.recv();
            });
            let mut octets = Vec::new();
            let waits = either(content.read(&mut octets), ready(())).await;
            assert!(matches!(waits, Either::Second(())), "it gave up");
            drop(go);
            while content.has_more() {
                content.read(&mut octets).await.expect("it can be read");
            }
            assert_eq!(octets.len() as u64, length);
            drop(job);
        };
        runtime::run(test).expect("a loop");
    }
}
