//! The servers behind one name, and the choice among them.
//!
//! ```text
//! members ─ not tried yet, not drained ─→ of the lowest tier ─ `balance` ─→ one ─→ Chosen
//!                 │                         that has a fit one                     │ succeeded, failed
//!                 └ none is fit, but some are in a pause: the one that              ↓
//!                   failed least recently                                        its Server
//! ```

mod choice;
mod outlook;
mod upkeep;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::answers::Answers;
use super::balance::{Random, Rotation};
use super::budget::Budget;
use super::chosen::{Chosen, OfGroup};
use super::members::Member;
use super::orders::Orders;
use super::report;
use super::server::Servers;
use super::wanted::Wanted;
use crate::config::model::{self, Balance};
use crate::reason::Reason;
use crate::runtime;
use crate::tls::Connector;

/// The servers of `[upstreams.NAME]`, shared by all workers.
#[derive(Debug)]
pub(crate) struct Group {
    options: model::Upstream,
    of_group: Arc<OfGroup>,
    servers: Arc<Servers>,
    answers: Answers,
    /// `None` if TLS is spoken to none of its servers.
    connector: Option<Arc<Connector>>,
    /// A generation after it serves: its servers do not count as listed any more.
    is_retired: AtomicBool,
    /// What the operator has ordered. A thread holds the lock also while it changes `members` or `is_retired`.
    orders: Mutex<Orders>,
    /// Replaced as a whole when a name leads elsewhere. Workers read it without a lock.
    members: ArcSwap<Vec<Member>>,
    rotation: Rotation,
    random: Random,
    budget: Budget,
}

/// What a request says about its server.
#[derive(Clone, Copy, Default)]
struct Wish<'r> {
    /// The hash of what `hash` names.
    key: Option<u64>,
    /// The value of the cookie of `sticky`.
    cookie: Option<&'r [u8]>,
}

/// Why no server was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoServer {
    #[error("none of its names leads to an address")]
    Unknown,
    #[error("none of the app's processes is ready")]
    NotReady,
    #[error("every server was tried, is unhealthy, or was drained")]
    AllFailed,
    #[error("every server has as many requests as `max_connections` lets it have")]
    AllBusy,
    #[error(
        "every server has as many requests as `max_connections` lets it have, and as many wait for one as \
         `queue` lets wait"
    )]
    QueueFull,
    #[error(
        "every server had as many requests as `max_connections` lets it have, for as long as `queue` lets a \
         request wait"
    )]
    QueueLate,
}

impl NoServer {
    /// The reason of the response in its place.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Unknown => Reason::UpstreamUnknown,
            Self::NotReady => Reason::UpstreamNotReady,
            Self::AllFailed => Reason::UpstreamAllFailed,
            Self::AllBusy => Reason::UpstreamBusy,
            Self::QueueFull => Reason::UpstreamQueueFull,
            Self::QueueLate => Reason::UpstreamQueueTimeout,
        }
    }
}

impl Group {
    /// The group of `options`. What is known of its servers is in `servers`; `connector` is there if TLS is
    /// spoken to one of them.
    pub(crate) fn new(
        options: &model::Upstream,
        servers: &Arc<Servers>,
        connector: Option<Arc<Connector>>,
    ) -> Self {
        let of_group = OfGroup {
            name: options.name.clone(),
            failures: options.failures.clone(),
        };
        let group = Self {
            options: options.clone(),
            of_group: Arc::new(of_group),
            servers: Arc::clone(servers),
            answers: Answers::new(options, servers),
            connector,
            is_retired: AtomicBool::new(false),
            orders: Mutex::default(),
            members: ArcSwap::default(),
            rotation: Rotation::new(),
            random: Random::new(),
            budget: Budget::new(Instant::now()),
        };
        group.renew_members();
        group
    }

    /// [`new`](Self::new), as all workers share it. The group of an application has its processes.
    pub(crate) fn shared(
        options: &model::Upstream,
        servers: &Arc<Servers>,
        connector: Option<Arc<Connector>>,
    ) -> Arc<Self> {
        let group = Arc::new(Self::new(options, servers, connector));
        if options.is_app() {
            let follower = Arc::downgrade(&group);
            let renew = move || {
                let group = follower.upgrade();
                group.is_some_and(|group| {
                    group.renew_members();
                    true
                })
            };
            servers.instances.follow(Box::new(renew));
        }
        group
    }

    /// What is known of its servers in all generations.
    pub(crate) fn known_servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// The operator's settings of the upstream.
    pub(crate) fn options(&self) -> &model::Upstream {
        &self.options
    }

