//! Warns of files of the server itself that its routes send to any client: the configuration, keys, passwords, logs.
//!
//! Each such file beneath the root of a route is asked for, as a client would that has proved nothing. So whatever
//! refuses it counts: another route, `deny`, `auth`, a name that is hidden.
//!
//! The scripts of `fastcgi` routes are looked for in the same way, see [`super::sent_scripts`].

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::sent_scripts::SentScripts;
use super::suspect::{Suspect, Use, sending_routes};
use super::{Buckets, explain};
use crate::config::model::{Auth, Config, LogDestination, Policy, Server, Tls};
use crate::generation::Generation;

/// Returns a warning for each file of the server, and for each route with scripts, that a route of `config` sends to
/// a client that has proved nothing. `files` are those that the configuration was read from, `generation` is made of
/// it.
pub(crate) fn exposed_files(
    config: &Config,
    files: &[PathBuf],
    generation: &Arc<Generation>,
) -> Vec<String> {
    let own = own_files(config, files);
    let mut scripts = SentScripts::of(config);
    let servers = config.servers.iter();
    let open = servers.filter(|server| !demands_certificate(server));
    let mut suspects = Vec::new();
    for server in open {
        for site in sending_routes(server) {
            suspects.extend(site.suspects(&own));
            suspects.extend(scripts.suspects(&site));
        }
    }
    if suspects.is_empty() {
        return Vec::new();
    }
    let questions = suspects.iter().map(|suspect| suspect.question.clone());
    // Without an event queue nothing is known, and the server cannot run either.
    let answers = explain(generation, questions.collect(), Buckets::Full).unwrap_or_default();
    let exposed = suspects.iter().zip(&answers);
    let exposed = exposed.filter(|(suspect, answer)| suspect.is_sent(answer));
    let exposed = exposed.map(|(suspect, _)| suspect);
    let (sent_scripts, sent): (Vec<&Suspect<'_>>, Vec<&Suspect<'_>>) =
        exposed.partition(|suspect| matches!(suspect.used, Use::Script));
    let lines: BTreeSet<String> = sent.into_iter().map(Suspect::warning).collect();
    lines
        .into_iter()
        .chain(scripts.warnings(&sent_scripts))
        .collect()
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
        let start = format!("`{}/", directory.path().display());
        let path = |line: &String| {
            let (_, rest) = line.split_once(&start).expect("the file is named");
            rest.split('`').next().unwrap_or_default().to_owned()
        };
        warnings(&directory, settings).iter().map(path).collect()
    }

    /// The warnings of a server with these settings, whose files stand in `directory`.
    fn warnings(directory: &TemporaryDirectory, settings: &str) -> Vec<String> {
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
        exposed_files(&loaded.config, &loaded.files, &prepared.generation)
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

    /// `"/wp-content" = { files = "wp" }` beside the `fastcgi` route sent the sources of all plugins.
    #[test]
    fn scripts_that_a_route_sends_as_text_are_told() {
        const PHP: &str = "'/' = { fastcgi = '127.0.0.1:9000', root = 'wp' }";
        for (routes, expected) in [
            (
                "'/wp-content' = { files = 'wp', expires = { css = '1y' } }",
                Some("wp/wp-content/a.php` and 1 more as text"),
            ),
            (
                "'/c' = { files = 'wp/wp-content', strip_prefix = true }",
                Some("wp/wp-content/a.php` and 1 more as text"),
            ),
            (
                "'/all' = { files = '.', strip_prefix = true, allow = '127.0.0.1' }",
                None,
            ),
            (
                "'= /wp-content/a.php' = { files = 'wp' }",
                Some("wp/wp-content/a.php` as text"),
            ),
            ("'/wp-content/css' = { files = 'wp' }", None),
            (
                "'/x' = { fastcgi = '127.0.0.1:9000', root = 'wp', scripts = '.py' }",
                None,
            ),
            ("'/other' = { files = 'other', strip_prefix = true }", None),
        ] {
            let directory = TemporaryDirectory::new("sent-scripts");
            for file in [
                "wp/wp-content/a.php",
                "wp/wp-content/p/b.PHP",
                "wp/wp-content/.c.php",
                "wp/wp-content/css/a.css",
                "wp/d.php",
                "other/e.php",
            ] {
                directory.write(file, b"<?php");
            }
            let found = warnings(&directory, &format!("[server.routes]\n{PHP}\n{routes}"));
            let of_scripts: Vec<&String> = found
                .iter()
                .filter(|line| line.contains("the source of"))
                .collect();
            assert_eq!(
                of_scripts.len(),
                usize::from(expected.is_some()),
                "{routes}: {found:?}"
            );
            if let (Some(expected), [line]) = (expected, &of_scripts[..]) {
                assert!(
                    line.contains(expected) && line.contains("and route `/"),
                    "{line}"
                );
            }
        }
    }
}
