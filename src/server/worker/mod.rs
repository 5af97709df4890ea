//! What the connections of a worker share: one thread's buffers, cache, clock and counters. Nothing
//! in it is shared with another worker but a count, and spare buffers of the access log.

pub(in crate::server) mod clock;
pub(in crate::server) mod endpoint;
pub(in crate::server) mod lingering;
mod listener;
mod place;
pub(in crate::server) mod run;

use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::config::model::{Log, LogField, LogFormat};
use crate::control::reach::Reach;
use crate::generation::{Generation, LocalGeneration};
use crate::handlers;
use crate::http::status::Status;
use crate::log::access::{AccessBuffers, HAND_OVER};
use crate::log::feed::WorkerFeed;
use crate::log::record::{AccessRecord, LogTime};
use crate::log::redaction::{Redacted, redact};
use crate::log::stream_record::StreamRecord;
use crate::message::response::CommonFields;
use crate::message::trace::Trace;
use crate::metrics::exchanges::{ExchangeTable, Kind, Measured};
use crate::metrics::series::SeriesId;
use crate::metrics::{Counters, End, ProcessCounters};
use crate::runtime::{self, Pools, Tick};
use crate::transfer::{InputBuffer, READ_SIZE};

use clock::CurrentSecond;
use endpoint::{Accepting, Endpoints, ListeningSocket};
use lingering::Lingering;
pub(crate) use place::{LoopReport, Roster};

/// The most that `max_head` may be, and so an incomplete head; it is put before what is read next.
const MAX_INCOMPLETE: usize = 1024 * 1024;

/// How long a connection may be idle once another process serves, or once its listener was removed: a client
/// that is about to send a request learns with its response that it has to connect again, and loses nothing.
const LAST_IDLE: Duration = Duration::from_secs(2);

/// The least status of an exchange that has failed.
pub(in crate::server) const FAILED_FROM: u16 = 500;

/// What the connections of a worker share.
pub(in crate::server) struct Worker {
    name: WorkerName,
    generation: RefCell<Rc<LocalGeneration>>,
    endpoints: RefCell<Endpoints>,
    pub(in crate::server) local: handlers::WorkerState,
    /// What is read goes here first: an idle connection holds no buffer.
    pub(in crate::server) input: InputBuffer,
    /// The connections that only wait for their clients to stop sending.
    pub(in crate::server) lingering: Lingering,
    /// The answers to what was read at once, sent with one call.
    pub(in crate::server) output: RefCell<Vec<u8>>,
    pub(in crate::server) second: CurrentSecond,
    pub(in crate::server) process: Arc<ProcessCounters>,
    pub(in crate::server) counters: Arc<Counters>,
    /// The same counters of exchanges as in `counters`, as this thread finds them.
    exchanges: ExchangeTable,
    log: RefCell<Option<AccessBuffers>>,
    /// Who follows the server's exchanges.
    feed: WorkerFeed,
    /// The least status of the exchanges of which records are made: 0 with an access log, with traces, or while
    /// a client follows. Otherwise only an exchange that fails has a record, for those who look later.
    recorded_from: Cell<u16>,
    /// A task sleeps that will hand the log's lines over.
    flush_is_due: Cell<bool>,
    draining: Cell<bool>,
    /// Once another process serves in our place: when connections that are idle end.
    leave_by: Cell<Tick>,
    /// All workers that serve clients.
    roster: Arc<Roster>,
    /// How many connections wait for the place of an idle one.
    waiting_for_place: Cell<usize>,
    /// Tasks that accept connections.
    accepting: Cell<usize>,
    /// Wakes the task that waits for the last connection to end, if one does.
    last_connection: RefCell<Option<Waker>>,
}

/// Everything a worker is started with. A worker that takes another's place gets the same.
#[derive(Clone)]
pub(crate) struct WorkerSetup {
    /// `None` for the worker of the control socket.
    pub(crate) index: Option<usize>,
    pub(crate) generation: Arc<Generation>,
    pub(crate) listeners: Vec<ListeningSocket>,
    pub(crate) pools: Pools,
    /// What its handlers reach of the server as a whole.
    pub(crate) reach: Reach,
    /// All workers that serve clients; none for that of the control socket.
    pub(crate) roster: Arc<Roster>,
    pub(crate) process: Arc<ProcessCounters>,
    /// A successor goes on counting.
    pub(crate) counters: Arc<Counters>,
}

/// How diagnostics name a worker: by its place, if it is not that of the control socket.
#[derive(Clone, Copy)]
struct WorkerName(Option<usize>);

impl WorkerName {
    fn is_of_control(self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(index) => write!(f, "worker {index}"),
            None => f.write_str("the worker of the control socket"),
        }
    }
}

