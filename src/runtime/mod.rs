//! The event loop and its few verbs: [`spawn`], [`sleep`], sockets, the blocking pool.
//!
//! Each worker thread runs one loop. A turn of the loop waits for events, stores which sources became
//! ready, and runs the tasks that were woken. A connection is a task, and its life is straight-line
//! code. This room knows nothing of HTTP.
//!
//! ```text
//!        ┌────────────────────────────── a turn ─────────────────────────────┐
//!        wait (epoll) → read the clock → events → sources → wake ┐
//!                                        wheel  → deadlines → wake ┴→ run queue → run tasks
//! ```

#[cfg(feature = "bench-internals")]
pub(crate) mod bench;
mod blocking;
mod channel;
mod compact;
pub(crate) mod descriptors;
mod executor;
mod guard;
mod idle;
mod net;
mod orphans;
mod panics;
mod permits;
mod pipe;
mod polled_fd;
mod pools;
mod process;
mod reactor;
pub(crate) mod sys;
mod threads;
mod timer;
mod uptake;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use blocking::{BlockingError, BlockingPool, Job, PoolState};
pub(crate) use channel::{Receiver, Sender, channel};
pub(crate) use compact::CompactDuration;
pub(crate) use guard::Guard;
pub(crate) use net::{Listener, Stream};
pub(crate) use orphans::{is_first_process, reap as reap_orphans};
pub(crate) use panics::{Panic, catch_panic, catch_panics};
pub(crate) use permits::{Permit, Permits};
pub(crate) use pipe::{
    Broken, PipeReader, PipeWriter, TaskReader, TaskWriter, pipe_to_task, pipe_to_thread,
};
pub(crate) use polled_fd::PolledFd;
pub(crate) use pools::Pools;
pub(crate) use process::{
    Exit, Process, open_files_before, remember_open_files, wait_for_processes,
};
pub(crate) use reactor::{Direction, Elapsed, Idle};
pub(crate) use threads::spawn_thread;
pub(crate) use timer::Tick;
pub(crate) use uptake::Uptake;

use executor::{Executor, Remote};
use reactor::{Reactor, WAKE};

/// Events taken from the system in one turn. Further events wait for the next turn.
const EVENTS_PER_TURN: usize = 1024;

/// The run queue, the sources and the clock that the tasks of a thread share.
struct Context {
    executor: Executor,
    remote: Arc<Remote>,
    reactor: RefCell<Reactor>,
    started: Instant,
    /// The moment the current turn began, and its tick.
    now: Cell<Instant>,
    tick: Cell<Tick>,
    /// The time from the start of the loop to the current turn.
    since_start: Cell<Duration>,
    /// Tasks that let the sockets and the other tasks go first; see [`yield_now`].
    yielded: RefCell<Vec<Waker>>,
    /// Closes what is kept open only to be used again; see [`on_shortage`].
    release: OnceCell<Box<dyn Fn() -> bool>>,
}

thread_local! {
    static CONTEXT: RefCell<Option<Rc<Context>>> = const { RefCell::new(None) };
}

/// Calls `use_it` with the context of this thread's loop. Panics outside of a loop.
fn with_context<T>(use_it: impl FnOnce(&Context) -> T) -> T {
    CONTEXT.with_borrow(|context| use_it(context.as_ref().expect("called by a task of a loop")))
}

/// What a loop gets its events from. Made before the thread of the loop, so that a system without
/// another event queue is known of in time.
pub(crate) struct EventQueue {
    poll: mio::Poll,
    registry: mio::Registry,
    waker: mio::Waker,
}

impl EventQueue {
    /// A queue in which nothing has happened.
    ///
    /// # Errors
    /// If the system cannot make an event queue.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let registry = poll.registry().try_clone()?;
        Ok(Self {
            poll,
            registry,
            waker,
        })
    }
}

/// [`run_on`] with an event queue of its own.
///
/// # Errors
/// If the system cannot make an event queue, or cannot wait for events.
pub(crate) fn run<F: Future + 'static>(main: F) -> io::Result<F::Output> {
    run_on(EventQueue::new()?, main)
}

