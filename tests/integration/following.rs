//! Exchanges as they are seen while the server runs: followers, what they lose, and the last failures.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Server, Site, UnixClient, ended_with, speak_plainly, until};

fn site() -> Site {
    let routes = "'/' = { files = 'www' }\n'/api' = { respond = 'ok' }\n'= /api/own' = { respond = 'own' }\n\
        '/echo' = { echo = true }\n'/fails' = { respond = 'no', status = 503 }";
    Site::new(routes).top("workers = 2\ngrace = '60s'\ntrusted_proxies = ['127.0.0.1']")
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A client of the control socket that follows.
struct Following(UnixClient);

impl Following {
    /// Every exchange that begins after this is followed.
    fn of(server: &Server, query: &str) -> Self {
        let mut client = server.control();
        client.send(format!(
            "GET /exchanges?{query} HTTP/1.1\r\nHost: h\r\n\r\n"
        ));
        let head = client.response_head();
        assert_eq!(head.status, 200, "{query}");
        assert_eq!(head.field("Cache-Control"), Some("no-store"));
        Self(client)
    }

    /// The next lines, `count` of them.
    fn lines(&mut self, count: usize) -> Vec<String> {
        let mut text = String::new();
        while text.lines().count() < count {
            let chunk = self.0.chunk().expect("more lines");
            text += str::from_utf8(&chunk).expect("lines are text");
        }
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count, "{lines:?}");
        lines
    }

    /// What is left, up to the end.
    fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(chunk) = self.0.chunk() {
            rest.extend(chunk);
        }
        let text = String::from_utf8(rest).expect("lines are text");
        text.lines().map(str::to_owned).collect()
    }
}

/// `tidegate log` beside the server.
struct Command(Child);

impl Command {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut command = server.command_for(&[&["log"], arguments].concat());
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the program runs"))
    }

    /// Asks for `/before` until the command has told of it.
    fn wait_until_it_follows(&mut self, server: &Server) -> impl Iterator<Item = String> + use<> {
        let output = self.0.stdout.take().expect("it is piped");
        let mut output = BufReader::new(output);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            let read = output.read_line(&mut line);
            read.expect("lines are text");
            (line, output)
        });
        until("it follows", || {
            server.get("/api/before");
            reader.is_finished().then_some(())
        });
        let (line, output) = reader.join().expect("it reads");
        assert!(line.contains("/api/before"), "{line:?}");
        let lines = output.lines().map_while(Result::ok);
        lines.filter(|line| !line.contains("/api/before"))
    }

    /// Waits for its end. Returns its status, and what it wrote on standard error.
    fn end(self) -> (Option<i32>, String) {
        let output = self.0.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    }
}

#[test]
fn a_server_without_an_access_log_is_followed() {
    let server = site().file("a.txt", "content").start();
    let mut readable = Following::of(&server, "");
    let mut common = Following::of(&server, "format=common");
    let mut json = Following::of(&server, "format=json");
    let mut template = Following::of(&server, "format=%7Bstatus%7D+%7Bpath%7D+%7Broute%7D");
    server.get("/a.txt?b");
    let lines = readable.lines(1);
    let (time, rest) = lines[0].split_at(20);
    assert!(
        time.ends_with(' ') && time.as_bytes()[15] == b'.',
        "{time:?}"
    );
    assert!(rest.starts_with("200 GET h/a.txt?b "), "{rest:?}");
    assert!(rest.ends_with("s 7B 127.0.0.1"), "{rest:?}");
    let lines = common.lines(1);
    assert!(
        lines[0].ends_with("\"GET /a.txt?b HTTP/1.1\" 200 7"),
        "{lines:?}"
    );
    let line: serde_json::Value = serde_json::from_str(&json.lines(1)[0]).expect("JSON");
    assert_eq!(
        (&line["target"], &line["route"]),
        (&"/a.txt?b".into(), &"/".into())
    );
    assert_eq!(template.lines(1), ["200 /a.txt /"]);
}

/// Makes exchanges that differ in all that can be filtered.
fn make_various_exchanges(server: &Server) {
    for (target, lines) in [
        ("/api/a", "X-Forwarded-For: 192.0.2.7\r\n"),
        ("/api/own", ""),
        ("/none", ""),
        ("/fails", "X-Forwarded-For: 198.51.100.1\r\n"),
    ] {
        server.get_with(target, lines);
    }
    server.answer("GET /api/b HTTP/1.1\r\nHost: Other:8080\r\n\r\n");
    let mut slow = server.connect();
    slow.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    );
    assert_eq!(slow.response().status, 100);
    let started = Instant::now();
    until("it is slow", || {
        server.status();
        (started.elapsed() > Duration::from_millis(120)).then_some(())
    });
    assert_eq!(slow.exchange("a").status, 200);
}

