//! The content of a request, kept until all of it has come. A script or a handler that a thread
//! runs must not wait for a slow client.
//!
//! Up to [`MAX_IN_MEMORY`] octets are kept in memory. More goes to a temporary file without a name,
//! so that nothing is left behind, whatever happens.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::mem::take;
use std::sync::Arc;

use crate::message::content::{ContentError, ReadContent};
use crate::runtime::descriptors::note_shortage;
use crate::runtime::{BlockingError, BlockingPool};

/// Octets of content that are kept in memory, and that are written to the file at once: what most
/// forms have. Thousands of slow clients may send content at the same time.
const MAX_IN_MEMORY: usize = 16 * 1024;

/// Content that has all come.
#[derive(Debug)]
pub(crate) enum Spooled {
    Memory(Vec<u8>),
    /// Positioned at its start.
    File {
        file: File,
        length: u64,
    },
}

impl Spooled {
    /// How many octets it has.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(octets) => octets.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Reads `content` to its end. The `disk` pool writes the file.
    ///
    /// # Errors
    /// If the content cannot be read, or cannot be kept.
    pub(crate) async fn read(
        content: &mut impl ReadContent,
        disk: &Arc<BlockingPool>,
    ) -> Result<Self, ContentError> {
        let mut block = Vec::new();
        let mut spooled: Option<(File, u64)> = None;
        while content.read(&mut block).await? {
            if block.len() >= MAX_IN_MEMORY {
                spooled = Some(spool(spooled, take(&mut block), disk).await?);
            }
        }
        if spooled.is_none() {
            return Ok(Self::Memory(block));
        }
        let (mut file, length) = spool(spooled, block, disk).await?;
        file.rewind().map_err(ContentError::NotKept)?;
        Ok(Self::File { file, length })
    }
}

/// Appends `block` to the temporary file, and makes the file for the first block.
async fn spool(
    spooled: Option<(File, u64)>,
    block: Vec<u8>,
    disk: &Arc<BlockingPool>,
) -> Result<(File, u64), ContentError> {
    let write = move || -> io::Result<(File, u64)> {
        let (mut file, length) = match spooled {
            Some(spooled) => spooled,
            None => (tempfile::tempfile()?, 0),
        };
        file.write_all(&block)?;
        Ok((file, length + block.len() as u64))
    };
    let written = disk.run(write).await.map_err(|error| match error {
        BlockingError::Saturated | BlockingError::NoThread => ContentError::NoThread(error),
        error => ContentError::NotKept(io::Error::other(error)),
    });
    written?.map_err(|error| {
        note_shortage(&error);
        ContentError::NotKept(error)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::mpsc;
    use std::task::{Context, Poll};

    use super::*;
    use crate::runtime;

    /// Content of this many further blocks of 8,000 octets.
    struct Blocks(u8);

    impl ReadContent for Blocks {
        async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
            let Some(rest) = self.0.checked_sub(1) else {
                return Ok(false);
            };
            into.resize(into.len() + 8_000, self.0);
            self.0 = rest;
            Ok(true)
        }

        fn poll_client_gone(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    fn read(blocks: u8, disk: Arc<BlockingPool>) -> Result<Spooled, ContentError> {
        let read = async move { Spooled::read(&mut Blocks(blocks), &disk).await };
        runtime::run(read).expect("a loop")
    }

    #[test]
    fn keeps_little_in_memory_and_much_in_a_file() {
        for (blocks, is_in_file) in [(0, false), (2, false), (3, true), (7, true)] {
            let spooled = read(blocks, BlockingPool::new(1, 1)).expect("there is a disk");
            let expected: Vec<u8> = (1..=blocks).rev().flat_map(|b| vec![b; 8_000]).collect();
            assert_eq!(spooled.length(), expected.len() as u64);
            let (octets, was_in_file) = match spooled {
                Spooled::Memory(octets) => (octets, false),
                Spooled::File { mut file, .. } => {
                    let mut octets = Vec::new();
                    file.read_to_end(&mut octets).expect("it can be read");
                    (octets, true)
                }
            };
            assert!(octets == expected, "{blocks} blocks");
            assert_eq!(was_in_file, is_in_file, "{blocks} blocks");
        }
    }

    #[test]
    fn is_busy_where_the_disk_is_and_needs_no_disk_for_little() {
        let disk = BlockingPool::new(1, 0);
        let (go, gate) = mpsc::channel::<()>();
        let job = disk.begin(move || {
            let _ = gate.recv();
        });
        assert!(read(2, Arc::clone(&disk)).is_ok());
        let refused = read(3, disk);
        assert!(
            matches!(
                refused,
                Err(ContentError::NoThread(BlockingError::Saturated))
            ),
            "{refused:?}"
        );
        drop((go, job));
    }
}
