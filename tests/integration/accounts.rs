//! No exchange without exactly one record: a hundred thousand of all kinds, by clients that keep account.
//!
//! ```text
//! clients' account = access log, line by line = a follower = tidegate_http_requests_total
//! ```
//!
//! Each request has a number of its own, so that a record that is missing, doubled or wrong has a name. A
//! client that aborts an exchange knows that the server has begun it: it has read the head of the response,
//! an interim response, or heard of the request as the upstream. So each aborted exchange has exactly one
//! record as well, whose status is that of the response which broke off, or 499 if there was none. A
//! connection that sends no complete head, and leaves, has no exchange and no record.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::Signal;

use crate::support::{Client, Server, Site, ended_with, speak_plainly, until};

/// All exchanges, by all clients.
const EXCHANGES: usize = 100_000;

const CLIENTS: usize = 4;

/// How many exchanges each client makes.
const SHARE: usize = EXCHANGES / CLIENTS;

/// How many requests come in one piece.
const BURST: usize = 25;

/// Larger than what sockets hold: no response of it is ever sent to its end.
const LARGE: u64 = 64 * 1024 * 1024;

/// A client that keeps account of its exchanges: `200 GET /page?0-17 HTTP/1.1`.
struct Accountant {
    nth: usize,
    address: SocketAddr,
    /// The connection that persists.
    client: Client,
    /// The upstream of this client's route `/waits-N`.
    upstream: TcpListener,
    account: Vec<String>,
}

impl Accountant {
    fn new(nth: usize, address: SocketAddr, upstream: TcpListener) -> Self {
        Self {
            nth,
            address,
            client: Client::connect(address),
            upstream,
            account: Vec::with_capacity(SHARE),
        }
    }

    /// Makes its share of the exchanges, and returns the account.
    fn work(mut self) -> Vec<String> {
        let mut round = 0;
        while self.account.len() < SHARE {
            match round % 22 {
                _ if SHARE - self.account.len() < BURST => self.one("GET", "/page", "", "", 200),
                0 => self.abort_download(false),
                1 => self.abort_download(true),
                2 => self.abort_upload(),
                3 => self.leave_upstream(),
                4 => self.send_nonsense(),
                5 => self.send_half_a_head(),
                6..10 => self.one("GET", "/proxied", "", "", 200),
                10..14 => self.one("POST", "/echo", "Content-Length: 5\r\n", "hello", 200),
                14..16 => self.one("GET", "/page", "Range: bytes=0-3\r\n", "", 206),
                16 => self.one("GET", "/page", "Range: bytes=9-\r\n", "", 416),
                17 => self.one("GET", "/forbidden", "", "", 403),
                18 => self.one("DELETE", "/page", "", "", 405),
                _ => self.burst(),
            }
            round += 1;
        }
        self.account
    }

    /// A request line that no other one is like; it is entered with `status`.
    fn enter(&mut self, method: &str, path: &str, status: u16) -> String {
        let line = format!(
            "{method} {path}?{}-{} HTTP/1.1",
            self.nth,
            self.account.len()
        );
        self.account.push(format!("{status} {line}"));
        line
    }

    fn one(&mut self, method: &str, path: &str, fields: &str, content: &str, status: u16) {
        let line = self.enter(method, path, status);
        let request = format!("{line}\r\nHost: h\r\n{fields}\r\n{content}");
        let response = self.client.exchange(request);
        assert_eq!(response.status, status, "{line}");
        self.connect_again_if(response.says_close());
    }

    fn connect_again_if(&mut self, is_over: bool) {
        if is_over {
            self.client.expect_end();
            self.client = Client::connect(self.address);
        }
    }

    /// Requests in one piece, and then their responses.
    fn burst(&mut self) {
        let kinds = [
            ("GET", "/page", 200),
            ("HEAD", "/page", 200),
            ("GET", "/none", 404),
        ];
        let kinds: Vec<_> = kinds.iter().cycle().take(BURST).collect();
        let mut requests = String::new();
        for (method, path, status) in &kinds {
            requests += &self.enter(method, path, *status);
            requests += "\r\nHost: h\r\n\r\n";
        }
        self.client.send(requests);
        for (method, _, status) in kinds {
            let response = match *method {
                "HEAD" => self.client.response_to_head(),
                _ => self.client.response(),
            };
            assert_eq!(response.status, *status);
        }
    }

    /// Leaves, or is killed, while a response is sent that is under way.
    fn abort_download(&mut self, by_reset: bool) {
        let line = self.enter("GET", "/large", 200);
        let mut client = Client::connect(self.address);
        client.send(format!("{line}\r\nHost: h\r\n\r\n"));
        assert_eq!(client.response_head().status, 200);
        if by_reset {
            let set = set_socket_linger(client.stream(), Some(Duration::ZERO));
            set.expect("a socket takes it");
        }
    }

    /// Leaves within the content of a request.
    fn abort_upload(&mut self) {
        let line = self.enter("POST", "/echo", 499);
        let mut client = Client::connect(self.address);
        let fields = "Host: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n";
        client.send(format!("{line}\r\n{fields}\r\n"));
        assert_eq!(client.response().status, 100);
        client.send("he");
    }

    /// Leaves before there is a response: once the upstream has the request.
    fn leave_upstream(&mut self) {
        let line = self.enter("GET", &format!("/waits-{}", self.nth), 499);
        let mut client = Client::connect(self.address);
        client.send(format!("{line}\r\nHost: h\r\n\r\n"));
        let (mut asked, _) = self.upstream.accept().expect("the server connects");
        let count = asked.read(&mut [0; 4096]).expect("a request");
        assert!(count > 0);
        drop(client);
        let end = asked.read(&mut [0; 16]).expect("an end in good order");
        assert_eq!(end, 0, "the server lets go of the upstream");
    }

