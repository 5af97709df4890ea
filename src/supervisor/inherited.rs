//! Listening sockets that our parent opened for us, as `sd_listen_fds(3)` describes: `LISTEN_FDS` is
//! their number, from descriptor 3 on, and `LISTEN_PID` names the process that they are for.
//!
//! A server that we replace passes its sockets in the same way, and one more descriptor behind them:
//! the line to itself (`predecessor`). In `LISTEN_FDNAMES` it describes the files of its Unix sockets.

use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::SocketType;
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use socket2::SockRef;

use super::predecessor::{PREDECESSOR, Predecessor};
use super::unix::UnixSocket;
use crate::address::ListenAddress;
use crate::log::diagnostic;
use crate::runtime::sys;

/// The inherited sockets that have not been taken yet.
#[derive(Default)]
pub(crate) struct Inherited {
    sockets: Vec<InheritedSocket>,
    /// The process that we replace.
    pub(super) predecessor: Predecessor,
}

/// A socket that is bound, and listens.
struct InheritedSocket {
    address: ListenAddress,
    fd: Arc<OwnedFd>,
    /// What the process that we replace says of its file, if it has one.
    description: Option<String>,
}

/// The sockets of one address.
pub(super) struct Taken {
    /// Where they are bound.
    pub(super) bound: ListenAddress,
    pub(super) sockets: Vec<Arc<OwnedFd>>,
    /// What the process that we replace says of the file of the one Unix socket.
    pub(super) description: Option<String>,
}

/// Sockets that the configuration does not name.
#[derive(Default)]
pub(super) struct GivenUp {
    /// Where the process that we replace still listens with them.
    pub(super) addresses: Vec<ListenAddress>,
    /// Those whose files that process has to remove, and leaves to us.
    pub(super) files: Vec<UnixSocket>,
}

impl Inherited {
    /// Takes the descriptors that the environment says are ours. Call it before anything is opened.
    ///
    /// A descriptor that does not listen is closed, with a warning.
    pub(crate) fn from_environment() -> Self {
        let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
        let count = number("LISTEN_FDS").unwrap_or(0) as usize;
        let parent = std::os::unix::process::parent_id();
        if number(PREDECESSOR) == Some(parent) {
            let mut descriptors = sys::take_inherited(count + 1);
            // The line is the last of them.
            let line = (descriptors.len() > count)
                .then(|| descriptors.pop())
                .flatten();
            let predecessor = Predecessor::new(parent, line);
            let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
            let names = names.split(':').map(|name| Some(name.to_owned()));
            let described = descriptors.into_iter().zip(names.chain(iter::repeat(None)));
            return Self {
                predecessor,
                ..Self::described(described)
            };
        }
        let is_ours = number("LISTEN_PID") == Some(std::process::id());
        Self::of(sys::take_inherited(if is_ours { count } else { 0 }))
    }

    /// Those of `descriptors` that listen.
    pub(super) fn of(descriptors: Vec<OwnedFd>) -> Self {
        Self::described(descriptors.into_iter().map(|fd| (fd, None)))
    }

    /// The same, each with what the process that we replace says of it.
    fn described(descriptors: impl Iterator<Item = (OwnedFd, Option<String>)>) -> Self {
        let mut sockets = Vec::new();
        for (fd, description) in descriptors {
            match listening_at(&fd) {
                Ok(address) => sockets.push(InheritedSocket {
                    address,
                    fd: Arc::new(fd),
                    description,
                }),
                Err(error) => diagnostic::warn(format_args!(
                    "an inherited descriptor is passed over: {error}"
                )),
            }
        }
        Self {
            sockets,
            predecessor: Predecessor::default(),
        }
    }