    /// Chooses a server for a request; none of those in `tried`, by their ids. While all servers
    /// are busy, a request that has been sent to no server waits in line, as `queue` says. A
    /// request that has been sent to one does not wait again: its client gets what that server
    /// said.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Cancellation
    /// The request leaves the line.
    pub(crate) async fn choose(
        &self,
        wanted: Wanted<'_>,
        tried: &[u64],
    ) -> Result<Chosen, NoServer> {
        match self.choose_unless_busy(wanted, tried) {
            Some(chosen) => chosen,
            None => self.wait_in_line(wanted).await,
        }
    }

    /// [`choose`](Self::choose), without a wait: `None` if the request has to [wait](Self::wait_in_line).
    pub(crate) fn choose_unless_busy(
        &self,
        wanted: Wanted<'_>,
        tried: &[u64],
    ) -> Option<Result<Chosen, NoServer>> {
        let (is_first, now) = (tried.is_empty(), runtime::now());
        if is_first {
            self.budget.note_request(now);
        }
        let may_wait = is_first && self.options.queue.max > 0;
        if may_wait && self.servers.line.length() > 0 {
            return None;
        }
        let chosen = self.choose_of_serving(wanted, tried, now);
        if !is_first && chosen.is_ok() {
            self.servers.further_tries.fetch_add(1, Ordering::Relaxed);
        }
        let has_to_wait = may_wait && matches!(chosen, Err(NoServer::AllBusy));
        (!has_to_wait).then_some(chosen)
    }

    /// Has a request for which no server was tried wait until one has room.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Cancellation
    /// The request leaves the line.
    pub(crate) async fn wait_in_line(&self, wanted: Wanted<'_>) -> Result<Chosen, NoServer> {
        let (queue, line) = (&self.options.queue, &self.servers.line);
        let mut place = line.join(queue.max).ok_or(NoServer::QueueFull)?;
        let until = runtime::now() + queue.within;
        // Only the first of the line looks for a server; the others wait as if all servers were busy.
        let mut chosen = if place.is_first() {
            self.choose_of_serving(wanted, &[], runtime::now())
        } else {
            Err(NoServer::AllBusy)
        };
        loop {
            match chosen {
                Ok(chosen) => return Ok(chosen),
                Err(why) if runtime::now() >= until => {
                    return Err(match why {
                        NoServer::AllBusy => NoServer::QueueLate,
                        // All servers were drained or failed while the request waited, and none
                        // came back in time.
                        why => why,
                    });
                }
                Err(_) => place.wait(until).await,
            }
            chosen = self.choose_of_serving(wanted, &[], runtime::now());
        }
    }

    /// How many requests wait for one of its servers, of all generations.
    pub(crate) fn waiting(&self) -> usize {
        self.servers.line.length()
    }

    /// How often a server was chosen for a request because one before it had failed, of all generations.
    pub(crate) fn further_tries(&self) -> u64 {
        self.servers.further_tries.load(Ordering::Relaxed)
    }

    /// Whether one of its servers is asked at `now`.
    pub(crate) fn has_server(&self, now: Instant) -> bool {
        let members = self.members.load();
        members
            .iter()
            .any(|member| report::state(member, now).is_asked())
    }

    /// [`choose`](Self::choose) at `now`, without a wait, from the servers of the generation that serves. A
    /// request that waits may outlive the generation that it began with: if it waited for the servers of that
    /// one, it would not get the room that a reload has made, but a server that the reload has left out, or
    /// that was drained since.
    fn choose_of_serving(
        &self,
        wanted: Wanted<'_>,
        tried: &[u64],
        now: Instant,
    ) -> Result<Chosen, NoServer> {
        let is_retired = self.is_retired.load(Ordering::Relaxed);
        match is_retired.then(|| self.servers.serving::<Self>()).flatten() {
            Some(serving) => serving.choose_now(wanted, tried, now),
            // Its own also if the configuration that serves has no upstream of that name.
            None => self.choose_now(wanted, tried, now),
        }
    }

    /// [`choose`](Self::choose) at `now`, without a wait, from its own servers.
    fn choose_now(
        &self,
        wanted: Wanted<'_>,
        tried: &[u64],
        now: Instant,
    ) -> Result<Chosen, NoServer> {
        let sticky = self.options.sticky.as_ref();
        let wish = Wish {
            key: match &self.options.balance {
                Balance::Hash(key) => wanted.key(key),
                _ => None,
            },
            cookie: sticky.and_then(|sticky| wanted.cookie(&sticky.cookie)),
        };
        self.choose_at(wish, tried, now)
    }

    /// Whether one more request may be sent again, to another server or the same. If so, it is counted.
    pub(crate) fn may_repeat(&self, now: Instant) -> bool {
        self.budget.may_repeat(now)
    }
}

pub(crate) use outlook::ServerOutlook;

#[cfg(test)]
mod tests;
