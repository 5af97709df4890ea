//! `tidegate top`: what it shows in a terminal, and how it leaves that.
//!
//! Where a test needs a server that stops, comes back or sends what no server should, the test itself plays the
//! server at the control socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Server, Site, Terminal, ended_with};

/// A server that the test plays.
struct Played {
    site: Site,
    socket: PathBuf,
    listener: UnixListener,
}

/// The connection of a `top`.
struct Viewer(UnixStream);

impl Played {
    fn start() -> Self {
        let site = Site::new("'/' = { respond = 'ok' }");
        // A command without a server names the socket that it has looked for.
        let refusal = ended_with(1, &site.command_line(&["status"]));
        let (_, socket) = refusal.split_once(" (").expect("the socket in parentheses");
        let (socket, _) = socket.split_once(": ").expect("and why there is none");
        let socket = PathBuf::from(socket);
        let listener = listen(&socket);
        Self {
            site,
            socket,
            listener,
        }
    }

    /// The command `top` with further arguments.
    fn top(&self, arguments: &[&str]) -> Command {
        self.site.command_for(&[&["top"], arguments].concat())
    }

    /// Waits for a `top`, and answers it.
    fn accept(&self) -> Viewer {
        let (stream, _) = self.listener.accept().expect("a connection");
        let mut lines = BufReader::new(&stream).lines();
        let request = lines.next().expect("a request").expect("a line");
        assert_eq!(request, "GET /live HTTP/1.1");
        let is_accept = |line: String| line == "Accept: text/event-stream";
        let mut head = lines
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty());
        assert!(head.any(is_accept), "it asks for events");
        head.for_each(drop);
        let mut viewer = Viewer(stream);
        viewer.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        viewer
    }

    /// Stops to listen, and returns what [`Played::come_back`] needs.
    fn go(self) -> (Site, PathBuf) {
        std::fs::remove_file(&self.socket).expect("it was bound");
        (self.site, self.socket)
    }

    fn come_back((site, socket): (Site, PathBuf)) -> Self {
        let listener = listen(&socket);
        Self {
            site,
            socket,
            listener,
        }
    }
}

fn listen(socket: &Path) -> UnixListener {
    let directory = socket.parent().expect("a directory");
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.expect("a directory can be made");
    UnixListener::bind(socket).expect("no other server")
}

impl Viewer {
    fn write(&mut self, text: &str) {
        let written = self.0.write_all(text.as_bytes());
        written.expect("it reads");
    }

    fn send(&mut self, snapshot: &Value) {
        let event = format!("event: snapshot\ndata: {snapshot}\n\n");
        self.write(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
}

/// What process `id` tells after so many seconds, in each of which it has answered 100 requests.
fn snapshot(id: u32, seconds: u64) -> Value {
    let count = 500 + 100 * seconds;
    json!({
        "time_ms": 1_764_240_000_000 + seconds * 1_000,
        "started_ms": 1_764_230_000_000_u64,
        "version": "0.1.0",
        "process_id": id,
        "phase": "ready",
        "generation": { "number": 3, "since_ms": 1_764_239_000_000_u64 },
        "requests": count,
        "bounds_us": [1_000, 10_000],
        "series": [{ "server": "localhost", "route": "/shop", "method": "GET", "class": 2, "count": count,
            "sum_us": 1, "received": 0, "sent": count, "buckets": [count, 0, 0] }],
    })
}

/// A `top` that shows the numbers of a second of process 7.
fn shown(arguments: &[&str], change: impl Fn(&mut Command)) -> (Played, Viewer, Terminal) {
    let played = Played::start();
    let mut command = played.top(arguments);
    change(&mut command);
    let terminal = Terminal::run(&command, 80, 24);
    let mut viewer = played.accept();
    viewer.send(&snapshot(7, 0));
    viewer.send(&snapshot(7, 1));
    terminal.wait_for("100 requests/s");
    (played, viewer, terminal)
}

#[test]
fn keys_lead_through_the_screen_and_out_of_it() {
    let (_played, mut viewer, mut terminal) = shown(&[], |_| {});
    let first = terminal.wait_for("ROUTE");
    assert!(first.contains("/shop"), "{first}");
    terminal.press("2");
    terminal.wait_for("the configuration has no upstreams");
    terminal.press("\t");
    terminal.wait_for("no worker has told anything yet");
    terminal.press("1/zzz");
    terminal.wait_for("no row holds “zzz”");
    // Escape alone: what comes with it would be another key.
    terminal.press("\x1b");
    terminal.wait_for("/shop");
    terminal.press("p");
    terminal.wait_for("PAUSED");
    terminal.press("?");
    terminal.wait_for("any key leads back");
    terminal.press("?p");
    viewer.send(&snapshot(7, 2));
    terminal.wait_for("over 2 of 10 s");
    terminal.press("q");
    let (status, screen) = terminal.wait();
    assert!(status.success(), "{status}");
    assert_eq!(screen.trim(), "", "nothing stays on the screen");
}

#[test]
fn ctrl_c_and_sigterm_leave_the_terminal_as_it_was() {
    let (_played, _viewer, mut terminal) = shown(&[], |_| {});
    terminal.press("\x03");
    assert!(terminal.wait().0.success());
    let (_played, _viewer, terminal) = shown(&[], |_| {});
    terminal.signal(Signal::TERM);
    assert!(terminal.wait().0.success());
}

/// The hook for panics is there in debug builds only.
#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    if !cfg!(debug_assertions) {
        return;
    }
    let panicking = |command: &mut Command| {
        command.env("TIDEGATE_TEST_HOOKS", "panic");
        command.env("RUST_BACKTRACE", "0");
    };
    let (_played, _viewer, mut terminal) = shown(&[], panicking);
    terminal.press("!");
    let (status, screen) = terminal.wait();
    assert!(!status.success(), "{status}");
    assert!(screen.contains("a test asked for a panic"), "{screen}");
}

