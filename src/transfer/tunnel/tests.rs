use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use super::*;
use crate::runtime::{Either, Stream, either, run, yield_now};
use crate::test_support::slow_peer::{PIECE, TIMEOUT, read_slowly, tcp_pair};

/// Long enough that it is reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection of the tunnel, and its far end.
fn unix() -> (Transport, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a socket pair");
    near.set_nonblocking(true).expect("a socket can be set so");
    (Transport::Plain(Stream::new(OwnedFd::from(near))), far)
}

fn tcp() -> (Transport, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let far = TcpStream::connect(listener.local_addr().expect("it is bound"));
    let (near, _) = listener.accept().expect("a connection waits");
    near.set_nonblocking(true).expect("a socket can be set so");
    let near = Transport::Plain(Stream::new(OwnedFd::from(near)));
    (near, far.expect("it listens"))
}

fn input() -> InputBuffer {
    RefCell::new(vec![0; READ_SIZE].into_boxed_slice())
}

fn sides<'t>(client: &'t Transport, upstream: &'t Transport, input: &'t InputBuffer) -> Sides<'t> {
    Sides {
        client,
        upstream,
        input,
    }
}

/// Runs a tunnel between `client` and `upstream` to its end, and closes both.
fn carry(client: Transport, upstream: Transport, idle_timeout: Duration) -> (TunnelEnd, u64, u64) {
    let tunnel = async move {
        let input = input();
        let mut tunnel = Tunnel::new(idle_timeout, None);
        tunnel.send_first_to_upstream(b"[up]".to_vec());
        tunnel.send_first_to_client(b"[down]".to_vec());
        let end = tunnel.run(sides(&client, &upstream, &input)).await;
        (end, tunnel.received_from_client(), tunnel.to_client())
    };
    run(tunnel).expect("a loop")
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).expect("it ends");
        all
    })
}

#[test]
fn octets_go_both_ways_at_once_behind_those_that_go_first() {
    let ((client, far_client), (upstream, far_upstream)) = (tcp(), tcp());
    let large: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let send = |mut far: TcpStream| {
        let large = large.clone();
        thread::spawn(move || {
            far.write_all(&large).expect("the tunnel takes it");
            far.shutdown(Shutdown::Write).expect("it is open");
        })
    };
    let threads = [&far_client, &far_upstream].map(|far| {
        let copy = || far.try_clone().expect("a descriptor");
        (send(copy()), read_all(copy()))
    });
    let (end, from_client, to_client) = carry(client, upstream, PATIENCE);
    let count = large.len() as u64;
    assert_eq!((end, from_client), (TunnelEnd::Complete, count));
    assert_eq!(to_client, count + b"[down]".len() as u64);
    for ((sent, read), first) in threads.into_iter().zip([b"[down]".as_slice(), b"[up]"]) {
        sent.join().expect("no panic");
        assert!(read.join().expect("no panic") == [first, &large[..]].concat());
    }
}

#[test]
fn each_side_ends_its_half_by_itself() {
    for client_is_first in [true, false] {
        let ((client, far_client), (upstream, far_upstream)) = (unix(), unix());
        let (mut first, mut second) = if client_is_first {
            (far_client, far_upstream)
        } else {
            (far_upstream, far_client)
        };
        let far = thread::spawn(move || {
            first.write_all(b"question").expect("room");
            first.shutdown(Shutdown::Write).expect("it is open");
            let (mut asked, mut answered) = (Vec::new(), Vec::new());
            second.read_to_end(&mut asked).expect("its end arrives");
            second.write_all(b"answer").expect("room");
            drop(second);
            first.read_to_end(&mut answered).expect("its end arrives");
            (asked, answered)
        });
        let (end, ..) = carry(client, upstream, PATIENCE);
        assert_eq!(end, TunnelEnd::Complete);
        let (asked, answered) = far.join().expect("no panic");
        assert!(asked.ends_with(b"]question"), "{client_is_first}");
        assert!(answered.ends_with(b"]answer"), "{client_is_first}");
    }
}

/// Octets that a way holds back.
fn held_back(way: &Way) -> usize {
    let waiting = way.waiting.as_ref();
    waiting.map_or(0, |waiting| waiting.octets.capacity())
}

