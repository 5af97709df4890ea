//! The server as its operator starts it: a configuration file, a process, signals.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output as Finished, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use super::output::Output;
use super::wire::speaks_tls;
use super::{Client, Directory, Response, UnixClient, is_tls_wanted, note_scheme, tls_fixture};

/// A directory with files and the configuration that serves them, before the server is started.
///
/// Files go beneath `www`. What is not set has the server's default; the access log is off.
pub(crate) struct Site {
    directory: Directory,
    /// The whole configuration, instead of the parts that follow.
    whole: Option<String>,
    /// The lines above the first table.
    top: String,
    log: String,
    limits: String,
    server: String,
    routes: String,
    environment: Vec<(&'static str, &'static str)>,
    /// The start of a shell's command line, which ends with `exec`; the server's own follows it.
    starter: Option<String>,
    arguments: Vec<&'static str>,
    /// The configuration's name in the directory, if the test has written one itself.
    written: Option<&'static str>,
}

impl Site {
    /// A site of `routes`, the lines of `[server.routes]`.
    pub(crate) fn new(routes: &str) -> Self {
        let directory = Directory::new();
        std::fs::create_dir(directory.join("www")).expect("the directory is new");
        Self {
            directory,
            whole: None,
            top: String::new(),
            log: "access = false".to_owned(),
            limits: String::new(),
            server: "listen = \"127.0.0.1:0\"".to_owned(),
            routes: routes.to_owned(),
            environment: Vec::new(),
            starter: None,
            arguments: Vec::new(),
            written: None,
        }
    }

    /// A site of files alone.
    pub(crate) fn of_files() -> Self {
        Self::new("'/' = { files = 'www', revalidate = '0s' }")
    }

    /// A site whose whole configuration is `text`.
    pub(crate) fn configured(text: &str) -> Self {
        Self {
            whole: Some(text.to_owned()),
            ..Self::new("")
        }
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.directory.write(format!("www/{name}"), content);
        self
    }

    pub(crate) fn top(self, top: &str) -> Self {
        Self {
            top: top.to_owned(),
            ..self
        }
    }

    pub(crate) fn log(self, log: &str) -> Self {
        Self {
            log: log.to_owned(),
            ..self
        }
    }

    pub(crate) fn limits(self, limits: &str) -> Self {
        Self {
            limits: limits.to_owned(),
            ..self
        }
    }

    /// The lines of the first `[[server]]`.
    pub(crate) fn server(self, server: &str) -> Self {
        Self {
            server: server.to_owned(),
            ..self
        }
    }

    /// The lines of `[server.routes]`, in place of those before.
    pub(crate) fn with_routes(self, routes: &str) -> Self {
        Self {
            routes: routes.to_owned(),
            ..self
        }
    }

    pub(crate) fn environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Limits how many files the server may have open.
    pub(crate) fn descriptors(self, limit: u32) -> Self {
        Self {
            starter: Some(format!("ulimit -n {limit}; exec")),
            ..self
        }
    }

    /// Has `starter` start the server: a shell's command line, which ends with `exec` or a program that
    /// runs what follows it.
    pub(crate) fn started_by(self, starter: &str) -> Self {
        Self {
            starter: Some(starter.to_owned()),
            ..self
        }
    }

    /// Starts the server without the privilege to read what its permissions forbid, which root has.
    pub(crate) fn obeying_permissions(self) -> Self {
        let drop = "exec setpriv --bounding-set -dac_override,-dac_read_search";
        let is_root = rustix::process::geteuid().is_root();
        Self {
            starter: is_root.then(|| drop.to_owned()),
            ..self
        }
    }

    /// Starts the server with SIGCHLD ignored.
    pub(crate) fn ignoring_children(self) -> Self {
        Self {
            starter: Some("exec env --ignore-signal=CHLD".to_owned()),
            ..self
        }
    }

    /// Runs the server with one more argument.
    pub(crate) fn argument(mut self, argument: &'static str) -> Self {
        self.arguments.push(argument);
        self
    }

