//! The workers: one thread of the pool for each, and one more for the control socket, so that
//! commands are carried out whatever befalls the others. A worker that dies is replaced.
//!
//! The system may refuse a thread or an event queue. So both are had first, and a worker that has them
//! waits until it is told what to serve: a start or a reload that wants too many changes nothing.
//!
//! ```text
//! prepare ─→ Waiting ─ start ─→ Running ─ Retire ─→ retired ─ WorkerEnded ─→ gone
//!               └ dropped: the thread ends   └ dies ─→ its place is vacant ─ fill ─→ Running
//! ```

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender as EventSender};
use std::time::{Duration, Instant};

use super::events::{Event, WorkerId};
use super::worker_threads::WorkerThreads;
use crate::generation::Generation;
use crate::log::access::{AccessBuffers, AccessWriters};
use crate::log::diagnostic;
use crate::runtime::{EventQueue, Sender, catch_panic, channel};
use crate::server::{self, Acknowledgement, Command, Roster, WorkerSetup};

/// How long a reload waits until every worker has adopted it. A worker does so between two tasks; one
/// that is busy for longer is named to the operator.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer than the others the worker of the control socket may take to end.
const FOLLOWERS_MARGIN: Duration = Duration::from_millis(250);

/// The workers of a server.
pub(super) struct Workers {
    threads: WorkerThreads,
    places: Vec<Place>,
    /// The worker of the control socket.
    control: Option<Place>,
    /// Workers that accept nothing more, and end with their last connection.
    retired: Vec<Running>,
    adoption: Adoption,
    next_id: WorkerId,
    events: EventSender<Event>,
    /// Those that serve clients, retired ones included.
    roster: Arc<Roster>,
}

/// A place for a worker.
struct Place {
    /// What the worker is started with, and any that replaces it.
    setup: WorkerSetup,
    /// `None` after its death, while the system has no thread for another.
    running: Option<Running>,
}

impl Place {
    /// Has no worker that takes this place accept anything. Returns the one that has it.
    fn close(&mut self) -> Option<&Running> {
        self.setup.listeners.clear();
        self.running.as_ref()
    }
}

/// A worker, as the supervisor sees it.
struct Running {
    id: WorkerId,
    commands: Sender<Command>,
}

/// A thread that waits to become a worker, and ends if this is dropped.
pub(super) struct Waiting {
    running: Running,
    start: mpsc::Sender<(WorkerSetup, Option<AccessBuffers>)>,
}

impl Waiting {
    fn start(self, setup: &WorkerSetup, log: Option<&AccessWriters>) -> Running {
        let log = log.map(AccessWriters::buffers);
        // The thread waits for this and cannot have ended.
        let _ = self.start.send((setup.clone(), log));
        self.running
    }

    /// The same, for a worker that serves clients: it is entered in `roster`.
    fn start_for_clients(
        self,
        setup: &WorkerSetup,
        log: Option<&AccessWriters>,
        roster: &Roster,
    ) -> Running {
        let running = self.start(setup, log);
        let counters = Arc::clone(&setup.counters);
        roster.add(running.id, running.commands.clone(), counters);
        // A client may have begun to follow after the worker had looked, and before it was entered.
        let (done, _) = channel();
        running.commands.send(Command::LookAtFeed { done });
        running
    }
}

impl Workers {
    /// No workers yet. The end of each one's thread will be sent to `events`.
    pub(super) fn new(events: EventSender<Event>) -> Self {
        Self {
            threads: WorkerThreads::default(),
            places: Vec::new(),
            control: None,
            retired: Vec::new(),
            adoption: Adoption::default(),
            next_id: 0,
            events,
            roster: Arc::default(),
        }
    }

    /// By which the workers that serve clients reach one another.
    pub(super) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Gets what a further worker needs of the system.
    ///
    /// # Errors
    /// A sentence: the system has no more threads, or no more event queues.
    pub(super) fn prepare_one(&mut self) -> io::Result<Waiting> {
        let id = self.next_id;
        self.next_id += 1;
        let queue = EventQueue::new().map_err(|error| {
            let sentence = format!("the system has no event queue for a further worker ({error})");
            io::Error::new(error.kind(), sentence)
        })?;
        let (commands, received) = channel();
        let (start, started) = mpsc::channel();
        let events = self.events.clone();
        self.threads.execute(move || {
            let Ok((setup, log)) = started.recv() else {
                return;
            };
            let outcome = catch_panic(|| server::run(queue, setup, log, received));
            if let Ok(Err(error)) = outcome {
                diagnostic::error(format_args!("a worker cannot wait for events: {error}"));
            }
            // The supervisor is gone only while the process ends.
            let _ = events.send(Event::WorkerEnded(id));
        })?;
        let running = Running { id, commands };
        Ok(Waiting { running, start })
    }