/// Polls `tunnel` until neither way can go on.
async fn run_until_quiet(tunnel: &mut Tunnel, sides: Sides<'_>) -> Option<TunnelEnd> {
    let mut quiet_turns = 0;
    while quiet_turns < 3 {
        let before = tunnel.received_from_client() + tunnel.to_client();
        if let Either::First(end) = either(tunnel.run(sides), yield_now()).await {
            return Some(end);
        }
        let after = tunnel.received_from_client() + tunnel.to_client();
        quiet_turns = if before == after { quiet_turns + 1 } else { 0 };
    }
    None
}

#[test]
fn a_slow_receiver_holds_the_sender_back_and_an_idle_tunnel_holds_nothing() {
    run(async {
        let ((client, mut far_client), (upstream, mut far_upstream)) = (unix(), unix());
        for far in [&far_client, &far_upstream] {
            far.set_nonblocking(true).expect("a socket can be set so");
        }
        let input = input();
        let (mut tunnel, sides) = (
            Tunnel::new(PATIENCE, None),
            sides(&client, &upstream, &input),
        );
        let mut sent = 0_usize;
        // Until a write is refused after the tunnel has taken what it can.
        loop {
            let piece: Vec<u8> = (sent..sent + 50_000).map(|n| (n % 251) as u8).collect();
            match far_upstream.write(&piece) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
            assert_eq!(run_until_quiet(&mut tunnel, sides).await, None);
        }
        let held = held_back(&tunnel.down);
        assert!(held > 0 && held <= READ_SIZE, "{held}");
        assert_eq!(held_back(&tunnel.up), 0);
        let (mut arrived, mut piece) = (0, vec![0; 100_000]);
        while arrived < sent {
            if let Ok(count) = far_client.read(&mut piece) {
                let is_next = |(n, octet): (usize, &u8)| usize::from(*octet) == (arrived + n) % 251;
                assert!(piece[..count].iter().enumerate().all(is_next));
                arrived += count;
            }
            assert_eq!(run_until_quiet(&mut tunnel, sides).await, None);
        }
        assert!(tunnel.down.waiting.is_none() && tunnel.up.waiting.is_none());
        assert!(size_of_val(&tunnel) <= 72, "{}", size_of_val(&tunnel));
        let run = tunnel.run(sides);
        assert!(size_of_val(&run) <= 32, "{}", size_of_val(&run));
    })
    .expect("a loop");
}

/// A pace of so many octets a second.
fn pace(octets: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(octets)
}

#[test]
fn a_pace_holds_the_way_down_back_and_leaves_the_rest_with_the_sender() {
    run(async {
        let ((client, mut far_client), (upstream, mut far_upstream)) = (unix(), unix());
        let input = input();
        let mut tunnel = Tunnel::new(PATIENCE, pace(1024));
        let sides = sides(&client, &upstream, &input);
        let started = std::time::Instant::now();
        far_upstream.write_all(&[b'd'; 50_000]).expect("room");
        far_client.write_all(&[b'u'; 50_000]).expect("room");
        assert_eq!(run_until_quiet(&mut tunnel, sides).await, None);
        assert_eq!(tunnel.received_from_client(), 50_000, "the way up has none");
        let sent = tunnel.to_client();
        let most = 1024 * (2 + started.elapsed().as_secs());
        assert!((1024..=most).contains(&sent), "{sent}");
        assert!(tunnel.down.waiting.is_none());
        // What waits already is sent at the pace, too.
        tunnel.send_first_to_client(vec![b'w'; 50_000]);
        assert_eq!(run_until_quiet(&mut tunnel, sides).await, None);
        let most = 1024 * (2 + started.elapsed().as_secs());
        assert!(tunnel.to_client() <= most, "{}", tunnel.to_client());
    })
    .expect("a loop");
}

