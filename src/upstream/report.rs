//! What the operator is told of an upstream's servers.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::failures::{FULL_SHARE, Standing};
use super::members::Member;

/// One server of an upstream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerReport {
    pub(crate) address: String,
    /// The host that its certificate has to be for; `None`: connections to it are plain.
    pub(crate) tls: Option<String>,
    pub(crate) state: ServerState,
    /// Requests that it has.
    pub(crate) in_flight: usize,
    /// All requests that it was chosen for.
    pub(crate) requests: u64,
    /// All requests that it has failed.
    pub(crate) failures: u64,
    pub(crate) weight: u32,
    /// Whether it is asked only while no other server can be asked.
    pub(crate) is_backup: bool,
}

/// Whether a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerState {
    Up,
    /// It has come back, and gets this part of its share, in percent.
    Rising(u64),
    /// It has failed, and is not asked until this time has passed.
    Paused(Duration),
    /// Its pause is over: the next request tries it, or one does so at present.
    Trying,
    /// Its health check has failed.
    Unhealthy,
    /// The operator has taken it out.
    Drained,
}

impl ServerReport {
    pub(super) fn of(member: &Member, now: Instant) -> Self {
        let server = member.server();
        Self {
            address: server.address().to_string(),
            tls: server.security().map(|security| security.name().to_owned()),
            state: state(member, now),
            in_flight: server.in_flight(),
            requests: server.begun(),
            failures: server.failures.total(),
            weight: member.entry.weight,
            is_backup: member.entry.tier > 0,
        }
    }

    /// Describes it for a program.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = json!({
            "address": self.address,
            "state": self.state.word(),
            "in_flight": self.in_flight,
            "requests": self.requests,
            "failures": self.failures,
            "weight": self.weight,
            "backup": self.is_backup,
        });
        if let Some(name) = &self.tls {
            json["tls"] = name.as_str().into();
        }
        match self.state {
            ServerState::Paused(left) => json["seconds_left"] = rounded_up(left).into(),
            ServerState::Rising(percent) => json["percent"] = percent.into(),
            _ => {}
        }
        json
    }
}

/// For a person, without the address.
impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state,
            in_flight,
            failures,
            weight,
            tls,
            ..
        } = self;
        let backup = if self.is_backup { ", backup" } else { "" };
        let tls = tls.iter().map(|name| format!(", over TLS as {name}"));
        let tls: String = tls.collect();
        write!(
            f,
            "{state}: {in_flight} in flight, {failures} failures, weight {weight}{backup}{tls}"
        )
    }
}

impl ServerState {
    /// The state in one word.
    fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Rising(_) => "rising",
            Self::Paused(_) => "paused",
            Self::Trying => "trying",
            Self::Unhealthy => "unhealthy",
            Self::Drained => "drained",
        }
    }
}

impl ServerState {
    /// Whether requests may be sent to the server.
    pub(crate) fn is_asked(self) -> bool {
        !matches!(self, Self::Paused(_) | Self::Unhealthy | Self::Drained)
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rising(percent) => write!(f, "rising, at {percent} % of its share"),
            Self::Paused(left) => write!(f, "paused for {} s", rounded_up(*left)),
            other => f.write_str(other.word()),
        }
    }
}

fn rounded_up(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

pub(super) fn state(member: &Member, now: Instant) -> ServerState {
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
