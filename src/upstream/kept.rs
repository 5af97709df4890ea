//! Connections to servers of upstreams that wait for their next request: a worker's own.
//!
//! ```text
//! asked ─→ response read to its end, nothing behind it ─→ kept ─┬─ taken for the next request
//!                                                               └─ closed: by the server, by age
//! ```
//!
//! A connection about which there is any doubt is not kept. A server may close one at the moment in
//! which it is taken: the caller must be able to ask again on a new one, and to tell whether it may.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::server::Server;
use crate::runtime::{self, descriptors::DescriptorShare};

/// How long a connection is kept. Most servers wait longer for a next request, or say how long.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// How often connections that are too old, or whose server is gone, are closed.
const SWEEP: Duration = Duration::from_secs(1);

/// A server that closes a connection within this time after a response, without `Connection: close`, is
/// likely to do so again. A server whose connection is open after this time is likely to leave others open.
const SOON: Duration = Duration::from_millis(100);

/// The connections that a worker keeps. Of each server there are no more than its upstream says
/// (`keep`), and of all together no more than the worker's share of the descriptors.
#[derive(Default)]
pub(crate) struct KeptConnections {
    by_server: RefCell<HashMap<u64, OfServer, foldhash::fast::RandomState>>,
    /// How many there are, to all servers.
    count: Cell<usize>,
    share: DescriptorShare,
    /// The size of the share, read again at each sweep.
    room: Cell<usize>,
    /// Whether the task runs that closes connections which are too old: while any connection is kept.
    is_swept: Cell<bool>,
}

struct OfServer {
    server: Arc<Server>,
    /// In the order of their last use.
    connections: VecDeque<Kept>,
}

struct Kept {
    connection: Connection,
    since: Instant,
    until: Instant,
}

impl KeptConnections {
    /// Takes the connection to `server` that was used last, if one is kept that the server has not
    /// closed and on which it has said nothing since: octets behind a response would be taken for the
    /// next one.
    ///
    /// The loop knows all that came before this turn began. If the client's request may be younger, the loop
    /// calls no connection quiet, and the system is asked. What came before the request is known in both cases,
    /// which is enough for a request that may be sent again if the server has closed the connection meanwhile
    /// (`is_repeatable`). For the others the system is asked once more, which costs a call.
    pub(crate) fn take(&self, server: &Server, is_repeatable: bool) -> Option<Connection> {
        let now = runtime::now();
        let mut by_server = self.by_server.borrow_mut();
        let connections = &mut by_server.get_mut(&server.id())?.connections;
        while let Some(kept) = connections.pop_back() {
            self.count.set(self.count.get() - 1);
            if now >= kept.until {
                continue;
            }
            // The test of the overlooked end must not look: a look takes the error of a connection that was
            // reset, and the request would then see another error.
            let is_open = is_end_overlooked()
                || if is_repeatable {
                    kept.connection.has_nothing()
                } else {
                    kept.connection.has_nothing_now()
                };
            kept.note_stay(server, is_open, now);
            if is_open {
                return Some(kept.connection);
            }
        }
        None
    }

    /// Keeps `connection` to `server`. `server_waits` is how long the server waits for another
    /// request, if it has said so. The worker keeps up to `most` connections to the server; beyond
    /// that, and where descriptors are few, it closes the connection that has waited longest.
    pub(crate) fn put(
        self: &Rc<Self>,
        server: &Arc<Server>,
        connection: Connection,
        server_waits: Option<Duration>,
        most: usize,
    ) {
        if most == 0 || !connection.has_nothing() {
            return;
        }
        if !self.is_swept.replace(true) {
            self.room.set(self.share.size());
            runtime::spawn(Rc::clone(self).sweep());
        }
        // A second less: the server's wait began before its response arrived here.
        let announced = server_waits.map(|waits| waits.saturating_sub(Duration::from_secs(1)));
        let since = runtime::now();
        let until = since + announced.unwrap_or(MAX_IDLE).min(MAX_IDLE);
        let mut by_server = self.by_server.borrow_mut();
        let of_server = by_server.entry(server.id()).or_insert_with(|| OfServer {
            server: Arc::clone(server),
            connections: VecDeque::new(),
        });
        let connections = &mut of_server.connections;
        let mut count = self.count.get();
        if connections.len() >= most || count >= self.room.get() {
            if connections.pop_front().is_none() {
                // Connections to other servers take all the room; none of those is closed for this one.
                return;
            }
            count -= 1;
        }
        connections.push_back(Kept {
            connection,
            since,
            until,
        });
        // A reload may have lowered `keep`.
        let excess = connections.len().saturating_sub(most);
        connections.drain(..excess);
        self.count.set(count + 1 - excess);
    }

