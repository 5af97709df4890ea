//! The listening sockets of one address.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::net::sockopt::socket_acceptconn;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::inherited::Taken;
use super::unix::{Accesses, UnixSocket};
use crate::address::ListenAddress;
use crate::config::model::SocketAccess;
use crate::runtime::sys;
use crate::server::ListeningSocket;

/// How long the system waits for a connection's first octets before a worker may accept it; after
/// that, a worker accepts it without any.
const DEFER_ACCEPT: Duration = Duration::from_secs(1);

/// How often, and after which pause, an address is tried again that we ourselves have just given up:
/// a worker closes its socket in these moments, or a script between `fork` and `exec` has a copy.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// The sockets of one address.
#[derive(Clone)]
pub(super) struct Listening {
    /// The address as configured.
    pub(super) address: ListenAddress,
    /// The address as bound, with the port that the system chose for port 0.
    pub(super) bound: ListenAddress,
    /// At least one for each worker. There may be more than workers, because closing a socket would
    /// lose the connections that are queued there; then a worker has several.
    pub(super) sockets: Vec<Arc<OwnedFd>>,
    /// Whether further sockets may be bound to the address. If not, the workers share one socket and
    /// its queue.
    may_join: bool,
    /// Whether no other program was to listen at the address when its first socket was bound.
    is_exclusive: bool,
    /// Keeps the file of a Unix socket that we bound, or a predecessor of ours.
    pub(super) unix: Option<UnixSocket>,
    /// An inherited socket at the IPv6 wildcard may take IPv4 connections as well. Then this is the
    /// address of theirs, if the configuration has it.
    pub(super) ipv4: Option<ListenAddress>,
    pub(super) service: Service,
}

/// What connections at an address are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Service {
    /// They begin with a request.
    #[default]
    Http,
    /// They begin with the handshake of TLS.
    Https,
    /// They are passed on as they are.
    Stream,
}

/// What keeps an address of ours from others, beside the sockets that we listen at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nothing.
    Free,
    /// Sockets of ours that every worker has closed a moment ago. A script between `fork` and `exec`
    /// may have a copy yet.
    ByUsUntilNow,
    /// Sockets of ours, at this address or at one that it overlaps: a new socket has to join them.
    ByUs,
}

impl Listening {
    /// Binds `address`, with sockets for so many workers. They take connections once they
    /// [`listen`](Self::listen).
    ///
    /// # Errors
    /// The system's error, or a sentence.
    pub(super) fn new(
        address: &ListenAddress,
        accesses: &Accesses,
        workers: usize,
        held: Held,
    ) -> io::Result<Self> {
        let listening = match address {
            ListenAddress::Ip(ip) => Self::at_ip(*ip, held)?,
            ListenAddress::Unix(at) => {
                let none = SocketAccess::default();
                let access = accesses.get(address).unwrap_or(&none);
                let socket = UnixSocket::reserve(at.path(), access)?;
                let fd = Arc::clone(&socket.fd);
                let listening = Self::of(address, address.clone(), vec![fd], false);
                Self {
                    unix: Some(socket),
                    ..listening
                }
            }
        };
        listening.with_at_least(workers)
    }

    /// Looks whether [`new`](Self::new) would succeed. Clients notice nothing of it.
    ///
    /// # Errors
    /// What `new` would say.
    pub(super) fn try_address(address: &ListenAddress, held: Held) -> io::Result<()> {
        match address {
            ListenAddress::Ip(ip) => bind_first(*ip, held).map(drop),
            ListenAddress::Unix(at) => UnixSocket::try_path(at.path()),
        }
    }

