//! Who is let in to what a server or a route answers.

use std::path::PathBuf;
use std::time::Duration;

/// What a client has to prove, before a handler is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Auth {
    Basic(BasicAuth),
    Forward(ForwardAuth),
}

impl Auth {
    /// The names of the fields by which handlers and upstreams are told of users.
    pub(crate) fn fields(&self) -> &[String] {
        match self {
            Self::Basic(basic) => basic.user_header.as_slice(),
            Self::Forward(forward) => &forward.copy,
        }
    }
}

/// A user of a file, with its password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BasicAuth {
    /// The file, as Apache's `htpasswd` writes it.
    pub(crate) file: PathBuf,
    /// What browsers show when they ask for a password.
    pub(crate) realm: String,
    /// The field that tells handlers and upstreams the user's name.
    pub(crate) user_header: Option<String>,
}

/// What another server says of each request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ForwardAuth {
    /// The name of an [`Upstream`](super::Upstream) of the configuration.
    pub(crate) upstream: String,
    /// The path, and perhaps the query, that it is asked for.
    pub(crate) target: String,
    /// The fields of its response that the request gets. The first one says the user's name.
    pub(crate) copy: Vec<String>,
    /// How long it may take until it answers.
    pub(crate) timeout: Duration,
}

impl ForwardAuth {
    /// How long the service may take, where the configuration does not say.
    pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
}
