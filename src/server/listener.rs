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

use super::connection::Connection;
use super::endpoint::{Accepting, Endpoint};
use super::generation::Generation;
use super::worker::Worker;
use crate::http::response::{Persistence, ResponseFraming, ResponseHead};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::runtime::{self, Listener, Stream};

/// Connections accepted before those that are there get their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How long accepting pauses when the system has no descriptor or memory for another connection.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the worker drains or the socket is taken from it. Those that are queued
/// when nobody will listen any more are still served.
pub(super) async fn accept_all(accepting: Rc<Accepting>, worker: Rc<Worker>) {
    let listener = Listener::new(Arc::clone(&accepting.socket));
    let endpoint = &accepting.endpoint;
    let mut is_short = false;
    loop {
        let is_last_round = worker.is_draining() || endpoint.is_retired();
        if accepting.is_stopped() && !is_last_round {
            return;
        }
        match accept_some(&listener, endpoint, &worker) {
            Round::QueueIsEmpty if is_last_round => return,
            Round::QueueIsEmpty => {
                is_short = false;
                wait(&listener, &accepting, &worker).await;
            }
            Round::More => runtime::yield_now().await,
            Round::Shortage(error) => {
                if !std::mem::replace(&mut is_short, true) {
                    let address = &endpoint.address;
                    diagnostic::warn(format_args!(
                        "cannot accept connections at {address}: {error}; accepting goes on when that is over. A higher limit of open files (ulimit -n) or a lower max_connections prevents it"
                    ));
                }
                runtime::sleep(SHORTAGE_PAUSE).await;
            }
        }
    }
}

/// How a round of accepting ended.
enum Round {
    QueueIsEmpty,
    More,
    Shortage(io::Error),
}

fn accept_some(listener: &Listener, endpoint: &Rc<Endpoint>, worker: &Rc<Worker>) -> Round {
    for _ in 0..ACCEPTS_PER_TURN {
        match listener.try_accept() {
            Ok((fd, peer)) => admit(fd, peer, endpoint, worker),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Round::QueueIsEmpty,
            Err(error) if is_shortage(&error) => return Round::Shortage(error),
            // What accept reports otherwise is about that one connection, which is gone.
            Err(_) => {}
        }
    }
    Round::More
}

/// Whether the system has run out of what a connection takes.
fn is_shortage(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

async fn wait(listener: &Listener, accepting: &Accepting, worker: &Worker) {
    poll_fn(|context| match listener.poll_ready(context) {
        Poll::Pending if !worker.is_draining() && !accepting.is_stopped() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

fn admit(fd: OwnedFd, peer: Option<SocketAddr>, endpoint: &Rc<Endpoint>, worker: &Rc<Worker>) {
    let generation = worker.current_generation();
    let fits = worker.admit(generation.max_connections);
    let stream = Stream::new(fd);
    let connection = Connection::new(stream, peer, Rc::clone(endpoint), Rc::clone(worker));
    match fits {
        true => runtime::spawn(connection.serve()),
        false => turn_away(connection.stream(), worker, &generation),
    }
}

/// An answer, not a silent drop, for one connection too many. Whatever it takes is done at once:
/// nothing is kept of it.
fn turn_away(stream: &Stream, worker: &Worker, generation: &Generation) {
    let head = ResponseHead {
        status: Status::SERVICE_UNAVAILABLE,
        common: &worker.common_lines(generation.server_field),
        fields: b"Retry-After: 1\r\n",
        framing: ResponseFraming::Length(0),
        persistence: Persistence::Close,
    };
    let mut answer = Vec::new();
    head.encode(&mut answer);
    // Read first: closing over unread bytes would reset the connection, and the answer with it.
    let _ = stream.try_receive(&mut worker.input.borrow_mut());
    let _ = stream.try_send(&answer, false);
    stream.shut_down_write();
}
