//! What access logs leave out of a record: values of parameters that give access, and fields.

use super::record::AccessRecord;
use super::secrets::{LineRoom, Within, redacted_line, without_secrets};
use crate::address::ClientAddress;
use crate::config::model::{LogField, Redaction};

/// Room for what a record has in place of what the client sent.
#[derive(Default)]
pub(crate) struct Redacted {
    request_line: LineRoom,
    referer: Vec<u8>,
}

/// Leaves out of `record` what `redaction` says. `room` is taken up only if there is something.
#[inline]
pub(crate) fn redact<'a>(
    record: &mut AccessRecord<'a>,
    redaction: &Redaction,
    room: &'a mut Redacted,
) {
    let Redacted {
        request_line,
        referer,
    } = room;
    record.request_line = redacted_line(record.request_line, redaction, request_line);
    if let Some(value) = record.referer {
        record.referer = Some(without_secrets(value, Within::Nothing, redaction, referer));
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            (
                "GET /?token[]=a&token%5B%5D=b&+token=c",
                "GET /?token[]=[redacted]&token%5B%5D=[redacted]&+token=[redacted]",
            ),
            (
                "GET /?user[Password]=a&user.password=b&user[name]=c",
                "GET /?user[Password]=[redacted]&user.password=[redacted]&user[name]=c",
            ),
            ("GET /?tokens=a&my_token=b", "GET /?tokens=a&my_token=b"),
            ("GET /?token=", "GET /?token=[redacted]"),
            (
                "GET /?a=J Doe&token=abc d&b=1 HTTP/1.1",
                "GET /?a=J Doe&token=[redacted]&b=1 HTTP/1.1",
            ),
            (
                "GET /?a=J Doe&token=abc d",
                "GET /?a=J Doe&token=[redacted]",
            ),
            (
                "GET /a#token=abc HTTP/1.1",
                "GET /a#token=[redacted] HTTP/1.1",
            ),
            ("GET /a?b=1#c&code=d", "GET /a?b=1#c&code=[redacted]"),
            ("GET /@a/b?c=d@e HTTP/1.1", "GET /@a/b?c=d@e HTTP/1.1"),
            (
                "GET http://u:p@h/@b?c=1 HTTP/1.1",
                "GET http://[redacted]@h/@b?c=1 HTTP/1.1",
            ),
            (
                "GET http://u@p@h?code=1",
                "GET http://[redacted]@h?code=[redacted]",
            ),
            (
                "GET /?to=http://u:p@h/ HTTP/1.1",
                "GET /?to=http://u:p@h/ HTTP/1.1",
            ),
            ("GET /?a b://u@h HTTP/1.1", "GET /?a b://u@h HTTP/1.1"),
            (
                "GET /a#b?token=c HTTP/1.1",
                "GET /a#b?token=[redacted] HTTP/1.1",
            ),
        ] {
            let mut room = Redacted::default();
            let mut redacted = record(line, None);
            redact(&mut redacted, &Redaction::default(), &mut room);
            assert_eq!(String::from_utf8_lossy(redacted.request_line), expected);
        }
        for (referer, expected) in [
            (
                "https://h/a?code=1&b=2#c",
                "https://h/a?code=[redacted]&b=2#c",
            ),
            (
                "https://h/a#access_token=1",
                "https://h/a#access_token=[redacted]",
            ),
            ("https://u:p@h/", "https://[redacted]@h/"),
            ("https://h/#/cb?code=1", "https://h/#/cb?code=[redacted]"),
            ("?a b://u@h", "?a b://u@h"),
            ("#://@", "#://@"),
        ] {
            let mut room = Redacted::default();
            let mut redacted = record("", Some(referer));
            redact(&mut redacted, &Redaction::default(), &mut room);
            assert_eq!(redacted.referer, Some(expected.as_bytes()));
        }
    }

    /// Parts of URIs in any order.
    fn odd() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec!["?", "#", " ", " a://", "u@h", "/", "=", "&"]);
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        /// Whatever a client sends: what has no name of a secret and no user information stays as it is.
        #[test]
        fn no_text_is_too_odd(line in odd(), referer in odd()) {
            let mut room = Redacted::default();
            let mut redacted = record(&line, Some(&referer));
            redact(&mut redacted, &Redaction::default(), &mut room);
            if !line.contains('@') {
                prop_assert_eq!(redacted.request_line, line.as_bytes());
            }
            if !referer.contains('@') {
                prop_assert_eq!(redacted.referer, Some(referer.as_bytes()));
            }
        }
    }

    /// The host of absolute-form and of CONNECT stayed in the target.
    #[test]
    fn a_host_in_the_target_is_left_out() {
        let redaction = Redaction {
            query: Vec::new(),
            fields: vec![LogField::Host],
        };
        for (line, expected) in [
            ("GET /a HTTP/1.1", "GET /a HTTP/1.1"),
            ("GET http://h/a?b HTTP/1.1", "GET /a?b HTTP/1.1"),
            ("GET https://u:p@h:8443/a HTTP/1.1", "GET /a HTTP/1.1"),
            ("GET http://h HTTP/1.1", "GET / HTTP/1.1"),
            ("GET http://h?b=c HTTP/1.1", "GET /?b=c HTTP/1.1"),
            ("GET http://h", "GET /"),
            ("CONNECT h:443 HTTP/1.1", "CONNECT [redacted] HTTP/1.1"),
            ("CONNECT h:443", "CONNECT [redacted]"),
            ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"),
            ("GET /to/http://h/ HTTP/1.1", "GET /to/http://h/ HTTP/1.1"),
            ("GET /?to=http://h/ HTTP/1.1", "GET /?to=http://h/ HTTP/1.1"),
            ("GET", "GET"),
        ] {
            let mut room = Redacted::default();
            let mut redacted = record(line, None);
            redact(&mut redacted, &redaction, &mut room);
            assert_eq!(String::from_utf8_lossy(redacted.request_line), expected);
        }
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
        let mut redacted = record("GET /a?b=1 HTTP/1.1", Some("https://h/?c"));
        redact(&mut redacted, &redaction, &mut room);
        assert_eq!(redacted.request_line, b"GET /a HTTP/1.1");
        assert_eq!(redacted.referer, Some(&b"https://h/"[..]));
        assert_eq!((redacted.host, redacted.user_agent), (&b""[..], None));
        assert_eq!(redacted.client, ClientAddress::Unknown);
    }
}
