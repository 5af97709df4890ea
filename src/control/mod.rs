//! The control protocol: the requests that a running server takes from its operator, and the replies.
//!
//! It is HTTP over a Unix socket. A command finds the socket by the configuration file
//! ([`socket`]), sends one request ([`client`]), and gets one reply; some replies go on until one side ends
//! them ([`follow`]).
//!
//! ```text
//! GET  /status               describe the server that runs
//! GET  /live                 show the server as it is now: once, or, as `Accept` asks, again each second
//! GET  /metrics              tell what is counted, in a form of Prometheus
//! GET  /explain              tell where the request would go that `Explain-…` fields describe
//! GET  /exchanges[?status=5xx&…]   tell of exchanges as they end, until one side goes
//! GET  /failures[?status=5xx&…]    tell of the last exchanges that failed
//! POST /reload[?confirm=30s] read the configuration again; with `confirm`, only for that long
//! POST /confirm              keep the configuration of a reload with `confirm`
//! POST /upstream/drain?server=shop/127.0.0.1:8000    take a server of an upstream out
//! POST /upstream/enable?server=shop/127.0.0.1:8000   take it back in
//! POST /restart-app?app=blog start new processes of an application, which take over
//! POST /acme/roll-key        give the account with the CA a new key
//! POST /upgrade              start a new process of the program, which takes over
//! POST /stop                 finish the exchanges in flight, and end
//! ```
//!
//! A worker receives the request and hands it to the supervisor ([`ask`]). The supervisor replies on
//! its own thread; meanwhile the worker's loop serves other clients. Through [`reach`], routes of the file ask for
//! some of this, too: for metrics ([`scrape`]), and for the server as it is now ([`live`]). [`question`] has what
//! `tidegate explain` asks.

pub(crate) mod ask;
pub(crate) mod client;
pub(crate) mod follow;
pub(crate) mod live;
pub(crate) mod question;
pub(crate) mod reach;
pub(crate) mod scrape;
pub(crate) mod socket;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::status::Status;

/// What a command asks of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlVerb {
    /// Describe the server that runs.
    Status,
    /// Tell the counts alone: a route may make them public.
    Counters,
    /// Tell where a request would go; these fields describe it (`question`).
    Explain(Vec<(String, String)>),
    /// Read the configuration file again. With a time, go back to the configuration before it unless
    /// [`ControlVerb::Confirm`] arrives within that time.
    Reload { confirm_within: Option<Duration> },
    /// Adopt a configuration that is not in a file; diagnostics call it `name`.
    Replace { text: String, name: PathBuf },
    /// Keep the configuration of a reload that has to be confirmed.
    Confirm,
    /// Take a server of an upstream out until the next reload, or back in: `shop/127.0.0.1:8000`.
    Drain { server: String, drained: bool },
    /// Have new processes of an application take the place of those that run.
    RestartApp { name: String },
    /// Give the account with the CA that issues certificates a new key.
    RollAccountKey,
    /// Start a new process of the program, which takes over.
    Upgrade,
    /// Finish the exchanges in flight within `grace`, and end; `None` is the configuration's `grace`.
    Stop { grace: Option<Duration> },
}

/// As the log names it.
impl fmt::Display for ControlVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "status",
            Self::Counters => "the counters",
            Self::Explain(_) => "explain",
            Self::Reload { .. } => "reload",
            Self::Replace { .. } => "another configuration",
            Self::Confirm => "confirm",
            Self::Drain { drained: true, .. } => "drain a server",
            Self::Drain { drained: false, .. } => "enable a server",
            Self::RestartApp { .. } => "restart-app",
            Self::RollAccountKey => "acme roll-key",
            Self::Upgrade => "upgrade",
            Self::Stop { .. } => "stop",
        })
    }
}

/// A request to the supervisor, and where its reply goes.
pub(crate) struct ControlRequest {
    pub(crate) verb: ControlVerb,
    pub(crate) reply: Reply,
}

/// Takes the reply, on any thread. If it is dropped instead, there will be no reply.
pub(crate) type Reply = Box<dyn FnOnce(ControlReply) + Send>;

/// A reply, in both of its forms.
pub(crate) struct ControlReply {
    pub(crate) status: Status,
    /// For a person, with its last line end.
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl ControlReply {
    /// A reply whose message is `text`, which has no line end yet.
    pub(crate) fn message(status: Status, text: String) -> Self {
        Self {
            status,
            json: json!({ "message": text }),
            text: text + "\n",
        }
    }
}

/// Hands a request to the supervisor.
pub(crate) type Submit = Arc<dyn Fn(ControlRequest) + Send + Sync>;
