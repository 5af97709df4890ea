//! A record in the format that the operator has chosen: one of those that have names, or a template.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use super::record::{AccessRecord, LogTime, escape, push_client};
use crate::config::model::{LogFormat, LogPart, LogVariable};
use crate::reason::Reason;

impl AccessRecord<'_> {
    /// Appends the record's line, with its LF, to `out`.
    pub(crate) fn write(&self, format: &LogFormat, time: &LogTime, out: &mut Vec<u8>) {
        match format {
            LogFormat::Common => self.write_common(time, out),
            LogFormat::Combined => self.write_combined(time, out),
            LogFormat::Json => self.write_json(time, out),
            LogFormat::Template(parts) => self.write_template(parts, time, out),
        }
        out.push(b'\n');
    }

    /// Appends a line as a template has it. What is missing is a dash.
    fn write_template(&self, parts: &[LogPart], time: &LogTime, out: &mut Vec<u8>) {
        for part in parts {
            match part {
                LogPart::Text(text) => out.extend_from_slice(text.as_bytes()),
                LogPart::Variable {
                    variable,
                    is_quoted,
                } => {
                    let start = out.len();
                    push(self, *variable, time, out);
                    if out.len() == start {
                        out.push(b'-');
                    } else if !is_quoted && *variable != LogVariable::TimeLocal {
                        escape_spaces(start, out);
                    }
                }
            }
        }
    }
}

fn push(record: &AccessRecord<'_>, variable: LogVariable, time: &LogTime, out: &mut Vec<u8>) {
    let upstream = record.upstream.as_ref();
    match variable {
        LogVariable::Time => out.extend_from_slice(time.iso()),
        LogVariable::TimeLocal => out.extend_from_slice(time.common().as_bytes()),
        LogVariable::Client => push_client(record.client, out),
        LogVariable::User => push_text(record.user, out),
        LogVariable::Request => escape(record.request_line, out),
        LogVariable::Method => escape(record.method(), out),
        LogVariable::Target => escape(record.target(), out),
        LogVariable::Path => escape(record.path(), out),
        LogVariable::Query => escape(record.query(), out),
        LogVariable::Version => escape(record.version(), out),
        LogVariable::Host => escape(record.host, out),
        LogVariable::Referer => escape(record.referer.unwrap_or_default(), out),
        LogVariable::UserAgent => escape(record.user_agent.unwrap_or_default(), out),
        LogVariable::Status => show(record.status.code(), out),
        LogVariable::Bytes => show(record.content_length, out),
        LogVariable::Duration => {
            let (seconds, micros) = (record.duration.as_secs(), record.duration.subsec_micros());
            show(format_args!("{seconds}.{micros:06}"), out);
        }
        LogVariable::DurationMs => show(record.duration.as_millis(), out),
        LogVariable::DurationUs => show(record.duration.as_micros(), out),
        LogVariable::Reason => push_text(record.reason.map(Reason::id), out),
        LogVariable::Route => push_text(record.route, out),
        LogVariable::RequestId => push_text(record.request_id, out),
        LogVariable::TraceId => show_some(record.trace_id, out),
        LogVariable::Upstream => push_text(upstream.and_then(|it| it.server), out),
        LogVariable::UpstreamTries => show_some(upstream.map(|it| it.tries), out),
        LogVariable::UpstreamConnectUs => push_time(upstream.and_then(|it| it.connect), out),
        LogVariable::UpstreamHeadUs => push_time(upstream.and_then(|it| it.head), out),
        LogVariable::UpstreamError => push_text(upstream.and_then(|it| it.error), out),
    }
}

fn show(value: impl Display, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a Vec takes everything");
}

fn show_some(value: Option<impl Display>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        show(value, out);
    }
}

fn push_text(text: Option<&str>, out: &mut Vec<u8>) {
    escape(text.unwrap_or_default().as_bytes(), out);
}

fn push_time(time: Option<Duration>, out: &mut Vec<u8>) {
    show_some(time.map(|time| time.as_micros()), out);
}

/// Escapes the spaces of a value that stands outside of quotes, from `start` on: they would move what
/// follows it to another column.
fn escape_spaces(start: usize, out: &mut Vec<u8>) {
    if !out[start..].contains(&b' ') {
        return;
    }
    let value = out.split_off(start);
    for octet in value {
        match octet {
            b' ' => out.extend_from_slice(b"\\x20"),
            octet => out.push(octet),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::record::UpstreamRecord;
    use super::*;
    use crate::config::parse_log_template;
    use crate::http::status::Status;

    fn line(template: &str, change: impl FnOnce(&mut AccessRecord<'_>)) -> String {
        let client = IpAddr::from([192, 0, 2, 7]).into();
        let mut record = AccessRecord {
            host: b"h",
            content_length: 12,
            duration: Duration::from_nanos(1_234_999),
            route: Some("/a"),
            ..AccessRecord::unreadable(client, b"GET /a/b?c=d HTTP/1.1", Status::OK)
        };
        change(&mut record);
        let time = &LogTime::for_tests();
        let mut out = Vec::new();
        record.write_template(&parse_log_template(template), time, &mut out);
        String::from_utf8(out).expect("escaped, it is text")
    }

    #[test]
    fn every_variable_has_its_value() {
        for (template, expected) in [
            ("{time}", "2026-11-22T23:54:16.007Z"),
            ("[{time_local}]", "[22/Nov/2026:23:54:16 +0000]"),
            ("\"{time_local}\"", "\"22/Nov/2026:23:54:16 +0000\""),
            ("{client} {method} {path} {query}", "192.0.2.7 GET /a/b c=d"),
            ("{target} {version} {host}", "/a/b?c=d HTTP/1.1 h"),
            ("\"{request}\"", "\"GET /a/b?c=d HTTP/1.1\""),
            ("{status} {bytes} {route}", "200 12 /a"),
            ("{duration} {duration_ms} {duration_us}", "0.001234 1 1234"),
            ("{referer} {user_agent} {reason} {request_id}", "- - - -"),
            ("{trace_id}", "-"),
            ("{upstream} {upstream_tries} {upstream_error}", "- - -"),
            ("{user}", "-"),
        ] {
            assert_eq!(line(template, |_| ()), expected, "{template}");
        }
        let told = line(
            "{reason} {request_id} {upstream} {upstream_tries} {upstream_connect_us} \
             {upstream_head_us} {upstream_error}",
            |record| {
                record.reason = Some(Reason::UpstreamTimeout);
                record.request_id = Some("id-1");
                record.upstream = Some(UpstreamRecord {
                    server: Some("127.0.0.1:8000"),
                    tries: 2,
                    connect: Some(Duration::from_micros(80)),
                    head: None,
                    error: Some("connection_read_timeout"),
                });
            },
        );
        let expected = "upstream_timeout id-1 127.0.0.1:8000 2 80 - connection_read_timeout";
        assert_eq!(told, expected);
    }

    #[test]
    fn no_value_moves_what_follows_it() {
        let hostile = |record: &mut AccessRecord<'_>| {
            record.user_agent = Some(b"a\" 500\n\x1b[2J\\");
        };
        let plain = line("{user_agent} {status}", hostile);
        assert_eq!(plain, "a\\x22\\x20500\\x0a\\x1b[2J\\x5c 200");
        let quoted = line("\"{user_agent}\" {status}", hostile);
        assert_eq!(quoted, "\"a\\x22 500\\x0a\\x1b[2J\\x5c\" 200");
    }
}
