//! The reactor: who waits for which socket or moment, and who may go on.
//!
//! Readiness is edge-triggered: the system tells once that a socket *became* ready. So a source
//! remembers what it was told until somebody uses it, and users try the system call first and wait
//! only when it would block (see `mio::Poll`, "Draining readiness").

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use slab::Slab;

use super::timer::{Tick, Wheel};

/// The token of wake-ups from other threads; no source has it.
pub(super) const WAKE: Token = Token(usize::MAX);

/// A deadline passed before what was waited for happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub(crate) struct Elapsed;

/// What a task waits for at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What a source's task is waiting for, if anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    For(Direction),
    /// For either direction.
    Any,
    /// For its deadline alone: a sleeper.
    Time,
}

/// A socket or a sleeper. It belongs to one task at a time, hence the single waker.
struct Source {
    /// Tells it from those that had its key before.
    generation: u32,
    waker: Option<Waker>,
    deadline: Tick,
    waiting: Waiting,
    /// It became readable, and nobody has used that yet.
    readable: bool,
    writable: bool,
    /// The peer has sent its last byte. Stays: no further edge will tell of it.
    read_closed: bool,
}

pub(super) struct Reactor {
    registry: mio::Registry,
    sources: Slab<Source>,
    wheel: Wheel,
    /// The tick of the current turn.
    now: Tick,
    /// Sources so far.
    generation: u32,
}

/// What an event says of whom it is for: the key, and the generation of the source.
///
/// A descriptor that is closed is forgotten by the system when its last copy is; and a program that
/// is being started has a copy of every one, until it takes its own shape. What is heard of such a
/// descriptor meanwhile must not be taken for news of the source that has its key now.
fn token(key: usize, generation: u32) -> Token {
    Token(key | (generation as usize) << KEY_BITS)
}

/// Keys fit a [`Registration`](super::net::Registration)'s.
const KEY_BITS: u32 = 31;
const _: () = assert!(usize::BITS == 64, "a token has room for key and generation");

impl Reactor {
    pub(super) fn new(registry: mio::Registry) -> Self {
        Self {
            registry,
            sources: Slab::new(),
            wheel: Wheel::new(),
            now: Tick::at(Duration::ZERO),
            generation: 0,
        }
    }

    /// Makes room for a source that has no descriptor yet, and tells its key.
    pub(super) fn insert(&mut self) -> usize {
        self.generation = self.generation.wrapping_add(1);
        self.sources.insert(Source {
            generation: self.generation,
            waker: None,
            deadline: Tick::NEVER,
            waiting: Waiting::Nothing,
            readable: false,
            writable: false,
            read_closed: false,
        })
    }

