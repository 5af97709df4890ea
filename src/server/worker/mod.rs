//! What the connections of a worker share: one thread's buffers, cache, clock and counters. Nothing
//! in it is shared with another worker but a count.

mod clock;
pub(crate) mod endpoint;
mod listener;
pub(crate) mod run;

use std::cell::{Cell, Ref, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::generation::{Generation, LocalGeneration};
use crate::handlers;
use crate::http::fields::Known;
use crate::http::request::{RequestHead, request_line};
use crate::http::status::Status;
use crate::log::access::AccessBuffer;
use crate::log::record::AccessRecord;
use crate::metrics::{Counters, ProcessCounters};
use crate::runtime;
use crate::server::worker::clock::CurrentSecond;
use crate::server::worker::endpoint::Endpoints;
use crate::server::worker::listener::accept_all;
use crate::server::worker::run::{ListeningSocket, WorkerSetup};

/// Bytes read at a time: as much as a socket usually holds.
pub(crate) const READ_SIZE: usize = 64 * 1024;

/// The most that `max_head` may be, and so an incomplete head; it is put before what is read next.
const MAX_INCOMPLETE: usize = 1024 * 1024;

/// How long a line may stay in the worker's log buffer.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// What the connections of a worker share.
pub(crate) struct Worker {
    generation: RefCell<Rc<LocalGeneration>>,
    endpoints: RefCell<Endpoints>,
    pub(crate) local: handlers::Local,
    /// What is read goes here first: an idle connection holds no buffer.
    pub(crate) input: RefCell<Box<[u8]>>,
    /// The answers to what was read at once, sent with one call.
    pub(crate) output: RefCell<Vec<u8>>,
    pub(crate) second: CurrentSecond,
    pub(crate) process: Arc<ProcessCounters>,
    pub(crate) counters: Arc<Counters>,
    log: RefCell<Option<AccessBuffer>>,
    has_log: bool,
    /// A task sleeps that will hand the log's lines over.
    flush_is_due: Cell<bool>,
    draining: Cell<bool>,
    /// Tasks that accept connections.
    accepting: Cell<usize>,
    /// Woken when the last connection has ended and nobody accepts another, if somebody waits for
    /// that.
    last_connection: RefCell<Option<Waker>>,
}

impl Worker {
    pub(crate) fn new(setup: &WorkerSetup, log: Option<AccessBuffer>) -> Self {
        Self {
            generation: RefCell::new(Rc::new(LocalGeneration(Arc::clone(&setup.generation)))),
            endpoints: RefCell::default(),
            local: handlers::Local::new(setup.pools.clone()),
            input: RefCell::new(vec![0; MAX_INCOMPLETE + READ_SIZE].into_boxed_slice()),
            output: RefCell::default(),
            second: CurrentSecond::new(runtime::now()),
            process: Arc::clone(&setup.process),
            counters: Arc::clone(&setup.counters),
            has_log: log.is_some(),
            log: RefCell::new(log),
            flush_is_due: Cell::new(false),
            draining: Cell::new(false),
            accepting: Cell::new(0),
            last_connection: RefCell::default(),
        }
    }

    /// Has connections end as soon as nothing is under way on them.
    pub(crate) fn begin_to_drain(&self) {
        self.draining.set(true);
        // The tasks that accept hold the sockets now, for as long as their last round takes.
        self.endpoints.take();
        runtime::wake_all();
    }

    /// Waits until no connection is left, and none in a queue that is still to be accepted.
    pub(crate) fn poll_last_connection(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_deserted() {
            return Poll::Ready(());
        }
        *self.last_connection.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }

    /// Takes on another configuration and another set of sockets. Exchanges under way end as they
    /// began; idle connections meet the new generation at their next request.
    pub(crate) fn adopt(
        self: &Rc<Self>,
        generation: Arc<Generation>,
        sockets: Vec<ListeningSocket>,
    ) {
        let mut endpoints = self.endpoints.borrow_mut();
        let new = Rc::new(LocalGeneration(generation));
        let old = self.generation.replace(Rc::clone(&new));
        let has_retired = endpoints.retire(&old, |address| new.listens_at(address));
        let has_stopped = endpoints.stop_all_but(&sockets);
        for accepting in endpoints.start(sockets) {
            self.accepting.set(self.accepting.get() + 1);
            let worker = Rc::clone(self);
            runtime::spawn(async move {
                accept_all(accepting, Rc::clone(&worker)).await;
                worker.accepting.set(worker.accepting.get() - 1);
                worker.wake_if_deserted();
            });
        }
        if has_retired || has_stopped {
            runtime::wake_all();
        }
    }

    /// Whether connections are to end as soon as nothing is under way on them.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The generation that exchanges begin with now.
    pub(crate) fn current_generation(&self) -> Rc<LocalGeneration> {
        Rc::clone(&self.generation.borrow())
    }

    /// Counts a new connection; whether it is one too many.
    pub(crate) fn admit(&self, max_connections: usize) -> bool {
        self.counters.open.add(1);
        self.counters.accepted.add(1);
        // Only a count: nothing else is published by it.
        self.process.connections.fetch_add(1, Ordering::Relaxed) < max_connections
    }

    /// Counts a connection that ended.
    pub(crate) fn dismiss(&self) {
        self.process.connections.fetch_sub(1, Ordering::Relaxed);
        self.counters.open.add(u64::MAX);
        self.wake_if_deserted();
    }

    fn is_deserted(&self) -> bool {
        self.counters.open.read() == 0 && self.accepting.get() == 0
    }

    fn wake_if_deserted(&self) {
        if self.is_deserted()
            && let Some(waker) = self.last_connection.borrow_mut().take()
        {
            waker.wake();
        }
    }

    /// The field lines that every answer carries now: `Date`, and `Server` if it is wanted.
    pub(crate) fn common_lines(&self, has_server_field: bool) -> Ref<'_, [u8]> {
        Ref::map(
            self.second.at(runtime::now()),
            |second| match has_server_field {
                true => second.with_server.as_bytes(),
                false => second.without_server.as_bytes(),
            },
        )
    }

    /// Counts an exchange, and appends its record to the access log if there is one. `bytes` are
    /// those of `head`; `outcome` is the status and how many octets of content were sent.
    pub(crate) fn log_exchange(
        self: &Rc<Self>,
        client: IpAddr,
        head: &RequestHead<'_>,
        bytes: &[u8],
        outcome: (Status, u64),
        started: Instant,
    ) {
        if !self.has_log {
            self.counters.requests.add(1);
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
    pub(crate) fn log(self: &Rc<Self>, record: &AccessRecord<'_>) {
        self.counters.requests.add(1);
        let mut log = self.log.borrow_mut();
        let Some(buffer) = &mut *log else { return };
        let second = self.second.at(runtime::now());
        let format = self.generation.borrow().log_format;
        record.write(format, &second.log, buffer.lines());
        buffer.flush_if_full();
        if !self.flush_is_due.replace(true) {
            let worker = Rc::clone(self);
            runtime::spawn(async move {
                runtime::sleep(LOG_FLUSH).await;
                worker.flush_is_due.set(false);
                worker.flush_log();
            });
        }
    }

    /// Hands the log's lines over.
    pub(crate) fn flush_log(&self) {
        if let Some(buffer) = &mut *self.log.borrow_mut() {
            buffer.flush();
        }
    }
}
