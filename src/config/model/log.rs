//! `[log]`: what is written down, and where.

use std::path::PathBuf;
use std::time::Duration;

use super::{Cidr, StatusRange};
use crate::http::method::Method;
use crate::reason::Reason;

/// What is written down, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// The access logs; none: no exchange is recorded.
    pub(crate) access: Vec<AccessLog>,
    /// The format of the access logs that have none of their own.
    pub(crate) format: LogFormat,
    pub(crate) redact: Redaction,
    pub(crate) level: LogLevel,
    pub(crate) diagnostics: DiagnosticForm,
    /// The clients of whose exchanges every step is told.
    pub(crate) debug_clients: Vec<Cidr>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            access: vec![AccessLog::at(LogDestination::StandardOutput)],
            format: LogFormat::Combined,
            redact: Redaction::default(),
            level: LogLevel::Info,
            diagnostics: DiagnosticForm::Text,
            debug_clients: Vec::new(),
        }
    }
}

/// An access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLog {
    pub(crate) destination: LogDestination,
    /// `None`: that of `[log]`.
    pub(crate) format: Option<LogFormat>,
    pub(crate) when: LogCondition,
    /// How many records of a million are written.
    pub(crate) sample: u32,
}

/// All records are written.
pub(crate) const WHOLE_SAMPLE: u32 = 1_000_000;

impl AccessLog {
    /// The log of all exchanges at this place.
    pub(crate) fn at(destination: LogDestination) -> Self {
        Self {
            destination,
            format: None,
            when: LogCondition::default(),
            sample: WHOLE_SAMPLE,
        }
    }
}

/// Where access records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogDestination {
    StandardOutput,
    File(PathBuf),
}

/// Which exchanges are recorded: those for which everything holds that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogCondition {
    /// Empty: any.
    pub(crate) status: Vec<StatusRange>,
    /// Keys of routes; empty: any.
    pub(crate) route: Vec<String>,
    /// Beginnings of paths, as a route's key matches them; empty: any.
    pub(crate) path: Vec<String>,
    /// Empty: any.
    pub(crate) method: Vec<Method>,
    /// Empty: any, and none at all.
    pub(crate) reason: Vec<Reason>,
    /// An exchange that took at least so long.
    pub(crate) slower_than: Option<Duration>,
}

/// How a record is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Combined,
    Common,
    Json,
    Template(Vec<LogPart>),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogPart {
    Text(String),
    Variable {
        variable: LogVariable,
        /// Whether it stands between quotes, so that a space does not end the value.
        is_quoted: bool,
    },
}

/// What a template may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogVariable {
    Time,
    TimeLocal,
    Client,
    User,
    Request,
    Method,
    Target,
    Path,
    Query,
    Version,
    Host,
    Referer,
    UserAgent,
    Status,
    Bytes,
    Duration,
    DurationMs,
    DurationUs,
    Reason,
    Route,
    RequestId,
    TraceId,
    Upstream,
    UpstreamTries,
    UpstreamConnectUs,
    UpstreamHeadUs,
    UpstreamError,
}

impl LogVariable {
    /// Every variable by its name in templates.
    pub(crate) const NAMES: &[(&str, Self)] = &[
        ("time", Self::Time),
        ("time_local", Self::TimeLocal),
        ("client", Self::Client),
        ("user", Self::User),
        ("request", Self::Request),
        ("method", Self::Method),
        ("target", Self::Target),
        ("path", Self::Path),
        ("query", Self::Query),
        ("version", Self::Version),
        ("host", Self::Host),
        ("referer", Self::Referer),
        ("user_agent", Self::UserAgent),
        ("status", Self::Status),
        ("bytes", Self::Bytes),
        ("duration", Self::Duration),
        ("duration_ms", Self::DurationMs),
        ("duration_us", Self::DurationUs),
        ("reason", Self::Reason),
        ("route", Self::Route),
        ("request_id", Self::RequestId),
        ("trace_id", Self::TraceId),
        ("upstream", Self::Upstream),
        ("upstream_tries", Self::UpstreamTries),
        ("upstream_connect_us", Self::UpstreamConnectUs),
        ("upstream_head_us", Self::UpstreamHeadUs),
        ("upstream_error", Self::UpstreamError),
    ];
}

/// What access logs leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redaction {
    /// Names of parameters of queries whose values are left out, in targets and in `Referer`; in any case.
    pub(crate) query: Vec<String>,
    /// What of the client is not written at all.
    pub(crate) fields: Vec<LogField>,
}

/// Parameters that give access, by the names that are most in use.
pub(crate) const SECRET_PARAMETERS: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "client_secret",
    "code",
    "id_token",
    "jwt",
    "passwd",
    "password",
    "pwd",
    "refresh_token",
    "secret",
    "session",
    "sig",
    "signature",
    "token",
];

impl Default for Redaction {
    fn default() -> Self {
        Self {
            query: SECRET_PARAMETERS
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            fields: Vec::new(),
        }
    }
}

/// What can be left out of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogField {
    Client,
    User,
    Query,
    Host,
    Referer,
    UserAgent,
}

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiagnosticForm {
    Text,
    Json,
}

/// The least severe diagnostic that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}
