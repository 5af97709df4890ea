//! Which exchanges are counted together: those of one route, and those of a server that no route answers.
//!
//! A series is named by the server's first host and the route's key, never by a path that a client sends, so
//! that there are as many as the configuration has routes. It keeps its number as long as the process runs:
//! a route that a reload leaves as it is goes on counting, and one that a reload removes keeps its counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most series of a process. Programs may replace their configuration for as long as they run, with other
/// routes each time; the exchanges of further routes are counted together.
const MAX_SERIES: usize = 65_536;

/// What stands in a label for what is not known.
pub(crate) const UNKNOWN: &str = "-";

/// The number of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SeriesId(u32);

impl SeriesId {
    /// The series of requests that belong to no server: they could not be read, or no server answers for
    /// their host.
    pub(crate) const NONE: Self = Self(0);

    /// The number, from 0.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The names of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesName {
    pub(crate) server: Arc<str>,
    pub(crate) route: Arc<str>,
}

impl SeriesName {
    pub(crate) fn new(server: &str, route: &str) -> Self {
        Self {
            server: server.into(),
            route: route.into(),
        }
    }
}

/// All series of a process, by their names.
#[derive(Debug)]
pub(crate) struct AllSeries(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<SeriesName, SeriesId>,
    /// By their numbers.
    names: Vec<SeriesName>,
}

impl Default for AllSeries {
    fn default() -> Self {
        let mut known = Known::default();
        let none = known.add(SeriesName::new(UNKNOWN, UNKNOWN));
        debug_assert_eq!(none, SeriesId::NONE);
        Self(Mutex::new(known))
    }
}

impl AllSeries {
    /// The series of these names, which is made if there is none.
    pub(crate) fn find(&self, server: &str, route: &str) -> SeriesId {
        let name = SeriesName::new(server, route);
        let mut known = self.lock();
        match known.by_name.get(&name) {
            Some(id) => *id,
            None => known.add(name),
        }
    }

    /// The names of all series, by their numbers.
    pub(crate) fn names(&self) -> Vec<SeriesName> {
        self.lock().names.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, name: SeriesName) -> SeriesId {
        if self.names.len() >= MAX_SERIES {
            return self.further();
        }
        self.push(name)
    }

    /// The series of all for which there is no room.
    fn further(&mut self) -> SeriesId {
        let name = SeriesName::new("further servers", "further routes");
        match self.by_name.get(&name) {
            Some(id) => *id,
            None => self.push(name),
        }
    }

    fn push(&mut self, name: SeriesName) -> SeriesId {
        let id = SeriesId(u32::try_from(self.names.len()).expect("they are limited"));
        self.names.push(name.clone());
        self.by_name.insert(name, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_the_same_series_whenever_it_is_asked_for() {
        let all = AllSeries::default();
        let first = all.find("a.example", "/");
        assert_eq!(all.find("a.example", "/"), first);
        assert_ne!(all.find("a.example", "/b"), first);
        assert_ne!(all.find("b.example", "/"), first);
        assert_eq!(all.find(UNKNOWN, UNKNOWN), SeriesId::NONE);
        assert_eq!(
            all.names()[first.index()],
            SeriesName::new("a.example", "/")
        );
    }

    #[test]
    fn routes_without_end_share_the_last_series() {
        let all = AllSeries::default();
        let ids: Vec<SeriesId> = (0..MAX_SERIES + 3)
            .map(|nth| all.find("a", &nth.to_string()))
            .collect();
        assert_eq!(ids[MAX_SERIES], ids[MAX_SERIES + 2]);
        assert_ne!(ids[0], ids[MAX_SERIES]);
        assert_eq!(all.names().len(), MAX_SERIES + 1);
    }
}