/// Runs `main` on this thread until it ends, together with the tasks that it spawns. Returns the output
/// of `main`.
///
/// Drops the tasks that are left when `main` ends.
///
/// # Errors
/// If the system cannot wait for events.
pub(crate) fn run_on<F: Future + 'static>(queue: EventQueue, main: F) -> io::Result<F::Output> {
    let EventQueue {
        mut poll,
        registry,
        waker,
    } = queue;
    let now = Instant::now();
    let context = Rc::new(Context {
        executor: Executor::default(),
        remote: Remote::new(waker),
        reactor: RefCell::new(Reactor::new(registry)),
        started: now,
        now: Cell::new(now),
        tick: Cell::new(Tick::at(Duration::ZERO)),
        since_start: Cell::default(),
        yielded: RefCell::default(),
        release: OnceCell::new(),
    });
    let _entered = Entered::new(Rc::clone(&context));

    let output = Rc::new(Cell::new(None));
    let slot = Rc::clone(&output);
    spawn(async move { slot.set(Some(main.await)) });
    let mut events = mio::Events::with_capacity(EVENTS_PER_TURN);
    loop {
        context.executor.run_ready();
        if let Some(output) = output.take() {
            return Ok(output);
        }
        context.wait(&mut poll, &mut events)?;
    }
}

impl Context {
    /// The part of a turn before tasks run: events and deadlines become wake-ups.
    fn wait(&self, poll: &mut mio::Poll, events: &mut mio::Events) -> io::Result<()> {
        let is_idle = self.executor.is_idle() && self.yielded.borrow().is_empty();
        let timeout = if is_idle {
            self.until_next_expiry()
        } else {
            Some(Duration::ZERO)
        };
        match poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = Instant::now();
        let since_start = now - self.started;
        self.now.set(now);
        self.tick.set(Tick::at(since_start));
        self.since_start.set(since_start);
        let mut reactor = self.reactor.borrow_mut();
        reactor.begin_turn(events.iter().count() < EVENTS_PER_TURN);
        for event in events.iter() {
            match event.token() {
                WAKE => self.remote.drain_into(&self.executor),
                _ => reactor.dispatch(event),
            }
        }
        reactor.expire(self.tick.get(), since_start);
        drop(reactor);
        self.yielded.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The time until the next deadline must be looked at, if there is a deadline. It is counted from
    /// the beginning of the turn, so that the clock is read once a turn: a deadline is late by the
    /// length of the turn at most.
    fn until_next_expiry(&self) -> Option<Duration> {
        let expiry = self.reactor.borrow().next_expiry()?;
        Some(expiry.saturating_sub(self.since_start.get()))
    }
}

/// Makes a context the thread's own, and removes it when dropped: also when a task's panic unwinds
/// through [`run`], because the thread may run another loop afterwards.
struct Entered(Rc<Context>);

impl Entered {
    fn new(context: Rc<Context>) -> Self {
        CONTEXT.set(Some(Rc::clone(&context)));
        Self(context)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Waking a task puts it into the run queue. Dropping it there drops its future, which may in
        // turn drop sources and wake other tasks. No task is run: that could go on for ever, and a
        // second panic while the first one unwinds would end the process.
        let context = &self.0;
        loop {
            let mut wakers = context.reactor.borrow_mut().take_wakers();
            wakers.append(&mut context.yielded.borrow_mut());
            context.remote.drain_into(&context.executor);
            if wakers.is_empty() && context.executor.is_idle() {
                break;
            }
            wakers.into_iter().for_each(Waker::wake);
            context.executor.drop_ready();
        }
        CONTEXT.set(None);
    }
}

/// Starts a task on this thread's loop. A panic of the task ends the loop, so catch panics inside.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    let remote = with_context(|context| Arc::clone(&context.remote));
    let schedule = move |task| {
        // Nearly all wake-ups come from this thread. The others go through `remote`.
        let mut task = Some(task);
        let _ = CONTEXT.try_with(|current| {
            if let Ok(current) = current.try_borrow()
                && let Some(context) = current.as_ref().filter(|c| Arc::ptr_eq(&c.remote, &remote))
            {
                task.take()
                    .into_iter()
                    .for_each(|task| context.executor.push(task));
            }
        });
        if let Some(task) = task {
            remote.inject(task);
        }
    };
    let (runnable, task) = async_task::spawn_local(future, schedule);
    runnable.schedule();
    task.detach();
}

/// The moment at which the current turn of the loop began. The loop reads the clock once a turn.
pub(crate) fn now() -> Instant {
    with_context(|context| context.now.get())
}

/// Returns the deadline that lies `delay` ahead.
pub(crate) fn deadline_after(delay: Duration) -> Tick {
    with_context(|context| context.tick.get().after(delay))
}

