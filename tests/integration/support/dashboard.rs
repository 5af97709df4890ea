//! `tidegate dashboard`, beside the server whose page it shows.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::output::Output;
use super::{Client, Server, program};

/// The command, which runs. Dropping it ends it.
pub(crate) struct Dashboard {
    child: Child,
    stderr: Output,
    url: String,
}

impl Dashboard {
    /// Runs the command for `server`, and waits for the address of the page.
    pub(crate) fn of(server: &Server) -> Self {
        Self::start(command_of(server).arg("--no-open"))
    }

    /// Runs a command that was made by [`command_of`].
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let stderr = Output::of(child.stderr.take().expect("it is piped"));
        let url = stderr.wait_for(|line| line.trim_start().starts_with("http://"));
        let Some(url) = url else {
            let _ = child.kill();
            panic!("no address:\n{}", stderr.lines().join("\n"));
        };
        let url = url.trim().to_owned();
        Self { child, stderr, url }
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens, and the path of the page.
    pub(crate) fn parts(&self) -> (SocketAddr, &str) {
        let rest = self.url.strip_prefix("http://").expect("it is HTTP");
        let (address, _) = rest.split_once('/').expect("a path");
        (address.parse().expect("an address"), &rest[address.len()..])
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.parts().0)
    }

    /// Presses Ctrl-C, and waits until it has ended.
    pub(crate) fn interrupt(mut self) -> io::Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        assert!(self.stderr.wait_for_end(), "{:?}", self.stderr.lines());
        self.child.wait()
    }

    /// As [`interrupt`](Self::interrupt); returns what it has written.
    pub(crate) fn interrupted(mut self) -> Vec<String> {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        assert!(self.stderr.wait_for_end(), "{:?}", self.stderr.lines());
        self.child.wait().expect("it ends");
        self.stderr.lines()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command for `server`, without options.
pub(crate) fn command_of(server: &Server) -> Command {
    let mut command = program();
    command.arg("dashboard");
    command.arg(server.directory().join("config.toml"));
    let sockets = server.control_socket();
    let directory = sockets.parent().expect("a directory");
    command.env("TIDEGATE_RUNTIME_DIR", directory);
    command
}
