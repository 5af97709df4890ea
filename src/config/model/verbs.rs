//! What a route does: the verbs and their options.

use std::path::PathBuf;
use std::time::Duration;

use super::archive_form::ArchiveForm;
use super::expiry::Expiry;
use super::file_pattern::FilePattern;
use super::links::Links;
use super::{HeaderChanges, Policy, RequestText, Types};
use crate::address::UpstreamAddress;
use crate::api::HandlerSpec;
use crate::http::compression::Compression;
use crate::http::status::Status;

/// What a route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Files(Files),
    Respond(Respond),
    Redirect(Redirect),
    /// Responds with the request as JSON, for debugging.
    Echo,
    /// Responds with the server's counters.
    Status,
    /// Responds with all metrics.
    Metrics,
    /// Responds whether clients may be sent here.
    Ready(Ready),
    /// Responds whether the event loops turn.
    Live,
    /// Responds with the live page and its events.
    Dashboard,
    Handler(PluginRoute),
    Cgi(Cgi),
    Fastcgi(Fastcgi),
    Proxy(Proxy),
}

impl Verb {
    /// Has the verb do as `policy` says with files, if it sends any.
    pub(crate) fn set_policy(&mut self, policy: &Policy) {
        let types = || policy.types.clone();
        let compression = || policy.compression().cloned();
        match self {
            Self::Files(files) => {
                files.types = types();
                files.compression = compression();
                files.may_label_codings = !policy.headers.decide_coding();
            }
            Self::Fastcgi(fastcgi) => {
                fastcgi.types = types();
                fastcgi.compression = compression();
                fastcgi.may_label_codings = !policy.headers.decide_coding();
            }
            Self::Respond(_)
            | Self::Redirect(_)
            | Self::Echo
            | Self::Status
            | Self::Metrics
            | Self::Ready(_)
            | Self::Live
            | Self::Dashboard
            | Self::Handler(_)
            | Self::Cgi(_)
            | Self::Proxy(_) => {}
        }
    }
}

/// `ready = true`, or `ready = { upstreams = [NAME] }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Upstreams each of which has to have a server that is asked.
    pub(crate) upstreams: Vec<String>,
}

/// `handler = NAME`: code that is part of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginRoute {
    /// Its name and options.
    pub(crate) handler: HandlerSpec,
    /// How long the handler may take until it responds: 504.
    pub(crate) timeout: Duration,
    /// Whether the handler gets content as it arrives, instead of when it is complete.
    pub(crate) stream: bool,
    /// Whether content in a coding is decoded for the handler.
    pub(crate) decompress: bool,
    /// Threads of the route's own; without, the handler runs on those of `blocking`.
    pub(crate) threads: Option<usize>,
}

/// The default `timeout` for handlers and scripts.
pub(crate) const DEFAULT_CODE_TIMEOUT: Duration = Duration::from_secs(60);

/// `files = DIR`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
    /// Names tried in a directory, in order.
    pub(crate) index: Vec<String>,
    pub(crate) listing: bool,
    /// The forms in which a directory that is listed may be had as one file.
    pub(crate) archives: Vec<ArchiveForm>,
    /// The files that are tried, in order; empty: the one at the path.
    pub(crate) tries: Vec<RequestText>,
    /// The path of the file that answers where none is found, beneath the root.
    pub(crate) fallback: Option<String>,
    /// Whether navigations to paths without a file get `/index.html`.
    pub(crate) spa: bool,
    /// Whether `/a` may be answered from `a.html`.
    pub(crate) clean_urls: bool,
    /// Whether an encoded slash in a path separates segments, as a slash does.
    pub(crate) decode_slashes: bool,
    /// Whether `.zst`, `.br` and `.gz` siblings are looked for.
    pub(crate) precompressed: bool,
    /// The first pattern that matches the path beneath the root decides `Cache-Control`.
    pub(crate) cache_control: Vec<CacheControl>,
    /// Where none matches, the first of these that the file is one of decides it.
    pub(crate) expires: Vec<Expiry>,
    /// How long the cache is trusted before the file is looked at again.
    pub(crate) revalidate: Duration,
    /// The media types of the route's policy.
    pub(crate) types: Types,
    /// What the route's policy has compressed.
    pub(crate) compression: Option<Compression>,
    /// Whether the route's policy leaves `Content-Encoding` to the server.
    pub(crate) may_label_codings: bool,
    /// What symbolic links may lead to.
    pub(crate) links: Links,
}

impl Files {
    /// The value of `Cache-Control` for the file at `path`, which has no slash at its start.
    pub(crate) fn cache_control_of(&self, path: &[u8], media_type: &str) -> Option<&str> {
        let mut rules = self.cache_control.iter();
        if let Some(rule) = rules.find(|rule| rule.pattern.matches(path)) {
            return Some(&rule.value);
        }
        let mut expires = self.expires.iter();
        let expiry = expires.find(|expiry| expiry.class.has(path, media_type));
        expiry.map(|expiry| expiry.value.as_str())
    }

    /// Whether a compressed sibling may be sent in a file's place. Without its label it must not be.
    pub(crate) fn sends_siblings(&self) -> bool {
        self.precompressed && self.may_label_codings
    }

