//! `respond = TEXT`, and the options beside it.

use std::ops::RangeInclusive;

use super::setting::{Kind, Setting, rows, set, show, walk};
use super::verb::{Answer, VerbKeys};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Respond, Route, Verb};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
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
        about: "this text",
        read: |node, respond| set(&mut respond.content, node.text().map(|text| text.value)),
        show: |respond| Some(written::string(&respond.content)),
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
        content: String::new(),
    };
    let walked = walk(section, SETTINGS, &mut respond);
    refuse_content_that_never_arrives(section, &respond);
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

fn status(node: Node<'_>) -> Option<Status> {
    let code = node.integer(STATUSES)?;
    Status::from_code(u16::try_from(code).ok()?)
}

/// Reports a text beside a status whose responses have no content (RFC 9110 §6.4.1).
fn refuse_content_that_never_arrives(section: &Section<'_>, respond: &Respond) {
    let Respond {
        status, content, ..
    } = respond;
    let Some(node) = section.peek("status") else {
        return;
    };
    if status.forbids_content() && !content.is_empty() {
        node.cx.report(
            Diagnostic::error(format!("an answer with {status} has no content"))
                .at(node.spot(), "")
                .help("write respond = \"\"".to_owned()),
        );
    }
}
