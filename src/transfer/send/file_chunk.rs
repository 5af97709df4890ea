//! A file is sent in chunks. Before a chunk is sent, it is made sure that it is in memory: a system call
//! that sends it would wait for the disk otherwise, and with it every other connection of the worker.

use rustix::io::{Errno, ReadWriteFlags};

use crate::message::content::FileRange;
use crate::runtime::BlockingPool;

/// Octets of a chunk: as much as the socket of a client that reads fast takes at once.
const CHUNK: u64 = 2 * 1024 * 1024;

/// The end of the next chunk of `range`.
pub(super) fn chunk_end(range: &FileRange) -> u64 {
    range.end.min(range.start + CHUNK)
}

/// Whether the next chunk of `range` can be sent without waiting for a disk, as far as a look at
/// its first and its last octet tells: the kernel reads ahead and evicts in runs.
pub(super) fn is_in_memory(range: &FileRange) -> bool {
    let last = chunk_end(range) - 1;
    [range.start, last].into_iter().all(|offset| {
        let mut octet = [0];
        let mut pieces = [std::io::IoSliceMut::new(&mut octet)];
        let read = rustix::io::preadv2(&*range.file, &mut pieces, offset, ReadWriteFlags::NOWAIT);
        // Where the file system cannot tell, sending finds out.
        !matches!(read, Err(Errno::AGAIN))
    })
}

/// Has the blocking pool read the next chunk of `range` into memory. If it cannot, sending waits for
/// the disk itself: slower for every connection, but no response is lost.
pub(super) async fn warm(range: FileRange, pool: &BlockingPool) {
    let Ok(file) = range.file.try_clone() else {
        return;
    };
    let end = chunk_end(&range);
    let read = move || {
        let mut scratch = vec![0; 64 * 1024];
        let mut offset = range.start;
        while offset < end {
            match rustix::io::pread(&file, &mut scratch, offset) {
                Ok(0) | Err(_) => break,
                Ok(count) => offset += count as u64,
            }
        }
    };
    let _ = pool.run(read).await;
}
