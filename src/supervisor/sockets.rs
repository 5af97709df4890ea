//! Listening sockets: one for each worker at each address. The supervisor owns them, so that no queued
//! connection is lost when one worker ends and another starts.
//!
//! `SO_REUSEPORT` lets the sockets of one address share it; but it would also let a second server take
//! half of the connections. So the first socket is bound without it, which the system refuses if
//! another program holds the address; it is set afterwards, and the other sockets join. Where an
//! inherited socket lets none join, the workers share it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::inherited::Inherited;
use super::unix::UnixSocket;
use crate::address::ListenAddress;
use crate::log::diagnostic;
use crate::runtime::sys;
use crate::server::ListeningSocket;

/// How many connections may wait on each socket to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// How long the system waits for a connection's first octets before a worker may accept it; after
/// that, a worker accepts it without any.
const DEFER_ACCEPT: Duration = Duration::from_secs(1);

/// Every listening socket. A copy shares the sockets: a reload prepares the next set beside the one
/// in use, and drops the old one, which closes the sockets that only it had.
#[derive(Clone, Default)]
pub(super) struct Sockets {
    listening: Vec<Listening>,
}

/// The sockets of one address.
#[derive(Clone)]
struct Listening {
    /// The address as configured.
    address: ListenAddress,
    /// The address as bound, with the port that the system chose for port 0.
    bound: ListenAddress,
    /// At least one for each worker. There may be more than workers, because closing a socket would
    /// lose the connections that are queued there; then a worker has several.
    sockets: Vec<Arc<OwnedFd>>,
    /// Whether further sockets may be bound to the address. If not, the workers share one socket and
    /// its queue.
    may_join: bool,
    /// Keeps the file of a Unix socket that we bound.
    unix: Option<UnixSocket>,
}

impl Sockets {
    /// Takes the inherited sockets of `addresses`; the others are closed.
    ///
    /// # Errors
    /// The first socket that cannot be set up.
    pub(super) fn adopt(
        mut inherited: Inherited,
        addresses: &[ListenAddress],
    ) -> Result<Self, ListenError> {
        let has_port = |address: &&ListenAddress| address.ip().is_none_or(|ip| ip.port() != 0);
        let (exact, any): (Vec<_>, Vec<_>) = addresses.iter().partition(has_port);
        let mut adopted = Self::default();
        // An address with port 0 takes any socket that the others left.
        for address in exact.into_iter().chain(any) {
            let Some((bound, sockets)) = inherited.take(address) else {
                continue;
            };
            let listening = Listening::adopt(address, bound, sockets);
            let error = |error| ListenError::new(address, &error);
            adopted.listening.push(listening.map_err(error)?);
        }
        inherited.close_rest();
        Ok(adopted)
    }

    /// Returns the sockets for `addresses` and so many workers: those of this set that are wanted
    /// still, and new ones for the rest, bound and listening.
    ///
    /// On a machine without IPv6, an IPv6 wildcard or loopback address that stands beside its IPv4
    /// counterpart is left out, with a warning: `localhost` and `:8080` stand for both.
    ///
    /// # Errors
    /// The first address that cannot be listened at.
    pub(super) fn extended(
        &self,
        addresses: &[ListenAddress],
        workers: usize,
    ) -> Result<Self, ListenError> {
        let mut next = Self::default();
        for address in addresses {
            let known = self
                .listening
                .iter()
                .find(|listening| listening.address == *address);
            let listening = match known {
                Some(listening) => listening.clone().with_at_least(workers),
                None => Listening::new(address, workers),
            };
            match listening {
                Ok(listening) => next.listening.push(listening),
                Err(error) => {
                    let error = ListenError::new(address, &error);
                    if !(error.is_missing_family && is_implied(address, addresses)) {
                        return Err(error);
                    }
                    diagnostic::warn(format_args!("{error}; passed over"));
                }
            }
        }
        Ok(next)
    }

    /// The sockets that the worker with that index, of so many workers, accepts from.
    pub(super) fn of_worker(&self, index: usize, workers: usize) -> Vec<ListeningSocket> {
        let of_address = |listening: &Listening| {
            // A shared socket may be in the list several times; the worker needs it once.
            let mut of_worker: Vec<&Arc<OwnedFd>> = Vec::new();
            for fd in listening.sockets.iter().skip(index).step_by(workers) {
                if !of_worker.iter().any(|known| Arc::ptr_eq(known, fd)) {
                    of_worker.push(fd);
                }
            }
            let socket = |fd: &Arc<OwnedFd>| ListeningSocket {
                address: listening.address.clone(),
                fd: Arc::clone(fd),
                is_recorded: true,
            };
            of_worker.into_iter().map(socket).collect::<Vec<_>>()
        };
        self.listening.iter().flat_map(of_address).collect()
    }

