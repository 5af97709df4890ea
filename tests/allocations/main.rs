//! The fast path allocates nothing: a worker answers from what it holds, on a connection that
//! persists. A request that is passed on to an upstream allocates little, and a tunnel that is idle
//! holds little. What an exchange allocates is freed with it. The allocator itself counts.
//!
//! The server runs inside this process, and the allocator counts for all of its threads. So the client
//! must not allocate either while it counts, and no other test may run beside this one.

// An exchange that is followed.
mod followed;

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many exchanges are counted. As many come before them, so that buffers reach their size.
const EXCHANGES: usize = 2_000;

/// Allocations a second that belong to no exchange: the date is encoded anew, the supervisor wakes.
const PER_SECOND: usize = 5;

/// Allocations of one exchange that an upstream answers, on kept connections.
const PASSED_ON: usize = 10;

/// Bytes that an idle tunnel holds, for both of its connections, besides what the allocator adds.
const TUNNEL: usize = 920;

/// How many tunnels are held to find that. As many come before them.
const TUNNELS: usize = 128;

/// How long the server may take to answer; after that the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_request_on_the_fast_path_allocates_nothing() {
    if followed::is_program() {
        return followed::count();
    }
    let server = Server::start();
    let page = server.ask("GET /page.html HTTP/1.1\r\nHost: h\r\n\r\n");
    // The only one that passes.
    server.ask("GET /refused HTTP/1.1\r\nHost: h\r\n\r\n");
    let coded =
        server.ask("HEAD /text/page.html HTTP/1.1\r\nHost: h\r\nAccept-Encoding: zstd\r\n\r\n");
    assert_eq!(field(&coded, "content-encoding"), Some("zstd"), "{coded}");
    let tag = field(&page, "etag").expect("a file has an entity tag");
    let browser = "Host: h\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip, br\r\n\
        Accept-Language: en\r\nSec-Fetch-Mode: navigate\r\nCookie: a=b; c=d\r\n\r\n";
    let cached = "Host: h\r\nIf-None-Match: ";
    for (title, request, status, batch) in [
        (
            "a small file",
            "GET /page.html HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "200",
            1,
        ),
        (
            "by a browser",
            format!("GET /page.html HTTP/1.1\r\n{browser}"),
            "200",
            1,
        ),
        (
            "HEAD",
            "HEAD /page.html HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "200",
            1,
        ),
        (
            "a directory's index",
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "200",
            1,
        ),
        (
            "not modified",
            format!("GET /page.html HTTP/1.1\r\n{cached}{tag}\r\n\r\n"),
            "304",
            1,
        ),
        (
            "a file in a coding",
            "GET /text/page.html HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, br, zstd\r\n\r\n"
                .to_owned(),
            "200",
            1,
        ),
        (
            "a file as it is, which others get in a coding",
            "GET /text/page.html HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "200",
            1,
        ),
        (
            "an answer from the configuration",
            "GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "200",
            1,
        ),
        (
            "for a page of another origin",
            "GET /shared/page.html HTTP/1.1\r\nHost: h\r\nOrigin: https://b.test\r\n\r\n"
                .to_owned(),
            "200",
            1,
        ),
        (
            "for a page of an origin that is not allowed",
            "GET /shared/page.html HTTP/1.1\r\nHost: h\r\nOrigin: https://c.test\r\n\r\n"
                .to_owned(),
            "200",
            1,
        ),
        (
            "a preflight",
            "OPTIONS /shared/page.html HTTP/1.1\r\nHost: h\r\nOrigin: https://b.test\r\n\
             Access-Control-Request-Method: GET\r\n\r\n"
                .to_owned(),
            "204",
            1,
        ),
        (
            "counted at two rates",
            "GET /limited/page.html HTTP/1.1\r\nHost: h\r\nOrigin: https://b.test\r\n\r\n"
                .to_owned(),
            "200",
            1,
        ),
        (
            "one too many",
            "GET /refused HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "429",
            1,
        ),
        (
            "an error",
            "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "404",
            1,
        ),
        (
            "for a user whose password was right a moment ago",
            "GET /members/page.html HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YWxpY2U6cHc=\r\n\r\n"
                .to_owned(),
            "200",
            1,
        ),
        (
            "pipelined",
            "GET /page.html HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "200",
            16,
        ),
    ] {
        let counted = server.count(&request, status, batch);
        assert!(
            counted.allocating <= counted.allowed,
            "{title}: {} of {EXCHANGES} exchanges allocated, where {} may",
            counted.allocating,
            counted.allowed
        );
    }
    // In the same test, because no other one may run beside it.
    for path in [
        "/page.html",
        "/%70age.html",
        "//page.html",
        "/a/../page.html",
        "/%66ixed",
        "/%70assed",
        "/marked",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let kept = server.bytes_kept(&request);
        assert!(
            kept < EXCHANGES,
            "{EXCHANGES} exchanges for {path} left {kept} bytes behind"
        );
    }
    let passed_on = server.allocations("GET /passed HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(
        passed_on <= PASSED_ON,
        "an exchange that an upstream answers allocates {passed_on} times, where {PASSED_ON} may be"
    );
    let tunnel = server.bytes_of_tunnel();
    assert!(
        tunnel <= TUNNEL,
        "an idle tunnel holds {tunnel} bytes, where {TUNNEL} may be"
    );
    server.stop();
    followed::run_as_program("a_request_on_the_fast_path_allocates_nothing");
}