    /// Lets those use a Unix socket of ours that `accesses` names.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn set_access(&self, accesses: &Accesses) -> io::Result<()> {
        let Some(socket) = &self.unix else {
            return Ok(());
        };
        let access = accesses.get(&self.address);
        socket.set_access(access.unwrap_or(&SocketAccess::default()))
    }

    /// Says what connections at the address are. A request comes from the client, so that a connection
    /// need not be accepted before its first octets are there; in a stream the upstream may speak first.
    ///
    /// # Errors
    /// The error of `setsockopt`.
    pub(super) fn set_service(&mut self, service: Service) -> io::Result<()> {
        self.service = service;
        let patience = if service == Service::Stream {
            Duration::ZERO
        } else {
            DEFER_ACCEPT
        };
        let sockets = self.sockets.iter().filter(|_| self.address.ip().is_some());
        for socket in sockets {
            sys::set_defer_accept(socket.as_fd(), patience)?;
        }
        Ok(())
    }

    fn of(
        address: &ListenAddress,
        bound: ListenAddress,
        sockets: Vec<Arc<OwnedFd>>,
        may_join: bool,
    ) -> Self {
        Self {
            address: address.clone(),
            bound,
            sockets,
            may_join,
            is_exclusive: false,
            unix: None,
            ipv4: None,
            service: Service::default(),
        }
    }

    /// Binds the first socket of an address.
    fn at_ip(address: SocketAddr, held: Held) -> io::Result<Self> {
        let first = bind_first(address, held)?;
        first.set_reuse_port(true)?;
        let bound = first.local_addr()?.as_socket().unwrap_or(address);
        let sockets = vec![Arc::new(OwnedFd::from(first))];
        let (address, bound) = (ListenAddress::Ip(address), ListenAddress::Ip(bound));
        Ok(Self {
            is_exclusive: held != Held::ByUs,
            ..Self::of(&address, bound, sockets, true)
        })
    }

    /// The sockets that take no connections yet.
    fn silent(&self) -> impl Iterator<Item = &Arc<OwnedFd>> {
        let sockets = self.sockets.iter();
        sockets.filter(|socket| !socket_acceptconn(socket).unwrap_or(true))
    }

    /// Looks whether the sockets, if they are all new, may take connections.
    ///
    /// # Errors
    /// The system's error: another program listens there by now.
    pub(super) fn look(&self) -> io::Result<()> {
        if let (true, ListenAddress::Ip(bound)) = (self.is_exclusive, &self.bound)
            && self.silent().count() == self.sockets.len()
        {
            // Ours would share the address with another program that lets them; this one is refused.
            bind_first(*bound, Held::Free)?;
        }
        Ok(())
    }

    /// Has those of the sockets take connections that do not yet. Before that the system hands them no
    /// connection, which would wait there until a worker accepts it.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn listen(&self) -> io::Result<()> {
        self.silent()
            .try_for_each(|socket| Ok(rustix::net::listen(socket, ListeningSocket::BACKLOG)?))
    }

    /// Takes sockets that another process has bound. The file of a Unix socket is ours only if a predecessor
    /// leaves it to us, and describes it.
    pub(super) fn adopt(address: &ListenAddress, taken: Taken) -> io::Result<Self> {
        let Taken {
            bound,
            sockets,
            description,
        } = taken;
        let is_ip = address.ip().is_some();
        let mut may_join = is_ip;
        for socket in &sockets {
            if is_ip {
                set_up(&SockRef::from(socket))?;
                may_join &= SockRef::from(socket).reuse_port()?;
            }
        }
        let described = address.unix().zip(description);
        let unix = described.and_then(|(path, description)| {
            UnixSocket::inherit(path, sockets.first()?, &description)
        });
        Ok(Self {
            unix,
            ..Self::of(address, bound, sockets, may_join)
        })
    }

    /// Whether the sockets take IPv4 connections beside those of IPv6, at `address`.
    pub(super) fn includes(&self, address: &ListenAddress) -> bool {
        let (Some(SocketAddr::V6(bound)), Some(SocketAddr::V4(other))) =
            (self.bound.ip(), address.ip())
        else {
            return false;
        };
        let is_dual =
            |socket: &Arc<OwnedFd>| SockRef::from(socket).only_v6().is_ok_and(|only| !only);
        bound.port() == other.port()
            && bound.ip().is_unspecified()
            && other.ip().is_unspecified()
            && self.sockets.iter().all(is_dual)
    }

    /// Adds sockets until there are as many as workers; the new ones do not listen yet.
    pub(super) fn with_at_least(mut self, workers: usize) -> io::Result<Self> {
        while self.sockets.len() < workers {
            let next = match (self.may_join && self.ipv4.is_none(), &self.bound) {
                (true, ListenAddress::Ip(bound)) => {
                    let socket = open(*bound)?;
                    socket.set_reuse_port(true)?;
                    socket.bind(&(*bound).into())?;
                    Arc::new(OwnedFd::from(socket))
                }
                // A Unix socket, or one that lets none join: the workers share it.
                _ => Arc::clone(&self.sockets[0]),
            };
            self.sockets.push(next);
        }
        Ok(self)
    }

    /// The sockets that the worker with that index, of so many workers, accepts from.
    pub(super) fn of_worker(&self, index: usize, workers: usize) -> Vec<ListeningSocket> {
        // A shared socket may be in the list several times; the worker needs it once.
        let mut of_worker: Vec<&Arc<OwnedFd>> = Vec::new();
        for fd in self.sockets.iter().skip(index).step_by(workers) {
            if !of_worker.iter().any(|known| Arc::ptr_eq(known, fd)) {
                of_worker.push(fd);
            }
        }
        let socket = |fd: &Arc<OwnedFd>| ListeningSocket {
            address: self.address.clone(),
            ipv4: self.ipv4.clone(),
            fd: Arc::clone(fd),
            is_recorded: true,
        };
        of_worker.into_iter().map(socket).collect()
    }
}

