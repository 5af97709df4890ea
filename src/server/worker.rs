//! A worker: one thread, one loop, and what its connections share. Nothing in it is shared with
//! another worker but counters.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::date::CurrentSecond;
use super::exchange::Framed;
use super::generation::Generation;
use super::listener;
use crate::config::LogFormat;
use crate::handlers;
use crate::http::fields::Known;
use crate::http::request::{RequestHead, request_line};
use crate::http::status::Status;
use crate::log::access::AccessBuffer;
use crate::log::diagnostic;
use crate::log::record::AccessRecord;
use crate::runtime::{self, BlockingPool, Listener, Receiver};

/// Bytes read at a time, into one buffer for all connections of the worker: as much as a socket
/// usually holds, and room for the longest head that may be configured to be incomplete.
const INPUT_SIZE: usize = 64 * 1024 + MAX_INCOMPLETE;

/// The most that `max_head` may be; an incomplete head is put before what is read next.
const MAX_INCOMPLETE: usize = 1024 * 1024;

/// How long a line may stay in the worker's log buffer.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// Everything a worker is started with. A worker that takes another's place gets the same.
#[derive(Clone)]
pub(crate) struct WorkerSetup {
    pub(crate) index: usize,
    pub(crate) generation: Arc<Generation>,
    pub(crate) listeners: Vec<ListeningSocket>,
    pub(crate) pool: Arc<BlockingPool>,
    pub(crate) log_format: LogFormat,
    pub(crate) process: Arc<ProcessCounters>,
}

/// A worker's own listening socket at an address.
#[derive(Clone)]
pub(crate) struct ListeningSocket {
    /// As configured: port 0 stays 0.
    pub(crate) address: SocketAddr,
    pub(crate) fd: Arc<OwnedFd>,
}

/// What the workers count together.
#[derive(Debug, Default)]
pub(crate) struct ProcessCounters {
    /// Open connections, for `max_connections`.
    pub(crate) connections: AtomicUsize,
}

/// What the supervisor tells a worker.
pub(crate) enum Command {
    /// Accept nothing more, let exchanges in flight finish within the time given, then end.
    Drain(Duration),
}

/// What the connections of a worker share.
pub(super) struct Worker {
    pub(super) generation: RefCell<Rc<Arc<Generation>>>,
    pub(super) local: handlers::Local,
    /// What is read goes here first: an idle connection holds no buffer.
    pub(super) input: RefCell<Box<[u8]>>,
    /// The answers to what was read at once, sent with one call.
    pub(super) output: RefCell<Vec<u8>>,
    pub(super) second: CurrentSecond,
    pub(super) process: Arc<ProcessCounters>,
    pub(super) counters: Counters,
    log: RefCell<Option<AccessBuffer>>,
    has_log: bool,
    log_format: LogFormat,
    draining: Cell<bool>,
    /// Woken when the last connection of a draining worker ends.
    last_connection: RefCell<Option<Waker>>,
}

/// What this worker has done.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) open: Cell<usize>,
    pub(super) accepted: Cell<u64>,
    pub(super) requests: Cell<u64>,
}

/// Runs a worker on this thread, until a command ends it.
///
/// # Errors
/// If the system gives no event queue.
pub(crate) fn run(
    setup: WorkerSetup,
    log: Option<AccessBuffer>,
    commands: Receiver<Command>,
) -> io::Result<()> {
    runtime::run(async move {
        let index = setup.index;
        let worker = Rc::new(Worker::new(&setup, log));
        for socket in setup.listeners {
            let listener = Listener::new(socket.fd);
            runtime::spawn(listener::accept_all(
                listener,
                Rc::from(socket.address),
                Rc::clone(&worker),
            ));
        }
        worker.obey(commands).await;
        worker.flush_log();
        let counters = &worker.counters;
        diagnostic::info(format_args!(
            "worker {index}: {} connections, {} requests",
            counters.accepted.get(),
            counters.requests.get()
        ));
    })
}

