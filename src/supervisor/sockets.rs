//! Listening sockets: one for each worker at each address. The supervisor owns them, so that no queued
//! connection is lost when one worker ends and another starts.
//!
//! `SO_REUSEPORT` lets the sockets of one address share it; but it would also let a second server take
//! half of the connections. So the first socket is bound without it, which the system refuses if
//! another program holds the address; it is set afterwards, and the other sockets join. Where an
//! inherited socket lets none join, the workers share it.
//!
//! An address that is no longer configured is not free at once: workers accept what is queued there.
//! If a later configuration has it again, those sockets are taken up again; a new address that
//! overlaps it, such as `:80` after `127.0.0.1:80`, joins them with `SO_REUSEPORT`.
//!
//! Addresses of one configuration may overlap likewise: the system gives a connection to `127.0.0.1:80` to the
//! sockets of that address, and the others of the port to those of `:80`. The wildcard is bound first, by itself,
//! so that a program of others at any address of the port is noticed; the others join it.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::inherited::Inherited;
pub(crate) use super::listen_error::ListenError;
use super::listening::{Held, Leaving, Listening, Service, overlap};
use super::unix::{Accesses, UnixSocket};
use crate::address::ListenAddress;
use crate::log::diagnostic;
use crate::server::ListeningSocket;

