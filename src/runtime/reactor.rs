//! The reactor: which task waits for which socket or moment, and which task is woken.
//!
//! Readiness is edge-triggered: the system reports once that a socket *became* ready. So a source
//! remembers the report until a wait uses it, and callers try the system call first and wait only when
//! it would block (see `mio::Poll`, "Draining readiness").
//!
//! A source has two interests, reading and writing, each with its own task and deadline. Most sources
//! are idle connections, which wait to read; so the wait for reading stands in the source, and a wait
//! for writing stands in a table beside the sources, for as long as it lasts.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use slab::Slab;

use super::idle::{IdleSources, Oldest};
use super::timer::{Tick, Wheel};

/// The token of wake-ups from other threads. No source has this token.
pub(super) const WAKE: Token = Token(usize::MAX);

/// The deadline passed before the awaited event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub(crate) struct Elapsed;

impl Elapsed {
    /// The error of a wait that has no deadline: such a wait ends so only if the system does not watch the descriptor.
    /// A caller that tried again, and waited again, would do so without an end.
    pub(crate) fn of_unwatched(self) -> io::Error {
        io::Error::other(
            "the system does not watch the descriptor: it has no memory for that, or the user watches as many as \
             fs.epoll.max_user_watches allows",
        )
    }
}

/// The direction in which a task waits for a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The events that tasks wait for at a source, as a set of bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Awaited(u8);

impl Awaited {
    const NOTHING: Self = Self(0);
    /// Something to read.
    const READABLE: Self = Self(1);
    /// The end of the peer's side.
    const READ_CLOSED: Self = Self(1 << 1);
    /// Room to write. The waiting task stands in [`Reactor::writers`].
    const WRITABLE: Self = Self(1 << 2);
    /// Something to read, by a task that can do without: see [`Reactor::poll_idle`].
    const IDLE: Self = Self(1 << 3);
    /// The task that is idle is to give up.
    const GIVEN_UP: Self = Self(1 << 4);

    fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// A socket or a sleeper. A worker holds one for each idle connection, so its size matters.
struct Source {
    /// Distinguishes this source from earlier ones with the same key.
    generation: u32,
    awaited: Awaited,
    /// The source became readable, and no wait has reported that yet.
    readable: bool,
    /// The same for writing.
    writable: bool,
    /// The peer has sent its last byte. Never reset, because the system reports this only once.
    read_closed: bool,
    /// The task that waits to read, for the peer's end, or for a moment. Kept when the wait is over,
    /// because the same task nearly always waits next.
    reader: Option<Waker>,
    /// The latest moment at which `reader` is woken.
    deadline: Tick,
}

impl Source {
    /// Whether its task can do without it, and has not been told to give up.
    fn is_idle(&self) -> bool {
        self.awaited.contains(Awaited::IDLE) && !self.awaited.contains(Awaited::GIVEN_UP)
    }
}

/// How a wait that could be given up has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    Readable,
    /// The deadline passed before there was something to read.
    TimedOut,
    /// Another one is to have the place.
    GivenUp,
}

/// A task that waits for room to write.
struct Writer {
    waker: Waker,
    deadline: Tick,
}

/// The sources of one loop, and the tasks that wait for them.
pub(super) struct Reactor {
    registry: mio::Registry,
    sources: Slab<Source>,
    /// The tasks that wait to write, by the key of the source. There is one for each source that
    /// awaits [`Awaited::WRITABLE`].
    writers: HashMap<usize, Writer>,
    /// Has an entry for each source with a deadline, at or before the earlier of its two deadlines.
    wheel: Wheel,
    /// The tick of the current turn.
    now: Tick,
    /// The sources that are idle, and since when.
    idle: IdleSources,
    /// The number of sources made so far, wrapping.
    generation: u32,
    /// Whether a task may have received octets that are younger than the events of this turn. The events then
    /// miss what came to other sources before those octets.
    is_overtaken: bool,
}

