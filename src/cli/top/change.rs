//! What happened between two snapshots: rates, and durations from the difference of their buckets.

use std::collections::{BTreeMap, HashMap};

use super::snapshot::{Series, Snapshot, Upstream, UpstreamServer};

/// Two snapshots of one process, of which the first may be missing: nothing is known then of any rate.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) from: Option<&'a Snapshot>,
    pub(super) to: &'a Snapshot,
}

/// What can be said of how long exchanges took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantile {
    /// There was none.
    None,
    /// Microseconds.
    At(f64),
    /// Longer than the largest bound, in microseconds.
    Beyond(u64),
}

/// The exchanges of one route.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteChange {
    /// Of the whole process.
    pub(super) total: u64,
    /// In the time of the change, as what follows.
    pub(super) requests: u64,
    pub(super) client_errors: u64,
    pub(super) server_errors: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) buckets: Vec<u64>,
}

impl<'a> Change<'a> {
    /// The time between the snapshots, in seconds; `None` if there is none.
    pub(super) fn seconds(&self) -> Option<f64> {
        let milliseconds = self.to.time_ms - self.from?.time_ms;
        (milliseconds > 0).then_some(milliseconds as f64 / 1000.0)
    }

    /// How often something happened in a second.
    pub(super) fn rate(&self, count: u64) -> Option<f64> {
        Some(count as f64 / self.seconds()?)
    }

    /// The rate of a total that `read` reads of a snapshot.
    pub(super) fn rate_of(&self, read: impl Fn(&Snapshot) -> u64) -> Option<f64> {
        self.rate(read(self.to).saturating_sub(read(self.from?)))
    }

    /// The time on CPUs by the time that passed: 1 is one CPU that was busy all the time.
    pub(super) fn cpu(&self) -> Option<f64> {
        let (from, to) = (self.from?.process.cpu_us?, self.to.process.cpu_us?);
        Some(to.saturating_sub(from) as f64 / 1e6 / self.seconds()?)
    }

    /// The routes by server and key.
    pub(super) fn routes(&self) -> BTreeMap<(&'a str, &'a str), RouteChange> {
        let before: HashMap<_, _> = self
            .from
            .iter()
            .flat_map(|from| &from.series)
            .map(|series| (key(series), series))
            .collect();
        let mut routes = BTreeMap::<_, RouteChange>::new();
        for series in &self.to.series {
            let route = (&*series.server, &*series.route);
            let earlier = before.get(&key(series)).copied();
            routes.entry(route).or_default().add(series, earlier);
        }
        routes
    }

    /// How many took how long, over all routes.
    pub(super) fn buckets(&self) -> Vec<u64> {
        let mut sum = Vec::new();
        for route in self.routes().values() {
            add(&mut sum, &route.buckets);
        }
        sum
    }

    /// A quantile of durations that are counted in buckets.
    pub(super) fn quantile(&self, buckets: &[u64], part: f64) -> Quantile {
        quantile(&self.to.bounds_us, buckets, part)
    }

    /// An upstream, as the first of the snapshots had it.
    pub(super) fn earlier_upstream(&self, upstream: &Upstream) -> Option<&'a Upstream> {
        let mut all = self.from?.upstreams.iter();
        all.find(|earlier| earlier.name == upstream.name)
    }

    /// A server of an upstream, as the first of the snapshots had it.
    pub(super) fn earlier_server(
        &self,
        upstream: &Upstream,
        server: &UpstreamServer,
    ) -> Option<&'a UpstreamServer> {
        let mut all = self.earlier_upstream(upstream)?.servers.iter();
        all.find(|earlier| earlier.address == server.address)
    }
}

/// What tells series apart.
fn key(series: &Series) -> (&str, &str, &str, usize) {
    (&series.server, &series.route, &series.method, series.class)
}