/// Every listening socket. A copy shares the sockets: a reload prepares the next set beside the one
/// in use, and drops the old one, which closes the sockets that only it had.
#[derive(Clone, Default)]
pub(super) struct Sockets {
    listening: Vec<Listening>,
    /// The sockets of earlier addresses that workers have not closed yet.
    leaving: Vec<Leaving>,
    /// Where the process that we replace listens, and this configuration does not.
    of_predecessor: Vec<ListenAddress>,
    /// The Unix sockets among those, until their files are removed.
    files_of_predecessor: Vec<UnixSocket>,
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
        let has_port = |address: &&ListenAddress| !address.has_any_port();
        let (exact, any): (Vec<_>, Vec<_>) = addresses.iter().partition(has_port);
        let mut adopted = Self::default();
        // An address with port 0 takes any socket that the others left.
        for address in exact.into_iter().chain(any) {
            let Some(taken) = inherited.take(address) else {
                continue;
            };
            let listening = Listening::adopt(address, taken);
            let error = |error| ListenError::new(address, &error);
            adopted.listening.push(listening.map_err(error)?);
        }
        for listening in &mut adopted.listening {
            listening.ipv4 = addresses
                .iter()
                .find(|address| listening.includes(address))
                .cloned();
        }
        let given_up = inherited.give_up_rest();
        adopted.of_predecessor = given_up.addresses;
        adopted.files_of_predecessor = given_up.files;
        Ok(adopted)
    }

    /// Returns the sockets for `addresses` and so many workers: those of this set that are wanted
    /// still, as they are, and new ones for the rest; new Unix sockets with their `accesses`. The new ones
    /// are bound, and take no connections until they [`listen`](Self::listen): what serves them may
    /// have to be waited for, and a refusal must neither reset a connection nor change what runs.
    ///
    /// On a machine without IPv6, an IPv6 wildcard or loopback address that stands beside its IPv4
    /// counterpart is left out, with a warning: `localhost` and `:8080` stand for both.
    ///
    /// # Errors
    /// The first address that cannot be listened at.
    pub(super) fn extended(
        &self,
        addresses: &[ListenAddress],
        accesses: &Accesses,
        workers: usize,
    ) -> Result<Self, ListenError> {
        let mut next = Self::default();
        for address in addresses {
            if self.includes(address) {
                continue;
            }
            match self.listening_at(address, (addresses, &next), accesses, workers) {
                Ok(listening) => next.listening.push(listening),
                Err(error) => {
                    let error = ListenError::new(address, &error);
                    if !error.may_be_passed_over(addresses) {
                        return Err(error);
                    }
                    diagnostic::warn(format_args!("{error}; passed over"));
                }
            }
        }
        let earlier = self.leaving.iter().filter(|leaving| leaving.is_open());
        next.leaving = earlier.cloned().collect();
        next.leaving
            .extend(self.given_up(addresses).map(Leaving::new));
        next.files_of_predecessor
            .clone_from(&self.files_of_predecessor);
        Ok(next)
    }

    /// Looks whether the new sockets may take connections.
    ///
    /// # Errors
    /// The first address that another program has by now.
    pub(super) fn look(&self) -> Result<(), ListenError> {
        self.try_each(Listening::look)
    }

    /// Has the new sockets take connections.
    ///
    /// # Errors
    /// The first address at which that fails.
    pub(super) fn listen(&self) -> Result<(), ListenError> {
        self.try_each(Listening::listen)
    }

    /// Lets those use the Unix sockets that `accesses` names.
    ///
    /// # Errors
    /// The first address whose file cannot be given to them.
    pub(super) fn set_access(&self, accesses: &Accesses) -> Result<(), ListenError> {
        self.try_each(|listening| listening.set_access(accesses))
    }

    /// Calls `act` for the sockets of each address.
    ///
    /// # Errors
    /// The first address for which that fails.
    fn try_each(&self, act: impl Fn(&Listening) -> io::Result<()>) -> Result<(), ListenError> {
        let mut all = self.listening.iter();
        all.try_for_each(|listening| {
            act(listening).map_err(|error| ListenError::new(&listening.address, &error))
        })
    }

    /// Says what connections at each address are.
    ///
    /// # Errors
    /// The first address whose sockets do not take that.
    pub(super) fn set_services(
        &mut self,
        services: &HashMap<ListenAddress, Service>,
    ) -> Result<(), ListenError> {
        for listening in &mut self.listening {
            let service = services.get(&listening.address);
            let set = listening.set_service(service.copied().unwrap_or_default());
            set.map_err(|error| ListenError::new(&listening.address, &error))?;
        }
        Ok(())
    }

    /// What connections at the address `bound` are.
    pub(super) fn service(&self, bound: &ListenAddress) -> Service {
        let mut all = self.listening.iter();
        let found = all.find(|listening| listening.bound == *bound);
        found.map(|listening| listening.service).unwrap_or_default()
    }

    /// What this set has and `wanted` has not.
    fn given_up(&self, wanted: &[ListenAddress]) -> impl Iterator<Item = &Listening> {
        let all = self.listening.iter();
        all.filter(|listening| !wanted.contains(&listening.address))
    }

    /// The sockets of `address`, one of `wanted`: those of this set, or new ones, beside those that `next` has
    /// already.
    fn listening_at(
        &self,
        address: &ListenAddress,
        (wanted, next): (&[ListenAddress], &Self),
        accesses: &Accesses,
        workers: usize,
    ) -> std::io::Result<Listening> {
        let mut known = self.listening.iter();
        if let Some(known) = known.find(|listening| listening.address == *address) {
            return known.clone().with_at_least(workers);
        }
        let mut leaving = self.leaving.iter();
        leaving
            .find_map(|leaving| leaving.listen_again(address, workers))
            .unwrap_or_else(|| {
                let held = self.held(address, wanted, &next.listening);
                Listening::new(address, accesses, workers, held)
            })
    }

    /// Looks whether every address of `addresses` that this set does not have could be listened at,
    /// beside a server of ours that listens at `ours`. Returns why not, for each that could not.
    pub(super) fn try_addresses(
        addresses: &[ListenAddress],
        ours: &[ListenAddress],
    ) -> Vec<ListenError> {
        let set = Self {
            of_predecessor: ours.to_vec(),
            ..Self::default()
        };
        let untried = addresses.iter().filter(|address| !ours.contains(address));
        untried
            .filter_map(|address| {
                let tried = Listening::try_address(address, set.held(address, addresses, &[]));
                Some(ListenError::new(address, &tried.err()?))
            })
            .filter(|error| !error.may_be_passed_over(addresses))
            .collect()
    }

    /// Whether sockets of ours keep another one from being bound to `address` by itself: those of this set, of which
    /// some are not `wanted` any more, and `new` ones.
    fn held(&self, address: &ListenAddress, wanted: &[ListenAddress], new: &[Listening]) -> Held {
        let given_up = self.given_up(wanted).map(|listening| &listening.bound);
        // What is given up hands its very address over; what stays only stands beside another one, as `:80` beside
        // `127.0.0.1:80`.
        let kept = self.listening.iter().chain(new);
        let kept = kept.map(|listening| &listening.bound);
        let mut ours = given_up
            .chain(&self.of_predecessor)
            .chain(kept.filter(|bound| *bound != address));
        let mut leaving = self
            .leaving
            .iter()
            .filter(|leaving| overlap(leaving.bound(), address));
        if ours.any(|ours| overlap(ours, address)) || leaving.clone().any(Leaving::is_open) {
            Held::ByUs
        } else if leaving.next().is_some() {
            Held::ByUsUntilNow
        } else {
            Held::Free
        }
    }

    /// Whether connections to `address` arrive at the socket of another address.
    fn includes(&self, address: &ListenAddress) -> bool {
        let mut all = self.listening.iter();
        all.any(|listening| listening.ipv4.as_ref() == Some(address))
    }

    /// The sockets that the worker with that index, of so many workers, accepts from.
    pub(super) fn of_worker(&self, index: usize, workers: usize) -> Vec<ListeningSocket> {
        let all = self.listening.iter();
        all.flat_map(|listening| listening.of_worker(index, workers))
            .collect()
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

    /// For each of `descriptors`, what a successor has to know of its file; empty if it has none of ours.
    pub(super) fn descriptions(&self, descriptors: &[Arc<OwnedFd>]) -> Vec<String> {
        let description = |fd: &Arc<OwnedFd>| {
            let mut unix = self.unix();
            let unix = unix.find(|unix| Arc::ptr_eq(&unix.fd, fd));
            unix.and_then(UnixSocket::description).unwrap_or_default()
        };
        descriptors.iter().map(description).collect()
    }

    /// Keeps the files of Unix sockets from being removed: another process listens there now.
    pub(super) fn leave_files(&self) {
        self.unix().for_each(UnixSocket::leave_file);
    }

    /// Has the files of Unix sockets removed at the end: the process that we replace leaves them to us. Removes those
    /// of the sockets that no server of the configuration listens at.
    pub(super) fn own_files(&mut self) {
        self.unix().for_each(UnixSocket::own_file);
        for given_up in self.files_of_predecessor.drain(..) {
            given_up.own_file();
        }
    }

    /// The Unix sockets whose files are ours.
    fn unix(&self) -> impl Iterator<Item = &UnixSocket> {
        let all = self.listening.iter();
        all.filter_map(|listening| listening.unix.as_ref())
    }

    /// The addresses, with the ports that the system chose for port 0.
    pub(super) fn bound(&self) -> impl Iterator<Item = &ListenAddress> {
        let all = self.listening.iter();
        all.flat_map(|listening| listening.ipv4.iter().chain([&listening.bound]))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn loopback(port: u16) -> ListenAddress {
        ListenAddress::Ip(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn listen(addresses: &[ListenAddress], workers: usize) -> Result<Sockets, ListenError> {
        let sockets = Sockets::default().extended(addresses, &Accesses::new(), workers)?;
        sockets.listen()?;
        Ok(sockets)
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
        let one = three
            .extended(&[loopback(0)], &Accesses::new(), 1)
            .expect("nothing to bind");
        assert_eq!(of(&one, 0, 1), all);
        let four = one
            .extended(&[loopback(0)], &Accesses::new(), 4)
            .expect("there is room");
        assert_eq!(
            (0..3)
                .flat_map(|index| of(&four, index, 4))
                .collect::<Vec<_>>(),
            all
        );
        assert_eq!(of(&four, 3, 4).len(), 1);
        assert!(
            four.extended(&[], &Accesses::new(), 4)
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
        let unassigned = ListenAddress::Ip(SocketAddr::from(([192, 0, 2, 1], 0)));
        let error = listen(&[unassigned], 1)
            .err()
            .expect("it is for documentation");
        assert!(error.to_string().contains("no interface"), "{error}");
    }

    #[test]
    fn workers_share_a_unix_socket() {
        let directory = crate::test_support::TemporaryDirectory::new("sockets");
        let address = ListenAddress::Unix(directory.path().join("s").into());
        let sockets = listen(&[address], 4).expect("the directory is ours");
        let of = |index| Arc::as_ptr(&sockets.of_worker(index, 4)[0].fd);
        assert_eq!(of(0), of(1));
        assert_eq!(sockets.of_worker(1, 2).len(), 1, "two would be the same");
    }

    #[test]
    fn a_worker_that_is_left_alone_has_a_shared_socket_once() {
        let directory = crate::test_support::TemporaryDirectory::new("sockets");
        let address = ListenAddress::Unix(directory.path().join("s").into());
        let sockets = listen(&[address], 3).expect("the directory is ours");
        assert_eq!(sockets.of_worker(0, 1).len(), 1);
    }

    /// Removed and added again while a worker still had the socket, an address was refused: "another
    /// program listens there". So was `:PORT` in the place of `127.0.0.1:PORT`.
    #[test]
    fn an_address_comes_back_while_a_worker_still_has_its_socket() {
        let with_port_0 = listen(&[loopback(0)], 2).expect("a port is free");
        let bound = with_port_0.bound().next().expect("one").clone();
        drop(with_port_0);
        let first = listen(std::slice::from_ref(&bound), 2).expect("it was free");
        let worker: Vec<_> = (0..2).flat_map(|index| first.of_worker(index, 2)).collect();
        let none = first
            .extended(&[], &Accesses::new(), 2)
            .expect("nothing to bind");
        drop(first);
        let port = bound.ip().expect("an IP address").port();
        let any = ListenAddress::Ip(SocketAddr::from(([0, 0, 0, 0], port)));
        let wider = none.extended(std::slice::from_ref(&any), &Accesses::new(), 2);
        assert_eq!(wider.expect("it joins ours").bound().next(), Some(&any));
        let again = none.extended(std::slice::from_ref(&bound), &Accesses::new(), 2);
        let again = again.expect("it is ours");
        assert_eq!(again.bound().next(), Some(&bound));
        let client = std::net::TcpStream::connect(bound.ip().expect("an IP address"));
        client.expect("the address was never free");
        drop(worker);
    }

    /// The ordinary socket of systemd takes both families, so that `:PORT` cannot be bound beside it.
    #[test]
    fn an_inherited_socket_may_take_both_families() {
        let port_0 = SocketAddr::from(([0; 16], 0));
        let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) else {
            return; // This machine has no IPv6.
        };
        socket.set_only_v6(false).expect("it may be both");
        if socket.bind(&port_0.into()).is_err() {
            return;
        }
        socket.listen(1).expect("it is bound");
        let bound = socket.local_addr().expect("bound").as_socket();
        let port = bound.expect("an IP address").port();
        let both = [
            ListenAddress::Ip(SocketAddr::from(([0, 0, 0, 0], port))),
            ListenAddress::Ip(SocketAddr::from(([0; 16], port))),
        ];
        let inherited = Inherited::of(vec![socket.into()]);
        let adopted = Sockets::adopt(inherited, &both).expect("it can be set up");
        let sockets = adopted
            .extended(&both, &Accesses::new(), 2)
            .expect("there is nothing to bind");
        let [of_worker] = &sockets.of_worker(0, 2)[..] else {
            panic!("one socket")
        };
        assert_eq!(of_worker.ipv4.as_ref(), Some(&both[0]));
        let again = sockets
            .extended(&both, &Accesses::new(), 2)
            .expect("nothing changed");
        assert_eq!(again.of_worker(1, 2).len(), 1);
    }

    #[test]
    fn a_try_says_what_a_start_would_say() {
        let held = listen(&[loopback(0)], 1).expect("a port is free");
        let bound = held.bound().next().expect("one").clone();
        let port = bound.ip().expect("an IP address").port();
        let any = ListenAddress::Ip(SocketAddr::from(([0, 0, 0, 0], port)));
        let refused = |ours: &[ListenAddress], address: &ListenAddress| {
            Sockets::try_addresses(std::slice::from_ref(address), ours).len()
        };
        assert_eq!(refused(&[], &bound), 1);
        assert_eq!(refused(std::slice::from_ref(&bound), &bound), 0);
        assert_eq!(refused(&[], &any), 1);
        assert_eq!(refused(&[bound], &any), 0, "a reload can do that");
    }
}
