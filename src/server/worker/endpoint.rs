//! The addresses at which a worker listens, and what a change of configuration does to them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use crate::address::ListenAddress;
use crate::generation::LocalGeneration;
use crate::runtime::Tick;

/// A worker's own listening socket at an address.
#[derive(Clone)]
pub(crate) struct ListeningSocket {
    /// As configured: port 0 stays 0.
    pub(crate) address: ListenAddress,
    /// The address for connections of IPv4, if the socket is at an IPv6 address and takes both.
    pub(crate) ipv4: Option<ListenAddress>,
    pub(crate) fd: Arc<OwnedFd>,
    /// Whether exchanges that come in here are counted and recorded: all but the control socket's.
    pub(crate) is_recorded: bool,
}

impl ListeningSocket {
    /// How many connections may wait on each socket to be accepted; the system may allow fewer.
    pub(crate) const BACKLOG: i32 = 4096;
}

/// An address at which this worker listens, as the connections that came in there know it.
pub(crate) struct Endpoint {
    /// As configured.
    pub(crate) address: ListenAddress,
    /// The same as diagnostics name it: with the port that the system has chosen, if the configured one is 0.
    pub(crate) bound: ListenAddress,
    /// As [`ListeningSocket::is_recorded`].
    pub(crate) is_recorded: bool,
    /// Once the address is no longer configured: the last generation in which it was. Connections
    /// that came in there are served by it to their end.
    last_generation: RefCell<Option<Rc<LocalGeneration>>>,
    /// When connections that are idle end, because the address is no longer configured; [`Tick::NEVER`]
    /// while it is.
    leave_by: Cell<Tick>,
}

impl Endpoint {
    /// The generation that answers here whatever is current; none while the address is configured.
    pub(crate) fn last_generation(&self) -> Option<Rc<LocalGeneration>> {
        self.last_generation.borrow().clone()
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.last_generation.borrow().is_some()
    }

    /// When connections that are idle end; [`Tick::NEVER`] while the address is configured.
    pub(crate) fn leave_by(&self) -> Tick {
        self.leave_by.get()
    }
}

/// A socket from which this worker accepts connections.
pub(crate) struct Accepting {
    pub(crate) endpoint: Rc<Endpoint>,
    /// Where connections of IPv4 count as come in, if the socket takes both families.
    ipv4: Option<Rc<Endpoint>>,
    pub(crate) socket: Arc<OwnedFd>,
    is_stopped: Cell<bool>,
}

impl Accepting {
    /// Where a connection from `peer` came in.
    pub(crate) fn endpoint_for(&self, peer: Option<SocketAddr>) -> &Rc<Endpoint> {
        let is_ipv4 = |peer: SocketAddr| peer.ip().to_canonical().is_ipv4();
        match &self.ipv4 {
            Some(ipv4) if peer.is_some_and(is_ipv4) => ipv4,
            _ => &self.endpoint,
        }
    }

    /// Whether the worker accepts from the socket no longer: another worker has it, or none.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }
}

/// Everything a worker listens at.
#[derive(Default)]
pub(crate) struct Endpoints {
    endpoints: Vec<Rc<Endpoint>>,
    accepting: Vec<Rc<Accepting>>,
}

impl Endpoints {
    /// Retires the endpoints whose address `is_configured` no longer knows: `current`, the last
    /// generation that did, goes on for their connections, those that are idle until `leave_by`. Whether
    /// there were any.
    pub(crate) fn retire(
        &mut self,
        current: &Rc<LocalGeneration>,
        leave_by: Tick,
        is_configured: impl Fn(&ListenAddress) -> bool,
    ) -> bool {
        let (kept, retired): (Vec<_>, Vec<_>) = self
            .endpoints
            .drain(..)
            .partition(|endpoint| is_configured(&endpoint.address));
        self.endpoints = kept;
        for endpoint in &retired {
            *endpoint.last_generation.borrow_mut() = Some(Rc::clone(current));
            endpoint.leave_by.set(leave_by);
        }
        !retired.is_empty()
    }

    /// Stops accepting from sockets that are not among `sockets`; whether there were any.
    pub(crate) fn stop_all_but(&mut self, sockets: &[ListeningSocket]) -> bool {
        let is_ours = |accepting: &Rc<Accepting>| {
            sockets
                .iter()
                .any(|socket| Arc::ptr_eq(&socket.fd, &accepting.socket))
        };
        let (kept, stopped): (Vec<_>, Vec<_>) = self.accepting.drain(..).partition(is_ours);
        self.accepting = kept;
        stopped
            .iter()
            .for_each(|accepting| accepting.is_stopped.set(true));
        !stopped.is_empty()
    }

    /// Adds those of `sockets` that are new, and returns them: the caller accepts from each.
    pub(crate) fn start(&mut self, sockets: Vec<ListeningSocket>) -> Vec<Rc<Accepting>> {
        let is_new = |socket: &ListeningSocket| {
            !self
                .accepting
                .iter()
                .any(|accepting| Arc::ptr_eq(&accepting.socket, &socket.fd))
        };
        let (new, _): (Vec<_>, Vec<_>) = sockets.into_iter().partition(is_new);
        let started: Vec<_> = new
            .into_iter()
            .map(|socket| {
                let is_recorded = socket.is_recorded;
                Rc::new(Accepting {
                    endpoint: self.endpoint(socket.address, &socket.fd, is_recorded),
                    ipv4: socket
                        .ipv4
                        .map(|address| self.endpoint(address, &socket.fd, is_recorded)),
                    socket: socket.fd,
                    is_stopped: Cell::new(false),
                })
            })
            .collect();
        self.accepting.extend(started.iter().cloned());
        started
    }

    fn endpoint(
        &mut self,
        address: ListenAddress,
        socket: &OwnedFd,
        is_recorded: bool,
    ) -> Rc<Endpoint> {
        if let Some(known) = self
            .endpoints
            .iter()
            .find(|endpoint| endpoint.address == address)
        {
            return Rc::clone(known);
        }
        let endpoint = Rc::new(Endpoint {
            bound: with_port(&address, socket),
            address,
            is_recorded,
            last_generation: RefCell::default(),
            leave_by: Cell::new(Tick::NEVER),
        });
        self.endpoints.push(Rc::clone(&endpoint));
        endpoint
    }
}

/// `address`, with the port of `socket` in place of the port 0.
fn with_port(address: &ListenAddress, socket: &OwnedFd) -> ListenAddress {
    let mut bound = address.clone();
    if let ListenAddress::Ip(ip) = &mut bound
        && ip.port() == 0
        && let Ok(name) = rustix::net::getsockname(socket)
        && let Ok(name) = SocketAddr::try_from(name)
    {
        ip.set_port(name.port());
    }
    bound
}