    /// Takes the sockets that are bound to `address`. An `address` with port 0 takes the sockets of any one port:
    /// for the process that bound them, the system chose that port.
    pub(super) fn take(&mut self, address: &ListenAddress) -> Option<Taken> {
        let mut bound = self.sockets.iter().map(|socket| &socket.address);
        let found = bound.find(|bound| is_for(bound, address))?.clone();
        let is_found = |socket: &mut InheritedSocket| socket.address == found;
        let taken = self.sockets.extract_if(.., is_found);
        let taken = taken.map(|socket| (socket.fd, socket.description));
        let (sockets, descriptions): (_, Vec<_>) = taken.unzip();
        Some(Taken {
            bound: found,
            sockets,
            description: descriptions.into_iter().flatten().next(),
        })
    }

    /// Gives up the sockets that were not taken, with a warning.
    pub(super) fn give_up_rest(self) -> GivenUp {
        let mut given_up = GivenUp::default();
        for socket in self.sockets {
            let InheritedSocket {
                address,
                fd,
                description,
            } = socket;
            diagnostic::warn(format_args!(
                "the inherited socket at {address} is closed: no server of the configuration listens there"
            ));
            let described = address.unix().zip(description);
            let file = described
                .and_then(|(path, description)| UnixSocket::inherit(path, &fd, &description));
            given_up.files.extend(file);
            given_up.addresses.push(address);
        }
        given_up
    }
}

fn is_for(bound: &ListenAddress, configured: &ListenAddress) -> bool {
    match (bound.ip(), configured.ip()) {
        (Some(bound), Some(configured)) if configured.port() == 0 => bound.ip() == configured.ip(),
        _ => bound == configured,
    }
}

/// The address that a socket listens at.
///
/// # Errors
/// If `fd` is not a listening stream socket, or has no address that a configuration can name.
fn listening_at(fd: &OwnedFd) -> io::Result<ListenAddress> {
    let unfit = |reason| io::Error::new(io::ErrorKind::InvalidInput, reason);
    if socket_type(fd)? != SocketType::STREAM || !socket_acceptconn(fd)? {
        return Err(unfit("it is no stream socket that listens"));
    }
    let socket = SockRef::from(fd);
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    match (address.as_socket(), address.as_pathname()) {
        (Some(ip), _) => Ok(ListenAddress::Ip(ip)),
        (None, Some(path)) => Ok(ListenAddress::Unix(path.to_owned().into())),
        (None, None) => Err(unfit("its address is neither an IP address nor a path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixListener;

    fn address(text: &str) -> ListenAddress {
        ListenAddress::Ip(text.parse().expect("an address"))
    }

    #[test]
    fn only_sockets_that_listen_are_kept() {
        let directory = crate::test_support::TemporaryDirectory::new("inherited");
        let path = directory.path().join("s");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let bound = listener.local_addr().expect("it is bound").to_string();
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let file = std::fs::File::open(directory.path()).expect("it is there");
        let unix = UnixListener::bind(&path).expect("the directory is ours");
        let all = [listener.into(), udp.into(), file.into(), unix.into()];
        let mut inherited = Inherited::of(all.into());
        assert_eq!(inherited.sockets.len(), 2);
        assert!(inherited.take(&ListenAddress::Unix(path.into())).is_some());
        assert!(inherited.take(&address(&bound)).is_some());
        assert!(inherited.take(&address(&bound)).is_none(), "it was taken");
    }

    #[test]
    fn a_path_may_be_relative() {
        let here = std::env::current_dir().expect("it is there");
        let bound = ListenAddress::Unix(here.join("s").into());
        assert!(is_for(&bound, &ListenAddress::Unix("s".into())));
        assert!(!is_for(&bound, &ListenAddress::Unix("other/s".into())));
        assert!(!is_for(&bound, &address("127.0.0.1:0")));
    }

    #[test]
    fn port_0_stands_for_the_port_that_was_chosen() {
        for (bound, configured, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.1:0", true),
            ("127.0.0.1:80", "0.0.0.0:80", false),
            ("127.0.0.1:80", "[::1]:0", false),
        ] {
            let is_match = is_for(&address(bound), &address(configured));
            assert_eq!(is_match, expected, "{bound} for {configured}");
        }
    }
}
