//! What a service manager is told by `sd_notify(3)`.

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use crate::support::{Directory, SAFETY, Server, program};

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
    // Not beneath the directory: the name of a socket may have 107 octets only.
    let path = std::env::temp_dir().join(format!("tidegate-notify-{}", std::process::id()));
    let manager = UnixDatagram::bind(&path).expect("nobody else has our process's number");
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