/// How often any thread asks for memory while `exchange` runs.
fn counted(exchange: &mut impl FnMut()) -> usize {
    let region = Region::new(ALLOCATOR);
    exchange();
    let change = region.change();
    change.allocations + change.reallocations
}

/// Starts an upstream that changes to another protocol on every connection and says nothing more.
fn start_silent_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let mut held = Vec::with_capacity(2 * TUNNELS);
        for connection in listener.incoming() {
            let mut connection = connection.expect("the server connects");
            let request = connection.read(&mut [0; 4096]);
            assert!(request.is_ok_and(|count| count > 0));
            let answer =
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            connection.write_all(answer).expect("the server reads");
            held.push(connection);
        }
    });
    address
}

/// Starts an upstream that answers every request alike, which allocates nothing.
fn start_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("the server connects");
            let mut buffer = [0; 4096];
            // A request comes in one piece, and all of it before its response.
            while connection.read(&mut buffer).is_ok_and(|count| count > 0) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
                connection.write_all(answer).expect("the server reads");
            }
        }
    });
    address
}

/// The result of a run of exchanges.
struct Counted {
    /// During how many exchanges any thread allocated.
    allocating: usize,
    /// During how many that may be so, in the time that the run took.
    allowed: usize,
}

/// A server within this process, and the files it serves.
struct Server {
    running: tidegate::Server,
    directory: PathBuf,
}

impl Server {
    fn start() -> Self {
        let name = format!("allocations-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).expect("cargo's directory takes another");
        for name in ["page.html", "index.html"] {
            std::fs::write(directory.join(name), [b'x'; 612]).expect("it is there");
        }
        // The password is `pw`.
        let users = "alice:$2y$04$RGvcrkJALvtIf5Ci.3dmxuwvU7l80eIZwLOumqPn8faQD4lB1hmC.\n";
        std::fs::write(directory.join(".users"), users).expect("it is there");
        // The cache looks at no file again during the test, because looking allocates.
        let (site, upstream) = (directory.display(), start_upstream());
        let silent = start_silent_upstream();
        let config = format!(
            r#"
            workers = 1
            log = {{ access = false, level = "error" }}
            rates.much = {{ rate = "1000000/s", burst = 100000 }}
            rates.path = {{ rate = "1000000/s", burst = 100000, key = ["client", "path", "host", "header Origin"] }}
            rates.none = {{ rate = "1/d" }}
            [[server]]
            listen = "127.0.0.1:0"
            [server.routes]
            "/" = {{ files = "{site}", revalidate = "1h" }}
            "/text" = {{ files = "{site}", strip_prefix = true, revalidate = "1h", compress = {{ min_size = 100 }} }}
            "= /fixed" = {{ respond = "ok" }}
            "/shared" = {{ files = "{site}", revalidate = "1h", strip_prefix = true, cors = {{ origins = ["https://a.test", "https://b.test"], expose = "ETag" }} }}
            "/limited" = {{ files = "{site}", revalidate = "1h", strip_prefix = true, allow = "127.0.0.0/8", rate = ["much", "path"], cors = {{ origins = "https://b.test" }} }}
            "/members" = {{ files = "{site}", revalidate = "1h", strip_prefix = true, auth = {{ basic = "{site}/.users" }} }}
            "= /refused" = {{ respond = "ok", rate = "none" }}
            "= /marked" = {{ respond = "ok", request_id = true }}
            "= /passed" = {{ proxy = "http://{upstream}" }}
            "= /tunnel" = {{ proxy = "http://{silent}" }}
            "#
        );
        let started = tidegate::Server::builder().config_text(config).start();
        Self {
            running: started.expect("it starts"),
            directory,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.running.addresses()[0]).expect("it listens");
        let timeout = stream.set_read_timeout(Some(PATIENCE));
        timeout.expect("it is no zero");
        stream
    }

    /// Sends a request, and returns its whole response.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        let closing = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        let mut answer = String::new();
        let sent = stream.write_all(closing.as_bytes());
        sent.expect("the server reads");
        let read = stream.read_to_string(&mut answer);
        read.expect("the server answers in text");
        answer
    }

