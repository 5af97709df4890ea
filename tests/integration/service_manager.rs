//! What the server notifies the service manager of (`sd_notify(3)`), and the sockets that the service
//! manager passes (`sd_listen_fds(3)`).

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::support::{Client, Directory, SAFETY, Server, program};

const CONFIGURATION: &str =
    "[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = { respond = 'ok' }\n";

fn message(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("the server tells");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn the_manager_is_told_of_readiness_reloads_and_the_end() {
    let directory = Directory::new();
    directory.write("config.toml", CONFIGURATION);
    // Not in the directory of the site: the path of a socket may have 107 octets at most.
    let path = std::env::temp_dir().join(format!("tidegate-notify-{}", std::process::id()));
    let manager = UnixDatagram::bind(&path).expect("no other process has our number");
    manager.set_read_timeout(Some(SAFETY)).expect("not zero");
    let mut command = program();
    command.arg("run").arg("--config");
    command.arg(directory.join("config.toml"));
    command.env("NOTIFY_SOCKET", &path);
    let server = Server::start(command, directory);
    assert_eq!(message(&manager), "READY=1");
    for configuration in [CONFIGURATION, "nonsense"] {
        server.directory().write("config.toml", configuration);
        server.signal(Signal::HUP);
        let reloading = message(&manager);
        assert!(
            reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{reloading}"
        );
        assert_eq!(message(&manager), "READY=1");
    }
    server.stop();
    assert_eq!(message(&manager), "STOPPING=1");
    std::fs::remove_file(path).expect("it is ours");
}

/// The program as a service manager starts it with two sockets: they are the descriptors 3 and 4, and
/// the environment says that they are for this process.
fn with_sockets(sockets: [&TcpListener; 2], process: &str) -> Command {
    for socket in sockets {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).expect("it is open");
    }
    let [first, second] = sockets.map(|socket| socket.as_raw_fd());
    // The descriptors are moved by way of high numbers, because the sockets may be 3 and 4 already.
    let script = format!(
        "exec 208<&{first} 209<&{second}; exec 3<&208 4<&209 208<&- 209<&-; LISTEN_FDS=2 LISTEN_PID={process} exec \"$@\""
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_tidegate")]);
    command
}

#[test]
fn sockets_of_the_manager_are_served_and_others_are_closed_with_a_warning() {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let [wanted, other] = [0, 1].map(|index| sockets[index].local_addr().expect("it is bound"));
    // A client that connected before the server ran gets a response.
    let mut early = Client::connect(wanted);
    early.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let directory = Directory::new();
    let configuration = CONFIGURATION.replace("127.0.0.1:0", &wanted.to_string());
    directory.write("config.toml", format!("workers = 3\n{configuration}"));
    let mut command = with_sockets([&sockets[0], &sockets[1]], "$$");
    command.arg("run").arg("--config");
    command.arg(directory.join("config.toml"));
    let server = Server::start(command, directory);
    assert_eq!(server.address(), wanted);
    assert_eq!(early.response().text(), "ok");
    for _ in 0..10 {
        assert_eq!(server.get("/").text(), "ok");
    }
    let closed = format!("the inherited socket at {other} is closed");
    server.wait_for_line(|line| line.contains(&closed));
}

#[test]
fn sockets_meant_for_another_process_are_left_alone() {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let directory = Directory::new();
    let address = sockets[0].local_addr().expect("it is bound").to_string();
    directory.write(
        "config.toml",
        CONFIGURATION.replace("127.0.0.1:0", &address),
    );
    let mut command = with_sockets([&sockets[0], &sockets[1]], "1");
    command.arg("run").arg("--config");
    command.arg(directory.join("config.toml"));
    let output = command.output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("another program"), "{stderr}");
}

/// The socket that systemd makes for `ListenStream=80` takes both families. `listen = ":80"` names both,
/// and the server did not start: "another program listens there".
#[test]
fn a_socket_of_both_families_serves_both_addresses() {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None);
    let bound = socket.and_then(|socket| {
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from(([0; 16], 0)).into())?;
        socket.listen(5)?;
        Ok(TcpListener::from(socket))
    });
    let Ok(both) = bound else {
        return; // This machine has no IPv6.
    };
    let port = both.local_addr().expect("it is bound").port();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let directory = Directory::new();
    let configuration = CONFIGURATION.replace("127.0.0.1:0", &format!(":{port}"));
    directory.write("config.toml", format!("workers = 3\n{configuration}"));
    let mut command = with_sockets([&both, &other], "$$");
    command.arg("run").arg("--config");
    command.arg(directory.join("config.toml"));
    let _server = Server::start(command, directory);
    for address in [
        SocketAddr::from(([127, 0, 0, 1], port)),
        SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
    ] {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.last_response().text(), "ok");
    }
}
