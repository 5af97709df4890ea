//! The server that was chosen for a request. The caller says how the request went, and the record of the
//! server's failures takes note of it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::failures::Change;
use super::server::Server;
use crate::config::model::Failures;
use crate::log::diagnostic;
use crate::runtime;

/// A server that was chosen for a request. The server counts the request until this is dropped.
#[derive(Debug)]
pub(crate) struct Chosen {
    listed: Arc<ServerOfGroup>,
    pub(super) role: Role,
    /// The value of the `Set-Cookie` that the client gets, so that its next requests have the same server.
    pub(super) set_cookie: Option<Box<str>>,
    /// Whether the caller has said how the request went.
    is_judged: Cell<bool>,
    /// Whether it has failed: a response with a listed status whose content breaks off is one failure.
    has_failed: Cell<bool>,
}

/// What is the same for all requests for which a group chooses one of its servers. They share it, so that each
/// counts one reference in place of three.
#[derive(Debug)]
pub(super) struct ServerOfGroup {
    pub(super) server: Arc<Server>,
    /// What `Host` says of the server.
    pub(super) host: Arc<str>,
    pub(super) group: Arc<OfGroup>,
}

/// What is the same for all servers of a group that are chosen.
#[derive(Debug)]
pub(super) struct OfGroup {
    /// The upstream's name.
    pub(super) name: String,
    pub(super) failures: Failures,
}

/// Why a request is sent to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The server is not in a pause.
    Ordinary,
    /// The pause of the server is over, and this request tries whether it answers again.
    Trial,
    /// The server is in a pause, but so is every other server that could be asked.
    LastResort,
}

impl Chosen {
    /// The server that is `listed`, which counts the request already.
    pub(super) fn new(listed: &Arc<ServerOfGroup>, role: Role) -> Self {
        Self {
            listed: Arc::clone(listed),
            role,
            set_cookie: None,
            is_judged: Cell::new(false),
            has_failed: Cell::new(false),
        }
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.listed.server
    }

    /// What `Host` says of the server.
    pub(crate) fn host(&self) -> &str {
        &self.listed.host
    }

    /// The value of the `Set-Cookie` that the client gets, so that its next requests have the same server.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        self.set_cookie.as_deref()
    }

    /// Takes note that the server has given a response.
    pub(crate) fn succeeded(&self) {
        // The response to an ordinary request, as nearly all are, changes nothing.
        if self.role != Role::Ordinary {
            self.succeeded_at(runtime::now());
        }
    }

    /// Takes note that the server has failed.
    pub(crate) fn failed(&self) {
        self.failed_at(runtime::now());
    }

    pub(super) fn succeeded_at(&self, now: Instant) {
        self.is_judged.set(true);
        if let Some(Change::Returned) = self.listed.server.failures.note_trial_success(now) {
            let (upstream, server) = (&self.listed.group.name, self.listed.server.address());
            diagnostic::info(format_args!(
                "upstream {upstream}: {server} answers again, and is asked more and more often"
            ));
        }
    }

    pub(super) fn failed_at(&self, now: Instant) {
        self.is_judged.set(true);
        if self.has_failed.replace(true) {
            return;
        }
        let is_trial = self.role == Role::Trial;
        let limits = &self.listed.group.failures;
        let change = self
            .listed
            .server
            .failures
            .note_failure(now, limits, is_trial);
        if let Some(Change::Paused(pause)) = change {
            self.tell_of_pause(pause, is_trial);
        }
    }

    fn tell_of_pause(&self, pause: Duration, is_trial: bool) {
        let (upstream, server) = (&self.listed.group.name, self.listed.server.address());
        let subject = format_args!("upstream {upstream}: {server}");
        if is_trial {
            diagnostic::warn_limited(
                subject,
                format_args!("{subject} still fails: it is not asked for another {pause:?}"),
            );
        } else {
            let Failures { max, within, .. } = &self.listed.group.failures;
            diagnostic::warn_limited(
                subject,
                format_args!(
                    "{subject} has failed {max} times within {within:?}: it is not asked for {pause:?}"
                ),
            );
        }
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.listed.server.end();
        if self.role == Role::Trial && !self.is_judged.get() {
            self.listed.server.failures.abandon_trial();
        }
    }
}
