//! The page: a template with its style, its script and the list of reasons, joined to one document, which
//! loads nothing else.
//!
//! `Content-Security-Policy` names both by their hashes: a script that comes in with data, as in the path of a
//! request, is not run.

use std::sync::{Arc, LazyLock};

use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest as _, Sha256};

use crate::http::field_list::FieldList;
use crate::http::status::Status;
use crate::message::conditional::{Supply, represent};
use crate::message::representation::Body;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::reason;

const TEMPLATE: &str = include_str!("page.html");

/// Lines of the template, and the files that stand in their place.
const PARTS: [(&str, &str); 5] = [
    ("/* page.css */", include_str!("page.css")),
    ("/* samples.js */", include_str!("samples.js")),
    ("/* charts.js */", include_str!("charts.js")),
    ("/* tables.js */", include_str!("tables.js")),
    ("/* page.js */", include_str!("page.js")),
];

/// The line in whose place the list of reasons stands.
const REASONS: &str = "\"reasons\"";

/// The tags around the style and around the script, each once in the page.
const STYLE_TAGS: [&str; 2] = ["<style>", "</style>"];
const SCRIPT_TAGS: [&str; 2] = ["<script type=\"module\">", "</script>"];

/// The page as it is sent.
struct Page {
    document: Arc<[u8]>,
    /// The value of `Content-Security-Policy`.
    policy: String,
    /// The value of `ETag`.
    tag: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let document = join();
    let (style, script) = (
        source(&document, STYLE_TAGS),
        source(&document, SCRIPT_TAGS),
    );
    let policy = format!(
        "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let tag = HEXLOWER.encode(&Sha256::digest(&document)[..8]);
    Page {
        document: document.into_bytes().into(),
        policy,
        tag: format!("\"{tag}\""),
    }
});

/// The template, with the files and the list of reasons in the place of the lines that name them.
fn join() -> String {
    // In an element of the page, where only `<` could end it. Within JSON it stands in strings alone.
    let reasons = reason::to_json().to_string().replace('<', "\\u003c");
    let mut document = String::new();
    for line in TEMPLATE.lines() {
        let part = PARTS.iter().find(|(mark, _)| *mark == line);
        let text = match part {
            Some((_, text)) => text.trim_end(),
            None if line == REASONS => &reasons,
            None => line,
        };
        document.push_str(text);
        document.push('\n');
    }
    document
}

/// How `Content-Security-Policy` names what stands between these tags.
fn source(document: &str, [start, end]: [&str; 2]) -> String {
    let inner = document.split_once(start).map(|(_, rest)| rest);
    let inner = inner.and_then(|rest| rest.split_once(end));
    let (inner, _) = inner.unwrap_or_default();
    format!("sha256-{}", BASE64.encode(&Sha256::digest(inner)))
}

/// The page, as the conditions of `request` want it.
pub(super) fn answer(request: &Request<'_>) -> Response<'static> {
    let page = &*PAGE;
    let mut fields = FieldList::new();
    fields.push("ETag", &*page.tag);
    // A browser keeps the page, and asks each time whether the server has another one by now.
    fields.push("Cache-Control", "no-cache");
    fields.push("Content-Security-Policy", &*page.policy);
    fields.push("X-Content-Type-Options", "nosniff");
    fields.push("Referrer-Policy", "no-referrer");
    fields.push("Content-Type", "text/html; charset=utf-8");
    let body = Body::Everywhere(Arc::clone(&page.document));
    represent(Status::OK, fields, Supply::Whole(body), request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> &'static str {
        str::from_utf8(&PAGE.document).expect("text")
    }

    #[test]
    fn every_part_stands_in_the_page_once() {
        for (mark, text) in PARTS {
            let lines = TEMPLATE.lines().filter(|line| *line == mark);
            assert_eq!(lines.count(), 1, "{mark}");
            assert_eq!(document().matches(text.trim_end()).count(), 1, "{mark}");
        }
    }

    #[test]
    fn the_policy_names_style_and_script_by_their_hashes() {
        for ([start, end], directive) in [(STYLE_TAGS, "style-src"), (SCRIPT_TAGS, "script-src")] {
            assert_eq!(document().matches(start).count(), 1, "{start}");
            let (_, rest) = document().split_once(start).expect("it is there");
            let (inner, _) = rest.split_once(end).expect("its end");
            assert!(inner.len() > 100, "{start}: {inner}");
            let hash = BASE64.encode(&Sha256::digest(inner));
            let source = format!("{directive} 'sha256-{hash}';");
            assert!(PAGE.policy.contains(&source), "{}", PAGE.policy);
        }
    }

    /// The page counted whole responses among those that were not sent to their end: 400, 408, 503.
    #[test]
    fn a_response_of_an_error_counts_as_sent_to_its_end() {
        let unfinished = "const UNFINISHED = [\"client_left\", \"broken_off\", \"cut\"];";
        assert!(document().contains(unfinished));
        assert!(!document().contains("end !== \"answered\""));
    }

    #[test]
    fn the_page_has_the_meaning_of_every_reason() {
        let list = "<script type=\"application/json\" id=\"reasons\">\n";
        let (_, rest) = document().split_once(list).expect("the list");
        let (list, _) = rest.split_once("\n</script>").expect("its end");
        let list: serde_json::Value = serde_json::from_str(list).expect("JSON");
        assert_eq!(list, reason::to_json());
    }

    /// The policy would keep a browser from these, and the page would be without them.
    #[test]
    fn the_page_loads_nothing_and_has_no_code_in_attributes() {
        let document = document();
        for attribute in [" src=", " href=\"http", " style=", " onclick=", " onload="] {
            assert!(!document.contains(attribute), "{attribute}");
        }
        for word in [
            "@import",
            "url(http",
            "eval(",
            "innerHTML",
            "insertAdjacentHTML",
        ] {
            assert!(!document.contains(word), "{word}");
        }
    }
}
