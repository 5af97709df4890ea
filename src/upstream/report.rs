//! What the operator is told of an upstream's servers.

use std::time::{Duration, Instant};

use super::failures::{FULL_SHARE, Standing};
use super::members::Member;

/// One server of an upstream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerReport {
    pub(crate) address: String,
    pub(crate) state: ServerState,
    /// Requests that it has.
    pub(crate) in_flight: usize,
    /// All requests that it has failed.
    pub(crate) failures: u64,
    pub(crate) weight: u32,
    /// Whether it is asked only while no other can be.
    pub(crate) is_backup: bool,
}

/// Whether a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerState {
    Up,
    /// It has come back, and gets this part of its share, in percent.
    Rising(u64),
    /// It has failed, and is not asked for so long.
    Paused(Duration),
    /// Its pause is over: the next request tries it, or one does so at present.
    Trying,
    /// It says itself that it is not well.
    Unhealthy,
    /// The operator has taken it out.
    Drained,
}

impl ServerReport {
    pub(super) fn of(member: &Member, now: Instant) -> Self {
        let server = member.server();
        Self {
            address: server.address().to_string(),
            state: state(member, now),
            in_flight: server.in_flight(),
            failures: server.failures.total(),
            weight: member.entry.weight,
            is_backup: member.entry.tier > 0,
        }
    }
}

fn state(member: &Member, now: Instant) -> ServerState {
    if member.is_drained() {
        return ServerState::Drained;
    }
    if member.is_unhealthy() {
        return ServerState::Unhealthy;
    }
    match member.server().failures.standing(now) {
        Standing::Asked { share: FULL_SHARE } => ServerState::Up,
        Standing::Asked { share } => ServerState::Rising(100 * share / FULL_SHARE),
        Standing::Paused { left } => ServerState::Paused(left),
        Standing::Due | Standing::Tried => ServerState::Trying,
    }
}
