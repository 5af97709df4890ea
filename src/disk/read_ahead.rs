//! The content of a response, taken from its maker as fast as the maker gives it, however slowly the
//! client takes it. A slow client must not hold one of few processes.
//!
//! ```text
//! maker ─→ memory, the newest ─→ file, the oldest ─→ client     the client has fallen behind
//! maker ──────────────────────────────────────────→ client      it has not: nothing is kept
//! ```
//!
//! Up to [`MAX_IN_MEMORY`] octets and one block wait in memory. More goes to a temporary file without a
//! name, up to [`MAX_IN_FILE`] octets. Past that, and where the disk is full, the maker waits for the
//! client.

use std::fs::File;
use std::future::pending;
use std::io;
use std::mem::{swap, take};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::block::{RETRY, read_block};
use crate::log::diagnostic;
use crate::message::content::{BrokenOff, ContentSource, LocalFuture};
use crate::runtime::{self, BlockingPool, Job, Receiver, channel};

/// Octets that wait in memory: about what a process of PHP-FPM sends at once.
const MAX_IN_MEMORY: usize = 64 * 1024;

/// Octets of a response that wait in its file. nginx has the same bound (`fastcgi_max_temp_file_size`).
const MAX_IN_FILE: u64 = 1024 * 1024 * 1024;

/// Content that is read ahead of its client.
pub(crate) struct ReadAhead<S> {
    /// `None` after its end.
    source: Option<S>,
    /// The trailer section of a source that has ended.
    trailers: Vec<u8>,
    /// Why the content broke off. The client gets what there is before that.
    broken_off: Option<BrokenOff>,
    memory: Vec<u8>,
    file: Option<Arc<File>>,
    /// The part of the file that the client has not got.
    unsent: Range<u64>,
    /// A block on its way from memory to the file. It stands here and not in a future, because a wait
    /// is dropped as soon as the client takes more.
    writing: Option<Writing>,
    /// The disk takes nothing more.
    is_disk_full: bool,
    max_in_file: u64,
    disk: Arc<BlockingPool>,
}

struct Writing {
    block: Arc<Vec<u8>>,
    job: Job,
    result: Receiver<io::Result<Arc<File>>>,
}

impl<S: ContentSource> ReadAhead<S> {
    /// Content from `source`; the `disk` pool writes and reads its file.
    pub(crate) fn new(source: S, disk: &Arc<BlockingPool>) -> Self {
        Self {
            source: Some(source),
            trailers: Vec::new(),
            broken_off: None,
            memory: Vec::new(),
            file: None,
            unsent: 0..0,
            writing: None,
            is_disk_full: false,
            max_in_file: MAX_IN_FILE,
            disk: Arc::clone(disk),
        }
    }

    /// Appends the next octets to `into`, the oldest first; `false` at the end.
    async fn give(&mut self, into: &mut Vec<u8>) -> Result<bool, BrokenOff> {
        self.finish_writing().await;
        if !self.unsent.is_empty() {
            self.read_back(into).await?;
        } else if !self.memory.is_empty() {
            if into.is_empty() {
                swap(into, &mut self.memory);
            } else {
                into.append(&mut self.memory);
            }
        } else if let Some(source) = &mut self.source {
            let next = source.next(into).await;
            if !matches!(next, Ok(true)) {
                self.trailers = source.trailers();
                self.source = None;
            }
            return next;
        } else if let Some(broken_off) = self.broken_off.take() {
            return Err(broken_off);
        }
        let has_more = !self.unsent.is_empty() || !self.memory.is_empty();
        Ok(has_more || self.source.is_some() || self.broken_off.is_some())
    }

    /// Takes some octets from the source, or moves some to the file. Never ends while there is nothing
    /// to take, or no room.
    ///
    /// # Cancellation
    /// Nothing is lost: the next call goes on where this one was.
    async fn read_on(&mut self) {
        if self.memory.len() >= MAX_IN_MEMORY && self.writing.is_none() {
            if !self.has_room() {
                return pending().await;
            }
            if !self.begin_writing() {
                return runtime::sleep(RETRY).await;
            }
        }
        if self.writing.is_some() {
            return self.finish_writing().await;
        }
        let Some(source) = &mut self.source else {
            return pending().await;
        };
        match source.next(&mut self.memory).await {
            Ok(true) => return,
            Ok(false) => self.trailers = source.trailers(),
            Err(broken_off) => self.broken_off = Some(broken_off),
        }
        self.source = None;
    }

