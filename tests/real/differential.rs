//! The same odd requests to this server and to Debian's nginx: where the two differ, the table says why.
//!
//! ```text
//! request ─┬→ tidegate ─→ "400 close"        ┐ equal, or explained in the row
//!          └→ nginx    ─→ "200, 200 close"   ┘
//! ```
//!
//! Each request is followed by a GET that ends the connection. An outcome lists the status of each
//! response, how its content is framed if that is not by its length, and whether the connection ends
//! after it. So it shows whether the connection persisted, and where the next request was found.
//!
//! The table has what nginx 1.22 does, which Debian 12 has. Another version may differ from it only by
//! doing what this server does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Directory, SAFETY, Site, until};

const NGINX: &str = "/usr/sbin/nginx";

/// Behind every request; it ends the connection.
const AFTER: &str = "GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// The outcome of a request that is answered, on a connection that persists.
const GOOD: &str = "200, 200 close";

/// The outcome of a request behind which no other is looked for.
const REFUSED: &str = "400 close";

/// A request and its outcomes.
struct Row {
    name: &'static str,
    request: Vec<u8>,
    /// The outcome here, and with nginx.
    ours: &'static str,
    nginx: &'static str,
    /// Why the outcomes differ; empty where they are the same.
    why: &'static str,
}

/// A request with the same outcome at both servers.
fn same(name: &'static str, request: impl Into<Vec<u8>>, outcome: &'static str) -> Row {
    differs(name, request, outcome, outcome, "")
}

fn differs(
    name: &'static str,
    request: impl Into<Vec<u8>>,
    ours: &'static str,
    nginx: &'static str,
    why: &'static str,
) -> Row {
    let request = request.into();
    Row {
        name,
        request,
        ours,
        nginx,
        why,
    }
}

