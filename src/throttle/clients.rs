//! How many connections each client has open, of all workers together.
//!
//! Only clients with an open connection are remembered, so that `max_connections` bounds the memory. The
//! count is exact: a place is taken before a connection is served, and given back when it is dropped,
//! whatever became of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Client;

/// Parts of the table, each with a lock of its own: workers that accept at once seldom meet.
const SHARDS: usize = 16;

/// The connections of each client.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// Which shard a client is in.
    hasher: RandomState,
    shards: [Mutex<HashMap<Client, u32>>; SHARDS],
}

/// The place of one connection. It is given back when dropped.
#[derive(Debug)]
pub(crate) struct PlaceOfClient {
    clients: Arc<Clients>,
    client: Client,
}

impl Clients {
    /// Takes a place for one more connection of `client`, which may have `max`; `None`: it has as many.
    pub(crate) fn take(self: &Arc<Self>, client: Client, max: u32) -> Option<PlaceOfClient> {
        let mut shard = self.shard(client);
        let open = shard.get(&client).copied().unwrap_or(0);
        if open >= max {
            return None;
        }
        shard.insert(client, open + 1);
        Some(PlaceOfClient {
            clients: Arc::clone(self),
            client,
        })
    }

    fn shard(&self, client: Client) -> MutexGuard<'_, HashMap<Client, u32>> {
        let shard = self.hasher.hash_one(client) as usize % SHARDS;
        // A panic cannot leave a map half changed.
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PlaceOfClient {
    fn drop(&mut self) {
        if let Entry::Occupied(mut open) = self.clients.shard(self.client).entry(self.client) {
            if *open.get() > 1 {
                *open.get_mut() -= 1;
            } else {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_as_many_places_as_it_may() {
        let clients = Arc::new(Clients::default());
        let (one, other) = (Client::V4([192, 0, 2, 1]), Client::V6([1; 8]));
        let mut places: Vec<_> = (0..3).map(|_| clients.take(one, 3)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(clients.take(one, 3).is_none() && clients.take(other, 3).is_some());
        places.pop();
        let again = clients.take(one, 3);
        assert!(again.is_some() && clients.take(one, 3).is_none());
        // A limit that a reload has lowered holds for new ones.
        assert!(clients.take(one, 1).is_none());
    }

    #[test]
    fn a_client_that_is_gone_is_forgotten() {
        let clients = Arc::new(Clients::default());
        for client in 0..100 {
            drop(clients.take(Client::V4([10, 0, 0, client]), 1));
        }
        let left: usize = clients
            .shards
            .iter()
            .map(|shard| shard.lock().map_or(1, |map| map.len()))
            .sum();
        assert_eq!(left, 0);
    }

    #[test]
    fn is_exact_on_many_threads() {
        let clients = Arc::new(Clients::default());
        let client = Client::V4([192, 0, 2, 1]);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let places = (0..100).map(|_| clients.take(client, 50));
                        places.flatten().collect::<Vec<_>>()
                    })
                })
                .collect();
            let places: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect();
            places.iter().map(Vec::len).sum()
        });
        assert_eq!(taken, 50);
        assert!(clients.take(client, 1).is_some(), "all are given back");
    }
}
