//! `ready = true`, or `ready = { upstreams = ["shop"] }`: whether clients may be sent to this server.

use toml::de::DeValue;

use super::proxy;
use super::setting::{Kind, Setting, Table, read_table, rows, set, show, walk};
use super::verb::{Answer, VerbKeys};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Ready, Route, Verb};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::written;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "ready",
    usage: "ready = true",
    example: "\"/ready\" = { ready = true }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

/// What the verb may be beside `true`.
pub(super) const TABLE: Table = Table {
    title: "`ready`",
    home: |_| "`ready` in a route".to_owned(),
    rows: || rows(OF_TABLE),
};

const SETTINGS: &[Setting<Ready>] = &[Setting {
    key: "ready",
    kind: Kind::Either(&[Kind::Only(true), Kind::Table(&TABLE)]),
    about: "200 while clients may be sent here; 503 before everything is up, from the moment the server is \
            told to stop (see `drain_delay`), and while an upstream that is named has no server left",
    read: |node, ready| set(ready, value(node)),
    show: |ready| {
        Some(if ready.upstreams.is_empty() {
            "true".to_owned()
        } else {
            written::inline(show(OF_TABLE, ready))
        })
    },
    ..Setting::BLANK
}];

const OF_TABLE: &[Setting<Ready>] = &[Setting {
    key: "upstreams",
    kind: Kind::TEXTS,
    about: "names of upstreams and apps, each of which has to have a server that is asked: not paused, \
            unhealthy or drained",
    read: |node, ready| {
        // All of them are read, so that every mistake is reported.
        let names = node.one_or_more().into_iter().map(proxy::upstream);
        let names: Vec<Option<String>> = names.collect();
        set(&mut ready.upstreams, names.into_iter().collect())
    },
    show: |ready| Some(written::strings(&ready.upstreams)),
    ..Setting::BLANK
}];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut ready = Ready::default();
    let walked = walk(section, SETTINGS, &mut ready);
    walked.is_sound().then(|| Verb::Ready(ready).into())
}

fn show_route(route: &Route) -> Option<written::Table> {
    match &route.verb {
        Verb::Ready(ready) => Some(show(SETTINGS, ready)),
        _ => None,
    }
}

/// Reads `true`, or the table.
fn value(node: Node<'_>) -> Option<Ready> {
    let help = "write ready = true, or ready = { upstreams = [\"shop\"] }";
    match node.value.get_ref() {
        DeValue::Boolean(true) => Some(Ready::default()),
        DeValue::Boolean(false) => {
            node.cx.report(
                Diagnostic::error("a route with `ready = false` does nothing")
                    .at(node.spot(), "")
                    .help("write ready = true, or take the route out".to_owned()),
            );
            None
        }
        DeValue::Table(_) => {
            let mut ready = Ready::default();
            read_table(node, OF_TABLE, &mut ready, help)?;
            Some(ready)
        }
        _ => node.refuse_type("`true` or a table", Some(help.to_owned())),
    }
}