impl Tick {
    /// Whether this deadline has come in the current turn: a wait for it fails at once with [`Elapsed`].
    pub(crate) fn has_come(self) -> bool {
        with_context(|context| self <= context.tick.get())
    }
}

/// Wakes every task that waits for a socket or a moment.
pub(crate) fn wake_all() {
    with_context(|context| context.reactor.borrow().wake_all());
}

/// How many sockets on this loop are idle; see [`Stream::poll_idle`]. It walks over all, which is for callers
/// that come seldom: so a socket that becomes idle need not be counted.
pub(crate) fn count_idle() -> usize {
    with_context(|context| context.reactor.borrow().count_idle())
}

/// When the socket that has been idle longest on this loop became so; see [`Stream::poll_idle`].
pub(crate) fn oldest_idle() -> Option<Instant> {
    with_context(|context| {
        let since = context.reactor.borrow_mut().oldest_idle()?;
        Some(context.started + since)
    })
}

/// Tells the task whose socket has been idle longest on this loop to give it up. Returns whether there was
/// one.
pub(crate) fn give_up_oldest_idle() -> bool {
    with_context(|context| context.reactor.borrow_mut().give_up_oldest_idle())
}

/// Has this loop call `release` when descriptors have run out. It closes what is kept open only to be used again, and
/// returns whether there was anything. A loop has one such function: what it is told later does not count.
pub(crate) fn on_shortage(release: impl Fn() -> bool + 'static) {
    with_context(|context| {
        let _ = context.release.set(Box::new(release));
    });
}

/// Whether `error` says that descriptors have run out, and this loop could close some that it [kept](on_shortage).
/// Then the same call may succeed now. The caches of the other workers are told as well; they close theirs soon.
pub(crate) fn has_made_room(error: &io::Error) -> bool {
    let release = || with_context(|context| context.release.get().is_some_and(|release| release()));
    descriptors::note_shortage(error) && release()
}

/// Waits until the other ready tasks have run, and the loop has looked at its sockets.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        wake_next_turn(context);
        Poll::Pending
    })
    .await;
}

/// Has the task of `context` run again when the other ready tasks have run, and the loop has looked at its
/// sockets: [`yield_now`] for `poll` functions.
pub(crate) fn wake_next_turn(context: &std::task::Context<'_>) {
    with_context(|c| c.yielded.borrow_mut().push(context.waker().clone()));
}

/// Tells the loop that the caller receives octets for which it has not waited. The octets may be younger than
/// the events of this turn, and the events then miss what came to other sockets before the octets. Until the
/// next turn, [`Stream::is_quiet`] returns `false` for every stream.
pub(crate) fn overtake_events() {
    with_context(|context| context.reactor.borrow_mut().overtake());
}

/// Waits for at least `delay`, and at most two ticks of the wheel longer.
pub(crate) async fn sleep(delay: Duration) {
    let deadline = deadline_after(delay);
    let sleeper = Sleeper::new();
    poll_fn(|context| sleeper.poll(context, deadline)).await;
}

/// The source of a task that waits for no socket. Dropping it removes the source.
pub(crate) struct Sleeper(usize);

impl Sleeper {
    /// Takes a source of this thread's reactor.
    pub(crate) fn new() -> Self {
        Self(with_context(|context| {
            context.reactor.borrow_mut().insert()
        }))
    }

    /// Waits until `deadline`, or for ever with [`Tick::NEVER`]; another wake-up may come before.
    pub(crate) fn poll(&self, context: &mut std::task::Context<'_>, deadline: Tick) -> Poll<()> {
        with_context(|c| c.reactor.borrow_mut().poll_sleep(self.0, context, deadline))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let wakers = with_context(|context| context.reactor.borrow_mut().remove(self.0));
        drop(wakers);
    }
}

/// The result of [`either`]: the output of the future that ended first.
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Waits for the one of two futures that ends first, and drops the other. If both have ended, the result
/// is that of `first`.
pub(crate) async fn either<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> Either<A, B> {
    let mut first = std::pin::pin!(first);
    let mut second = std::pin::pin!(second);
    poll_fn(|context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

/// Waits for `future`, but no longer than `delay`. Returns its output.
///
/// # Errors
/// [`Elapsed`] if `future` has not ended by then. `future` is dropped.
pub(crate) async fn timeout<T>(
    delay: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    match either(future, sleep(delay)).await {
        Either::First(output) => Ok(output),
        Either::Second(()) => Err(Elapsed),
    }
}

#[cfg(test)]
mod tests;
