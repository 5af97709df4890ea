//! A place for a connection that is one too many: the connection of a client that has been idle longest
//! is given up for it, whichever worker has that.
//!
//! ```text
//! this worker                              every worker, this one included
//!  ├─ Command::OldestIdle ───────────────→ │ since when is your oldest one idle?
//!  │ ←──────────────────────────── instant ┤
//!  ├─ Command::GiveUpIdle → the oldest ──→ │ closes it
//!  │ ←───────────────────────────── closed ┤
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::Worker;
use super::run::Command;
use crate::log::limited;
use crate::metrics::Counters;
use crate::runtime::{self, Sender, channel};

/// How long a worker may take to reply; one that takes longer keeps its connections.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many connections of a worker may wait for a place at once. They are over `max_connections`.
const MAX_WAITING: usize = 256;

/// The workers of a server, by which one of them reaches the others.
#[derive(Default)]
pub(crate) struct Roster(Mutex<Vec<Member>>);

/// A worker on the roster.
#[derive(Clone)]
struct Member {
    id: u64,
    commands: Sender<Command>,
    counters: Arc<Counters>,
}

/// A worker at one moment.
pub(crate) struct LoopReport {
    /// The worker's number.
    pub(crate) id: u64,
    /// How long its event loop took to answer; `None`: it has not answered in time.
    pub(crate) delay: Option<Duration>,
    /// What the worker has counted, and the workers before it that died in its place.
    pub(crate) counters: Arc<Counters>,
}

impl Roster {
    /// Adds the worker of that number.
    pub(crate) fn add(&self, id: u64, commands: Sender<Command>, counters: Arc<Counters>) {
        self.lock().push(Member {
            id,
            commands,
            counters,
        });
    }

    /// Removes the worker of that number.
    pub(crate) fn remove(&self, id: u64) {
        self.lock().retain(|known| known.id != id);
    }

    /// Removes all workers: their supervisor is gone.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Has every worker look who follows. `done` is dropped everywhere once all have looked.
    pub(crate) fn look_at_feed(&self, done: &Sender<()>) {
        for worker in self.all() {
            let done = done.clone();
            worker.send(Command::LookAtFeed { done });
        }
    }

    /// Has the tunnels of every worker look whether their routes and servers are still there.
    pub(crate) fn look_at_tunnels(&self) {
        for worker in self.all() {
            worker.send(Command::LookAtTunnels);
        }
    }

    /// Asks every worker to send how long it took to answer. Returns how many were asked.
    pub(crate) fn probe(&self, reply: &Sender<Duration>) -> usize {
        self.probe_each(|_| {
            let reply = reply.clone();
            move |delay| reply.send(delay)
        })
        .len()
    }

    /// Describes each worker, by its number. Waits `patience` for event loops that do not answer, so it is
    /// for a thread that may wait.
    pub(crate) fn report(&self, patience: Duration) -> Vec<LoopReport> {
        let (reply, replies) = mpsc::channel();
        let asked = self.probe_each(|id| {
            let reply = reply.clone();
            move |delay| {
                // The receiver may have lost its patience.
                let _ = reply.send((id, delay));
            }
        });
        drop(reply);
        let unanswered = |Member { id, counters, .. }| LoopReport {
            id,
            delay: None,
            counters,
        };
        let mut reports: Vec<_> = asked.into_iter().map(unanswered).collect();
        let deadline = Instant::now() + patience;
        let left = || deadline.saturating_duration_since(Instant::now());
        while let Ok((id, delay)) = replies.recv_timeout(left()) {
            let of_worker = reports.iter_mut().filter(|report| report.id == id);
            of_worker.for_each(|report| report.delay = Some(delay));
        }
        reports.sort_by_key(|report| report.id);
        reports
    }

    /// Asks every worker to call what `reply` returns for its number. Returns who was asked.
    fn probe_each<R: FnOnce(Duration) + Send + 'static>(
        &self,
        reply: impl Fn(u64) -> R,
    ) -> Vec<Member> {
        let workers = self.lock().clone();
        for Member { id, commands, .. } in &workers {
            let (sent, reply) = (Instant::now(), Box::new(reply(*id)));
            commands.send(Command::Probe { sent, reply });
        }
        workers
    }

    fn all(&self) -> Vec<Sender<Command>> {
        let workers = self.lock();
        workers
            .iter()
            .map(|worker| worker.commands.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Member>> {
        // A panic cannot leave the vector half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Tells the operator that as many connections are open as may be, and whether one was given up.
    pub(super) fn tell_that_it_is_full(&self, max_connections: usize, has_place: bool) {
        let what = if has_place {
            "the one that was idle longest is closed for each new one"
        } else {
            "none is idle, and new ones are answered 503"
        };
        limited::warn(format_args!(
            "max_connections = {max_connections} are open: {what}"
        ));
    }

    /// Whether one more connection may wait for a place.
    pub(super) fn may_wait_for_place(&self) -> bool {
        self.waiting_for_place.get() < MAX_WAITING
    }

    /// Has the connection given up that has been idle longest. Returns whether there was one.
    pub(super) async fn make_place(&self) -> bool {
        self.waiting_for_place.set(self.waiting_for_place.get() + 1);
        let has_place = give_up_oldest(&self.roster.all()).await;
        self.waiting_for_place.set(self.waiting_for_place.get() - 1);
        has_place
    }
}

/// Has the worker among `workers` whose connection has been idle longest give it up, or the next one if
/// that was used meanwhile. Returns whether one did.
async fn give_up_oldest(workers: &[Sender<Command>]) -> bool {
    for (_, place) in oldest_of_each(workers).await {
        let (reply, mut replies) = channel();
        workers[place].send(Command::GiveUpIdle { reply });
        if let Ok(Some(true)) = runtime::timeout(PATIENCE, replies.receive()).await {
            return true;
        }
    }
    false
}

/// The workers that have an idle connection, by their place in `workers`, and since when: the oldest first.
async fn oldest_of_each(workers: &[Sender<Command>]) -> Vec<(Instant, usize)> {
    let (reply, mut replies) = channel();
    for (place, worker) in workers.iter().enumerate() {
        let reply = reply.clone();
        worker.send(Command::OldestIdle { place, reply });
    }
    drop(reply);
    let mut found = Vec::new();
    // Without the workers that do not reply in time.
    let _ = runtime::timeout(PATIENCE, async {
        while let Some((place, since)) = replies.receive().await {
            found.extend(since.map(|since: Instant| (since, place)));
        }
    })
    .await;
    found.sort();
    found
}