#[test]
fn each_filter_takes_what_it_says() {
    let server = site().start();
    let all = ["/api/a", "/api/own", "/none", "/fails", "/api/b", "/echo"];
    let expected: &[(&str, &[&str])] = &[
        ("", &all),
        ("status=404", &["/none"]),
        ("status=4xx,5xx", &["/none", "/fails"]),
        ("status=404&status=503", &["/none", "/fails"]),
        // The key of a route, though other routes are below it.
        ("route=/api", &["/api/a", "/api/b"]),
        // The key of no route.
        ("route=/api/a", &["/api/a"]),
        ("route=%3D+/api/own&route=/none", &["/api/own", "/none"]),
        (
            "host=h",
            &["/api/a", "/api/own", "/none", "/fails", "/echo"],
        ),
        ("host=other", &["/api/b"]),
        ("host=OTHER,nowhere", &["/api/b"]),
        ("method=post", &["/echo"]),
        ("client=192.0.2.7", &["/api/a"]),
        ("client=192.0.2.0/24,198.51.100.0/24", &["/api/a", "/fails"]),
        ("reason=file_missing", &["/none"]),
        ("slower=100ms", &["/echo"]),
        ("status=2xx&route=/api&client=127.0.0.0/8", &["/api/b"]),
    ];
    let path = "format=%7Bpath%7D";
    let follow = |query: &str| Following::of(&server, &format!("{query}&{path}"));
    let mut followers: Vec<Following> = expected.iter().map(|(query, _)| follow(query)).collect();
    make_various_exchanges(&server);
    server.signal(Signal::TERM);
    for (follower, (query, expected)) in followers.iter_mut().zip(expected) {
        let mut lines = follower.rest();
        // Several workers have answered.
        lines.sort_by_key(|line| all.iter().position(|target| target == line));
        assert_eq!(lines, *expected, "{query}");
    }
}

#[test]
fn what_is_not_known_is_refused_with_a_sentence() {
    let server = site().start();
    for (arguments, part) in [
        (
            &["--status", "6xx"][..],
            "error: `status`: `6xx` is no status; write 404 or 5xx",
        ),
        (&["-f", "--reason", "rain"], "`tidegate reasons` lists them"),
        (
            &["-f", "--format", "{moon}"],
            "`{moon}` is no variable of the log",
        ),
    ] {
        let finished = server.command_line(&[&["log"], arguments].concat());
        let refusal = ended_with(1, &finished);
        assert!(refusal.contains(part), "{refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
    let mut control = server.control();
    let refused = control.exchange("GET", "/exchanges?stats=5xx");
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("`stats` is not known"),
        "{}",
        refused.text()
    );
    assert_eq!(control.exchange("POST", "/exchanges").status, 405);
    let refusal = ended_with(1, &site().command_line(&["log", "-f"]));
    assert!(refusal.contains("no server runs from"), "{refusal}");
}

#[test]
fn no_more_than_sixteen_follow() {
    let server = site().start();
    let mut all: Vec<Following> = (0..16).map(|_| Following::of(&server, "")).collect();
    let refusal = ended_with(1, &server.command_line(&["log", "-f"]));
    assert!(refusal.contains("16 others follow already"), "{refusal}");
    // The place of one that has gone is free.
    all.pop();
    until("the end of one is noticed", || {
        let mut control = server.control();
        control.send("GET /exchanges HTTP/1.1\r\nHost: h\r\n\r\n");
        (control.response_head().status == 200).then_some(())
    });
}

#[test]
fn each_exchange_is_followed_exactly_once_and_in_its_order() {
    const CLIENTS: usize = 20;
    const EXCHANGES: usize = 50;
    let server = site()
        .log("access = 'access.log'\nformat = '{target}'")
        .start();
    let mut follower = Following::of(&server, "format=%7Btarget%7D");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for (nth, client) in clients.iter_mut().enumerate() {
        let request = |number| get(&format!("/api?{nth}-{number:02}"));
        client.send((0..EXCHANGES).map(request).collect::<String>());
    }
    for client in &mut clients {
        for _ in 0..EXCHANGES {
            assert_eq!(client.response().status, 200);
        }
    }
    drop(clients);
    let lines = follower.lines(CLIENTS * EXCHANGES);
    for nth in 0..CLIENTS {
        let start = format!("/api?{nth}-");
        let own: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.strip_prefix(&start))
            .collect();
        let expected: Vec<String> = (0..EXCHANGES)
            .map(|number| format!("{number:02}"))
            .collect();
        assert_eq!(own, expected, "{nth}");
    }
    server.signal(Signal::TERM);
    assert_eq!(follower.rest(), Vec::<String>::new());
}

