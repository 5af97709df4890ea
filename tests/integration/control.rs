//! The control socket: who may use it, and the commands for a running server.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustix::process::Signal;

use crate::support::{Directory, Server, Site, ended_with, program, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const UPLOAD: &str =
    "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

fn ok() -> Site {
    Site::new("'/' = { respond = 'ok' }\n'/echo' = { echo = true }").top("grace = '60s'")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").mode() & 0o7777
}

/// The page for browsers was printed, all of it.
#[test]
fn a_command_at_a_full_socket_is_refused_in_a_sentence() {
    let server = ok().start();
    let socket = server.control_socket();
    let connect = || UnixStream::connect(&socket).expect("it listens");
    let commands: Vec<UnixStream> = (0..400).map(|_| connect()).collect();
    for arguments in [&["status"][..], &["log", "-f"]] {
        let told = ended_with(1, &server.command_line(arguments));
        let expected = "error: too many commands are under way at the control socket";
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(!told.contains('<'), "{told}");
    }
    drop(commands);
}

#[test]
fn the_socket_is_its_owners_alone() {
    let server = ok().start();
    let socket = server.control_socket();
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().expect("the directory")), 0o700);
    let named = server.status()["control_socket"].clone();
    assert_eq!(named, socket.display().to_string());
}

#[test]
fn an_orderly_end_leaves_no_socket() {
    let server = ok().start();
    let socket = server.control_socket();
    server.stop();
    assert!(!socket.exists());
}

/// Commands said that no server runs, and no reload brought the file back.
#[test]
fn a_socket_whose_file_was_removed_is_there_again_after_sighup() {
    let server = ok().start();
    let socket = server.control_socket();
    let directory = socket.parent().expect("the directory");
    let all: [&dyn Fn() -> std::io::Result<()>; 2] = [&|| std::fs::remove_file(&socket), &|| {
        std::fs::remove_dir_all(directory)
    }];
    for remove in all {
        remove().expect("it is ours");
        ended_with(1, &server.command_line(&["status"]));
        server.signal(Signal::HUP);
        // By the time that it listens it has its permissions.
        drop(until("it is there again", || {
            UnixStream::connect(&socket).ok()
        }));
        assert_eq!(mode(&socket), 0o600);
        ended_with(0, &server.command_line(&["reload"]));
    }
    // A file that is there is left as it is.
    let before = std::fs::metadata(&socket).expect("it is there").ino();
    server.signal(Signal::HUP);
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(
        std::fs::metadata(&socket).expect("it is there").ino(),
        before
    );
    server.stop();
    assert!(!socket.exists());
}

/// As a deployment does it, whose old release is deleted: no command found the server any more.
#[test]
fn a_server_is_found_by_its_path_where_a_link_in_it_leads_elsewhere() {
    let directory = Arc::new(Directory::new());
    for release in ["1", "2"] {
        let routes = format!("'/' = {{ respond = '{release}' }}");
        let text = format!("[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n{routes}\n");
        directory.write(format!("releases/{release}/config.toml"), text);
    }
    let lead_to = |release: &str| {
        let (target, link) = (Path::new("releases").join(release), directory.join("next"));
        std::os::unix::fs::symlink(target, &link).expect("it can be made");
        std::fs::rename(link, directory.join("current")).expect("it replaces the old one");
    };
    lead_to("1");
    let config = directory.join("current/config.toml");
    let mut command = program();
    command.arg("run").arg("--config").arg(&config);
    let server = Server::start(command, Arc::clone(&directory));
    assert_eq!(server.answer(GET).text(), "1");
    let ask = |verb: &str| {
        let mut command = server.command_for(&[verb, "--config"]);
        let finished = command.arg(&config).output().expect("it can be run");
        ended_with(0, &finished)
    };
    lead_to("2");
    std::fs::remove_dir_all(directory.join("releases/1")).expect("it is there");
    assert!(ask("status").contains("generation   1 "));
    // A second one from the same path would share the address.
    let mut second = server.command_for(&["run", "--config"]);
    let second = second.arg(&config).output().expect("it can be run");
    assert!(ended_with(1, &second).contains("already runs"));
    ask("reload");
    assert_eq!(server.answer(GET).text(), "2");
    std::fs::remove_dir_all(directory.join("releases/2")).expect("it is there");
    ask("stop");
    server.stop();
    let left = std::fs::read_dir(directory.join("run")).expect("the server made it");
    let left: Vec<_> = left.map(|entry| entry.expect("it can be read")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_socket_of_a_dead_server_is_replaced() {
    let server = ok().start().kill_and_start_again();
    assert_eq!(server.status()["process"], server.id());
    assert_eq!(server.answer(GET).text(), "ok");
}

#[test]
fn a_second_server_from_the_same_file_is_refused() {
    let server = ok().start();
    let refusal = ended_with(1, &server.command_line(&["run"]));
    assert!(refusal.contains("already runs"), "{refusal}");
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
    assert_eq!(server.status()["process"], server.id());
}

#[test]
fn commands_without_a_server_say_so() {
    for command in ["reload", "confirm", "status", "stop"] {
        let refusal = ended_with(1, &ok().command_line(&[command]));
        assert!(refusal.contains("no server runs from"), "{refusal}");
        assert_eq!(refusal.lines().count(), 1, "{command}: {refusal}");
    }
}

#[test]
fn commands_without_a_server_and_its_configuration_file_name_it() {
    let mut server = ok().start();
    let file = server.directory().join("config.toml");
    std::fs::rename(&file, file.with_extension("old")).expect("it is there");
    ended_with(0, &server.command_line(&["status"]));
    ended_with(0, &server.command_line(&["stop"]));
    server.wait().expect("it is our own child");
    let refusal = ended_with(1, &server.command_line(&["status"]));
    assert!(refusal.contains("config.toml"), "{refusal}");
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
}

#[test]
fn status_tells_what_runs() {
    let server = ok().top("workers = 2").start();
    let finished = server.command_line(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ended_with(0, &finished)).expect("JSON");
    let address = server.address().to_string();
    for (pointer, expected) in [
        ("/version", env!("CARGO_PKG_VERSION").into()),
        ("/process", server.id().into()),
        ("/generation/number", 1.into()),
        ("/generation/waits_for_confirmation", false.into()),
        ("/listeners", vec![address.as_str()].into()),
        ("/workers", serde_json::Value::from(2)),
    ] {
        assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}: {json}");
    }
    assert!(
        json["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("config.toml"))
    );
    let text = ended_with(0, &server.command_line(&["status"]));
    for part in [address.as_str(), "generation", env!("CARGO_PKG_VERSION")] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn status_counts() {
    let server = ok().start();
    let mut control = server.control();
    let mut count = |pointer: &str| {
        let status = control.exchange("GET", "/status").json();
        status
            .pointer(pointer)
            .and_then(serde_json::Value::as_u64)
            .expect("a number")
    };
    let [open, accepted] = ["/connections/open", "/connections/accepted"].map(&mut count);
    let requests = count("/requests");
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).status, 200);
        assert_eq!(client.exchange(GET).status, 200);
    }
    // What is asked at the control socket does not count as a request.
    assert_eq!(count("/requests") - requests, 6);
    assert_eq!(count("/connections/open") - open, 3);
    assert_eq!(count("/connections/accepted") - accepted, 3);
    drop(clients);
    until("the ends are noticed", || {
        (count("/connections/open") == open).then_some(())
    });
}

