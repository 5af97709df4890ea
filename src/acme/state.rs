//! What workers and the supervisor see of ACME: answers to challenges, and the state of each certificate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;

use super::answers::Answers;

/// One for the process, for as long as it runs.
#[derive(Default)]
pub(crate) struct Shared {
    pub(super) answers: Arc<Answers>,
    /// By the file of the certificate.
    states: Mutex<BTreeMap<PathBuf, State>>,
}

/// The state of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) stage: Stage,
    /// When the certificate that clients see ends; `None`: none is issued yet.
    pub(crate) ends: Option<SystemTime>,
    /// When something is tried next.
    pub(crate) next: Option<SystemTime>,
    /// Why the last try failed: the CA's own words, where it has said some.
    pub(crate) failure: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The keeper has not looked at it yet.
    #[default]
    Waiting,
    /// An order is under way.
    Ordering,
    Issued,
    /// An order is under way for a certificate in place of the present one.
    Renewing,
    /// The last try failed, and there will be another.
    Failed,
    /// Another process that shares the storage orders it.
    Elsewhere,
}

impl Stage {
    /// As the operator reads it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ordering => "ordering",
            Self::Issued => "issued",
            Self::Renewing => "renewing",
            Self::Failed => "failed",
            Self::Elsewhere => "left to another process",
        }
    }
}

impl Shared {
    /// The content of the response to a request at `host` for the challenge with `token`; `None`: there is no
    /// such challenge.
    pub(crate) fn http_answer(&self, host: &str, token: &str) -> Option<String> {
        self.answers.http(host, token)
    }

    /// The configuration of a handshake by which a CA verifies `name`.
    pub(crate) fn tls_answer(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.answers.tls(name)
    }

    /// The state of the certificate in `file`.
    pub(crate) fn state(&self, file: &Path) -> State {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.get(file).cloned().unwrap_or_default()
    }

    pub(super) fn set_state(&self, file: &Path, state: State) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.insert(file.to_owned(), state);
    }
}