    /// Runs the server from the file `name`, which the test has written.
    pub(crate) fn run_from(self, name: &'static str) -> Self {
        Self {
            written: Some(name),
            ..self
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Starts the server, and waits until it listens.
    pub(crate) fn start(self) -> Server {
        self.write_configuration();
        let mut command = self.command();
        command.envs(self.environment.iter().copied());
        Server::start(command, self.directory)
    }

    /// Starts a server that is expected to refuse, and waits for its end.
    pub(crate) fn run(self) -> Finished {
        self.write_configuration();
        run(self.command(), &self.directory)
    }

    /// Runs a command of the program, with the configuration of this site.
    pub(crate) fn command_line(&self, arguments: &[&str]) -> Finished {
        self.write_configuration();
        tidegate(&self.directory, arguments)
    }

    /// The program with `arguments`, in the directory of this site and its configuration.
    pub(crate) fn command_for(&self, arguments: &[&str]) -> Command {
        self.write_configuration();
        command_in(&self.directory, arguments)
    }

    fn write_configuration(&self) {
        if self.written.is_some() {
            return;
        }
        let Self {
            whole,
            top,
            log,
            limits,
            server,
            routes,
            ..
        } = self;
        let assembled = format!(
            "{top}\n[log]\n{log}\n[limits]\n{limits}\n[[server]]\n{server}\n[server.routes]\n{routes}\n"
        );
        let configuration = whole.as_ref().unwrap_or(&assembled);
        if is_tls_wanted() {
            self.directory.write("config.toml", over_tls(configuration));
        } else {
            self.directory.write("config.toml", configuration);
        }
    }

    fn command(&self) -> Command {
        let mut command = match &self.starter {
            None => program(),
            Some(starter) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{starter} \"$0\" \"$@\"")]);
                shell.arg(env!("CARGO_BIN_EXE_tidegate"));
                shell
            }
        };
        command
            .arg("run")
            .arg("--config")
            .arg(self.directory.join(self.written.unwrap_or("config.toml")))
            .args(&self.arguments);
        command
    }
}

/// The program, without arguments.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
}

/// The directory of control sockets: the servers and commands of a test use it, and no other test does.
fn runtime_directory(directory: &Directory) -> PathBuf {
    directory.join("run")
}

/// The program with `arguments`, which runs in `directory` and finds the server of that directory.
fn command_in(directory: &Directory, arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .args(arguments)
        .current_dir(directory.path())
        .env("TIDEGATE_RUNTIME_DIR", runtime_directory(directory));
    command
}

/// Runs `command` to its end.
fn run(mut command: Command, directory: &Directory) -> Finished {
    command.env("TIDEGATE_RUNTIME_DIR", runtime_directory(directory));
    command.output().expect("the program runs")
}

/// Runs `tidegate VERB… --config` with the configuration in `directory`.
fn tidegate(directory: &Directory, arguments: &[&str]) -> Finished {
    let mut command = program();
    command.args(arguments).arg("--config");
    command.arg(directory.join("config.toml"));
    run(command, directory)
}

/// A server that runs. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    stdout: Output,
    stderr: Output,
    directory: Arc<Directory>,
    /// Whether the test lets the server panic.
    may_panic: bool,
}

impl Server {
    /// Runs `command`, and waits until it listens.
    pub(crate) fn start(mut command: Command, directory: impl Into<Arc<Directory>>) -> Self {
        let directory = directory.into();
        command
            .env("TIDEGATE_RUNTIME_DIR", runtime_directory(&directory))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let may_panic = command.get_envs().any(|(name, value)| {
            name == "TIDEGATE_TEST_HOOKS" && value.is_some_and(|value| value == "panic")
        });
        let mut child = command.spawn().expect("the program can be started");
        let stdout = Output::of(child.stdout.take().expect("it is piped"));
        let stderr = Output::of(child.stderr.take().expect("it is piped"));
        let Some(address) = stderr.wait_for(|line| bound_address(line).is_some()) else {
            let _ = child.kill();
            panic!("the server does not listen:\n{}", stderr.lines().join("\n"));
        };
        let address = bound_address(&address).expect("it was one a moment ago");
        Self {
            child,
            address,
            stdout,
            stderr,
            directory,
            may_panic,
        }
    }

    /// The first address it listens at.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory of the configuration; the files are beneath its `www`.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Writes another configuration; the server has not read it yet.
    pub(crate) fn configure(&self, text: impl AsRef<[u8]>) {
        let text = String::from_utf8(text.as_ref().to_vec());
        match text {
            Ok(text) if is_tls_wanted() && speaks_tls(self.address) => {
                self.directory.replace("config.toml", over_tls(&text));
            }
            Ok(text) => self.directory.replace("config.toml", text),
            Err(text) => self.directory.replace("config.toml", text.into_bytes()),
        }
    }

