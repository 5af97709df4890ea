//! `[log]`: what is written down, and where.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Cidr, StatusRange};
use crate::http::method::Method;
use crate::http::path::NormalPath;
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
    /// The clients of whose exchanges and connections every step is told.
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

impl Log {
    /// What holds after a reload of `self`, in a process that writes the access logs `running`: which logs there
    /// are, and where, stays; how each is comes from `self` if it has the log.
    pub(crate) fn in_place_of(&self, running: &[AccessLog]) -> Self {
        let now = |log: &AccessLog| {
            let mut named = self.access.iter();
            let named = named.find(|named| named.destination == log.destination);
            named.unwrap_or(log).clone()
        };
        Self {
            access: running.iter().map(now).collect(),
            ..self.clone()
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
    /// Empty: any.
    pub(crate) path: Vec<PathStart>,
    /// Empty: any.
    pub(crate) method: Vec<Method>,
    /// Empty: any, and none at all.
    pub(crate) reason: Vec<Reason>,
    /// An exchange that took at least so long.
    pub(crate) slower_than: Option<Duration>,
}

/// The beginning of paths: itself, and what lies below it.
///
/// Paths are compared in the form in which routes are found, so that no client gets past a log with another
/// spelling: `/%61pi`, `/x/../api`. A path that has no such form is compared as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathStart {
    written: String,
    /// That form, found once and not for each record.
    normal: Vec<u8>,
}

impl PathStart {
    /// The beginning that the operator has `written`.
    pub(crate) fn new(written: String) -> Self {
        let normal = NormalPath::in_normal_form(written.as_bytes()).into_owned();
        Self { written, normal }
    }

    /// Whether `path`, in normal form, is this beginning or lies below it.
    pub(crate) fn has(&self, path: &[u8]) -> bool {
        let Some(rest) = path.strip_prefix(&*self.normal) else {
            return false;
        };
        self.normal.ends_with(b"/") || matches!(rest.first(), None | Some(b'/'))
    }
}

/// As the operator has written it.
impl fmt::Display for PathStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_start_has_itself_and_what_is_below() {
        for (start, path, expected) in [
            ("/api", "/api", true),
            ("/api", "/api/a", true),
            ("/api", "/apix", false),
            ("/api/", "/api/a", true),
            ("/api/", "/api", false),
            ("/", "/a", true),
            ("/x/..//%61pi", "/api/a", true),
        ] {
            let found = PathStart::new(start.to_owned()).has(path.as_bytes());
            assert_eq!(found, expected, "{start} {path}");
        }
        let start = PathStart::new("/x/../%61".to_owned());
        assert_eq!(start.to_string(), "/x/../%61", "as it is written");
    }
}
