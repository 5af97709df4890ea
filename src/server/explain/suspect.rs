//! A file that a route may send though no client should have it, and the question that finds out.

use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Explanation;
use super::facts::Facts;
use crate::config::model::{PatternSegment, Route, RoutePattern, Server, Verb};
use crate::control::question::Question;
use crate::http::method::Method;
use crate::http::path::encode_path;
use crate::http::status::Status;

/// An address of no client (RFC 5737): the client that asks is none of those that `allow` names.
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// What a file of the server is for.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// Run by a `fastcgi` route.
    Script,
    Configuration,
    Key,
    Passwords,
    AccessLog,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Script => "a script",
            Self::Configuration => "a file of the configuration",
            Self::Key => "a private key of `tls`",
            Self::Passwords => "the passwords of `auth`",
            Self::AccessLog => "an access log",
        })
    }
}

/// A file that a route may send, and how a client would ask for it.
pub(super) struct Suspect<'c> {
    pub(super) route: &'c Route,
    /// The root of the route, as the configuration has it.
    pub(super) root: PathBuf,
    /// The one path of the file, which is a regular file.
    pub(super) file: PathBuf,
    pub(super) used: Use,
    pub(super) question: Question,
}

impl Suspect<'_> {
    /// Whether the answer is the file itself.
    pub(super) fn is_sent(&self, answer: &Result<Explanation, String>) -> bool {
        let Ok(Explanation::Request(answer)) = answer else {
            return false;
        };
        let is_sent = |facts: &Facts| facts.status == Status::OK;
        let is_file = |sent: &PathBuf| sent.canonicalize().is_ok_and(|sent| sent == self.file);
        answer.route.as_ref() == Some(&self.route.pattern)
            && answer.answer.as_ref().is_some_and(is_sent)
            && answer.path.as_ref().is_some_and(is_file)
    }

    pub(super) fn warning(&self) -> String {
        let (route, used, target) = (self.route, self.used, &self.question.target);
        let shown = self.shown();
        format!(
            "{route} sends `{shown}`, {used}, to every client that asks for {target}; give the route another root, or \
             refuse the path by a route of its own: \"= {target}\" = {{ respond = \"\", status = 404 }}"
        )
    }

    /// The path of the file from the root as the configuration has it.
    pub(super) fn shown(&self) -> String {
        let path = self
            .file
            .strip_prefix(self.root.canonicalize().unwrap_or_default());
        // `files = "."` would leave a `.` in the middle of the path.
        let root: PathBuf = self.root.components().collect();
        root.join(path.unwrap_or(&self.file)).display().to_string()
    }
}

/// A route that sends the files beneath a directory, and what leads to them.
pub(super) struct SendingRoute<'c> {
    server: &'c Server,
    pub(super) route: &'c Route,
    /// As the configuration has it.
    root: PathBuf,
    /// The one path of the root.
    pub(super) real: PathBuf,
    /// What stands before the path of a file, beneath the root, in the path of a request.
    prefix: String,
}

/// The routes of `server` that send files, where paths lead to them without parameters.
pub(super) fn sending_routes(server: &Server) -> impl Iterator<Item = SendingRoute<'_>> {
    server.routes.iter().filter_map(move |route| {
        let root = match &route.verb {
            Verb::Files(files) => files.root.clone(),
            Verb::Fastcgi(fastcgi) if fastcgi.static_files => fastcgi.files().root,
            _ => return None,
        };
        Some(SendingRoute {
            server,
            route,
            real: root.canonicalize().ok()?,
            root,
            prefix: prefix(route)?,
        })
    })
}

impl<'c> SendingRoute<'c> {
    /// Those of the files `own` that stand beneath the root.
    pub(super) fn suspects(&self, own: &[(PathBuf, Use)]) -> Vec<Suspect<'c>> {
        let own = own.iter();
        own.filter_map(|(file, used)| self.suspect(file, *used))
            .collect()
    }

    /// `file`, if it stands beneath the root.
    pub(super) fn suspect(&self, file: &Path, used: Use) -> Option<Suspect<'c>> {
        let beneath = file.strip_prefix(&self.real).ok()?;
        let path = encode_path(beneath.as_os_str().as_bytes());
        Some(Suspect {
            route: self.route,
            root: self.root.clone(),
            file: file.to_owned(),
            used,
            question: question(self.server, format!("{}/{path}", self.prefix)),
        })
    }

    /// The directory or the file that the paths of the route lead to, or beneath.
    pub(super) fn start(&self) -> PathBuf {
        let segments = self.route.pattern.segments.iter();
        let names = segments.map_while(|segment| match segment {
            PatternSegment::Static(name) => Some(OsStr::from_bytes(name)),
            PatternSegment::Parameter(..) | PatternSegment::Tail(_) => None,
        });
        let mut start = self.real.clone();
        if !self.route.strip_prefix {
            start.extend(names);
        }
        start
    }
}

/// What stands before the path of a file, beneath the root, in the path of a request; `None`: it has parameters.
fn prefix(route: &Route) -> Option<String> {
    if !route.strip_prefix {
        return Some(String::new());
    }
    let mut segments = route.pattern.segments.iter();
    if !segments.all(|segment| matches!(segment, PatternSegment::Static(_))) {
        return None;
    }
    let path = RoutePattern {
        method: None,
        exact: false,
        ..route.pattern.clone()
    };
    Some(path.to_string().trim_end_matches('/').to_owned())
}

/// GET for `target` at a listener of `server`, without any field.
fn question(server: &Server, target: String) -> Question {
    let host = server.hosts.first().map(ToString::to_string);
    Question {
        method: Method::Get,
        target,
        host: host.map_or("localhost".to_owned(), |host| host.replace('*', "www")),
        port: None,
        scheme: None,
        listener: server.listen.first().map(ToString::to_string),
        fields: Vec::new(),
        client: STRANGER,
        has_certificate: false,
    }
}