impl RouteChange {
    /// Counts what `series` has more than it had `earlier`. A series that was not there had nothing.
    fn add(&mut self, series: &Series, earlier: Option<&Series>) {
        let since = |read: fn(&Series) -> u64| {
            let before = earlier.map_or(0, read);
            read(series).saturating_sub(before)
        };
        let requests = since(|series| series.count);
        self.total += series.count;
        self.requests += requests;
        match series.class {
            4 => self.client_errors += requests,
            5 => self.server_errors += requests,
            _ => {}
        }
        self.received += since(|series| series.received);
        self.sent += since(|series| series.sent);
        let before = |index: usize| {
            let bucket = earlier.and_then(|series| series.buckets.get(index));
            bucket.copied().unwrap_or(0)
        };
        let buckets = series.buckets.iter().enumerate();
        let buckets: Vec<u64> = buckets
            .map(|(index, count)| count.saturating_sub(before(index)))
            .collect();
        add(&mut self.buckets, &buckets);
    }
}

fn add(sum: &mut Vec<u64>, more: &[u64]) {
    sum.resize(sum.len().max(more.len()), 0);
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

/// The duration below which `part` of the exchanges stay, as Prometheus estimates it from a histogram: within
/// a bucket they are taken to be spread evenly.
fn quantile(bounds_us: &[u64], buckets: &[u64], part: f64) -> Quantile {
    let all: u64 = buckets.iter().sum();
    if all == 0 {
        return Quantile::None;
    }
    let rank = part * all as f64;
    let mut before = 0;
    for (index, count) in buckets.iter().enumerate() {
        if *count > 0 && (before + count) as f64 >= rank {
            let Some(upper) = bounds_us.get(index) else {
                break;
            };
            let lower = index.checked_sub(1).map_or(0, |index| bounds_us[index]);
            let within = (rank - before as f64).max(0.0) / *count as f64;
            return Quantile::At(lower as f64 + upper.saturating_sub(lower) as f64 * within);
        }
        before += count;
    }
    Quantile::Beyond(bounds_us.last().copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{series, snapshot};
    use super::*;

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let bounds = [1000, 2000, 4000];
        for (buckets, part, expected) in [
            (&[0, 0, 0, 0][..], 0.5, Quantile::None),
            (&[10, 0, 0, 0], 0.5, Quantile::At(500.0)),
            (&[5, 5, 0, 0], 0.5, Quantile::At(1000.0)),
            (&[5, 5, 0, 0], 0.9, Quantile::At(1800.0)),
            (&[0, 0, 100, 0], 0.99, Quantile::At(3980.0)),
            (&[98, 0, 0, 2], 0.99, Quantile::Beyond(4000)),
            (&[1], 1.0, Quantile::At(1000.0)),
        ] {
            assert_eq!(
                quantile(&bounds, buckets, part),
                expected,
                "{buckets:?} {part}"
            );
        }
    }

    #[test]
    fn a_route_sums_its_methods_and_classes_and_counts_what_is_new() {
        let mut from = snapshot(1_000);
        from.series = vec![series("/", 2, 10), series("/", 5, 1)];
        let mut to = snapshot(3_000);
        to.series = vec![series("/", 2, 30), series("/", 5, 4), series("/new", 4, 2)];
        let change = Change {
            from: Some(&from),
            to: &to,
        };
        let routes = change.routes();
        let root = &routes[&("localhost", "/")];
        assert_eq!((root.total, root.requests), (34, 23));
        assert_eq!((root.client_errors, root.server_errors), (0, 3));
        assert_eq!(root.buckets.iter().sum::<u64>(), 23);
        assert_eq!(change.rate(root.requests), Some(11.5));
        let new = &routes[&("localhost", "/new")];
        assert_eq!((new.requests, new.client_errors), (2, 2));
        assert_eq!(change.buckets().iter().sum::<u64>(), 25);
    }

    #[test]
    fn one_snapshot_alone_has_totals_and_no_rates() {
        let to = snapshot(1_000);
        let change = Change {
            from: None,
            to: &to,
        };
        assert_eq!(change.rate(5), None);
        assert_eq!(change.cpu(), None);
        assert_eq!(change.rate_of(|snapshot| snapshot.requests), None);
        let same = Change {
            from: Some(&to),
            to: &to,
        };
        assert_eq!(same.rate(5), None, "no time has passed");
    }

    #[test]
    fn cpu_is_in_cpus() {
        let (mut from, mut to) = (snapshot(0), snapshot(2_000));
        from.process.cpu_us = Some(1_000_000);
        to.process.cpu_us = Some(4_000_000);
        let change = Change {
            from: Some(&from),
            to: &to,
        };
        assert_eq!(change.cpu(), Some(1.5));
    }
}