impl Worker {
    fn new(setup: &WorkerSetup, log: Option<AccessBuffer>) -> Self {
        Self {
            generation: RefCell::new(Rc::new(Arc::clone(&setup.generation))),
            local: handlers::Local {
                files: Default::default(),
                pool: Arc::clone(&setup.pool),
            },
            input: RefCell::new(vec![0; INPUT_SIZE].into_boxed_slice()),
            output: RefCell::default(),
            second: CurrentSecond::new(runtime::now()),
            process: Arc::clone(&setup.process),
            counters: Counters::default(),
            has_log: log.is_some(),
            log: RefCell::new(log),
            log_format: setup.log_format,
            draining: Cell::new(false),
            last_connection: RefCell::default(),
        }
    }

    /// Carries out commands until the last of them.
    async fn obey(&self, mut commands: Receiver<Command>) {
        // A supervisor that is gone has no more connections for us either.
        let grace = match commands.receive().await {
            Some(Command::Drain(grace)) => grace,
            None => Duration::ZERO,
        };
        self.draining.set(true);
        runtime::wake_all();
        if runtime::timeout(grace, self.last_connection_ended())
            .await
            .is_err()
        {
            let open = self.counters.open.get();
            diagnostic::warn(format_args!(
                "{open} connections were cut when the grace period of {grace:?} was over"
            ));
        }
    }

    async fn last_connection_ended(&self) {
        // The listeners' last sweep may still bring some: let them go first.
        runtime::yield_now().await;
        poll_fn(|context| {
            if self.counters.open.get() == 0 {
                return Poll::Ready(());
            }
            *self.last_connection.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether connections are to end as soon as nothing is under way on them.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The generation that exchanges begin with now.
    pub(super) fn current_generation(&self) -> Rc<Arc<Generation>> {
        Rc::clone(&self.generation.borrow())
    }

    /// Counts a new connection; whether it is one too many.
    pub(super) fn admit(&self, max_connections: usize) -> bool {
        self.counters.open.set(self.counters.open.get() + 1);
        self.counters.accepted.set(self.counters.accepted.get() + 1);
        // Only a count: nothing else is published by it.
        self.process.connections.fetch_add(1, Ordering::Relaxed) < max_connections
    }

    /// Counts a connection that ended.
    pub(super) fn dismiss(&self) {
        self.process.connections.fetch_sub(1, Ordering::Relaxed);
        self.counters.open.set(self.counters.open.get() - 1);
        if self.counters.open.get() == 0
            && let Some(waker) = self.last_connection.borrow_mut().take()
        {
            waker.wake();
        }
    }

    /// Appends the head of an answer to `out`.
    pub(super) fn encode_head(
        &self,
        framed: &Framed<'_>,
        generation: &Generation,
        out: &mut Vec<u8>,
    ) {
        let second = self.second.at(runtime::now());
        let common = match generation.server_field {
            true => &second.with_server,
            false => &second.without_server,
        };
        framed.encode_head(common.as_bytes(), out);
    }

    /// Counts an exchange, and appends its record to the access log if there is one. `bytes` are
    /// those of `head`; `outcome` is the status and how many octets of content were sent.
    pub(super) fn log_exchange(
        self: &Rc<Self>,
        client: IpAddr,
        head: &RequestHead<'_>,
        bytes: &[u8],
        outcome: (Status, u64),
        started: Instant,
    ) {
        if !self.has_log {
            self.counters.requests.set(self.counters.requests.get() + 1);
            return;
        }
        self.log(&AccessRecord {
            client,
            request_line: request_line(bytes),
            host: head.host,
            status: outcome.0,
            content_length: outcome.1,
            referer: head.fields.first(Known::Referer),
            user_agent: head.fields.first(Known::UserAgent),
            duration: runtime::now().duration_since(started),
        });
    }

    /// Counts an exchange, and appends its record to the access log if there is one.
    pub(super) fn log(self: &Rc<Self>, record: &AccessRecord<'_>) {
        self.counters.requests.set(self.counters.requests.get() + 1);
        let mut log = self.log.borrow_mut();
        let Some(buffer) = &mut *log else { return };
        let is_first = buffer.is_empty();
        let second = self.second.at(runtime::now());
        record.write(self.log_format, &second.log, buffer.lines());
        buffer.flush_if_full();
        if is_first && !buffer.is_empty() {
            let worker = Rc::clone(self);
            runtime::spawn(async move {
                runtime::sleep(LOG_FLUSH).await;
                worker.flush_log();
            });
        }
    }

    fn flush_log(&self) {
        if let Some(buffer) = &mut *self.log.borrow_mut() {
            buffer.flush();
        }
    }
}
