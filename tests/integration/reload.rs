//! Reload: a server changes its configuration while clients use it, and no exchange suffers.
//!
//! Every generation answers with its number, in a field and in the content. So a test sees a response
//! that two generations made together, or that a refused one made.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::support::{Client, Response, Server, Site, ended_with, pattern, speak_plainly, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const UPLOAD: &str =
    "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n";

/// A file of [`pattern`], in each of these sites.
const FILE_LENGTH: usize = 8 * 1024;

/// A configuration whose responses all carry `number`.
fn numbered(number: u64, top: &str, listen: &str, routes: &str) -> String {
    format!(
        "grace = '60s'\n{top}\n[log]\naccess = false\n[[server]]\nlisten = [{listen}]\n\
         headers = {{ X-Generation = '{number}' }}\n[server.routes]\n'/' = {{ respond = '{number}' }}\n\
         '/files' = {{ files = 'www', strip_prefix = true }}\n{routes}\n"
    )
}

const FIRST: &str = "'127.0.0.1:0'";
/// The same address, and another.
const BOTH: &str = "'127.0.0.1:0', '127.0.0.2:0'";
const ECHO: &str = "'/echo' = { echo = true }";

fn start(configuration: &str) -> Server {
    let site = Site::configured(configuration);
    site.file("file.bin", pattern(0, FILE_LENGTH)).start()
}

/// The number of the generation that made a response.
fn generation_of(response: &Response) -> u64 {
    let number = response.field("X-Generation").expect("every answer has it");
    number.parse().expect("a number")
}

/// Reloads the server with `configuration`, which is good. Returns what `tidegate reload` prints.
fn reload(server: &Server, configuration: &str) -> String {
    server.configure(configuration);
    ended_with(0, &server.command_line(&["reload"]))
}

/// Reloads the server with `configuration`, which it must refuse. Returns what `tidegate reload` prints.
fn refuse(server: &Server, configuration: &str) -> String {
    server.configure(configuration);
    ended_with(1, &server.command_line(&["reload"]))
}

fn running_generation(server: &Server) -> u64 {
    let status = server.status();
    status["generation"]["number"].as_u64().expect("a number")
}

/// What the threads of clients and the thread of reloads share.
#[derive(Default)]
struct Course {
    /// The number of a generation that every worker has adopted: no exchange that begins now may have a
    /// lower one.
    applied: AtomicU64,
    /// The number of the newest configuration: no exchange may have a higher one.
    written: AtomicU64,
    is_over: AtomicBool,
}

