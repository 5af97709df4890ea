//! The event loop and its few verbs: [`spawn`], [`sleep`], sockets, the blocking pool.
//!
//! One loop per worker thread. A turn of it waits for events, notes what became ready, and runs the
//! tasks that can go on. A connection is a task, and its life is straight-line code; nothing here
//! has heard of HTTP.
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
mod executor;
mod net;
mod pipe;
mod polled_fd;
mod process;
mod reactor;
pub(crate) mod sys;
mod timer;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use blocking::{BlockingError, BlockingPool, Job, PoolState, panic_message};
pub(crate) use channel::{Receiver, Sender, channel};
pub(crate) use net::{Listener, Stream};
pub(crate) use pipe::{
    Broken, PipeReader, PipeWriter, TaskReader, TaskWriter, pipe_to_task, pipe_to_thread,
};
pub(crate) use polled_fd::PolledFd;
pub(crate) use process::{Exit, Process, wait_for_processes};
pub(crate) use reactor::{Direction, Elapsed};
pub(crate) use timer::Tick;

use executor::{Executor, Remote};
use reactor::{Reactor, WAKE};

/// Events taken from the system in one turn; more wait for the next.
const EVENTS_PER_TURN: usize = 1024;

/// What a thread's tasks share: its run queue, its sources, its clock.
struct Context {
    executor: Executor,
    remote: Arc<Remote>,
    reactor: RefCell<Reactor>,
    started: Instant,
    /// The moment the current turn began, and its tick.
    now: Cell<Instant>,
    tick: Cell<Tick>,
    /// Tasks that let the sockets go first.
    yielded: RefCell<Vec<Waker>>,
}

thread_local! {
    static CONTEXT: RefCell<Option<Rc<Context>>> = const { RefCell::new(None) };
}

fn with_context<T>(use_it: impl FnOnce(&Context) -> T) -> T {
    CONTEXT.with_borrow(|context| use_it(context.as_ref().expect("called by a task of a loop")))
}

/// Runs `main` on this thread until it ends, and with it every task that it spawns.
///
/// Tasks that are left when `main` ends are dropped.
///
/// # Errors
/// If the system gives no event queue.
pub(crate) fn run<F: Future + 'static>(main: F) -> io::Result<F::Output> {
    let mut poll = mio::Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), WAKE)?;
    let now = Instant::now();
    let context = Rc::new(Context {
        executor: Executor::default(),
        remote: Remote::new(waker),
        reactor: RefCell::new(Reactor::new(poll.registry().try_clone()?)),
        started: now,
        now: Cell::new(now),
        tick: Cell::new(Tick::at(Duration::ZERO)),
        yielded: RefCell::default(),
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
        self.now.set(now);
        self.tick.set(Tick::at(now - self.started));
        let mut reactor = self.reactor.borrow_mut();
        for event in events.iter() {
            match event.token() {
                WAKE => self.remote.drain_into(&self.executor),
                _ => reactor.dispatch(event),
            }
        }
        reactor.expire(self.tick.get());
        drop(reactor);
        self.yielded.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn until_next_expiry(&self) -> Option<Duration> {
        let expiry = self.reactor.borrow().next_expiry()?;
        Some(expiry.saturating_sub(self.started.elapsed()))
    }
}

/// Makes a context the thread's own, and undoes it: also when a task's panic unwinds through
/// [`run`], for the thread may be given another loop.
struct Entered(Rc<Context>);

impl Entered {
    fn new(context: Rc<Context>) -> Self {
        CONTEXT.set(Some(Rc::clone(&context)));
        Self(context)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Woken, a task is in the run queue; dropped there, it drops its future, which in turn may
        // drop sources and wake others. None is run: that could go on for ever, and a second panic
        // while the first unwinds would end the process.
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

/// Starts a task on this thread's loop. A panic in it ends the loop: catch it inside.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    let remote = with_context(|context| Arc::clone(&context.remote));
    let schedule = move |task| {
        // Wake-ups come from this thread, nearly always; the rest take the long way.
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

/// The moment the current turn of the loop began: the clock is read once a turn.
pub(crate) fn now() -> Instant {
    with_context(|context| context.now.get())
}

/// The deadline that lies `delay` ahead.
pub(crate) fn deadline_after(delay: Duration) -> Tick {
    with_context(|context| context.tick.get().after(delay))
}

/// Has every task that waits for a socket or a moment look around.
pub(crate) fn wake_all() {
    with_context(|context| context.reactor.borrow().wake_all());
}

/// Lets the other tasks that are ready, and the sockets, go first.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        with_context(|c| c.yielded.borrow_mut().push(context.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// Waits for `delay`, at least, and for two ticks of the wheel longer at most.
pub(crate) async fn sleep(delay: Duration) {
    let deadline = deadline_after(delay);
    let sleeper = Sleeper::new();
    poll_fn(|context| sleeper.poll(context, deadline)).await;
}

/// The source of a task that waits for no socket, given back when it is dropped.
struct Sleeper(usize);

impl Sleeper {
    fn new() -> Self {
        Self(with_context(|context| {
            context.reactor.borrow_mut().insert()
        }))
    }

    fn poll(&self, context: &mut std::task::Context<'_>, deadline: Tick) -> Poll<()> {
        with_context(|c| c.reactor.borrow_mut().poll_sleep(self.0, context, deadline))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let wakers = with_context(|context| context.reactor.borrow_mut().remove(self.0));
        drop(wakers);
    }
}

/// What [`either`] came to.
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Waits for the one of two futures that ends first, the `first` if both have; the other is dropped.
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

/// Waits for `future`, but no longer than `delay`.
///
/// # Errors
/// [`Elapsed`] if it has not ended by then; it is dropped.
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
