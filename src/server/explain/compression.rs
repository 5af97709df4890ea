//! Says for `explain` whether the response is compressed, or why not, by the rules that the server follows.

use crate::generation::policy::ServingPolicy;
use crate::http::compression::{Compression, TypePattern, Uncoded};
use crate::http::field_list::FieldList;
use crate::http::negotiation::ContentCoding;
use crate::http::request::RequestHead;
use crate::http::status::Status;
use crate::http::version::Version;

/// What `compress` of the policy makes of the response to `head`, of that status and with those fields;
/// `None`: there is no `compress`. Without an `answer` code answers, which may name a file if it `sends_files`:
/// what would become of its response.
pub(super) fn compression_of(
    policy: &ServingPolicy,
    answer: Option<(Status, &FieldList)>,
    head: &RequestHead<'_>,
    sends_files: bool,
) -> Option<String> {
    let rules = policy.representation.compression.as_deref()?;
    Some(match answer {
        Some((status, fields)) => of_answer(rules, status, fields, head),
        None => of_code(rules, head, sends_files),
    })
}

fn of_answer(
    rules: &Compression,
    status: Status,
    fields: &FieldList,
    head: &RequestHead<'_>,
) -> String {
    if let Some(coding) = fields.find("Content-Encoding") {
        return String::from_utf8_lossy(coding).into_owned();
    }
    let length = fields.find("Content-Length");
    let length = length.and_then(|length| str::from_utf8(length).ok()?.parse().ok());
    let why = match rules.suits(status, fields, length) {
        Err(why) => why.to_string(),
        Ok(()) => match rules.coding_for(head) {
            Err(why) => why.to_string(),
            Ok(_) if head.version == Version::Http10 => Uncoded::Version.to_string(),
            Ok(_) => "it would not become smaller, or is too large a file".to_owned(),
        },
    };
    format!("no: {why}")
}

fn of_code(rules: &Compression, head: &RequestHead<'_>, sends_files: bool) -> String {
    match rules.coding_for(head) {
        Err(why) => format!("no: {why}"),
        Ok(coding) => format!(
            "{}, if the answer is {} and {} bytes or longer, or of unknown length{}{}",
            coding.as_str(),
            described(rules),
            rules.min_size,
            of_long(rules, head, coding),
            if sends_files {
                "; a file that it names is sent as it is"
            } else {
                ""
            }
        ),
    }
}

/// What is said besides if long answers, and those of unknown length, are not in `coding`.
fn of_long(rules: &Compression, head: &RequestHead<'_>, coding: ContentCoding) -> String {
    match rules.coding_for_sent(head, None) {
        Ok(other) if other != coding => format!(
            "; {} if it is of more than {} bytes, or of unknown length",
            other.as_str(),
            Compression::MAX_BROTLI
        ),
        _ => String::new(),
    }
}

/// The types of `rules` in a few words.
fn described(rules: &Compression) -> String {
    if rules.types == Compression::default().types {
        return "of a type that becomes smaller".to_owned();
    }
    let types: Vec<String> = rules.types.iter().map(TypePattern::to_string).collect();
    format!("of {}", types.join(", "))
}