/// Sockets of an address that is no longer configured. Workers accept from them what is still queued,
/// and close them then.
#[derive(Clone)]
pub(super) struct Leaving {
    address: ListenAddress,
    bound: ListenAddress,
    sockets: Vec<Weak<OwnedFd>>,
    may_join: bool,
}

impl Leaving {
    pub(super) fn new(listening: &Listening) -> Self {
        Self {
            address: listening.address.clone(),
            bound: listening.bound.clone(),
            sockets: listening.sockets.iter().map(Arc::downgrade).collect(),
            may_join: listening.may_join,
        }
    }

    /// Whether a worker may still have one of the sockets.
    pub(super) fn is_open(&self) -> bool {
        self.sockets.iter().any(|socket| socket.strong_count() > 0)
    }

    pub(super) fn bound(&self) -> &ListenAddress {
        &self.bound
    }

    /// Listens again at `address`, if that is where these sockets are: with those that are still open,
    /// so that the address is never free, and no connection in their queues is lost. Further sockets do
    /// not listen yet. `None` if there is none.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn listen_again(
        &self,
        address: &ListenAddress,
        workers: usize,
    ) -> Option<io::Result<Listening>> {
        let is_it = self.address == *address && address.ip().is_some() && !address.has_any_port();
        // A copy each: the worker that has the socket still waits for it, and closes its own then.
        let copy = |socket: Arc<OwnedFd>| socket.try_clone().map(Arc::new);
        let open = self
            .sockets
            .iter()
            .filter(|_| is_it)
            .filter_map(Weak::upgrade);
        let sockets: io::Result<Vec<_>> = open.map(copy).collect();
        match sockets {
            Ok(sockets) if sockets.is_empty() => None,
            Ok(sockets) => {
                let bound = self.bound.clone();
                let listening = Listening::of(address, bound, sockets, self.may_join);
                Some(listening.with_at_least(workers))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Whether a socket at one of the addresses keeps a socket from being bound to the other.
pub(super) fn overlap(one: &ListenAddress, other: &ListenAddress) -> bool {
    let (Some(one), Some(other)) = (one.ip(), other.ip()) else {
        return false;
    };
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Binds the first socket of an address: where nothing of ours is in the way, in such a way that the
/// system refuses it if another program listens there, even if that one would share.
fn bind_first(address: SocketAddr, held: Held) -> io::Result<Socket> {
    let mut tries = 0;
    loop {
        let socket = open(address)?;
        socket.set_reuse_port(held == Held::ByUs)?;
        match socket.bind(&address.into()) {
            Err(error)
                if held != Held::Free
                    && error.kind() == io::ErrorKind::AddrInUse
                    && tries < TRIES =>
            {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            bound => return bound.map(|()| socket),
        }
    }
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

/// Sets the options that accepted connections inherit.
fn set_up(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)
}
