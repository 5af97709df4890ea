//! `compress`: which content is compressed for clients that can decode it.
//!
//! ```toml
//! compress = true
//! compress = { codings = ["gzip"], types = ["text/*", "*+json"], min_size = "4 KiB" }
//! compress = false      # a route that leaves content as it is, below a server that does not
//! ```

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::level::Refinement;
use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::model::Policy;
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::written;
use crate::http::compression::{Compression, TypePattern};
use crate::http::fields::is_token;
use crate::http::media_type;
use crate::http::negotiation::ContentCoding;

/// As [`AT_ROUTE`], for a level that inherits none.
pub(super) const AT_SERVER: Setting<Refinement, Policy> = Setting {
    default: "false",
    about: "content is compressed for clients that can decode it; true: as by default",
    show: |policy| {
        let compress = policy.compress.as_ref();
        Some(compress.map_or_else(|| "false".to_owned(), show_alone))
    },
    ..AT_ROUTE
};

/// A table replaces the inherited one as a whole; `true` leaves it as it is.
pub(super) const AT_ROUTE: Setting<Refinement, Policy> = Setting {
    key: "compress",
    kind: Kind::Either(&[Kind::Boolean, Kind::Table(&TABLE)]),
    about: "content is compressed for clients that can decode it; true: as the server says, and by default if \
            that says false or nothing",
    translations: &[
        (
            "gzip",
            "the setting is called `compress`: compress = true, or { codings = [\"gzip\"] }",
        ),
        (
            "encode",
            "the setting is called `compress`: compress = true",
        ),
        (
            "brotli",
            "the setting is called `compress`: compress = true, or { codings = [\"br\", \"gzip\"] }",
        ),
        (
            "gzip_static",
            "files beside the plain ones are sent without being asked for; see `precompressed`",
        ),
    ],
    read: |node, refinement| {
        let inherited = refinement.policy.compress.take();
        refinement.policy.compress = compress(node, inherited)?;
        Some(())
    },
    show: |policy| {
        let compress = policy.compress.as_ref();
        // No `true`, which stands for what is inherited.
        Some(compress.map_or_else(|| "false".to_owned(), show_table))
    },
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`compress`",
    home: |_| "`compress`".to_owned(),
    rows: || rows(SETTINGS),
};

/// What `min_size` may be: content that is longer than the most is not worth sending as it is.
const SIZES: RangeInclusive<u64> = 0..=1024 * 1024;

/// What to write in place of an empty array.
const NONE_HELP: &str = "leave it out, or write compress = false to compress nothing";

