//! One server of an upstream, as all workers see it, and how it is found again.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::departures::Departures;
use super::failures::Record;
use super::health::Health;
use super::instances::Instances;
use super::line::Line;
use super::names::{LastAnswers, Target};
use super::security::{Security, SecurityKey};
use crate::address::UpstreamAddress;

/// A server at one address, and what is known of it. It stays the same through reloads that leave its
/// upstream's name, its address and its TLS as they are.
#[derive(Debug)]
pub(crate) struct Server {
    id: u64,
    /// An IP address and port, a port of localhost, or a Unix socket.
    address: UpstreamAddress,
    /// The same as text, for the records of requests.
    name: Arc<str>,
    /// `None`: connections to it are plain.
    security: Option<Arc<Security>>,
    /// Requests under way at the server, of all workers together, in the lower [`IN_FLIGHT_BITS`]; above
    /// them, those that have begun since the start. One instruction counts both.
    requests: AtomicU64,
    /// How many groups that serve list it: none, once its name leads elsewhere, or a reload has left it out.
    listings: AtomicUsize,
    /// Whether a kept connection to it stayed open, the last time that this was seen.
    stays: AtomicBool,
    /// The requests that wait for a server of the upstream.
    line: Arc<Line>,
    pub(super) failures: Record,
    pub(super) health: Health,
}

impl Server {
    /// A server of which nothing is known yet.
    #[cfg(test)]
    pub(crate) fn new(address: UpstreamAddress) -> Self {
        Self::with_line(address, None, Arc::default())
    }

    /// A server of which nothing is known yet, for whose upstream requests wait in `line`.
    fn with_line(
        address: UpstreamAddress,
        security: Option<Arc<Security>>,
        line: Arc<Line>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: address.to_string().into(),
            address,
            security,
            requests: AtomicU64::new(0),
            listings: AtomicUsize::new(0),
            stays: AtomicBool::new(false),
            line,
            failures: Record::new(Instant::now()),
            health: Health::default(),
        }
    }

    /// A number that no other server of the process has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &UpstreamAddress {
        &self.address
    }

    /// Its address as text.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How TLS is spoken to it; `None`: connections to it are plain.
    pub(super) fn security(&self) -> Option<&Arc<Security>> {
        self.security.as_ref()
    }

    /// Whether TLS is spoken to it.
    pub(crate) fn is_secure(&self) -> bool {
        self.security.is_some()
    }

    /// Whether a request that must not be sent twice may go over a kept connection to the server.
    /// Over TCP, the end of a connection tells whether the request arrived. If it arrived, it
    /// cannot be sent again, and the client gets 502. A server that closes its connections just
    /// after its responses, without `Connection: close`, would cause that often; so the server must
    /// be known to leave connections open. Over TLS and over Unix sockets, it cannot be told
    /// whether the request arrived.
    pub(crate) fn is_fit_for_once(&self) -> bool {
        let is_tcp = !matches!(self.address, UpstreamAddress::Unix(_));
        is_tcp && !self.is_secure() && self.stays()
    }

    /// Whether a kept connection to the server stayed open, the last time that this was seen.
    pub(super) fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }

    /// Takes note that a kept connection to the server has stayed open, or that the server closed
    /// one without `Connection: close`.
    pub(crate) fn note_stay(&self, stays: bool) {
        if self.stays() != stays {
            self.stays.store(stays, Ordering::Relaxed);
        }
    }

    /// Whether the server still belongs to an upstream. If not, no connection to it is kept.
    pub(crate) fn is_listed(&self) -> bool {
        self.listings.load(Ordering::Relaxed) > 0
    }

    /// Requests under way at the server, of all workers together.
    pub(super) fn in_flight(&self) -> usize {
        under_way(self.requests.load(Ordering::Relaxed))
    }

    /// Requests that have begun at the server, of all workers together.
    pub(super) fn begun(&self) -> u64 {
        self.requests.load(Ordering::Relaxed) >> IN_FLIGHT_BITS
    }

    /// Counts one request more, unless it has `max` already. Returns whether it did.
    pub(super) fn try_begin(&self, max: Option<usize>) -> bool {
        let Some(max) = max else {
            self.requests.fetch_add(ONE_MORE, Ordering::Relaxed);
            return true;
        };
        let one_more = |count| (under_way(count) < max).then(|| count.wrapping_add(ONE_MORE));
        let relaxed = Ordering::Relaxed;
        self.requests
            .fetch_update(relaxed, relaxed, one_more)
            .is_ok()
    }

    /// Counts one request less, and calls a request that waits in the line.
    pub(super) fn end(&self) {
        self.requests.fetch_sub(1, Ordering::SeqCst);
        self.line.call();
    }
}

/// More requests than a server can have under way at once.
const IN_FLIGHT_BITS: u32 = 20;

/// What a request adds that begins.
const ONE_MORE: u64 = (1 << IN_FLIGHT_BITS) + 1;

/// How many of the requests in `count` are under way.
fn under_way(count: u64) -> usize {
    (count & ((1 << IN_FLIGHT_BITS) - 1)) as usize
}

/// A server in a list. While the list is in force, it counts among the lists that the server is in.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) server: Arc<Server>,
    is_counted: AtomicBool,
}

