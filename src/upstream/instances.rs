//! The processes of an application that are ready. The supervisor says which they are, and all
//! generations of the upstream choose among them from then on.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::address::UpstreamAddress;

/// What is said of the processes of one application.
#[derive(Default)]
pub(super) struct Instances {
    /// Where those listen that are ready.
    ready: Mutex<Vec<UpstreamAddress>>,
    followers: Mutex<Vec<Follower>>,
}

/// Looks at the list again. Returns whether it wants to be called another time.
type Follower = Box<dyn Fn() -> bool + Send + Sync>;

impl Instances {
    /// Where those listen that are ready.
    pub(super) fn ready(&self) -> Vec<UpstreamAddress> {
        lock(&self.ready).clone()
    }

    /// Replaces the list. When this returns, every follower has looked at it.
    pub(super) fn set_ready(&self, ready: Vec<UpstreamAddress>) {
        *lock(&self.ready) = ready;
        lock(&self.followers).retain(|follower| follower());
    }

    /// Calls `follower` now, and whenever the list was replaced.
    pub(super) fn follow(&self, follower: Follower) {
        let mut followers = lock(&self.followers);
        if follower() {
            followers.push(follower);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock does no harm: every change is one assignment, so that none is left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ready()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::model::{Place, Upstream};
    use crate::upstream::group::Group;
    use crate::upstream::server::Servers;

    fn address(port: u16) -> UpstreamAddress {
        UpstreamAddress::Ip(([127, 0, 0, 1], port).into())
    }

    fn group(servers: &Arc<Servers>) -> Arc<Group> {
        let place = Place::of_program("test");
        Group::shared(
            &Upstream::of("app".into(), Vec::new(), place),
            servers,
            None,
        )
    }

    fn addresses(group: &Group) -> Vec<UpstreamAddress> {
        let servers = group.servers();
        servers
            .iter()
            .map(|(server, _)| server.address().clone())
            .collect()
    }

    #[test]
    fn groups_of_all_generations_have_the_processes_that_are_ready() {
        let servers = Arc::<Servers>::default();
        let first = group(&servers);
        assert_eq!(addresses(&first), []);
        servers.set_ready(vec![address(1), address(2)]);
        let second = group(&servers);
        let ready = [address(1), address(2)];
        assert_eq!(
            (&addresses(&first)[..], &addresses(&second)[..]),
            (&ready[..], &ready[..])
        );
        servers.set_ready(vec![address(3)]);
        assert_eq!(addresses(&first), [address(3)]);
        assert_eq!(addresses(&second), [address(3)]);
    }
}