/// The token that the system returns with each event of a source: its key and its generation.
///
/// The system forgets a closed descriptor only when the last copy of it is closed, and a child process
/// has a copy of every descriptor between `fork` and `exec`. An event of a closed descriptor that comes
/// in that time must not be taken for an event of the source that has the same key now.
fn token(key: usize, generation: u32) -> Token {
    Token(key | (generation as usize) << KEY_BITS)
}

/// The bits of a key. A [`Registration`](super::net::Registration) has room for as many.
const KEY_BITS: u32 = 31;
const _: () = assert!(usize::BITS == 64, "a token has room for key and generation");

impl Reactor {
    /// A reactor without sources that registers descriptors with `registry`.
    pub(super) fn new(registry: mio::Registry) -> Self {
        Self {
            registry,
            sources: Slab::new(),
            writers: HashMap::new(),
            wheel: Wheel::new(),
            now: Tick::at(Duration::ZERO),
            idle: IdleSources::default(),
            generation: 0,
            is_overtaken: false,
        }
    }

    /// Adds a source that has no descriptor yet, and returns its key.
    pub(super) fn insert(&mut self) -> usize {
        self.generation = self.generation.wrapping_add(1);
        let key = self.sources.insert(Source {
            generation: self.generation,
            awaited: Awaited::NOTHING,
            readable: false,
            writable: false,
            read_closed: false,
            reader: None,
            deadline: Tick::NEVER,
        });
        self.idle.make_room_for(key);
        key
    }

    /// Has the system report events of `fd` from now on. If `fd` is ready already, the system reports
    /// that at once.
    ///
    /// Interest in writing is added with the first write that blocks: nearly every new socket is
    /// writable, and the system would report each one for that alone.
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

    /// Has the system report when a registered `fd` becomes writable, too.
    pub(super) fn widen(&self, key: usize, fd: BorrowedFd<'_>) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .reregister(&mut SourceFd(&fd.as_raw_fd()), self.token(key), both)
    }

    fn token(&self, key: usize) -> Token {
        token(key, self.sources[key].generation)
    }

