//! The process and its supervisor: start, reload, upgrade, stop, control commands.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{
    Client, Directory, Server, Site, UnixClient, bound_address, ended_with, program, speak_plainly,
    until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn ok() -> Site {
    Site::new("'/' = { respond = 'ok' }")
}

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
    speak_plainly();
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

/// More workers than the system has threads for: the supervisor panicked, and the server was gone.
/// The same with more event queues than it has descriptors for.
#[test]
fn a_reload_that_wants_too_much_is_refused() {
    let configuration =
        |workers: u32| format!("workers = {workers}\n{}", listening("'127.0.0.1:0'"));
    let server = Site::configured(&configuration(2)).descriptors(60).start();
    let mut kept = server.connect();
    server.configure(configuration(100));
    for _ in 0..2 {
        let said = ended_with(1, &server.command_line(&["reload"]));
        assert!(said.contains("cannot start the workers"), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(kept.exchange(GET).text(), "ok");
        assert_eq!(server.status()["workers"], 2);
    }
    server.configure(configuration(3));
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(server.status()["workers"], 3);
}

/// A server whose threads cannot be had at the start says so. It panicked.
#[test]
fn a_start_without_threads_is_refused_with_a_sentence() {
    let site = Site::configured(&format!("workers = 300\n{}", listening("'127.0.0.1:0'")));
    let said = ended_with(1, &site.descriptors(500).run());
    assert!(said.contains("cannot start its threads"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// Standard error was a pipe that was not read. The workers waited for it, and with them the control
/// commands and every signal but SIGKILL.
#[test]
fn diagnostics_that_are_not_read_stop_nothing() {
    let site = Site::configured(
        "workers = 2\n[log]\naccess = false\n[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n\
         '/' = { respond = 'ok' }\n'/down' = { fastcgi = 'unix:gone.sock', root = 'www' }\n",
    )
    .file("down/a.php", "")
    .file("a.php", "");
    let server = Unread::start(&site);
    for _ in 0..600 {
        let mut client = Client::connect(server.address);
        client.send("GET /down/a.php HTTP/1.0\r\n\r\n");
        assert_eq!(client.last_response().status, 502);
    }
    assert_eq!(Client::connect(server.address).exchange(GET).text(), "ok");
    ended_with(0, &site.command_line(&["status"]));
    ended_with(0, &site.command_line(&["reload"]));
    server.stop();
}

/// A server whose standard error is a full pipe, of which the reading end stays open.
struct Unread {
    child: std::process::Child,
    address: SocketAddr,
    _unread: std::process::ChildStderr,
}

impl Unread {
    fn start(site: &Site) -> Self {
        let mut command = site.command_for(&["run"]);
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut stderr = child.stderr.take().expect("it is piped");
        let mut said = String::new();
        let mut octet = [0];
        while !said.ends_with('\n') || bound_address(said.trim_end()).is_none() {
            std::io::Read::read_exact(&mut stderr, &mut octet).expect("it says where it listens");
            said.push(char::from(octet[0]));
        }
        let address = bound_address(said.lines().last().expect("a line")).expect("as above");
        fill(&stderr);
        Self {
            child,
            address,
            _unread: stderr,
        }
    }

    /// The server ends although its last lines are not read.
    fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, Signal::TERM).expect("it is our own child");
        let status = self.child.wait().expect("it is our own child");
        assert_eq!(status.code(), Some(0));
    }
}

/// Fills the pipe of which `reader` is the reading end.
fn fill(reader: &std::process::ChildStderr) {
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let mut writer = std::fs::OpenOptions::new();
    writer
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let mut writer = writer.open(path).expect("a pipe can be opened again");
    while std::io::Write::write(&mut writer, &[b'.'; 4096]).is_ok() {}
    while std::io::Write::write(&mut writer, b".").is_ok() {}
}

/// The only worker is blocked. Commands were served by it, and a reload said "reloaded" although it had
/// not been adopted.
#[test]
fn commands_work_while_workers_do_not() {
    let site = Site::configured(&format!("workers = 1\n{}", listening("'127.0.0.1:0'")));
    let fifo = site.directory().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).expect("ours");
    let server = site.environment("TIDEGATE_TEST_HOOKS", "block").start();
    let mut client = server.connect();
    client.send("GET /.tidegate-test/block-worker HTTP/1.1\r\nHost: h\r\n\r\n");
    // It opens only when the worker waits at the other end.
    let release = std::fs::File::options().write(true).open(&fifo);
    assert_eq!(
        server.status()["late_workers"].as_array().map(Vec::len),
        Some(0)
    );
    server.configure(format!(
        "workers = 1\ngrace = '1m'\n{}",
        listening("'127.0.0.1:0'")
    ));
    let said = ended_with(0, &server.command_line(&["reload"]));
    assert!(said.contains("reloaded: generation 2"), "{said}");
    assert!(said.contains("worker 0 is busy"), "{said}");
    assert_eq!(server.status()["late_workers"][0], "worker 0");
    drop(release);
    client.response();
    until("the worker adopts it", || {
        let late = server.status()["late_workers"].as_array().map(Vec::len);
        (late == Some(0)).then_some(())
    });
}

/// `serve` is a command at a terminal: `2>/dev/full` ended it with a panic, and it outlived its terminal.
#[test]
fn serve_needs_no_standard_error_and_ends_with_its_terminal() {
    let directory = Directory::new();
    // The tests may run under `nohup`, which ignores SIGHUP.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP");
    command.arg(program().get_program());
    command.args(["serve", "--port", "0"]).arg(directory.path());
    let mut server = Server::start(command, directory);
    server.signal(Signal::HUP);
    assert_eq!(server.wait().expect("it is our own child").code(), Some(0));
    let directory = Directory::new();
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it")
    };
    let mut command = program();
    let port = free_port();
    command
        .args(["serve", "--port", &port.to_string()])
        .arg(directory.path());
    command.stdout(std::process::Stdio::null()).stderr(full());
    let mut child = command.spawn().expect("the program runs");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = until("it listens", || Client::try_connect(address).ok());
    assert_eq!(
        client.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n").status,
        200
    );
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, Signal::TERM).expect("it is our own child");
    assert_eq!(child.wait().expect("it is our own child").code(), Some(0));
}