#[test]
fn a_slow_follower_is_told_what_it_has_lost() {
    const EXCHANGES: usize = 3000;
    let server = site().limits("max_head = '16 KiB'").start();
    let mut slow = Following::of(&server, "format=json");
    let mut quick = Following::of(&server, "format=%7Bstatus%7D");
    // More than its queue and its socket hold.
    let long = format!("/api?{}", "x".repeat(4000));
    let mut client = server.connect();
    for _ in 0..EXCHANGES {
        assert_eq!(client.exchange(get(&long)).status, 200);
    }
    assert_eq!(quick.lines(EXCHANGES), vec!["200"; EXCHANGES]);
    server.signal(Signal::TERM);
    drop(client);
    let (mut told, mut lost) = (0, 0);
    for line in slow.rest() {
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        match line["lost"].as_u64() {
            Some(count) => lost += count,
            None => told += 1,
        }
    }
    assert!(lost > 0, "{told} were told, and none lost");
    assert_eq!(told + lost, EXCHANGES as u64);
}

#[test]
fn what_logs_leave_out_is_followed_by_nobody() {
    let redact =
        "access = false\nredact = { query = ['token'], fields = ['client', 'user_agent'] }";
    let server = site().log(redact).start();
    let mut follower = Following::of(&server, "format=json");
    let mut of_client = Following::of(&server, "client=127.0.0.0/8");
    let agent = "User-Agent: secretive\r\nReferer: http://r/?token=hidden\r\n";
    server.get_with("/fails?token=hidden&a=b", agent);
    let line = follower.lines(1).concat();
    let failures = server
        .control()
        .exchange("GET", "/failures?format=json")
        .text();
    for text in [&line, &failures] {
        assert!(text.contains("/fails?token=[redacted]&a=b"), "{text}");
        for secret in ["hidden", "secretive", "127.0.0.1"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    server.signal(Signal::TERM);
    assert_eq!(of_client.rest(), Vec::<String>::new());
}

/// Its connection is full of lines. They would be waited for during all of `grace`.
#[test]
fn a_follower_that_reads_nothing_holds_no_stop_up() {
    let mut server = site().start();
    let follower = Following::of(&server, "format=json");
    let mut client = server.connect();
    for _ in 0..100 {
        client.send(get("/api").repeat(64));
        for _ in 0..64 {
            assert_eq!(client.response().status, 200);
        }
    }
    let started = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait().expect("it is our own child").success());
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "grace is longer"
    );
    server.wait_for_line(|line| line.contains("info: 1 connection at the control socket was cut"));
    drop(follower);
}

#[test]
fn the_end_of_the_server_ends_what_follows_it() {
    let mut server = site().start();
    let mut follower = Following::of(&server, "");
    let mut command = Command::start(&server, &["-f"]);
    let lines = command.wait_until_it_follows(&server);
    let mut last = server.connect();
    last.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    );
    assert_eq!(last.response().status, 100);
    let started = Instant::now();
    server.signal(Signal::TERM);
    server.wait_for_line(|line| line.contains("stopping"));
    // It was under way, and is followed to its end.
    assert_eq!(last.last_response_to("a").status, 200);
    assert!(server.wait().expect("it is our own child").success());
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "grace is longer"
    );
    assert!(follower.rest().concat().contains(" 200 POST h/echo "));
    let lines: Vec<String> = lines.collect();
    assert!(
        lines.len() == 1 && lines[0].contains(" 200 POST h/echo "),
        "{lines:?}"
    );
    let (status, told) = command.end();
    assert_eq!(
        (status, &*told),
        (
            Some(0),
            "the server has ended; there is nothing more to follow\n"
        )
    );
}

#[test]
fn a_reload_ends_nothing_and_other_workers_are_followed_too() {
    let server = site().top("workers = 1").start();
    let mut follower = Following::of(&server, "format=%7Btarget%7D");
    for (workers, target) in [(3, "/a"), (2, "/b")] {
        server.configure(format!(
            "workers = {workers}\nlog.access = false\n[[server]]\nlisten = '127.0.0.1:0'\n\
             routes.'/' = {{ respond = 'ok' }}\n"
        ));
        ended_with(0, &server.command_line(&["reload"]));
        let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.exchange(get(target));
        }
        assert_eq!(follower.lines(12), vec![target; 12]);
    }
}

