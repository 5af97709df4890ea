//! Go's net/http: a server behind `proxy`, plain and over TLS, a reverse proxy in front, and a client of
//! HTTPS.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::https;
use crate::program::{Program, free_address};
use crate::support::{Client, Server, Site, ended_with, pattern, tls_fixture, until};

/// The program of `tests/real/go`, which is built once.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("go/tide");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/go");
    let output = Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&built)
        .arg(".")
        .current_dir(source)
        .env("GOCACHE", built.with_file_name("cache"))
        // It imports the standard library alone.
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .output();
    ended_with(0, &output.expect("golang-go is installed"));
    built
});

/// Starts the program, which is to listen at `address`.
fn program(mode: &str, address: std::net::SocketAddr, more: &[&str]) -> Program {
    let mut command = Command::new(&*PROGRAM);
    command.arg(mode).arg(address.to_string()).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Program::at_port(command, address)
}

/// The server behind `proxy`, over TLS or not.
fn start(is_tls: bool) -> (Server, Program) {
    let address = free_address();
    let fixture = |name: &str| tls_fixture(name).display().to_string();
    let files = [fixture("localhost.pem"), fixture("localhost.key")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let (scheme, tls, files) = if is_tls {
        let tls = format!(
            "tls = {{ ca = '{}', server_name = 'localhost' }}",
            fixture("ca.pem")
        );
        ("https", tls, &files[..])
    } else {
        ("http", String::new(), &[][..])
    };
    let site = Site::new(
        "'/' = { proxy = 'go', upgrade = ['tide'], limits = { max_content = '64 MiB' } }\n\
         '/direct' = { proxy = 'go', strip_prefix = true, buffer = false, \
         limits = { max_content = '64 MiB' } }",
    )
    .top(&format!(
        "workers = 1\n[upstreams.go]\nservers = ['{scheme}://{address}']\n{tls}"
    ));
    let program = program("server", address, files);
    (site.start(), program)
}

fn post(target: &str, fields: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: tide.example\r\n{fields}\r\n")
}

#[test]
fn a_server_of_net_http_works() {
    for is_tls in [false, true] {
        let (server, _program) = start(is_tls);
        let mut client = server.connect();
        for number in 0..50 {
            let request =
                format!("GET /seen/{number}%2Fb?c=d HTTP/1.1\r\nHost: tide.example\r\n\r\n");
            let seen = client.exchange(request);
            let expected =
                format!("HTTP/1.1 tide.example /seen/{number}%2Fb?c=d 127.0.0.1 {is_tls}\n");
            assert_eq!(seen.text(), expected);
        }
        for target in ["/back", "/direct/back"] {
            content_comes_back(&mut client, target);
        }
        let get = |target: &str, fields: &str| {
            format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
        };
        let response = client.exchange(get("/trailer", "TE: trailers\r\nConnection: TE\r\n"));
        assert_eq!(
            (response.text(), &*response.trailers),
            ("high water".to_owned(), &["X-Sum: 10".to_owned()][..])
        );
        let response = client.exchange(get("/trailer", ""));
        assert_eq!(
            (response.text(), response.trailers.len()),
            ("high water".to_owned(), 0)
        );
        // A response that is cut is seen to be.
        let mut other = server.connect();
        other.send(get("/cut", ""));
        let cut = other.rest_before_cut();
        assert!(cut.starts_with(b"HTTP/1.1 ") && !cut.ends_with(b"0\r\n\r\n"));
    }
}

/// Content of a length and by chunks, with and without a wait for 100 (Continue), and a server that wants
/// none of it.
fn content_comes_back(client: &mut Client, target: &str) {
    let content = pattern(0, 2 << 20);
    let length = format!("Content-Length: {}\r\n", content.len());
    client.send(post(target, &length));
    client.send(&content);
    let back = client.response();
    assert_eq!(back.field("X-Length"), Some("2097152"));
    assert!(back.content == content, "{target}");
    client.send(post(target, "Transfer-Encoding: chunked\r\n"));
    for piece in content.chunks(100_000) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send([piece, b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    assert!(client.response().content == content, "{target}");
    client.send(post(target, &format!("{length}Expect: 100-continue\r\n")));
    assert_eq!(client.response().status, 100);
    client.send(&content);
    assert!(client.response().content == content, "{target}");
}

#[test]
fn a_server_that_refuses_content_is_heard() {
    let (server, _program) = start(false);
    let fields = "Content-Length: 2097152\r\nExpect: 100-continue\r\n";
    let mut client = server.connect();
    client.send(post("/direct/refuse", fields));
    assert_eq!(client.response().status, 403);
    // A client without `Expect` has sent part of the content.
    let mut client = server.connect();
    client.send(post("/direct/refuse", "Content-Length: 2097152\r\n"));
    client.send(pattern(0, 1 << 16));
    assert_eq!(client.response().status, 403);
}

#[test]
fn its_events_arrive_one_by_one_and_it_learns_who_has_gone() {
    for is_tls in [false, true] {
        let (server, _program) = start(is_tls);
        let mut listener = server.connect();
        listener.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(listener.response_head().status, 200);
        let mut teller = server.connect();
        let mut tell = |text: &str| {
            let length = format!("Content-Length: {}\r\n", text.len());
            teller.exchange(post("/tell", &length) + text).text()
        };
        for number in 0..50 {
            let text = format!("tide {number:02}");
            assert_eq!(tell(&text), "1");
            let event = format!("data: {text}\n\n");
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            assert_eq!(listener.read(chunk.len()), chunk.as_bytes());
        }
        drop(listener);
        until("the listener is gone", || (tell("x") == "0").then_some(()));
    }
}

#[test]
fn a_connection_that_it_takes_over_is_a_tunnel() {
    for is_tls in [false, true] {
        let (server, _program) = start(is_tls);
        let mut client = server.connect();
        client.send(
            "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tide\r\n\r\nfirst",
        );
        assert_eq!(client.response_head().status, 101);
        assert_eq!(client.read(5), b"first");
        server.configure(format!(
            "# again\n{}",
            server.directory().read("config.toml")
        ));
        ended_with(0, &server.command_line(&["reload"]));
        let octets = pattern(0, 1 << 20);
        let mut sender = client.another();
        let sending = std::thread::spawn({
            let octets = octets.clone();
            move || {
                sender.send(&octets);
                sender.finish_sending();
            }
        });
        assert!(client.read(octets.len()) == octets);
        client.expect_end();
        sending.join().expect("it sends");
    }
}

#[test]
fn its_reverse_proxy_stands_in_front() {
    let server = Site::new("'/' = { files = 'www' }\n'/echo' = { echo = true }")
        .file("tide.txt", "high water at noon\n")
        .file("large", pattern(0, 4 << 20))
        .start();
    let address = free_address();
    let url = format!("http://{}", server.address());
    let _front = program("front", address, &[&url]);
    let mut client = Client::connect(address);
    for _ in 0..20 {
        let file = client.exchange("GET /tide.txt HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(
            (file.status, file.text().as_str()),
            (200, "high water at noon\n")
        );
    }
    client.send("HEAD /large HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_to_head().content_length(), Some(4 << 20));
    let large = client.exchange("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(large.content == pattern(0, 4 << 20));
    let part = client.exchange("GET /tide.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=5-9\r\n\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "water"));
    let chunks = "Transfer-Encoding: chunked\r\n";
    let echo = client.exchange(post("/echo", chunks) + "5\r\nwater\r\n0\r\n\r\n");
    assert_eq!(echo.json()["content"], "water");
    // It asks over connections that it keeps.
    let accepted = server.status()["connections"]["accepted"].as_u64();
    assert!(accepted < Some(10), "{accepted:?} connections");
}

#[test]
fn a_client_of_net_http_falls_back_from_http_2_and_resumes() {
    let server = https::start("");
    let url = format!("https://localhost:{}", server.address().port());
    let output = Command::new(&*PROGRAM)
        .args(["client", &url])
        .arg(tls_fixture("ca.pem"))
        .output();
    let printed = ended_with(0, &output.expect("it is built"));
    assert_eq!(
        printed,
        "HTTP/1.1 200 hello\n3000000\ntrue 1\ntrue 1\nresumed 5\n"
    );
    let status = server.status();
    assert_eq!(status["handshakes"]["failed"], 0, "{status}");
    assert_eq!(status["connections"]["accepted"], 6, "{status}");
}
