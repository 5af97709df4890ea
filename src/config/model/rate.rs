//! How many requests may be made, and whose are counted together.

use std::fmt;
use std::time::Duration;

/// One `[rates.NAME]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Letters, digits, `-`, `_` and `.`.
    pub(crate) name: String,
    pub(crate) bucket: Bucket,
    /// How long a request that comes too early is held; zero: it is refused.
    pub(crate) max_delay: Duration,
    /// Whether it is only logged which requests would be held or refused.
    pub(crate) dry_run: bool,
}

/// What the buckets of a rate are made of. A reload keeps them while this stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    /// At least one, in each `period`.
    pub(crate) requests: u32,
    /// Whole seconds, at least one.
    pub(crate) period: Duration,
    /// How many requests may come at once, at least one.
    pub(crate) burst: u32,
    /// What a request has in common with those that it is counted with; at least one.
    pub(crate) keys: Vec<RateKey>,
    /// How many keys are remembered.
    pub(crate) max_keys: usize,
}

/// A part of what requests are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RateKey {
    /// The client's address behind trusted proxies, of IPv6 its network of 64 bits.
    Client,
    /// The value of the field of that name.
    Header(String),
    /// The value of the cookie of that name.
    Cookie(String),
    Path,
    Host,
}

/// As the operator writes it.
impl fmt::Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Path => f.write_str("path"),
            Self::Host => f.write_str("host"),
        }
    }
}