    /// Closes all connections, because descriptors have run out. Returns whether there were any.
    pub(crate) fn close_all(&self) -> bool {
        let all = std::mem::take(&mut *self.by_server.borrow_mut());
        self.count.set(0);
        !all.is_empty()
    }

    /// Closes connections that are too old until none is left.
    async fn sweep(self: Rc<Self>) {
        loop {
            runtime::sleep(SWEEP).await;
            self.room.set(self.share.size());
            if self.share.is_called_in() {
                self.close_all();
            }
            let now = runtime::now();
            let mut by_server = self.by_server.borrow_mut();
            by_server.retain(|_, of_server| {
                let server = &of_server.server;
                let is_used = server.is_listed();
                of_server.connections.retain(|kept| {
                    let is_open = kept.connection.has_nothing();
                    kept.note_stay(server, is_open, now);
                    is_used && now < kept.until && is_open
                });
                !of_server.connections.is_empty()
            });
            let lengths = by_server.values().map(|of| of.connections.len());
            self.count.set(lengths.sum());
            if by_server.is_empty() {
                self.is_swept.set(false);
                return;
            }
        }
    }
}

impl Kept {
    /// Tells the server whether the connection, now that it was looked at, was still open. An open
    /// connection tells something only after [`SOON`], and a closed one only before.
    fn note_stay(&self, server: &Server, is_open: bool, now: Instant) {
        if server.stays() != is_open && (now - self.since >= SOON) == is_open {
            server.note_stay(is_open);
        }
    }
}

