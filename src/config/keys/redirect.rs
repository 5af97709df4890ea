//! `redirect = TARGET`, and its status.

use super::setting::{Kind, Setting, rows, set, show, walk};
use super::verb::{Answer, VerbKeys};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Redirect, RequestText, Route, Verb};
use crate::config::tree::node::{Node, alternatives};
use crate::config::tree::section::Section;
use crate::config::words::target::parse_redirect;
use crate::config::words::written;
use crate::http::status::Status;

const STATUSES: &[Status] = &[
    Status::MOVED_PERMANENTLY,
    Status::FOUND,
    Status::SEE_OTHER,
    Status::TEMPORARY_REDIRECT,
    Status::PERMANENT_REDIRECT,
];

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "redirect",
    usage: "redirect = \"TARGET\"",
    example: "\"/old\" = { redirect = \"/new\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

const SETTINGS: &[Setting<Redirect>] = &[
    Setting {
        key: "redirect",
        kind: Kind::Text,
        about: "another target, with variables: `{host}`, `{path}`, `{rest}`, `{query}`, `{scheme}` and \
                names of the path",
        translations: &[(
            "return",
            "see `respond` and `redirect`: `\"/old\" = { redirect = \"/new\" }`",
        )],
        read: |node, redirect| set(&mut redirect.target, node.text()?.parse(parse_redirect)),
        show: |redirect| Some(written::string(&redirect.target.written)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, redirect| set(&mut redirect.status, status(node)),
        show: |redirect| Some(redirect.status.code().to_string()),
        ..Setting::STATUS
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut redirect = Redirect {
        target: RequestText::default(),
        status: Status::PERMANENT_REDIRECT,
    };
    let walked = walk(section, SETTINGS, &mut redirect);
    walked.is_sound().then(|| Verb::Redirect(redirect).into())
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Redirect(redirect) = &route.verb else {
        return None;
    };
    Some(show(SETTINGS, redirect))
}

fn status(node: Node<'_>) -> Option<Status> {
    let code = node.integer(0..=u64::MAX)?;
    let mut statuses = STATUSES.iter().copied();
    let status = statuses.find(|status| u64::from(status.code()) == code);
    if status.is_none() {
        let all = alternatives(STATUSES.iter().map(|status| status.code().to_string()));
        let help = "308 is permanent, 307 for now; 303 turns the request into a GET".to_owned();
        node.cx.report(
            Diagnostic::error(format!("the status of a redirect is {all}"))
                .at(node.spot(), "")
                .help(help),
        );
    }
    status
}