#[test]
fn a_pause_of_the_pace_is_neither_idle_nor_an_end() {
    const IDLE: Duration = Duration::from_millis(50);
    let ((client, mut far_client), (upstream, mut far_upstream)) = (unix(), unix());
    far_upstream.write_all(&[b'd'; 2500]).expect("room");
    drop(far_upstream);
    let read = thread::spawn(move || {
        let mut all = Vec::new();
        far_client.read_to_end(&mut all).expect("it ends");
        // Open until the tunnel has ended.
        (all.len(), far_client)
    });
    let (end, to_client) = run(async move {
        let input = input();
        let mut tunnel = Tunnel::new(IDLE, pace(1024));
        let end = tunnel.run(sides(&client, &upstream, &input)).await;
        (end, tunnel.to_client())
    })
    .expect("a loop");
    // The client does not end its side: once all is sent, the tunnel is idle.
    assert_eq!((end, to_client), (TunnelEnd::Idle, 2500));
    assert_eq!(read.join().expect("no panic").0, 2500);
}

#[test]
fn a_fast_pace_is_reached() {
    let ((client, far_client), (upstream, mut far_upstream)) = (tcp(), tcp());
    let read = read_all(far_client.try_clone().expect("a descriptor"));
    let far = thread::spawn(move || {
        far_upstream
            .write_all(&vec![b'd'; 16 << 20])
            .expect("it is taken");
        far_client.shutdown(Shutdown::Write).expect("it is open");
    });
    let end = run(async move {
        let input = input();
        let mut tunnel = Tunnel::new(PATIENCE, pace(64 << 20));
        tunnel.run(sides(&client, &upstream, &input)).await
    });
    far.join().expect("no panic");
    assert_eq!(end.expect("a loop"), TunnelEnd::Complete);
    assert_eq!(read.join().expect("no panic").len(), 16 << 20);
}

#[test]
fn octets_on_either_way_postpone_the_end_of_an_idle_tunnel() {
    const IDLE: Duration = Duration::from_millis(300);
    let ((client, mut far_client), (upstream, mut far_upstream)) = (unix(), unix());
    let start = std::time::Instant::now();
    let far = thread::spawn(move || {
        let mut octet = [0];
        for _ in 0..5 {
            // One way only, and each time well within the limit.
            far_upstream.write_all(b"x").expect("the tunnel is open");
            far_client.read_exact(&mut octet).expect("it arrives");
            thread::sleep(IDLE / 5);
        }
        far_client.read_to_end(&mut Vec::new()).expect("the end");
        far_upstream
    });
    let (end, ..) = carry(client, upstream, IDLE);
    assert_eq!(end, TunnelEnd::Idle);
    assert!(start.elapsed() >= IDLE + IDLE / 5);
    far.join().expect("no panic");
}

/// The client takes octets for longer than the idle limit, and makes no room for others meanwhile: both where all are
/// in the socket, and where others wait.
#[test]
fn a_tunnel_whose_receiver_is_slow_is_not_idle() {
    for length in [2 << 20, 16 << 20] {
        run(async move {
            let ((near, far_client), (upstream, _far_upstream)) = (tcp_pair(), unix());
            let (client, input) = (Transport::Plain(near), input());
            let mut tunnel = Tunnel::new(TIMEOUT, None);
            tunnel.send_first_to_client(vec![b'x'; length]);
            let running = tunnel.run(sides(&client, &upstream, &input));
            let end = read_slowly(&far_client, PIECE, running).await;
            // Everything is taken, and nothing follows.
            assert_eq!(end, TunnelEnd::Idle);
            assert_eq!(tunnel.to_client(), length as u64);
        })
        .expect("a loop");
    }
}

#[test]
fn a_tunnel_whose_receiver_takes_nothing_is_idle() {
    run(async {
        let ((near, _far_client), (upstream, _far_upstream)) = (tcp_pair(), unix());
        let (client, input) = (Transport::Plain(near), input());
        let mut tunnel = Tunnel::new(TIMEOUT, None);
        tunnel.send_first_to_client(vec![b'x'; 16 << 20]);
        let end = tunnel.run(sides(&client, &upstream, &input)).await;
        assert_eq!(end, TunnelEnd::Idle);
    })
    .expect("a loop");
}

/// Has the close of `far` reset its connection.
fn reset(far: TcpStream) {
    let socket = socket2::SockRef::from(&far);
    socket
        .set_linger(Some(Duration::ZERO))
        .expect("a TCP socket");
}

