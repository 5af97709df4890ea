//! Which server of a group a request gets: the one that its cookie names, or the one that `balance` says.
//!
//! If all servers are in a pause, one is asked all the same, because 502 for every client until a pause
//! is over would be worse than a try. nginx then forgets the failures of all, so that each client goes
//! through all the servers that are down; here a request meets the one that has had most time to
//! come back, and the first success ends that server's pause.

use std::time::Instant;

use super::{Group, NoServer, Wish};
use crate::config::model::Balance;
use crate::upstream::balance::{self, Candidate};
use crate::upstream::chosen::{Chosen, Role};
use crate::upstream::failures::Standing;
use crate::upstream::members::{Fitness, Member};
use crate::upstream::sticky;

impl Group {
    /// [`choose_now`](Self::choose_now), for a request with `wish`.
    pub(super) fn choose_at(
        &self,
        wish: Wish<'_>,
        tried: &[u64],
        now: Instant,
    ) -> Result<Chosen, NoServer> {
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
            && let Some(chosen) = Self::take(member, now)
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
        if let Some(chosen) = Self::only(members, tried, now) {
            return Ok(chosen);
        }
        // Another worker may take the last place of a server, or its trial, between the look at it and
        // the choice of it. The next look sees that.
        for _ in 0..=members.len() {
            let Some(candidate) = self.pick(members, key, tried, now) else {
                break;
            };
            if let Some(chosen) = Self::take(&members[candidate.nth], now) {
                self.rotation.take_turn(&candidate);
                return Ok(chosen);
            }
        }
        self.last_resort(members, tried, now)
    }

    /// The server of a group that has one, as most groups have, unless something speaks against it. There is
    /// nothing to compare then, and no turn to take.
    fn only(members: &[Member], tried: &[u64], now: Instant) -> Option<Chosen> {
        let [member] = members else {
            return None;
        };
        let is_open = tried.is_empty() && !member.is_drained() && !member.is_unhealthy();
        is_open.then(|| Self::take(member, now))?
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

    /// Takes `member` for a request, unless it has as many requests as it may have, or is in a pause: a request
    /// that is not sent to it is not counted.
    fn take(member: &Member, now: Instant) -> Option<Chosen> {
        let failures = &member.server().failures;
        let is_due = match failures.standing(now) {
            Standing::Asked { .. } => false,
            Standing::Due => true,
            Standing::Paused { .. } | Standing::Tried => return None,
        };
        let mut chosen = Self::begin(member, Role::Ordinary)?;
        if is_due {
            if !failures.begin_trial(now) {
                return None;
            }
            chosen.role = Role::Trial;
        }
        Some(chosen)
    }

    /// If all servers are in a pause, the one that failed least recently.
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
        // Also one that has room again by now: other workers had its last places when this one looked.
        let is_up = |member: &Member| {
            let fitness = member.fitness(now);
            matches!(fitness, Fitness::Busy | Fitness::Fit { .. })
        };
        if open.clone().any(is_up) {
            return Err(NoServer::AllBusy);
        }
        let paused = open.filter(|member| member.fitness(now) == Fitness::Paused);
        match paused.min_by_key(|member| member.server().failures.last()) {
            Some(member) => Self::begin(member, Role::LastResort).ok_or(NoServer::AllBusy),
            None => Err(NoServer::AllFailed),
        }
    }

    /// Counts one request more at `member`, unless it has as many as it may have.
    fn begin(member: &Member, role: Role) -> Option<Chosen> {
        member
            .server()
            .try_begin(member.entry.max_connections)
            .then(|| Chosen::new(&member.of_group, role))
    }
}

#[cfg(test)]
mod tests {
    use super::NoServer;
    use crate::upstream::group::tests::Trial;

    /// A request got 503 because every server had failed, while the only one was well: another worker had had its
    /// last place, and gave it back before this one looked why there was no room.
    #[test]
    fn a_server_that_has_room_again_has_not_failed() {
        let trial = Trial::new(1, |_| {});
        let members = trial.group.members.load();
        let found = trial.group.last_resort(&members, &[], trial.at(0));
        assert_eq!(found.err(), Some(NoServer::AllBusy));
    }
}