#[test]
fn another_size_is_drawn_at_once() {
    let (_played, _viewer, terminal) = shown(&[], |_| {});
    terminal.resize(30, 5);
    terminal.wait_for("needs 40 × 8");
    terminal.resize(120, 40);
    terminal.wait_for("RECEIVED/S");
    terminal.resize(40, 8);
    terminal.wait_for("/shop");
}

#[test]
fn a_server_that_goes_is_waited_for_and_another_begins_anew() {
    let (played, viewer, mut terminal) = shown(&[], |_| {});
    let kept = played.go();
    drop(viewer);
    let lost = terminal.wait_for_all(&["connection lost", "trying again: "]);
    assert!(lost.contains("/shop"), "the last numbers stay:\n{lost}");
    let played = Played::come_back(kept);
    let mut viewer = played.accept();
    viewer.send(&snapshot(8, 5));
    terminal.wait_until("new numbers alone", |screen| {
        let shown = screen.text();
        let is_new = shown.contains("process 8") && shown.contains("– requests/s");
        is_new && !shown.contains("lost")
    });
    played.go();
    drop(viewer);
    terminal.wait_for("connection lost");
    terminal.press("q");
    let (status, screen) = terminal.wait();
    assert!(status.success(), "{status}");
    assert!(
        screen.contains("the connection to the server was lost"),
        "{screen}"
    );
}

#[test]
fn a_response_that_is_cut_is_a_lost_connection() {
    let (_played, mut viewer, terminal) = shown(&[], |_| {});
    viewer.write("ff\r\nevent: snapshot\ndata: {\"requests\"");
    drop(viewer);
    terminal.wait_for("the server has cut the connection");
}

#[test]
fn names_of_others_control_nothing() {
    let (_played, mut viewer, terminal) = shown(&[], |_| {});
    let mut hostile = snapshot(7, 2);
    hostile["series"][0]["route"] = json!("/\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}2J");
    hostile["reloads"] =
        json!([{ "time_ms": 1, "outcome": "applied", "message": "\u{1b}c\u{202e}" }]);
    viewer.send(&hostile);
    terminal.wait_for("/\u{fffd}]0;owned\u{fffd}");
    terminal.wait_until("only harmless octets", |screen| {
        let written = String::from_utf8_lossy(&screen.written);
        !["\x1b]", "\x07", "\u{9b}", "\x1bc", "\u{202e}", "\x1b[31m"]
            .iter()
            .any(|harmful| written.contains(harmful))
    });
}

#[test]
fn no_color_is_heeded() {
    let (_played, _viewer, terminal) = shown(&[], |_| {});
    terminal.wait_until("colours", |screen| screen.has_colours);
    let without = |command: &mut Command| {
        command.env("NO_COLOR", "1");
    };
    let (_played, _viewer, mut terminal) = shown(&[], without);
    terminal.press("q");
    terminal.wait_until("no colours", |screen| {
        screen.is_closed && !screen.has_colours
    });
}