    /// Gets what is needed for as many workers as `count`, beyond those there are.
    ///
    /// # Errors
    /// As [`prepare_one`](Self::prepare_one); then nothing has changed.
    pub(super) fn prepare(&mut self, count: usize) -> io::Result<Vec<Waiting>> {
        let further = count.saturating_sub(self.places.len());
        (0..further).map(|_| self.prepare_one()).collect()
    }

    /// Starts a worker for each setup.
    pub(super) fn start(
        &mut self,
        setups: impl Iterator<Item = WorkerSetup>,
        waiting: Vec<Waiting>,
        log: Option<&AccessWriters>,
    ) {
        for (setup, waiting) in setups.zip(waiting) {
            let running = Some(waiting.start_for_clients(&setup, log, &self.roster));
            self.places.push(Place { setup, running });
        }
    }

    /// Starts the worker of the control socket. It keeps no access log.
    pub(super) fn start_control(&mut self, setup: WorkerSetup, waiting: Waiting) {
        let running = Some(waiting.start(&setup, None));
        self.control = Some(Place { setup, running });
    }

    /// Has the worker of the control socket accept from `listeners` alone, and any that takes its place.
    pub(super) fn replace_control(&mut self, listeners: Vec<server::ListeningSocket>) {
        let Some(place) = &mut self.control else {
            return;
        };
        place.setup.listeners = listeners.clone();
        if let Some(worker) = &place.running {
            // It is not waited for: until it accepts, commands wait in the queue of the socket.
            let (mut adoption, acknowledge) = Adoption::new();
            let generation = &place.setup.generation;
            adoption.ask(worker, None, generation, listeners, &acknowledge);
        }
    }

    /// How many workers run, retired ones included, without that of the control socket.
    pub(super) fn count(&self) -> usize {
        let running = self.places.iter().filter(|place| place.running.is_some());
        running.count() + self.retired.len()
    }

    /// How many threads of workers run, that of the control socket included.
    pub(super) fn threads(&self) -> usize {
        let control = self.control.iter().filter(|place| place.running.is_some());
        self.count() + control.count()
    }

    /// Takes note that a worker's thread has ended. Returns whether it died, so that its place is to
    /// be filled: connections queue at its sockets meanwhile.
    pub(super) fn ended(&mut self, id: WorkerId) -> bool {
        self.roster.remove(id);
        self.retired.retain(|worker| worker.id != id);
        let is_it =
            |place: &&mut Place| place.running.as_ref().is_some_and(|worker| worker.id == id);
        let mut places = self.places.iter_mut().chain(&mut self.control);
        let vacant = places.find(is_it);
        vacant.map(|place| place.running = None).is_some()
    }

    /// Whether a worker died in whose place there is none yet.
    pub(super) fn has_vacancy(&self) -> bool {
        let mut places = self.places.iter().chain(&self.control);
        places.any(|place| place.running.is_none())
    }

    /// Starts workers in the places of those that died.
    ///
    /// # Errors
    /// As [`prepare_one`](Self::prepare_one); the places that are left stay vacant.
    pub(super) fn fill(&mut self, log: Option<&AccessWriters>) -> io::Result<()> {
        while self.has_vacancy() {
            let waiting = self.prepare_one()?;
            let is_vacant = |place: &&mut Place| place.running.is_none();
            if let Some(place) = self.places.iter_mut().find(is_vacant) {
                let running = waiting.start_for_clients(&place.setup, log, &self.roster);
                place.running = Some(running);
            } else if let Some(place) = &mut self.control {
                place.running = Some(waiting.start(&place.setup, None));
            }
        }
        Ok(())
    }

    /// Tells every worker to adopt its new setup, starts workers for further setups, and retires
    /// surplus workers, which adopt `generation` as well, for the connections that they still have.
    /// Returns when all have acknowledged, or after [`ADOPT_TIMEOUT`]; then [`late`](Self::late) names
    /// the others.
    pub(super) fn adopt(
        &mut self,
        generation: &Arc<Generation>,
        setups: Vec<WorkerSetup>,
        waiting: Vec<Waiting>,
        log: Option<&AccessWriters>,
    ) {
        let surplus = setups.len().min(self.places.len());
        let (mut adoption, acknowledge) = Adoption::new();
        let surplus: Vec<Place> = self.places.drain(surplus..).collect();
        let surplus = surplus.into_iter().filter_map(|place| place.running);
        let already = self.retired.len();
        self.retired.extend(surplus);
        for (nth, worker) in self.retired.iter().enumerate() {
            adoption.ask(worker, None, generation, Vec::new(), &acknowledge);
            if nth >= already {
                worker.commands.send(Command::Retire);
            }
        }
        let mut setups = setups.into_iter();
        for (place, setup) in self.places.iter_mut().zip(&mut setups) {
            let (index, listeners) = (setup.index, setup.listeners.clone());
            place.setup = setup;
            if let Some(worker) = &place.running {
                adoption.ask(worker, index, generation, listeners, &acknowledge);
            }
        }
        drop(acknowledge);
        self.start(setups, waiting, log);
        adoption.wait();
        self.adoption = adoption;
    }

