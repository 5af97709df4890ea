//! Which upstreams the files have, and which of them are asked.

use super::entry::{Placed, upstream};
use super::loops::warn_of_loops;
use crate::address::{ListenAddress, UpstreamAddress};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::suggest::nearest;
use crate::config::model::{Upstream, UpstreamServer};
use crate::config::tree::asked_upstream::AskedUpstream;
use crate::config::tree::node::{Context, Node, list};
use crate::config::tree::section::Key;
use crate::config::words::upstream::parse_upstream_name;

/// The upstreams of all files.
#[derive(Default)]
pub(crate) struct Known<'c> {
    /// Every name that is there, with those of upstreams that have a mistake.
    names: Vec<Key<'c>>,
    upstreams: Vec<Upstream>,
    /// Every server, and where it stands.
    servers: Vec<(UpstreamAddress, Spot)>,
}

impl<'c> Known<'c> {
    /// Reads the tables `[upstreams.NAME]` of all files. A name that stands twice is reported.
    pub(crate) fn read(nodes: Vec<Node<'c>>) -> Self {
        let mut known = Self::default();
        for node in nodes {
            let help = "write [upstreams.shop] and servers = [\"127.0.0.1:8000\"]".to_owned();
            let Some(section) = node.section("`[upstreams]`", Some(help)) else {
                continue;
            };
            for (key, value) in section.entries() {
                known.add(key, value);
            }
        }
        known.upstreams.sort_by(|a, b| a.name.cmp(&b.name));
        known
    }

    fn add(&mut self, key: Key<'c>, value: Node<'c>) {
        let upstream = upstream(&key, value);
        if let Some(first) = self.names.iter().find(|first| first.name == key.name) {
            let message = format!("there are two upstreams `{}`", key.name.escape_debug());
            return key.cx.report(
                Diagnostic::error(message)
                    .at(key.spot(), "the second one")
                    .at(first.spot(), "the first one")
                    .help("all files share the names of upstreams".to_owned()),
            );
        }
        self.names.push(key);
        if let Some(Placed { upstream, spots }) = upstream {
            let addresses = upstream.servers.iter().map(|server| server.address.clone());
            self.servers.extend(addresses.zip(spots));
            self.upstreams.push(upstream);
        }
    }

    /// All upstreams: those of the files by name, then one for each URL that is asked in `contexts`, the
    /// files. What is doubtful is reported: an upstream that is asked and is not there, one that is there
    /// and is not asked, and a server at one of the addresses `listen`, which are this configuration's.
    pub(crate) fn complete(
        mut self,
        contexts: &[&Context<'_>],
        listen: &[&ListenAddress],
    ) -> Vec<Upstream> {
        let mut named = Vec::new();
        for cx in contexts {
            for asked in cx.asked.take() {
                match asked.server.clone() {
                    Some(server) => self.add_server(cx, asked, server),
                    None if self.names.iter().any(|key| key.name == asked.name) => {
                        named.push(asked.name)
                    }
                    None => self.report_unknown(cx, &asked),
                }
            }
        }
        self.warn_of_unused(&named);
        warn_of_loops(contexts, listen, &self.servers);
        self.upstreams
    }

    /// Warns of upstreams that are not among `asked`.
    fn warn_of_unused(&self, asked: &[String]) {
        for key in &self.names {
            let may_be_asked = parse_upstream_name(key.name).is_ok();
            if may_be_asked && !asked.iter().any(|name| name == key.name) {
                let message = format!("nothing asks the upstream `{}`", key.name.escape_debug());
                let help = format!("\"/\" = {{ proxy = \"{}\" }} is one that does", key.name);
                let warning = Diagnostic::warning(message).at(key.spot(), "").help(help);
                key.cx.report_absence(warning);
            }
        }
    }

    /// Adds the upstream of a route that says the server itself.
    fn add_server(&mut self, cx: &Context<'_>, asked: AskedUpstream, address: UpstreamAddress) {
        self.servers.push((address.clone(), asked.spot.clone()));
        if self.upstreams.iter().any(|other| other.name == asked.name) {
            return;
        }
        let place = cx.source.place(asked.spot.span.start);
        let servers = vec![UpstreamServer::at(address)];
        self.upstreams
            .push(Upstream::of(asked.name, servers, place));
    }

    fn report_unknown(&self, cx: &Context<'_>, asked: &AskedUpstream) {
        let names = || self.names.iter().map(|key| key.name);
        let meant = nearest(&asked.name, names());
        let label = meant.map_or(String::new(), |name| format!("did you mean `{name}`?"));
        let help = match (meant, self.names.as_slice()) {
            (Some(_), _) => None,
            (None, []) => Some(format!(
                "add\n[upstreams.{}]\nservers = [\"127.0.0.1:8000\"]\nor write the URL of a server: \
                 \"http://127.0.0.1:8000\"",
                asked.name
            )),
            (None, _) => Some(format!(
                "there is {}",
                list(names().map(|name| format!("`{name}`")), "and")
            )),
        };
        let error = Diagnostic::error(format!("there is no upstream `{}`", asked.name));
        cx.report_absence(error.at(asked.spot.clone(), label).help(help));
    }
}
