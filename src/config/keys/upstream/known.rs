//! Which upstreams and applications the files have, and which of them are asked.

use std::fmt;

use super::entry::{Placed, upstream};
use super::loops::warn_of_loops;
use crate::address::{ListenAddress, UpstreamAddress, UpstreamUrl};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::suggest::nearest;
use crate::config::keys::app::app;
use crate::config::model::{App, Upstream, UpstreamServer};
use crate::config::tree::asked_upstream::AskedUpstream;
use crate::config::tree::named_connector::NamedConnector;
use crate::config::tree::node::{Context, Node, list};
use crate::config::tree::section::Key;
use crate::config::words::upstream::parse_upstream_name;

/// The upstreams and the applications of all files, which share their names.
#[derive(Default)]
pub(crate) struct Known<'c> {
    /// Every name that is there, with those of upstreams and applications that have a mistake.
    names: Vec<(Key<'c>, Named)>,
    upstreams: Vec<Upstream>,
    apps: Vec<App>,
    /// Every server, and where it stands.
    servers: Vec<(UpstreamAddress, Spot)>,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Upstream,
    App,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upstream => "upstream",
            Self::App => "app",
        })
    }
}

impl<'c> Known<'c> {
    /// Reads the tables `[upstreams.NAME]` and `[apps.NAME]` of all files. A name that stands twice is
    /// reported.
    pub(crate) fn read(upstreams: Vec<Node<'c>>, apps: Vec<Node<'c>>) -> Self {
        let mut known = Self::default();
        for node in upstreams {
            let help = "write [upstreams.shop] and servers = [\"127.0.0.1:8000\"]".to_owned();
            let Some(section) = node.section("`[upstreams]`", Some(help)) else {
                continue;
            };
            for (key, value) in section.entries() {
                known.add(key, value);
            }
        }
        for node in apps {
            let help = "write [apps.blog] and command = [\"PROGRAM\", \"${SOCKET}\"]".to_owned();
            let Some(section) = node.section("`[apps]`", Some(help)) else {
                continue;
            };
            for (key, value) in section.entries() {
                known.add_app(key, value);
            }
        }
        known.upstreams.sort_by(|a, b| a.name.cmp(&b.name));
        known.apps.sort_by(|a, b| a.name().cmp(b.name()));
        known
    }

    /// Takes a name, unless it is taken already, which is reported.
    fn take_name(&mut self, key: Key<'c>, named: Named) -> Option<()> {
        let Some((first, before)) = self.names.iter().find(|(first, _)| first.name == key.name)
        else {
            self.names.push((key, named));
            return Some(());
        };
        let name = key.name.escape_debug();
        let message = if named == *before {
            format!("there are two {named}s `{name}`")
        } else {
            format!("there are an {before} and an {named} `{name}`")
        };
        let help = "upstreams and apps of all files share their names, because `proxy` names both";
        key.cx.report(
            Diagnostic::error(message)
                .at(key.spot(), "the second one")
                .at(first.spot(), "the first one")
                .help(help.to_owned()),
        );
        None
    }

    fn add_app(&mut self, key: Key<'c>, value: Node<'c>) {
        let app = app(&key, value);
        if let (Some(()), Some(app)) = (self.take_name(key, Named::App), app) {
            self.upstreams.push(app.upstream.clone());
            self.apps.push(app);
        }
    }

    fn add(&mut self, key: Key<'c>, value: Node<'c>) {
        let upstream = upstream(&key, value);
        if self.take_name(key, Named::Upstream).is_none() {
            return;
        }
        if let Some(Placed { upstream, spots }) = upstream {
            let addresses = upstream.servers.iter().map(|server| server.address.clone());
            self.servers.extend(addresses.zip(spots));
            self.upstreams.push(upstream);
        }
    }

    /// All upstreams: those of the files by name, then one for each URL that is asked in
    /// `contexts`, the files; and all applications. What is doubtful is reported: an upstream that
    /// is asked and is not there, one that is there and is not asked, and a server at one of the
    /// addresses `listen`, which are this configuration's.
    pub(crate) fn complete(
        mut self,
        contexts: &[&Context<'_>],
        listen: &[&ListenAddress],
    ) -> (Vec<Upstream>, Vec<App>) {
        let mut named = Vec::new();
        for cx in contexts {
            for asked in cx.asked.take() {
                match asked.server.clone() {
                    Some(server) => self.add_server(cx, asked, server),
                    None if self.names.iter().any(|(key, _)| key.name == asked.name) => {
                        named.push(asked.name)
                    }
                    None => self.report_unknown(cx, &asked),
                }
            }
        }
        self.warn_of_unused(&named);
        warn_of_loops(contexts, listen, &self.servers);
        (self.upstreams, self.apps)
    }

    /// Warns of upstreams that are not among `asked`.
    fn warn_of_unused(&self, asked: &[String]) {
        for (key, named) in &self.names {
            let may_be_asked = parse_upstream_name(key.name).is_ok();
            if may_be_asked && !asked.iter().any(|name| name == key.name) {
                let message = format!("nothing asks the {named} `{}`", key.name.escape_debug());
                let help = format!("\"/\" = {{ proxy = \"{}\" }} is one that does", key.name);
                let warning = Diagnostic::warning(message).at(key.spot(), "").help(help);
                key.cx.report_unknown_name(warning);
            }
        }
    }

    /// Adds the upstream of a route that says the server itself.
    fn add_server(&mut self, cx: &Context<'_>, asked: AskedUpstream, url: UpstreamUrl) {
        self.servers.push((url.address.clone(), asked.spot.clone()));
        if self.upstreams.iter().any(|other| other.name == asked.name) {
            return;
        }
        let place = cx.source.place(asked.spot.span.start);
        if url.scheme.is_tls() {
            let named = NamedConnector::plain(asked.spot.clone());
            cx.connectors.borrow_mut().push(named);
        }
        let servers = vec![UpstreamServer::at(url)];
        self.upstreams
            .push(Upstream::of(asked.name, servers, place));
    }

    fn report_unknown(&self, cx: &Context<'_>, asked: &AskedUpstream) {
        let names = || self.names.iter().map(|(key, _)| key.name);
        let meant = nearest(&asked.name, names());
        let label = meant.map_or(String::new(), |name| format!("did you mean `{name}`?"));
        let help = match (meant, self.names.as_slice()) {
            (Some(_), _) => None,
            (None, []) => {
                let or = match asked.name.parse::<u16>() {
                    _ if !asked.of_stream => {
                        "the URL of a server: \"http://127.0.0.1:8000\"".to_owned()
                    }
                    Ok(port) => format!("the address of a server: \"127.0.0.1:{port}\""),
                    Err(_) => "the address of a server: \"127.0.0.1:5432\"".to_owned(),
                };
                Some(format!(
                    "add\n[upstreams.{}]\nservers = [\"127.0.0.1:8000\"]\nor write {or}",
                    asked.name
                ))
            }
            (None, _) => Some(format!(
                "there is {}",
                list(names().map(|name| format!("`{name}`")), "and")
            )),
        };
        let error = Diagnostic::error(format!("there is no upstream `{}`", asked.name));
        cx.report_absence(error.at(asked.spot.clone(), label).help(help));
    }
}
