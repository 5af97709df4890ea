//! One connection to an upstream.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::UpstreamAddress;
use crate::runtime::descriptors::note_shortage;
use crate::runtime::{self, Direction, Elapsed, Stream, Tick};
use crate::transport::Transport;

/// Octets read at once.
const READ_SIZE: usize = 64 * 1024;

/// A connection to an upstream, for one request. Dropping it closes it.
pub(crate) struct Connection {
    stream: Stream,
    /// Whether another read may find something: the system has reported so, and no read has emptied the
    /// socket since. An upstream says nothing before it is asked, so a new connection has nothing.
    may_receive: Cell<bool>,
}

/// A worker's buffer for what any upstream sends: a connection that waits holds none.
pub(crate) struct Input(RefCell<Box<[u8]>>);

impl Default for Input {
    fn default() -> Self {
        Self(RefCell::new(vec![0; READ_SIZE].into_boxed_slice()))
    }
}

impl Connection {
    /// Connects to `address`. Where a name leads to several addresses, they are tried in their order,
    /// and each has an equal part of `timeout`.
    ///
    /// # Errors
    /// What the system says, of a name's last address; `TimedOut` after `timeout`.
    pub(crate) async fn open(address: &UpstreamAddress, timeout: Duration) -> io::Result<Self> {
        let stream = match address {
            UpstreamAddress::Ip(address) => {
                Stream::connect(*address, runtime::deadline_after(timeout)).await
            }
            UpstreamAddress::Unix(path) => {
                Stream::connect_unix(path, runtime::deadline_after(timeout)).await
            }
            UpstreamAddress::Name { found, .. } => connect_to_any(found, timeout).await,
            // A group has the addresses that it leads to in its place.
            UpstreamAddress::Srv { .. } => connect_to_any(&[], timeout).await,
        };
        let stream = stream.inspect_err(|error| {
            note_shortage(error);
        })?;
        Ok(Self {
            stream,
            may_receive: Cell::new(false),
        })
    }

    /// The connection as one that carries octets of any meaning: for a tunnel. The caller has used what
    /// it received before.
    pub(crate) fn into_transport(self) -> Transport {
        Transport::Plain(self.stream)
    }

    /// Its socket, for octets of another protocol. The caller has used what it received before.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Sends as much of `octets` as the socket takes.
    ///
    /// # Errors
    /// As [`Stream::try_send`].
    pub(crate) fn send(&self, octets: &[u8]) -> io::Result<usize> {
        self.stream.try_send(octets, false)
    }

    /// Reads once into `input`, and calls `use_it` with the octets. No octets are the end of the
    /// upstream's side. Makes no system call if the system would have reported what there is to read.
    ///
    /// # Errors
    /// As [`Stream::try_receive`]; after `WouldBlock` the caller waits.
    pub(crate) fn receive<T>(
        &self,
        input: &Input,
        use_it: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        if !self.may_receive.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut input = input.0.borrow_mut();
        let received = self.stream.try_receive(&mut input);
        // A read that does not fill the buffer has emptied the socket (epoll(7)). The system reports
        // what comes after it; but it does not report an end again that it has reported already.
        let is_full = matches!(received, Ok(count) if count == input.len());
        self.may_receive
            .set(is_full || self.stream.is_read_closed());
        Ok(use_it(&input[..received?]))
    }

    /// Whether the upstream has said nothing since the last read, as far as the system has reported,
    /// its end included.
    fn is_quiet(&self) -> bool {
        !self.may_receive.get() && self.stream.is_quiet()
    }

    /// Whether there is nothing to receive, the upstream's end included. The system is asked only if it has
    /// reported something since the last wait: octets that a read has taken since, as a rule. What is
    /// found is lost, so that the connection is of no more use.
    pub(crate) fn has_nothing(&self) -> bool {
        let would_block = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let receive = || self.stream.try_receive(&mut [0]);
        self.is_quiet() || receive().is_err_and(would_block)
    }

    /// As [`has_nothing`](Self::has_nothing), but asks the system in any case: octets may have come since
    /// the loop looked last.
    pub(crate) fn has_nothing_now(&self) -> bool {
        let would_block = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.is_quiet() && self.stream.try_receive(&mut [0]).is_err_and(would_block)
    }

    /// Waits until there may be something to receive.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_to_receive(&self, deadline: Tick) -> Result<(), Elapsed> {
        self.stream.ready(Direction::Read, deadline).await?;
        self.may_receive.set(true);
        Ok(())
    }

    /// Waits until there is room to send.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_to_send(&self, deadline: Tick) -> Result<(), Elapsed> {
        self.stream.ready(Direction::Write, deadline).await
    }

    /// Waits until there may be something to receive, or room to send. The caller must then try both.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_for_any(&self, deadline: Tick) -> Result<(), Elapsed> {
        self.stream.ready_any(deadline).await?;
        self.may_receive.set(true);
        Ok(())
    }
}

/// A connection to the first of `addresses` that takes one.
async fn connect_to_any(addresses: &[SocketAddr], timeout: Duration) -> io::Result<Stream> {
    let part = timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name was not found");
    for address in addresses {
        match Stream::connect(*address, runtime::deadline_after(part)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn every_address_of_a_name_is_tried() {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let there = listening.local_addr().expect("it is bound");
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let nowhere = closed.local_addr().expect("it is bound");
        drop(closed);
        for (found, is_open) in [
            (vec![there], true),
            (vec![nowhere, nowhere, there], true),
            (vec![nowhere], false),
            (vec![], false),
        ] {
            let address = UpstreamAddress::Name {
                name: "php".to_owned(),
                port: there.port(),
                found: found.clone(),
            };
            let open = async move { Connection::open(&address, Duration::from_secs(10)).await };
            let opened = runtime::run(async move { open.await.is_ok() }).expect("a loop");
            assert_eq!(opened, is_open, "{found:?}");
        }
    }

    /// What a read finds, without waiting: octets, or `None` for nothing yet.
    fn receive(connection: &Connection, input: &Input) -> Option<Vec<u8>> {
        connection.receive(input, <[u8]>::to_vec).ok()
    }

    /// After a read that emptied the socket, the next one was made at once and found nothing. If it is
    /// left out, the end of the upstream's side must not be missed: the system may have reported it
    /// together with the last octets, and does so once.
    #[test]
    fn nothing_is_received_that_was_not_reported_and_no_end_is_missed() {
        let directory = TemporaryDirectory::new("upstream");
        let path = directory.path().join("socket");
        let listening = UnixListener::bind(&path).expect("a socket");
        let exchange = async move {
            let (address, input) = (UpstreamAddress::Unix(path), Input::default());
            for closes_at_once in [true, false] {
                let opened = Connection::open(&address, Duration::from_secs(10)).await;
                let connection = opened.expect("a connection");
                let (mut upstream, _) = listening.accept().expect("a connection");
                upstream.write_all(b"ab").expect("room");
                assert_eq!(receive(&connection, &input), None, "before any report");
                let mut upstream = Some(upstream).filter(|_| !closes_at_once);
                let ready = connection.ready_to_receive(Tick::NEVER).await;
                ready.expect("a report");
                assert_eq!(receive(&connection, &input), Some(b"ab".to_vec()));
                if upstream.take().is_some() {
                    assert_eq!(receive(&connection, &input), None, "not reported yet");
                    let ready = connection.ready_to_receive(Tick::NEVER).await;
                    ready.expect("a report");
                }
                assert_eq!(receive(&connection, &input), Some(Vec::new()), "the end");
            }
        };
        runtime::run(exchange).expect("a loop");
    }
}
