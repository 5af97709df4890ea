//! Upgrades: the new process serves, the old one ends with its last connection, and nothing is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;

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
            match before == old {
                true => server.signal(Signal::USR2),
                false => assert!(server.command_line(&["upgrade"]).status.success()),
            }
            until("another process", || {
                for client in &mut kept {
                    assert_eq!(client.exchange(GET).text(), "ok");
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
        assert_eq!(client.exchange(GET).text(), "ok");
    }
    drop(kept);
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
    assert_eq!(kept.exchange(GET).text(), "ok");
    assert_ne!(process(&server), u64::from(server.id()));
    drop(kept);
    server.wait_for_line(|line| line.contains("worker 0:"));
    assert_eq!(server.get("/").text(), "ok");
    stop(server);
}

#[test]
fn the_socket_files_go_over_as_well() {
    let site = Site::new("'/' = { respond = 'ok' }");
    // In the temporary directory: the path of a socket may have 107 octets at most.
    let path = std::env::temp_dir().join(format!("tidegate-upgrade-{}", std::process::id()));
    let listen = format!("listen = ['127.0.0.1:0', 'unix:{}']", path.display());
    let server = site.server(&listen).start();
    assert!(server.command_line(&["upgrade"]).status.success());
    server.wait_for_line(|line| line.contains("worker 0:"));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("it is there");
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
    let answer = std::io::read_to_string(stream).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop(server);
    std::fs::remove_file(path).expect("whoever binds a socket keeps its file");
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
