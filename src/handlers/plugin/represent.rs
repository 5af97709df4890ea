//! From a handler's response to the server's: conditions, ranges, and fields that depend on the
//! coding.

use crate::api::MadeHead;
use crate::http::field_list::{FieldLine, FieldList};
use crate::http::list;
use crate::http::validator::{coding_mark, with_mark};
use crate::message::conditional::{self, Supply};
use crate::message::request::Request;
use crate::message::response::DuplexResponse;

/// The response to `request` from the handler's fields and the content in `supply`.
pub(super) fn represent<'c>(
    made: MadeHead,
    supply: Supply<'c>,
    request: &Request<'_>,
) -> DuplexResponse<'static, 'c> {
    let mut fields = made.fields;
    mark_coding(&mut fields);
    conditional::represent(made.status, fields, supply, request)
}

/// RFC 9110 §8.8.3.3: content in a coding is another representation than the content without it, so
/// they must not have the same strong entity tag. Caches must also know that clients get different
/// representations.
///
/// The tag `"7"` becomes `"7-gzip"`; a tag that ends so already stays. Scripts compare their tags
/// themselves, so theirs are not changed.
fn mark_coding(fields: &mut FieldList) {
    let lines = fields
        .iter()
        .filter(|line| line.is_named("Content-Encoding"));
    let Some(mark) = coding_mark(lines.map(|line| &line.value[..])) else {
        return;
    };
    let varies = |line: &FieldLine| {
        let mut names = list::elements(&line.value);
        line.is_named("Vary")
            && names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"Accept-Encoding"))
    };
    if !fields.iter().any(varies) {
        fields.push("Vary", "Accept-Encoding");
    }
    if let Some(tag) = fields.find_mut("ETag")
        && let Some(marked) = with_mark(tag, &mark)
    {
        *tag = marked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_in_codings_has_a_tag_of_its_own() {
        for (codings, tag, expected) in [
            (&["gzip"][..], "\"7\"", "\"7-gzip\""),
            (&["gzip, br"], "\"7\"", "\"7-gzip-br\""),
            (&["gzip", "br"], "\"7\"", "\"7-gzip-br\""),
            (&["identity"], "\"7\"", "\"7\""),
            (&["gzip"], "\"7-gzip\"", "\"7-gzip\""),
            (&["gzip"], "W/\"7\"", "W/\"7\""),
        ] {
            let mut fields = FieldList::new();
            for coding in codings {
                fields.push("Content-Encoding", *coding);
            }
            fields.push("ETag", tag);
            mark_coding(&mut fields);
            assert_eq!(
                fields.find("ETag"),
                Some(expected.as_bytes()),
                "{codings:?}"
            );
            let varies = fields.has("Vary");
            assert_eq!(varies, codings != ["identity"], "{codings:?}");
        }
    }
}
