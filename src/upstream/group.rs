//! The servers behind one name, and the choice among them.
//!
//! ```text
//! members ─ not tried yet, not drained ─→ of the lowest tier ─ `balance` ─→ one ─→ Chosen
//!                 │                         that has a fit one                     │ succeeded, failed
//!                 └ none is fit, but some are in a pause: the one that              ↓
//!                   failed least recently                                        its Server
//! ```
//!
//! If all servers are in a pause, one is asked all the same, because 502 for every client until a pause
//! is over would be worse than a try. nginx then forgets the failures of all, so that each client goes
//! through all the servers that are down; here a request meets the one that has had most time to
//! come back, and the first success ends that server's pause.

mod outlook;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::answers::{self, Answers};
use super::balance::{self, Candidate, Random, Rotation};
use super::budget::Budget;
use super::check::Unwell;
use super::chosen::{Chosen, OfGroup, Role};
use super::failures::Standing;
use super::members::{Entry, Fitness, Member, members};
use super::names::{Target, is_name};
use super::report::{self, ServerReport};
use super::server::{Server, Servers};
use super::sticky::{self, Signer};
use super::wanted::Wanted;
use crate::address::UpstreamAddress;
use crate::config::model::{self, Balance};
use crate::log::diagnostic;
use crate::reason::Reason;
use crate::runtime;
use crate::tls::Connector;

