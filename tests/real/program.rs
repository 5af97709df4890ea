//! Programs that a test starts, behind `proxy` or in front of it, and that end with the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::until;

/// A program that runs, with its own processes. Dropping it ends them all.
pub(crate) struct Program(Child);

impl Program {
    /// Starts a program that listens at a Unix socket, and waits until it does.
    pub(crate) fn at_socket(command: Command, socket: &Path) -> Self {
        let program = Self::start(command);
        until("the program listens", || UnixStream::connect(socket).ok());
        program
    }

    /// Starts a program that listens at a port, and waits until it does.
    pub(crate) fn at_port(command: Command, address: SocketAddr) -> Self {
        let program = Self::start(command);
        until("the program listens", || TcpStream::connect(address).ok());
        program
    }

    /// Sends a signal to it and its processes.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.0), signal).expect("it runs");
    }

    /// In a process group of its own: some programs start others.
    fn start(mut command: Command) -> Self {
        use std::os::unix::process::CommandExt as _;
        command.stdin(Stdio::null()).process_group(0);
        let child = command.spawn();
        Self(child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program())))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// An address that was free a moment ago, for programs that cannot listen at a Unix socket.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}
