//! `respond = TEXT`, and the options beside it.

use std::ops::RangeInclusive;

use super::setting::{Kind, Setting, rows, set, show, walk};
use super::target::warn_of_foreign;
use super::verb::{Answer, VerbKeys};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{HeaderChanges, Policy, RequestText, Respond, Route, Verb};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::request_text::parse_freely;
use crate::config::words::values::parse_media_type;
use crate::config::words::written;
use crate::http::status::Status;

const STATUSES: RangeInclusive<u64> = 200..=599;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "respond",
    usage: "respond = \"TEXT\"",
    example: "\"/\" = { respond = \"hello\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

const SETTINGS: &[Setting<Respond>] = &[
    Setting {
        key: "respond",
        kind: Kind::Text,
        about: "this text, with variables as in `redirect`; `{{name}}` is no variable",
        read: |node, respond| {
            let text = node.text()?;
            warn_of_foreign(&text);
            set(&mut respond.content, text.parse(parse_freely))
        },
        show: |respond| Some(written::string(&respond.content.written)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, respond| set(&mut respond.status, status(node)),
        show: |respond| Some(respond.status.code().to_string()),
        ..Setting::STATUS
    },
    Setting {
        key: "content_type",
        kind: Kind::Text,
        default: "\"text/plain; charset=utf-8\"",
        about: "its media type",
        read: |node, respond| {
            let media_type = node.text()?.parse(parse_media_type);
            set(&mut respond.content_type, media_type)
        },
        show: |respond| Some(written::string(&respond.content_type)),
        ..Setting::BLANK
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut respond = Respond {
        status: Status::OK,
        content_type: "text/plain; charset=utf-8".to_owned(),
        content: RequestText::default(),
    };
    let walked = walk(section, SETTINGS, &mut respond);
    walked
        .took("respond")
        .then(|| Verb::Respond(respond).into())
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Respond(respond) = &route.verb else {
        return None;
    };
    Some(show(SETTINGS, respond))
}

/// Reports variables in content in which no value can stand without becoming more than a value. `policy` is that
/// of the route, whose fields may name another type.
pub(super) fn check_variables(section: &Section<'_>, respond: &Respond, policy: &Policy) {
    let Some(node) = section.peek("respond") else {
        return;
    };
    let mut set = policy.headers.set.iter();
    let set = set.find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
    let content_type = set.map_or(&*respond.content_type, |(_, value)| &*value.written);
    let essence = content_type.split(';').next().unwrap_or_default();
    let is_style_sheet = essence.trim().eq_ignore_ascii_case("text/css");
    if respond.content.as_plain().is_none() && is_style_sheet {
        let message =
            "a style sheet has no variables: what a client sends could be more than a value";
        let help = "for braces with a name in them write `{{name}}`".to_owned();
        section.report(Diagnostic::error(message).at(node.spot(), "").help(help));
    }
}

fn status(node: Node<'_>) -> Option<Status> {
    let code = node.integer(STATUSES)?;
    Status::from_code(u16::try_from(code).ok()?)
}

/// Reports a status that a fixed answer cannot have as it is written: it has no content, or needs a
/// field. `policy` is that of the route.
pub(super) fn check_status(section: &Section<'_>, respond: &Respond, policy: &Policy) {
    let Some(node) = section.peek("status") else {
        return;
    };
    if let Some((message, help)) = objection(respond, &policy.headers) {
        let diagnostic = Diagnostic::error(message).at(node.spot(), "");
        node.cx.report(diagnostic.help(help.to_owned()));
    }
}

/// What is wrong with the status of an answer with these fields, and the remedy.
fn objection(respond: &Respond, headers: &HeaderChanges) -> Option<(String, &'static str)> {
    let status = respond.status;
    let lacks = |name: &str| {
        let mut given = headers.set.iter().chain(&headers.add);
        !given.any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    let needs = |name: &str, clause: &str| {
        format!("an answer with {status} needs the field `{name}` (RFC 9110 §{clause})")
    };
    if status.forbids_content() && !respond.content.parts.is_empty() {
        let message = format!("an answer with {status} has no content");
        return Some((message, "write respond = \"\""));
    }
    let objection = match status {
        Status::PARTIAL_CONTENT | Status::RANGE_NOT_SATISFIABLE => (
            format!("a fixed answer with {status} has no `Content-Range` (RFC 9110 §14.4)"),
            "`files` answers requests for ranges by itself",
        ),
        Status::NOT_MODIFIED => (
            format!("{status} answers a condition, which a fixed answer does not look at"),
            "`files` evaluates conditions by itself; an answer without content is status = 204",
        ),
        Status::UNAUTHORIZED if lacks("WWW-Authenticate") => (
            needs("WWW-Authenticate", "15.5.2"),
            "write headers = { WWW-Authenticate = 'Basic realm=\"…\"' } beside it; \
             403 asks for no password",
        ),
        Status::PROXY_AUTHENTICATION_REQUIRED => (
            format!("{status} is for proxies, and this server is none (RFC 9110 §15.5.8)"),
            "write status = 401 and headers = { WWW-Authenticate = 'Basic realm=\"…\"' }",
        ),
        Status::METHOD_NOT_ALLOWED if lacks("Allow") => (
            needs("Allow", "15.5.6"),
            "write headers = { Allow = \"GET, HEAD\" } beside it; a route for one method, \
             `\"GET /a\"`, answers the others so by itself",
        ),
        Status::UPGRADE_REQUIRED => (
            needs("Upgrade", "15.5.22"),
            "this server upgrades to no protocol, so it cannot ask for it; write status = 400",
        ),
        _ if is_redirect(status) && lacks("Location") => (
            format!("an answer with {status} leads nowhere without the field `Location`"),
            "write redirect = \"/new\" in place of `respond`",
        ),
        _ => return None,
    };
    Some(objection)
}

/// Whether clients go where the `Location` of an answer with that status says.
fn is_redirect(status: Status) -> bool {
    matches!(
        status,
        Status::MOVED_PERMANENTLY
            | Status::FOUND
            | Status::SEE_OTHER
            | Status::TEMPORARY_REDIRECT
            | Status::PERMANENT_REDIRECT
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_refused_unless_the_answer_can_have_it() {
        for (code, content, field, is_good) in [
            (200, "a", None, true),
            (204, "", None, true),
            (204, "a", None, false),
            (205, "", None, true),
            (205, "a", None, false),
            (206, "a", None, false),
            (304, "", None, false),
            (301, "", None, false),
            (308, "", Some("location"), true),
            (300, "a", None, true),
            (401, "a", None, false),
            (401, "a", Some("www-authenticate"), true),
            (403, "a", None, true),
            (405, "a", None, false),
            (405, "", Some("Allow"), true),
            (407, "a", Some("Proxy-Authenticate"), false),
            (416, "", None, false),
            (426, "", None, false),
            (503, "", None, true),
        ] {
            let respond = Respond {
                status: Status::from_code(code).expect("three digits"),
                content_type: "text/plain".to_owned(),
                content: parse_freely(content).expect("no variables"),
            };
            let field = field.map(|name: &str| (name.to_owned(), RequestText::plain("x")));
            let headers = HeaderChanges {
                set: field.into_iter().collect(),
                ..HeaderChanges::default()
            };
            let found = objection(&respond, &headers);
            assert_eq!(found.is_none(), is_good, "{code} {content:?}: {found:?}");
        }
    }
}