    /// Runs `tidegate VERB…` for this server.
    pub(crate) fn command_line(&self, arguments: &[&str]) -> Finished {
        tidegate(&self.directory, arguments)
    }

    /// The program with `arguments`, in the directory of this server and its configuration.
    pub(crate) fn command_for(&self, arguments: &[&str]) -> Command {
        command_in(&self.directory, arguments)
    }

    /// A connection to the control socket.
    pub(crate) fn control(&self) -> UnixClient {
        UnixClient::connect(&self.control_socket())
    }

    /// Where the control socket is: it is the only socket in its directory.
    pub(crate) fn control_socket(&self) -> PathBuf {
        let directory = runtime_directory(&self.directory);
        let entries = std::fs::read_dir(directory).expect("the server made it");
        let paths = entries.map(|entry| entry.expect("it can be read").path());
        let mut sockets = paths.filter(|path| path.extension().is_some_and(|end| end == "sock"));
        let socket = sockets.next().expect("a socket");
        assert!(sockets.next().is_none(), "one server, one socket");
        socket
    }

    /// What `GET /status` at the control socket says.
    pub(crate) fn status(&self) -> serde_json::Value {
        self.control().exchange("GET", "/status").json()
    }

    /// Waits until so many connections are idle. One is not yet when its client has the response: its worker has to
    /// look at it again.
    pub(crate) fn wait_for_idle(&self, count: usize) {
        let idle = format!("\ntidegate_idle_connections {count}\n");
        super::until("so many are idle", || {
            let metrics = self.control().exchange("GET", "/metrics").text();
            metrics.contains(&idle).then_some(())
        });
    }

    /// Waits until an exchange has ended for the reason of that id.
    pub(crate) fn wait_for_reason(&self, reason: &str) {
        super::until(reason, || self.status()["reasons"][reason].as_u64());
    }

    /// Every address that the server has announced so far and that begins with `prefix`, the latest last.
    pub(crate) fn addresses_at(&self, prefix: &str) -> Vec<SocketAddr> {
        let lines = self.stderr.lines();
        let addresses = lines.iter().filter_map(|line| bound_address(line));
        addresses
            .filter(|address| address.to_string().starts_with(prefix))
            .collect()
    }

