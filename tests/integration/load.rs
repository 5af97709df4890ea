//! Many clients at once, and clients that send more than they read.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use rustix::process::Signal;

use crate::support::{Client, Site, pattern, until};

const CLIENTS: usize = 500;
const REQUESTS: usize = 4;

/// The file that a client asks for, and its content: small, large, and between.
fn file(number: usize) -> (String, Vec<u8>) {
    let length = [8, 4096, 60_000, 100_000, 400_000][number % 5] / 8 * 8;
    (
        format!("file-{}.bin", number % 25),
        pattern(number % 25 * 8, length),
    )
}

fn site() -> Site {
    (0..25)
        .map(file)
        .fold(Site::of_files(), |site, (name, content)| {
            site.file(&name, content)
        })
}

#[test]
fn five_hundred_clients_get_every_byte_and_are_spread_over_the_workers() {
    let server = site().top("workers = 4").start();
    let address = server.address();
    let all_connected = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let all_connected = Arc::clone(&all_connected);
            let life = move || {
                let mut client = Client::connect(address);
                all_connected.wait();
                for request in 0..REQUESTS {
                    let (name, content) = file(number + request);
                    let response =
                        client.exchange(format!("GET /{name} HTTP/1.1\r\nHost: h\r\n\r\n"));
                    assert!(
                        response.status == 200 && response.content == content,
                        "{name}"
                    );
                }
            };
            thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(life)
                .expect("a thread")
        })
        .collect();
    for client in clients {
        client.join().expect("each gets what it asks for");
    }
    let (lines, _) = server.stop();
    // `worker 0: 125 connections, 500 requests`
    let count = |line: &str, word: &str| -> Option<usize> {
        let (before, _) = line.split_once(word)?;
        before.trim_end().rsplit(' ').next()?.parse().ok()
    };
    let workers: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains(" connections, "))
        .collect();
    let connections: Vec<usize> = workers
        .iter()
        .filter_map(|line| count(line, "connections"))
        .collect();
    let requests: usize = workers
        .iter()
        .filter_map(|line| count(line, "requests"))
        .sum();
    assert_eq!(
        (connections.len(), connections.iter().sum(), requests),
        (4, CLIENTS, CLIENTS * REQUESTS)
    );
    // By chance alone, each gets 125, give or take 10.
    assert!(
        connections.iter().all(|count| (60..200).contains(count)),
        "{connections:?}"
    );
}

#[test]
fn a_connection_for_each_request() {
    let server = site().start();
    let address = server.address();
    let clients: Vec<_> = (0..8)
        .map(|number| {
            thread::spawn(move || {
                for request in 0..50 {
                    let (name, content) = file(number + request);
                    let mut client = Client::connect(address);
                    client.send(format!("GET /{name} HTTP/1.0\r\n\r\n"));
                    assert!(client.last_response().content == content, "{name}");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("each gets what it asks for");
    }
}

#[test]
fn an_endless_pipeliner_does_not_starve_its_neighbour() {
    let server = Site::new("'/' = { respond = 'ok' }\n'/echo' = { echo = true }")
        .top("workers = 1")
        .start();
    let greedy = server.connect();
    let mut sending = greedy.stream().try_clone().expect("a descriptor");
    let mut receiving = greedy.stream().try_clone().expect("a descriptor");
    let requests = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
    let sender = thread::spawn(move || while sending.write_all(requests.as_bytes()).is_ok() {});
    let receiver = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while receiving.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let mut neighbour = server.connect();
    for _ in 0..200 {
        assert_eq!(
            neighbour
                .exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                .text(),
            "ok"
        );
        assert_eq!(
            server
                .connect()
                .exchange("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n")
                .status,
            200
        );
    }
    greedy
        .stream()
        .shutdown(Shutdown::Both)
        .expect("it is open");
    sender.join().expect("it only writes");
    receiver.join().expect("it only reads");
}

#[test]
fn a_download_does_not_starve_its_neighbour() {
    let server = Site::of_files()
        .top("workers = 1")
        .file("large.bin", pattern(0, 64 << 20))
        .file("a.txt", "a")
        .start();
    let mut greedy: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut greedy {
        client.send("GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    let downloads: Vec<_> = greedy
        .into_iter()
        .map(|mut client| thread::spawn(move || client.response().content.len()))
        .collect();
    let mut neighbour = server.connect();
    while !downloads.iter().all(thread::JoinHandle::is_finished) {
        assert_eq!(
            neighbour
                .exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
                .text(),
            "a"
        );
    }
    for download in downloads {
        assert_eq!(download.join().expect("it only reads"), 64 << 20);
    }
}

#[test]
fn a_client_that_never_reads_is_bounded() {
    let server = site()
        .top("workers = 1")
        .limits("send_timeout = '500ms'")
        .start();
    let before = peak_memory(server.id());
    // A request of 60 bytes has a response of 60 KB: without a bound, gigabytes would be queued.
    let requests = "GET /file-2.bin HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
    let mut client = server.connect();
    let mut written = 0;
    while client.try_send(&requests).is_ok() {
        written += requests.len();
        assert!(
            written < 64 << 20,
            "the server goes on reading from a client that does not read"
        );
    }
    let grown = peak_memory(server.id()) - before;
    assert!(grown < 32 << 20, "{grown} bytes for one client");
    assert_eq!(server.get("/file-0.bin").status, 200);
}

/// The most memory the process has held so far, in bytes.
fn peak_memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("Linux tells");
    let kibibytes: usize = line
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    kibibytes * 1024
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Connects to `address` again and again, in several threads, while `act` runs.
fn under_load<T>(address: SocketAddr, act: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // The server may be gone, or go meanwhile.
                    if let Ok(mut client) = Client::try_connect(address) {
                        let _ = client.try_send(GET);
                        let _ = client.rest();
                    }
                }
            });
        }
        let outcome = act();
        drop(over);
        outcome
    })
}

/// A server that was told to stop went on accepting for the whole `grace`, as long as clients came: it
/// waited for a moment without any in the queue.
#[test]
fn a_stop_under_load_accepts_nothing_more() {
    let mut server = Site::new("'/' = { respond = 'ok' }")
        .top("workers = 2\ngrace = '1h'")
        .start();
    let mut idle = server.connect();
    idle.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    under_load(server.address(), || {
        server.signal(Signal::TERM);
        idle.expect_end();
        assert!(server.wait().expect("it is our own child").success());
    });
}

/// The same for a listener that is removed.
#[test]
fn a_removed_listener_under_load_accepts_nothing_more() {
    let configuration = |listen: &str| {
        format!(
            "log.access = false\n[[server]]\nlisten = [{listen}]\nroutes.'/' = {{ respond = 'ok' }}\n"
        )
    };
    let server = Site::configured(&configuration("'127.0.0.1:0', '127.0.0.2:0'")).start();
    let going = until("both addresses", || server.addresses_at("127.0.0.2").pop());
    under_load(going, || {
        server.configure(configuration("'127.0.0.1:0'"));
        assert!(server.command_line(&["reload"]).status.success());
        until("it is refused", || Client::try_connect(going).err());
    });
    server.get("/");
}
