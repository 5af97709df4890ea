//! A record as a person reads it in a terminal. Log files have other formats.
//!
//! ```text
//! Nov 22 23:54:16.007 200 GET shop.example/cart?id=7 1.2ms 612B 192.0.2.7
//! Nov 22 23:54:16.310 502 GET shop.example/pay 903.0µs 153B 192.0.2.7 upstream_connect_refused via 127.0.0.1:8000
//! Nov 22 23:54:17.002 400 "nonsense" <1ms 153B 192.0.2.7 request_line_invalid
//! ```
//!
//! Time and status have the same place in every line: `tidegate log` colours the status there.

use std::io::Write as _;
use std::time::Duration;

use crate::log::record::{AccessRecord, LogTime, escape, push_client};

/// Appends the line of `record`, with its LF, to `out`.
pub(super) fn write(record: &AccessRecord<'_>, time: &LogTime, out: &mut Vec<u8>) {
    push_time(time, out);
    show(format_args!(" {} ", record.status.code()), out);
    push_request(record, out);
    match record.duration {
        // On the fast path an exchange ends in the turn in which it begins, and turns are what the
        // loop's clock tells apart.
        Duration::ZERO => show(format_args!(" <1ms"), out),
        duration => show(format_args!(" {duration:.1?}"), out),
    }
    show(format_args!(" {}B ", record.content_length), out);
    push_client(record.client, out);
    if let Some(user) = record.user {
        out.extend_from_slice(b" user ");
        escape(user.as_bytes(), out);
    }
    if let Some(reason) = record.reason {
        show(format_args!(" {reason}"), out);
    }
    if let Some(server) = record.upstream.and_then(|upstream| upstream.server) {
        show(format_args!(" via {server}"), out);
    }
    if let Some(id) = record.request_id {
        out.extend_from_slice(b" id ");
        escape(id.as_bytes(), out);
    }
    out.push(b'\n');
}

/// `Nov 22 23:54:16.007`, in the time zone of `TZ` or of the machine.
fn push_time(time: &LogTime, out: &mut Vec<u8>) {
    let common = time.common();
    // 22/Nov/2026:23:54:16 +0000
    let part = |start: usize, end: usize| common.get(start..end).unwrap_or_default();
    let (day, month, clock) = (part(0, 2), part(3, 6), part(12, 20));
    show(format_args!("{month} {day} {clock}"), out);
    out.extend_from_slice(time.fraction());
}

/// Method, host and target; of a request that could not be read, what is known of its first line.
fn push_request(record: &AccessRecord<'_>, out: &mut Vec<u8>) {
    if record.target().is_empty() {
        out.push(b'"');
        escape(record.request_line, out);
        out.push(b'"');
        return;
    }
    escape(record.method(), out);
    out.push(b' ');
    if record.target().starts_with(b"/") {
        escape(record.host, out);
    }
    escape(record.target(), out);
}

fn show(text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    out.write_fmt(text).expect("a Vec takes everything");
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::http::status::Status;
    use crate::log::record::UpstreamRecord;
    use crate::reason::Reason;

    fn line(record: AccessRecord<'_>) -> String {
        let time = &LogTime::for_tests();
        let mut out = Vec::new();
        write(&record, time, &mut out);
        String::from_utf8(out).expect("escaped, it is text")
    }

    #[test]
    fn tells_what_a_person_looks_for() {
        let client = IpAddr::from([192, 0, 2, 7]).into();
        let plain = AccessRecord {
            host: b"h:80",
            content_length: 612,
            ..AccessRecord::unreadable(client, b"GET /a?b HTTP/1.1", Status::OK)
        };
        assert_eq!(
            line(plain),
            "Nov 22 23:54:16.007 200 GET h:80/a?b <1ms 612B 192.0.2.7\n"
        );
        let failed = AccessRecord {
            status: Status::BAD_GATEWAY,
            duration: Duration::from_micros(1_234),
            user: Some("a b"),
            reason: Some(Reason::UpstreamTimeout),
            request_id: Some("id-1"),
            upstream: Some(UpstreamRecord {
                server: Some("127.0.0.1:8000"),
                tries: 1,
                connect: None,
                head: None,
                error: None,
            }),
            ..plain
        };
        assert_eq!(
            line(failed),
            "Nov 22 23:54:16.007 502 GET h:80/a?b 1.2ms 612B 192.0.2.7 user a b upstream_timeout via \
             127.0.0.1:8000 id id-1\n"
        );
    }

    #[test]
    fn no_client_writes_a_line_of_its_own() {
        let client = IpAddr::from([192, 0, 2, 7]).into();
        for (request_line, expected) in [
            (&b"\x1b[2J\n"[..], "\"\\x1b[2J\\x0a\""),
            (b"", "\"\""),
            (b"OPTIONS * HTTP/1.1", "OPTIONS *"),
            (b"GET /a\"\xff HTTP/1.1", "GET h/a\\x22\\xff"),
        ] {
            let record = AccessRecord {
                host: b"h",
                ..AccessRecord::unreadable(client, request_line, Status::BAD_REQUEST)
            };
            let expected = format!("Nov 22 23:54:16.007 400 {expected} <1ms 0B 192.0.2.7\n");
            assert_eq!(line(record), expected);
        }
    }
}