    /// Every socket, once.
    pub(super) fn descriptors(&self) -> Vec<Arc<OwnedFd>> {
        let mut descriptors: Vec<Arc<OwnedFd>> = Vec::new();
        for fd in self
            .listening
            .iter()
            .flat_map(|listening| &listening.sockets)
        {
            if !descriptors.iter().any(|known| Arc::ptr_eq(known, fd)) {
                descriptors.push(Arc::clone(fd));
            }
        }
        descriptors
    }

    /// Keeps the files of Unix sockets from being removed: another process listens there now.
    pub(super) fn leave_files(&self) {
        let unix = self
            .listening
            .iter()
            .filter_map(|listening| listening.unix.as_ref());
        unix.for_each(UnixSocket::leave_file);
    }

    /// The addresses, with the ports that the system chose for port 0.
    pub(super) fn bound(&self) -> impl Iterator<Item = &ListenAddress> {
        self.listening.iter().map(|listening| &listening.bound)
    }
}

impl Listening {
    /// Binds `address`, with sockets for so many workers.
    fn new(address: &ListenAddress, workers: usize) -> io::Result<Self> {
        match address {
            ListenAddress::Ip(ip) => Self::at_ip(*ip)?.with_at_least(workers),
            ListenAddress::Unix(path) => {
                let socket = UnixSocket::bind(path, None)?;
                let listening = Self {
                    address: address.clone(),
                    bound: address.clone(),
                    sockets: vec![Arc::clone(&socket.fd)],
                    may_join: false,
                    unix: Some(socket),
                };
                listening.with_at_least(workers)
            }
        }
    }

    /// Binds the first socket of an address.
    fn at_ip(address: SocketAddr) -> io::Result<Self> {
        let first = open(address)?;
        first.bind(&address.into())?;
        first.set_reuse_port(true)?;
        first.listen(BACKLOG)?;
        let bound = first.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self {
            address: ListenAddress::Ip(address),
            bound: ListenAddress::Ip(bound),
            sockets: vec![Arc::new(OwnedFd::from(first))],
            may_join: true,
            unix: None,
        })
    }

    /// Takes sockets that another process has bound; a Unix socket's file is not ours to remove.
    fn adopt(
        address: &ListenAddress,
        bound: ListenAddress,
        sockets: Vec<Arc<OwnedFd>>,
    ) -> io::Result<Self> {
        let is_ip = address.ip().is_some();
        let mut may_join = is_ip;
        for socket in &sockets {
            if is_ip {
                set_up(&SockRef::from(socket))?;
                may_join &= SockRef::from(socket).reuse_port()?;
            }
        }
        Ok(Self {
            address: address.clone(),
            bound,
            sockets,
            may_join,
            unix: None,
        })
    }

    /// Adds sockets until there are as many as workers.
    fn with_at_least(mut self, workers: usize) -> io::Result<Self> {
        while self.sockets.len() < workers {
            let next = match (self.may_join, &self.bound) {
                (true, ListenAddress::Ip(bound)) => {
                    let socket = open(*bound)?;
                    socket.set_reuse_port(true)?;
                    socket.bind(&(*bound).into())?;
                    socket.listen(BACKLOG)?;
                    Arc::new(OwnedFd::from(socket))
                }
                // A Unix socket, or one that lets none join: the workers share it.
                _ => Arc::clone(&self.sockets[0]),
            };
            self.sockets.push(next);
        }
        Ok(self)
    }
}

/// Why the server cannot listen at an address. The operator can mend it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {reason}")]
pub(crate) struct ListenError {
    address: ListenAddress,
    reason: String,
    is_missing_family: bool,
}

impl ListenError {
    fn new(address: &ListenAddress, error: &io::Error) -> Self {
        let errno = Errno::from_io_error(error);
        let reason = match (errno, address) {
            (Some(Errno::ADDRINUSE), ListenAddress::Ip(ip)) => format!(
                "another program, perhaps another tidegate, listens there; stop it, or choose another port (`ss -ltnp 'sport = :{}'` shows which)",
                ip.port()
            ),
            (Some(Errno::ADDRINUSE), ListenAddress::Unix(_)) => {
                "another program listens there; stop it, or choose another path".to_owned()
            }
            (Some(Errno::ACCESS | Errno::PERM), ListenAddress::Ip(_)) => format!(
                "ports below 1024 are privileged; choose a higher one, or allow it: `setcap cap_net_bind_service=+ep` on the program (the system says: {error})"
            ),
            (Some(Errno::ADDRNOTAVAIL), _) => {
                "no interface of this machine has that address; `ip address` lists those there are"
                    .to_owned()
            }
            (Some(Errno::AFNOSUPPORT), _) => "this machine has no IPv6".to_owned(),
            _ => error.to_string(),
        };
        let is_missing_family = matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL));
        Self {
            address: address.clone(),
            reason,
            is_missing_family,
        }
    }
}

