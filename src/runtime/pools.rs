//! The blocking pools of a process: one for our own looks at a disk, one for compressing files, one for archives,
//! one for other people's code, one for passwords.

use std::sync::Arc;

use super::BlockingPool;

/// Threads for work that may wait. They are several pools, so that work which takes its time never
/// delays the reading of a file that is not in memory, and guessed passwords delay neither.
#[derive(Clone)]
pub(crate) struct Pools {
    /// For our own looks at a disk, which are short.
    pub(crate) disk: Arc<BlockingPool>,
    /// For compressing files, which takes a processor for long.
    pub(crate) coding: Arc<BlockingPool>,
    /// For archives of directories. Each holds its thread until its client has it all.
    pub(crate) archives: Arc<BlockingPool>,
    /// For other people's code, of the size that the operator chose.
    pub(crate) code: Arc<BlockingPool>,
    /// For the verification of passwords, which is slow on purpose.
    pub(crate) passwords: Arc<BlockingPool>,
}

impl Pools {
    /// Enough to keep the disks of one machine busy.
    const DISK_THREADS: usize = 8;
    const DISK_QUEUE: usize = 4096;
    /// Half of the processors at most, so that guessed passwords leave the others to the loops.
    const MAX_PASSWORD_THREADS: usize = 4;
    /// Verifications that may wait: more would be answered after their clients have given up.
    const PASSWORD_QUEUE: usize = 128;
    /// Files that wait to be compressed; further ones are sent as they are.
    const CODING_QUEUE: usize = 256;

    /// Archives that are sent at once; none waits for another, which may take as long as its client likes.
    const ARCHIVES: usize = 8;

    /// Half of the processors: the others are left to the workers, which answer meanwhile.
    fn coding_threads() -> usize {
        let processors = std::thread::available_parallelism();
        processors.map_or(1, |processors| processors.get().div_ceil(2))
    }

    /// Pools of which the one for code has `threads` threads and a queue of `queue` jobs.
    pub(crate) fn new(threads: usize, queue: usize) -> Self {
        Self {
            disk: BlockingPool::new(Self::DISK_THREADS, Self::DISK_QUEUE),
            coding: BlockingPool::new(Self::coding_threads(), Self::CODING_QUEUE),
            archives: BlockingPool::new(Self::ARCHIVES, 0),
            code: BlockingPool::new(threads, queue),
            passwords: BlockingPool::new(password_threads(), Self::PASSWORD_QUEUE),
        }
    }

    /// Without threads, for a loop on which nothing else is under way: whatever waits, waits there.
    pub(crate) fn without_threads() -> Self {
        Self {
            disk: BlockingPool::without_threads(),
            coding: BlockingPool::without_threads(),
            // Archives have a thread even here, because it waits for the loop. Where the client of an archive goes,
            // that thread ends a moment later; the next archive waits for it in the queue.
            archives: BlockingPool::new(1, 64),
            code: BlockingPool::without_threads(),
            passwords: BlockingPool::without_threads(),
        }
    }
}

fn password_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, Pools::MAX_PASSWORD_THREADS)
}