/// The servers of `[upstreams.NAME]`, shared by all workers.
#[derive(Debug)]
pub(crate) struct Group {
    /// A number that no other group of the process has.
    id: u64,
    options: model::Upstream,
    of_group: Arc<OfGroup>,
    servers: Arc<Servers>,
    answers: Answers,
    /// `None` if TLS is spoken to none of its servers.
    connector: Option<Arc<Connector>>,
    /// A thread holds it while it changes `members`.
    changes: Mutex<()>,
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
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let group = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            options: options.clone(),
            of_group: Arc::new(of_group),
            servers: Arc::clone(servers),
            answers: Answers::new(options, servers),
            connector,
            changes: Mutex::default(),
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
        if may_wait && self.servers.line.has_any_of(self.id) {
            return None;
        }
        let chosen = self.choose_now(wanted, tried, now);
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
        let mut place = line.join(self.id, queue.max).ok_or(NoServer::QueueFull)?;
        let until = runtime::now() + queue.within;
        // Only the first of the line looks for a server; the others wait as if all servers were busy.
        let mut chosen = if place.is_first() {
            self.choose_now(wanted, &[], runtime::now())
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
            chosen = self.choose_now(wanted, &[], runtime::now());
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

    /// [`choose`](Self::choose) at `now`, without a wait.
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

    /// [`choose_now`](Self::choose_now), for a request with `wish`.
    fn choose_at(&self, wish: Wish<'_>, tried: &[u64], now: Instant) -> Result<Chosen, NoServer> {
        let members = self.members.load();
        if members.is_empty() {
            return Err(if self.options.is_app() {
                NoServer::NotReady
            } else {
                NoServer::Unknown
            });
        }
        let named = self.named(&members, wish.cookie);
        if let Some(member) = named.filter(|member| !tried.contains(&member.server().id()))
            && let Fitness::Fit { .. } = member.fitness(now)
            && let Some(chosen) = self.take(member, now)
        {
            return Ok(chosen);
        }
        let mut chosen = self.balanced(&members, wish.key, tried, now)?;
        // A client whose server is busy at the moment goes back to it afterwards.
        let is_busy = |member: &Member| member.fitness(now) == Fitness::Busy;
        if !named.is_some_and(is_busy) {
            self.name(&members, &mut chosen);
        }
        Ok(chosen)
    }

    /// A server for a request whose server no cookie names.
    ///
    /// # Errors
    /// Why there is none.
    fn balanced(
        &self,
        members: &[Member],
        key: Option<u64>,
        tried: &[u64],
        now: Instant,
    ) -> Result<Chosen, NoServer> {
        // Another worker may take the last place of a server, or its trial, between the look at it and
        // the choice of it. The next look sees that.
        for _ in 0..=members.len() {
            let Some(candidate) = self.pick(members, key, tried, now) else {
                break;
            };
            if let Some(chosen) = self.take(&members[candidate.nth], now) {
                self.rotation.take_turn(&candidate);
                return Ok(chosen);
            }
        }
        self.last_resort(members, tried, now)
    }

    /// The member that a client's cookie names. A drained one keeps the clients that it has.
    fn named<'m>(&self, members: &'m [Member], cookie: Option<&[u8]>) -> Option<&'m Member> {
        let cookie = cookie?;
        // The value is no secret: every client of a server has the same one. So it does no harm that
        // the comparison tells by its time how much of it is right.
        let is_it = |member: &&Member| member.cookie().is_some_and(|own| own.as_bytes() == cookie);
        members.iter().find(is_it)
    }

    /// Has the client get the cookie that names its server, with `sticky`.
    fn name(&self, members: &[Member], chosen: &mut Chosen) {
        let Some(sticky) = &self.options.sticky else {
            return;
        };
        let is_it = |member: &&Member| member.server().id() == chosen.server().id();
        let value = members.iter().find(is_it).and_then(Member::cookie);
        chosen.set_cookie = value.map(|value| sticky::set_cookie(sticky, value).into());
    }

    /// The candidate that `balance` says, of the lowest tier that has one.
    fn pick<'m>(
        &self,
        members: &'m [Member],
        key: Option<u64>,
        tried: &[u64],
        now: Instant,
    ) -> Option<Candidate<'m>> {
        let fit = members.iter().enumerate().filter_map(|(nth, member)| {
            let is_open = !member.is_drained() && !tried.contains(&member.server().id());
            match member.fitness(now) {
                Fitness::Fit { share } if is_open => Some((member, nth, share)),
                _ => None,
            }
        });
        let tier = fit.clone().map(|(member, ..)| member.entry.tier).min()?;
        let candidates = fit
            .filter(|(member, ..)| member.entry.tier == tier)
            .map(|(member, nth, share)| member.candidate(nth, share));
        match (&self.options.balance, key) {
            (Balance::LeastConnections, _) => self.rotation.least_connections(candidates),
            (Balance::RandomTwo, _) => balance::random_two(candidates, &self.random),
            (Balance::Hash(_), Some(key)) => balance::by_hash(candidates, key),
            (Balance::RoundRobin | Balance::Hash(_), _) => self.rotation.next(candidates),
        }
    }

    /// Takes `member` for a request, unless it has as many requests as it may have.
    fn take(&self, member: &Member, now: Instant) -> Option<Chosen> {
        let server = member.server();
        let mut chosen = self.begin(member, Role::Ordinary)?;
        match server.failures.standing(now) {
            Standing::Asked { .. } => Some(chosen),
            Standing::Due if server.failures.begin_trial(now) => {
                chosen.role = Role::Trial;
                Some(chosen)
            }
            _ => None,
        }
    }

    /// Of the servers in a pause, the one that failed least recently.
    ///
    /// # Errors
    /// Why there is none.
    fn last_resort(
        &self,
        members: &[Member],
        tried: &[u64],
        now: Instant,
    ) -> Result<Chosen, NoServer> {
        let is_open =
            |member: &&Member| !member.is_drained() && !tried.contains(&member.server().id());
        let open = members.iter().filter(is_open);
        let paused = open
            .clone()
            .filter(|member| member.fitness(now) == Fitness::Paused);
        if let Some(member) = paused.min_by_key(|member| member.server().failures.last()) {
            let chosen = self.begin(member, Role::LastResort);
            return chosen.ok_or(NoServer::AllBusy);
        }
        let is_busy = |member: &Member| member.fitness(now) == Fitness::Busy;
        Err(if open.clone().any(is_busy) {
            NoServer::AllBusy
        } else {
            NoServer::AllFailed
        })
    }

    /// Its servers, as they are now.
    pub(crate) fn report(&self, now: Instant) -> Vec<ServerReport> {
        let members = self.members.load();
        let report = |member| ServerReport::of(member, now);
        members.iter().map(report).collect()
    }

    /// Drains the server at `address`, or all servers of that name, or lets them have requests
    /// again. Returns how many servers there are.
    pub(crate) fn set_drained(&self, address: &str, is_drained: bool) -> usize {
        let _changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let members = self.members.load();
        let is_meant = |member: &&Member| member.is_called(address);
        let meant = members.iter().filter(is_meant);
        meant
            .inspect(|member| member.set_drained(is_drained))
            .count()
    }

    /// Whether names have to be looked up again, or servers have to be asked whether they are well.
    pub(crate) fn needs_housekeeping(&self) -> bool {
        self.names().next().is_some() || self.options.health.is_some()
    }

    /// Its servers at present, each with what `Host` says of it.
    pub(super) fn servers(&self) -> Vec<(Arc<Server>, Arc<str>)> {
        let members = self.members.load();
        members
            .iter()
            .map(|member| (Arc::clone(member.server()), Arc::clone(&member.entry.host)))
            .collect()
    }

    /// Takes note of the answer of a server that was asked whether it is well.
    pub(super) fn note_health(&self, server: &Server, answer: Result<(), Unwell>, now: Instant) {
        let Some(check) = &self.options.health else {
            return;
        };
        let subject = format_args!("upstream {}: {}", self.options.name, server.address());
        if let Err(unwell) = &answer {
            diagnostic::debug(format_args!("{subject}: GET {}: {unwell}", check.path));
        }
        if !server.health.note(answer.is_ok(), check.rises, check.falls) {
            return;
        }
        match answer {
            Ok(()) => {
                server.failures.restart(now);
                diagnostic::info(format_args!(
                    "{subject} is healthy again, and is asked more and more often"
                ));
            }
            Err(unwell) => diagnostic::warn_limited(
                subject,
                format_args!(
                    "{subject} is unhealthy, and not asked until it is well again: GET {}: {unwell}",
                    check.path
                ),
            ),
        }
    }

    /// The names among its servers, each with its place.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &UpstreamAddress)> {
        let addresses = self.options.servers.iter().map(|server| &server.address);
        addresses
            .enumerate()
            .filter(|(_, address)| is_name(address))
    }

    /// Whether the name at that place leads anywhere.
    pub(super) fn has_answer(&self, nth: usize) -> bool {
        self.answers.has(nth)
    }

    /// Takes note that the name at that place leads to `targets`. Servers to which nothing leads any more
    /// get no further requests, and connections to them are not kept.
    pub(super) fn adopt_answer(&self, nth: usize, targets: Vec<Target>) {
        let name = &self.options.servers[nth].address;
        self.servers.keep_answer(name, &targets);
        let list: Vec<String> = targets
            .iter()
            .map(|target| target.address.to_string())
            .collect();
        if self.answers.replace(nth, targets) {
            self.renew_members();
            diagnostic::info(format_args!(
                "upstream {}: {name} leads to {} now",
                self.options.name,
                list.join(", ")
            ));
        }
    }

    /// Tells that the name at that place could not be looked up.
    pub(super) fn tell_of_failed_look_up(&self, nth: usize, error: &io::Error) {
        let (upstream, name) = (&self.options.name, &self.options.servers[nth].address);
        let outcome = if self.has_answer(nth) {
            "what it led to before is still asked"
        } else {
            "it leads nowhere until a look-up succeeds"
        };
        diagnostic::warn_limited(
            format_args!("upstream {upstream}: {name}"),
            format_args!("upstream {upstream}: {name} is not found ({error}): {outcome}"),
        );
    }

    /// Makes the list that workers choose from anew: the servers that the names lead to now, and
    /// the processes that are ready.
    pub(super) fn renew_members(&self) {
        let sticky = self.options.sticky.as_ref();
        let signer = sticky.map(|sticky| Signer::new(sticky, &self.options.name));
        let _changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.members.load();
        let is_drained = |address: &UpstreamAddress| {
            let mut members = before.iter();
            members.any(|member| member.entry.address == *address && member.is_drained())
        };
        let entries = if self.options.is_app() {
            answers::of_instances(self.servers.instances.ready(), &self.options)
        } else {
            self.answers.entries(&self.options, self.connector.as_ref())
        };
        let members = members(entries, &self.servers, signer.as_ref(), is_drained);
        self.members.store(Arc::new(members));
    }

    /// Counts one request more at `member`, unless it has as many as it may have.
    fn begin(&self, member: &Member, role: Role) -> Option<Chosen> {
        let Entry {
            host,
            max_connections,
            ..
        } = &member.entry;
        let server = member.server();
        server
            .try_begin(*max_connections)
            .then(|| Chosen::new(Arc::clone(server), host, &self.of_group, role))
    }
}

pub(crate) use outlook::ServerOutlook;

#[cfg(test)]
mod tests;