impl Listed {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let listed = Self {
            server,
            is_counted: AtomicBool::new(false),
        };
        listed.set_in_force(true);
        listed
    }

    /// Says whether the list is in force. A list that is not may live for as long as an exchange that began
    /// with it.
    pub(super) fn set_in_force(&self, is_in_force: bool) {
        let listings = &self.server.listings;
        match (
            self.is_counted.swap(is_in_force, Ordering::Relaxed),
            is_in_force,
        ) {
            (false, true) => listings.fetch_add(1, Ordering::Relaxed),
            (true, false) => listings.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => return,
        };
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.set_in_force(false);
    }
}

/// What tells a server of an upstream from the others: its address, and how TLS is spoken to it.
type ServerKey = (UpstreamAddress, Option<SecurityKey>);

/// What is known of the upstream of one name, in all generations.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    /// Its servers.
    known: Mutex<HashMap<ServerKey, Weak<Server>>>,
    answers: LastAnswers,
    /// The requests that wait for one of them.
    pub(super) line: Arc<Line>,
    /// How often one of them was chosen for a request because one before it had failed.
    pub(super) further_tries: AtomicU64,
    /// Those of an application: where its processes listen.
    pub(super) instances: Instances,
    /// What is called when one of them is in no list any more.
    pub(super) departures: Departures,
    /// The group of the generation that serves; nothing until a reload. Only groups keep and ask for it, and the
    /// servers know no group.
    serving: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
}

impl Servers {
    /// The server at `address`: the one that is in use, or another.
    pub(super) fn at(&self, address: &UpstreamAddress) -> Arc<Server> {
        self.at_with(address, None)
    }

    /// The server at `address` to which TLS is spoken as `security` says.
    pub(super) fn at_with(
        &self,
        address: &UpstreamAddress,
        security: Option<&Arc<Security>>,
    ) -> Arc<Server> {
        let key = (
            address.clone(),
            security.map(|security| security.key().clone()),
        );
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = known.get(&key).and_then(Weak::upgrade) {
            return server;
        }
        known.retain(|_, server| server.strong_count() > 0);
        let (security, line) = (security.cloned(), Arc::clone(&self.line));
        let server = Arc::new(Server::with_line(address.clone(), security, line));
        known.insert(key, Arc::downgrade(&server));
        server
    }

    /// Takes note of where the processes of an application listen that are ready. When this returns,
    /// workers choose no others.
    pub(crate) fn set_ready(&self, ready: Vec<UpstreamAddress>) {
        self.instances.set_ready(ready);
    }

    /// Has `teller` called whenever one of them has left the list, unless the upstream has a teller already.
    pub(crate) fn tell_of_departures_by(&self, teller: impl Fn() + Send + Sync + 'static) {
        self.departures.tell_by(teller);
    }

    /// The group of the generation that serves. Exchanges that began with an earlier one choose from it.
    pub(super) fn serving<G: Any + Send + Sync>(&self) -> Option<Arc<G>> {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let group = serving.as_ref()?.upgrade()?;
        group.downcast().ok()
    }

    /// Says that the generation of `group` serves.
    pub(super) fn set_serving<G: Any + Send + Sync>(&self, group: &Arc<G>) {
        let group: Weak<G> = Arc::downgrade(group);
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(group);
    }

    /// How many requests the server at `address` has.
    pub(crate) fn in_flight(&self, address: &UpstreamAddress) -> usize {
        self.at(address).in_flight()
    }

    /// The last good answer to the question where `name` leads; nothing if there has been none.
    pub(super) fn last_answer(&self, name: &UpstreamAddress) -> Vec<Target> {
        self.answers.get(name)
    }

    /// Keeps a good answer, for a generation whose own look-up fails.
    pub(super) fn keep_answer(&self, name: &UpstreamAddress, targets: &[Target]) {
        self.answers.put(name, targets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> UpstreamAddress {
        UpstreamAddress::Ip(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn a_server_is_found_again_while_anybody_uses_it() {
        let servers = Servers::default();
        let first = servers.at(&address(1));
        assert!(Arc::ptr_eq(&first, &servers.at(&address(1))));
        assert_ne!(first.id(), servers.at(&address(2)).id());
        let id = first.id();
        drop(first);
        assert_ne!(id, servers.at(&address(1)).id());
    }

    #[test]
    fn no_more_requests_than_its_maximum_are_begun() {
        let server = Server::new(address(1));
        let begun = (0..5).filter(|_| server.try_begin(Some(3)));
        assert_eq!((begun.count(), server.in_flight()), (3, 3));
        assert!(server.try_begin(None));
        server.end();
        assert_eq!((server.in_flight(), server.begun()), (3, 4));
    }

    #[test]
    fn a_server_is_listed_while_a_list_has_it() {
        let server = Arc::new(Server::new(address(1)));
        assert!(!server.is_listed());
        let lists = [(), ()].map(|()| Listed::new(Arc::clone(&server)));
        assert!(server.is_listed());
        lists.iter().for_each(|list| list.set_in_force(false));
        assert!(!server.is_listed(), "no list is in force");
        lists[0].set_in_force(true);
        assert!(server.is_listed());
        drop(lists);
        assert!(!server.is_listed());
    }
}
