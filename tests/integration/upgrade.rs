//! Upgrades: the new process serves, the old one ends with its last connection, and nothing is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Client, Server, Site, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Ends the load when it is dropped, also if the test fails: the threads would run for ever otherwise.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The number of the process that answers commands; at every moment one must do so.
fn process(server: &Server) -> u64 {
    let output = server.command_line(&["status", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    status["process"].as_u64().expect("a number")
}

/// Stops the process that serves now, and checks that the first one has ended without an error.
pub(crate) fn stop(mut server: Server) {
    let output = server.command_line(&["stop"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.wait().expect("it is our own child").code(), Some(0));
}

#[test]
fn no_connection_is_lost_and_no_command_finds_nobody() {
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let old = u64::from(server.id());
    let mut kept: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(server.get("/").text(), "ok");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..2 {
            let before = process(&server);
            if before == old {
                server.signal(Signal::USR2);
            } else {
                assert!(server.command_line(&["upgrade"]).status.success());
            }
            until("another process", || {
                for client in &mut kept {
                    use_or_connect_again(client, &server);
                }
                (process(&server) != before).then_some(())
            });
            let so_far = answered.load(Ordering::Relaxed);
            until("new connections", || {
                (answered.load(Ordering::Relaxed) > so_far + 20).then_some(())
            });
        }
        drop(over);
    });
    for client in &mut kept {
        use_or_connect_again(client, &server);
    }
    drop(kept);
    stop(server);
}

/// Makes an exchange, and a new connection if the response says that the old one ends with it.
fn use_or_connect_again(client: &mut Client, server: &Server) {
    let response = client.exchange(GET);
    assert_eq!(response.text(), "ok");
    if response.says_close() {
        client.expect_end();
        *client = server.connect();
    }
}

/// Connections that were kept stayed with the old process, and its configuration, for as long as their
/// clients liked.
#[test]
fn a_kept_connection_ends_with_its_next_response_or_soon() {
    let server = Site::new("'/' = { respond = 'old' }\n'/echo' = { echo = true }")
        .top("workers = 1")
        .start();
    let [mut used, mut idle, mut fresh, mut busy] = [(); 4].map(|()| server.connect());
    for client in [&mut used, &mut idle] {
        assert_eq!(client.exchange(GET).text(), "old");
    }
    fresh.send("GET / HTTP/1.1\r\n");
    busy.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(busy.response().status, 100);
    assert!(server.command_line(&["upgrade"]).status.success());
    server.configure(
        "log.access = false\n[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = 'new' }\n",
    );
    assert!(server.command_line(&["reload"]).status.success());
    let last = used.last_response_to(GET);
    assert!(last.says_close(), "{last:?}");
    idle.expect_end();
    let last = fresh.last_response_to("Host: h\r\n\r\n");
    assert!(last.says_close(), "{last:?}");
    let last = busy.last_response_to("ab");
    assert!(last.says_close(), "{last:?}");
    assert_eq!(server.get("/").text(), "new");
    drop((used, idle, fresh, busy));
    stop(server);
}

/// The process between two upgrades stayed as a zombie for as long as the first one had a connection.
#[test]
fn a_successor_that_was_replaced_is_reaped() {
    let server = Site::new("'/' = { respond = 'ok' }\n'/echo' = { echo = true }").start();
    let mut busy = server.connect();
    busy.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(busy.response().status, 100);
    assert!(server.command_line(&["upgrade"]).status.success());
    let first = process(&server);
    assert!(server.command_line(&["upgrade"]).status.success());
    until("the end of the first successor", || {
        (!std::path::Path::new(&format!("/proc/{first}")).exists()).then_some(())
    });
    assert_eq!(busy.last_response_to("ab").status, 200);
    stop(server);
}

#[test]
fn the_old_process_ends_with_its_last_connection() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .top("workers = 1")
        .start();
    let mut kept = server.connect();
    assert_eq!(kept.exchange(GET).text(), "ok");
    let output = server.command_line(&["upgrade"]);
    assert!(output.status.success(), "{output:?}");
    assert_ne!(process(&server), u64::from(server.id()));
    assert_eq!(kept.last_response_to(GET).text(), "ok");
    drop(kept);
    server.wait_for_line(|line| line.contains("worker 0:"));
    assert_eq!(server.get("/").text(), "ok");
    stop(server);
}

