//! Connections to upstreams that have carried a request and are kept for another one.
//!
//! Each worker has its own, by address. A connection may hold one of few processes for as long as it
//! is open, as PHP-FPM's do. So it is kept for a moment only, and not at all while a request of any
//! worker waits in the [`Queue`](super::Queue): that request would otherwise never get a process.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::server::Server;
use crate::address::UpstreamAddress;
use crate::runtime::{self, Stream};

/// Idle connections kept to one address.
const MAX_IDLE: usize = 8;

/// How long an idle connection is kept: long enough for the next request of a busy site, or of the
/// same page.
const IDLE_TIME: Duration = Duration::from_millis(200);

/// How often idle connections are looked at.
const WATCH: Duration = Duration::from_millis(50);

/// How old a connection may become that is never idle. Another program that waits for the upstream
/// gets its turn then.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Octets read at once.
const READ_SIZE: usize = 64 * 1024;

/// The idle connections of a worker, and its buffer for what upstreams send.
pub(crate) struct Pool {
    idle: RefCell<HashMap<UpstreamAddress, Vec<Idle>>>,
    /// A task sleeps that will close connections which have been idle for too long.
    is_watched: Cell<bool>,
    /// What is read from any upstream goes here first.
    input: RefCell<Box<[u8]>>,
}

impl Default for Pool {
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
    server: Arc<Server>,
}

impl Pool {
    /// An idle connection to `address`, the one that was used last.
    pub(crate) fn take(&self, address: &UpstreamAddress) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().get_mut(address)?.pop()?;
            if idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
    }

    /// Closes every idle connection to `address`.
    pub(crate) fn close_idle(&self, address: &UpstreamAddress) {
        let idle = self.idle.borrow_mut().remove(address);
        drop(idle);
    }

    /// Keeps a connection to `server` on which nothing is under way.
    pub(crate) fn keep(self: &Rc<Self>, server: Arc<Server>, connection: Connection) {
        let now = runtime::now();
        if connection.age(now) >= MAX_AGE || !server.queue.is_empty() {
            return;
        }
        let mut all = self.idle.borrow_mut();
        let idle = match all.get_mut(&server.address) {
            Some(idle) => idle,
            None => all.entry(server.address.clone()).or_default(),
        };
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                connection: connection.reused(),
                since: now,
                server,
            });
        }
        drop(all);
        if !self.is_watched.replace(true) {
            let pool = Rc::clone(self);
            runtime::spawn(async move { pool.watch().await });
        }
    }

    /// Closes connections that have been idle for too long, or whose process others wait for, until
    /// none is left.
    async fn watch(&self) {
        while !self.idle.borrow().is_empty() {
            runtime::sleep(WATCH).await;
            let now = runtime::now();
            self.idle.borrow_mut().retain(|_, idle| {
                let is_recent = |since: Instant| now.duration_since(since) < IDLE_TIME;
                idle.retain(|idle| is_recent(idle.since) && idle.server.queue.is_empty());
                !idle.is_empty()
            });
        }
        self.is_watched.set(false);
    }

    /// Reads once from `stream`, and calls `use_it` with the octets. No octets are the end of the
    /// upstream's side.
    ///
    /// # Errors
    /// As [`Stream::try_receive`].
    pub(crate) fn receive<T>(
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
    use std::path::PathBuf;

    /// Nobody waits: the other end is in this process.
    const SOON: Duration = Duration::from_secs(10);

    fn server(path: PathBuf) -> Arc<Server> {
        Arc::new(Server {
            address: UpstreamAddress::Unix(path),
            queue: Arc::default(),
        })
    }

    #[test]
    fn a_kept_connection_is_used_again_unless_the_upstream_closed_it() {
        let tree = TemporaryDirectory::new("kept");
        let path = tree.path().join("socket");
        let listener = UnixListener::bind(&path).expect("the directory is new");
        let server = server(path);
        runtime::run(async move {
            let pool = Rc::new(Pool::default());
            let open = async || {
                let opened = Connection::open(&server.address, SOON).await;
                (
                    opened.expect("it listens"),
                    listener.accept().expect("one waits").0,
                )
            };
            let (first, _far) = open().await;
            let (second, far_second) = open().await;
            assert!(!first.is_reused());
            pool.keep(Arc::clone(&server), first);
            pool.keep(Arc::clone(&server), second);
            drop(far_second);
            let kept = pool.take(&server.address).expect("the first is alive");
            assert!(kept.is_reused() && pool.take(&server.address).is_none());
        })
        .expect("a loop");
    }

    #[test]
    fn an_idle_connection_is_closed() {
        let tree = TemporaryDirectory::new("idle");
        let path = tree.path().join("socket");
        let listener = UnixListener::bind(&path).expect("the directory is new");
        let server = server(path);
        let ends = std::thread::spawn(move || {
            let (mut far, _) = listener.accept().expect("one comes");
            far.read(&mut [0]).expect("it is open")
        });
        runtime::run(async move {
            let pool = Rc::new(Pool::default());
            let opened = Connection::open(&server.address, SOON).await;
            let opened = opened.expect("it listens");
            pool.keep(Arc::clone(&server), opened);
            while pool.is_watched.get() {
                runtime::sleep(WATCH).await;
            }
            assert!(pool.take(&server.address).is_none());
        })
        .expect("a loop");
        assert_eq!(ends.join().expect("it read"), 0);
    }

    #[test]
    fn no_connection_is_kept_while_a_request_waits() {
        let tree = TemporaryDirectory::new("waits");
        let path = tree.path().join("socket");
        let listener = UnixListener::bind(&path).expect("the directory is new");
        let server = server(path);
        runtime::run(async move {
            let pool = Rc::new(Pool::default());
            let keep = async || {
                let opened = Connection::open(&server.address, SOON).await;
                let opened = opened.expect("it listens");
                pool.keep(Arc::clone(&server), opened);
                listener.accept().expect("one waits").0
            };
            let mut far = keep().await;
            let waiting = server.queue.join();
            while pool.is_watched.get() {
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
            assert!(pool.take(&server.address).is_some());
        })
        .expect("a loop");
    }
}
