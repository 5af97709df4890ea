//! What comes through, and how each side's end reaches the other.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use super::*;
use crate::support::{SAFETY, pattern, until};

/// A worker accepts an HTTP connection with its first octets, or a second later. The client of a mail
/// server waits for the server to speak.
#[test]
fn the_upstream_may_speak_first() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    until("a greeting within half a second", || {
        let start = Instant::now();
        let client = connect(address);
        let mut upstream = accept(&listener);
        upstream.write_all(b"220 ready\r\n").expect("it is open");
        assert_eq!(read(&client, 11), b"220 ready\r\n");
        (start.elapsed() < Duration::from_millis(500)).then_some(())
    });
}

#[test]
fn much_goes_both_ways_at_once_and_is_counted() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'"));
    let client = connect(stream_address(&server));
    let upstream = accept(&listener);
    let (up, down) = (pattern(0, 8_000_000), pattern(1 << 40, 12_000_000));
    std::thread::scope(|scope| {
        for (from, to, octets) in [(&client, &upstream, &up), (&upstream, &client, &down)] {
            scope.spawn(move || {
                let mut from = from;
                from.write_all(octets).expect("the server takes it");
                from.shutdown(Shutdown::Write).expect("it is open");
            });
            scope.spawn(move || {
                let (mut to, mut arrived) = (to, Vec::new());
                to.read_to_end(&mut arrived).expect("it ends");
                assert!(arrived == *octets, "{} octets", arrived.len());
            });
        }
    });
    let record = record(&server, "complete");
    assert_eq!(record["bytes_received"], 8_000_000);
    assert_eq!(record["bytes"], 12_000_000);
    assert_eq!(record["client"], "127.0.0.1");
    assert_eq!(record["stream"], "127.0.0.2:0");
    assert_eq!(record["upstream"], there.to_string());
    assert_eq!(record["server"], there.to_string());
    assert_eq!(record["status"], 200);
    for time in ["connect_ms", "duration_ms"] {
        assert!(record[time].is_u64(), "{record}");
    }
}

#[test]
fn each_half_ends_by_itself() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    for client_is_first in [true, false] {
        let (client, upstream) = (connect(address), accept(&listener));
        let (mut first, mut second) = if client_is_first {
            (client, upstream)
        } else {
            (upstream, client)
        };
        first.write_all(b"question").expect("it is open");
        first.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(read(&second, 8), b"question");
        expect_end(&second);
        second.write_all(b"answer").expect("this half is open");
        assert_eq!(read(&first, 6), b"answer");
        drop(second);
        expect_end(&first);
    }
    record(&server, "complete");
}

#[test]
fn a_reset_is_passed_on() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    for (client_breaks, end) in [(true, "client_broke"), (false, "upstream_broke")] {
        let (mut client, upstream) = (connect(address), accept(&listener));
        client.write_all(b"x").expect("it is open");
        assert_eq!(read(&upstream, 1), b"x");
        let (breaks, other) = if client_breaks {
            (client, upstream)
        } else {
            (upstream, client)
        };
        let socket = socket2::SockRef::from(&breaks);
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP socket");
        drop(breaks);
        expect_reset(&other);
        record(&server, end);
    }
}

#[test]
fn an_idle_connection_ends() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\nidle_timeout = '300ms'"));
    let mut client = connect(stream_address(&server));
    let upstream = accept(&listener);
    // Octets one way alone keep it, for longer than the limit.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(600) {
        client.write_all(b"x").expect("it is open");
        read(&upstream, 1);
    }
    expect_end(&client);
    expect_end(&upstream);
    assert!(record(&server, "idle")["duration_ms"].as_u64() >= Some(600));
}

/// A megabyte at two a second takes almost half a second, however slow the machine is.
#[test]
fn a_pace_is_for_what_the_upstream_says() {
    const LENGTH: usize = 1 << 20;
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\nmax_rate_out = '2 MiB/s'"));
    let client = connect(stream_address(&server));
    let mut upstream = accept(&listener);
    let octets = pattern(0, LENGTH);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| upstream.write_all(&octets).expect("it is taken"));
        assert!(read(&client, LENGTH) == octets);
    });
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(290), "{elapsed:?}");
    drop(client);
    drop(upstream);
    assert_eq!(record(&server, "complete")["bytes"], LENGTH);
}

#[test]
fn a_pace_is_not_for_what_the_client_says() {
    /// At the pace they would take two minutes.
    const LENGTH: usize = 128 * 1024;
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\nmax_rate_out = '1 KiB/s'"));
    let mut client = connect(stream_address(&server));
    let upstream = accept(&listener);
    let octets = pattern(0, LENGTH);
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| client.write_all(&octets).expect("it is taken"));
        assert!(read(&upstream, LENGTH) == octets);
    });
    assert!(started.elapsed() < SAFETY);
}

#[test]
fn unix_sockets_on_both_sides() {
    let site = Site::new("");
    let there = site.directory().join("there");
    let listener = UnixListener::bind(&there).expect("a socket");
    let text = configuration(
        "",
        "listen = ['unix:here']\nsocket_mode = '0600'\nproxy = 'unix:there'",
    );
    site.directory().write(
        "config.toml",
        text.replacen("listen = '127.0.0.2:0'\n", "", 1),
    );
    let server = site.run_from("config.toml").start();
    let here = server.directory().join("here");
    let mut client = UnixStream::connect(&here).expect("the server listens");
    let (mut upstream, _) = listener.accept().expect("it connects");
    client.write_all(b"ping").expect("it is open");
    let mut octets = [0; 4];
    upstream.read_exact(&mut octets).expect("they arrive");
    assert_eq!(&octets, b"ping");
    drop(client);
    assert_eq!(upstream.read(&mut octets).expect("its end"), 0);
    drop(upstream);
    assert_eq!(record(&server, "complete")["client"], "unix:");
}
