//! From a handler's response to the server's: conditions, ranges, and fields that depend on the
//! coding.

use crate::api::MadeHead;
use crate::http::field_list::{FieldLine, FieldList};
use crate::http::list;
use crate::http::request::RequestHead;
use crate::message::conditional::{self, Supply};
use crate::message::response::DuplexResponse;

/// The response to `head` from the handler's fields and the content in `supply`.
pub(super) fn represent<'c>(
    made: MadeHead,
    supply: Supply<'c>,
    head: &RequestHead<'_>,
) -> DuplexResponse<'static, 'c> {
    let mut fields = made.fields;
    mark_coding(&mut fields);
    conditional::represent(made.status, fields, supply, head)
}

/// RFC 9110 §8.8.3.3: content in a coding is another representation than the content without it, so
/// they must not have the same strong entity tag. Caches must also know that clients get different
/// representations.
///
/// The tag `"7"` becomes `"7-gzip"`; a tag that ends so already stays. Scripts compare their tags
/// themselves, so theirs are not changed.
fn mark_coding(fields: &mut FieldList) {
    let Some(coding) = fields.find("Content-Encoding") else {
        return;
    };
    let coding = coding.to_ascii_lowercase();
    if coding == b"identity" {
        return;
    }
    let varies = |line: &FieldLine| {
        let mut names = list::elements(&line.value);
        line.is_named("Vary")
            && names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"Accept-Encoding"))
    };
    if !fields.iter().any(varies) {
        fields.push("Vary", "Accept-Encoding");
    }
    let mark = [b"-", &coding[..]].concat();
    if let Some(tag) = fields.find_mut("ETag")
        && let Some(opaque) = tag.strip_suffix(b"\"").filter(|tag| tag.starts_with(b"\""))
        && !opaque.ends_with(&mark)
    {
        *tag = [opaque, &mark, b"\""].concat();
    }
}
