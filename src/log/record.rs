//! An access record, and the three formats of it that have names.
//!
//! ```text
//! common    127.0.0.1 - - [22/Nov/2026:23:54:16 +0000] "GET / HTTP/1.1" 200 612
//! combined  …the same… "referer" "user agent"
//! json      {"time":"2026-11-22T23:54:16.123Z","client":"127.0.0.1",…}
//! ```
//!
//! What a client sent is escaped: no octet of it can end a line or a quoted string, or move a
//! terminal's cursor.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use super::diagnostic;
use crate::address::ClientAddress;
use crate::http::address_text::AddressText;
use crate::http::date::timestamp;
use crate::http::response::push_decimal;
use crate::http::status::Status;
use crate::http::trace_context::TraceId;
use crate::reason::Reason;

/// A member of a JSON object that is not its first.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// The comma, the name, the colon.
    pub(super) beginning: &'static [u8],
    /// The same with `null`.
    pub(super) null: &'static [u8],
}

/// The [`Member`] of that name.
macro_rules! member {
    ($name:literal) => {
        $crate::log::record::Member {
            beginning: concat!(",\"", $name, "\":").as_bytes(),
            null: concat!(",\"", $name, "\":null").as_bytes(),
        }
    };
}
pub(super) use member;

/// What the log tells of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessRecord<'a> {
    pub(crate) client: ClientAddress,
    /// The user who was verified, if one was.
    pub(crate) user: Option<&'a str>,
    /// The request line as it was received, even if it is incomplete.
    pub(crate) request_line: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) status: Status,
    /// Octets of content sent, without the framing of chunks.
    pub(crate) content_length: u64,
    pub(crate) referer: Option<&'a [u8]>,
    pub(crate) user_agent: Option<&'a [u8]>,
    /// The key of the route that answered, if one did.
    pub(crate) route: Option<&'a str>,
    /// The id of the exchange, if it has one.
    pub(crate) request_id: Option<&'a str>,
    /// The trace that the exchange belongs to, if it has one.
    pub(crate) trace_id: Option<TraceId>,
    /// From the request's head to the end of its response, as precise as the loop's clock.
    pub(crate) duration: Duration,
    /// Why the response is the server's own, or was not sent to its end. `common` and `combined` have no
    /// place for it.
    pub(crate) reason: Option<Reason>,
    /// What became of it at an upstream, if one was asked. `common` and `combined` have no place for it.
    pub(crate) upstream: Option<UpstreamRecord<'a>>,
}

/// What the log tells of the servers of an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamRecord<'a> {
    /// The one that was asked last, if any was.
    pub(crate) server: Option<&'a str>,
    pub(crate) tries: u32,
    /// How long the last one took to take a connection; `None` if one was kept.
    pub(crate) connect: Option<Duration>,
    /// From the first try to the head of the final response.
    pub(crate) head: Option<Duration>,
    /// Why the response is not the upstream's.
    pub(crate) error: Option<&'a str>,
}

/// The time of a record, in both notations. It is made once a second, because it is the most expensive part of a
/// line; only the milliseconds are put in more often.
#[derive(Clone, Debug)]
pub(crate) struct LogTime {
    /// `22/Nov/2026:23:54:16 +0000`, in the time zone of `TZ` or of the machine. Custom has fixed this form, without
    /// fractions of a second.
    common: String,
    /// `2026-11-22T23:54:16.123Z`
    iso: [u8; 24],
    /// The beginning of the second, and the milliseconds behind it.
    second: SystemTime,
    milliseconds: u32,
}

