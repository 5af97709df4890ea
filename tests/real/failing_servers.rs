//! Three servers behind `proxy`, of which one is killed and one is stopped while clients ask: no GET
//! fails, no POST is acted upon twice, and a server that comes back is asked again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::program::{Program, free_address};
use crate::support::{Server, Site, until};

/// A server that notes each request in a file before it answers.
const SERVER: &str = r#"
import http.server, os, sys

notes = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Head and content leave with one write, so that no server dies between the two: that cuts a response.
    wbufsize = -1

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        os.write(notes, f"{self.command} {self.path}\n".encode())
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass

port = int(sys.argv[1].rpartition(":")[2])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"#;

/// Clients that ask at once.
const CLIENTS: usize = 8;

/// Requests of all clients in each part of the test.
const REQUESTS: usize = 400;

/// One of the three, and the file where it notes what it was asked.
struct Noting {
    address: SocketAddr,
    notes: PathBuf,
    script: PathBuf,
    program: Program,
}

impl Noting {
    fn start(site: &Site, script: &str, address: SocketAddr, notes: &str) -> Self {
        let (script, notes) = (site.directory().join(script), site.directory().join(notes));
        Self {
            address,
            program: Self::run(&script, address, &notes),
            notes,
            script,
        }
    }

    fn run(script: &PathBuf, address: SocketAddr, notes: &PathBuf) -> Program {
        let mut command = Command::new("python3");
        command
            .arg(script)
            .arg(address.to_string())
            .arg(notes)
            .stderr(Stdio::null());
        Program::at_port(command, address)
    }

    /// Kills it, with whatever it has in hand.
    fn kill(&mut self) {
        self.program.signal(Signal::KILL);
    }

    /// Starts another one at its address.
    fn start_again(&mut self) {
        self.program = Self::run(&self.script, self.address, &self.notes);
    }

    fn asked(&self) -> Vec<String> {
        let notes = std::fs::read_to_string(&self.notes).expect("it has begun to note");
        notes.lines().map(str::to_owned).collect()
    }

    /// Waits until it is asked again.
    fn wait_for_requests(&self) {
        let before = self.asked().len();
        until("a server that is back is asked", || {
            (self.asked().len() > before).then_some(())
        });
    }
}

/// What the clients have got.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    is_over: AtomicBool,
}

impl Seen {
    /// Waits for another `REQUESTS` of them.
    fn wait(&self) {
        let end = self.requests.load(Ordering::Relaxed) + REQUESTS;
        until("clients go on", || {
            (self.requests.load(Ordering::Relaxed) >= end).then_some(())
        });
    }
}

/// Asks by turns with GET, which must always be answered, and POST, which a server may take with it when
/// it goes. Returns the statuses of POST by their targets.
fn ask(server: &Server, seen: &Seen, nth: usize) -> HashMap<String, u16> {
    let (mut client, mut statuses) = (server.connect(), HashMap::new());
    for count in 0.. {
        if seen.is_over.load(Ordering::Relaxed) {
            break;
        }
        let target = format!("/{nth}/{count}");
        let got = client.exchange(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(
            (got.status, got.text().as_str()),
            (200, "hello"),
            "{target}"
        );
        let posted = client.exchange(format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
        ));
        statuses.insert(format!("POST {target}"), posted.status);
        seen.requests.fetch_add(2, Ordering::Relaxed);
    }
    statuses
}

/// Ends the clients, also when an expectation of the test fails.
struct End<'s>(&'s Seen);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_get_fails_and_no_post_is_sent_twice() {
    let addresses = [free_address(), free_address(), free_address()];
    let servers = addresses.map(|address| format!("'{address}'")).join(", ");
    let site = Site::new("'/' = { proxy = 'shop' }").top(&format!(
        "workers = 2\n[upstreams.shop]\nservers = [{servers}]\n\
         timeouts = {{ connect = '1s', head = '1s' }}\n\
         failures = {{ max = 1, pause = '200ms' }}"
    ));
    site.directory().write("server.py", SERVER);
    let mut number = 0;
    let [mut killed, stopped, well] = addresses.map(|address| {
        number += 1;
        Noting::start(&site, "server.py", address, &format!("notes-{number}"))
    });
    let (server, seen) = (site.start(), Seen::default());
    let statuses = std::thread::scope(|scope| {
        let end = End(&seen);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|nth| {
                let (server, seen) = (&server, &seen);
                scope.spawn(move || ask(server, seen, nth))
            })
            .collect();
        seen.wait();
        killed.kill();
        seen.wait();
        stopped.program.signal(Signal::STOP);
        seen.wait();
        killed.start_again();
        killed.wait_for_requests();
        stopped.program.signal(Signal::CONT);
        stopped.wait_for_requests();
        seen.wait();
        drop(end);
        let joined = clients
            .into_iter()
            .map(|client| client.join().expect("no GET failed"));
        joined.flatten().collect::<HashMap<_, _>>()
    });
    let mut taken: HashMap<String, usize> = HashMap::new();
    for line in [&killed, &stopped, &well]
        .iter()
        .flat_map(|one| one.asked())
    {
        if line.starts_with("POST") {
            *taken.entry(line).or_default() += 1;
        }
    }
    for (post, status) in &statuses {
        let times = taken.get(post).copied().unwrap_or(0);
        assert!(times <= 1, "{post} was sent {times} times");
        assert!(
            times == 1 || *status != 200,
            "{post} was answered by no server"
        );
    }
    let answered = statuses.values().filter(|status| **status == 200).count();
    let lost = statuses.len() - answered;
    // What the two had in hand when they went, and what tried the stopped one.
    assert!(
        lost <= 10 * CLIENTS && answered > lost,
        "{lost} of {} lost",
        statuses.len()
    );
}
