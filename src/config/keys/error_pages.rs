//! `error_pages`: the files that are sent with error answers.
//!
//! ```toml
//! error_pages = { 404 = "errors/404.html", 5xx = "errors/oops.html" }
//! ```

use std::path::Path;

use super::level::Refinement;
use super::setting::{Kind, Setting};
use crate::config::complaint::fault::Fault;
use crate::config::model::{ErrorPages, Policy, StatusPattern};
use crate::config::tree::node::Node;
use crate::config::tree::paths::readable_file;
use crate::config::words::written;
use crate::http::status::Status;

/// As [`FURTHER_IN`], for the top, which inherits none.
pub(super) const AT_TOP: Setting<Refinement, Policy> = Setting {
    default: "{}",
    ..FURTHER_IN
};

/// For the statuses that a level does not name, the inherited pages hold.
pub(super) const FURTHER_IN: Setting<Refinement, Policy> = Setting {
    key: "error_pages",
    kind: Kind::TEXT_MAP,
    about: "files for error answers, by status or class: `404`, `4xx`, `5xx`",
    translations: &[(
        "error_page",
        "the setting is called `error_pages`: `error_pages = { 404 = \"404.html\" }`",
    )],
    read: |node, refinement| read(node, &mut refinement.policy.error_pages),
    show: |policy| Some(show_pages(&policy.error_pages)),
    ..Setting::BLANK
};

/// Reads the pages of one level into `pages`, which holds the inherited ones.
fn read(node: Node<'_>, pages: &mut ErrorPages) -> Option<()> {
    let help = "write error_pages = { 404 = \"errors/404.html\", 5xx = \"errors/5xx.html\" }";
    let section = node.section("`error_pages`", Some(help.into()))?;
    for (key, value) in section.entries() {
        let pattern = key.parse(parse_status_pattern);
        let file = value.text().and_then(|text| readable_file(&text));
        if let (Some(pattern), Some(file)) = (pattern, file) {
            pages.insert(pattern, file);
        }
    }
    Some(())
}

fn show_pages(pages: &ErrorPages) -> String {
    let page = |(pattern, file): (StatusPattern, &Path)| (pattern.to_string(), written::path(file));
    written::inline(pages.iter().map(page))
}

/// Reads `404`, `4xx` or `5xx`.
fn parse_status_pattern(text: &str) -> Result<StatusPattern, Fault> {
    let fault = |message: String| Err(Fault::new(0..text.len(), message));
    match text {
        "4xx" => return Ok(StatusPattern::ClientError),
        "5xx" => return Ok(StatusPattern::ServerError),
        _ => {}
    }
    let code = text.parse().ok().filter(|_| text.len() == 3);
    match code.and_then(Status::from_code) {
        Some(status) if (400..=599).contains(&status.code()) => Ok(StatusPattern::Exact(status)),
        Some(status) => fault(format!("{} is not an error", status.code()))
            .map_err(|fault| fault.help("errors are 400 to 599; to answer otherwise, use a route")),
        None => fault(format!("`{}` is not a status", text.escape_debug()))
            .map_err(|fault| fault.help("write a status, 404, or a class, 4xx or 5xx")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_statuses_and_classes() {
        let exact = |code| {
            Some(StatusPattern::Exact(
                Status::from_code(code).expect("a status"),
            ))
        };
        let cases = [
            ("404", exact(404)),
            ("599", exact(599)),
            ("4xx", Some(StatusPattern::ClientError)),
            ("5xx", Some(StatusPattern::ServerError)),
            ("200", None),
            ("0404", None),
            ("3xx", None),
            ("4XX", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_status_pattern(text).ok(), expected, "{text:?}");
        }
    }
}