    /// Kills the server, which cannot clean up, and starts another from the same file.
    pub(crate) fn kill_and_start_again(mut self) -> Self {
        self.give_up_ports();
        self.child.kill().expect("it is our own child");
        self.child.wait().expect("it is our own child");
        let mut command = program();
        command.arg("run").arg("--config");
        command.arg(self.directory.join("config.toml"));
        Self::start(command, Arc::clone(&self.directory))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Lets the server open no file more, until the function that is returned is called.
    pub(crate) fn allow_no_more_files(&self) -> impl FnOnce() + use<> {
        let process = Pid::from_raw(self.id() as i32);
        let open = format!("/proc/{}/fd", self.id());
        let is_free = |number: &u64| fs::symlink_metadata(format!("{open}/{number}")).is_err();
        let limit = Rlimit {
            current: (0..).find(is_free),
            // The server has inherited it.
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        let before = prlimit(process, Resource::Nofile, limit).expect("it is our own child");
        move || {
            prlimit(process, Resource::Nofile, before).expect("it is our own child");
        }
    }

    /// Connects clients until the server, which has 40 descriptors, can accept no more. Each has begun a request.
    pub(crate) fn take_all_descriptors(&self) -> Vec<Client> {
        let connect = |_| {
            let mut client = self.connect();
            client.send("GET /");
            client
        };
        let clients = (0..60).map(connect).collect();
        self.wait_for_line(|line| line.contains("cannot accept connections"));
        clients
    }

    /// Sends `request`, and nothing else, on a connection of its own. Returns the response, after which
    /// the server must close. The client ends its side when it has the response: one that does so before
    /// counts as gone wherever the server waits for somebody else (docs/application-servers.md).
    pub(crate) fn answer(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        let response = client.exchange(request);
        if response.field("Connection") != Some("close") {
            client.finish_sending();
        }
        client.expect_end();
        response
    }

    /// The response to a GET for `target`.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.get_with(target, "")
    }

    /// The response to a GET for `target` with further field lines, each with its CRLF.
    pub(crate) fn get_with(&self, target: &str, lines: &str) -> Response {
        self.answer(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"))
    }

    /// Waits for a line on standard error.
    pub(crate) fn wait_for_line(&self, is_meant: impl Fn(&str) -> bool) -> String {
        self.stderr.wait_for(is_meant).expect("the server says it")
    }

    /// Waits for a line on standard output, where the access log may go.
    pub(crate) fn wait_for_record(&self, is_meant: impl Fn(&str) -> bool) -> String {
        self.stdout.wait_for(is_meant).expect("the server logs it")
    }

    /// The lines on standard output so far.
    pub(crate) fn records(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// The lines on standard error so far.
    pub(crate) fn diagnostics(&self) -> Vec<String> {
        self.stderr.lines()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our own child");
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        let ended = self.stderr.wait_for_end() && self.stdout.wait_for_end();
        if !ended {
            let _ = self.child.kill();
            panic!(
                "the server does not end:\n{}",
                self.stderr.lines().join("\n")
            );
        }
        self.child.wait()
    }

    /// Stops the server, and waits until it has ended. Returns the lines of standard error and of
    /// standard output.
    pub(crate) fn stop(mut self) -> (Vec<String>, Vec<String>) {
        self.give_up_ports();
        self.signal(Signal::TERM);
        let status = self.wait().expect("it is our own child");
        assert!(
            status.success(),
            "{status}:\n{}",
            self.stderr.lines().join("\n")
        );
        (self.stderr.lines(), self.stdout.lines())
    }
}

impl Server {
    /// Has clients speak plainly at the server's addresses, since what gets a port next may do so. This has to be
    /// said while the server still runs: later the port may be that of another test's server.
    fn give_up_ports(&self) {
        for address in self.addresses_at("") {
            note_scheme(address, false);
        }
    }

    /// Has the process that serves now stop: after an upgrade it is not our child. A server that hangs is
    /// not waited for.
    fn stop_successor(&self) {
        let mut command = Command::new("timeout");
        command.arg("5").arg(program().get_program());
        command.args(["stop", "--config"]);
        command.arg(self.directory.join("config.toml"));
        command.env("TIDEGATE_RUNTIME_DIR", runtime_directory(&self.directory));
        let _ = command.output();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let is_running = matches!(self.child.try_wait(), Ok(None));
        if is_running {
            self.give_up_ports();
        }
        if std::thread::panicking() {
            self.stop_successor();
            let _ = self.child.kill();
            let _ = self.child.wait();
            eprintln!(
                "the server's standard error:\n{}",
                self.stderr.lines().join("\n")
            );
            return;
        }
        if is_running {
            self.signal(Signal::TERM);
            let status = self.wait().expect("it is our own child");
            assert!(
                status.success(),
                "{status}:\n{}",
                self.stderr.lines().join("\n")
            );
        }
        let panics = self
            .stderr
            .lines()
            .into_iter()
            .filter(|line| line.contains("panicked"));
        let panics: Vec<String> = panics.collect();
        assert!(self.may_panic || panics.is_empty(), "{panics:?}");
    }
}

/// The address in `… listening at http://127.0.0.1:8080`. Clients speak TLS there if it says `https`.
pub(crate) fn bound_address(line: &str) -> Option<SocketAddr> {
    let (_, url) = line.split_once("listening at ")?;
    let (scheme, address) = url.split_once("://")?;
    let address = address.trim_end_matches('/').parse().ok()?;
    note_scheme(address, scheme == "https");
    Some(address)
}

/// The configuration `text` with TLS for every server that listens at no Unix socket and says nothing of
/// TLS itself.
fn over_tls(text: &str) -> String {
    const SERVER: &str = "[[server]]\n";
    let (certificate, key) = (tls_fixture("localhost.pem"), tls_fixture("localhost.key"));
    let tls = format!("tls = {{ certificate = {certificate:?}, key = {key:?} }}\n");
    let mut parts = text.split(SERVER);
    let mut all = parts.next().unwrap_or_default().to_owned();
    let mut is_first = true;
    for part in parts {
        let own = part.split("\n[").next().unwrap_or_default();
        all.push_str(SERVER);
        if !own.contains("unix:") && !own.contains("tls") {
            all.push_str(&tls);
            if std::mem::take(&mut is_first) {
                all.push_str("tls_default = true\n");
            }
        }
        all.push_str(part);
    }
    all
}