/// A command whose output cannot be written has failed; `schema >/dev/full` ended with 0.
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let site = Site::configured(&listening("'127.0.0.1:0'"));
    for arguments in [
        &["schema"][..],
        &["schema", "--table"],
        &["--help"],
        &["--version"],
        &["check"],
        &["check", "--dump"],
        &["check", "--json"],
        &["explain", "/"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = site.command_for(arguments);
        let output = command.stdout(full.expect("Linux has it")).output();
        let output = output.expect("the program runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let gone = site.command_for(arguments).stdout(closed_pipe()).output();
        let gone = gone.expect("the program runs");
        assert_eq!(gone.status.code(), Some(0), "{arguments:?}: `| head -1`");
    }
}

/// A pipe whose reading end is closed.
fn closed_pipe() -> std::process::Stdio {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer.into()
}

/// `log.access` was a FIFO without a reader: the start hung without a word. So did it at a FIFO in the
/// place of the configuration or of an included file.
#[test]
fn a_fifo_is_not_waited_for() {
    let fifo = |site: &Site, name: &str| {
        let path = site.directory().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("ours");
        path
    };
    let log = ok().log("access = 'log'");
    fifo(&log, "log");
    let said = String::from_utf8_lossy(&log.run().stderr).into_owned();
    assert!(said.contains("a FIFO that no program reads"), "{said}");
    let include = ok().top("include = 'part'");
    fifo(&include, "part");
    let said = ended_with(1, &include.command_line(&["check"]));
    assert!(said.contains("a FIFO that no program writes"), "{said}");
    let log = ok().log("access = 'log'");
    let path = fifo(&log, "log");
    // Opened for both, so that this does not wait for the server.
    let reader = std::fs::File::options().read(true).write(true).open(path);
    let server = log.start();
    assert_eq!(server.get("/").text(), "ok");
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(reader.expect("ours"));
    std::io::BufRead::read_line(&mut reader, &mut line).expect("a line comes");
    assert!(line.contains("\"GET / HTTP/1.1\" 200"), "{line}");
}

/// Beside a server that is stopped, commands waited for ever.
#[test]
fn commands_beside_a_stopped_server_end_with_a_sentence() {
    let server = ok().start();
    server.signal(Signal::STOP);
    std::thread::scope(|scope| {
        for command in ["status", "check", "explain"] {
            let server = &server;
            scope.spawn(move || {
                let arguments = match command {
                    "explain" => &["explain", "/", "--live"][..],
                    command => &[command],
                };
                let said = ended_with(1, &server.command_line(arguments));
                let expected = format!("`kill -CONT {}` lets it go on", server.id());
                assert!(said.contains(&expected), "{command}: {said}");
            });
        }
    });
    server.signal(Signal::CONT);
    ended_with(0, &server.command_line(&["status"]));
}

/// Control commands were connections like those of clients: at `max_connections` they failed.
#[test]
fn commands_are_no_clients() {
    let server = ok().limits("max_connections = 2").start();
    let mut kept = [server.connect(), server.connect()];
    for client in &mut kept {
        assert_eq!(client.exchange(GET).text(), "ok");
    }
    assert_eq!(server.status()["connections"]["open"], 2);
    ended_with(0, &server.command_line(&["reload"]));
    ended_with(0, &server.command_line(&["stop"]));
}

/// The socket of a listener had the permissions 0755, so that the server in front could not connect, and
/// no key said otherwise. Its peers could not be trusted proxies, `allow` took them for 0.0.0.0, and the
/// log named them in a way that goaccess refuses.
#[test]
fn a_front_server_may_use_a_unix_socket() {
    use std::os::unix::fs::MetadataExt as _;
    let configuration = |mode: &str, top: &str| {
        format!(
            "{top}\n[[server]]\nlisten = ['127.0.0.1:0', 'unix:www/s']\nsocket_mode = '{mode}'\n\
             socket_group = '4711'\n[server.routes]\n'/' = {{ respond = 'ok' }}\n\
             '/zero' = {{ respond = 'zero', allow = '0.0.0.0' }}\n\
             '/one' = {{ respond = 'one', allow = '192.0.2.1' }}\n\
             '/all' = {{ respond = 'all', allow = 'all' }}\n"
        )
    };
    if !rustix::process::geteuid().is_root() {
        return; // Others may not give a file to a group of theirs that they do not know.
    }
    let server = Site::configured(&configuration("0660", "")).start();
    let path = server.directory().join("www/s");
    let state = |path: &std::path::Path| {
        let state = std::fs::metadata(path).expect("it is there");
        (state.mode() & 0o777, state.gid())
    };
    assert_eq!(state(&path), (0o660, 4711));
    let mut front = UnixClient::connect(&path);
    assert_eq!(front.exchange("GET", "/zero").status, 403);
    assert_eq!(front.exchange("GET", "/all").status, 200);
    let line = server.wait_for_record(|line| line.contains("/all"));
    assert!(line.starts_with("0.0.0.0 - - ["), "{line}");
    let forwarded = "GET /one HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    front.send(forwarded);
    assert_eq!(front.response().status, 403);
    server.configure(configuration("0666", "trusted_proxies = ['unix:']"));
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(state(&path), (0o666, 4711));
    front.send(forwarded);
    assert_eq!(front.response().status, 200);
    server.wait_for_record(|line| line.starts_with("192.0.2.1 ") && line.contains("/one"));
}

/// A reload that took `socket_mode` or `socket_group` away left the socket's file as it was; a
/// start with the same file gave it what the system gives. What an operator has changed by hand
/// stays.
#[test]
fn a_reload_without_socket_mode_restores_the_default() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    if !rustix::process::geteuid().is_root() {
        return; // As above.
    }
    let configuration = |keys: &str| {
        format!(
            "[[server]]\nlisten = ['127.0.0.1:0', 'unix:www/s']\n{keys}\n[server.routes]\n'/' = {{ respond = 'ok' }}\n"
        )
    };
    let server = Site::configured(&configuration("")).start();
    let path = server.directory().join("www/s");
    let state = || {
        let state = std::fs::metadata(&path).expect("it is there");
        (state.mode() & 0o7777, state.gid())
    };
    let reload = |keys: &str| {
        server.configure(configuration(keys));
        ended_with(0, &server.command_line(&["reload"]));
    };
    let (mode, group) = state();
    reload("socket_mode = '0666'\nsocket_group = '4711'");
    assert_eq!(state(), (0o666, 4711));
    reload("socket_group = '4711'");
    assert_eq!(state(), (mode, 4711));
    reload("");
    assert_eq!(state(), (mode, group));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    reload("# nothing about the socket");
    assert_eq!(state(), (0o600, group));
}

