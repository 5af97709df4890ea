//! The content of a request, kept until all of it is there: code that is waited for must not itself
//! wait for a slow client.
//!
//! Up to [`MAX_IN_MEMORY`] octets are kept in memory. What is larger goes to a temporary file that
//! has no name, so that nothing is left behind whatever happens.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::mem::take;
use std::sync::Arc;

use super::{ContentError, ReadContent};
use crate::runtime::BlockingPool;

/// Octets of content kept in memory, and how many go to the file at once.
const MAX_IN_MEMORY: usize = 256 * 1024;

/// Content that is all there.
#[derive(Debug)]
pub(crate) enum Buffered {
    Memory(Vec<u8>),
    /// Positioned at its start.
    File {
        file: File,
        length: u64,
    },
}

impl Buffered {
    /// Octets.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(octets) => octets.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Reads `content` to its end; the file is written to on the `disk` pool.
    ///
    /// # Errors
    /// Where the content cannot be read, or not be kept.
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

/// Appends `block` to the temporary file, which there is after the first.
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
    let written = disk.run(write).await.map_err(io::Error::other);
    written
        .and_then(|spooled| spooled)
        .map_err(ContentError::NotKept)
}
