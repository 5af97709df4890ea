//! Notifies the service manager of the server's state, as `sd_notify(3)` does: a datagram of
//! `NAME=VALUE` lines, sent to the Unix socket that `NOTIFY_SOCKET` names.
//!
//! ```text
//! READY=1                          every worker serves; sent again after each reload
//! RELOADING=1, MONOTONIC_USEC=…    the configuration is being read
//! STOPPING=1                       the exchanges in flight are being finished
//! MAINPID=…                        another process has taken our place
//! ```

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::log::diagnostic;

/// How long a message may wait for the manager; after that it is given up, with a warning.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service manager; `None` if the environment names none.
#[derive(Default)]
pub(super) struct ServiceManager(Option<UnixDatagram>);

/// What the manager can be notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Reloading,
    Stopping,
    /// Another process, of that number, serves from now on.
    ReplacedBy(u32),
}

impl ServiceManager {
    /// The service manager that `NOTIFY_SOCKET` names. If it does not listen, there is a warning and
    /// no manager.
    pub(super) fn from_environment() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let connected = address.map(|address| connect(&address)).transpose();
        Self(connected.unwrap_or_else(|error| {
            diagnostic::warn(format_args!("cannot reach NOTIFY_SOCKET: {error}"));
            None
        }))
    }

    /// Sends `state`; if that fails, there is a warning.
    pub(super) fn tell(&self, state: State) {
        let Some(socket) = &self.0 else { return };
        diagnostic::debug(format_args!("telling the service manager: {state:?}"));
        if let Err(error) = socket.send(state.message().as_bytes()) {
            diagnostic::warn(format_args!("cannot tell the service manager: {error}"));
        }
    }
}

impl State {
    fn message(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic().as_micros()),
            Self::Stopping => "STOPPING=1".to_owned(),
            Self::ReplacedBy(process) => format!("MAINPID={process}"),
        }
    }
}

/// The time by which the manager knows which reload a `READY=1` answers.
fn monotonic() -> Duration {
    // It counts from the start of the system and is never negative.
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// Connects to a path, or with a leading `@` to a name in the abstract namespace.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).expect("a message waits");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_reached() {
        let directory = TemporaryDirectory::new("notify");
        let path = directory.path().join("s");
        let name = format!("tidegate-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("it is short");
        for (listening, address) in [
            (UnixDatagram::bind(&path), path.clone().into_os_string()),
            (
                UnixDatagram::bind_addr(&abstract_name),
                format!("@{name}").into(),
            ),
        ] {
            let listening = listening.expect("the name is ours");
            let manager = ServiceManager(Some(connect(&address).expect("it listens")));
            manager.tell(State::Ready);
            assert_eq!(received(&listening), "READY=1");
            manager.tell(State::Reloading);
            let message = received(&listening);
            let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
            let time: u64 = time.expect(&message).parse().expect("a number");
            assert!(u128::from(time) <= monotonic().as_micros());
        }
    }

    #[test]
    fn nobody_who_listens_is_an_error_and_no_panic() {
        let directory = TemporaryDirectory::new("notify");
        connect(directory.path().join("nobody").as_os_str()).expect_err("there is no such file");
        ServiceManager::default().tell(State::Stopping);
    }
}
