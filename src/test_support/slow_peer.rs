//! Peers that read slowly: all the time, and so little that the system reports no room to send.
//!
//! A peer is a task on the loop of the wait that it is the peer of. Where the machine has the test pause, both
//! pause, so that no test depends on the clock.

use std::future::Future;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::time::Duration;

use crate::runtime::{Direction, Either, Stream, Tick, either, sleep};

/// How long a peer may take nothing.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(400);

/// What a peer reads at a time, over TCP: in a timeout more than the window has to be open before its system
/// says so (a segment of the loopback interface), and in all less than makes room.
pub(crate) const PIECE: usize = 16 * 1024;

/// How often it reads, with a pause before each time: several timeouts in all.
const READS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(20);

/// The two ends of a TCP connection.
pub(crate) fn tcp_pair() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let far = TcpStream::connect(listener.local_addr().expect("it is bound"));
    let (near, _) = listener.accept().expect("a connection waits");
    (stream(near), stream(far.expect("it listens")))
}

/// Two sockets that are connected.
pub(crate) fn unix_pair() -> (Stream, Stream) {
    let (near, far) = UnixStream::pair().expect("a socket pair");
    (stream(near), stream(far))
}

fn stream(socket: impl Into<OwnedFd>) -> Stream {
    let fd = socket.into();
    rustix::io::ioctl_fionbio(&fd, true).expect("a socket can be set so");
    Stream::new(fd)
}

/// Sends until the socket takes nothing more.
pub(crate) async fn fill(near: &Stream) {
    // The peer's system takes some of it a little later.
    while near.try_send(&[b'x'; 16 * 1024], false).is_ok() {
        while near.try_send(&[b'x'; 16 * 1024], false).is_ok() {}
        sleep(PAUSE).await;
    }
}

/// Reads from `far`, `piece` octets at a time, for several timeouts, while `wait` goes on. Then reads without
/// pauses until `wait` has ended; its result.
///
/// Panics if `wait` ends before.
pub(crate) async fn read_slowly<T>(far: &Stream, piece: usize, wait: impl Future<Output = T>) -> T {
    let mut wait = pin!(wait);
    let slowly = pin!(async {
        let mut buffer = vec![0; piece];
        for _ in 0..READS {
            sleep(PAUSE).await;
            far.try_receive(&mut buffer).expect("there is more");
        }
    });
    if let Either::First(_) = either(wait.as_mut(), slowly).await {
        panic!("the wait has ended while the peer read slowly");
    }
    let at_once = pin!(async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match far.try_receive(&mut buffer) {
                Ok(0) => std::future::pending().await,
                Ok(_) => sleep(Duration::ZERO).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = far.ready(Direction::Read, Tick::NEVER).await;
                }
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    });
    match either(wait, at_once).await {
        Either::First(result) => result,
        Either::Second(()) => unreachable!("it reads until the wait has ended"),
    }
}
