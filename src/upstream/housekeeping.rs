//! Work for upstreams that no request causes: names are looked up again, and servers are asked whether they
//! are well.
//!
//! One task for the whole process does it, on a loop of its own ([`keep`]), so that a hundred workers do
//! not ask a hundred times. The supervisor hands it the upstreams of each new generation.
//!
//! ```text
//! supervisor ─ the upstreams of a generation ─→ keep ─┬ a task for each name ─→ look-up, on a thread
//!                                                     └ a task for each `health` ─→ check
//! workers ←── the list of servers, replaced as a whole ── Group::adopt_answer
//!         ←── the health of a server, an atomic ───────── Group::note_health
//! ```

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::check;
use super::connection::Buffers;
use super::group::Group;
use super::names::{self, Target};
use super::server::Server;
use crate::address::UpstreamAddress;
use crate::runtime::{self, BlockingPool, Receiver};

/// Threads that look names up. A look-up waits for other machines; more names than this at once are rare.
const LOOK_UP_THREADS: usize = 4;

/// Look-ups that may wait for a thread.
const LOOK_UP_QUEUE: usize = 4096;

/// The time to the next look-up after one that failed; it doubles with each, up to `resolve`.
const FIRST_REPEAT: Duration = Duration::from_secs(1);

/// How names are looked up: on a thread that may wait.
type LookUp = Arc<dyn Fn(&UpstreamAddress) -> io::Result<Vec<Target>> + Send + Sync>;

/// Looks after the last groups that came, until their sender is gone.
pub(crate) async fn keep(groups: Receiver<Vec<Arc<Group>>>) {
    keep_with(groups, Arc::new(names::look_up)).await;
}

/// The groups that are looked after at present. Their tasks end when it is dropped.
struct House {
    groups: Vec<Arc<Group>>,
    pool: Arc<BlockingPool>,
    look_up: LookUp,
    buffers: Rc<Buffers>,
}

async fn keep_with(mut groups: Receiver<Vec<Arc<Group>>>, look_up: LookUp) {
    let pool = BlockingPool::new(LOOK_UP_THREADS, LOOK_UP_QUEUE);
    let buffers = Rc::new(Buffers::default());
    let mut present = None;
    while let Some(groups) = groups.receive().await {
        let house = Rc::new(House {
            groups,
            pool: Arc::clone(&pool),
            look_up: Arc::clone(&look_up),
            buffers: Rc::clone(&buffers),
        });
        for (nth, group) in house.groups.iter().enumerate() {
            for (place, _) in group.names() {
                runtime::spawn(watch_name(Rc::downgrade(&house), nth, place));
            }
            runtime::spawn(watch_health(Rc::downgrade(&house), nth));
        }
        // What was looked after until now is dropped.
        present = Some(house);
    }
    drop(present);
}

/// Looks the name at `place` of a group up again and again.
async fn watch_name(house: Weak<House>, nth: usize, place: usize) {
    let Some(known) = house
        .upgrade()
        .map(|house| house.groups[nth].has_answer(place))
    else {
        return;
    };
    let mut pace = Pace::new(known);
    while let Some(wait) = house.upgrade().map(|house| pace.wait(house.resolve(nth))) {
        runtime::sleep(wait).await;
        let Some(present) = house.upgrade() else {
            return;
        };
        let found = present.look_up_now(nth, place).await;
        let is_first_failure = !matches!(pace, Pace::Failed(_));
        pace = pace.after(found.is_ok());
        let group = &present.groups[nth];
        match found {
            Ok(targets) => group.adopt_answer(place, targets),
            Err(error) if is_first_failure => group.tell_of_failed_look_up(place, &error),
            Err(_) => {}
        }
    }
}

/// Asks the servers of a group again and again whether they are well, if its `health` says so.
async fn watch_health(house: Weak<House>, nth: usize) {
    let under_way = Rc::<RefCell<HashSet<u64>>>::default();
    while let Some(present) = house.upgrade() {
        let group = &present.groups[nth];
        let Some(every) = group.options().health.as_ref().map(|check| check.every) else {
            return;
        };
        for (server, host) in group.servers() {
            // One that takes longer than `every` is not asked twice at once.
            if under_way.borrow_mut().insert(server.id()) {
                let (group, buffers) = (Arc::clone(group), Rc::clone(&present.buffers));
                let under_way = Rc::clone(&under_way);
                runtime::spawn(async move {
                    check(&group, &server, &host, &buffers).await;
                    under_way.borrow_mut().remove(&server.id());
                });
            }
        }
        drop(present);
        runtime::sleep(every).await;
    }
}

/// Asks one server, and takes note of its answer.
async fn check(group: &Group, server: &Server, host: &str, buffers: &Buffers) {
    if let Some(check) = &group.options().health {
        let answer = check::ask(server, host, check, buffers).await;
        group.note_health(server, answer, runtime::now());
    }
}

impl House {
    fn resolve(&self, nth: usize) -> Duration {
        self.groups[nth].options().resolve
    }

