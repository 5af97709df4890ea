//! `when`: what a request must have for a route to answer it, and routes of one path that differ in it.

use toml::de::DeValue;

use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use super::verb::Own;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::model::{Condition, HostPattern, Route, ValuePattern, Wanted, When};
use crate::config::tree::node::Node;
use crate::config::tree::section::Key;
use crate::config::words::address::parse_host;
use crate::config::words::method::parse_method;
use crate::config::words::values::parse_field_name;
use crate::config::words::written;
use crate::http::fields::is_token;

const HELP: &str = "write when = { header.Accept = \"*json*\", query.v = \"2\" }";

pub(super) const WHEN: Setting<Own, Route> = Setting {
    key: "when",
    kind: Kind::Table(&TABLE),
    about: "what else a request must have; of several routes of one path, \
            `\"/a\" = [{ when = …, … }, { … }]`, the first one answers whose `when` it meets",
    translations: &[
        (
            "RewriteCond",
            "the setting is called `when`, in a route: `when = { header.Accept = \"*json*\" }`",
        ),
        (
            "split_clients",
            "a part of the clients is told apart by a cookie: `when = { cookie.canary = \"1\" }` in a route",
        ),
    ],
    read: |node, own| set(&mut own.when, read(node)),
    show: |route| (!route.when.is_always()).then(|| show_when(&route.when)),
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`when` of a route",
    home: |_| "`when` of a route".to_owned(),
    rows: || rows(SETTINGS),
};

/// A value that must be, one of several, or whether there is one.
const WANTED: Kind = Kind::Map(&Kind::Either(&[Kind::TEXTS, Kind::Boolean]));

const SETTINGS: &[Setting<When>] = &[
    Setting {
        key: "method",
        kind: Kind::TEXTS,
        about: "one of these methods; GET stands for HEAD, too",
        read: |node, when| {
            let methods = all(node, |node| node.text()?.parse(parse_method))?;
            when.0.push(Condition::Method(methods));
            Some(())
        },
        show: |when| {
            let shown = |condition: &Condition| match condition {
                Condition::Method(methods) => {
                    Some(written::array(methods.iter().map(written::shown)))
                }
                _ => None,
            };
            when.0.iter().find_map(shown)
        },
        ..Setting::BLANK
    },
    Setting {
        key: "host",
        kind: Kind::TEXTS,
        about: "one of these hosts, \"*.example.com\" among them",
        read: |node, when| {
            let hosts: Vec<HostPattern> = all(node, |node| node.text()?.parse(parse_host))?;
            when.0.push(Condition::Host(hosts));
            Some(())
        },
        show: |when| {
            let shown = |condition: &Condition| match condition {
                Condition::Host(hosts) => Some(written::array(hosts.iter().map(written::shown))),
                _ => None,
            };
            when.0.iter().find_map(shown)
        },
        ..Setting::BLANK
    },
    Setting {
        key: "header",
        kind: WANTED,
        about: "what its fields say: text in which `*` stands for anything, whatever its case; or whether \
                there is one",
        read: |node, when| {
            let read = wanted(node, parse_field_name)?.into_iter();
            when.0
                .extend(read.map(|(name, wanted)| Condition::Header(name, wanted)));
            Some(())
        },
        show: |when| {
            show_wanted(when, |condition| match condition {
                Condition::Header(name, wanted) => Some((name, wanted)),
                _ => None,
            })
        },
        ..Setting::BLANK
    },
    Setting {
        key: "query",
        kind: WANTED,
        about: "what the parameters of its query say, in the same way, but case counts",
        read: |node, when| {
            let read = wanted(node, |name| Ok(name.to_owned()))?.into_iter();
            when.0
                .extend(read.map(|(name, wanted)| Condition::Query(name, wanted)));
            Some(())
        },
        show: |when| {
            show_wanted(when, |condition| match condition {
                Condition::Query(name, wanted) => Some((name, wanted)),
                _ => None,
            })
        },
        ..Setting::BLANK
    },
    Setting {
        key: "cookie",
        kind: WANTED,
        about: "what its cookies say, in the same way, but case counts",
        read: |node, when| {
            let read = wanted(node, parse_cookie_name)?.into_iter();
            when.0
                .extend(read.map(|(name, wanted)| Condition::Cookie(name, wanted)));
            Some(())
        },
        show: |when| {
            show_wanted(when, |condition| match condition {
                Condition::Cookie(name, wanted) => Some((name, wanted)),
                _ => None,
            })
        },
        ..Setting::BLANK
    },
];

