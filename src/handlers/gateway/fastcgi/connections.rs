//! Connections to application servers that have answered and are kept for another request.
//!
//! A worker has its own, by address. A connection holds one of PHP-FPM's processes, of which there are
//! few, for as long as it is open. So it is kept for a moment only, and not at all while a request of
//! any worker waits in the [`Queue`] for a process: whoever came first would never be asked otherwise.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::ListenAddress;
use crate::runtime::{self, Permit, Permits, Stream, Tick};

/// Idle connections kept to one address.
const MAX_IDLE: usize = 8;

/// How long an idle connection is kept: long enough for the next request of a busy site, or of the
/// same page.
const IDLE_TIME: Duration = Duration::from_millis(200);

/// How often idle connections are looked at.
const WATCH: Duration = Duration::from_millis(50);

/// How old a connection may become that is never idle. Whoever else waits for the peer, as another
/// program, has its turn then.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Octets read at once: more than a record.
const READ_SIZE: usize = 64 * 1024;

/// Requests that wait for the first octet of an answer on a connection of their own for longer than
/// [`PATIENCE`](Queue::PATIENCE), at one address, of all workers. They are counted, not bounded.
pub(crate) struct Queue(Arc<Permits>);

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::new(Permits::unlimited()))
    }
}

impl Queue {
    /// A script that takes longer gains nothing by a kept connection; one that does not should have
    /// answered, if a process were free.
    pub(super) const PATIENCE: Duration = Duration::from_millis(10);

    /// Joins the queue, until the permit is dropped.
    pub(super) fn join(&self) -> Option<Permit> {
        self.0.take()
    }

    fn is_empty(&self) -> bool {
        self.0.taken() == 0
    }
}

/// What a worker keeps for all its `fastcgi` routes.
pub(crate) struct Connections {
    idle: RefCell<HashMap<ListenAddress, Vec<Idle>>>,
    /// A task sleeps that will close what has been idle for too long.
    is_watched: Cell<bool>,
    /// What is read from any of them goes here first.
    input: RefCell<Box<[u8]>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            idle: RefCell::default(),
            is_watched: Cell::new(false),
            input: RefCell::new(vec![0; READ_SIZE].into_boxed_slice()),
        }
    }
}

struct Idle {
    connection: Connection,
    since: Instant,
    queue: Arc<Queue>,
}

/// A connection to an application server.
pub(super) struct Connection {
    pub(super) stream: Stream,
    opened: Instant,
    /// It has answered a request before: the peer may have closed it unnoticed.
    pub(super) is_used: bool,
}

impl Connection {
    /// Connects to `address`.
    ///
    /// # Errors
    /// What the system says; `TimedOut` at `deadline`.
    pub(super) async fn open(address: &ListenAddress, deadline: Tick) -> io::Result<Self> {
        let stream = match address {
            ListenAddress::Ip(address) => Stream::connect(*address, deadline).await?,
            ListenAddress::Unix(path) => Stream::connect_unix(path, deadline).await?,
        };
        Ok(Self {
            stream,
            opened: runtime::now(),
            is_used: false,
        })
    }