impl LogTime {
    /// Writes `time` in both notations.
    pub(crate) fn new(time: SystemTime) -> Self {
        let local = timestamp(time).to_zoned(jiff::tz::TimeZone::system());
        let iso = timestamp(time).strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        // Years before 0 have more digits.
        let first = *b"0000-01-01T00:00:00.000Z";
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or_default();
        Self {
            common: local.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            iso: iso.to_string().as_bytes().try_into().unwrap_or(first),
            second: SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()),
            milliseconds: since.subsec_millis(),
        }
    }

    /// Makes it another time of the same second: so many milliseconds behind its beginning, below 1,000.
    pub(crate) fn set_milliseconds(&mut self, milliseconds: u32) {
        self.milliseconds = milliseconds;
        for (place, unit) in [(20, 100), (21, 10), (22, 1)] {
            self.iso[place] = b'0' + (milliseconds / unit % 10) as u8;
        }
    }

    /// The moment that is written, to the millisecond.
    pub(super) fn moment(&self) -> SystemTime {
        self.second + Duration::from_millis(self.milliseconds.into())
    }

    /// As common and combined write it.
    pub(super) fn common(&self) -> &str {
        &self.common
    }

    /// As JSON writes it: in UTC, with milliseconds.
    pub(super) fn iso(&self) -> &[u8; 24] {
        &self.iso
    }

    /// The fraction of the second: a point and three digits.
    pub(super) fn fraction(&self) -> &[u8] {
        &self.iso[19..23]
    }
}

/// Warns if the machine does not know the time zone that `TZ` names: times are written in UTC then.
pub(super) fn check_time_zone() {
    let Some(name) = std::env::var_os("TZ") else {
        return;
    };
    if jiff::tz::TimeZone::try_system().is_err() {
        diagnostic::warn(format_args!(
            "TZ is {name:?}, a time zone that this machine does not know: times in the access log are UTC; correct it, or install tzdata"
        ));
    }
}

impl<'a> AccessRecord<'a> {
    /// The record of a request that could not be read: at most its first line is known. The response
    /// was `status`.
    pub(crate) fn unreadable(
        client: ClientAddress,
        request_line: &'a [u8],
        status: Status,
    ) -> Self {
        Self {
            client,
            user: None,
            request_line,
            host: b"",
            status,
            content_length: 0,
            referer: None,
            user_agent: None,
            route: None,
            request_id: None,
            trace_id: None,
            duration: Duration::ZERO,
            reason: None,
            upstream: None,
        }
    }

    pub(super) fn write_combined(&self, time: &LogTime, out: &mut Vec<u8>) {
        self.write_common(time, out);
        out.extend_from_slice(b" \"");
        escape(self.referer.unwrap_or(b"-"), out);
        out.extend_from_slice(b"\" \"");
        escape(self.user_agent.unwrap_or(b"-"), out);
        out.push(b'"');
    }

