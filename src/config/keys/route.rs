//! The value of a route: exactly one verb, and the options that belong to it.

use super::cgi::cgi;
use super::fastcgi::fastcgi;
use super::files::files;
use super::handler::plugin;
use super::level::Level;
use super::redirect::redirect;
use super::refine::refine;
use super::respond::respond;
use super::switch::switch;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::suggest::nearest;
use crate::config::complaint::vocabulary::explain;
use crate::config::model::{Policy, Verb};
use crate::config::tree::node::{Node, alternatives, list};
use crate::config::tree::section::{Key, Section};

/// What a route can do.
const VERBS: &[&str] = &[
    "files", "respond", "redirect", "handler", "echo", "status", "cgi", "fastcgi",
];

/// Verbs of the design that this version does not have.
const VERBS_NOT_YET: &[&str] = &["proxy"];

/// Each option and the verbs beside which it may stand.
const OPTIONS: &[(&str, &[&str])] = &[
    ("index", &["files", "fastcgi"]),
    ("listing", &["files"]),
    ("spa", &["files"]),
    ("clean_urls", &["files"]),
    ("precompressed", &["files"]),
    ("cache_control", &["files"]),
    ("revalidate", &["files"]),
    ("strip_prefix", &["files"]),
    ("status", &["respond", "redirect"]),
    ("options", &["handler"]),
    ("timeout", &["handler", "cgi", "fastcgi"]),
    ("stream", &["handler"]),
    ("content_type", &["respond"]),
    ("max_processes", &["cgi"]),
    ("environment", &["cgi"]),
    ("root", &["fastcgi"]),
    ("scripts", &["fastcgi"]),
    ("fallback", &["fastcgi"]),
    ("static_files", &["fastcgi"]),
    ("params", &["fastcgi"]),
    ("sendfile", &["fastcgi"]),
];

/// The verb of the route `key`, whether it is to see the path without what matched, and what holds
/// for the route inside a server where `outer` holds.
pub(super) fn resolve_verb(
    key: &Key<'_>,
    node: Node<'_>,
    outer: &Policy,
) -> Option<(Verb, bool, Policy)> {
    let help = node
        .value
        .get_ref()
        .as_str()
        .map(|text| format!("to serve a directory write {{ files = \"{text}\" }}"));
    let mut section = node.section(format!("route `{}`", key.name), help)?;
    let policy = refine(&mut section, Level::Route, outer);
    let verb = choose_verb(key, &section)?;
    let answer = match verb {
        "files" => files(&mut section).map(Verb::Files),
        "respond" => respond(&mut section).map(Verb::Respond),
        "redirect" => redirect(&mut section).map(Verb::Redirect),
        "fastcgi" => fastcgi(&mut section).map(Verb::Fastcgi),
        "handler" => plugin(&mut section).map(Verb::Handler),
        "cgi" => cgi(&mut section).map(Verb::Cgi),
        "status" => switch(&mut section, "status").then_some(Verb::Status),
        _ => switch(&mut section, "echo").then_some(Verb::Echo),
    };
    let strip_prefix = verb == "files" && section.boolean("strip_prefix").unwrap_or(false);
    report_unknown(&section, verb);
    Some((answer?, strip_prefix, policy))
}

/// The one verb; none or several are a mistake.
fn choose_verb(route: &Key<'_>, section: &Section<'_>) -> Option<&'static str> {
    let keys: Vec<Key<'_>> = section.entries().into_iter().map(|(key, _)| key).collect();
    // What is neither true nor false is an option of other verbs.
    let is_switch = |node: Node<'_>| node.value.get_ref().is_bool();
    let is_option =
        |key: &Key<'_>| key.name == "status" && !section.peek("status").is_some_and(is_switch);
    let is_verb = |key: &&Key<'_>| {
        !is_option(key) && (VERBS.contains(&key.name) || VERBS_NOT_YET.contains(&key.name))
    };
    let verbs: Vec<&Key<'_>> = keys.iter().filter(is_verb).collect();
    match verbs.as_slice() {
        [] => report_no_verb(route, &keys),
        [verb] => {
            let known = VERBS.iter().copied().find(|name| *name == verb.name);
            if known.is_none() {
                report_verb_not_yet(verb);
            }
            return known;
        }
        [first, second, ..] => route.cx.report(
            Diagnostic::error(format!(
                "route `{}` has two verbs, `{}` and `{}`",
                route.name, first.name, second.name
            ))
            .at(second.spot(), "the second verb")
            .at(first.spot(), "the first verb")
            .help("a route does one thing; write a route of its own for the other".to_owned()),
        ),
    }
    None
}

fn report_verb_not_yet(verb: &Key<'_>) {
    let help = format!(
        "it has {}",
        list(VERBS.iter().map(|verb| format!("`{verb}`")), "and")
    );
    let message = format!(
        "this version of tidegate does not have the verb `{}`",
        verb.name
    );
    verb.cx
        .report(Diagnostic::error(message).at(verb.spot(), "").help(help));
}

fn report_no_verb(route: &Key<'_>, keys: &[Key<'_>]) {
    let is_option = |name: &str| OPTIONS.iter().any(|(option, _)| *option == name);
    let mut others = keys.iter().filter(|key| !is_option(key.name));
    if let Some((key, verb)) =
        others.find_map(|key| Some((key, nearest(key.name, VERBS.iter().copied())?)))
    {
        let message = format!("unknown key `{}` in route `{}`", key.name, route.name);
        return route
            .cx
            .report(Diagnostic::error(message).at(key.spot(), format!("did you mean `{verb}`?")));
    }
    let help = "add one of files = \"DIR\", respond = \"TEXT\", redirect = \"TARGET\", handler = \"NAME\", \
                cgi = \"DIR\", fastcgi = \"ADDRESS\", echo = true, status = true"
        .to_owned();
    let message = format!(
        "route `{}` has no verb, so nothing says what it does",
        route.name
    );
    route
        .cx
        .report_absence(Diagnostic::error(message).at(route.spot(), "").help(help));
}

/// Reports what the verb does not know: options of other verbs, and anything else.
fn report_unknown(section: &Section<'_>, verb: &str) {
    for key in section.unknown() {
        let Some((_, verbs)) = OPTIONS.iter().find(|(option, _)| *option == key.name) else {
            section.report_unknown(&key, explain(key.name));
            continue;
        };
        let owners = alternatives(verbs.iter().map(|verb| format!("`{verb}`")));
        let message = format!(
            "`{}` belongs to {owners}, and this route has `{verb}`",
            key.name
        );
        key.cx.report(Diagnostic::error(message).at(key.spot(), ""));
    }
}
