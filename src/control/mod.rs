//! The control protocol: what a running server can be asked, and how it answers.
//!
//! It is HTTP over a Unix socket. A command finds the socket by the configuration file
//! ([`socket`]), sends one request ([`client`]), and gets one reply.
//!
//! ```text
//! GET  /status               what runs
//! GET  /explain              where a request would go, which `Explain-…` fields describe
//! POST /reload[?confirm=30s] read the configuration again; with `confirm`, only for that long
//! POST /confirm              keep what was reloaded for a while
//! POST /upgrade              have a new process of the program take over
//! POST /stop                 finish what is in flight and end
//! ```
//!
//! Each request is a question to the supervisor. A worker asks it on its loop ([`ask`]), the
//! supervisor answers on its own thread; meanwhile the loop serves everybody else.

pub(crate) mod ask;
pub(crate) mod client;
pub(crate) mod question;
pub(crate) mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::http::status::Status;

/// What the supervisor is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlVerb {
    Status,
    /// What has been counted, for everybody to see.
    Counters,
    /// What becomes of a request; these fields tell which.
    Explain(Vec<(String, String)>),
    /// With a time: go back to what ran before unless [`ControlVerb::Confirm`] comes within it.
    Reload {
        confirm_within: Option<Duration>,
    },
    /// Take on a configuration that is no file; errors speak of it as `name`.
    Replace {
        text: String,
        name: PathBuf,
    },
    Confirm,
    Upgrade,
    /// In another time than the configuration's `grace`, if one is given.
    Stop {
        grace: Option<Duration>,
    },
}

/// A question, and where its answer goes.
pub(crate) struct ControlRequest {
    pub(crate) verb: ControlVerb,
    pub(crate) reply: Reply,
}

/// Takes an answer, on any thread. Dropped, it says that there is none.
pub(crate) type Reply = Box<dyn FnOnce(ControlReply) + Send>;

/// An answer, in both of its forms.
pub(crate) struct ControlReply {
    pub(crate) status: Status,
    /// For a person, with its last line end.
    pub(crate) text: String,
    pub(crate) json: Value,
}

/// Hands a request to the supervisor.
pub(crate) type Submit = Arc<dyn Fn(ControlRequest) + Send + Sync>;