    /// The part of the request line at that place: method, target, version.
    fn part(&self, nth: usize) -> &'a [u8] {
        let mut parts = self.request_line.splitn(3, |octet| *octet == b' ');
        parts.nth(nth).unwrap_or_default()
    }

    pub(crate) fn method(&self) -> &'a [u8] {
        self.part(0)
    }

    pub(super) fn target(&self) -> &'a [u8] {
        self.part(1)
    }

    pub(crate) fn version(&self) -> &'a [u8] {
        self.part(2)
    }

    /// The path in the target, as the client sent it. In absolute-form the scheme and the authority are no part
    /// of it, and no path at all is `/` (RFC 9112 §3.2.2, RFC 9110 §4.2.3).
    pub(crate) fn path(&self) -> &'a [u8] {
        let target = self.target();
        let end = memchr::memchr(b'?', target);
        let path = &target[..end.unwrap_or(target.len())];
        if path.starts_with(b"/") {
            return path;
        }
        match memchr::memmem::find(path, b"://") {
            None => path,
            Some(colon) => {
                let authority = &path[colon + 3..];
                memchr::memchr(b'/', authority).map_or(b"/", |start| &authority[start..])
            }
        }
    }

    /// The query in the target, without its question mark.
    pub(crate) fn query(&self) -> &'a [u8] {
        let target = self.target();
        memchr::memchr(b'?', target).map_or(b"", |start| &target[start + 1..])
    }

    pub(super) fn write_common(&self, time: &LogTime, out: &mut Vec<u8>) {
        push_address_of_line(self.client, out);
        match self.user {
            None => out.extend_from_slice(b" - - ["),
            Some(user) => {
                out.extend_from_slice(b" - ");
                push_user(user, out);
                out.extend_from_slice(b" [");
            }
        }
        out.extend_from_slice(time.common.as_bytes());
        out.extend_from_slice(b"] \"");
        escape(self.request_line, out);
        out.extend_from_slice(b"\" ");
        push_decimal(u64::from(self.status.code()), out);
        out.push(b' ');
        match self.content_length {
            0 => out.push(b'-'),
            length => push_decimal(length, out),
        }
    }

    pub(super) fn write_json(&self, time: &LogTime, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(time.iso());
        out.extend_from_slice(b"\",\"client\":\"");
        push_client(self.client, out);
        out.push(b'"');
        if let Some(user) = self.user {
            push_json_text(member!("user"), Some(user.as_bytes()), out);
        }
        self.write_request(out);
        push_json_text(member!("referer"), self.referer, out);
        push_json_text(member!("user_agent"), self.user_agent, out);
        push_json_number(member!("status"), self.status.code().into(), out);
        push_json_number(member!("bytes"), self.content_length, out);
        self.write_duration(out);
        let reason = self.reason.map(|reason| reason.id().as_bytes());
        push_json_text(member!("reason"), reason, out);
        push_json_text(member!("route"), self.route.map(str::as_bytes), out);
        push_json_text(
            member!("request_id"),
            self.request_id.map(str::as_bytes),
            out,
        );
        if let Some(trace) = self.trace_id {
            write!(out, ",\"trace_id\":\"{trace}\"").expect("a Vec takes everything");
        }
        if let Some(upstream) = &self.upstream {
            upstream.write_json(out);
        }
        out.push(b'}');
    }

    /// Appends the members of the duration. Most exchanges end in the turn in which they began.
    fn write_duration(&self, out: &mut Vec<u8>) {
        if self.duration.is_zero() {
            return out.extend_from_slice(b",\"duration_ms\":0,\"duration_us\":0");
        }
        let seconds = self.duration.as_secs().saturating_mul(1_000_000);
        let microseconds = seconds.saturating_add(self.duration.subsec_micros().into());
        push_json_number(member!("duration_ms"), microseconds / 1000, out);
        push_json_number(member!("duration_us"), microseconds, out);
    }

    /// Appends the members of the request line, and the host.
    fn write_request(&self, out: &mut Vec<u8>) {
        let mut parts = self.request_line.splitn(3, |octet| *octet == b' ');
        let [method, target, version] = [(); 3].map(|()| parts.next().unwrap_or_default());
        // Nearly always each octet stands for itself: looked at once, not part by part.
        if is_all_plain(self.request_line) && is_all_plain(self.host) {
            out.extend_from_slice(b",\"method\":\"");
            out.extend_from_slice(method);
            out.extend_from_slice(b"\",\"target\":\"");
            out.extend_from_slice(target);
            out.extend_from_slice(b"\",\"version\":\"");
            out.extend_from_slice(version);
            out.extend_from_slice(b"\",\"host\":\"");
            out.extend_from_slice(self.host);
            out.push(b'"');
        } else {
            push_json_text(member!("method"), Some(method), out);
            push_json_text(member!("target"), Some(target), out);
            push_json_text(member!("version"), Some(version), out);
            push_json_text(member!("host"), Some(self.host), out);
        }
    }
}