    /// Whether what is in memory can be appended to the file.
    fn has_room(&mut self) -> bool {
        if self.unsent.is_empty() {
            // The client has got all that is in the file: it is written from its start again.
            self.unsent = 0..0;
        }
        let length = self.unsent.end + self.memory.len() as u64;
        !self.is_disk_full && length <= self.max_in_file
    }

    /// Has the pool append what is in memory to the file. Returns false if the pool is busy.
    fn begin_writing(&mut self) -> bool {
        let start = self.unsent.end;
        let block = Arc::new(take(&mut self.memory));
        let (sender, result) = channel();
        let write = {
            let (file, block) = (self.file.clone(), Arc::clone(&block));
            move || sender.send(write(file, &block, start))
        };
        match self.disk.begin(write) {
            Ok(job) => {
                self.writing = Some(Writing { block, job, result });
                true
            }
            Err(_) => {
                self.memory = Arc::unwrap_or_clone(block);
                false
            }
        }
    }

    /// Waits until no block is on its way to the file.
    async fn finish_writing(&mut self) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        let written = writing.result.receive().await;
        let Some(Writing { block, job, .. }) = self.writing.take() else {
            return;
        };
        job.detach();
        match written {
            Some(Ok(file)) => {
                self.unsent.end += block.len() as u64;
                self.file = Some(file);
            }
            failed => {
                self.is_disk_full = true;
                // Nothing was taken meanwhile, so memory is empty.
                self.memory = Arc::unwrap_or_clone(block);
                report(failed.and_then(Result::err));
            }
        }
    }

    /// Appends the oldest octets of the file to `into`.
    async fn read_back(&mut self, into: &mut Vec<u8>) -> Result<(), BrokenOff> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let unreadable =
            |error| BrokenOff::Maker(format!("its temporary file cannot be read: {error}"));
        let block = read_block(file, &self.unsent, &self.disk).await;
        let mut block = block.map_err(unreadable)?;
        self.unsent.start += block.len() as u64;
        into.append(&mut block);
        Ok(())
    }
}

impl<S: ContentSource> ContentSource for ReadAhead<S> {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(self.give(into))
    }

    fn trailers(&mut self) -> Vec<u8> {
        take(&mut self.trailers)
    }

    /// Does not end: what the maker gives is no sign of the client, whose time to take something goes
    /// on.
    fn while_blocked<'s>(&'s mut self) -> LocalFuture<'s, ()> {
        Box::pin(async {
            loop {
                self.read_on().await;
            }
        })
    }

    fn discard(self: Box<Self>) {
        if let Some(source) = self.source {
            Box::new(source).discard();
        }
    }
}

/// Writes `block` at `start` of the file, which is made for the first block.
fn write(file: Option<Arc<File>>, block: &[u8], start: u64) -> io::Result<Arc<File>> {
    let file = match file {
        Some(file) => file,
        None => Arc::new(tempfile::tempfile()?),
    };
    file.write_all_at(block, start)?;
    Ok(file)
}

