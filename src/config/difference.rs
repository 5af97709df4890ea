//! What a reload changes, in the terms of the file.

use std::fmt;

use super::{Config, Files, HostPattern, PatternSegment, Route, RoutePattern, Server, Verb};

/// One thing that differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    text: String,
    needs_restart: bool,
}

/// `route /docs: files docs → manual`, `needs a restart: blocking`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.needs_restart {
            "needs a restart: "
        } else {
            ""
        };
        write!(f, "{prefix}{}", self.text)
    }
}

impl Change {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            needs_restart: false,
        }
    }

    fn for_restart(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            needs_restart: true,
        }
    }
}

/// What `new` changes of `old`: first what has to wait for a restart, then the process, then
/// listeners and servers in the order of the file.
pub(crate) fn difference(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    settings(old, new, &mut changes);
    listeners(old, new, &mut changes);
    servers(old, new, &mut changes);
    changes
}

fn settings(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    if old.blocking != new.blocking {
        changes.push(Change::for_restart("blocking"));
    }
    if (&old.log.access, old.log.format) != (&new.log.access, new.log.format) {
        changes.push(Change::for_restart("log.access, log.format"));
    }
    let mut compare = |name: &str, old: String, new: String| {
        if old != new {
            changes.push(Change::new(format!("{name}: {old} → {new}")));
        }
    };
    compare("workers", old.workers.to_string(), new.workers.to_string());
    compare(
        "grace",
        format!("{:?}", old.grace),
        format!("{:?}", new.grace),
    );
    compare(
        "log.level",
        format!("{:?}", old.log.level),
        format!("{:?}", new.log.level),
    );
    compare(
        "server_field",
        old.server_field.to_string(),
        new.server_field.to_string(),
    );
    if old.policy.limits != new.policy.limits {
        changes.push(Change::new("limits changed"));
    }
    if old.trusted_proxies != new.trusted_proxies {
        changes.push(Change::new("trusted_proxies changed"));
    }
}

fn listeners(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let all = |config: &Config| -> Vec<String> {
        let listen = config.servers.iter().flat_map(|server| &server.listen);
        let mut listen: Vec<String> = listen.map(ToString::to_string).collect();
        listen.sort();
        listen.dedup();
        listen
    };
    let (old, new) = (all(old), all(new));
    let missing = |from: &[String], of: &[String]| -> Vec<String> {
        of.iter()
            .filter(|address| !from.contains(address))
            .cloned()
            .collect()
    };
    for address in missing(&old, &new) {
        changes.push(Change::new(format!("listener {address} added")));
    }
    for address in missing(&new, &old) {
        changes.push(Change::new(format!("listener {address} removed")));
    }
}

/// Servers are the same one if they answer for the same hosts at an address in common.
fn servers(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let is_same = |a: &Server, b: &Server| {
        a.hosts == b.hosts && a.listen.iter().any(|address| b.listen.contains(address))
    };
    for server in &new.servers {
        let name = name_of(server);
        match old.servers.iter().find(|known| is_same(known, server)) {
            None => changes.push(Change::new(format!("server {name} added"))),
            Some(known) => {
                if known.listen != server.listen {
                    changes.push(Change::new(format!("server {name}: listen changed")));
                }
                if known.policy != server.policy {
                    changes.push(Change::new(format!(
                        "server {name}: headers, limits, error_pages or access changed"
                    )));
                }
                routes(known, server, changes);
            }
        }
    }
    for server in &old.servers {
        if !new.servers.iter().any(|kept| is_same(kept, server)) {
            changes.push(Change::new(format!("server {} removed", name_of(server))));
        }
    }
}

fn routes(old: &Server, new: &Server, changes: &mut Vec<Change>) {
    for route in &new.routes {
        let pattern = &route.pattern;
        let Some(known) = old.routes.iter().find(|known| known.pattern == *pattern) else {
            changes.push(Change::new(format!(
                "route {pattern} added: {}",
                describe(&route.verb)
            )));
            continue;
        };
        let (before, after) = (describe(&known.verb), describe(&route.verb));
        if before != after {
            changes.push(Change::new(format!("route {pattern}: {before} → {after}")));
        } else if differs(known, route) {
            changes.push(Change::new(format!("route {pattern}: options changed")));
        }
    }
    for route in &old.routes {
        if !new.routes.iter().any(|kept| kept.pattern == route.pattern) {
            changes.push(Change::new(format!("route {} removed", route.pattern)));
        }
    }
}

fn differs(old: &Route, new: &Route) -> bool {
    old.strip_prefix != new.strip_prefix || old.policy != new.policy || old.verb != new.verb
}

/// The verb and what it is about: what an operator tells routes apart by.
fn describe(verb: &Verb) -> String {
    match verb {
        Verb::Files(Files { root, .. }) => format!("files {}", root.display()),
        Verb::Respond(respond) => format!("respond {:?}", respond.content),
        Verb::Redirect(redirect) => format!("redirect {}", redirect.target),
        Verb::Echo => "echo".to_owned(),
    }
}

fn name_of(server: &Server) -> String {
    match &server.hosts[..] {
        [] => "for any host".to_owned(),
        hosts => hosts
            .iter()
            .map(HostPattern::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// As the operator writes it: `GET = /users/{id}`.
impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = self.method {
            write!(f, "{method} ")?;
        }
        if self.exact {
            f.write_str("= ")?;
        }
        for segment in &self.segments {
            match segment {
                PatternSegment::Static(octets) => {
                    write!(f, "/{}", String::from_utf8_lossy(octets))?
                }
                PatternSegment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        if self.trailing_slash || self.segments.is_empty() {
            f.write_str("/")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    fn config(text: &str) -> Config {
        let loaded = parse(text, std::path::Path::new("a.toml"), &|_| None);
        loaded.unwrap_or_else(|report| panic!("{report}")).config
    }

    #[test]
    fn names_what_changed_in_the_terms_of_the_file() {
        let server = |listen: &str, routes: &str| {
            format!("[[server]]\nlisten = [{listen}]\n[server.routes]\n{routes}\n")
        };
        let old = server(
            "'127.0.0.1:1'",
            "'/' = { respond = 'a' }\n'/b' = { echo = true }",
        );
        let cases: &[(String, &[&str])] = &[
            (old.clone(), &[]),
            (
                format!("workers = 3\nblocking = {{ threads = 1 }}\n{old}"),
                &["needs a restart: blocking", "workers"],
            ),
            (
                server(
                    "'127.0.0.1:1', '127.0.0.1:2'",
                    "'/' = { respond = 'c' }\n'GET = /d/{id}' = { echo = true }",
                ),
                &[
                    "listener 127.0.0.1:2 added",
                    "server for any host: listen changed",
                    "route /: respond \"a\" → respond \"c\"",
                    "route GET = /d/{id} added: echo",
                    "route /b removed",
                ],
            ),
            (
                server("'127.0.0.1:3'", "'/' = { echo = true }"),
                &[
                    "listener 127.0.0.1:3 added",
                    "listener 127.0.0.1:1 removed",
                    "server for any host added",
                    "server for any host removed",
                ],
            ),
            (
                server(
                    "'127.0.0.1:1'",
                    "'/' = { respond = 'a', status = 201 }\n'/b' = { echo = true }",
                ),
                &["route /: options changed"],
            ),
        ];
        for (new, expected) in cases {
            let changes = difference(&config(&old), &config(new));
            let found: Vec<String> = changes.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(*expected) {
                assert!(found.starts_with(expected), "{found} is not {expected}");
            }
        }
    }
}
