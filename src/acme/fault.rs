//! Why a certificate was not issued, and who said so.

use std::time::Duration;

use super::storage::StorageError;
use crate::http::http_url::NoUrl;
use crate::runtime::BlockingError;

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The CA cannot be reached, or does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The CA refuses, in its own words.
    #[error("the CA refused ({status}): {said}")]
    Refused {
        status: u16,
        /// What follows `urn:ietf:params:acme:error:`, if anything does (RFC 8555 §6.7).
        kind: String,
        said: String,
        retry_after: Option<Duration>,
    },
    /// The CA could not verify that a name leads to this server.
    #[error("the CA could not verify {name} by {challenge}: {said}")]
    Unverified {
        name: String,
        challenge: String,
        said: String,
    },
    /// The CA has given the order up.
    #[error("{0}")]
    Invalid(String),
    /// The CA says something that RFC 8555 does not allow, or that the server cannot use.
    #[error("{0}")]
    Nonsense(String),
    #[error("the CA took too long: {what}")]
    Slow {
        what: &'static str,
        retry_after: Option<Duration>,
    },
    /// Another process holds the lock for what this one has to do.
    #[error("{0}")]
    Busy(&'static str),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// No thread did what may wait for the disk.
    #[error(transparent)]
    Pool(#[from] BlockingError),
}

impl Fault {
    /// The fault of a URL that the CA gave.
    pub(super) fn of_url(url: &str, error: NoUrl) -> Self {
        let shown: String = url.chars().take(100).collect();
        Self::Nonsense(format!(
            "the CA gave a URL that cannot be used, {shown:?}: {error}"
        ))
    }

    /// Whether the CA refused with the error type `wanted`.
    pub(super) fn is_of(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == wanted)
    }

    /// Whether the CA says that there is no such account (RFC 8555 §6.7).
    pub(super) fn is_no_account(&self) -> bool {
        self.is_of("accountDoesNotExist")
    }

    /// Whether the CA has refused, and would refuse the same request again.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { status, .. } => (400..500).contains(status) && !self.is_limit(),
            _ => false,
        }
    }

    /// Whether the CA has refused because of one of its limits.
    pub(super) fn is_limit(&self) -> bool {
        matches!(self, Self::Refused { status: 429, .. }) || self.is_of("rateLimited")
    }

    /// Whether trying again soon is no burden to the CA and may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy(_) | Self::Storage(_) | Self::Pool(_) => true,
            Self::Refused { status, .. } => (500..600).contains(status),
            _ => false,
        }
    }

    /// How long the CA wants the server to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Slow { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