    /// Ends the reports about `fd`. Needed only for a descriptor that outlives its source, because the
    /// system forgets a descriptor that is closed.
    pub(super) fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&fd.as_raw_fd()))
    }

    /// Removes a source, and returns its wakers. The caller must drop them when the reactor is not
    /// borrowed.
    pub(super) fn remove(&mut self, key: usize) -> [Option<Waker>; 2] {
        let Some(source) = self.sources.try_remove(key) else {
            return [None, None];
        };
        let writer = source
            .awaited
            .contains(Awaited::WRITABLE)
            .then(|| self.writers.remove(&key))
            .flatten();
        [source.reader, writer.map(|writer| writer.waker)]
    }

    /// Whether the system has reported that the peer ended its side.
    pub(super) fn is_read_closed(&self, key: usize) -> bool {
        self.sources
            .get(key)
            .is_some_and(|source| source.read_closed)
    }

    /// Whether the peer has sent nothing, and has not ended its side, since the last wait to read ended. Returns
    /// `false` also if the reactor cannot know: in a turn that is overtaken.
    ///
    /// If this is `true`, the peer had sent nothing when the octets came that the running task has received.
    pub(super) fn is_quiet(&self, key: usize) -> bool {
        !self.is_overtaken
            && self
                .sources
                .get(key)
                .is_some_and(|source| !source.readable && !source.read_closed)
    }

    /// Begins a turn, whose events are dispatched next. `has_all_events` tells that the system has no more
    /// of them.
    pub(super) fn begin_turn(&mut self, has_all_events: bool) {
        self.is_overtaken = !has_all_events;
    }

    /// Takes note that a task receives octets that no event of this turn has reported.
    pub(super) fn overtake(&mut self) {
        self.is_overtaken = true;
    }

    /// Waits for readiness in `direction`, or for `deadline`. The same task or another one may wait for
    /// the other direction at the same time.
    ///
    /// A report of readiness uses it up: the caller then tries its system call.
    pub(super) fn poll_ready(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        direction: Direction,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        match direction {
            Direction::Read => self.poll_readable(key, context, deadline),
            Direction::Write => self.poll_writable(key, context, deadline),
        }
    }

    fn poll_readable(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        let source = &mut self.sources[key];
        if std::mem::take(&mut source.readable) {
            // No task waited for the event, so a task may have read its octets before; others may have come since.
            self.is_overtaken |= !source.awaited.contains(Awaited::READABLE);
            source.stop_reading();
            return Poll::Ready(Ok(()));
        }
        if deadline <= self.now {
            source.stop_reading();
            return Poll::Ready(Err(Elapsed));
        }
        source.awaited.insert(Awaited::READABLE);
        source.set_reader(context);
        source.deadline = deadline;
        self.arm(key, deadline);
        Poll::Pending
    }

    /// As [`poll_ready`](Self::poll_ready) for reading, for a task that can do without the source: it may
    /// be told to give up, so that another one gets its place. The one that waits longest is told first.
    pub(super) fn poll_idle(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Idle> {
        let source = &mut self.sources[key];
        if source.awaited.contains(Awaited::GIVEN_UP) {
            source.stop_reading();
            return Poll::Ready(Idle::GivenUp);
        }
        let was_idle = source.awaited.contains(Awaited::IDLE);
        match self.poll_readable(key, context, deadline) {
            Poll::Ready(Ok(())) => Poll::Ready(Idle::Readable),
            Poll::Ready(Err(Elapsed)) => Poll::Ready(Idle::TimedOut),
            Poll::Pending => {
                if !was_idle {
                    self.sources[key].awaited.insert(Awaited::IDLE);
                    self.idle.begin(key);
                }
                Poll::Pending
            }
        }
    }

    fn oldest(&mut self) -> Option<Oldest> {
        let sources = &self.sources;
        let is_idle = |key| sources.get(key).is_some_and(Source::is_idle);
        self.idle
            .oldest(sources.iter().map(|(key, _)| key), is_idle)
    }

    /// How many sources are idle.
    pub(super) fn count_idle(&self) -> usize {
        let sources = self.sources.iter();
        sources.filter(|(_, source)| source.is_idle()).count()
    }

    /// Since when the source that has been idle longest is so, counted from the runtime's start.
    pub(super) fn oldest_idle(&mut self) -> Option<Duration> {
        self.oldest().map(|oldest| oldest.since)
    }

    /// Tells the task of the source that has been idle longest to give up. Returns whether there was one.
    pub(super) fn give_up_oldest_idle(&mut self) -> bool {
        let Some(Oldest { key, .. }) = self.oldest() else {
            return false;
        };
        let source = &mut self.sources[key];
        source.awaited.insert(Awaited::GIVEN_UP);
        source.wake_reader();
        true
    }

    fn poll_writable(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        let source = &mut self.sources[key];
        let is_writable = std::mem::take(&mut source.writable);
        if is_writable || deadline <= self.now {
            if source.awaited.contains(Awaited::WRITABLE) {
                source.awaited.remove(Awaited::WRITABLE);
                self.writers.remove(&key);
            }
            return Poll::Ready(if is_writable { Ok(()) } else { Err(Elapsed) });
        }
        source.awaited.insert(Awaited::WRITABLE);
        let waker = context.waker().clone();
        self.writers.insert(key, Writer { waker, deadline });
        self.arm(key, deadline);
        Poll::Pending
    }

    /// Waits until the peer has ended its side. Uses no readiness up:
    /// [`poll_ready`](Self::poll_ready) reports it, and the same task may wait for both at once.
    pub(super) fn poll_read_closed(&mut self, key: usize, context: &mut Context<'_>) -> Poll<()> {
        let source = &mut self.sources[key];
        if source.read_closed {
            source.awaited.remove(Awaited::READ_CLOSED);
            return Poll::Ready(());
        }
        source.awaited.insert(Awaited::READ_CLOSED);
        source.set_reader(context);
        Poll::Pending
    }

    /// Waits until `deadline`.
    pub(super) fn poll_sleep(
        &mut self,
        key: usize,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<()> {
        let source = &mut self.sources[key];
        if deadline <= self.now {
            source.stop_reading();
            return Poll::Ready(());
        }
        source.set_reader(context);
        source.deadline = deadline;
        self.arm(key, deadline);
        Poll::Pending
    }

    fn arm(&mut self, key: usize, deadline: Tick) {
        if deadline != Tick::NEVER {
            self.wheel.arm(key, deadline);
        }
    }

    /// Stores an event in its source, and wakes the tasks that wait for it.
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
        let awaited = source.awaited;
        if source.readable && awaited.contains(Awaited::READABLE)
            || source.read_closed && awaited.contains(Awaited::READ_CLOSED)
        {
            source.wake_reader();
        }
        if source.writable && awaited.contains(Awaited::WRITABLE) {
            source.wake_writer(key, &mut self.writers);
        }
    }

    /// Wakes the tasks whose deadline has passed.
    ///
    /// The current turn began at tick `now`, so long after the runtime's start.
    pub(super) fn expire(&mut self, now: Tick, since_start: Duration) {
        self.now = now;
        self.idle.now = since_start;
        let (sources, writers) = (&mut self.sources, &mut self.writers);
        self.wheel.expire(now, |key| {
            let source = sources.get_mut(key)?;
            let next = source.expire(key, writers, now);
            (next != Tick::NEVER).then_some(next)
        });
    }

    /// The time after the runtime's start by which the caller must call [`expire`](Self::expire) again.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.wheel.next().map(Tick::since_start)
    }

    /// Wakes every waiting task, because something that all of them depend on has changed.
    pub(super) fn wake_all(&self) {
        for (_, source) in &self.sources {
            source.wake_reader();
        }
        for writer in self.writers.values() {
            writer.waker.wake_by_ref();
        }
    }

    /// Removes and returns the wakers of all waiting tasks.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        let writers = self.writers.drain().map(|(_, writer)| writer.waker);
        let readers = self.sources.iter_mut();
        readers
            .filter_map(|(_, source)| source.reader.take())
            .chain(writers)
            .collect()
    }
}

