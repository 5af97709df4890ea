//! Accepting connections, on each worker from a socket of its own.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;

use super::Worker;
use super::endpoint::{Accepting, Endpoint, ListeningSocket};
use crate::address::ClientAddress;
use crate::generation::Generation;
use crate::log::diagnostic;
use crate::runtime::{self, Listener, Stream};
use crate::server::connection::Connection;
use crate::server::stream::StreamConnection;
use crate::transport::Transport;
use crate::transport::tls::{self, Session};

/// Connections that are accepted before the open ones get their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// Connections that are still accepted at most when the address is listened at no more, where the system
/// does not tell how many wait: as many as it queues for a socket of ours.
const LAST_ACCEPTS: usize = ListeningSocket::BACKLOG as usize;

/// How often the queue is looked at then. Some clients connect while those before them are accepted; those
/// that never cease are not to keep the open connections waiting.
const LAST_LOOKS: usize = 3;

/// How long accepting pauses when the system has no descriptor or memory for another connection.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the worker drains or the socket is taken from it. Connections that are
/// queued when the address is listened at no more are still served.
pub(crate) async fn accept_all(accepting: Rc<Accepting>, worker: Rc<Worker>) {
    let listener = Listener::new(Arc::clone(&accepting.socket));
    let endpoint = &accepting.endpoint;
    let mut is_short = false;
    loop {
        if accepting.is_stopped() && !endpoint.is_retired() {
            return;
        }
        if worker.is_draining() || endpoint.is_retired() {
            return accept_last(&listener, &accepting, &worker);
        }
        if tls::is_crowded() && begins_with_handshake(&accepting, &worker) {
            runtime::yield_now().await;
            continue;
        }
        match accept_some(ACCEPTS_PER_TURN, &listener, &accepting, &worker) {
            Round::QueueIsEmpty => {
                is_short = false;
                wait(&listener, &accepting, &worker).await;
            }
            Round::More => runtime::yield_now().await,
            // What the worker keeps to be faster goes before a client has to wait.
            Round::Shortage(error) if runtime::has_made_room(&error) => runtime::yield_now().await,
            Round::Shortage(error) => {
                if !std::mem::replace(&mut is_short, true) {
                    let address = &endpoint.bound;
                    diagnostic::warn(format_args!(
                        "cannot accept connections at {address}: {error}; accepting goes on when that is over. A higher limit of open files (ulimit -n) or a lower max_connections prevents it"
                    ));
                }
                runtime::sleep(SHORTAGE_PAUSE).await;
            }
        }
    }
}

/// Accepts the connections that are queued when the address is listened at no more. Without a turn for
/// others in between: clients that go on connecting would be accepted for as long as they do. At least one is tried
/// each time, in case a system says 0 because it does not count.
fn accept_last(listener: &Listener, accepting: &Accepting, worker: &Rc<Worker>) {
    for _ in 0..LAST_LOOKS {
        let Some(queued) = listener.queued() else {
            accept_some(LAST_ACCEPTS, listener, accepting, worker);
            return;
        };
        let Round::More = accept_some(queued.max(1), listener, accepting, worker) else {
            return;
        };
    }
}

/// Whether the connections that are accepted begin with a handshake of TLS.
fn begins_with_handshake(accepting: &Accepting, worker: &Worker) -> bool {
    let generation = worker.current_generation();
    let arrival = generation.arrival(&accepting.endpoint.address);
    arrival.is_some_and(|arrival| arrival.is_tls)
}

/// How a round of accepting ended.
enum Round {
    QueueIsEmpty,
    More,
    Shortage(io::Error),
}

/// Accepts up to `count` connections.
fn accept_some(
    count: usize,
    listener: &Listener,
    accepting: &Accepting,
    worker: &Rc<Worker>,
) -> Round {
    for _ in 0..count {
        match listener.try_accept() {
            Ok((fd, peer)) => admit(fd, peer, accepting.endpoint_for(peer), worker),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Round::QueueIsEmpty,
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => return Round::Shortage(error),
        }
    }
    Round::More
}

/// Whether an error that accept reports is the connection's, which is gone, and not the socket's: a
/// client that gave up, a network that failed it (see `accept(2)`).
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::TIMEDOUT
        )
    )
}

async fn wait(listener: &Listener, accepting: &Accepting, worker: &Worker) {
    let ready = poll_fn(|context| match listener.poll_ready(context) {
        Poll::Pending if !worker.is_draining() && !accepting.is_stopped() => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
        Poll::Ready(ready) => Poll::Ready(ready),
    });
    if ready.await.is_err() {
        runtime::sleep(SHORTAGE_PAUSE).await;
    }
}

