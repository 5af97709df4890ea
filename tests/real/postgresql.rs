//! PostgreSQL behind `[[stream]]`: pgbench, a server that is killed and comes back, and one that stands in
//! for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::documents::block;
use crate::support::{Directory, SAFETY, Server, Site, until};

/// Where the stream listens.
const STREAM: &str = "127.0.0.2";

/// A cluster of its own, which listens at a port of 127.0.0.1 and at no Unix socket. Dropping it ends it.
struct Postgres {
    child: Option<Child>,
    data: PathBuf,
    port: u16,
}

/// A port that is free.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Where Debian has the programs of PostgreSQL that are not in the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
    let mut versions: Vec<_> = versions
        .map(|entry| entry.expect("an entry").path())
        .collect();
    versions.sort();
    versions.pop().expect("a version").join("bin")
}

/// `program` as a user that is not root, which PostgreSQL refuses to run as.
fn as_postgres(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(program);
        return command;
    }
    Command::new(program)
}

impl Postgres {
    fn start(directory: &Directory, name: &str) -> Self {
        let data = directory.join(name);
        std::fs::create_dir(&data).expect("it is new");
        for path in [directory.path(), &data] {
            // The directory is ours; the cluster is the other user's.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path, mode).expect("it is ours");
        }
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").arg("postgres").arg(&data).status();
            assert!(given.expect("chown runs").success());
        }
        let made = as_postgres(&programs().join("initdb"))
            .args(["--username=app", "--auth=trust", "--no-sync", "--pgdata"])
            .arg(&data)
            .output();
        let made = made.expect("initdb runs");
        assert!(made.status.success(), "{made:?}");
        let mut server = Self {
            child: None,
            data,
            port: free_port(),
        };
        server.run();
        server
    }

    fn run(&mut self) {
        let child = as_postgres(&programs().join("postgres"))
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args([
                "-c",
                "unix_socket_directories=",
                "-p",
                &self.port.to_string(),
            ])
            .arg("-D")
            .arg(&self.data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("postgres runs"));
        until("postgres takes connections", || {
            let ready = psql("127.0.0.1", self.port, "select 1");
            ready.status.success().then_some(())
        });
    }

    /// Ends it at once, with its connections.
    fn kill(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // SIGQUIT: the immediate shutdown of PostgreSQL, which takes its processes with it.
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        let _ = child.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks the server at `host` something.
fn psql(host: &str, port: u16, command: &str) -> Output {
    Command::new("psql")
        .args([
            "-h",
            host,
            "-p",
            &port.to_string(),
            "-U",
            "app",
            "-d",
            "postgres",
        ])
        .args(["-At", "-c", command])
        .env("PGCONNECT_TIMEOUT", SAFETY.as_secs().to_string())
        .output()
        .expect("psql runs")
}

/// Runs pgbench at the stream.
fn pgbench(port: u16, arguments: &[&str]) -> Output {
    Command::new("pgbench")
        .args(["-h", STREAM, "-p", &port.to_string(), "-U", "app"])
        .args(arguments)
        .arg("postgres")
        .output()
        .expect("pgbench runs")
}

/// The configuration of docs/databases-and-mail.md for `first` and `second`, at a port that the system
/// chooses, and a server, which the support code waits for.
fn configuration(first: u16, second: u16) -> String {
    let text = block("databases-and-mail.md", "## PostgreSQL", "toml", 0);
    let text = text
        .replace("127.0.0.1:5432", &format!("127.0.0.1:{first}"))
        .replace("192.0.2.12:5432", &format!("127.0.0.1:{second}"))
        .replace("127.0.0.1:6432", "127.0.0.2:0");
    format!(
        "[log]\naccess = '-'\n[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = '' }}\n{text}"
    )
}

fn stream_port(server: &Server) -> u16 {
    let line = server.wait_for_line(|line| line.contains("for a stream"));
    let address = line.split_once("listening at ").expect("it says where").1;
    let address = address.split_once(',').expect("and for what").0;
    address
        .rsplit_once(':')
        .expect("a port")
        .1
        .parse()
        .expect("a number")
}

#[test]
fn pgbench_runs_and_the_server_may_be_killed_and_come_back() {
    let site = Site::new("");
    let mut first = Postgres::start(site.directory(), "first");
    let second = Postgres::start(site.directory(), "second");
    site.directory()
        .write("config.toml", configuration(first.port, second.port));
    let server = site.run_from("config.toml").start();
    let port = stream_port(&server);
    let port_of = |which: &str| {
        let asked = psql(STREAM, port, "select inet_server_port()");
        assert!(asked.status.success(), "{which}: {asked:?}");
        String::from_utf8_lossy(&asked.stdout).trim().to_owned()
    };

    let made = pgbench(port, &["-i", "-q", "-s", "1"]);
    assert!(made.status.success(), "{made:?}");
    for arguments in [&["-c", "8", "-t", "50"][..], &["-C", "-c", "4", "-t", "20"]] {
        let run = pgbench(port, arguments);
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.success(), "{run:?}");
        assert!(text.contains("number of failed transactions: 0"), "{text}");
    }
    assert_eq!(port_of("the first"), first.port.to_string());

    // Killed: open connections break, and the next ones go to the spare.
    first.kill();
    for _ in 0..5 {
        assert_eq!(port_of("the spare"), second.port.to_string());
    }
    // Back: it is asked again when its pause is over.
    first.run();
    until("the first is asked again", || {
        (port_of("either") == first.port.to_string()).then_some(())
    });
    let record = server.wait_for_record(|line| line.contains("\"STREAM 127.0.0.2:0 127.0.0.1:"));
    assert!(record.contains("\" 200 "), "{record}");
}