    fn send_nonsense(&mut self) {
        let line = format!("NONSENSE-{}-{}", self.nth, self.account.len());
        self.account.push(format!("400 {line}"));
        let mut client = Client::connect(self.address);
        let response = client.last_response_to(format!("{line}\r\n\r\n"));
        assert_eq!(response.status, 400);
    }

    /// No exchange.
    fn send_half_a_head(&self) {
        let mut client = Client::connect(self.address);
        client.send("GET /page?half HTTP/1.1\r\nHo");
    }
}

/// An upstream that answers everything alike.
fn start_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let answer = |mut connection: TcpStream| {
        let mut buffer = [0; 4096];
        // A request comes in one piece, and all of it before its response.
        while connection.read(&mut buffer).is_ok_and(|count| count > 0) {
            let octets = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if connection.write_all(octets).is_err() {
                return;
            }
        }
    };
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(connection));
        }
    });
    address
}

/// The configuration with so many workers.
fn configuration(workers: usize, proxied: SocketAddr, waiting: &[TcpListener]) -> String {
    let waits = waiting.iter().enumerate().map(|(nth, listener)| {
        let address = listener.local_addr().expect("it is bound");
        format!("'/waits-{nth}' = {{ proxy = 'http://{address}' }}\n")
    });
    format!(
        "workers = {workers}\n\
         log = {{ access = 'access.log', format = '{{status}} \"{{request}}\"' }}\n\
         [[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n\
         '/' = {{ files = 'www' }}\n'/echo' = {{ echo = true }}\n\
         '/forbidden' = {{ respond = 'no', deny = 'all' }}\n'/proxied' = {{ proxy = 'http://{proxied}' }}\n{}",
        waits.collect::<String>()
    )
}

/// The sum of `tidegate_http_requests_total`.
fn counted(server: &Server) -> u64 {
    let metrics = server.control().exchange("GET", "/metrics").text();
    let samples = metrics
        .lines()
        .filter(|line| line.starts_with("tidegate_http_requests_total{"));
    let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
    samples.filter_map(value).sum::<f64>() as u64
}

/// Follows to the end. Returns how many exchanges the follower was told of, and how many it has lost.
fn follow(server: &Server) -> thread::JoinHandle<(u64, u64)> {
    let mut client = server.control();
    client.send("GET /exchanges?format=json HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    thread::spawn(move || {
        let (mut told, mut lost) = (0, 0);
        while let Some(chunk) = client.chunk() {
            for line in str::from_utf8(&chunk).expect("lines are text").lines() {
                match line.strip_prefix("{\"lost\":") {
                    Some(count) => {
                        lost += count
                            .trim_end_matches('}')
                            .parse::<u64>()
                            .expect("a number")
                    }
                    None => told += 1,
                }
            }
        }
        (told, lost)
    })
}

/// Compares the lines, of which all are different.
fn assert_same(mut found: Vec<String>, mut expected: Vec<String>) {
    found.sort();
    expected.sort();
    let differing = found
        .iter()
        .zip(&expected)
        .position(|(found, expected)| found != expected);
    if let Some(at) = differing {
        let around = at.saturating_sub(1)..at + 2;
        let (found, expected) = (found.get(around.clone()), expected.get(around));
        panic!("the log has {found:?} where the clients have {expected:?}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn a_hundred_thousand_exchanges_have_a_record_each() {
    speak_plainly();
    let proxied = start_upstream();
    let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let waiting: Vec<TcpListener> = (0..CLIENTS).map(bind).collect();
    let site = Site::configured(&configuration(2, proxied, &waiting)).file("page", "content");
    let large = File::create(site.directory().join("www/large")).expect("the directory is ours");
    large.set_len(LARGE).expect("a file may have a hole");
    let server = site.start();
    let follower = follow(&server);
    let address = server.address();
    let (reloads, expected) = thread::scope(|scope| {
        let begin = |(nth, upstream): (usize, &TcpListener)| {
            let upstream = upstream.try_clone().expect("a descriptor is free");
            let accountant = Accountant::new(nth, address, upstream);
            scope.spawn(|| accountant.work())
        };
        let clients: Vec<_> = waiting.iter().enumerate().map(begin).collect();
        let mut reloads = 0;
        while !clients.iter().all(|client| client.is_finished()) {
            server.configure(configuration(2 + reloads % 2, proxied, &waiting));
            ended_with(0, &server.command_line(&["reload"]));
            reloads += 1;
        }
        let accounts = clients.into_iter().map(|client| client.join());
        let accounts = accounts.flat_map(|account| account.expect("a client that keeps account"));
        (reloads, accounts.collect::<Vec<String>>())
    });
    assert!(reloads > 1, "{reloads} reloads");
    assert_eq!(expected.len(), EXCHANGES);
    // The server may not have noticed yet that the last clients have gone.
    until("all are counted", || {
        (counted(&server) >= EXCHANGES as u64).then_some(())
    });
    assert_eq!(counted(&server), EXCHANGES as u64);
    assert_eq!(server.status()["requests"], EXCHANGES);
    server.signal(Signal::TERM);
    let (told, lost) = follower.join().expect("no panic");
    assert_eq!(told + lost, EXCHANGES as u64, "{lost} of them lost");
    let mut server = server;
    assert!(server.wait().expect("it is our own child").success());
    let log = server.directory().read("access.log");
    let unquoted = log.lines().map(|line| line.replace('"', ""));
    assert_same(unquoted.collect(), expected);
}