/// `:P` beside `127.0.0.1:P` passed `check`, and `run` said that another program listens there, which was the
/// server itself. The same with a reload that added the second one.
#[test]
fn an_address_may_stand_beside_the_wildcard_of_its_port() {
    speak_plainly();
    let port = free_port();
    let server = |listen: &str, says: &str| {
        format!(
            "[[server]]\nlisten = '{listen}:{port}'\n[server.routes]\n'/' = {{ respond = '{says}' }}\n"
        )
    };
    let (wide, narrow) = (server("", "wide"), server("127.0.0.1", "narrow"));
    let both = format!("{wide}{narrow}");
    let server = Site::configured(&both).start();
    let answers = || {
        [1, 2].map(|last| {
            let address = SocketAddr::from(([127, 0, 0, last], port));
            Client::connect(address).exchange(GET).text()
        })
    };
    assert_eq!(answers(), ["narrow", "wide"]);
    ended_with(0, &server.command_line(&["upgrade"]));
    assert_eq!(answers(), ["narrow", "wide"]);
    for (configuration, expected) in [
        (&wide, ["wide", "wide"]),
        (&both, ["narrow", "wide"]),
        (&wide, ["wide", "wide"]),
        (&both, ["narrow", "wide"]),
    ] {
        server.configure(configuration);
        ended_with(0, &server.command_line(&["check"]));
        ended_with(0, &server.command_line(&["reload"]));
        assert_eq!(answers(), expected);
    }
    server.configure(&narrow);
    ended_with(0, &server.command_line(&["reload"]));
    server.configure(&both);
    ended_with(0, &server.command_line(&["check"]));
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(answers(), ["narrow", "wide"]);
    ended_with(0, &server.command_line(&["stop"]));
}

