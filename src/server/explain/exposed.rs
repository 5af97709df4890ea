//! Warns of files of the server itself that its routes send to any client: the configuration, keys, passwords, logs.
//!
//! Each such file beneath the root of a route is asked for, as a client would that has proved nothing. So whatever
//! refuses it counts: another route, `deny`, `auth`, a name that is hidden.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::facts::Facts;
use super::{Buckets, Explanation, explain};
use crate::config::model::{
    Auth, Config, LogDestination, PatternSegment, Policy, Route, RoutePattern, Server, Tls, Verb,
};
use crate::control::question::Question;
use crate::generation::Generation;
use crate::http::method::Method;
use crate::http::path::encode_path;
use crate::http::status::Status;

/// An address of no client (RFC 5737): the client that asks is none of those that `allow` names.
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// What a file of the server is for.
#[derive(Clone, Copy)]
enum Use {
    Configuration,
    Key,
    Passwords,
    AccessLog,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "a file of the configuration",
            Self::Key => "a private key of `tls`",
            Self::Passwords => "the passwords of `auth`",
            Self::AccessLog => "an access log",
        })
    }
}

/// A file of the server that a route may send, and how a client would ask for it.
struct Suspect<'c> {
    route: &'c Route,
    /// The root of the route, as the configuration has it.
    root: PathBuf,
    /// The one path of the file, which is a regular file.
    file: PathBuf,
    used: Use,
    question: Question,
}

/// Returns a warning for each file of the server that a route of `config` sends to a client that has proved nothing.
/// `files` are those that the configuration was read from, `generation` is made of it.
pub(crate) fn exposed_files(
    config: &Config,
    files: &[PathBuf],
    generation: &Arc<Generation>,
) -> Vec<String> {
    let own = own_files(config, files);
    let servers = config.servers.iter();
    let suspects: Vec<Suspect<'_>> = servers
        .filter(|server| !demands_certificate(server))
        .flat_map(|server| suspects(server, &own))
        .collect();
    if suspects.is_empty() {
        return Vec::new();
    }
    let questions = suspects.iter().map(|suspect| suspect.question.clone());
    // Without an event queue nothing is known, and the server cannot run either.
    let answers = explain(generation, questions.collect(), Buckets::Full).unwrap_or_default();
    let exposed = suspects.iter().zip(&answers);
    let exposed = exposed.filter(|(suspect, answer)| suspect.is_sent(answer));
    let lines: BTreeSet<String> = exposed.map(|(suspect, _)| suspect.warning()).collect();
    lines.into_iter().collect()
}

impl Suspect<'_> {
    /// Whether the answer is the file itself.
    fn is_sent(&self, answer: &Result<Explanation, String>) -> bool {
        let Ok(Explanation::Request(answer)) = answer else {
            return false;
        };
        let is_sent = |facts: &Facts| facts.status == Status::OK;
        let is_file = |sent: &PathBuf| sent.canonicalize().is_ok_and(|sent| sent == self.file);
        answer.route.as_ref() == Some(&self.route.pattern)
            && answer.answer.as_ref().is_some_and(is_sent)
            && answer.path.as_ref().is_some_and(is_file)
    }

    fn warning(&self) -> String {
        let (route, used, target) = (self.route, self.used, &self.question.target);
        let path = self
            .file
            .strip_prefix(self.root.canonicalize().unwrap_or_default());
        // `files = "."` would leave a `.` in the middle of the path.
        let root: PathBuf = self.root.components().collect();
        let shown = root.join(path.unwrap_or(&self.file));
        format!(
            "{route} sends `{}`, {used}, to every client that asks for {target}; give the route another root, or \
             refuse the path by a route of its own: \"= {target}\" = {{ respond = \"\", status = 404 }}",
            shown.display()
        )
    }
}

/// The files that no client should have: those that `config` names, and those that it was read from.
fn own_files(config: &Config, read: &[PathBuf]) -> Vec<(PathBuf, Use)> {
    let servers = || config.servers.iter();
    let keys_of = |tls: Option<&Tls>| tls.map(|tls| tls.key.clone());
    let own = config
        .upstreams
        .iter()
        .filter_map(|upstream| upstream.tls.own.as_ref());
    let keys = servers()
        .filter_map(|server| keys_of(server.tls.as_ref()))
        .chain(
            config
                .streams
                .iter()
                .filter_map(|stream| keys_of(stream.tls.as_ref())),
        )
        .chain(own.map(|own| own.key.clone()));
    let routes = servers()
        .flat_map(|server| &server.routes)
        .map(|route| &route.policy);
    let policies = servers().map(|server| &server.policy).chain(routes);
    let passwords = policies.filter_map(passwords_of);
    let logs = config
        .log
        .access
        .iter()
        .filter_map(|log| match &log.destination {
            LogDestination::File(path) => Some(path.clone()),
            LogDestination::StandardOutput => None,
        });
    let named = read.iter().cloned().map(|file| (file, Use::Configuration));
    let named = named
        .chain(keys.map(|file| (file, Use::Key)))
        .chain(passwords.map(|file| (file, Use::Passwords)))
        .chain(logs.map(|file| (file, Use::AccessLog)));
    let regular = |(file, used): (PathBuf, Use)| {
        let file = file.canonicalize().ok().filter(|file| file.is_file())?;
        Some((file, used))
    };
    named.filter_map(regular).collect()
}