#[test]
fn stop_drains() {
    let mut server = ok().start();
    let mut idle = server.connect();
    assert_eq!(idle.exchange(GET).status, 200);
    let mut uploading = server.connect();
    uploading.send(UPLOAD);
    assert_eq!(uploading.response().status, 100);
    let answer = ended_with(0, &server.command_line(&["stop"]));
    assert!(answer.contains("stopping"), "{answer}");
    idle.expect_end();
    uploading.send("hello");
    let last = uploading.last_response();
    assert_eq!(last.json()["content"], "hello");
    assert!(last.says_close());
    drop(uploading);
    assert_eq!(server.wait().expect("it is our own child").code(), Some(0));
}

#[test]
fn reloads_at_the_same_time_are_both_answered() {
    let server = ok().start();
    let mut controls = [server.control(), server.control()];
    for control in &mut controls {
        control.send("POST /reload HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n");
    }
    let mut generations = controls.map(|mut control| {
        let response = control.response();
        assert_eq!(response.status, 200);
        response.json()["generation"].as_u64()
    });
    generations.sort();
    assert_eq!(generations, [Some(2), Some(3)]);
}

#[test]
fn what_the_socket_does_not_know_is_refused() {
    let server = ok().start();
    let mut control = server.control();
    for (method, target, status) in [
        ("GET", "/", 404),
        ("GET", "/reload", 405),
        ("POST", "/status", 405),
        ("POST", "/reload?confirm=soon", 400),
        ("POST", "/reload?nonsense=1", 400),
        ("POST", "/confirm", 409),
        ("GET", "/status", 200),
    ] {
        assert_eq!(
            control.exchange(method, target).status,
            status,
            "{method} {target}"
        );
    }
    assert_eq!(generation(&server), 1);
}

fn generation(server: &Server) -> u64 {
    server.status()["generation"]["number"]
        .as_u64()
        .expect("a number")
}

/// At `max_connections` the operator could neither look at the server, nor change or stop it: commands
/// counted as clients.
#[test]
fn commands_need_no_place_among_the_clients() {
    let mut server = ok().limits("max_connections = 1").start();
    let mut busy = server.connect();
    busy.send(UPLOAD);
    assert_eq!(busy.response().status, 100);
    let connections = server.status()["connections"].clone();
    let expected = serde_json::json!({ "open": 1, "accepted": 1, "too_many_of_client": 0 });
    assert_eq!(connections, expected);
    for command in ["status", "reload", "stop"] {
        ended_with(0, &server.command_line(&[command]));
    }
    assert_eq!(busy.last_response_to("hello").status, 200);
    assert_eq!(server.wait().expect("it is our own child").code(), Some(0));
}