impl Course {
    fn starting_at(number: u64) -> Self {
        Self {
            applied: number.into(),
            written: number.into(),
            is_over: false.into(),
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Makes one exchange, for the number or for the file; `last` is the number that the connection saw
    /// before.
    fn exchange(&self, client: &mut Client, last: &mut u64, is_for_file: bool) {
        let oldest = self.applied.load(Ordering::SeqCst).max(*last);
        let path = if is_for_file { "/files/file.bin" } else { "/" };
        let response = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let newest = self.written.load(Ordering::SeqCst);
        let number = generation_of(&response);
        assert_eq!(response.status, 200, "{path}");
        assert!(
            (oldest..=newest).contains(&number),
            "{number} is not in {oldest}..={newest}"
        );
        assert!(!response.says_close(), "the connection was to persist");
        if is_for_file {
            assert!(response.content == pattern(0, FILE_LENGTH), "other bytes");
        } else {
            assert_eq!(response.text(), number.to_string(), "of two generations");
        }
        *last = number;
    }

    /// Makes exchanges on `count` connections to `address` in turn, until the reloads are over and each
    /// connection has seen the last generation.
    fn hold(&self, address: SocketAddr, count: usize) {
        let mut clients: Vec<_> = (0..count).map(|_| (Client::connect(address), 0)).collect();
        let mut is_last_round = false;
        while !is_last_round {
            is_last_round = self.is_over();
            for (index, (client, last)) in clients.iter_mut().enumerate() {
                self.exchange(client, last, index % 2 == 0);
                self.exchange(client, last, index % 2 == 1);
            }
        }
    }

    /// Uses one connection after the other, each for a few exchanges: a connection for each exchange would
    /// use up the ports.
    fn come_and_go(&self, address: SocketAddr) {
        while !self.is_over() {
            let (mut client, mut last) = (Client::connect(address), 0);
            for _ in 0..32 {
                self.exchange(&mut client, &mut last, false);
            }
        }
    }

    /// Reloads once for each of `numbers`, a good configuration and a bad one alternating.
    fn reload(&self, server: &Server, numbers: Range<u64>, good: impl Fn(u64) -> String) {
        let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let taken = held.local_addr().expect("it is bound");
        for number in numbers {
            if number % 2 == 0 {
                self.written.store(number, Ordering::SeqCst);
                reload(server, &good(number));
                self.applied.store(number, Ordering::SeqCst);
            } else {
                refuse(server, &bad(number, taken));
            }
        }
    }
}

/// A configuration that cannot run, for one of three reasons, which depends on `number`.
fn bad(number: u64, taken: SocketAddr) -> String {
    match number / 2 % 3 {
        0 => numbered(number, "", FIRST, "'/x' = { files = "),
        1 => numbered(number, "", FIRST, "'/x' = { files = 'gone' }"),
        _ => numbered(number, "", &format!("{FIRST}, '{taken}'"), ""),
    }
}

/// Runs 200 connections in 8 threads, and two clients that connect anew again and again, while the
/// server is reloaded with `good` configurations, from number 0 on, and with bad ones.
fn reload_under_load(reloads: u64, good: impl Fn(u64) -> String) {
    let server = start(&good(0));
    let course = Course::starting_at(0);
    thread::scope(|scope| {
        let holders: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| course.hold(server.address(), 25)))
            .chain((0..2).map(|_| scope.spawn(|| course.come_and_go(server.address()))))
            .collect();
        until("all are connected", || {
            let status = server.status();
            let open = status["connections"]["open"].as_u64().expect("a number");
            (open >= 200 || holders.iter().any(|holder| holder.is_finished())).then_some(())
        });
        course.reload(&server, 1..reloads + 1, &good);
        course.is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(running_generation(&server), 1 + reloads / 2);
}

#[test]
fn two_hundred_connections_do_not_notice_a_hundred_reloads() {
    reload_under_load(100, |number| match number / 2 % 2 {
        0 => numbered(number, "workers = 2", FIRST, ECHO),
        _ => numbered(
            number,
            "workers = 2",
            BOTH,
            "'= /new' = { respond = 'new' }",
        ),
    });
}

#[test]
fn two_hundred_connections_do_not_notice_that_workers_come_and_go() {
    const WORKERS: [u64; 6] = [1, 4, 2, 3, 1, 2];
    reload_under_load(60, |number| {
        let workers = WORKERS[number as usize / 2 % WORKERS.len()];
        numbered(number, &format!("workers = {workers}"), FIRST, ECHO)
    });
}

/// The number of workers, retired ones included.
fn workers(server: &Server) -> u64 {
    server.status()["workers"].as_u64().expect("a number")
}

#[test]
fn a_worker_too_many_ends_with_its_last_connection() {
    let with_workers =
        |number, workers| numbered(number, &format!("workers = {workers}"), FIRST, ECHO);
    let server = start(&with_workers(1, 2));
    let connect = || {
        // As many connections as it takes for each worker to have some.
        let mut clients: Vec<_> = (0..48).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.exchange(GET).status, 200);
        }
        clients
    };
    let mut first = connect();
    reload(&server, &with_workers(2, 1));
    assert_eq!(workers(&server), 2, "one serves what it has");
    reload(&server, &with_workers(3, 2));
    for client in &mut first {
        assert_eq!(generation_of(&client.exchange(GET)), 3);
    }
    let mut second = connect();
    assert_eq!(workers(&server), 3);
    drop(first);
    until("the surplus worker ends", || {
        (workers(&server) == 2).then_some(())
    });
    for client in &mut second {
        assert_eq!(generation_of(&client.exchange(GET)), 3);
    }
    let open = &server.status()["connections"]["open"];
    assert_eq!(*open, second.len(), "the command that asks is no client");
}

#[test]
fn a_unix_listener_outlives_a_change_of_workers() {
    let listen = format!("{FIRST}, 'unix:www.sock'");
    let with_workers =
        |workers: u64| numbered(workers, &format!("workers = {workers}"), &listen, "");
    let server = start(&with_workers(4));
    let path = server.directory().join("www.sock");
    let mut held = crate::support::UnixClient::connect(&path);
    for workers in [1, 2, 4, 3, 1] {
        reload(&server, &with_workers(workers));
        assert_eq!(generation_of(&held.exchange("GET", "/")), workers);
        for _ in 0..8 {
            let mut client = crate::support::UnixClient::connect(&path);
            assert_eq!(generation_of(&client.exchange("GET", "/")), workers);
        }
    }
}