fn passwords_of(policy: &Policy) -> Option<PathBuf> {
    match policy.auth.as_ref()? {
        Auth::Basic(basic) => Some(basic.file.clone()),
        Auth::Forward(_) => None,
    }
}

/// Whether every client of the server has shown a certificate before its first request.
fn demands_certificate(server: &Server) -> bool {
    let clients = server.tls.as_ref().and_then(|tls| tls.clients.as_ref());
    clients.is_some_and(|clients| clients.is_required)
}

/// Those of the files `own` that stand beneath the roots of the routes of `server`.
fn suspects<'c>(server: &'c Server, own: &[(PathBuf, Use)]) -> Vec<Suspect<'c>> {
    let mut suspects = Vec::new();
    for route in &server.routes {
        let root = match &route.verb {
            Verb::Files(files) => files.root.clone(),
            Verb::Fastcgi(fastcgi) if fastcgi.static_files => fastcgi.files().root,
            _ => continue,
        };
        let (Ok(real), Some(prefix)) = (root.canonicalize(), prefix(route)) else {
            continue;
        };
        for (file, used) in own {
            let Ok(beneath) = file.strip_prefix(&real) else {
                continue;
            };
            let path = encode_path(beneath.as_os_str().as_bytes());
            suspects.push(Suspect {
                route,
                root: root.clone(),
                file: file.clone(),
                used: *used,
                question: question(server, format!("{prefix}/{path}")),
            });
        }
    }
    suspects
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Handlers;
    use crate::config::{self, Strictness, Surroundings};
    use crate::generation::prepare::prepare;
    use crate::test_support::TemporaryDirectory;

    const SERVER: &str =
        "listen = '127.0.0.1:20443'\ntls = { certificate = 'a.pem', key = 'a.key' }\n";

    /// The paths beneath the configuration's directory that are warned of, with these settings of the server.
    fn exposed(settings: &str) -> Vec<String> {
        let directory = TemporaryDirectory::new("exposed");
        let fixture = |name: &str| {
            let root = env!("CARGO_MANIFEST_DIR");
            std::fs::read(format!("{root}/tests/fixtures/tls/{name}")).expect("a fixture")
        };
        directory.write("a.pem", &fixture("localhost.pem"));
        directory.write("a.key", &fixture("localhost.key"));
        directory.write(
            "users",
            b"u:$2b$04$abcdefghijklmnopqrstuuM9eGHyYQ2zrQBZkGAVPzPnDVWVxm5Gy\n",
        );
        directory.write("logs/access.log", b"");
        directory.write("further.toml", b"upstreams.u.servers = '127.0.0.1:1'\n");
        let text = format!(
            "include = 'further.toml'\nlog.access = 'logs/access.log'\n[[server]]\n{SERVER}{settings}\n"
        );
        directory.write("config.toml", text.as_bytes());
        let handlers = Handlers::default();
        let surroundings = Surroundings::of_process(&handlers);
        let file = directory.path().join("config.toml");
        let checked = config::load(&file, surroundings, Strictness::Lenient);
        let prepared = prepare(checked, &handlers, None).expect("a good configuration");
        let loaded = prepared.loaded;
        let lines = exposed_files(&loaded.config, &loaded.files, &prepared.generation);
        let start = format!("sends `{}/", directory.path().display());
        let path = |line: &String| {
            let (_, rest) = line.split_once(&start).expect("the file is named");
            rest.split('`').next().unwrap_or_default().to_owned()
        };
        lines.iter().map(path).collect()
    }

    /// All of them were sent, and nothing was said of it.
    #[test]
    fn own_files_that_a_stranger_gets_are_told() {
        let all = [
            "a.key",
            "config.toml",
            "further.toml",
            "logs/access.log",
            "users",
        ];
        let guarded = "'/intern' = { respond = 'x', auth = { basic = 'users' } }\n";
        for (routes, expected) in [
            ("'/' = { files = '.' }", &all[..]),
            ("'/s' = { files = '.', strip_prefix = true }", &all),
            ("'/logs' = { files = '.' }", &all[3..4]),
            ("'/' = { files = '.', allow = '127.0.0.1' }", &[]),
            ("'/' = { files = '.', auth = { basic = 'users' } }", &[]),
            (
                "'/' = { files = '.' }\n'= /a.key' = { respond = '', status = 404 }",
                &all[1..],
            ),
            (
                "'/' = { files = 'logs' }\n'= /access.log' = { respond = '', status = 404 }",
                &[],
            ),
            ("'/{x}' = { files = '.', strip_prefix = true }", &[]),
        ] {
            let found = exposed(&format!("[server.routes]\n{guarded}{routes}"));
            assert_eq!(found, expected, "{routes}");
        }
    }
}
