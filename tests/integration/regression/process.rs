//! The process and its supervisor: start, reload, upgrade, stop, control commands.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use crate::support::{Client, Site, ended_with};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A configuration that listens at `listen`, a value in TOML.
fn listening(listen: &str) -> String {
    format!(
        "[log]\naccess = false\n[[server]]\nlisten = {listen}\n[server.routes]\n'/' = {{ respond = 'ok' }}\n"
    )
}

/// A port that no program listens at.
fn free_port() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// `listen = "unix:notes.db"`: `check` said "is good", and the file was gone; `run` and `reload`
/// removed it as well.
#[test]
fn a_listener_removes_no_file_of_others() {
    let configuration = listening("['127.0.0.1:0', 'unix:www/notes.db']");
    let site = Site::configured(&configuration).file("notes.db", "dear to us");
    let path = site.directory().join("www/notes.db");
    let said = ended_with(1, &site.command_line(&["check"]));
    assert!(said.contains("a regular file stands there"), "{said}");
    assert!(path.exists(), "{said}");
    let said = ended_with(1, &site.command_line(&["run"]));
    assert!(said.contains("a regular file stands there"), "{said}");
    let server = Site::configured(&listening("'127.0.0.1:0'"))
        .file("notes.db", "dear to us")
        .start();
    server.configure(configuration);
    let said = ended_with(1, &server.command_line(&["reload"]));
    assert!(said.contains("a regular file stands there"), "{said}");
    assert_eq!(server.directory().read("www/notes.db"), "dear to us");
}

/// A check bound the socket of the configuration, and removed the file of a server that it did not know.
#[test]
fn a_check_makes_and_removes_nothing() {
    let site = Site::configured(&listening("'unix:www/s'")).file("a", "");
    let entries = || {
        let entries = std::fs::read_dir(site.directory().join("www")).expect("ours");
        entries.count()
    };
    ended_with(0, &site.command_line(&["check"]));
    assert_eq!(entries(), 1);
    drop(UnixListener::bind(site.directory().join("www/s")).expect("the path is free"));
    ended_with(0, &site.command_line(&["check"]));
    assert_eq!(entries(), 2, "a dead socket is replaced by a start alone");
}

/// From `127.0.0.1:P` to every address at P, and back: the reload was refused, and named "another
/// program", which was the server itself. An upgrade to such a configuration failed likewise.
#[test]
fn a_listener_may_become_wider_and_narrower() {
    let port = free_port();
    let narrow = format!("'127.0.0.1:{port}'");
    let wide = format!("'0.0.0.0:{port}'");
    let server = Site::configured(&listening(&narrow)).start();
    let mut kept = server.connect();
    assert_eq!(kept.exchange(GET).text(), "ok");
    for listen in [&wide, &narrow, &wide] {
        server.configure(listening(listen));
        ended_with(0, &server.command_line(&["check"]));
        ended_with(0, &server.command_line(&["reload"]));
        assert_eq!(server.get("/").text(), "ok");
    }
    server.configure(listening(&narrow));
    ended_with(0, &server.command_line(&["upgrade"]));
    assert_eq!(server.get("/").text(), "ok");
    drop(kept);
    ended_with(0, &server.command_line(&["stop"]));
}

/// Under load a worker still accepts from the socket of an address that a reload has removed. The next
/// reload, which adds it again, was refused now and then.
#[test]
fn a_listener_may_go_and_come_back_under_load() {
    let port = free_port();
    let both = listening(&format!("['127.0.0.1:0', '127.0.0.1:{port}']"));
    let one = listening("'127.0.0.1:0'");
    let server = Site::configured(&both).start();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(order) {
                    if let Ok(mut client) = Client::try_connect(address) {
                        let _ = client.try_send(GET);
                    }
                }
            });
        }
        let reload = |configuration: &str| {
            server.configure(configuration);
            server.command_line(&["reload"])
        };
        let outcomes: Vec<_> = (0..40)
            .flat_map(|_| [reload(&one), reload(&both)])
            .collect();
        is_over.store(true, order);
        outcomes
            .iter()
            .for_each(|outcome| drop(ended_with(0, outcome)));
    });
    assert_eq!(Client::connect(address).exchange(GET).text(), "ok");
}
