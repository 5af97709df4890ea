//! `respond = TEXT`, and the options beside it.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::Respond;
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::values::parse_media_type;
use crate::http::status::Status;

/// The text of a route.
pub(super) fn respond(section: &mut Section<'_>) -> Option<Respond> {
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
