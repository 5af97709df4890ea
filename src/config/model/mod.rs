//! The checked configuration, nothing else. This is all that the serving rooms see of it.
//!
//! Values and how they are shown. Nothing here reads a file, knows TOML or reports a mistake. What
//! the documentation of a value promises has been checked. This floor imports `http`, `address`,
//! `proxy_protocol`, and the names and options of handlers from `api`.
//!
//! ```text
//! process  Config ─┬─ Blocking, Log
//!                  ├─ acme  Acme
//!                  ├─ tracing  Tracing
//!                  ├─ policy  Policy ─ HeaderChanges, limits, ErrorPages, Auth, Cors, Access ─ address: networks
//!                  ├─ server  Server ─┬─ address: hosts
//!                  │                  └─ route  Route ─ RoutePattern, verbs: Verb ─ Files, Cgi, …
//!                  ├─ rate    Rate
//!                  ├─ stream  Stream
//!                  └─ test    RouteTest ─ Expectation
//! ```

mod acme;
mod address;
mod app;
mod archive_form;
mod auth;
mod cors;
mod expiry;
mod file_pattern;
mod limits;
mod links;
mod log;
mod pattern;
mod place;
mod policy;
mod process;
mod rate;
mod request_text;
mod route;
mod server;
mod stream;
mod test;
mod tls;
mod tracing;
mod types;
mod upstream;
mod verbs;
mod when;

pub(crate) use acme::{Acme, AcmeDirectory, Challenge, ExternalAccount, Issue, UntilIssued};
pub(crate) use address::{Cidr, HostPattern, distinct_file_name_of_hosts, file_name_of_hosts};
pub(crate) use app::{App, AppProcess, DEFAULT_PATH, Endpoint, Template, TemplatePart};
pub(crate) use archive_form::ArchiveForm;
pub(crate) use auth::{Auth, BasicAuth, ForwardAuth};
pub(crate) use cors::{Cors, OriginPattern};
pub(crate) use expiry::{Expiry, FileClass};
pub(crate) use file_pattern::FilePattern;
pub(crate) use limits::Limits;
pub(crate) use links::Links;
pub(crate) use log::{
    AccessLog, DiagnosticForm, Log, LogCondition, LogDestination, LogField, LogFormat, LogLevel,
    LogPart, LogVariable, PathStart, Redaction, WHOLE_SAMPLE,
};
pub(crate) use pattern::{Capture, PatternSegment, RoutePattern, Shape};
pub(crate) use place::Place;
pub(crate) use policy::{Access, ErrorPages, HeaderChanges, Policy, StatusPattern};
pub(crate) use process::{Blocking, Config, Proxies};
pub(crate) use rate::{Bucket, Rate, RateKey};
pub(crate) use request_text::{RequestText, TextPart, Variable};
pub(crate) use route::{Route, describe_route};
pub(crate) use server::{Account, Server, SocketAccess};
pub(crate) use stream::Stream;
pub(crate) use test::{Expectation, RouteTest};
pub(crate) use tls::{
    ClientCertificates, OwnCertificate, Protocols, Tls, TlsVersions, UpstreamTls,
};
pub(crate) use tracing::{Followed, Secret, Tracing, WHOLE_TRACES};
pub(crate) use types::Types;
pub(crate) use upstream::{
    Balance, Failures, HashKey, HealthCheck, Queue, Retry, StatusRange, Sticky, Upstream,
    UpstreamServer, UpstreamTimeouts,
};
pub(crate) use verbs::{
    CacheControl, CertificateFact, Cgi, DEFAULT_CODE_TIMEOUT, Fastcgi, Files, HostField,
    PluginRoute, Proxy, Ready, Redirect, Respond, SendDirectory, Verb, is_php_source,
};
pub(crate) use when::{Condition, ValuePattern, Wanted, When};