impl Worker {
    pub(in crate::server) fn new(setup: &WorkerSetup, log: Option<AccessBuffers>) -> Self {
        let worker = Self {
            name: WorkerName(setup.index),
            generation: RefCell::new(Rc::new(LocalGeneration(Arc::clone(&setup.generation)))),
            endpoints: RefCell::default(),
            local: handlers::WorkerState::new(setup.pools.clone(), setup.reach.clone()),
            input: RefCell::new(vec![0; MAX_INCOMPLETE + READ_SIZE].into_boxed_slice()),
            lingering: Lingering::default(),
            output: RefCell::default(),
            second: CurrentSecond::new(runtime::now()),
            process: Arc::clone(&setup.process),
            counters: Arc::clone(&setup.counters),
            exchanges: ExchangeTable::default(),
            log: RefCell::new(log),
            feed: WorkerFeed::new(Arc::clone(&setup.reach.feed)),
            recorded_from: Cell::new(0),
            flush_is_due: Cell::new(false),
            draining: Cell::new(false),
            leave_by: Cell::new(Tick::NEVER),
            roster: Arc::clone(&setup.roster),
            waiting_for_place: Cell::new(0),
            accepting: Cell::new(0),
            last_connection: RefCell::default(),
        };
        worker.look_who_wants_records();
        worker
    }

    /// Looks who wants records of exchanges: from now on, those who follow get the records of this worker, and
    /// those who have gone do not.
    fn look_who_wants_records(&self) {
        let is_followed = self.feed.look();
        let has_traces = self.generation.borrow().tracing.is_some();
        let is_wanted = is_followed || has_traces || self.log.borrow().is_some();
        let least = if is_wanted { 0 } else { FAILED_FROM };
        self.recorded_from.set(least);
    }

    /// Has connections end as soon as nothing is under way on them.
    pub(in crate::server) fn begin_to_drain(&self) {
        self.draining.set(true);
        // The tasks that accept hold the sockets now, for as long as their last round takes.
        self.endpoints.take();
        runtime::wake_all();
    }

    /// Has connections end with their next response, or, if they are idle, when `patience` is over: another
    /// process serves in our place.
    fn begin_to_leave(&self, patience: Duration) {
        self.leave_by.set(runtime::deadline_after(patience));
        runtime::wake_all();
    }

    /// Waits until no connection is left, and none in a queue that is still to be accepted.
    pub(in crate::server) fn poll_last_connection(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_deserted() {
            return Poll::Ready(());
        }
        *self.last_connection.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }

    /// Takes on another configuration and another set of sockets. Exchanges under way end as they
    /// began; idle connections meet the new generation at their next request.
    ///
    /// Returns the sockets that are new: the caller accepts connections from each, and calls
    /// [`stop_accepting`](Self::stop_accepting) when it no longer does.
    fn adopt(
        &self,
        generation: Arc<Generation>,
        sockets: Vec<ListeningSocket>,
    ) -> Vec<Rc<Accepting>> {
        let mut endpoints = self.endpoints.borrow_mut();
        let new = Rc::new(LocalGeneration(generation));
        let old = self.generation.replace(Rc::clone(&new));
        // An exchange of before may still add to the caches: that goes with the next reload.
        self.local.keep_files_of(&new.file_routes());
        self.look_who_wants_records();
        let leave_by = runtime::deadline_after(LAST_IDLE);
        let has_retired = endpoints.retire(&old, leave_by, |address| new.listens_at(address));
        let has_stopped = endpoints.stop_all_but(&sockets);
        let started = endpoints.start(sockets);
        self.accepting.set(self.accepting.get() + started.len());
        if has_retired || has_stopped {
            runtime::wake_all();
        }
        started
    }

    /// Takes note that connections are no longer accepted from one of the sockets.
    fn stop_accepting(&self) {
        self.accepting.set(self.accepting.get() - 1);
        self.wake_if_deserted();
    }

    /// Whether connections are to end as soon as nothing is under way on them.
    pub(in crate::server) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// When connections that are idle end, because another process serves; [`Tick::NEVER`] while none does.
    pub(in crate::server) fn leave_by(&self) -> Tick {
        self.leave_by.get()
    }

    /// The generation that exchanges begin with now.
    pub(in crate::server) fn current_generation(&self) -> Rc<LocalGeneration> {
        Rc::clone(&self.generation.borrow())
    }

    /// Counts a new connection. Returns whether there is a place for it.
    pub(in crate::server) fn admit(&self, max_connections: usize) -> bool {
        self.counters.open.add(1);
        self.counters.accepted.add(1);
        // Only a count: nothing else is published by it.
        self.process.connections.fetch_add(1, Ordering::Relaxed) < max_connections
    }

    /// Counts a connection that ended.
    pub(in crate::server) fn dismiss(&self) {
        self.process.connections.fetch_sub(1, Ordering::Relaxed);
        self.counters.open.subtract_one();
        self.wake_if_deserted();
    }

    /// Counts an exchange that has ended; for [`finish`](crate::server::exchange::outcome::finish) alone.
    #[inline]
    pub(in crate::server) fn count_exchange(
        &self,
        end: End,
        (series, kind): (SeriesId, Kind),
        measured: Measured,
    ) {
        self.counters.ended(end);
        let cells = &self.counters.exchanges;
        self.exchanges.count(cells, series, kind, measured);
    }

    /// Counts a connection that has become a tunnel.
    pub(in crate::server) fn count_tunnel(&self) {
        self.counters.tunnels.add(1);
    }