#[test]
fn a_successor_is_followed_in_the_place_of_its_predecessor() {
    speak_plainly();
    let server = site().start();
    let mut command = Command::start(&server, &["-f", "--route", "/api"]);
    let mut lines = command.wait_until_it_follows(&server);
    ended_with(0, &server.command_line(&["upgrade"]));
    let reader = std::thread::spawn(move || (lines.next(), lines));
    until("the successor is followed", || {
        server.get("/api/after");
        reader.is_finished().then_some(())
    });
    // The command ends when nobody reads it, so the reader is kept.
    let (line, _lines) = reader.join().expect("it reads");
    assert!(line.is_some_and(|line| line.contains("/api/after")));
    crate::upgrade::stop(server);
    let (status, told) = command.end();
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("has taken the place of process"), "{told}");
    assert!(told.contains("may be missing here\n"), "{told}");
    assert!(told.ends_with("nothing more to follow\n"), "{told}");
}

#[test]
fn the_last_failures_outlive_a_reload() {
    let server = site().start();
    assert_eq!(ended_with(0, &server.command_line(&["log"])), "");
    server.get("/api/fine");
    server.get("/none");
    for number in 0..52 {
        server.get(&format!("/fails?{number}"));
    }
    server.answer("nonsense\r\n\r\n");
    ended_with(0, &server.command_line(&["reload"]));
    let all = ended_with(0, &server.command_line(&["log"]));
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 50, "{all}");
    // The oldest have given way, and what was answered well was never there.
    assert!(lines[0].contains(" 503 GET h/fails?3 "), "{}", lines[0]);
    assert!(lines[49].contains(" 400 \"nonsense\" "), "{}", lines[49]);
    let last = server.command_line(&["log", "--status", "503", "-n", "2", "--format", "{target}"]);
    assert_eq!(ended_with(0, &last), "/fails?50\n/fails?51\n");
    let json = ended_with(0, &server.command_line(&["log", "--json", "-n", "1"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["status"], 400, "{json}");
    // They come before what is followed, if that is asked for.
    let mut follower = Following::of(&server, "last=1&format=%7Btarget%7D&status=503");
    assert_eq!(follower.lines(1), ["/fails?51"]);
}

/// A client that leaves has failed as well, whatever its status.
#[test]
fn what_was_not_answered_to_its_end_is_a_failure() {
    let server = site().file("large", vec![b'x'; 64 * 1024 * 1024]).start();
    let mut client = server.connect();
    client.send(get("/large"));
    assert_eq!(client.response_head().status, 200);
    drop(client);
    server.wait_for_reason("client_gone");
    let told = until("it is kept", || {
        let told = ended_with(0, &server.command_line(&["log"]));
        (!told.is_empty()).then_some(told)
    });
    assert!(
        told.contains(" 200 GET h/large ") && told.contains(" client_gone"),
        "{told}"
    );
}

#[test]
fn a_reader_that_goes_ends_the_command_silently() {
    let server = site().start();
    let mut command = Command::start(&server, &["-f"]);
    drop(command.wait_until_it_follows(&server));
    assert_eq!(command.end(), (Some(0), String::new()));
}

#[test]
fn connections_of_streams_are_told_as_logs_have_them() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let there = upstream.local_addr().expect("it is bound");
    let server = Site::configured(&format!(
        "workers = 2\nlog.access = false\n[[server]]\nlisten = '127.0.0.1:0'\n\
         routes.'/' = {{ respond = 'ok' }}\n[[stream]]\nlisten = '127.0.0.2:0'\nproxy = '{there}'\n"
    ))
    .start();
    let mut readable = Following::of(&server, "");
    let mut json = Following::of(&server, "format=json&client=127.0.0.1");
    let mut of_route = Following::of(&server, "route=/");
    let line = server.wait_for_line(|line| line.contains("for a stream"));
    let (_, address) = line.split_once("listening at ").expect("it says where");
    let (address, _) = address.split_once(',').expect("and for what");
    let client = TcpStream::connect(address).expect("the server listens");
    let (mut other_end, _) = upstream.accept().expect("the server connects");
    other_end.write_all(b"hello").expect("it is open");
    drop(other_end);
    let mut octets = String::new();
    (&client).read_to_string(&mut octets).expect("it is text");
    assert_eq!(octets, "hello");
    drop(client);
    let line = readable.lines(1).concat();
    assert!(line.contains(" 200 STREAM 127.0.0.2:0 "), "{line}");
    assert!(
        line.ends_with(&format!(" 5B 127.0.0.1 via {there}")),
        "{line}"
    );
    let line: serde_json::Value = serde_json::from_str(&json.lines(1).concat()).expect("JSON");
    assert_eq!(
        (&line["server"], &line["bytes"]),
        (&there.to_string().into(), &5.into())
    );
    server.signal(Signal::TERM);
    assert_eq!(of_route.rest(), Vec::<String>::new());
}
