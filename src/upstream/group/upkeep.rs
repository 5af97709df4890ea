//! What changes in a group while it serves: the addresses that its names lead to, the health of its servers, and
//! which of them the operator has drained.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::Group;
use crate::address::UpstreamAddress;
use crate::log::diagnostic;
use crate::upstream::answers;
use crate::upstream::check::Unwell;
use crate::upstream::members::members;
use crate::upstream::names::{Target, is_name};
use crate::upstream::report::ServerReport;
use crate::upstream::server::Server;
use crate::upstream::sticky::Signer;

impl Group {
    /// Its servers, as they are now.
    pub(crate) fn report(&self, now: Instant) -> Vec<ServerReport> {
        let members = self.members.load();
        let report = |member| ServerReport::of(member, now);
        members.iter().map(report).collect()
    }

    /// Drains the server at the address `word`, or all servers of that name, or lets them have requests again.
    /// That holds until a reload, also for servers that come, or come back, later. Returns whether there is such
    /// a server now, or such an order was given before.
    pub(crate) fn set_drained(&self, word: &str, is_drained: bool) -> bool {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let members = self.members.load();
        let is_present = |word: &str| members.iter().any(|member| member.entry.is_called(word));
        if !is_present(word) && !orders.has(word) {
            return false;
        }
        orders.give(word, is_drained, is_present);
        let meant = members.iter().filter(|member| member.entry.is_called(word));
        meant.for_each(|member| member.set_drained(is_drained));
        true
    }

    /// Whether names have to be looked up again, or servers have to be asked whether they are well.
    pub(crate) fn needs_housekeeping(&self) -> bool {
        self.names().next().is_some() || self.options.health.is_some()
    }

    /// Its servers at present, each with what `Host` says of it.
    pub(in crate::upstream) fn servers(&self) -> Vec<(Arc<Server>, Arc<str>)> {
        let members = self.members.load();
        members
            .iter()
            .map(|member| (Arc::clone(member.server()), Arc::clone(&member.entry.host)))
            .collect()
    }

    /// Takes note of the answer of a server that was asked whether it is well. If this process had no descriptor
    /// left to ask it, nothing is known, and the server counts as before.
    pub(in crate::upstream) fn note_health(
        &self,
        server: &Server,
        answer: Result<(), Unwell>,
        now: Instant,
    ) {
        let Some(check) = &self.options.health else {
            return;
        };
        if self.is_retired.load(Ordering::Relaxed) {
            // The question is of a generation that serves no more.
            return;
        }
        server.health.follow(Some(check));
        let subject = format_args!("upstream {}: {}", self.options.name, server.address());
        if let Err(unwell) = &answer {
            diagnostic::debug(format_args!("{subject}: GET {}: {unwell}", check.path));
            if unwell.is_ours() {
                // One subject for all servers: they lack the same.
                diagnostic::warn_limited(
                    format_args!("health of upstream {}", self.options.name),
                    format_args!(
                        "{subject} cannot be asked whether it is well, and counts as before: GET {}: {unwell}",
                        check.path
                    ),
                );
                return;
            }
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
    pub(in crate::upstream) fn names(&self) -> impl Iterator<Item = (usize, &UpstreamAddress)> {
        let addresses = self.options.servers.iter().map(|server| &server.address);
        addresses
            .enumerate()
            .filter(|(_, address)| is_name(address))
    }

    /// Whether the name at that place leads anywhere.
    pub(in crate::upstream) fn has_answer(&self, nth: usize) -> bool {
        self.answers.has(nth)
    }

    /// Takes note that the name at that place leads to `targets`. Servers to which nothing leads any more
    /// get no further requests, and connections to them are not kept.
    pub(in crate::upstream) fn adopt_answer(&self, nth: usize, targets: Vec<Target>) {
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
    pub(in crate::upstream) fn tell_of_failed_look_up(&self, nth: usize, error: &io::Error) {
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
    pub(in crate::upstream) fn renew_members(&self) {
        let sticky = self.options.sticky.as_ref();
        let signer = sticky.map(|sticky| Signer::new(sticky, &self.options.name));
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.members.load();
        let entries = if self.options.is_app() {
            let entries = answers::of_instances(self.servers.instances.ready(), &self.options);
            // A process that has ended does not come back: another one may get its port.
            orders.keep_those_of(&entries);
            entries
        } else {
            self.answers.entries(&self.options, self.connector.as_ref())
        };
        let signer = signer.as_ref();
        let members = members(entries, &self.of_group, &self.servers, signer, |entry| {
            orders.is_drained(entry)
        });
        if self.is_retired.load(Ordering::Relaxed) {
            members.iter().for_each(|member| member.set_in_force(false));
        }
        self.members.store(Arc::new(members));
        // Not left to the drop of the old list: a worker may still read that.
        before.iter().for_each(|member| member.set_in_force(false));
        let has_lost = before.iter().any(|member| !member.server().is_listed());
        drop(orders);
        if has_lost {
            self.servers.departures.tell();
        }
    }

    /// Says that the generation of this group serves, perhaps again.
    pub(crate) fn revive(self: &Arc<Self>) {
        self.set_retired(false);
        self.servers.set_serving(self);
        let members = self.members.load();
        members
            .iter()
            .for_each(|member| member.server().health.follow(self.options.health.as_ref()));
    }

    /// Says that another generation serves in place of this group's. Exchanges that began before choose among
    /// the servers of that one's group, and among the servers of this group if that generation has no such
    /// upstream. A tunnel or a kept connection to a server that only this group has is not wanted any more.
    pub(crate) fn retire(&self) {
        self.set_retired(true);
    }

    fn set_retired(&self, is_retired: bool) {
        let _orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_retired.store(is_retired, Ordering::Relaxed);
        let members = self.members.load();
        members
            .iter()
            .for_each(|member| member.set_in_force(!is_retired));
    }
}