/// A request of that line with a `Host`, and then `fields`, each with its CRLF.
fn head(line: &str, fields: &str) -> Vec<u8> {
    format!("{line}\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

/// A GET with `fields`, of which the first is `Host`.
fn get(fields: &str) -> Vec<u8> {
    format!("GET /a.txt HTTP/1.1\r\n{fields}\r\n").into_bytes()
}

/// A PUT with content.
fn put(fields: &str, content: &str) -> Vec<u8> {
    let mut request = head("PUT /put HTTP/1.1", &format!("{fields}\r\n"));
    request.extend(content.bytes());
    request
}

fn chunked(content: &str) -> Vec<u8> {
    put("Transfer-Encoding: chunked", content)
}

fn request_lines() -> Vec<Row> {
    let line = |line| head(line, "");
    vec![
        same("HTTP/1.1", line("GET /a.txt HTTP/1.1"), GOOD),
        same("HTTP/1.0", "GET /a.txt HTTP/1.0\r\n\r\n", "200 close"),
        same(
            "HTTP/1.0 that persists",
            "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            GOOD,
        ),
        differs(
            "HTTP/0.9",
            "GET /a.txt\r\n",
            REFUSED,
            "HTTP/0.9",
            "no client of today speaks it, and its answer has no framing",
        ),
        same("HTTP/1.2", line("GET /a.txt HTTP/1.2"), GOOD),
        same("HTTP/2.0", line("GET /a.txt HTTP/2.0"), "505 close"),
        differs(
            "HTTP/1.10",
            line("GET /a.txt HTTP/1.10"),
            REFUSED,
            GOOD,
            "a minor version is one digit (RFC 9112 §2.3)",
        ),
        same("HTTP/01.1", line("GET /a.txt HTTP/01.1"), REFUSED),
        same("http/1.1", line("GET /a.txt http/1.1"), REFUSED),
        same("HTTP/1", line("GET /a.txt HTTP/1"), REFUSED),
        differs(
            "preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "505 close",
            REFUSED,
            "the version is read before the method",
        ),
        same(
            "TLS",
            &b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03\r\n\r\n"[..],
            REFUSED,
        ),
        same(
            "empty lines before it",
            [b"\r\n\r\n", &line("GET /a.txt HTTP/1.1")[..]].concat(),
            GOOD,
        ),
        same("bare LF", "GET /a.txt HTTP/1.1\nHost: h\n\n", GOOD),
        differs(
            "two spaces",
            line("GET  /a.txt HTTP/1.1"),
            REFUSED,
            GOOD,
            ONE_SPACE,
        ),
        differs(
            "a space more before the version",
            line("GET /a.txt  HTTP/1.1"),
            REFUSED,
            GOOD,
            ONE_SPACE,
        ),
        differs(
            "a space behind the version",
            line("GET /a.txt HTTP/1.1 "),
            REFUSED,
            GOOD,
            ONE_SPACE,
        ),
        same("tabs", line("GET\t/a.txt\tHTTP/1.1"), REFUSED),
        same(
            "a space before the method",
            line(" GET /a.txt HTTP/1.1"),
            REFUSED,
        ),
        differs(
            "lower-case method",
            line("get /a.txt HTTP/1.1"),
            "501 close",
            REFUSED,
            "the case of methods counts (RFC 9110 §9.1): it is a method that is not known",
        ),
        differs(
            "unknown method",
            line("BREW /a.txt HTTP/1.1"),
            "501 close",
            "405, 200 close",
            "501 is for methods that are not known at all (RFC 9110 §9.1)",
        ),
        same("HEAD", line("HEAD /a.txt HTTP/1.1"), GOOD),
    ]
}

const ONE_SPACE: &str = "one space stands between the parts of a request line (RFC 9112 §3)";

fn targets() -> Vec<Row> {
    let line = |line| head(line, "");
    vec![
        differs(
            "OPTIONS *",
            line("OPTIONS * HTTP/1.1"),
            GOOD,
            REFUSED,
            "nginx does not know asterisk-form (RFC 9112 §3.2.4)",
        ),
        differs(
            "CONNECT",
            line("CONNECT h:443 HTTP/1.1"),
            "405, 200 close",
            REFUSED,
            "the method is known and not allowed",
        ),
        differs(
            "TRACE",
            line("TRACE /a.txt HTTP/1.1"),
            "405, 200 close",
            "405 close",
            "nothing is wrong with the connection",
        ),
        same("absolute-form", line("GET http://h/a.txt HTTP/1.1"), GOOD),
        differs(
            "absolute-form of https",
            line("GET https://h/a.txt HTTP/1.1"),
            "421 close",
            GOOD,
            "the connection is not secured (RFC 9110 §7.4)",
        ),
        differs(
            "absolute-form of ftp",
            line("GET ftp://h/a.txt HTTP/1.1"),
            REFUSED,
            GOOD,
            "no server of HTTP has that resource",
        ),
        same(
            "a target without a slash",
            line("GET a.txt HTTP/1.1"),
            REFUSED,
        ),
        differs(
            "a fragment",
            line("GET /a.txt#b HTTP/1.1"),
            REFUSED,
            GOOD,
            "a fragment is never sent (RFC 9110 §4.2.5)",
        ),
        differs(
            "an encoded NUL",
            line("GET /a.txt%00 HTTP/1.1"),
            "400, 200 close",
            REFUSED,
            FRAMED,
        ),
        differs(
            "a percent sign alone",
            line("GET /%zz HTTP/1.1"),
            "400, 200 close",
            REFUSED,
            FRAMED,
        ),
        differs(
            "above the root",
            line("GET /../a.txt HTTP/1.1"),
            "400, 200 close",
            REFUSED,
            FRAMED,
        ),
        same(
            "an encoded slash",
            line("GET /x%2Fa.txt HTTP/1.1"),
            "404, 200 close",
        ),
        same(
            "octets beyond ASCII",
            line("GET /\u{e9} HTTP/1.1"),
            "404, 200 close",
        ),
        same(
            "a control character",
            line("GET /a\u{1}.txt HTTP/1.1"),
            REFUSED,
        ),
        same(
            "a target that is too long",
            line(&format!("GET /{} HTTP/1.1", "x".repeat(70_000))),
            "414 close",
        ),
    ]
}

const FRAMED: &str = "the next request is where it seems to be, so the connection persists";

fn fields() -> Vec<Row> {
    let with = |fields: &str| get(&format!("Host: h\r\n{fields}"));
    vec![
        same("no Host", get(""), REFUSED),
        same("two Hosts", get("Host: h\r\nHost: h\r\n"), REFUSED),
        differs(
            "an empty Host",
            get("Host:\r\n"),
            GOOD,
            REFUSED,
            "it is empty where a target has no authority (RFC 9110 §7.2)",
        ),
        differs(
            "a Host with a user",
            get("Host: u@h\r\n"),
            REFUSED,
            GOOD,
            INVALID_HOST,
        ),
        same("a Host with a path", get("Host: h/x\r\n"), REFUSED),
        differs(
            "a Host with a percent sign",
            get("Host: a%zz\r\n"),
            REFUSED,
            GOOD,
            INVALID_HOST,
        ),
        differs(
            "a Host with a port that is none",
            get("Host: h:8x\r\n"),
            REFUSED,
            GOOD,
            INVALID_HOST,
        ),
        same("a folded line", with("X: a\r\n b\r\n"), REFUSED),
        same("a space before the colon", with("X : a\r\n"), REFUSED),
        differs(
            "a line without a colon",
            with("nonsense\r\n"),
            REFUSED,
            GOOD,
            NO_FIELD,
        ),
        same("a line without a name", with(": a\r\n"), REFUSED),
        same("a bare CR in a value", with("X: a\rb\r\n"), REFUSED),
        same("a NUL in a value", with("X: a\0b\r\n"), REFUSED),
        differs(
            "a control character in a value",
            with("X: a\u{1}b\r\n"),
            REFUSED,
            GOOD,
            NO_FIELD,
        ),
        same("an underscore in a name", with("X_Y: a\r\n"), GOOD),
        differs(
            "brackets in a name",
            with("X(Y): a\r\n"),
            REFUSED,
            GOOD,
            NO_FIELD,
        ),
        differs(
            "an unknown expectation",
            with("Expect: tea\r\n"),
            "417 close",
            GOOD,
            "nginx ignores expectations other than 100-continue (RFC 9110 §10.1.1)",
        ),
        differs(
            "a field that is too long",
            with(&format!("X: {}\r\n", "x".repeat(70_000))),
            "431 close",
            REFUSED,
            "431 says what is wrong (RFC 6585 §5)",
        ),
        differs(
            "three hundred fields",
            with(&"X: y\r\n".repeat(300)),
            "431 close",
            GOOD,
            "their number has a limit, `max_fields`",
        ),
        same(
            "a suffix range",
            with("Range: bytes=-2\r\n"),
            "206, 200 close",
        ),
        same(
            "a range behind the end",
            with("Range: bytes=99-\r\n"),
            "416, 200 close",
        ),
        differs(
            "a range that ends before it begins",
            with("Range: bytes=3-1\r\n"),
            GOOD,
            "416, 200 close",
            "it is no valid range, and ignored (RFC 9110 §14.1.1)",
        ),
        same(
            "a range in another unit",
            with("Range: lines=1-2\r\n"),
            GOOD,
        ),
        same(
            "three in one write",
            with("").repeat(3),
            "200, 200, 200, 200 close",
        ),
        same(
            "a request behind `close`",
            with("Connection: close\r\n"),
            "200 close",
        ),
        same(
            "a head that is cut off",
            "GET /a.txt HTTP/1.1\r\nHost: h\r\n",
            "nothing",
        ),
    ]
}

const INVALID_HOST: &str = "a Host that is not valid is refused (RFC 9112 §3.2)";
const NO_FIELD: &str =
    "it is no field line; a recipient that drops it sees another message (RFC 9112 §5)";

fn content() -> Vec<Row> {
    let body = "2\r\nhi\r\n0\r\n\r\n";
    vec![
        same("a length", put("Content-Length: 2", "hi"), GOOD),
        differs(
            "a length twice",
            put("Content-Length: 2\r\nContent-Length: 2", "hi"),
            GOOD,
            REFUSED,
            EQUAL_LENGTHS,
        ),
        differs(
            "a list of equal lengths",
            put("Content-Length: 2, 2", "hi"),
            GOOD,
            REFUSED,
            EQUAL_LENGTHS,
        ),
        same(
            "two lengths",
            put("Content-Length: 2\r\nContent-Length: 3", "hi"),
            REFUSED,
        ),
        same(
            "a length with a sign",
            put("Content-Length: +2", "hi"),
            REFUSED,
        ),
        same(
            "a hexadecimal length",
            put("Content-Length: 0x2", "hi"),
            REFUSED,
        ),
        same("an empty length", put("Content-Length:", ""), REFUSED),
        same(
            "a length beyond all numbers",
            put("Content-Length: 99999999999999999999", "hi"),
            REFUSED,
        ),
        same(
            "a length beyond the limit",
            put("Content-Length: 2000000", "hi"),
            "413 close",
        ),
        same(
            "GET with content",
            head("GET /a.txt HTTP/1.1", "Content-Length: 5\r\n")
                .into_iter()
                .chain(*b"hello")
                .collect::<Vec<_>>(),
            GOOD,
        ),
        same(
            "content that is cut off",
            put("Content-Length: 99", "hi"),
            "nothing",
        ),
        same("chunks", chunked(body), GOOD),
        same(
            "chunks and a length",
            put("Transfer-Encoding: chunked\r\nContent-Length: 2", body),
            REFUSED,
        ),
        same(
            "chunks in HTTP/1.0",
            format!("PUT /put HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
            REFUSED,
        ),
        differs(
            "chunked twice",
            put("Transfer-Encoding: chunked, chunked", body),
            REFUSED,
            "501 close",
            LAST_CODING,
        ),
        differs(
            "gzip alone",
            put("Transfer-Encoding: gzip", body),
            REFUSED,
            "501 close",
            LAST_CODING,
        ),
        same(
            "gzip, then chunked",
            put("Transfer-Encoding: gzip, chunked", body),
            "501 close",
        ),
        differs(
            "identity",
            put("Transfer-Encoding: identity", body),
            REFUSED,
            "501 close",
            LAST_CODING,
        ),
        differs(
            "a control character before chunked",
            put("Transfer-Encoding: \u{b}chunked", body),
            REFUSED,
            "501 close",
            NO_FIELD,
        ),
        same(
            "a chunk extension",
            chunked("2;a=b\r\nhi\r\n0\r\n\r\n"),
            GOOD,
        ),
        differs(
            "a quote that does not end in an extension",
            chunked("2;a=\"b\r\nhi\r\n0\r\n\r\n"),
            REFUSED,
            GOOD,
            LENIENT,
        ),
        differs(
            "a space behind a chunk size",
            chunked("2 \r\nhi\r\n0\r\n\r\n"),
            REFUSED,
            GOOD,
            LENIENT,
        ),
        same(
            "a chunk size with 0x",
            chunked("0x2\r\nhi\r\n0\r\n\r\n"),
            REFUSED,
        ),
        same(
            "a negative chunk size",
            chunked("-2\r\nhi\r\n0\r\n\r\n"),
            REFUSED,
        ),
        same(
            "a chunk size beyond all numbers",
            chunked("fffffffffffffffff\r\nhi\r\n0\r\n\r\n"),
            REFUSED,
        ),
        differs(
            "bare LF between chunks",
            chunked("2\nhi\n0\n\n"),
            REFUSED,
            GOOD,
            LENIENT,
        ),
        same(
            "a chunk longer than its size",
            chunked("2\r\nhi!\r\n0\r\n\r\n"),
            REFUSED,
        ),
        same("a trailer", chunked("2\r\nhi\r\n0\r\nX: y\r\n\r\n"), GOOD),
        differs(
            "a trailer line without a colon",
            chunked("2\r\nhi\r\n0\r\nnonsense\r\n\r\n"),
            REFUSED,
            GOOD,
            LENIENT,
        ),
    ]
}

const EQUAL_LENGTHS: &str = "equal lengths may be taken for one (RFC 9112 §6.3 item 5)";
const LAST_CODING: &str = "the last coding must be `chunked`, once (RFC 9112 §6.3 item 4)";
const LENIENT: &str = "it is not the form of RFC 9112 §7.1; what recipients read differently lets requests be smuggled";

#[test]
fn every_difference_to_nginx_is_explained() {
    let site = Site::new("'/' = { files = 'www' }\n'/put' = { echo = true }")
        .limits("max_content = '1 MiB'\nmax_fields = 100")
        .file("a.txt", "content of a");
    let nginx = Nginx::start(site.directory());
    let server = site.start();
    let rows = [request_lines(), targets(), fields(), content()];
    let mut mismatches = Vec::new();
    for row in rows.iter().flatten() {
        let Row {
            name,
            request,
            ours,
            nginx: theirs,
            why,
        } = row;
        assert_eq!(
            ours == theirs,
            why.is_empty(),
            "{name}: a difference has a reason"
        );
        let stream = TcpStream::connect(server.address()).expect("the server listens");
        let found = outcome(&exchange(stream, request));
        if found != *ours {
            mismatches.push(format!("{name}: {ours:?} expected here, found {found:?}"));
        }
        let Some(nginx) = &nginx else { continue };
        let found = outcome(&exchange(nginx.connect(), request));
        if found != *theirs && found != *ours {
            mismatches.push(format!(
                "{name}: {theirs:?} expected of nginx, found {found:?}"
            ));
        }
    }
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

/// An nginx with the same site. It ends when it is dropped.
struct Nginx {
    child: Child,
    socket: PathBuf,
}

impl Nginx {
    /// Starts one, with its files in `directory`. `None` where nginx is not installed.
    fn start(directory: &Directory) -> Option<Self> {
        if !Path::new(NGINX).exists() {
            eprintln!("nginx is not installed: only this server's outcomes are looked at");
            return None;
        }
        let at = directory.path().display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/nginx;\n"))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid {at}/nginx.pid; error_log /dev/null crit;\n\
             events {{}}\nhttp {{ access_log off; client_max_body_size 1m;\n{temporary}\
             server {{ listen unix:{at}/nginx.sock; root {at}/www;\n\
             location /put {{ dav_methods PUT; }} }} }}\n"
        );
        directory.write("nginx.conf", configuration);
        let mut command = Command::new(NGINX);
        command.args(["-p", &at, "-c", &format!("{at}/nginx.conf")]);
        let silent = command.stdin(Stdio::null()).stderr(Stdio::null());
        let nginx = Self {
            child: silent.spawn().expect("nginx can be started"),
            socket: directory.join("nginx.sock"),
        };
        until("nginx listens", || UnixStream::connect(&nginx.socket).ok());
        Some(nginx)
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).expect("nginx listens")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A connection whose sending side can be ended.
trait Connection: Read + Write {
    fn prepare(&self) -> std::io::Result<()>;
    fn finish_sending(&self) -> std::io::Result<()>;
}

impl Connection for TcpStream {
    fn prepare(&self) -> std::io::Result<()> {
        self.set_read_timeout(Some(SAFETY))
    }

    fn finish_sending(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Connection for UnixStream {
    fn prepare(&self) -> std::io::Result<()> {
        self.set_read_timeout(Some(SAFETY))
    }

    fn finish_sending(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Sends `request` and the one behind it; returns everything that comes back. A request that is cut off
/// has none behind it.
fn exchange(mut stream: impl Connection, request: &[u8]) -> Vec<u8> {
    stream.prepare().expect("a time limit");
    let is_cut = request.ends_with(b"Host: h\r\n") || request.ends_with(b": 99\r\n\r\nhi");
    let after = if is_cut { "" } else { AFTER };
    // A server may refuse, and close, before it has read everything.
    let _ = stream.write_all(&[request, after.as_bytes()].concat());
    let _ = stream.finish_sending();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    received
}

/// The responses in `received`, as the table writes them.
fn outcome(mut received: &[u8]) -> String {
    let mut responses = Vec::new();
    while !received.is_empty() {
        if !received.starts_with(b"HTTP/1.1 ") {
            responses.push("HTTP/0.9".to_owned());
            break;
        }
        let end = position(received, b"\r\n\r\n") + 4;
        let (head, rest) = received.split_at(end);
        let head = String::from_utf8_lossy(head).into_owned();
        let (framing, length) = framing(&head, rest);
        // A PUT that makes or replaces a file.
        let status = match &head[9..12] {
            "201" | "204" => "200",
            status => status,
        };
        let close = if field(&head, "connection") == Some("close") {
            " close"
        } else {
            ""
        };
        responses.push(format!("{status}{framing}{close}"));
        received = rest.get(length..).unwrap_or_default();
    }
    if responses.is_empty() {
        return "nothing".to_owned();
    }
    responses.join(", ")
}

/// How the content behind `head` is framed, and how many octets of `rest` it takes up.
fn framing(head: &str, rest: &[u8]) -> (&'static str, usize) {
    // A response to HEAD has a length and no content: the next response follows at once.
    if matches!(&head[9..12], "204" | "304") || rest.starts_with(b"HTTP/1.1 ") {
        return ("", 0);
    }
    match (
        field(head, "content-length"),
        field(head, "transfer-encoding"),
    ) {
        (Some(length), None) => ("", length.parse().expect("a number")),
        (None, Some(_)) => (" chunked", position(rest, b"0\r\n\r\n") + 5),
        (None, None) => (" until close", rest.len()),
        (Some(_), Some(_)) => (" ambiguous", rest.len()),
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

fn position(octets: &[u8], wanted: &[u8]) -> usize {
    let found = octets
        .windows(wanted.len())
        .position(|window| window == wanted);
    found.unwrap_or_else(|| panic!("cut off: {}", octets.escape_ascii()))
}
