//! Whether each server of a group would be asked at one moment, as `explain` tells it.

use std::fmt;
use std::time::Instant;

use serde_json::Value;

use super::Group;
use crate::upstream::members::{Fitness, Member};
use crate::upstream::report::ServerReport;

/// One server of an upstream, and whether a request would be sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerOutlook {
    pub(crate) report: ServerReport,
    outlook: Outlook,
}

/// Whether a request that has been to no server would be sent to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlook {
    /// It is one of those that `balance` chooses from.
    Now,
    /// Only if the servers of lower tiers can have no request.
    Spare,
    /// It has as many requests as it may have.
    Busy,
    /// It is in a pause, but so are the other servers, and it failed least recently.
    LastResort,
    /// It is drained, unhealthy, or in a pause.
    No,
}

impl Group {
    /// Its servers as they are at `now`, and which of them would be asked. A cookie that names a server is
    /// not considered.
    pub(crate) fn outlook(&self, now: Instant) -> Vec<ServerOutlook> {
        let members = self.members.load();
        let is_fit = |member: &&Member| {
            !member.is_drained() && matches!(member.fitness(now), Fitness::Fit { .. })
        };
        let tier = members
            .iter()
            .filter(is_fit)
            .map(|member| member.entry.tier);
        let tier = tier.min();
        let is_paused =
            |member: &&Member| !member.is_drained() && member.fitness(now) == Fitness::Paused;
        let is_busy =
            |member: &Member| !member.is_drained() && member.fitness(now) == Fitness::Busy;
        let all_are_paused = tier.is_none() && !members.iter().any(is_busy);
        let last_resort = members.iter().filter(is_paused);
        let last_resort = last_resort.min_by_key(|member| member.server().failures.last());
        let outlook = |member: &Member| match member.fitness(now) {
            _ if member.is_drained() => Outlook::No,
            Fitness::Fit { .. } if Some(member.entry.tier) == tier => Outlook::Now,
            Fitness::Fit { .. } => Outlook::Spare,
            Fitness::Busy => Outlook::Busy,
            Fitness::Paused
                if all_are_paused && last_resort.is_some_and(|last| std::ptr::eq(last, member)) =>
            {
                Outlook::LastResort
            }
            Fitness::Paused | Fitness::Unhealthy => Outlook::No,
        };
        let of_member = |member: &Member| ServerOutlook {
            report: ServerReport::of(member, now),
            outlook: outlook(member),
        };
        members.iter().map(of_member).collect()
    }
}

impl ServerOutlook {
    /// Describes it for a program.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = self.report.to_json();
        json["asked"] = self.outlook.word().into();
        json
    }
}

/// One line, as `explain` prints it.
impl fmt::Display for ServerOutlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, outlook } = self;
        write!(f, "{} {report}; {outlook}", report.address)
    }
}

impl Outlook {
    fn word(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Spare => "spare",
            Self::Busy => "busy",
            Self::LastResort => "last_resort",
            Self::No => "no",
        }
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "would be asked",
            Self::Spare => "would be asked if no other could be",
            Self::Busy => "would not be asked: it has its max_connections",
            Self::LastResort => "would be asked, because no other can be",
            Self::No => "would not be asked",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Outlook::{self, Busy, LastResort, No, Now, Spare};
    use crate::upstream::group::tests::Trial;

    fn outlooks(trial: &Trial, seconds: u64) -> Vec<Outlook> {
        let outlooks = trial.group.outlook(trial.at(seconds));
        outlooks.iter().map(|server| server.outlook).collect()
    }

    #[test]
    fn it_says_who_would_be_asked() {
        let trial = Trial::new(3, |options| {
            options.servers[1].max_connections = Some(1);
            options.servers[2].backup = true;
        });
        assert_eq!(outlooks(&trial, 0), [Now, Now, Spare]);
        assert_eq!(trial.fail(0), 1);
        let busy = trial.choose(0, &[]);
        assert_eq!(outlooks(&trial, 0), [No, Busy, Now]);
        assert_eq!(trial.fail(1), 3);
        assert_eq!(outlooks(&trial, 1), [No, Busy, No]);
        drop(busy);
        assert!(trial.group.set_drained("127.0.0.1:2", true));
        assert_eq!(outlooks(&trial, 1), [LastResort, No, No]);
        assert_eq!(outlooks(&trial, 5), [Now, No, No]);
    }
}