    /// Has the system tell about `fd` from now on. If it is ready already, it tells at once.
    ///
    /// Interest in writing comes with the first write that blocks: nearly every socket is writable
    /// when it is new, and would be reported for that alone.
    pub(super) fn register(
        &self,
        key: usize,
        fd: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<()> {
        self.registry.register(
            &mut SourceFd(&fd.as_raw_fd()),
            self.token(key),
            interest(direction),
        )
    }

    /// Widens the interest of a registered `fd` to writing.
    pub(super) fn widen(&self, key: usize, fd: BorrowedFd<'_>) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .reregister(&mut SourceFd(&fd.as_raw_fd()), self.token(key), both)
    }

    fn token(&self, key: usize) -> Token {
        token(key, self.sources[key].generation)
    }

    /// For a descriptor that outlives its source; one that is closed is forgotten by the system.
    pub(super) fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&fd.as_raw_fd()))
    }

    /// Forgets a source; the waker comes back, to be dropped when the reactor is not borrowed.
    pub(super) fn remove(&mut self, key: usize) -> Option<Waker> {
        self.sources.try_remove(key).and_then(|source| source.waker)
    }

    /// Whether the peer has ended its side, as far as the system has told.
    pub(super) fn is_read_closed(&self, key: usize) -> bool {
        self.sources
            .get(key)
            .is_some_and(|source| source.read_closed)
    }

    /// Waits for readiness in `direction`, or for `deadline`.
    ///
    /// Readiness is used up by being reported: the caller then tries its system call.
    pub(super) fn poll_ready(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        direction: Direction,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        let source = &mut self.sources[key];
        let ready = match direction {
            Direction::Read => &mut source.readable,
            Direction::Write => &mut source.writable,
        };
        if std::mem::take(ready) {
            source.settle();
            return Poll::Ready(Ok(()));
        }
        self.poll_deadline(key, context, Waiting::For(direction), deadline)
            .map(Err)
    }

    /// [`poll_ready`](Self::poll_ready) in either direction. Readiness in both is used up: the caller
    /// then tries its system calls both ways.
    pub(super) fn poll_ready_any(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        let source = &mut self.sources[key];
        let is_readable = std::mem::take(&mut source.readable);
        if std::mem::take(&mut source.writable) || is_readable {
            source.settle();
            return Poll::Ready(Ok(()));
        }
        self.poll_deadline(key, context, Waiting::Any, deadline)
            .map(Err)
    }

    /// Waits for `deadline` alone.
    pub(super) fn poll_sleep(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<()> {
        self.poll_deadline(key, context, Waiting::Time, deadline)
            .map(|Elapsed| ())
    }

    fn poll_deadline(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        waiting: Waiting,
        deadline: Tick,
    ) -> Poll<Elapsed> {
        let source = &mut self.sources[key];
        if deadline <= self.now {
            source.settle();
            return Poll::Ready(Elapsed);
        }
        if !source
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            source.waker = Some(context.waker().clone());
        }
        source.waiting = waiting;
        source.deadline = deadline;
        if deadline != Tick::NEVER {
            self.wheel.arm(key, deadline);
        }
        Poll::Pending
    }

    /// Takes note of an event, and wakes the task that waits for it.
    pub(super) fn dispatch(&mut self, event: &mio::event::Event) {
        let key = event.token().0 & ((1 << KEY_BITS) - 1);
        let Some(source) = self.sources.get_mut(key) else {
            return;
        };
        if token(key, source.generation) != event.token() {
            return;
        }
        let broken = event.is_error();
        source.readable |= event.is_readable() || event.is_read_closed() || broken;
        source.writable |= event.is_writable() || event.is_write_closed() || broken;
        source.read_closed |= event.is_read_closed() || broken;
        let concerned = match source.waiting {
            Waiting::For(Direction::Read) => source.readable,
            Waiting::For(Direction::Write) => source.writable,
            Waiting::Any => source.readable || source.writable,
            Waiting::Nothing | Waiting::Time => false,
        };
        if concerned {
            source.wake();
        }
    }

    /// Wakes whoever's deadline has passed.
    pub(super) fn expire(&mut self, now: Tick) {
        self.now = now;
        let sources = &mut self.sources;
        self.wheel.expire(now, |key| {
            let source = sources.get_mut(key)?;
            if source.waiting == Waiting::Nothing || source.deadline == Tick::NEVER {
                return None;
            }
            if source.deadline > now {
                return Some(source.deadline);
            }
            source.wake();
            None
        });
    }

    /// The latest moment, after the start, at which [`expire`](Self::expire) must be called again.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.wheel.next().map(Tick::since_start)
    }

    /// Has every waiting task look around: something they all depend on has changed.
    pub(super) fn wake_all(&self) {
        for (_, source) in &self.sources {
            source.wake();
        }
    }

    /// Takes every waker out: of all tasks that wait for anything.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        self.sources
            .iter_mut()
            .filter_map(|(_, source)| source.waker.take())
            .collect()
    }
}

impl Source {
    /// The task goes on: nothing is waited for any more.
    fn settle(&mut self) {
        self.waiting = Waiting::Nothing;
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

fn interest(direction: Direction) -> Interest {
    match direction {
        Direction::Read => Interest::READABLE,
        Direction::Write => Interest::WRITABLE,
    }
}
