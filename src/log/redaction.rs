//! What access logs leave out of a record: values of parameters that give access, and fields.

use memchr::memchr;
use percent_encoding::percent_decode;

use super::record::AccessRecord;
use crate::address::ClientAddress;
use crate::config::model::{LogField, Redaction};

/// What stands in the place of a value.
const IN_PLACE: &[u8] = b"[redacted]";

/// Room for what a record has in place of what the client sent.
#[derive(Default)]
pub(crate) struct Redacted {
    request_line: Vec<u8>,
    referer: Vec<u8>,
}

/// The record without what `redaction` leaves out. `room` is taken up only if there is something.
pub(crate) fn redact<'a>(
    mut record: AccessRecord<'a>,
    redaction: &Redaction,
    room: &'a mut Redacted,
) -> AccessRecord<'a> {
    let Redacted {
        request_line,
        referer,
    } = room;
    let keeps_query = !redaction.fields.contains(&LogField::Query);
    let replace = |text: &'a [u8], end: u8, room: &'a mut Vec<u8>| {
        let Some(start) = memchr(b'?', text) else {
            return text;
        };
        let end = memchr(end, &text[start..]).map_or(text.len(), |end| start + end);
        let (query, rest) = (&text[start + 1..end], &text[end..]);
        if !keeps_query {
            room.extend_from_slice(&text[..start]);
        } else if has_secret(query, &redaction.query) {
            room.extend_from_slice(&text[..=start]);
            push_query(query, &redaction.query, room);
        } else {
            return text;
        }
        room.extend_from_slice(rest);
        room.as_slice()
    };
    record.request_line = replace(record.request_line, b' ', request_line);
    if let Some(value) = record.referer {
        record.referer = Some(replace(value, b'#', referer));
    }
    for field in &redaction.fields {
        match field {
            LogField::Client => record.client = ClientAddress::Unknown,
            LogField::User => record.user = None,
            LogField::Query => {}
            LogField::Host => record.host = b"",
            LogField::Referer => record.referer = None,
            LogField::UserAgent => record.user_agent = None,
        }
    }
    record
}

fn has_secret(query: &[u8], names: &[String]) -> bool {
    parameters(query).any(|parameter| is_secret(parameter, names))
}

/// The parameters of a query, each with its value.
fn parameters(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query.split(|octet| matches!(octet, b'&' | b';'))
}

/// Whether the value of a parameter is left out. Its name may be percent-encoded.
fn is_secret(parameter: &[u8], names: &[String]) -> bool {
    let end = memchr(b'=', parameter).unwrap_or(parameter.len());
    let is_one = |name: &[u8]| {
        let mut names = names.iter();
        names.any(|other| other.as_bytes().eq_ignore_ascii_case(name))
    };
    let name = &parameter[..end];
    if memchr(b'%', name).is_none() {
        return is_one(name);
    }
    is_one(&percent_decode(name).collect::<Vec<u8>>())
}

fn push_query(query: &[u8], names: &[String], out: &mut Vec<u8>) {
    let mut at = 0;
    for parameter in parameters(query) {
        if at > 0 {
            out.push(query[at - 1]);
        }
        match memchr(b'=', parameter) {
            Some(end) if is_secret(parameter, names) => {
                out.extend_from_slice(&parameter[..=end]);
                out.extend_from_slice(IN_PLACE);
            }
            _ => out.extend_from_slice(parameter),
        }
        at += parameter.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::status::Status;

    fn record<'a>(line: &'a str, referer: Option<&'a str>) -> AccessRecord<'a> {
        AccessRecord {
            referer: referer.map(str::as_bytes),
            host: b"h",
            user_agent: Some(b"curl"),
            ..AccessRecord::unreadable(ClientAddress::Unix, line.as_bytes(), Status::OK)
        }
    }

    #[test]
    fn values_of_secret_parameters_are_not_written() {
        for (line, expected) in [
            ("GET /a HTTP/1.1", "GET /a HTTP/1.1"),
            ("GET /a?b=token HTTP/1.1", "GET /a?b=token HTTP/1.1"),
            (
                "GET /a?b=1&token=abc&c=2 HTTP/1.1",
                "GET /a?b=1&token=[redacted]&c=2 HTTP/1.1",
            ),
            (
                "GET /a?TOKEN=abc;%70assword=x HTTP/1.1",
                "GET /a?TOKEN=[redacted];%70assword=[redacted] HTTP/1.1",
            ),
            ("GET /?token HTTP/1.1", "GET /?token HTTP/1.1"),
            ("GET /?token=", "GET /?token=[redacted]"),
        ] {
            let mut room = Redacted::default();
            let redacted = redact(record(line, None), &Redaction::default(), &mut room);
            assert_eq!(String::from_utf8_lossy(redacted.request_line), expected);
        }
        let mut room = Redacted::default();
        let referer = "https://h/a?code=1&b=2#c";
        let redacted = redact(record("", Some(referer)), &Redaction::default(), &mut room);
        let expected = &b"https://h/a?code=[redacted]&b=2#c"[..];
        assert_eq!(redacted.referer, Some(expected));
    }

    #[test]
    fn fields_are_left_out_by_name() {
        let redaction = Redaction {
            query: Vec::new(),
            fields: vec![
                LogField::Client,
                LogField::Query,
                LogField::Host,
                LogField::UserAgent,
            ],
        };
        let mut room = Redacted::default();
        let before = record("GET /a?b=1 HTTP/1.1", Some("https://h/?c"));
        let redacted = redact(before, &redaction, &mut room);
        assert_eq!(redacted.request_line, b"GET /a HTTP/1.1");
        assert_eq!(redacted.referer, Some(&b"https://h/"[..]));
        assert_eq!((redacted.host, redacted.user_agent), (&b""[..], None));
        assert_eq!(redacted.client, ClientAddress::Unknown);
    }
}