const SETTINGS: &[Setting<Compression>] = &[
    Setting {
        key: "codings",
        kind: Kind::OneOrMore(&Kind::Word(|| CODINGS.map(ContentCoding::as_str).to_vec())),
        default: r#"["zstd", "br", "gzip"]"#,
        about: "those that may be used; of those that a client weighs alike, the first in this order",
        translations: &[(
            "level",
            "the levels are fixed: content is compressed fast while it is sent, and well where it is kept",
        )],
        read: |node, compression| set(&mut compression.codings, codings(node)),
        show: |compression| {
            let names = compression.codings.iter().map(|coding| coding.as_str());
            Some(written::array(names.map(written::string)))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "types",
        kind: Kind::TEXTS,
        about: "media types that are compressed, as \"text/*\", \"*+json\" or \"font/ttf\"; \
                without it, those that become smaller",
        read: |node, compression| set(&mut compression.types, types(node)),
        show: |compression| {
            let types = compression.types.iter().map(written::shown);
            let is_default = compression.types == Compression::default().types;
            (!is_default).then(|| written::array(types))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "min_size",
        kind: Kind::Size,
        default: "\"1 KiB\"",
        about: "shorter content is sent as it is",
        read: |node, compression| set(&mut compression.min_size, node.size(SIZES)),
        show: |compression| Some(written::size(compression.min_size)),
        ..Setting::BLANK
    },
];

/// In the order in which they are preferred.
const CODINGS: [ContentCoding; 3] = Compression::CODINGS;

/// Reads `compress`; `inherited` is what holds further out. The outer `None`: there is a mistake.
fn compress(node: Node<'_>, inherited: Option<Compression>) -> Option<Option<Compression>> {
    match node.value.get_ref() {
        DeValue::Boolean(false) => return Some(None),
        DeValue::Boolean(true) => return Some(Some(inherited.unwrap_or_default())),
        _ => {}
    }
    let help = "write compress = true, or compress = { types = [\"text/*\"] }";
    let mut section = node.section("`compress`", Some(help.to_owned()))?;
    let mut compression = Compression::default();
    let walked = walk(&mut section, SETTINGS, &mut compression);
    section.close();
    walked.is_sound().then_some(Some(compression))
}

/// What holds where nothing is inherited, in the terms of the file; `true` for what holds by default.
fn show_alone(compression: &Compression) -> String {
    if *compression == Compression::default() {
        return "true".to_owned();
    }
    show_table(compression)
}

fn show_table(compression: &Compression) -> String {
    written::inline(show(SETTINGS, compression))
}

/// Reads `codings`, in whichever order.
fn codings(node: Node<'_>) -> Option<Vec<ContentCoding>> {
    let nodes = node.at_least_one("`codings` names no coding", NONE_HELP)?;
    let read = nodes
        .into_iter()
        .map(|node| node.text()?.parse(parse_coding));
    // Collected twice, so that each mistake is reported.
    let read: Vec<Option<ContentCoding>> = read.collect();
    let named: Vec<ContentCoding> = read.into_iter().collect::<Option<_>>()?;
    let is_named = |coding: &ContentCoding| named.contains(coding);
    Some(CODINGS.into_iter().filter(is_named).collect())
}

fn parse_coding(text: &str) -> Result<ContentCoding, Fault> {
    let names = || CODINGS.iter().map(|coding| coding.as_str());
    if let Some(coding) = CODINGS.iter().find(|coding| coding.as_str() == text) {
        return Ok(*coding);
    }
    let fault = Fault::new(
        0..text.len(),
        format!("this server makes no `{}`", text.escape_debug()),
    );
    let meant = match text.to_ascii_lowercase().as_str() {
        "brotli" => Some("br"),
        "x-gzip" | "gz" => Some("gzip"),
        "zstandard" | "zst" => Some("zstd"),
        other => nearest(other, names()),
    };
    Err(match meant {
        Some(meant) => fault.help(format!("did you mean \"{meant}\"?")),
        None => fault.help("the codings are \"zstd\", \"br\" and \"gzip\""),
    })
}

/// Reads `types`. It warns of one whose content is compressed by its format.
fn types(node: Node<'_>) -> Option<Vec<TypePattern>> {
    let nodes = node.at_least_one("`types` names no media type", NONE_HELP)?;
    let mut is_sound = true;
    let mut types: Vec<TypePattern> = Vec::new();
    for node in nodes {
        let Some(pattern) = node.text().and_then(|text| text.parse(parse_type)) else {
            is_sound = false;
            continue;
        };
        let warn = |message: String, help: &str| {
            let warning = Diagnostic::warning(message).at(node.spot(), "");
            node.cx.report(warning.help(help.to_owned()));
        };
        if is_packed(&pattern) {
            let message = format!("`{pattern}` is compressed by its format");
            warn(
                message,
                "leave it out: it would take time and become no smaller",
            );
        }
        if types.contains(&pattern) {
            warn(format!("`{pattern}` is named twice"), "once is enough");
            continue;
        }
        types.push(pattern);
    }
    is_sound.then_some(types)
}

/// Whether content of these types is compressed by its format.
fn is_packed(pattern: &TypePattern) -> bool {
    match pattern {
        TypePattern::Exactly(name) => media_type::is_compressed(name),
        TypePattern::Under(start) => matches!(&start[..], "image/" | "video/" | "audio/"),
        TypePattern::EndingWith(end) => matches!(&end[..], "+zip" | "+gzip"),
    }
}

fn parse_type(text: &str) -> Result<TypePattern, Fault> {
    let lower = text.to_ascii_lowercase();
    let is_name = |name: &str| is_token(name.as_bytes()) && !name.contains('*');
    let parsed = if let Some(suffix) = lower.strip_prefix("*+") {
        is_name(suffix).then(|| TypePattern::EndingWith(format!("+{suffix}")))
    } else {
        match lower.split_once('/') {
            Some((kind, "*")) if is_name(kind) => Some(TypePattern::Under(format!("{kind}/"))),
            Some((kind, subtype)) if is_name(kind) && is_name(subtype) => {
                Some(TypePattern::Exactly(lower.clone()))
            }
            _ => None,
        }
    };
    parsed.ok_or_else(|| {
        let message = format!("`{}` names no media types", text.escape_debug());
        let help = "write \"text/*\", \"*+json\" or \"application/json\", without parameters; \
                    \"*/*\" would compress pictures and archives once more";
        Fault::new(0..text.len(), message).help(help)
    })
}

/// Warns of a `compress` that has no effect, because `headers` of this level or of an outer one say that
/// all content is to be left as it is, or which coding it has.
pub(super) fn warn_of_own_fields(section: &Section<'_>, refinement: &Refinement) {
    let policy = &refinement.policy;
    let is_idle = policy.compress.is_some() && policy.compression().is_none();
    let node = if is_idle {
        section.peek(AT_ROUTE.key)
    } else {
        None
    };
    if let Some(node) = node {
        let message = "`compress` has no effect: `headers` sets `Content-Encoding`, or \
                       no-transform in `Cache-Control`";
        let warning = Diagnostic::warning(message).at(node.spot(), "");
        let help = "take the field out of `headers`, or write compress = false".to_owned();
        section.report(warning.help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kinds_of_media_types() {
        for (text, expected) in [
            ("text/*", Some("text/*")),
            ("Text/HTML", Some("text/html")),
            ("*+json", Some("*+json")),
            ("application/vnd.x+json", Some("application/vnd.x+json")),
            ("*/*", None),
            ("*", None),
            ("text", None),
            ("text/", None),
            ("*+", None),
            ("text/html; charset=utf-8", None),
            ("text/h*", None),
            ("", None),
        ] {
            let found = parse_type(text).ok().map(|pattern| pattern.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }
}