    /// Makes so many exchanges, of `batch` requests each, and counts those during which any thread
    /// allocates.
    fn count(&self, request: &str, status: &str, batch: usize) -> Counted {
        let mut stream = self.connect();
        let requests = request.repeat(batch);
        let mut buffer = vec![0; 64 * 1024];
        stream.write_all(request.as_bytes()).expect("it reads");
        // The server sends a response of this size with one write, and one read receives it.
        let length = stream.read(&mut buffer).expect("it answers");
        let line = format!("HTTP/1.1 {status} ");
        assert!(buffer.starts_with(line.as_bytes()), "{request}");
        let mut exchange = || {
            let region = Region::new(ALLOCATOR);
            stream.write_all(requests.as_bytes()).expect("it reads");
            let answers = &mut buffer[..length * batch];
            stream.read_exact(answers).expect("it answers alike");
            region.change().allocations + region.change().reallocations
        };
        for _ in 0..EXCHANGES {
            exchange();
        }
        let started = Instant::now();
        let allocating = (0..EXCHANGES).filter(|_| exchange() > 0).count();
        let seconds = started.elapsed().as_secs() as usize;
        Counted {
            allocating,
            allowed: PER_SECOND * (seconds + 1),
        }
    }

    /// Allocations of one exchange, rounded down.
    fn allocations(&self, request: &str) -> usize {
        let change = self.change(request);
        (change.allocations + change.reallocations) / EXCHANGES
    }

    /// Bytes that so many exchanges allocate and do not free.
    fn bytes_kept(&self, request: &str) -> usize {
        let change = self.change(request);
        change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated)
    }

    /// What so many exchanges change in the allocator's counts, once as many have been made.
    fn change(&self, request: &str) -> Stats {
        let mut stream = self.connect();
        let mut buffer = vec![0; 64 * 1024];
        let mut exchange = || {
            stream.write_all(request.as_bytes()).expect("it reads");
            let length = stream.read(&mut buffer).expect("it answers");
            assert!(buffer[..length].starts_with(b"HTTP/1.1 200 "), "{request}");
        };
        for _ in 0..EXCHANGES {
            exchange();
        }
        let region = Region::new(ALLOCATOR);
        for _ in 0..EXCHANGES {
            exchange();
        }
        region.change()
    }

    /// Bytes that one more tunnel holds while nothing moves.
    fn bytes_of_tunnel(&self) -> usize {
        let mut held = Vec::with_capacity(2 * TUNNELS);
        let mut hold = || {
            for _ in 0..TUNNELS {
                let mut stream = self.connect();
                let request = b"GET /tunnel HTTP/1.1\r\nHost: h\r\nUser-Agent: a browser\r\n\
                    Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(request).expect("it reads");
                let mut answer = [0; 4096];
                let length = stream.read(&mut answer).expect("it answers");
                assert!(answer[..length].starts_with(b"HTTP/1.1 101 "));
                held.push(stream);
            }
        };
        hold();
        let region = Region::new(ALLOCATOR);
        hold();
        let change = region.change();
        (change.bytes_allocated - change.bytes_deallocated) / TUNNELS
    }

    fn stop(self) {
        self.running.drain(PATIENCE).expect("it ends in order");
        std::fs::remove_dir_all(&self.directory).expect("it is ours");
    }
}

/// The value of a field in a response.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
    let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value)
}