#[test]
fn a_download_goes_on() {
    let length: u64 = 1 << 30;
    let server = start(&numbered(1, "workers = 2", FIRST, ECHO));
    let file = std::fs::File::create(server.directory().join("www/large.bin"));
    let file = file.expect("the directory is ours");
    file.set_len(length).expect("a sparse file takes no room");
    let mut client = server.connect();
    client.send("GET /files/large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.content_length(), usize::try_from(length).ok());
    for number in 2..6 {
        // The next configuration has no such route, and fewer workers or more.
        let top = format!("workers = {}", number % 3 + 1);
        let routes = numbered(number, &top, FIRST, ECHO).replace("'/files'", "'/other'");
        reload(&server, &routes);
        client.expect_zeros(length / 8);
    }
    client.expect_zeros(length / 2);
    assert_eq!(generation_of(&client.exchange(GET)), 5);
}

#[test]
fn an_upload_goes_on_in_the_generation_it_began_with() {
    let server = start(&numbered(1, "workers = 2", FIRST, ECHO));
    let mut client = server.connect();
    client.send(UPLOAD);
    assert_eq!(client.response().status, 100);
    for number in 2..5 {
        reload(&server, &numbered(number, "workers = 1", FIRST, ""));
        client.send("Hello");
    }
    let response = client.response();
    assert_eq!(response.json()["content"], "HelloHelloHello");
    assert_eq!(generation_of(&response), 1);
    assert!(!response.says_close());
    assert_eq!(generation_of(&client.exchange(GET)), 4);
}

#[test]
fn a_pipelined_burst_is_answered_in_order() {
    speak_plainly();
    const COUNT: usize = 4096;
    let server = start(&numbered(1, "workers = 1", FIRST, ""));
    let mut client = server.connect();
    // The responses are more than sockets hold: many are still to be sent when the reloads are done.
    let burst = "GET /files/file.bin HTTP/1.1\r\nHost: h\r\n\r\n".repeat(COUNT) + GET;
    thread::scope(|scope| {
        let mut sender = client
            .stream()
            .try_clone()
            .expect("there is a descriptor left");
        scope.spawn(move || std::io::Write::write_all(&mut sender, burst.as_bytes()));
        let mut last = generation_of(&expect_file(client.response()));
        for number in 2..5 {
            reload(&server, &numbered(number, "workers = 1", FIRST, ""));
            refuse(&server, "nonsense");
        }
        for _ in 1..COUNT {
            let number = generation_of(&expect_file(client.response()));
            assert!(number >= last, "{number} comes behind {last}");
            last = number;
        }
        let response = client.response();
        assert_eq!(
            (generation_of(&response), response.text()),
            (4, "4".to_owned())
        );
    });
}

fn expect_file(response: Response) -> Response {
    assert_eq!(response.status, 200);
    assert!(response.content == pattern(0, FILE_LENGTH), "other bytes");
    response
}

#[test]
fn a_listener_that_goes_drains_alone() {
    let server = start(&numbered(1, "workers = 2", BOTH, ECHO));
    let going = until("both addresses", || server.addresses_at("127.0.0.2").pop());
    let staying = until("both addresses", || server.addresses_at("127.0.0.1").pop());
    let mut stays = Client::connect(staying);
    assert_eq!(stays.exchange(GET).status, 200);
    let mut idle: Vec<_> = (0..8).map(|_| Client::connect(going)).collect();
    for client in &mut idle {
        assert_eq!(client.exchange(GET).status, 200);
    }
    let mut busy = Client::connect(going);
    busy.send(UPLOAD);
    assert_eq!(busy.response().status, 100);
    let report = reload(&server, &numbered(2, "workers = 2", FIRST, ECHO));
    assert!(report.contains("listener 127.0.0.2:0 removed"), "{report}");
    // They were closed at once, and a request that was on its way was lost.
    for client in &mut idle[..4] {
        let last = client.last_response_to(GET);
        assert_eq!((last.status, generation_of(&last)), (200, 1));
        assert!(last.says_close(), "{last:?}");
    }
    for client in &mut idle[4..] {
        client.expect_end();
    }
    let refused = Client::try_connect(going)
        .err()
        .expect("no server listens there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    busy.send("HelloHelloHello");
    let last = busy.last_response();
    assert_eq!((last.status, generation_of(&last)), (200, 1));
    assert!(
        last.says_close(),
        "it is told that this was the last answer"
    );
    let response = stays.exchange(GET);
    assert_eq!(generation_of(&response), 2);
    assert!(!response.says_close());
}

#[test]
fn a_listener_may_come_and_move_between_servers() {
    speak_plainly();
    let server = start(&numbered(1, "", FIRST, ""));
    let mut client = server.connect();
    let report = reload(&server, &numbered(2, "", BOTH, ""));
    assert!(report.contains("listener 127.0.0.2:0 added"), "{report}");
    server.wait_for_line(|line| line.contains("listening at http://127.0.0.2:"));
    let second = server.addresses_at("127.0.0.2").pop().expect("announced");
    let mut other = Client::connect(second);
    assert_eq!(generation_of(&other.exchange(GET)), 2);
    let moved = format!(
        "{}[[server]]\nlisten = '127.0.0.2:0'\n[server.routes]\n'/' = {{ respond = 'moved' }}\n",
        numbered(3, "", FIRST, "")
    );
    reload(&server, &moved);
    assert_eq!(other.exchange(GET).text(), "moved");
    assert_eq!(client.exchange(GET).text(), "3");
    assert_eq!(Client::connect(second).exchange(GET).text(), "moved");
}

#[test]
fn a_refusal_changes_nothing_and_says_why() {
    let server = start(&numbered(1, "", FIRST, ""));
    let mut client = server.connect();
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = held.local_addr().expect("it is bound").to_string();
    let with_taken = numbered(2, "workers = 3", &format!("{BOTH}, '{taken}'"), "");
    for (configuration, reason) in [
        ("[[server]\n".to_owned(), "config.toml:1"),
        (numbered(2, "", FIRST, "'/x' = { files = 'gone' }"), "gone`"),
        (
            numbered(2, "", FIRST, "'/x' = { fiels = 'www' }"),
            "did you mean `files`?",
        ),
        (with_taken, taken.as_str()),
        (String::new(), "[[server]]"),
    ] {
        let report = refuse(&server, &configuration);
        for part in [reason, "nothing was changed"] {
            assert!(report.contains(part), "{part} in {report}");
        }
        assert_eq!(running_generation(&server), 1);
        assert_eq!(client.exchange(GET).text(), "1");
    }
    assert_eq!(
        server.status()["listeners"],
        serde_json::json!([server.address().to_string()])
    );
    let report = reload(&server, &numbered(2, "", FIRST, ""));
    assert!(report.contains("reloaded: generation 2"), "{report}");
    assert_eq!(client.exchange(GET).text(), "2");
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let server = start(&numbered(1, "", FIRST, ""));
    let mut control = server.control();
    let file = server.directory().join("config.toml");
    let mut expect_refusal = |what: &str| {
        let response = control.exchange("POST", "/reload");
        assert_eq!(response.status, 422, "{what}");
        assert_eq!(response.json()["applied"], false, "{what}");
    };
    server.configure(b"# \xff\n");
    expect_refusal("invalid UTF-8");
    std::fs::remove_file(&file).expect("it is there");
    expect_refusal("a missing file");
    std::fs::create_dir(&file).expect("it was removed");
    expect_refusal("a directory");
    assert_eq!(server.get("/").text(), "1");
}

#[test]
fn sighup_is_the_same_path() {
    let server = start(&numbered(1, "", FIRST, ""));
    let mut client = server.connect();
    assert_eq!(client.exchange(GET).text(), "1");
    server.configure("nonsense");
    server.signal(Signal::HUP);
    server.wait_for_line(|line| line.contains("reload refused"));
    assert_eq!(client.exchange(GET).text(), "1");
    server.configure(numbered(2, "", FIRST, ""));
    server.signal(Signal::HUP);
    server.wait_for_line(|line| line.contains("reloaded: generation 2"));
    server.wait_for_line(|line| line.contains("route /: respond 1 → 2"));
    assert_eq!(client.exchange(GET).text(), "2");
}

#[test]
fn what_changed_is_told_in_the_terms_of_the_file() {
    let server = start(&numbered(1, "workers = 1", FIRST, ""));
    let report = reload(&server, &numbered(1, "workers = 1", FIRST, ""));
    assert!(report.contains("nothing changed"), "{report}");
    let top = "workers = 2\nblocking = { threads = 3 }";
    let report = reload(&server, &numbered(1, top, FIRST, ECHO));
    for part in [
        "needs a restart: blocking",
        "workers 1 → 2",
        "route /echo added",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    let report = reload(&server, &numbered(1, top, FIRST, ECHO));
    assert!(
        report.contains("needs a restart: blocking"),
        "it still does: {report}"
    );
}

#[test]
fn without_a_confirmation_what_ran_before_returns() {
    let server = start(&numbered(1, "", FIRST, ""));
    let mut client = server.connect();
    let on_trial = |number, time| {
        server.configure(numbered(number, "", FIRST, ""));
        ended_with(0, &server.command_line(&["reload", "--confirm", time]))
    };
    on_trial(2, "1h");
    assert_eq!(client.exchange(GET).text(), "2");
    assert_eq!(
        server.status()["generation"]["waits_for_confirmation"],
        true
    );
    // During a trial there are another one and a refused reload: the server still goes back to the
    // configuration that was confirmed last.
    on_trial(3, "300ms");
    refuse(&server, "nonsense");
    server.wait_for_line(|line| line.contains("was not confirmed"));
    assert_eq!(client.exchange(GET).text(), "1");
    assert_eq!(
        server.status()["generation"]["waits_for_confirmation"],
        false
    );
    let refusal = ended_with(1, &server.command_line(&["confirm"]));
    assert!(refusal.contains("nothing waits"), "{refusal}");
}

/// Such a reload began a trial, whose end warned that it was taken back, and nothing was another afterwards.
#[test]
fn a_reload_that_changes_nothing_is_no_trial() {
    let server = start(&numbered(1, "", FIRST, ""));
    let on_trial = || ended_with(0, &server.command_line(&["reload", "--confirm", "1h"]));
    let waits = || server.status()["generation"]["waits_for_confirmation"] == true;
    let told = on_trial();
    assert!(told.contains("so there is nothing to confirm"), "{told}");
    assert!(!told.contains("is taken back") && !waits(), "{told}");
    // Once: a script that confirms each of its reloads succeeds.
    let confirm = || server.command_line(&["confirm"]);
    assert!(ended_with(0, &confirm()).contains("nothing had to be confirmed"));
    ended_with(1, &confirm());
    server.configure(numbered(2, "", FIRST, ""));
    let told = on_trial();
    assert!(told.contains("it is taken back in 3600s"), "{told}");
    let told = on_trial();
    assert!(told.contains("it is taken back in 3600s"), "{told}");
    assert!(waits(), "the trial goes on");
}

#[test]
fn status_tells_when_the_file_is_not_what_runs() {
    let server = start(&numbered(1, "", FIRST, ""));
    let told = |expected: Option<&str>| {
        let text = ended_with(0, &server.command_line(&["status"]));
        let sought = expected.map_or("whose last reload", |_| "config.toml, whose last reload");
        assert_eq!(text.contains(sought), expected.is_some(), "{text}");
        let word = server.status()["last_reload"].clone();
        assert_eq!(word, expected.unwrap_or("applied"));
        assert!(text.contains(expected.unwrap_or("config.toml")), "{text}");
    };
    told(None);
    refuse(&server, "nonsense");
    told(Some("refused"));
    server.configure(numbered(2, "", FIRST, ""));
    ended_with(0, &server.command_line(&["reload", "--confirm", "300ms"]));
    server.wait_for_line(|line| line.contains("was not confirmed"));
    told(Some("taken back"));
    reload(&server, &numbered(3, "", FIRST, ""));
    told(None);
}

#[test]
fn a_confirmation_keeps_what_was_reloaded() {
    let server = start(&numbered(1, "", FIRST, ""));
    server.configure(numbered(2, "", FIRST, ""));
    ended_with(0, &server.command_line(&["reload", "--confirm", "1h"]));
    let answer = ended_with(0, &server.command_line(&["confirm"]));
    assert!(answer.contains("generation 2 stays"), "{answer}");
    assert_eq!(
        server.status()["generation"]["waits_for_confirmation"],
        false
    );
    ended_with(1, &server.command_line(&["confirm"]));
    assert_eq!(server.get("/").text(), "2");
}

/// A hook that reloads, or an upgrade, made what was on trial stay, and said nothing.
#[test]
fn a_trial_does_not_end_unnoticed() {
    let server = start(&numbered(1, "", FIRST, ""));
    let waits = || server.status()["generation"]["waits_for_confirmation"] == true;
    server.configure(numbered(2, "", FIRST, ""));
    ended_with(0, &server.command_line(&["reload", "--confirm", "1h"]));
    let told = ended_with(1, &server.command_line(&["upgrade"]));
    assert!(told.contains("`tidegate confirm` keeps it"), "{told}");
    let told = ended_with(0, &server.command_line(&["reload"]));
    assert!(told.contains("is still taken back unless"), "{told}");
    assert!(waits());
    server.configure(numbered(3, "", FIRST, ""));
    let told = ended_with(0, &server.command_line(&["reload"]));
    assert!(told.contains("this ends the reload on trial"), "{told}");
    assert!(!waits());
    ended_with(0, &server.command_line(&["upgrade"]));
    crate::upgrade::stop(server);
}

#[test]
fn a_trial_returns_a_listener_that_was_removed() {
    let server = start(&numbered(1, "", BOTH, ""));
    server.configure(numbered(2, "", FIRST, ""));
    ended_with(0, &server.command_line(&["reload", "--confirm", "300ms"]));
    server.wait_for_line(|line| line.contains("was not confirmed"));
    let addresses = server.addresses_at("127.0.0.2");
    assert_eq!(addresses.len(), 2, "it is announced again");
    let mut client = Client::connect(addresses[1]);
    assert_eq!(client.exchange(GET).text(), "1");
}

#[test]
fn a_thousand_reloads_leave_nothing_behind() {
    /// How much the memory in use may differ: an allocator keeps some of what is freed.
    const SLACK: u64 = 2 << 20;
    let server = start(&numbered(0, "workers = 2", FIRST, ECHO));
    let mut client = server.connect();
    let mut control = server.control();
    let mut reload = |number: u64| {
        let configuration = match number % 3 {
            0 => numbered(number, "workers = 2", FIRST, ECHO),
            1 => numbered(number, "workers = 2", BOTH, "'/new' = { files = '.' }"),
            _ => bad(number, server.address()),
        };
        server.configure(configuration);
        let status = control.exchange("POST", "/reload").status;
        assert_eq!(status, if number % 3 == 2 { 422 } else { 200 });
        assert_eq!(expect_file(client.exchange(FILE)).status, 200);
    };
    (1..=12).for_each(&mut reload);
    let (memory, descriptors) = (memory(&server), descriptors(&server));
    (13..=999).for_each(&mut reload);
    // A worker closes the listeners that it no longer has in a turn of its loop.
    until("no more descriptors than after 12", || {
        (self::descriptors(&server) <= descriptors).then_some(())
    });
    let grown = self::memory(&server).saturating_sub(memory);
    assert!(grown < SLACK, "{grown} octets more");
}

#[test]
fn a_cache_outlives_what_does_not_touch_its_route() {
    let route = |options| {
        format!("'/cached' = {{ files = 'www', strip_prefix = true, revalidate = '1h'{options} }}")
    };
    let with = |number, options| numbered(number, "workers = 1", FIRST, &route(options));
    let server = start(&with(1, ""));
    let expect = |number, text| {
        let response = server.get("/cached/a.txt");
        assert_eq!(
            (generation_of(&response), response.text().as_str()),
            (number, text)
        );
    };
    server.directory().write("www/a.txt", "first");
    expect(1, "first");
    server.directory().write("www/a.txt", "second");
    expect(1, "first");
    reload(&server, &with(2, ""));
    expect(2, "first");
    refuse(&server, "nonsense");
    expect(2, "first");
    reload(&server, &with(3, ", listing = true"));
    expect(3, "second");
}

#[test]
fn an_operator_is_told_of_a_reload_in_vain_after_stop() {
    let mut server = start(&numbered(1, "", FIRST, ECHO));
    let mut control = server.control();
    let mut busy = server.connect();
    busy.send(UPLOAD);
    assert_eq!(busy.response().status, 100);
    // Both commands are on their way when the server answers the first; the second is too late.
    control.send("POST /stop HTTP/1.1\r\nHost: h\r\n\r\nPOST /reload HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(control.response().status, 202);
    server.wait_for_line(|line| line.contains("stopping"));
    let refusal = ended_with(1, &server.command_line(&["reload"]));
    assert!(refusal.contains("no server runs from"), "{refusal}");
    busy.send("HelloHelloHello");
    let last = busy.last_response();
    assert_eq!((last.status, generation_of(&last)), (200, 1));
    drop((busy, control));
    assert_eq!(server.wait().expect("it is our own child").code(), Some(0));
}

const FILE: &str = "GET /files/file.bin HTTP/1.1\r\nHost: h\r\n\r\n";

/// How many descriptors the server has open.
fn descriptors(server: &Server) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", server.id()));
    entries.expect("a process has descriptors").count()
}

/// The octets of memory that the server has in use.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("a process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.expect("one of them").trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().expect("a number") * 1024
}
