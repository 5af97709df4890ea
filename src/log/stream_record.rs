//! The record of a connection that was passed on, in the access log between those of exchanges.
//!
//! ```text
//! common    127.0.0.1 - - [22/Nov/2026:23:54:16 +0000] "STREAM 127.0.0.1:6432 127.0.0.1:5432" 200 5678
//!           received=1234 time=0.125 end=complete      (all on one line)
//! combined  …the same, with "-" "-" before `received`
//! json      {"time":"2026-11-22T23:54:16.123Z","client":"127.0.0.1","stream":"127.0.0.1:6432",…}
//! ```
//!
//! What programs that read such logs expect stands where they expect it; what they do not know stands
//! behind it.

use std::io::Write as _;
use std::time::Duration;

use super::record::{
    AccessRecord, LogTime, UpstreamRecord, member, push_address_of_line, push_client,
    push_json_text,
};
use crate::address::{ClientAddress, ListenAddress};
use crate::config::model::LogFormat;
use crate::http::status::Status;

/// What the log tells of one connection of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRecord<'a> {
    pub(crate) client: ClientAddress,
    /// Where it came in.
    pub(crate) listener: &'a ListenAddress,
    /// The name of the upstream.
    pub(crate) upstream: &'a str,
    /// The address of the server that it was passed on to, if there was one.
    pub(crate) server: Option<&'a str>,
    /// The address of the server that was asked last for a connection, whether it took one or not.
    pub(crate) asked: Option<&'a str>,
    /// How many servers were asked.
    pub(crate) tries: u32,
    /// What the status of a response would be.
    pub(crate) status: Status,
    /// Why it ended: one word.
    pub(crate) end: &'static str,
    /// Octets from the client.
    pub(crate) received: u64,
    /// Octets to the client.
    pub(crate) sent: u64,
    /// How long it took to connect to the server.
    pub(crate) connect: Option<Duration>,
    /// From the connection to its end.
    pub(crate) duration: Duration,
}

impl StreamRecord<'_> {
    /// Appends the record's line, with its LF, to `out`.
    pub(crate) fn write(&self, format: &LogFormat, time: &LogTime, out: &mut Vec<u8>) {
        match format {
            LogFormat::Common => self.write_text("", time, out),
            LogFormat::Combined => self.write_text(" \"-\" \"-\"", time, out),
            LogFormat::Json => self.write_json(time, out),
            LogFormat::Template(_) => {
                let line = self.line();
                return self.as_access(line.as_bytes()).write(format, time, out);
            }
        }
        out.push(b'\n');
    }

    /// What stands in the place of a request line.
    pub(crate) fn line(&self) -> String {
        format!("STREAM {} {}", self.listener, self.server.unwrap_or("-"))
    }

    /// The record as one of an exchange whose request line is `line`: templates and conditions know no
    /// other.
    pub(crate) fn as_access<'a>(&'a self, line: &'a [u8]) -> AccessRecord<'a> {
        AccessRecord {
            content_length: self.sent,
            duration: self.duration,
            upstream: Some(UpstreamRecord {
                server: self.asked,
                tries: self.tries,
                connect: self.connect,
                head: None,
                error: None,
            }),
            ..AccessRecord::unreadable(self.client, line, self.status)
        }
    }

    fn write_text(&self, between: &str, time: &LogTime, out: &mut Vec<u8>) {
        push_address_of_line(self.client, out);
        write!(
            out,
            " - - [{}] \"{}\" {} {}{between} received={} time={:.3} end={}",
            time.common(),
            self.line(),
            self.status.code(),
            self.sent,
            self.received,
            self.duration.as_secs_f64(),
            self.end,
        )
        .expect("a Vec takes everything");
    }

    fn write_json(&self, time: &LogTime, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(time.iso());
        out.extend_from_slice(b"\",\"client\":\"");
        push_client(self.client, out);
        out.push(b'"');
        let listener = self.listener.to_string();
        push_json_text(member!("stream"), Some(listener.as_bytes()), out);
        push_json_text(member!("upstream"), Some(self.upstream.as_bytes()), out);
        push_json_text(member!("server"), self.server.map(str::as_bytes), out);
        write!(
            out,
            ",\"status\":{},\"end\":\"{}\",\"bytes\":{},\"bytes_received\":{},\"connect_ms\":",
            self.status.code(),
            self.end,
            self.sent,
            self.received,
        )
        .expect("a Vec takes everything");
        match self.connect {
            Some(connect) => write!(out, "{}", connect.as_millis()),
            None => write!(out, "null"),
        }
        .expect("a Vec takes everything");
        write!(out, ",\"duration_ms\":{}}}", self.duration.as_millis())
            .expect("a Vec takes everything");
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn line(format: LogFormat, record: StreamRecord<'_>) -> String {
        let time = &LogTime::for_tests();
        let mut out = Vec::new();
        record.write(&format, time, &mut out);
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn writes_each_form() {
        let listener = ListenAddress::Ip(([127, 0, 0, 1], 6432).into());
        let record = StreamRecord {
            client: std::net::IpAddr::from([192, 0, 2, 7]).into(),
            listener: &listener,
            upstream: "postgres",
            server: Some("127.0.0.1:5432"),
            asked: Some("127.0.0.1:5432"),
            tries: 1,
            status: Status::OK,
            end: "complete",
            received: 1234,
            sent: 5678,
            connect: Some(Duration::from_millis(2)),
            duration: Duration::from_millis(125),
        };
        let common = r#"192.0.2.7 - - [22/Nov/2026:23:54:16 +0000] "STREAM 127.0.0.1:6432 127.0.0.1:5432" 200 5678"#;
        let further = "received=1234 time=0.125 end=complete";
        assert_eq!(
            line(LogFormat::Common, record),
            format!("{common} {further}\n")
        );
        assert_eq!(
            line(LogFormat::Combined, record),
            format!("{common} \"-\" \"-\" {further}\n")
        );
        assert_eq!(
            line(LogFormat::Json, record),
            concat!(
                r#"{"time":"2026-11-22T23:54:16.007Z","client":"192.0.2.7","stream":"127.0.0.1:6432","#,
                r#""upstream":"postgres","server":"127.0.0.1:5432","status":200,"end":"complete","#,
                r#""bytes":5678,"bytes_received":1234,"connect_ms":2,"duration_ms":125}"#,
                "\n"
            )
        );
        let path = PathBuf::from("/run/a \"b\".sock");
        let refused = StreamRecord {
            client: ClientAddress::Unix,
            listener: &ListenAddress::Unix(path.into()),
            server: None,
            connect: None,
            ..record
        };
        let json: serde_json::Value =
            serde_json::from_str(&line(LogFormat::Json, refused)).expect("valid JSON");
        assert_eq!(json["stream"], "unix:/run/a \"b\".sock");
        assert!(json["server"].is_null() && json["connect_ms"].is_null());
        assert!(line(LogFormat::Common, refused).starts_with("0.0.0.0 - - ["));
    }
}
