//! The servers of a group at one time, each with its settings. When a name leads elsewhere, the list is
//! replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::balance::{Candidate, Turn};
use super::chosen::{OfGroup, ServerOfGroup};
use super::failures::{FULL_SHARE, Standing};
use super::hash;
use super::security::Security;
use super::server::{Listed, Server, Servers};
use super::sticky::Signer;
use crate::address::UpstreamAddress;

/// What a group says of one of its servers.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// An IP address and port, a port of localhost, or a Unix socket.
    pub(super) address: UpstreamAddress,
    /// What `Host` says of it: the name that leads to it, if one does.
    pub(super) host: Arc<str>,
    /// How TLS is spoken to it; `None`: not at all.
    pub(super) security: Option<Arc<Security>>,
    /// As the operator writes it, which may be a name.
    pub(super) written: String,
    pub(super) weight: u32,
    pub(super) max_connections: Option<usize>,
    /// Whether it must be healthy to be asked: its health is asked for.
    pub(super) is_checked: bool,
    /// Servers of a higher tier are asked only while none of a lower one can be.
    pub(super) tier: u32,
}

impl Entry {
    /// Whether an operator means its server by `name`: its address, or the name that leads to it.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.written == name || self.address.to_string() == name
    }
}

/// A server in its place in a group.
#[derive(Debug)]
pub(super) struct Member {
    listed: Listed,
    pub(super) entry: Entry,
    /// The same for the requests for which it is chosen, of which some outlive this list.
    pub(super) of_group: Arc<ServerOfGroup>,
    turn: Turn,
    /// The hash of its address.
    place: u64,
    /// The value of the cookie that names it, with `sticky`.
    cookie: Option<String>,
    /// The operator has taken it out.
    is_drained: AtomicBool,
}

/// Whether a member can be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    Fit {
        share: u64,
    },
    /// It has as many requests as it may have.
    Busy,
    /// It has said that it is not well.
    Unhealthy,
    /// It is in a pause after failures, or another request tries it after one.
    Paused,
}

impl Member {
    pub(super) fn server(&self) -> &Arc<Server> {
        &self.listed.server
    }

    pub(super) fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Relaxed)
    }

    pub(super) fn is_unhealthy(&self) -> bool {
        self.entry.is_checked && self.server().health.is_bad()
    }

    /// Says whether its group serves: only then it counts as listed.
    pub(super) fn set_in_force(&self, is_in_force: bool) {
        self.listed.set_in_force(is_in_force);
    }

    /// Takes it out, or back in.
    pub(super) fn set_drained(&self, is_drained: bool) {
        self.is_drained.store(is_drained, Ordering::Relaxed);
    }

    /// The value of the cookie that names it, with `sticky`.
    pub(super) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Whether it can be asked for a client that the operator lets it have.
    pub(super) fn fitness(&self, now: Instant) -> Fitness {
        let server = self.server();
        if self.is_unhealthy() {
            return Fitness::Unhealthy;
        }
        let share = match server.failures.standing(now) {
            Standing::Asked { share } => share,
            Standing::Due => FULL_SHARE,
            Standing::Paused { .. } | Standing::Tried => return Fitness::Paused,
        };
        let max = self.entry.max_connections;
        if max.is_some_and(|max| server.in_flight() >= max) {
            return Fitness::Busy;
        }
        Fitness::Fit { share }
    }

    /// The member, the `nth` of its group, as a candidate that gets `share` of its weight.
    pub(super) fn candidate(&self, nth: usize, share: u64) -> Candidate<'_> {
        Candidate {
            nth,
            turn: &self.turn,
            weight: u64::from(self.entry.weight) * share,
            in_flight: self.server().in_flight(),
            place: self.place,
        }
    }
}

/// Makes the members of `entries` for `group`. Their servers are found in `servers` and named by `signer`.
/// `is_drained` says which of them the operator has taken out.
/// Entries with the same address are one member, the first.
pub(super) fn members(
    entries: Vec<Entry>,
    group: &Arc<OfGroup>,
    servers: &Servers,
    signer: Option<&Signer<'_>>,
    is_drained: impl Fn(&Entry) -> bool,
) -> Vec<Member> {
    let mut distinct: Vec<Entry> = Vec::new();
    for entry in entries {
        if !distinct.iter().any(|other| other.address == entry.address) {
            distinct.push(entry);
        }
    }
    let count = distinct.len();
    let member = |(nth, entry): (usize, Entry)| {
        let weight = u64::from(entry.weight) * FULL_SHARE;
        let server = servers.at_with(&entry.address, entry.security.as_ref());
        let of_group = ServerOfGroup {
            server: Arc::clone(&server),
            host: Arc::clone(&entry.host),
            group: Arc::clone(group),
        };
        Member {
            listed: Listed::new(server),
            of_group: Arc::new(of_group),
            turn: Turn::first(nth, count, weight),
            place: hash::of(entry.address.to_string().as_bytes()),
            cookie: signer.map(|signer| signer.value(&entry.address)),
            is_drained: AtomicBool::new(is_drained(&entry)),
            entry,
        }
    };
    distinct.into_iter().enumerate().map(member).collect()
}
