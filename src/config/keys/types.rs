//! `types` and `charset`: the media types of files, in place of those that the server knows.
//!
//! ```toml
//! types = { geojson = "application/geo+json", "tar.gz" = "application/gzip", "*" = "text/plain" }
//! charset = "iso-8859-1"            # of text whose type names none; false: nothing is said
//! ```

use toml::de::DeValue;

use super::level::Refinement;
use super::setting::{Kind, Setting, set};
use crate::config::complaint::fault::Fault;
use crate::config::model::{Policy, Types};
use crate::config::tree::node::Node;
use crate::config::words::values::parse_media_type;
use crate::config::words::written;
use crate::http::fields::is_token;

/// As [`FURTHER_IN`], for the top, which inherits none.
pub(super) const AT_TOP: Setting<Refinement, Policy> = Setting {
    default: "{}",
    ..FURTHER_IN
};

/// For the extensions that a level does not name, the inherited types hold.
pub(super) const FURTHER_IN: Setting<Refinement, Policy> = Setting {
    key: "types",
    kind: Kind::TEXT_MAP,
    about: "media types of files, by extension or name; `*` is for files of no known type",
    translations: &[
        (
            "default_type",
            "the setting is called `types`: `types = { \"*\" = \"text/plain\" }`",
        ),
        (
            "mime_types",
            "the setting is called `types`: `types = { geojson = \"application/geo+json\" }`",
        ),
    ],
    read: |node, refinement| read(node, &mut refinement.policy.types),
    show: |policy| Some(show_types(&policy.types)),
    ..Setting::BLANK
};

/// As [`CHARSET`], for the top, which inherits none.
pub(super) const CHARSET_AT_TOP: Setting<Refinement, Policy> = Setting {
    default: "\"utf-8\"",
    ..CHARSET
};

/// It replaces the inherited one.
pub(super) const CHARSET: Setting<Refinement, Policy> = Setting {
    key: "charset",
    kind: Kind::Either(&[Kind::Text, Kind::Only(false)]),
    about: "the character encoding of text files whose type names none; false: nothing is said",
    translations: &[(
        "source_charset",
        "files are sent as they are; what encoding they have is `charset`",
    )],
    read: |node, refinement| set(&mut refinement.policy.types.charset, charset(node)),
    show: |policy| {
        let charset = policy.types.charset.as_deref();
        Some(charset.map_or_else(|| "false".to_owned(), written::string))
    },
    ..Setting::BLANK
};

/// Reads the name of a character encoding, or false. The outer `None`: there is a mistake.
fn charset(node: Node<'_>) -> Option<Option<String>> {
    match node.value.get_ref() {
        DeValue::Boolean(false) => Some(None),
        DeValue::String(_) => node.text()?.parse(parse_charset).map(Some),
        _ => node.refuse_type("the name of a character encoding, or false", None),
    }
}

/// Reads the name of a character encoding (RFC 9110 §8.3.2).
fn parse_charset(text: &str) -> Result<String, Fault> {
    if is_token(text.as_bytes()) {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is not a character encoding", text.escape_debug());
    Err(Fault::new(0..text.len(), message).help("write \"utf-8\" or \"iso-8859-1\""))
}

/// Reads the types of one level into `types`, which holds the inherited ones.
fn read(node: Node<'_>, types: &mut Types) -> Option<()> {
    let help = "write types = { geojson = \"application/geo+json\" }";
    let section = node.section("`types`", Some(help.into()))?;
    for (key, value) in section.entries() {
        let name = key.parse(parse_type_key);
        let media_type = value.text().and_then(|text| text.parse(parse_media_type));
        if let (Some(name), Some(media_type)) = (name, media_type) {
            types.insert(name, media_type);
        }
    }
    Some(())
}

fn show_types(types: &Types) -> String {
    written::inline(
        types
            .iter()
            .map(|(key, media_type)| (key, written::string(media_type))),
    )
}

/// Reads an extension, with its dot or without, the name of a file, or `*`.
fn parse_type_key(text: &str) -> Result<String, Fault> {
    if text == Types::OTHERS {
        return Ok(text.to_owned());
    }
    let name = text.strip_prefix('.').unwrap_or(text);
    let help = "write the extension alone, geojson or \"tar.gz\", or the name of a file";
    match name
        .char_indices()
        .find(|(_, c)| matches!(c, '/' | '*' | '?') || c.is_control())
    {
        None if name.is_empty() => {
            Err(Fault::new(0..text.len(), "an extension without letters").help(help))
        }
        None => Ok(name.to_ascii_lowercase()),
        Some((at, c)) => {
            let at = at + text.len() - name.len();
            let message = format!("`{}` cannot stand in an extension", c.escape_debug());
            Err(Fault::new(at..at + c.len_utf8(), message).help(help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_extensions_and_names() {
        for (text, expected) in [
            ("geojson", Some("geojson")),
            (".GeoJSON", Some("geojson")),
            ("tar.gz", Some("tar.gz")),
            ("README", Some("readme")),
            ("*", Some("*")),
            ("*.js", None),
            ("a/b", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(parse_type_key(text).ok().as_deref(), expected, "{text:?}");
        }
    }
}