/// Two spellings of one Unix socket were two listeners: `check` took them, and `run` said that another program
/// listens there. A reload that wrote the path in another way was refused likewise.
#[test]
fn a_unix_socket_is_one_however_its_path_is_spelled() {
    let configuration = |paths: &[&str]| {
        let paths = paths.iter().map(|path| format!(", 'unix:{path}'"));
        listening(&format!("['127.0.0.1:0'{}]", paths.collect::<String>()))
    };
    let site = Site::configured(&configuration(&["www/s"])).file("a", "");
    std::os::unix::fs::symlink("www", site.directory().join("link")).expect("ours");
    let server = site.start();
    let whole = server.directory().join("www/s").display().to_string();
    for path in ["./www/s", "www/../www/s", &whole, "link/s", "www/s"] {
        server.configure(configuration(&[path]));
        ended_with(0, &server.command_line(&["reload"]));
        let mut client = UnixClient::connect(&server.directory().join("www/s"));
        assert_eq!(client.exchange("GET", "/").text(), "ok");
        server.configure(configuration(&["www/s", path]));
        let said = ended_with(0, &server.command_line(&["check"]));
        assert!(said.contains("listed twice"), "{path}: {said}");
        ended_with(0, &server.command_line(&["reload"]));
    }
    let other = "[[server]]\nlisten = 'unix:link/s'\n[server.routes]\n'/' = { respond = 'ok' }\n";
    server.configure(configuration(&["www/s"]) + other);
    let said = ended_with(1, &server.command_line(&["check"]));
    assert!(said.contains("two servers answer for any host"), "{said}");
}
