//! What is read of the server for metrics and for snapshots: each number is read in one place, so that both
//! tell the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use super::reloads::{Outcome, Reload, Reloads, Standing};
use crate::control::reach::Readiness;
use crate::generation::Generation;
use crate::log::access::LostLines;
use crate::log::feed::Feed;
use crate::metrics::exchanges::{ExchangeSum, Kind};
use crate::metrics::series::SeriesName;
use crate::metrics::tally::Tally;
use crate::runtime::{PoolState, Pools};
use crate::server::{LoopReport, Roster};
use crate::supervisor::apps::AppsView;

/// How long a reader waits for the event loops.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// What can be read of the server on any thread.
pub(crate) struct Observed {
    pub(super) started: SystemTime,
    pub(crate) readiness: Arc<Readiness>,
    running: ArcSwap<Running>,
    reloads: Mutex<Reloads>,
    tally: Mutex<Tally>,
    roster: Arc<Roster>,
    pools: Pools,
    /// Of each access log.
    lost: Vec<LostLines>,
    pub(super) apps: AppsView,
    /// Has the last exchanges that failed.
    pub(super) feed: Arc<Feed>,
}

/// The configuration that runs.
pub(super) struct Running {
    pub(super) number: u64,
    pub(super) since: SystemTime,
    pub(super) generation: Arc<Generation>,
}

/// The exchanges of one kind in one series.
pub(super) struct SeriesRow {
    pub(super) name: SeriesName,
    pub(super) kind: Kind,
    pub(super) sum: ExchangeSum,
}

impl SeriesRow {
    /// The method, as labels and JSON write it.
    pub(super) fn method(&self) -> &'static str {
        self.kind.method()
    }
}

/// Open connections by what they are.
pub(super) struct OpenConnections {
    pub(super) http: u64,
    pub(super) tunnel: u64,
    pub(super) stream: u64,
}

impl Observed {
    /// What is known at the start, with the first generation.
    pub(crate) fn new(
        generation: &Arc<Generation>,
        pools: &Pools,
        roster: &Arc<Roster>,
        lost: Vec<LostLines>,
        apps: AppsView,
        feed: Arc<Feed>,
    ) -> Arc<Self> {
        let started = SystemTime::now();
        Arc::new(Self {
            started,
            readiness: Arc::default(),
            running: ArcSwap::from_pointee(Running {
                number: 1,
                since: started,
                generation: Arc::clone(generation),
            }),
            reloads: Mutex::default(),
            tally: Mutex::default(),
            roster: Arc::clone(roster),
            pools: pools.clone(),
            lost,
            apps,
            feed,
        })
    }

    /// Takes note that another generation runs.
    pub(crate) fn adopt(&self, number: u64, since: SystemTime, generation: &Arc<Generation>) {
        self.running.store(Arc::new(Running {
            number,
            since,
            generation: Arc::clone(generation),
        }));
    }

    /// Takes note of how a reload ended, after which `generation` runs; `told` is what the operator was told.
    pub(crate) fn note_reload(&self, outcome: Outcome, generation: u64, told: &str) {
        let reload = Reload::now(outcome, generation, told);
        lock(&self.reloads).count(reload);
    }

    /// Takes note of how it ended that a reload was to be taken back, after which `generation` runs. It is no reload
    /// that counts.
    pub(crate) fn note_return(&self, outcome: Outcome, generation: u64, told: &str) {
        let reload = Reload::now(outcome, generation, told);
        lock(&self.reloads).take_back(reload);
    }

    /// How the last reload has left the configuration that runs.
    pub(crate) fn standing(&self) -> Standing {
        lock(&self.reloads).standing()
    }

    /// Whether a route of that key serves, or has served since the process began.
    pub(crate) fn has_route(&self, key: &str) -> bool {
        let running = self.running();
        let names = running.generation.series().names();
        names.iter().any(|name| &*name.route == key)
    }

    /// The counters of all workers.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    pub(super) fn running(&self) -> Arc<Running> {
        self.running.load_full()
    }

    pub(super) fn reloads(&self) -> Reloads {
        lock(&self.reloads).clone()
    }

    /// Each worker, by its number. It waits for the event loops, but not for long.
    pub(super) fn loops(&self) -> Vec<LoopReport> {
        self.roster.report(PATIENCE)
    }

    /// The exchanges that have ended, by the names of their series and by kind.
    pub(super) fn series(&self, running: &Running) -> Vec<SeriesRow> {
        let sums = self.tally().exchanges();
        // Not before: a series may be new, and have been counted in.
        let names = running.generation.series().names();
        let mut rows: Vec<_> = sums
            .into_iter()
            .map(|((series, kind), sum)| SeriesRow {
                name: names[series.index()].clone(),
                kind,
                sum,
            })
            .collect();
        rows.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
        rows
    }

    /// The pools that work for all routes and those of routes together, each with its name.
    pub(super) fn pools(&self, running: &Running) -> [(&'static str, PoolState); 3] {
        let of_routes = running.generation.pool_states();
        let code = of_routes.fold(self.pools.code.state(), PoolState::plus);
        [
            ("disk", self.pools.disk.state()),
            ("archives", self.pools.archives.state()),
            ("code", code),
        ]
    }

    /// How many lines access logs have lost.
    pub(super) fn log_lost(&self) -> u64 {
        self.lost.iter().map(LostLines::count).sum()
    }
}

impl OpenConnections {
    pub(super) fn of(tally: &Tally) -> Self {
        let tunnel = tally.total(|counters| counters.tunnels.read());
        let stream = tally.total(|counters| counters.streams.open.read());
        let open = tally.total(|counters| counters.open.read());
        Self {
            // The counters are read one after the other, while they change.
            http: open.saturating_sub(tunnel + stream),
            tunnel,
            stream,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