#[test]
fn a_side_that_breaks_resets_the_other() {
    for client_breaks in [true, false] {
        let ((client, far_client), (upstream, far_upstream)) = (tcp(), tcp());
        let (breaks, mut other, expected) = if client_breaks {
            (far_client, far_upstream, TunnelEnd::ClientBroke)
        } else {
            (far_upstream, far_client, TunnelEnd::UpstreamBroke)
        };
        let far = thread::spawn(move || {
            // What is sent first has arrived, so the tunnel runs.
            other.read_exact(&mut [0; 4]).expect("it arrives");
            reset(breaks);
            other.read_to_end(&mut Vec::new()).map_err(|e| e.kind())
        });
        let (end, ..) = carry(client, upstream, PATIENCE);
        assert_eq!(end, expected);
        let seen = far.join().expect("no panic");
        assert_eq!(seen, Err(io::ErrorKind::ConnectionReset), "{client_breaks}");
    }
}

/// A send to the side that broke returned the error of the break, and the read after it found 0 octets: the
/// other side got an orderly end behind a part of an answer.
#[test]
fn a_side_that_breaks_while_octets_are_sent_to_it_resets_the_other() {
    for client_breaks in [true, false] {
        let ((client, far_client), (upstream, far_upstream)) = (tcp(), tcp());
        let (mut breaks, mut other, expected) = if client_breaks {
            (far_client, far_upstream, TunnelEnd::ClientBroke)
        } else {
            (far_upstream, far_client, TunnelEnd::UpstreamBroke)
        };
        let mut sends = other.try_clone().expect("a descriptor");
        let sending = thread::spawn(move || {
            // More than the tunnel takes, because nothing is read.
            loop {
                if let Err(error) = sends.write_all(&[b'x'; 100_000]) {
                    return error.kind();
                }
            }
        });
        let far = thread::spawn(move || {
            breaks.write_all(b"a part").expect("room");
            let mut arrived = Vec::new();
            while !arrived.ends_with(b"a part") {
                let mut octet = [0];
                other.read_exact(&mut octet).expect("it arrives");
                arrived.extend(octet);
            }
            reset(breaks);
            other.read_to_end(&mut Vec::new()).map_err(|e| e.kind())
        });
        let (end, ..) = carry(client, upstream, PATIENCE);
        assert_eq!(end, expected);
        let read = far.join().expect("no panic");
        let sent = sending.join().expect("no panic");
        // One of the two gets the error.
        let seen = read.err().unwrap_or(sent);
        assert_eq!(seen, io::ErrorKind::ConnectionReset, "{client_breaks}");
    }
}

/// Nothing is read from a client whose octets the upstream does not take; its reset is noticed all the
/// same.
#[test]
fn a_sender_that_breaks_while_it_is_held_back_is_noticed() {
    run(async {
        let ((client, mut far_client), (upstream, _far_upstream)) = (tcp(), tcp());
        far_client
            .set_nonblocking(true)
            .expect("a socket can be set so");
        let input = input();
        let (mut tunnel, sides) = (
            Tunnel::new(PATIENCE, None),
            sides(&client, &upstream, &input),
        );
        // Until the upstream's buffers, the tunnel's and the client's are full.
        while far_client.write(&[b'x'; 100_000]).is_ok() {
            assert_eq!(run_until_quiet(&mut tunnel, sides).await, None);
        }
        assert!(tunnel.up.waiting.is_some());
        reset(far_client);
        assert_eq!(tunnel.run(sides).await, TunnelEnd::ClientBroke);
    })
    .expect("a loop");
}

/// An upstream may refuse what a client sends, say why, and close: the client gets that.
#[test]
fn the_last_words_of_a_side_that_takes_nothing_more_arrive() {
    let ((client, mut far_client), (upstream, mut far_upstream)) = (unix(), unix());
    let far = thread::spawn(move || {
        far_upstream.write_all(b"too much").expect("room");
        drop(far_upstream);
        let sent = (0..1000).try_for_each(|_| far_client.write_all(&[b'x'; 10_000]));
        assert!(sent.is_err(), "more than the tunnel takes");
        let mut last = Vec::new();
        let end = far_client.read_to_end(&mut last);
        (last, end.is_ok())
    });
    let (end, ..) = carry(client, upstream, PATIENCE);
    assert_eq!(end, TunnelEnd::UpstreamBroke);
    let (last, _) = far.join().expect("no panic");
    assert_eq!(last, b"[down]too much");
}