impl Source {
    /// Makes the task of `context` the one that the reading interest wakes.
    fn set_reader(&mut self, context: &Context<'_>) {
        let is_known = |waker: &Waker| waker.will_wake(context.waker());
        if !self.reader.as_ref().is_some_and(is_known) {
            self.reader = Some(context.waker().clone());
        }
    }

    /// Ends the wait to read or for a moment. A wait for the peer's end goes on.
    fn stop_reading(&mut self) {
        self.awaited.remove(Awaited::READABLE);
        self.awaited.remove(Awaited::IDLE);
        self.awaited.remove(Awaited::GIVEN_UP);
        self.deadline = Tick::NEVER;
    }

    /// Wakes the tasks whose deadline has passed, and returns the next deadline, if there is one.
    fn expire(&mut self, key: usize, writers: &mut HashMap<usize, Writer>, now: Tick) -> Tick {
        if self.deadline <= now {
            self.deadline = Tick::NEVER;
            self.wake_reader();
        }
        if !self.awaited.contains(Awaited::WRITABLE) {
            return self.deadline;
        }
        match writers.get(&key) {
            Some(writer) if writer.deadline > now => self.deadline.min(writer.deadline),
            _ => {
                self.wake_writer(key, writers);
                self.deadline
            }
        }
    }

    fn wake_reader(&self) {
        if let Some(waker) = &self.reader {
            waker.wake_by_ref();
        }
    }

    /// Wakes the task that waits to write. If it cannot write after all, it waits again.
    fn wake_writer(&mut self, key: usize, writers: &mut HashMap<usize, Writer>) {
        self.awaited.remove(Awaited::WRITABLE);
        if let Some(writer) = writers.remove(&key) {
            writer.waker.wake();
        }
    }
}

fn interest(direction: Direction) -> Interest {
    match direction {
        Direction::Read => Interest::READABLE,
        Direction::Write => Interest::WRITABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slab's own type for a place is private; this one has the same shape.
    #[expect(dead_code, reason = "the test only measures it")]
    enum Entry {
        Vacant(usize),
        Occupied(Source),
    }

    #[test]
    fn a_source_takes_32_bytes_of_the_slab() {
        assert!(size_of::<Entry>() <= 32, "{}", size_of::<Entry>());
    }
}