/// A reload by command left no line in the server's log, whatever came of it.
#[test]
fn a_command_leaves_its_outcome_in_the_log() {
    let server = ok().start();
    server.configure(
        "grace = '60s'\n[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = 'new' }\n",
    );
    ended_with(0, &server.command_line(&["reload", "--confirm", "1h"]));
    server.wait_for_line(|line| line.ends_with("`tidegate reload`: reloaded: generation 2"));
    ended_with(0, &server.command_line(&["confirm"]));
    server.wait_for_line(|line| line.contains("`tidegate confirm`: confirmed: generation 2"));
    server.configure("nonsense");
    ended_with(1, &server.command_line(&["reload"]));
    server.wait_for_line(|line| line.contains("error: `tidegate reload`: reload refused"));
    // Every further line of the report is indented: none can be taken for a line of the log.
    server.wait_for_line(|line| line.starts_with("    1 | nonsense"));
    server.signal(rustix::process::Signal::HUP);
    server.wait_for_line(|line| line.contains("error: SIGHUP: reload refused"));
    ended_with(0, &server.command_line(&["stop"]));
    server.wait_for_line(|line| line.contains("info: `tidegate stop`: stopping"));
}

/// Level debug had one line. It tells what an operator looks for: who connects, where a request goes or why
/// it is refused, why a connection ends, and what the supervisor does.
#[test]
fn level_debug_tells_what_happens() {
    let server =
        Site::new("'/' = { respond = 'ok' }\n'/kept-out' = { echo = true, deny = ['0.0.0.0/0'] }")
            .log("access = false\nlevel = 'debug'")
            .limits("idle_timeout = '100ms'")
            .server("listen = '127.0.0.1:0'\nhosts = ['h']")
            .start();
    let mut client = server.connect();
    for (request, status) in [
        (GET, 200),
        ("GET /kept-out HTTP/1.1\r\nHost: h\r\n\r\n", 403),
        ("GET /none HTTP/1.1\r\nHost: other\r\n\r\n", 421),
    ] {
        assert_eq!(client.exchange(request).status, status);
    }
    client.expect_end();
    assert_eq!(server.answer("GET / HTTP/1.1\r\n\r\n").status, 400);
    ended_with(0, &server.command_line(&["reload"]));
    server.signal(rustix::process::Signal::HUP);
    for part in [
        " connects to 127.0.0.1:",
        &format!(
            "127.0.0.1: GET / for \"h\" at {}: route `/`",
            server.address()
        ),
        "refused: allow or deny keeps the client out.",
        "refused: No server at this listener answers for the host.",
        "refused: an HTTP/1.1 request needs a Host field",
        "has been idle for too long",
        " has ended",
        "asked: reload",
        "got SIGHUP",
        "has the new configuration",
    ] {
        server.wait_for_line(|line| line.contains(" debug: ") && line.contains(part));
    }
}

/// 421 told a person nothing, and the log had no line; an address in the place of a name leads there.
#[test]
fn a_host_that_no_server_answers_for_is_told_to_both() {
    let server = ok().server("listen = '127.0.0.1:0'\nhosts = ['h']").start();
    let address = server.address().to_string();
    let mut client = server.connect();
    for _ in 0..3 {
        let response = client.exchange("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert_eq!(response.status, 421);
        assert!(
            response.text().contains("No site here"),
            "{}",
            response.text()
        );
    }
    drop(client);
    let (diagnostics, _) = server.stop();
    let is_it =
        |line: &&String| line.contains("no server there answers for the host \"127.0.0.1\"");
    let lines: Vec<&String> = diagnostics.iter().filter(is_it).collect();
    assert_eq!(lines.len(), 1, "once in a while: {diagnostics:?}");
    // It named the port 0, as the configuration does.
    let start = format!("warning: {address}: ");
    assert!(lines[0].contains(&start), "{}", lines[0]);
    // Two lines for each request told its story, whatever the level was.
    let is_story = |line: &String| line.contains(" debug: ");
    assert!(!diagnostics.iter().any(is_story), "{diagnostics:?}");
}

/// A query that could not be understood was answered with a page of HTML, and a time of nothing was taken: the reload
/// was taken back at once.
#[test]
fn a_query_that_is_wrong_is_told_in_a_sentence() {
    let server = ok().start();
    let mut control = server.control();
    for (target, expected) in [
        ("/reload?foo=1", "a reload takes ?confirm=TIME alone"),
        ("/reload?confirm=abc", "`confirm` is no time"),
        ("/reload?confirm=0s", "`confirm` is no time"),
        ("/upstream/drain", "no server is named"),
        ("/restart-app?name=a", "no application is named"),
    ] {
        let response = control.exchange("POST", target);
        assert_eq!(response.status, 400, "{target}");
        assert!(response.text().starts_with(expected), "{}", response.text());
    }
    ended_with(2, &server.command_line(&["reload", "--confirm", "0s"]));
    assert_eq!(server.status()["generation"]["number"], 1);
}