#[test]
fn without_a_terminal_it_names_what_needs_none() {
    let site = Site::new("'/' = { respond = 'ok' }");
    let refusal = ended_with(1, &site.command_line(&["top"]));
    assert!(refusal.contains("`tidegate top --once`"), "{refusal}");
    let mut command = site.command_for(&["top"]);
    command.env("TERM", "dumb");
    let terminal = Terminal::run(&command, 80, 24);
    let (status, screen) = terminal.wait();
    assert_eq!(status.code(), Some(1));
    assert!(screen.contains("TERM says"), "{screen}");
}

#[test]
fn without_a_server_it_says_so_as_other_commands_do() {
    let site = Site::new("'/' = { respond = 'ok' }");
    for arguments in [&["top", "--once"][..], &["top"]] {
        let terminal = Terminal::run(&site.command_for(arguments), 80, 24);
        let (status, screen) = terminal.wait();
        assert_eq!(status.code(), Some(1));
        assert!(screen.contains("no server runs from"), "{screen}");
    }
}

#[test]
fn once_prints_one_table_and_ends() {
    let played = Played::start();
    let mut command = played.top(&["-b", "--tab", "routes"]);
    let printed = std::thread::spawn(move || command.output().expect("it runs"));
    let mut viewer = played.accept();
    viewer.send(&snapshot(7, 0));
    viewer.send(&snapshot(7, 1));
    let text = ended_with(0, &printed.join().expect("it ends"));
    assert!(text.contains("100 requests/s"), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("/shop ")),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text}");
}

/// A server with a route whose upstream nobody is.
fn real() -> Server {
    let routes = "'/' = { respond = 'ok' }\n'= /gone' = { proxy = 'http://127.0.0.1:1' }";
    Site::new(routes).top("workers = 1").start()
}

/// Waits for a row that begins with `name` and ends with `total`.
fn wait_for_row(terminal: &Terminal, name: &str, total: &str) -> String {
    let is_row = |line: &str| {
        let mut words = line.split_whitespace();
        line.starts_with(name) && words.next_back() == Some(total)
    };
    terminal.wait_until(&format!("{name} … {total}"), |screen| {
        screen.text().lines().any(is_row)
    })
}

#[test]
fn the_running_server_is_shown() {
    let server = real();
    let mut terminal = Terminal::run(&server.command_for(&["top"]), 120, 30);
    terminal.wait_for(&format!("process {}", server.id()));
    for _ in 0..3 {
        server.get("/");
        server.get("/gone");
    }
    wait_for_row(&terminal, "/ ", "3");
    let routes = wait_for_row(&terminal, "= /gone", "3");
    assert!(routes.contains("ready"), "{routes}");
    terminal.press("2");
    terminal.wait_for("127.0.0.1:1 ");
    terminal.press("3");
    terminal.wait_for("LOOP DELAY");
    wait_for_row(&terminal, "0 ", "6");
    terminal.press("4");
    terminal.wait_for_all(&["PATH", "/gone", "upstream_connect_refused"]);
    terminal.press("5");
    terminal.wait_for_all(&["REASON OR END", "upstream_connect_refused", "answered"]);
    terminal.press("q");
    assert!(terminal.wait().0.success());
}

#[test]
fn reloads_are_shown_and_so_is_the_next_process() {
    let server = real();
    let terminal = Terminal::run(&server.command_for(&["top"]), 120, 30);
    terminal.wait_for("no reload yet");
    ended_with(0, &server.command_line(&["reload"]));
    let applied = terminal.wait_for(": reloaded: generation 2");
    assert!(applied.contains("generation 2 since"), "{applied}");
    server.directory().replace("config.toml", "nonsense");
    ended_with(1, &server.command_line(&["reload"]));
    terminal.wait_for(" refused: ");
    server.configure(
        "[[server]]\nlisten = \"127.0.0.1:0\"\n[server.routes]\n\"/\" = { respond = \"ok\" }\n",
    );
    let first = server.id();
    let server = server.kill_and_start_again();
    assert_ne!(server.id(), first);
    let process = format!("process {}", server.id());
    terminal.wait_for_all(&[&process, "no reload yet"]);
    let id = server.id();
    server.stop();
    let lost = terminal.wait_for("connection lost");
    assert!(lost.contains(&format!("process {id}")), "{lost}");
}

#[test]
fn once_prints_the_running_server() {
    let server = real();
    server.get("/");
    let text = ended_with(0, &server.command_line(&["top", "--once"]));
    let row = text.lines().find(|line| line.starts_with("/ "));
    assert!(row.expect("the route").ends_with(" 1"), "{text}");
    let text = ended_with(
        0,
        &server.command_line(&["top", "--once", "--tab", "failures"]),
    );
    assert!(text.lines().count() > 5, "{text}");
    assert!(text.contains("no exchange has failed"), "{text}");
}