/// logrotate has the service manager signal the main process alone: an old one that still had a connection wrote to the
/// renamed file, which is compressed and removed in the end.
#[test]
fn processes_that_were_replaced_open_the_access_log_again_as_well() {
    const HELD: &str =
        "POST /held HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let site = Site::new("'/' = { echo = true }").top("workers = 1");
    let server = site.log("access = 'access.log'\nformat = 'common'").start();
    let upgrade = || {
        let mut held = server.connect();
        held.send(HELD);
        assert_eq!(held.response().status, 100);
        let output = server.command_line(&["upgrade"]);
        assert!(output.status.success(), "{output:?}");
        held
    };
    let (first, mut of_first) = (process(&server), upgrade());
    let (second, mut of_second) = (process(&server), upgrade());
    let (current, renamed) = ("access.log", "access.log.1");
    let directory = server.directory();
    std::fs::rename(directory.join(current), directory.join(renamed)).expect("the log is there");
    let main = i32::try_from(process(&server)).ok().and_then(Pid::from_raw);
    kill_process(main.expect("a number"), Signal::USR1).expect("it runs");
    for process in [first, second] {
        until("it has the new file open", || {
            let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs");
            let open = open.flatten().map(|entry| std::fs::read_link(entry.path()));
            let names: Vec<_> = open.flatten().collect();
            let has = |name| names.iter().any(|path| path.ends_with(name));
            (has(current) && !has(renamed)).then_some(())
        });
    }
    for held in [&mut of_first, &mut of_second] {
        assert_eq!(held.last_response_to("ab").status, 200);
    }
    drop((of_first, of_second));
    until("the lines of both", || {
        let lines = server.directory().read(current);
        (lines.matches("/held").count() == 2).then_some(())
    });
    stop(server);
}

#[test]
fn the_socket_files_go_over_as_well() {
    let site = Site::new("'/' = { respond = 'ok' }");
    // In the temporary directory: the path of a socket may have 107 octets at most.
    let path = std::env::temp_dir().join(format!("tidegate-upgrade-{}", std::process::id()));
    let listen = |mode: &str| {
        let path = path.display();
        format!("listen = ['127.0.0.1:0', 'unix:{path}']\nsocket_mode = '{mode}'")
    };
    let server = site.server(&listen("0666")).start();
    assert!(server.command_line(&["upgrade"]).status.success());
    server.wait_for_line(|line| line.contains("worker 0:"));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("it is there");
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
    let answer = std::io::read_to_string(stream).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The file belonged to neither process: it kept its permissions, and stayed at the end.
    let mode = || {
        let permissions = std::fs::metadata(&path).expect("it is there").permissions();
        std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777
    };
    assert_eq!(mode(), 0o666);
    let routes = "[server.routes]\n'/' = { respond = 'ok' }\n";
    server.configure(format!("[[server]]\n{}\n{routes}", listen("0600")));
    assert!(server.command_line(&["reload"]).status.success());
    assert_eq!(mode(), 0o600);
    let without = "[[server]]\nlisten = ['127.0.0.1:0', 'unix:PATH']\n";
    let without = without.replace("PATH", &path.display().to_string());
    server.configure(format!("{without}{routes}"));
    assert!(server.command_line(&["upgrade"]).status.success());
    assert_ne!(mode(), 0o600, "as the system made it");
    server.configure("nonsense");
    assert!(!server.command_line(&["upgrade"]).status.success());
    assert!(path.exists(), "no new process took it over");
    stop(server);
    assert!(!path.exists());
}

/// The old process leaves the files to its successor, which had closed the socket that it does not listen at.
#[test]
fn the_file_of_a_socket_that_is_not_configured_any_more_is_removed() {
    let site = Site::new("'/' = { respond = 'ok' }");
    let id = std::process::id();
    let [path, other] =
        ["a", "b"].map(|name| std::env::temp_dir().join(format!("tidegate-leaves-{id}-{name}")));
    let listen = |paths: &[&std::path::Path]| {
        let paths = paths
            .iter()
            .map(|path| format!(", 'unix:{}'", path.display()));
        let paths: String = paths.collect();
        format!("listen = ['127.0.0.1:0'{paths}]")
    };
    let server = site.server(&listen(&[&path, &other])).start();
    let routes = "[server.routes]\n'/' = { respond = 'ok' }\n";
    let configure = |listen: String| {
        server.configure(format!(
            "log.access = false\n[[server]]\n{listen}\n{routes}"
        ))
    };
    server.configure("nonsense");
    assert!(!server.command_line(&["upgrade"]).status.success());
    assert!(path.exists(), "no new process has taken over");
    configure(listen(&[&other]));
    assert!(server.command_line(&["upgrade"]).status.success());
    assert!(!path.exists() && other.exists());
    // What stands there is not the server's by the time of the next upgrade.
    std::fs::rename(&other, &path).expect("it is there");
    std::fs::write(&other, "another file").expect("the directory is ours");
    configure(listen(&[]));
    assert!(server.command_line(&["upgrade"]).status.success());
    assert!(other.exists());
    for path in [path, other] {
        std::fs::remove_file(path).expect("it is there");
    }
    stop(server);
}

#[test]
fn a_new_process_that_fails_leaves_the_old_one_serving() {
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let mut kept = server.connect();
    server.directory().write("config.toml", "nonsense");
    let output = server.command_line(&["upgrade"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("the server that ran goes on"), "{stderr}");
    server.wait_for_line(|line| line.contains("1 | nonsense"));
    server.signal(Signal::USR2);
    server.wait_for_line(|line| line.contains("no upgrade"));
    assert_eq!(kept.exchange(GET).text(), "ok");
    assert_eq!(server.get("/").text(), "ok");
    assert_eq!(process(&server), u64::from(server.id()));
}