impl UpstreamRecord<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        push_json_text(member!("upstream"), self.server.map(str::as_bytes), out);
        let times = [
            ("upstream_connect_us", self.connect),
            ("upstream_head_us", self.head),
        ];
        write!(out, ",\"upstream_tries\":{}", self.tries).expect("a Vec takes everything");
        for (name, time) in times {
            match time {
                Some(time) => write!(out, ",\"{name}\":{}", time.as_micros()),
                None => write!(out, ",\"{name}\":null"),
            }
            .expect("a Vec takes everything");
        }
        push_json_text(
            member!("upstream_error"),
            self.error.map(str::as_bytes),
            out,
        );
    }
}

/// Appends a member with a number.
// The length of its beginning is known where this is inlined, so that it is stored and not copied by a call.
#[inline(always)]
fn push_json_number(member: Member, number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(member.beginning);
    push_decimal(number, out);
}

/// Appends a member with a text; `None` is `null`.
#[inline(always)]
pub(super) fn push_json_text(member: Member, value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        None => out.extend_from_slice(member.null),
        Some(value) => {
            out.extend_from_slice(member.beginning);
            push_json_value(value, out);
        }
    }
}

/// Appends a text, with its quotes.
fn push_json_value(value: &[u8], out: &mut Vec<u8>) {
    if is_all_plain(value) {
        out.push(b'"');
        out.extend_from_slice(value);
        out.push(b'"');
    } else {
        push_unusual_text(value, out);
    }
}

/// Appends a text of which a part has to be escaped, or is not ASCII.
#[cold]
fn push_unusual_text(value: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(value);
    let start = out.len();
    serde_json::to_writer(&mut *out, &text).expect("a Vec takes everything");
    if text.contains(char::is_control) {
        escape_controls(start, out);
    }
}

/// Escapes DEL and the control characters of C1, from `start` on: JSON allows them in a string, but
/// terminals obey them.
fn escape_controls(start: usize, out: &mut Vec<u8>) {
    let json = out.split_off(start);
    for character in String::from_utf8_lossy(&json).chars() {
        if character.is_control() {
            write!(out, "\\u{:04x}", u32::from(character))
        } else {
            write!(out, "{character}")
        }
        .expect("a Vec takes everything");
    }
}

/// Appends the address that a line begins with. Programs that read such logs refuse a line that begins
/// with anything else.
pub(super) fn push_address_of_line(client: ClientAddress, out: &mut Vec<u8>) {
    match client {
        ClientAddress::Unix | ClientAddress::Unknown => out.extend_from_slice(b"0.0.0.0"),
        client => push_client(client, out),
    }
}

/// Appends the name of a user as a line has it: without spaces, which separate the parts of a line.
fn push_user(user: &str, out: &mut Vec<u8>) {
    if user.is_empty() {
        out.extend_from_slice(b"\"\"");
    }
    for (nth, word) in user.split(' ').enumerate() {
        if nth > 0 {
            out.extend_from_slice(b"\\x20");
        }
        escape(word.as_bytes(), out);
    }
}

/// Appends the client's address.
pub(super) fn push_client(client: ClientAddress, out: &mut Vec<u8>) {
    match client {
        ClientAddress::Ip(address) => out.extend_from_slice(AddressText::new(address).as_bytes()),
        client => write!(out, "{client}").expect("a Vec takes everything"),
    }
}

/// Whether an octet stands for itself, in each format and on each terminal.
fn is_plain(octet: u8) -> bool {
    matches!(octet, 0x20..0x7f) && octet != b'"' && octet != b'\\'
}

/// Whether each octet [is plain](is_plain). Eight are looked at together, the last ones with some before them.
fn is_all_plain(value: &[u8]) -> bool {
    match value.last_chunk() {
        Some(last) => value.as_chunks().0.iter().all(|word| are_plain(*word)) && are_plain(*last),
        None => value.iter().all(|octet| is_plain(*octet)),
    }
}

