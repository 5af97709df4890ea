//! The value of a route: exactly one verb, and the options that belong to it.

use super::cgi::cgi;
use super::fastcgi::fastcgi;
use super::model::{CacheControl, Files, Policy, Redirect, Respond, Verb};
use super::plugin::plugin;
use super::refine::{Level, refine};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::suggest::nearest;
use crate::config::complaint::vocabulary::explain;
use crate::config::tree::node::{Node, alternatives, list};
use crate::config::tree::paths::directory;
use crate::config::tree::section::{Key, Section};
use crate::config::words::units::WAIT_OR_NONE;
use crate::config::words::values::{
    parse_field_value, parse_file_pattern, parse_index_name, parse_media_type, parse_target,
};
use crate::http::status::Status;

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

const REDIRECTS: &[Status] = &[
    Status::MOVED_PERMANENTLY,
    Status::FOUND,
    Status::SEE_OTHER,
    Status::TEMPORARY_REDIRECT,
    Status::PERMANENT_REDIRECT,
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

fn files(section: &mut Section<'_>) -> Option<Files> {
    let root = section
        .take("files")
        .and_then(Node::text)
        .and_then(|text| directory(&text));
    let default = Files::beneath(root.clone().unwrap_or_default());
    let files = Files {
        index: section.take("index").map(index).unwrap_or(default.index),
        listing: section.boolean("listing").unwrap_or(default.listing),
        spa: section.boolean("spa").unwrap_or(default.spa),
        clean_urls: section.boolean("clean_urls").unwrap_or(default.clean_urls),
        precompressed: section
            .boolean("precompressed")
            .unwrap_or(default.precompressed),
        cache_control: section
            .take("cache_control")
            .map(cache_control)
            .unwrap_or_default(),
        revalidate: section
            .duration("revalidate", WAIT_OR_NONE)
            .unwrap_or(default.revalidate),
        root: default.root,
    };
    root.and(Some(files))
}

fn index(node: Node<'_>) -> Vec<String> {
    let name = |node: Node<'_>| node.text()?.parse(parse_index_name);
    node.one_or_more().into_iter().filter_map(name).collect()
}

fn cache_control(node: Node<'_>) -> Vec<CacheControl> {
    let help = "write { \"*.css\" = \"max-age=3600\" }".to_owned();
    let Some(section) = node.section("`cache_control`", Some(help)) else {
        return Vec::new();
    };
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let pattern = key.parse(parse_file_pattern)?;
        let value = value.text()?.parse(parse_field_value)?;
        Some(CacheControl { pattern, value })
    };
    section.entries().into_iter().filter_map(entry).collect()
}

fn respond(section: &mut Section<'_>) -> Option<Respond> {
    let text = section.take("respond").and_then(Node::text);
    let code = section
        .take("status")
        .and_then(|node| Some((node.integer(200..=599)?, node)));
    let status = code
        .and_then(|(code, _)| Status::from_code(u16::try_from(code).ok()?))
        .unwrap_or(Status::OK);
    let content_type = section
        .take("content_type")
        .and_then(Node::text)
        .and_then(|text| text.parse(parse_media_type));
    let content = text?.value;
    if let Some((_, node)) = code.filter(|_| status.forbids_content() && !content.is_empty()) {
        let help = "write respond = \"\"".to_owned();
        node.cx.report(
            Diagnostic::error(format!("an answer with {status} has no content"))
                .at(node.spot(), "")
                .help(help),
        );
    }
    let content_type = content_type.unwrap_or_else(|| "text/plain; charset=utf-8".to_owned());
    Some(Respond {
        status,
        content_type,
        content,
    })
}

fn redirect(section: &mut Section<'_>) -> Option<Redirect> {
    let target = section
        .take("redirect")
        .and_then(Node::text)
        .and_then(|text| text.parse(parse_target));
    let status = match section.take("status") {
        Some(node) => redirect_status(node)?,
        None => Status::PERMANENT_REDIRECT,
    };
    Some(Redirect {
        target: target?,
        status,
    })
}

fn redirect_status(node: Node<'_>) -> Option<Status> {
    let code = node.integer(0..=u64::MAX)?;
    let status = REDIRECTS
        .iter()
        .copied()
        .find(|status| u64::from(status.code()) == code);
    if status.is_none() {
        let all = alternatives(REDIRECTS.iter().map(|status| status.code().to_string()));
        let help = "308 is permanent, 307 for now; 303 turns the request into a GET".to_owned();
        node.cx.report(
            Diagnostic::error(format!("the status of a redirect is {all}"))
                .at(node.spot(), "")
                .help(help),
        );
    }
    status
}

/// A verb that is only on: `echo = true`. Whether it is.
fn switch(section: &mut Section<'_>, verb: &'static str) -> bool {
    let Some(node) = section.take(verb) else {
        return false;
    };
    let is_on = node.boolean();
    if is_on == Some(false) {
        let help = format!("write {verb} = true, or take the route out");
        node.cx.report(
            Diagnostic::error(format!("a route with `{verb} = false` does nothing"))
                .at(node.spot(), "")
                .help(help),
        );
    }
    is_on == Some(true)
}
