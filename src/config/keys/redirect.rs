//! `redirect = TARGET`, and its status.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::Redirect;
use crate::config::tree::node::{Node, alternatives};
use crate::config::tree::section::Section;
use crate::config::words::values::parse_target;
use crate::http::status::Status;

const REDIRECTS: &[Status] = &[
    Status::MOVED_PERMANENTLY,
    Status::FOUND,
    Status::SEE_OTHER,
    Status::TEMPORARY_REDIRECT,
    Status::PERMANENT_REDIRECT,
];

/// The redirect of a route.
pub(super) fn redirect(section: &mut Section<'_>) -> Option<Redirect> {
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