/// Tells the operator that a response could not be kept.
fn report(error: Option<io::Error>) {
    let why = error.map_or_else(|| "a panic".to_owned(), |error| error.to_string());
    diagnostic::warn(format_args!(
        "the content of a response cannot be kept in a temporary file: {why}; what makes it waits for \
         its client"
    ));
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::{Either, either};

    /// So many blocks of [`LENGTH`] octets, each of another kind.
    struct Blocks {
        left: u8,
        breaks_off: bool,
    }

    const LENGTH: usize = 50_000;

    impl ContentSource for Blocks {
        fn next<'s>(
            &'s mut self,
            into: &'s mut Vec<u8>,
        ) -> LocalFuture<'s, Result<bool, BrokenOff>> {
            Box::pin(async {
                let Some(left) = self.left.checked_sub(1) else {
                    let broken_off = BrokenOff::Maker("it broke off".to_owned());
                    return if self.breaks_off {
                        Err(broken_off)
                    } else {
                        Ok(false)
                    };
                };
                into.extend([self.left; LENGTH]);
                self.left = left;
                Ok(true)
            })
        }
    }

    fn ahead(left: u8, disk: &Arc<BlockingPool>) -> ReadAhead<Blocks> {
        let breaks_off = false;
        ReadAhead::new(Blocks { left, breaks_off }, disk)
    }

    fn expected(blocks: u8) -> Vec<u8> {
        (1..=blocks).rev().flat_map(|kind| [kind; LENGTH]).collect()
    }

    /// Reads what can be read without the client.
    async fn take_all(ahead: &mut ReadAhead<Blocks>) {
        while let Either::First(()) = either(ahead.read_on(), ready(())).await {}
    }

    /// What the client gets, and how it ends.
    async fn give_all(ahead: &mut ReadAhead<Blocks>) -> (Vec<u8>, Result<(), String>) {
        let mut given = Vec::new();
        loop {
            match ahead.next(&mut given).await {
                Ok(true) => {}
                Ok(false) => return (given, Ok(())),
                Err(broken_off) => return (given, Err(broken_off.to_string())),
            }
        }
    }

    fn on_a_loop<F: Future<Output = ()> + 'static>(test: F) {
        runtime::run(test).expect("a loop");
    }

    #[test]
    fn takes_all_from_its_maker_before_the_client_takes_anything() {
        on_a_loop(async {
            let disk = BlockingPool::without_threads();
            for blocks in [0, 1, 2, 3, 100] {
                let mut ahead = ahead(blocks, &disk);
                take_all(&mut ahead).await;
                assert!(ahead.source.is_none(), "{blocks} blocks");
                assert!(ahead.memory.len() < MAX_IN_MEMORY + LENGTH);
                let (given, end) = give_all(&mut ahead).await;
                assert!(given == expected(blocks) && end.is_ok(), "{blocks} blocks");
            }
        });
    }

    #[test]
    fn a_client_that_keeps_up_and_one_that_falls_behind_now_and_then_get_all_in_order() {
        on_a_loop(async {
            let disk = BlockingPool::without_threads();
            for steps in [0, 1, 3, 7] {
                let (mut ahead, mut given) = (ahead(100, &disk), Vec::new());
                while ahead.next(&mut given).await.expect("it goes on") {
                    for _ in 0..steps {
                        either(ahead.read_on(), ready(())).await;
                    }
                }
                assert!(given == expected(100), "{steps} steps");
                assert_eq!(ahead.file.is_some(), steps > 1, "{steps} steps");
            }
        });
    }

    #[test]
    fn the_maker_waits_when_the_file_is_full() {
        on_a_loop(async {
            let mut ahead = ahead(100, &BlockingPool::without_threads());
            ahead.max_in_file = 1_000_000;
            take_all(&mut ahead).await;
            let left = ahead.source.as_ref().expect("not at its end").left;
            assert_eq!(left, 100 - 22, "20 blocks in the file, 2 in memory");
            let (given, _) = give_all(&mut ahead).await;
            assert!(given == expected(100));
        });
    }

    #[test]
    fn what_there_is_comes_before_the_reason_why_it_broke_off() {
        on_a_loop(async {
            let mut ahead = ahead(3, &BlockingPool::without_threads());
            ahead.source.as_mut().expect("a source").breaks_off = true;
            take_all(&mut ahead).await;
            let (given, end) = give_all(&mut ahead).await;
            assert!(given == expected(3));
            assert_eq!(end, Err("it broke off".to_owned()));
        });
    }

    /// Takes both places of a pool that has two, until the result is dropped.
    fn keep_busy(disk: &BlockingPool) -> impl Sized {
        [(); 2].map(|()| {
            let (go, gate) = mpsc::channel::<()>();
            let job = disk.begin(move || {
                let _ = gate.recv();
            });
            (go, job.expect("a place"))
        })
    }

    #[test]
    fn a_busy_disk_and_a_wait_that_is_dropped_lose_nothing() {
        on_a_loop(async {
            let disk = BlockingPool::new(1, 1);
            let (go, gate) = mpsc::channel::<()>();
            let busy = disk.begin(move || {
                let _ = gate.recv();
            });
            let (mut one, mut other) = (ahead(9, &disk), ahead(9, &disk));
            // The first one's block is queued, and there is no place for the other one's.
            take_all(&mut one).await;
            take_all(&mut other).await;
            assert!(one.writing.is_some() && other.writing.is_none());
            drop(go);
            for ahead in [&mut one, &mut other] {
                let (given, end) = give_all(ahead).await;
                assert!(given == expected(9) && end.is_ok());
            }
            drop(busy);
        });
    }

    #[test]
    fn a_busy_disk_does_not_cut_what_is_read_from_the_file() {
        on_a_loop(async {
            let disk = BlockingPool::new(1, 1);
            let (mut ahead, mut given) = (ahead(9, &disk), Vec::new());
            while ahead.unsent.is_empty() {
                ahead.read_on().await;
            }
            let gates = keep_busy(&disk);
            let waits = either(ahead.next(&mut given), ready(())).await;
            assert!(matches!(waits, Either::Second(())), "it gave up");
            drop(gates);
            let (given, end) = give_all(&mut ahead).await;
            assert!(given == expected(9) && end.is_ok());
        });
    }
}