    /// By how many seconds a compressed sibling may be older than its file. Compressors and copies lose
    /// the fraction of a second, FAT keeps every other second, and a copied tree gets its times in no
    /// order.
    pub(crate) const SIBLING_GRACE: i64 = 2;

    /// Whether a compressed sibling was made of the file as it is, as far as their modification times
    /// tell, in seconds since 1970.
    pub(crate) fn is_current_sibling(sibling: i64, file: i64) -> bool {
        sibling.saturating_add(Self::SIBLING_GRACE) >= file
    }

    /// The files of `root`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf) -> Self {
        Self {
            root,
            index: vec!["index.html".to_owned()],
            listing: false,
            archives: Vec::new(),
            tries: Vec::new(),
            fallback: None,
            spa: false,
            clean_urls: false,
            decode_slashes: false,
            precompressed: true,
            cache_control: Vec::new(),
            expires: Vec::new(),
            revalidate: Duration::from_secs(1),
            types: Types::default(),
            compression: None,
            may_label_codings: true,
            links: Links::Inside,
        }
    }
}

/// `cgi = DIR`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cgi {
    /// Absolute, because scripts are told the names of files beneath it.
    pub(crate) root: PathBuf,
    /// The script that answers everything beneath the route, relative to the root. `None`: the path
    /// of each request leads to its script.
    pub(crate) script: Option<String>,
    /// The time until a script's header section is complete: 504. The time between two reads of its
    /// content: the response is cut.
    pub(crate) timeout: Duration,
    /// Scripts of the route that may run at once; beyond it, 503 with `Retry-After`.
    pub(crate) max_processes: usize,
    /// Variables of the scripts' environment, beside the meta-variables or in place of them.
    pub(crate) environment: Vec<(String, String)>,
    /// What symbolic links may lead to.
    pub(crate) links: Links,
    /// Whether a script's content is passed on as the client takes it, and not taken out ahead of it.
    pub(crate) stream: bool,
}

impl Cgi {
    /// The scripts of `root`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf) -> Self {
        Self {
            root,
            script: None,
            timeout: DEFAULT_CODE_TIMEOUT,
            max_processes: 32,
            environment: Vec::new(),
            links: Links::Inside,
            stream: false,
        }
    }
}

/// One entry of `cache_control`: a pattern over the path beneath the root, and the field's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheControl {
    /// `*.css`, `assets/**`
    pub(crate) pattern: FilePattern,
    pub(crate) value: String,
}

/// `respond = TEXT`: content that the operator has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Respond {
    pub(crate) status: Status,
    pub(crate) content_type: String,
    pub(crate) content: RequestText,
}

/// `redirect = TARGET`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// The query is appended unless the target says `{query}`; the path below the route's path, unless the
    /// route is exact or the target says it: `{path}`, `{rest}`, or the name of a `{name...}`.
    pub(crate) target: RequestText,
    pub(crate) status: Status,
}

/// What the names of PHP's scripts end in, those of earlier versions included. (`.phps` is source that
/// is meant to be shown.)
const PHP_SOURCES: [&str; 8] = [
    ".php", ".php3", ".php4", ".php5", ".php7", ".php8", ".phtml", ".phar",
];

/// Whether the name of the file at `path` is one of PHP's scripts.
pub(crate) fn is_php_source(path: &[u8]) -> bool {
    PHP_SOURCES.iter().any(|suffix| ends_in(path, suffix))
}

/// Whether `path` ends in `suffix`; the case of letters does not count.
fn ends_in(path: &[u8], suffix: &str) -> bool {
    let start = path.len().checked_sub(suffix.len());
    start.is_some_and(|start| path[start..].eq_ignore_ascii_case(suffix.as_bytes()))
}

/// `fastcgi = ADDRESS`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fastcgi {
    /// The address of the upstream: an application server.
    pub(crate) peer: UpstreamAddress,
    /// Absolute, because the upstream gets the names of files beneath it.
    pub(crate) root: PathBuf,
    /// The program that answers everything beneath the route, relative to the root. No file has to be
    /// there. `None`: the path of each request leads to its script.
    pub(crate) script: Option<String>,
    /// Names tried in a directory, in order.
    pub(crate) index: Vec<String>,
    /// The suffixes of scripts' names; the case of letters does not count.
    pub(crate) scripts: Vec<String>,
    /// The script for paths without a file, relative to the root.
    pub(crate) fallback: Option<String>,
    /// Whether files that are not scripts are sent.
    pub(crate) static_files: bool,
    /// `Cache-Control` of the files that are not scripts, as in [`Files`].
    pub(crate) cache_control: Vec<CacheControl>,
    pub(crate) expires: Vec<Expiry>,
    /// Further parameters, or parameters in place of ours.
    pub(crate) params: Vec<(String, String)>,
    /// The time to connect, to the end of the header section, and between two reads: 504.
    pub(crate) timeout: Duration,
    /// Whether content is passed on as it comes, both ways, and not taken in before a process is asked,
    /// nor out ahead of the client.
    pub(crate) stream: bool,
    /// Whether `X-Sendfile` and `X-Accel-Redirect` name files beneath the root.
    pub(crate) sendfile: bool,
    /// Further directories whose files they name.
    pub(crate) send_files: Vec<SendDirectory>,
    /// The media types of the route's policy.
    pub(crate) types: Types,
    /// What the route's policy has compressed.
    pub(crate) compression: Option<Compression>,
    /// Whether the route's policy leaves `Content-Encoding` to the server.
    pub(crate) may_label_codings: bool,
    /// What symbolic links may lead to.
    pub(crate) links: Links,
}