fn admit(fd: OwnedFd, peer: Option<SocketAddr>, endpoint: &Rc<Endpoint>, worker: &Rc<Worker>) {
    let generation = worker.current_generation();
    let max_connections = generation.max_connections;
    let fits = worker.admit(max_connections);
    let stream = Stream::new(fd);
    if diagnostic::may_debug(ClientAddress::of_peer(peer)) {
        tell_of_client(peer, endpoint, worker);
    }
    // Made where it is needed, which is seldom.
    let at = || Arrived {
        peer,
        endpoint,
        worker,
        max_connections,
        fits,
    };
    if generation.has_arrivals() || generation.counts_clients || endpoint.is_retired() {
        return at().admit_by_arrival(stream, &generation);
    }
    let transport = Transport::Plain(stream);
    let connection = Connection::new(transport, peer, Rc::clone(endpoint), Rc::clone(worker));
    if fits {
        runtime::spawn(connection.serve());
    } else {
        at().admit_over_limit(connection, serve, Connection::turn_away);
    }
}

fn serve(connection: Connection) {
    runtime::spawn(connection.serve());
}

/// A connection that was accepted: what is known of it.
struct Arrived<'w> {
    peer: Option<SocketAddr>,
    endpoint: &'w Rc<Endpoint>,
    worker: &'w Rc<Worker>,
    max_connections: usize,
    /// Whether there is a place for it.
    fits: bool,
}

impl Arrived<'_> {
    /// Admits a connection that may begin with something else than a request, or whose client may have only so
    /// many.
    #[cold]
    fn admit_by_arrival(&self, stream: Stream, current: &Generation) {
        let last = self.endpoint.last_generation();
        let generation = last.as_deref().map_or(current, |last| &**last);
        let (endpoint, worker) = (Rc::clone(self.endpoint), Rc::clone(self.worker));
        let arrival = generation.arrival(&self.endpoint.address);
        let has_header = arrival.is_some_and(|arrival| arrival.has_proxy_header);
        let is_tls = arrival.is_some_and(|arrival| arrival.is_tls);
        let transport = if is_tls {
            Transport::Tls(Box::new(Session::new(stream)))
        } else {
            Transport::Plain(stream)
        };
        if let Some(stream) = arrival.and_then(|arrival| arrival.stream.clone()) {
            let connection =
                StreamConnection::new(transport, self.peer, endpoint, worker, stream, has_header);
            let serve = |connection: StreamConnection| runtime::spawn(connection.serve());
            return self.admit_or(connection, serve, StreamConnection::turn_away);
        }
        let mut connection = Connection::new(transport, self.peer, endpoint, worker);
        // Before others have to make room for it.
        if !has_header && !connection.take_place_of_client(generation) {
            return connection.turn_away_of_client();
        }
        let serve: fn(Connection) = match (has_header, is_tls) {
            (true, _) => |connection| runtime::spawn(connection.serve_from_arrival(true)),
            (false, true) => |connection| runtime::spawn(connection.serve_from_arrival(false)),
            (false, false) => serve,
        };
        self.admit_or(connection, serve, Connection::turn_away);
    }

    /// Has `serve` serve the connection if there is a place for it.
    fn admit_or<C: 'static>(&self, connection: C, serve: fn(C), turn_away: fn(C)) {
        if self.fits {
            serve(connection);
        } else {
            self.admit_over_limit(connection, serve, turn_away);
        }
    }

    /// Has a place made for a connection that is one too many, or has it turned away.
    #[cold]
    fn admit_over_limit<C: 'static>(&self, connection: C, serve: fn(C), turn_away: fn(C)) {
        let max_connections = self.max_connections;
        if !self.endpoint.is_recorded || !self.worker.may_wait_for_place() {
            return turn_away(connection);
        }
        let worker = Rc::clone(self.worker);
        runtime::spawn(async move {
            let has_place = worker.make_place().await;
            worker.tell_that_it_is_full(max_connections, has_place);
            if has_place {
                // A task of its own is smaller than this one.
                serve(connection);
            } else {
                turn_away(connection);
            }
        });
    }
}

/// Tells who connects, if the operator wants to hear of this peer.
#[cold]
fn tell_of_client(peer: Option<SocketAddr>, endpoint: &Endpoint, worker: &Worker) {
    let client = ClientAddress::of_peer(peer);
    let port = peer.map(|peer| format!(" from port {}", peer.port()));
    let (address, port, by) = (&endpoint.bound, port.unwrap_or_default(), worker.name);
    diagnostic::debug_of(client, format_args!("connects to {address}{port}, {by}"));
}