    /// Whether nothing has come, not even the end: what comes before a request is no answer to it.
    fn is_quiet(&self) -> bool {
        let received = self.stream.try_receive(&mut [0]);
        matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Connections {
    /// An idle connection to `address`, the one that was used last.
    pub(super) fn take(&self, address: &ListenAddress) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().get_mut(address)?.pop()?;
            if idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
    }

    /// Closes every idle connection to `address`.
    pub(super) fn close_idle(&self, address: &ListenAddress) {
        let idle = self.idle.borrow_mut().remove(address);
        drop(idle);
    }

    /// Keeps a connection on which nothing is under way.
    pub(super) fn keep(
        self: &Rc<Self>,
        address: &ListenAddress,
        queue: Arc<Queue>,
        mut connection: Connection,
    ) {
        let now = runtime::now();
        if now.duration_since(connection.opened) >= MAX_AGE || !queue.is_empty() {
            return;
        }
        connection.is_used = true;
        let mut all = self.idle.borrow_mut();
        let idle = match all.get_mut(address) {
            Some(idle) => idle,
            None => all.entry(address.clone()).or_default(),
        };
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                connection,
                since: now,
                queue,
            });
        }
        drop(all);
        if !self.is_watched.replace(true) {
            let connections = Rc::clone(self);
            runtime::spawn(async move { connections.watch().await });
        }
    }

    /// Closes what has been idle for too long, or would be welcome to others, until nothing is left.
    async fn watch(&self) {
        while !self.idle.borrow().is_empty() {
            runtime::sleep(WATCH).await;
            let now = runtime::now();
            self.idle.borrow_mut().retain(|_, idle| {
                let is_recent = |since: Instant| now.duration_since(since) < IDLE_TIME;
                idle.retain(|idle| is_recent(idle.since) && idle.queue.is_empty());
                !idle.is_empty()
            });
        }
        self.is_watched.set(false);
    }

    /// Reads once from `stream`, and gives what came to `use_it`; 0 octets are the peer's end.
    ///
    /// # Errors
    /// As [`Stream::try_receive`].
    pub(super) fn receive<T>(
        &self,
        stream: &Stream,
        use_it: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        let mut input = self.input.borrow_mut();
        let count = stream.try_receive(&mut input)?;
        Ok(use_it(&input[..count]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_kept_is_used_again_unless_the_peer_closed_it() {
        let tree = TemporaryDirectory::new("kept");
        let path = tree.path().join("socket");
        let listener = UnixListener::bind(&path).expect("the directory is new");
        let address = ListenAddress::Unix(path);
        runtime::run(async move {
            let connections = Rc::new(Connections::default());
            let open = async || {
                let opened = Connection::open(&address, Tick::NEVER).await;
                (
                    opened.expect("it listens"),
                    listener.accept().expect("one waits").0,
                )
            };
            let (first, _far) = open().await;
            let (second, far_second) = open().await;
            assert!(!first.is_used);
            connections.keep(&address, Arc::default(), first);
            connections.keep(&address, Arc::default(), second);
            drop(far_second);
            let kept = connections.take(&address).expect("the first is alive");
            assert!(kept.is_used && connections.take(&address).is_none());
        })
        .expect("a loop");
    }

    #[test]
    fn what_is_idle_is_closed() {
        let tree = TemporaryDirectory::new("idle");
        let path = tree.path().join("socket");
        let listener = UnixListener::bind(&path).expect("the directory is new");
        let address = ListenAddress::Unix(path);
        let ends = std::thread::spawn(move || {
            let (mut far, _) = listener.accept().expect("one comes");
            far.read(&mut [0]).expect("it is open")
        });
        runtime::run(async move {
            let connections = Rc::new(Connections::default());
            let opened = Connection::open(&address, Tick::NEVER).await;
            let opened = opened.expect("it listens");
            connections.keep(&address, Arc::default(), opened);
            while connections.is_watched.get() {
                runtime::sleep(WATCH).await;
            }
            assert!(connections.take(&address).is_none());
        })
        .expect("a loop");
        assert_eq!(ends.join().expect("it read"), 0);
    }
    #[test]
    fn nothing_is_kept_from_whoever_waits() {
        let tree = TemporaryDirectory::new("waits");
        let path = tree.path().join("socket");
        let listener = UnixListener::bind(&path).expect("the directory is new");
        let address = ListenAddress::Unix(path);
        runtime::run(async move {
            let connections = Rc::new(Connections::default());
            let queue = Arc::<Queue>::default();
            let keep = async || {
                let opened = Connection::open(&address, Tick::NEVER).await;
                let opened = opened.expect("it listens");
                connections.keep(&address, Arc::clone(&queue), opened);
                listener.accept().expect("one waits").0
            };
            let mut far = keep().await;
            let waiting = queue.join();
            while connections.is_watched.get() {
                runtime::sleep(WATCH).await;
            }
            assert_eq!(
                far.read(&mut [0]).expect("an end"),
                0,
                "let go by the watch"
            );
            far = keep().await;
            assert_eq!(far.read(&mut [0]).expect("an end"), 0, "not kept at all");
            drop(waiting);
            let _far = keep().await;
            assert!(connections.take(&address).is_some());
        })
        .expect("a loop");
    }
}