/// A directory whose files scripts may leave to this server to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendDirectory {
    /// The path by which `X-Accel-Redirect` calls it: decoded, without a slash at its end. `None`: by
    /// its path in the file system.
    pub(crate) url: Option<String>,
    /// Absolute.
    pub(crate) path: PathBuf,
}

impl Fastcgi {
    /// The scripts of `root`, run by `peer`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf, peer: UpstreamAddress) -> Self {
        Self {
            peer,
            root: std::path::absolute(&root).unwrap_or(root),
            script: None,
            index: vec!["index.php".to_owned()],
            scripts: vec![".php".to_owned()],
            fallback: None,
            static_files: true,
            cache_control: Vec::new(),
            expires: Vec::new(),
            params: Vec::new(),
            timeout: Duration::from_secs(60),
            stream: false,
            sendfile: false,
            send_files: Vec::new(),
            types: Types::default(),
            compression: None,
            may_label_codings: true,
            links: Links::Inside,
        }
    }

    /// Whether the file at `path` is a script: it is run, not sent.
    pub(crate) fn is_script(&self, path: &[u8]) -> bool {
        self.scripts.iter().any(|suffix| ends_in(path, suffix))
    }

    /// Whether the file at `path` may be sent, as far as its name says: it is no script, and not the
    /// source of one that other routes run, or that an operator has forgotten to name in `scripts`.
    pub(crate) fn may_be_sent(&self, path: &[u8]) -> bool {
        !self.is_script(path) && !is_php_source(path)
    }

    /// The options of `files` for the files that may be sent.
    pub(crate) fn files(&self) -> Files {
        let names = self.index.iter();
        let index = names.filter(|name| self.may_be_sent(name.as_bytes()));
        Files {
            index: index.cloned().collect(),
            cache_control: self.cache_control.clone(),
            expires: self.expires.clone(),
            types: self.types.clone(),
            compression: self.compression.clone(),
            may_label_codings: self.may_label_codings,
            links: self.links.clone(),
            ..Files::beneath(self.root.clone())
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(root: PathBuf) -> Self {
        Self::beneath(root, UpstreamAddress::Unix("/nowhere".into()))
    }
}

/// `proxy = "NAME"` or `proxy = "http://HOST:PORT"`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// The name of an [`Upstream`](super::Upstream) of the configuration.
    pub(crate) upstream: String,
    /// The `Host` that the upstream is sent.
    pub(crate) host: HostField,
    /// What is done to the fields of the request: first `remove`, then `set`, then `add`.
    pub(crate) request_headers: HeaderChanges,
    /// Fields that tell the upstream of the client's certificate, each with what it tells; no two names that
    /// applications take for one. They are not in `request_headers`.
    pub(crate) client_certificate: Vec<(String, CertificateFact)>,
    /// Whether the part of the path that matched is left out of the path that the upstream is asked for.
    pub(crate) strip_prefix: bool,
    /// Whether requests are taken in before the upstream is asked, and responses are taken from it as
    /// fast as it gives them.
    pub(crate) buffer: bool,
    /// In place of the upstream's `timeouts.head` and `timeouts.read`.
    pub(crate) timeout: Option<Duration>,
    /// The protocols that `Upgrade` may change to, in lower case.
    pub(crate) upgrade: Vec<String>,
    /// How long a tunnel may be idle.
    pub(crate) tunnel_timeout: Duration,
    /// How long a tunnel goes on when the server stops, or when its route or its server is gone.
    pub(crate) tunnel_grace: Duration,
    /// Whether responses say what became of them here (RFC 9209).
    pub(crate) proxy_status: bool,
}

impl Proxy {
    /// Asks `upstream`, with the default of every option.
    pub(crate) fn to(upstream: String) -> Self {
        Self {
            upstream,
            host: HostField::Keep,
            request_headers: HeaderChanges::default(),
            client_certificate: Vec::new(),
            strip_prefix: false,
            buffer: true,
            timeout: None,
            upgrade: vec!["websocket".to_owned()],
            tunnel_timeout: Duration::from_secs(3600),
            tunnel_grace: Duration::from_secs(5),
            proxy_status: false,
        }
    }
}

/// What an upstream may be told of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateFact {
    /// Whether there is one, which is verified.
    Verified,
    Subject,
    Issuer,
    Serial,
    Fingerprint,
    Certificate,
    /// The certificates that the client has shown behind its own.
    Chain,
}

/// The `Host` of a request to an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum HostField {
    /// The one that the client sent.
    #[default]
    Keep,
    /// The address of the server as the operator wrote it: a name stays a name.
    Upstream,
    Set(String),
}