/// Whether an IPv6 wildcard or loopback address stands beside its IPv4 counterpart, as `localhost`
/// and `:PORT` mean both.
fn is_implied(address: &ListenAddress, all: &[ListenAddress]) -> bool {
    let Some(address) = address.ip() else {
        return false;
    };
    let counterpart = match address.ip() {
        IpAddr::V6(Ipv6Addr::LOCALHOST) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => return false,
    };
    all.contains(&ListenAddress::Ip(SocketAddr::new(
        counterpart,
        address.port(),
    )))
}

/// Makes a socket that can be bound to `address`.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // After a restart, connections of the process before may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // The IPv6 wildcard must not include IPv4: 0.0.0.0 may be configured as well.
        socket.set_only_v6(true)?;
    }
    set_up(&socket)?;
    Ok(socket)
}

/// Sets the options that accepted connections inherit, or that are about them.
fn set_up(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    sys::set_defer_accept(socket.as_fd(), DEFER_ACCEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> ListenAddress {
        ListenAddress::Ip(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn listen(addresses: &[ListenAddress], workers: usize) -> Result<Sockets, ListenError> {
        Sockets::default().extended(addresses, workers)
    }

    #[test]
    fn each_worker_has_a_socket_at_the_same_port() {
        let sockets = listen(&[loopback(0)], 3).expect("a port is free");
        let bound: Vec<SocketAddr> = sockets.bound().filter_map(ListenAddress::ip).collect();
        for index in 0..3 {
            let [socket] = &sockets.of_worker(index, 3)[..] else {
                panic!("one address, one socket")
            };
            let name = rustix::net::getsockname(&*socket.fd).expect("it is bound");
            assert_eq!(
                vec![SocketAddr::try_from(name).expect("an internet address")],
                bound
            );
            assert_eq!(socket.address, loopback(0));
        }
    }

    #[test]
    fn sockets_are_kept_and_shared_out_when_workers_come_and_go() {
        let three = listen(&[loopback(0)], 3).expect("a port is free");
        let of = |sockets: &Sockets, index, workers| {
            let of_worker = sockets.of_worker(index, workers).into_iter();
            of_worker
                .map(|socket| Arc::as_ptr(&socket.fd))
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..3).flat_map(|index| of(&three, index, 3)).collect();
        let one = three.extended(&[loopback(0)], 1).expect("nothing to bind");
        assert_eq!(of(&one, 0, 1), all);
        let four = one.extended(&[loopback(0)], 4).expect("there is room");
        assert_eq!(
            (0..3)
                .flat_map(|index| of(&four, index, 4))
                .collect::<Vec<_>>(),
            all
        );
        assert_eq!(of(&four, 3, 4).len(), 1);
        assert!(
            four.extended(&[], 4)
                .expect("nothing to bind")
                .bound()
                .next()
                .is_none()
        );
    }

    #[test]
    fn an_address_that_is_held_is_refused() {
        let held = listen(&[loopback(0)], 2).expect("a port is free");
        let bound = held.bound().next().expect("one address").clone();
        let error = listen(&[bound], 2).err().expect("it is held");
        assert!(error.to_string().contains("another program"), "{error}");
    }

    #[test]
    fn an_address_of_nobody_is_refused() {
        let nobody = ListenAddress::Ip(SocketAddr::from(([192, 0, 2, 1], 0)));
        let error = listen(&[nobody], 1).err().expect("it is for documentation");
        assert!(error.to_string().contains("no interface"), "{error}");
    }

    #[test]
    fn workers_share_a_unix_socket() {
        let directory = crate::test_support::TemporaryDirectory::new("sockets");
        let address = ListenAddress::Unix(directory.path().join("s"));
        let sockets = listen(&[address], 4).expect("the directory is ours");
        let of = |index| Arc::as_ptr(&sockets.of_worker(index, 4)[0].fd);
        assert_eq!(of(0), of(1));
        assert_eq!(sockets.of_worker(1, 2).len(), 1, "two would be the same");
    }

    #[test]
    fn a_worker_that_is_left_alone_has_a_shared_socket_once() {
        let directory = crate::test_support::TemporaryDirectory::new("sockets");
        let address = ListenAddress::Unix(directory.path().join("s"));
        let sockets = listen(&[address], 3).expect("the directory is ours");
        assert_eq!(sockets.of_worker(0, 1).len(), 1);
    }

    #[test]
    fn only_a_counterpart_implies_ipv6() {
        let at = |text: &str| ListenAddress::Ip(text.parse().expect("an address"));
        let both = [loopback(80), at("[::1]:80")];
        assert!(is_implied(&both[1], &both));
        assert!(!is_implied(&both[0], &both));
        assert!(!is_implied(&at("[::1]:81"), &both));
        assert!(!is_implied(&at("[2001:db8::1]:80"), &both));
    }
}
