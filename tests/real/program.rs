//! Programs that a test starts, behind `proxy` or in front of it, and that end with the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{Directory, until};

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

    /// Starts a program, in a process group of its own: some programs start others.
    pub(crate) fn start(mut command: Command) -> Self {
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

/// Writes a configuration of nginx with this `http` block into `directory`; returns the command that runs
/// nginx with it.
pub(crate) fn nginx_command(directory: &Directory, http: &str) -> Command {
    let here = directory.path().display();
    directory.write(
        "nginx.conf",
        format!(
            "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log {here}/nginx.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\naccess_log off;\nclient_body_temp_path {here}/a;\nproxy_temp_path {here}/b;\n\
             fastcgi_temp_path {here}/c;\nuwsgi_temp_path {here}/d;\nscgi_temp_path {here}/e;\n\
             client_max_body_size 1g;\n{http}\n}}\n"
        ),
    );
    let mut command = Command::new("/usr/sbin/nginx");
    command
        .arg("-p")
        .arg(directory.path())
        .arg("-c")
        .arg(directory.join("nginx.conf"));
    command.stderr(Stdio::null());
    command
}

/// Writes `configuration` into `directory`; returns the command that runs HAProxy with it.
pub(crate) fn haproxy_command(directory: &Directory, configuration: &str) -> Command {
    directory.write("haproxy.cfg", configuration);
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-f"]);
    command.arg(directory.join("haproxy.cfg"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// An address that was free a moment ago, for programs that cannot listen at a Unix socket.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}