    /// Wakes the tunnels, which look whether they are still wanted, and all other tasks with them.
    fn wake_tunnels(&self) {
        if self.counters.tunnels.read() > 0 {
            runtime::wake_all();
        }
    }

    /// Counts a connection no longer that was a tunnel.
    pub(in crate::server) fn uncount_tunnel(&self) {
        self.counters.tunnels.subtract_one();
    }

    /// Writes to the counters what is counted elsewhere, or not counted at all: to be called seldom.
    pub(super) fn count_what_is_held(&self) {
        self.counters.idle.set(runtime::count_idle() as u64);
        let state = self.local.take_cache_state();
        let files = &self.counters.files;
        files.hits.add(state.hits);
        files.misses.add(state.misses);
        for (counters, held) in [
            (&files.content, state.content),
            (&files.open, state.open),
            (&files.no_file, state.no_file),
        ] {
            counters.entries.set(held.entries as u64);
            counters.bytes.set(held.bytes as u64);
        }
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

    /// The field lines of `common`, as they are now.
    pub(in crate::server) fn common_lines(&self, common: CommonFields) -> Ref<'_, [u8]> {
        Ref::map(self.second.at(runtime::now()), |second| {
            second.common(common)
        })
    }

    /// Whether there is an access log or a follower.
    pub(in crate::server) fn is_recorded(&self) -> bool {
        self.recorded_from.get() == 0
    }

    /// Whether a record is made of an exchange of that status because of the status alone.
    #[inline(always)]
    pub(in crate::server) fn records(&self, status: Status) -> bool {
        status.code() >= self.recorded_from.get()
    }

    /// Whether records of all exchanges are wanted, not only of those that fail or that have a trace.
    pub(in crate::server) fn has_readers(&self) -> bool {
        self.feed.is_followed() || self.log.borrow().is_some()
    }

    /// Hands a record, which is made at `now`, to the access logs and to those who follow, and makes the spans
    /// of the exchange of it if its `trace` is recorded; for
    /// [`finish`](crate::server::exchange::outcome::finish) alone. If it `is_failure`, those who look later
    /// get it, too. Its line follows the settings of `began_with`, the generation that the exchange began with; `None`:
    /// those of the current one.
    pub(in crate::server) fn publish_record(
        self: &Rc<Self>,
        record: AccessRecord<'_>,
        (trace, is_failure): (Option<&Trace>, bool),
        (now, began_with): (Instant, Option<&Generation>),
    ) {
        let mut room = Redacted::default();
        let mut record = record;
        let current = self.generation.borrow();
        let generation = began_with.unwrap_or(&current);
        redact(&mut record, &generation.log.redact, &mut room);
        if let (Some(trace), Some(tracing)) = (trace, &generation.tracing) {
            tracing.record(&record, trace);
        }
        if is_failure || self.feed.is_followed() {
            self.second
                .with_log_time(now, |time| self.feed.publish(&record, is_failure, time));
        }
        self.append_line(&record, now, &generation.log, |format, time, out| {
            record.write(format, time, out)
        });
    }

    /// The same, of a connection of a stream; `access` is its record as one of an exchange.
    pub(in crate::server) fn publish_stream(
        self: &Rc<Self>,
        record: &StreamRecord<'_>,
        access: &AccessRecord<'_>,
        now: Instant,
    ) {
        let is_failure = record.status.code() >= FAILED_FROM;
        if is_failure || self.feed.is_followed() {
            self.second.with_log_time(now, |time| {
                self.feed.publish_stream(record, access, is_failure, time);
            });
        }
        let log = &self.generation.borrow().log;
        self.append_line(access, now, log, |format, time, out| {
            record.write(format, time, out)
        });
    }

    /// Whether access logs leave out `field`.
    pub(in crate::server) fn leaves_out(&self, field: LogField) -> bool {
        let generation = self.generation.borrow();
        generation.log.redact.fields.contains(&field)
    }

    /// Appends the line that `write` writes, with its LF, to each access log that is to have `record`, as
    /// `settings` say. It is made at `now`.
    #[inline]
    fn append_line(
        self: &Rc<Self>,
        record: &AccessRecord<'_>,
        now: Instant,
        settings: &Log,
        write: impl Fn(&LogFormat, &LogTime, &mut Vec<u8>),
    ) {
        let mut log = self.log.borrow_mut();
        let Some(buffers) = &mut *log else { return };
        let logs = (&settings.access[..], &settings.format);
        self.second.with_log_time(now, |time| {
            buffers.append(record, now, logs, |format, out| write(format, time, out));
        });
        if !self.flush_is_due.replace(true) {
            let worker = Rc::clone(self);
            runtime::spawn(async move {
                runtime::sleep(HAND_OVER).await;
                worker.flush_is_due.set(false);
                worker.flush_log();
            });
        }
    }

    /// Hands the log's lines over.
    pub(in crate::server) fn flush_log(&self) {
        if let Some(buffer) = &mut *self.log.borrow_mut() {
            buffer.flush();
        }
    }
}