/// For the integration tests of debug builds alone: whether the environment has
/// `TIDEGATE_TEST_NO_LOOK`. Then a kept connection is not looked at, as if the server ended each
/// one just after the look.
fn is_end_overlooked() -> bool {
    static SET: OnceLock<bool> = OnceLock::new();
    cfg!(debug_assertions)
        && *SET.get_or_init(|| std::env::var_os("TIDEGATE_TEST_NO_LOOK").is_some())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::address::UpstreamAddress;
    use crate::runtime::{Tick, run};
    use crate::test_support::TemporaryDirectory;

    /// A server, and where it listens: in a directory that goes with the first of the three.
    fn upstream() -> (TemporaryDirectory, UnixListener, Arc<Server>) {
        let directory = TemporaryDirectory::new("kept");
        let path = directory.path().join("socket");
        let listening = UnixListener::bind(&path).expect("a socket");
        let server = Arc::new(Server::new(UpstreamAddress::Unix(path)));
        (directory, listening, server)
    }

    /// A connection to `server`, and the server's end of it.
    async fn connected(listening: &UnixListener, server: &Server) -> (Connection, UnixStream) {
        let opened = Connection::open(server.address(), Duration::from_secs(10)).await;
        let (accepted, _) = listening.accept().expect("a connection");
        (opened.expect("a connection"), accepted)
    }

    #[test]
    fn a_connection_is_kept_until_it_is_taken_or_the_server_speaks() {
        let (_directory, listening, server) = upstream();
        run(async move {
            let kept = Rc::new(KeptConnections::default());
            assert!(kept.take(&server, true).is_none());
            let (quiet, _quiet_end) = connected(&listening, &server).await;
            let (closed, closed_end) = connected(&listening, &server).await;
            let (noisy, mut noisy_end) = connected(&listening, &server).await;
            // Registers them with the loop, as an exchange does.
            for connection in [&quiet, &closed, &noisy] {
                let _ = connection
                    .ready_to_receive(runtime::deadline_after(Duration::ZERO))
                    .await;
            }
            for connection in [quiet, closed, noisy] {
                kept.put(&server, connection, None, 9);
            }
            drop(closed_end);
            noisy_end.write_all(b"x").expect("room");
            let (other, mut other_end) = connected(&listening, &server).await;
            other_end.write_all(b"x").expect("room");
            other
                .ready_to_receive(Tick::NEVER)
                .await
                .expect("a turn of the loop");
            assert!(kept.take(&server, true).is_some(), "the quiet one");
            assert!(kept.take(&server, true).is_none(), "the others were closed");
        })
        .expect("a loop");
    }

    /// Octets that came after the last turn of the loop were read as the response to the next request.
    #[test]
    fn octets_that_the_loop_has_not_seen_are_seen_where_a_request_cannot_be_repeated() {
        let (_directory, listening, server) = upstream();
        run(async move {
            let kept = Rc::new(KeptConnections::default());
            let (connection, mut end) = connected(&listening, &server).await;
            kept.put(&server, connection, None, 9);
            end.write_all(b"HTTP/1.1 200 OK\r\n").expect("room");
            assert!(kept.take(&server, false).is_none());
        })
        .expect("a loop");
    }

    #[test]
    fn a_server_may_say_that_it_waits_for_a_short_time() {
        let (_directory, listening, server) = upstream();
        run(async move {
            let kept = Rc::new(KeptConnections::default());
            let (connection, _end) = connected(&listening, &server).await;
            kept.put(&server, connection, Some(Duration::from_secs(1)), 9);
            assert!(kept.take(&server, true).is_none());
        })
        .expect("a loop");
    }

    /// The newest are those that are most likely to be open still.
    #[test]
    fn the_ones_that_waited_longest_are_closed_where_there_is_no_room() {
        use std::io::Read as _;
        let (_directory, listening, server) = upstream();
        run(async move {
            for (most, room, expected) in [
                (2, 9, [false, false, true, true]),
                (9, 3, [false, true, true, true]),
                (0, 9, [false; 4]),
                (9, 9, [true; 4]),
            ] {
                let kept = Rc::new(KeptConnections::default());
                let mut ends = Vec::new();
                for _ in 0..4 {
                    let (connection, end) = connected(&listening, &server).await;
                    kept.put(&server, connection, None, most);
                    kept.room.set(room);
                    end.set_nonblocking(true).expect("it is open");
                    ends.push(end);
                }
                let is_open = |mut end: UnixStream| end.read(&mut [0]).is_err();
                let open: Vec<bool> = ends.into_iter().map(is_open).collect();
                assert_eq!(open, expected, "{most} of {room}");
                let count = open.into_iter().filter(|is_open| *is_open).count();
                assert_eq!(kept.count.get(), count, "{most} of {room}");
            }
        })
        .expect("a loop");
    }

    #[test]
    fn the_room_of_a_connection_that_is_taken_or_closed_is_free_again() {
        let (_directory, listening, server) = upstream();
        let (_other_directory, other_listening, other) = upstream();
        run(async move {
            let kept = Rc::new(KeptConnections::default());
            let mut ends = Vec::new();
            for take in [true, false] {
                let (connection, end) = connected(&listening, &server).await;
                kept.put(&server, connection, None, 9);
                kept.room.set(1);
                let (connection, other_end) = connected(&other_listening, &other).await;
                kept.put(&other, connection, None, 9);
                assert!(kept.take(&other, true).is_none(), "there is no room");
                if take {
                    assert!(kept.take(&server, true).is_some());
                } else {
                    assert!(kept.close_all());
                }
                let (connection, last_end) = connected(&other_listening, &other).await;
                kept.put(&other, connection, None, 9);
                assert!(kept.take(&other, true).is_some(), "there is room again");
                ends.extend([end, other_end, last_end]);
            }
        })
        .expect("a loop");
    }

    /// The second piece of a response is read before the loop reports it.
    #[test]
    fn a_report_of_octets_that_were_read_before_it_is_no_doubt() {
        let (_directory, listening, server) = upstream();
        run(async move {
            let kept = Rc::new(KeptConnections::default());
            let (connection, mut end) = connected(&listening, &server).await;
            end.write_all(&[b'x'; 64 * 1024]).expect("room");
            connection
                .ready_to_receive(Tick::NEVER)
                .await
                .expect("a report");
            let buffers = crate::upstream::connection::Buffers::default();
            let got = connection.receive(&buffers, <[u8]>::len).expect("octets");
            assert_eq!(got, 64 * 1024);
            // The client is slow; meanwhile the rest comes.
            end.write_all(b"rest").expect("room");
            runtime::yield_now().await;
            runtime::yield_now().await;
            let got = connection
                .receive(&buffers, <[u8]>::to_vec)
                .expect("octets");
            assert_eq!(got, b"rest");
            kept.put(&server, connection, None, 9);
            runtime::yield_now().await;
            runtime::yield_now().await;
            assert!(kept.take(&server, false).is_some(), "nothing is in doubt");
        })
        .expect("a loop");
    }
}