    /// The workers that have not adopted the current generation yet, as the operator knows them.
    pub(super) fn late(&mut self) -> Vec<String> {
        self.adoption.late()
    }

    /// Tells every worker that another process serves: it accepts nothing more, and ends with its last
    /// connection. None will be replaced.
    pub(super) fn leave(&mut self) {
        let places = self.places.drain(..).chain(self.control.take());
        self.retired
            .extend(places.filter_map(|place| place.running));
        for worker in &self.retired {
            worker.commands.send(Command::Leave);
        }
    }

    /// Tells every worker to finish its exchanges within `grace`, and to end. A worker that dies
    /// meanwhile is not replaced.
    pub(super) fn drain(&mut self, grace: Duration) {
        let running = self.places.iter_mut().filter_map(Place::close);
        for worker in running.chain(&self.retired) {
            worker.commands.send(Command::Drain(grace));
        }
        // Those who follow learn of the exchanges that are cut when `grace` is over.
        self.drain_control(grace.saturating_add(FOLLOWERS_MARGIN));
    }

    /// The same, of the worker of the control socket once the others have ended: it has the time that the last
    /// lines need, and none for a follower who reads nothing.
    pub(super) fn drain_last(&mut self) {
        self.drain_control(FOLLOWERS_MARGIN);
    }

    fn drain_control(&mut self, within: Duration) {
        if let Some(control) = self.control.as_mut().and_then(Place::close) {
            control.commands.send(Command::Drain(within));
        }
    }
}

/// A worker that finds no more commands cuts what is under way.
impl Drop for Workers {
    fn drop(&mut self) {
        self.roster.clear();
    }
}

/// Which workers have not adopted a generation yet.
#[derive(Default)]
struct Adoption {
    /// `None` before the first.
    acknowledged: Option<mpsc::Receiver<WorkerId>>,
    /// Those who were asked, each with its index; a retired one has none.
    awaited: Vec<(WorkerId, Option<usize>)>,
}

impl Adoption {
    /// Returns it with what workers acknowledge by.
    fn new() -> (Self, mpsc::Sender<WorkerId>) {
        let (sender, receiver) = mpsc::channel();
        let adoption = Self {
            acknowledged: Some(receiver),
            awaited: Vec::new(),
        };
        (adoption, sender)
    }

    /// Asks `worker` to adopt `generation` and to accept from `listeners`.
    fn ask(
        &mut self,
        worker: &Running,
        index: Option<usize>,
        generation: &Arc<Generation>,
        listeners: Vec<server::ListeningSocket>,
        acknowledge: &mpsc::Sender<WorkerId>,
    ) {
        self.awaited.push((worker.id, index));
        worker.commands.send(Command::Adopt {
            generation: Arc::clone(generation),
            listeners,
            done: Acknowledgement::new(worker.id, acknowledge.clone()),
        });
    }

    /// Waits until every worker has acknowledged, or [`ADOPT_TIMEOUT`] is over.
    fn wait(&mut self) {
        let deadline = Instant::now() + ADOPT_TIMEOUT;
        while let Some(acknowledged) = self
            .acknowledged
            .as_ref()
            .filter(|_| !self.awaited.is_empty())
        {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(id) = acknowledged.recv_timeout(left) else {
                return;
            };
            self.awaited.retain(|(awaited, _)| *awaited != id);
        }
    }

    /// Those who have not acknowledged until now.
    fn late(&mut self) -> Vec<String> {
        while let Some(Ok(id)) = self.acknowledged.as_ref().map(mpsc::Receiver::try_recv) {
            self.awaited.retain(|(awaited, _)| *awaited != id);
        }
        let name = |(_, index): &(WorkerId, Option<usize>)| match index {
            Some(index) => format!("worker {index}"),
            None => "a retired worker".to_owned(),
        };
        self.awaited.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reload that is refused leaves no threads behind.
    #[test]
    fn what_is_prepared_and_not_started_ends_by_itself() {
        let (events, ended) = mpsc::channel();
        let mut workers = Workers::new(events);
        let waiting = workers.prepare(3).expect("the system has three threads");
        assert_eq!((waiting.len(), workers.threads()), (3, 0));
        drop(waiting);
        drop(workers);
        // Every thread had a sender, and none of them ran as a worker.
        assert!(ended.recv().is_err());
    }
}