fn read(node: Node<'_>) -> Option<When> {
    let mut section = node.section("`when`", Some(HELP.to_owned()))?;
    let mut when = When::default();
    let walked = walk(&mut section, SETTINGS, &mut when);
    let has_unknown = !section.unknown().is_empty();
    section.close_or(|name| {
        let is_field =
            name.starts_with(|c: char| c.is_ascii_uppercase()) && parse_field_name(name).is_ok();
        is_field.then(|| format!("a field stands in `header`: header.{name} = \"…\""))
    });
    if has_unknown {
        return None;
    }
    if walked.is_sound() && when.is_always() {
        let error = Diagnostic::error("`when` says nothing").at(node.spot(), "");
        node.cx
            .report_absence(error.help("leave it out to answer every request".to_owned()));
        return None;
    }
    walked.is_sound().then_some(when)
}

/// Reads one value or several, each with `read`. `None`: one has a mistake, or there is none.
fn all<T>(node: Node<'_>, read: impl Fn(Node<'_>) -> Option<T>) -> Option<Vec<T>> {
    let message = format!("`{}` names nothing", node.name);
    let nodes = node.at_least_one(message, "leave it out to answer whatever it is")?;
    let values: Vec<Option<T>> = nodes.into_iter().map(read).collect();
    values.into_iter().collect()
}

fn parse_cookie_name(name: &str) -> Result<String, Fault> {
    if is_token(name.as_bytes()) {
        return Ok(name.to_owned());
    }
    let message = format!("`{}` is not the name of a cookie", name.escape_debug());
    Err(Fault::new(0..name.len(), message))
}

/// Reads `NAME = "VALUE"`, `NAME = ["VALUE", …]` or `NAME = true`.
fn wanted(
    node: Node<'_>,
    parse_name: impl Fn(&str) -> Result<String, Fault>,
) -> Option<Vec<(String, Wanted)>> {
    let help = format!("write when = {{ {}.NAME = \"VALUE\" }}", node.name);
    let section = node.section(format!("`{}`", node.name), Some(help))?;
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(&parse_name);
        let wanted = match value.value.get_ref() {
            DeValue::Boolean(true) => Wanted::Present,
            DeValue::Boolean(false) => Wanted::Absent,
            _ => Wanted::OneOf(all(value, |node| node.text()?.parse(parse_value))?),
        };
        Some((name?, wanted))
    };
    let entries: Vec<Option<_>> = section.entries().into_iter().map(entry).collect();
    entries.into_iter().collect()
}

/// Reads text in which `*` stands for anything.
fn parse_value(text: &str) -> Result<ValuePattern, Fault> {
    if let Some(at) = text.find(|c: char| c.is_control()) {
        let fault = Fault::new(
            at..at + 1,
            "no value that is looked at has a control character",
        );
        return Err(fault);
    }
    if text.starts_with(['~', '^']) && text.len() > 1 {
        let fault = Fault::new(0..1, "there are no regular expressions");
        return Err(
            fault.help("`*` stands for anything: \"*json*\"; for several values write an array")
        );
    }
    Ok(ValuePattern(text.to_owned()))
}

/// `when` in the terms of the file.
fn show_when(when: &When) -> String {
    written::inline(show(SETTINGS, when))
}

fn show_wanted<'w>(
    when: &'w When,
    of: impl Fn(&'w Condition) -> Option<(&'w String, &'w Wanted)>,
) -> Option<String> {
    let entry = |(name, wanted): (&String, &Wanted)| {
        let value = match wanted {
            Wanted::Present => "true".to_owned(),
            Wanted::Absent => "false".to_owned(),
            Wanted::OneOf(patterns) => {
                written::array(patterns.iter().map(|pattern| written::string(&pattern.0)))
            }
        };
        (name.clone(), value)
    };
    let entries: Vec<_> = when.0.iter().filter_map(of).map(entry).collect();
    (!entries.is_empty()).then(|| written::inline(entries))
}

/// Reports routes of one path that no request reaches, because an earlier one answers all that they would.
/// `routes` are in the order of the file, each with its place.
pub(super) fn report_unreachable(routes: &[(&When, Spot)], node: Node<'_>) {
    for (index, (when, spot)) in routes.iter().enumerate() {
        let mut before = routes[..index].iter();
        let Some((_, first)) = before.find(|(earlier, _)| earlier.covers(when)) else {
            continue;
        };
        let message = "this route answers no request: an earlier one answers all that it would";
        let error = Diagnostic::error(message)
            .at(spot.clone(), "")
            .at(first.clone(), "answers them");
        let help = "the first route whose `when` a request meets answers it; one without `when` comes last";
        node.cx.report(error.help(help.to_owned()));
    }
}