/// The same, of eight octets. Each term has an octet for each of them, whose highest bit is set if that octet is
/// not ASCII, is below a space, or is `"`, a backslash or DEL. A borrow of the subtraction may also set it in the next
/// octet, but only if it is set rightly in the one before.
fn are_plain(octets: [u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(octets);
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let equals = |octet: u8| is_zero(word ^ (ONES * u64::from(octet)));
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    (word | below_space | equals(b'"') | equals(b'\\') | equals(0x7f)) & HIGH == 0
}

/// Appends `value`. Control characters, quotes, backslashes and octets that are not ASCII become
/// `\xHH`.
pub(super) fn escape(value: &[u8], out: &mut Vec<u8>) {
    if is_all_plain(value) {
        out.extend_from_slice(value);
    } else {
        escape_unusual(value, out);
    }
}

#[cold]
fn escape_unusual(value: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &octet in value {
        if is_plain(octet) {
            out.push(octet);
        } else {
            let [high, low] = [octet >> 4, octet & 15].map(|digit| HEX[usize::from(digit)]);
            out.extend_from_slice(&[b'\\', b'x', high, low]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::LogFormat;
    use std::net::IpAddr;

    impl LogTime {
        /// A time that does not depend on the time zone: seven milliseconds after a second has begun.
        pub(in crate::log) fn for_tests() -> Self {
            Self {
                common: "22/Nov/2026:23:54:16 +0000".into(),
                iso: *b"2026-11-22T23:54:16.007Z",
                second: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_391_656),
                milliseconds: 7,
            }
        }
    }

    #[test]
    fn texts_of_json_are_what_a_library_writes() {
        for text in ["", "a b", "a\"b", "\\", "a\u{1}b", "\n", "é", "a\u{7f}"] {
            let mut out = Vec::new();
            push_json_text(member!("k"), Some(text.as_bytes()), &mut out);
            let json = format!("{{{}}}", str::from_utf8(&out[1..]).expect("text"));
            let read: serde_json::Value = serde_json::from_str(&json).expect(&json);
            assert_eq!(read, serde_json::json!({ "k": text }));
            assert!(!json.contains(char::is_control), "{json:?}");
        }
    }

    #[test]
    fn octets_are_plain_one_by_one_and_in_words() {
        for octet in 0..=u8::MAX {
            for length in [1, 8, 11] {
                for place in 0..length {
                    for other in [b'a', b' ', b'~'] {
                        let mut text = vec![other; length];
                        text[place] = octet;
                        assert_eq!(is_all_plain(&text), is_plain(octet), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_clock_beyond_9999_is_written_as_the_last_time_before() {
        let time = LogTime::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert!(time.common.contains("/Dec/9999:"), "{}", time.common);
        assert_eq!(&time.iso[..19], b"9999-12-30T22:00:00");
    }

    fn line(format: LogFormat, change: impl FnOnce(&mut AccessRecord<'_>)) -> String {
        let mut record = AccessRecord {
            client: IpAddr::from([127, 0, 0, 1]).into(),
            user: None,
            request_line: b"GET /a HTTP/1.1",
            host: b"example.com",
            status: Status::OK,
            content_length: 612,
            referer: None,
            user_agent: Some(b"curl/8"),
            route: Some("/a"),
            request_id: None,
            trace_id: None,
            duration: Duration::from_millis(7),
            reason: None,
            upstream: None,
        };
        change(&mut record);
        let mut out = Vec::new();
        record.write(&format, &LogTime::for_tests(), &mut out);
        String::from_utf8(out).expect("escaped, it is text")
    }

    #[test]
    fn writes_each_form() {
        let common = r#"127.0.0.1 - - [22/Nov/2026:23:54:16 +0000] "GET /a HTTP/1.1" 200 612"#;
        assert_eq!(line(LogFormat::Common, |_| ()), format!("{common}\n"));
        assert_eq!(
            line(LogFormat::Combined, |_| ()),
            format!("{common} \"-\" \"curl/8\"\n")
        );
        assert_eq!(
            line(LogFormat::Json, |_| ()),
            concat!(
                r#"{"time":"2026-11-22T23:54:16.007Z","client":"127.0.0.1","method":"GET","target":"/a","#,
                r#""version":"HTTP/1.1","host":"example.com","referer":null,"user_agent":"curl/8","#,
                r#""status":200,"bytes":612,"duration_ms":7,"duration_us":7000,"reason":null,"route":"/a","request_id":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn json_tells_of_the_upstream() {
        let json = line(LogFormat::Json, |record| {
            record.reason = Some(Reason::UpstreamClosedEarly);
            record.upstream = Some(UpstreamRecord {
                server: Some("127.0.0.1:8000"),
                tries: 2,
                connect: Some(Duration::from_micros(80)),
                head: None,
                error: Some("connection_terminated"),
            });
        });
        let end = concat!(
            r#""duration_ms":7,"duration_us":7000,"reason":"upstream_closed_early","route":"/a","request_id":null,"upstream":"127.0.0.1:8000","upstream_tries":2,"#,
            r#""upstream_connect_us":80,"upstream_head_us":null,"#,
            r#""upstream_error":"connection_terminated"}"#,
            "\n"
        );
        assert!(json.ends_with(end), "{json}");
    }

    #[test]
    fn the_user_has_a_place_in_each_form() {
        for (user, expected) in [
            ("alice", "alice"),
            ("a b", r"a\x20b"),
            ("", "\"\""),
            ("a\"]\n\u{e9}", r"a\x22]\x0a\xc3\xa9"),
        ] {
            let common = line(LogFormat::Common, |record| record.user = Some(user));
            let start = format!("127.0.0.1 - {expected} [22/Nov");
            assert!(common.starts_with(&start), "{common}");
            let json = line(LogFormat::Json, |record| record.user = Some(user));
            let value: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
            assert_eq!(value["user"], user);
        }
    }

    #[test]
    fn no_content_is_a_dash() {
        assert!(line(LogFormat::Common, |record| record.content_length = 0).ends_with("200 -\n"));
    }

    #[test]
    fn client_bytes_cannot_forge_anything() {
        let hostile: &[u8] = b"x\" 200 1\n\x1b[2J\\\xff";
        let combined = line(LogFormat::Combined, |record| {
            record.user_agent = Some(hostile)
        });
        assert!(
            combined.ends_with("\"x\\x22 200 1\\x0a\\x1b[2J\\x5c\\xff\"\n"),
            "{combined}"
        );
        let json = line(LogFormat::Json, |record| record.user_agent = Some(hostile));
        let value: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
        assert_eq!(value["user_agent"], "x\" 200 1\n\u{1b}[2J\\\u{fffd}");
        assert_eq!(json.lines().count(), 1);
        let json = line(LogFormat::Json, |record| {
            record.user_agent = Some("\u{9b}2J\u{7f}\u{e9}".as_bytes())
        });
        assert!(json.contains("\"\\u009b2J\\u007f\u{e9}\""), "{json}");
    }

    #[test]
    fn a_broken_request_line_still_gives_a_record() {
        let json = line(LogFormat::Json, |record| record.request_line = b"\x16\x03");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).expect("valid JSON")["target"],
            ""
        );
    }

    #[test]
    fn writes_addresses() {
        for (client, expected) in [
            (IpAddr::from([255, 0, 10, 7]).into(), &b"255.0.10.7"[..]),
            (ClientAddress::Unix, b"unix:"),
            (ClientAddress::Unknown, b"-"),
        ] {
            let mut out = Vec::new();
            push_client(client, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn time_has_both_notations() {
        let mut time = LogTime::new(SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_042));
        assert_eq!(&time.iso, b"1970-01-02T00:00:00.042Z");
        assert_eq!(time.common.len(), "22/Nov/2026:23:54:16 +0000".len());
        for (milliseconds, expected) in [(0, b".000"), (7, b".007"), (45, b".045"), (999, b".999")]
        {
            time.set_milliseconds(milliseconds);
            assert_eq!(time.fraction(), expected);
        }
    }
}
