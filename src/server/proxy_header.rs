//! The header by which a trusted proxy says who the client is (PROXY protocol), before the client's octets.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use super::exchange::client::is_trusted_proxy;
use super::worker::Worker;
use crate::address::{ClientAddress, ListenAddress};
use crate::config::model::Proxies;
use crate::log::diagnostic;
use crate::proxy_protocol::{Malformed, Origin, parse};
use crate::runtime::{self, Direction, Elapsed, Tick};
use crate::transport::Transport;

/// Octets read at a time: more than nearly every header has.
const READ_SIZE: usize = 4 * 1024;

/// What a header says, and the octets that came behind it.
pub(super) struct Announced {
    pub(super) origin: Origin,
    /// Octets of the client.
    pub(super) rest: Vec<u8>,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoHeader {
    #[error(
        "it is not among `trusted_proxies`, which alone may connect where `accept_proxy_protocol` is true"
    )]
    Untrusted,
    #[error("it sent no header of the PROXY protocol: {0}")]
    Malformed(#[from] Malformed),
    #[error("it sent no whole header of the PROXY protocol in time")]
    Late,
    #[error("it left")]
    Gone,
}

impl NoHeader {
    /// Tells the operator that `client` is refused at the listener of `address`. A client that
    /// left is not told of.
    pub(super) fn tell(self, address: &ListenAddress, client: ClientAddress) {
        if self != Self::Gone {
            diagnostic::warn_limited(
                format_args!("{address}: {client}"),
                format_args!("{address}: {client} is refused: {self}"),
            );
        }
    }
}

/// Reads the header that `peer` sends on `transport` within `timeout`.
///
/// # Errors
/// Why there is none: the connection is to be closed.
pub(super) async fn receive(
    transport: &Transport,
    peer: ClientAddress,
    proxies: &Proxies,
    worker: &Worker,
    timeout: Duration,
) -> Result<Announced, NoHeader> {
    if !is_trusted_proxy(proxies, peer) {
        return Err(NoHeader::Untrusted);
    }
    let deadline = runtime::deadline_after(timeout);
    let mut received = Vec::new();
    loop {
        match receive_once(transport, worker, &mut received) {
            Ok(0) => return Err(NoHeader::Gone),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(transport, worker, deadline).await?;
                continue;
            }
            Err(_) => return Err(NoHeader::Gone),
        }
        if let Some(header) = parse(&received)? {
            let rest = received.split_off(header.length);
            let origin = header.origin;
            return Ok(Announced { origin, rest });
        }
    }
}

fn receive_once(
    transport: &Transport,
    worker: &Worker,
    received: &mut Vec<u8>,
) -> io::Result<usize> {
    let mut input = worker.input.borrow_mut();
    let count = transport.receive(&mut input[..READ_SIZE])?.count;
    received.extend_from_slice(&input[..count]);
    Ok(count)
}

/// Waits until more may have come.
async fn wait(transport: &Transport, worker: &Worker, deadline: Tick) -> Result<(), NoHeader> {
    let ready = poll_fn(|context| {
        if worker.is_draining() {
            return Poll::Ready(Err(NoHeader::Gone));
        }
        let ready = transport.poll_ready(context, Direction::Read, deadline);
        ready.map_err(|Elapsed| NoHeader::Late)
    });
    ready.await
}
