//! A block of a file that is read in blocks, because it may be larger than what memory should hold.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{self, BlockingError, BlockingPool};

/// Octets read from a file at once.
const BLOCK: u64 = 64 * 1024;

/// The time between two tries to hand a block to a pool that is busy.
pub(super) const RETRY: Duration = Duration::from_millis(50);

/// How often a block is tried to be read: for half a minute. Threads that are stuck on a dead disk may stay so.
const MAX_TRIES: u32 = 600;

/// Has the pool read the first block of `part` of `file`, and returns it: all of `part` if that is no more.
///
/// Tries again for half a minute where the pool is busy: the file holds content of an exchange that is under way, which
/// would have to be cut for the sake of a moment.
///
/// # Errors
/// If the file cannot be read, or ends before its part, or if the pool stays busy.
///
/// # Cancellation
/// Nothing is lost: the caller asks for the same part again.
pub(super) async fn read_block(
    file: &Arc<File>,
    part: &Range<u64>,
    disk: &BlockingPool,
) -> io::Result<Vec<u8>> {
    let start = part.start;
    let length = (part.end - start).min(BLOCK) as usize;
    for _ in 0..MAX_TRIES {
        let file = Arc::clone(file);
        let read = move || {
            let mut block = vec![0; length];
            file.read_exact_at(&mut block, start)?;
            Ok(block)
        };
        match disk.run(read).await {
            Ok(block) => return block,
            Err(BlockingError::Saturated | BlockingError::NoThread) => runtime::sleep(RETRY).await,
            Err(panicked) => return Err(io::Error::other(panicked)),
        }
    }
    Err(io::Error::other("the threads for the disk are busy"))
}