    /// What the name at `place` of a group leads to.
    async fn look_up_now(&self, nth: usize, place: usize) -> io::Result<Vec<Target>> {
        let name = self.groups[nth].options().servers[place].address.clone();
        let look_up = Arc::clone(&self.look_up);
        let found = self.pool.run(move || look_up(&name)).await;
        found.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// When a name is looked up next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// At once.
    Unknown,
    Known,
    /// The last look-up failed, and the next one is so long after it.
    Failed(Duration),
}

impl Pace {
    /// `is_known`: the name was looked up when the configuration was read.
    fn new(is_known: bool) -> Self {
        if is_known { Self::Known } else { Self::Unknown }
    }

    /// The time from the last look-up to the next, where `resolve` is that between two good ones.
    fn wait(self, resolve: Duration) -> Duration {
        match self {
            Self::Unknown => Duration::ZERO,
            Self::Known => resolve,
            Self::Failed(wait) => wait.min(resolve),
        }
    }

    /// After a look-up.
    fn after(self, is_good: bool) -> Self {
        match self {
            _ if is_good => Self::Known,
            Self::Failed(wait) => Self::Failed(wait.saturating_mul(2)),
            Self::Unknown | Self::Known => Self::Failed(FIRST_REPEAT),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc;

    use super::*;
    use crate::config::model::{Place, Upstream, UpstreamServer};
    use crate::runtime::channel;

    #[test]
    fn a_name_is_looked_up_again_soon_after_a_failure() {
        let resolve = Duration::from_secs(5);
        let mut pace = Pace::new(true);
        assert_eq!(pace.wait(resolve), resolve);
        assert_eq!(Pace::new(false).wait(resolve), Duration::ZERO);
        for expected in [1, 2, 4, 5, 5] {
            pace = pace.after(false);
            assert_eq!(pace.wait(resolve), Duration::from_secs(expected));
        }
        assert_eq!(pace.after(true).wait(resolve), resolve);
    }

    fn group(found: Vec<SocketAddr>, resolve: Duration) -> Arc<Group> {
        let address = UpstreamAddress::Name {
            name: "app".to_owned(),
            port: 80,
            found,
        };
        let servers = vec![UpstreamServer::at(address)];
        let mut options = Upstream::of("shop".to_owned(), servers, Place::of_program("test"));
        options.resolve = resolve;
        Arc::new(Group::new(&options, &Arc::default(), None))
    }

    /// Looks after `groups` with a look-up that asks `answers`, one after the other, until they have no
    /// more.
    fn keep_until_asked(groups: Vec<Arc<Group>>, answers: Vec<io::Result<Vec<Target>>>) {
        let (sender, receiver) = channel();
        let (more, answers_left) = (sender.clone(), mpsc::channel());
        answers.into_iter().for_each(|answer| {
            answers_left.0.send(answer).expect("the receiver is there");
        });
        let answers = std::sync::Mutex::new(Some((answers_left.1, more)));
        let look_up = move |_: &UpstreamAddress| {
            let mut answers = answers.lock().expect("no look-up panics");
            match answers.as_ref().map(|(left, _)| left.try_recv()) {
                Some(Ok(answer)) => answer,
                _ => {
                    // Its sender is dropped here, and that is the end.
                    *answers = None;
                    Err(io::ErrorKind::NotFound.into())
                }
            }
        };
        sender.send(groups);
        drop(sender);
        runtime::run(keep_with(receiver, Arc::new(look_up))).expect("a loop");
    }

    #[test]
    fn a_name_that_was_not_found_is_looked_up_at_once_and_then_again() {
        let group = group(Vec::new(), Duration::from_millis(1));
        assert!(!group.has_answer(0));
        let at = |port| Target::at(([127, 0, 0, 1], port).into());
        let failure = || Err(io::ErrorKind::TimedOut.into());
        let answers = vec![
            failure(),
            Ok(vec![at(1)]),
            Ok(vec![at(2), at(3)]),
            failure(),
        ];
        keep_until_asked(vec![Arc::clone(&group)], answers);
        let servers = group.servers();
        let addresses: Vec<_> = servers
            .iter()
            .map(|(server, _)| server.address().clone())
            .collect();
        let expected = [2, 3].map(|port| UpstreamAddress::Ip(([127, 0, 0, 1], port).into()));
        assert_eq!(addresses, expected, "the last good answer is kept");
    }

    #[test]
    fn groups_of_a_generation_before_are_not_looked_after() {
        let old = group(Vec::new(), Duration::from_secs(600));
        let (sender, receiver) = channel();
        let (asked, asks) = mpsc::channel();
        let look_up = move |_: &UpstreamAddress| {
            asked.send(()).expect("the test waits");
            Err(io::ErrorKind::NotFound.into())
        };
        sender.send(vec![Arc::clone(&old)]);
        sender.send(Vec::new());
        drop(sender);
        runtime::run(keep_with(receiver, Arc::new(look_up))).expect("a loop");
        assert!(asks.recv().is_err(), "no name was looked up");
        assert_eq!(Arc::strong_count(&old), 1, "nothing holds it");
    }
}
