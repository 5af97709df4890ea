//! Both halves against each other, over a pair of sockets that take little at a time.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::handshake::{Chosen, HandshakeError, UnknownName, accept, connect};
use super::session::Session;
use crate::runtime::{self, Direction, Stream, Tick};
use crate::test_support::unwatched::{on_own_loop, watch_no_more};
use crate::transport::{Received, Transport};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new("tests/fixtures/tls").join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(name)).expect("the fixture")
}

fn server_config() -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(fixture("localhost.key")).expect("the fixture");
    let builder = ServerConfig::builder().with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate("localhost.pem")], key);
    Arc::new(config.expect("they fit"))
}

fn client_config(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("a root");
    let builder =
        ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
    Arc::new(builder.with_no_client_auth())
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// Longer than any wait of these tests takes.
const LONG: Duration = Duration::from_secs(60);

/// Two ends of a connection.
fn pair() -> (Stream, Stream) {
    let (near, far) = UnixStream::pair().expect("a socket pair");
    let stream = |end: UnixStream| {
        end.set_nonblocking(true).expect("a socket can be set so");
        // Far less than a record, so that the ends wait for each other.
        rustix::net::sockopt::set_socket_send_buffer_size(&end, 4096).expect("it can be set");
        Stream::new(OwnedFd::from(end))
    };
    (stream(near), stream(far))
}

async fn accept_as(session: &Session, known: &'static str) -> Result<(), HandshakeError> {
    let choose = |hello: &super::Hello| {
        if hello.server_name.as_deref() != Some(known) {
            return Err(UnknownName);
        }
        let config = server_config();
        Ok(Chosen {
            config,
            client_rule: 0,
        })
    };
    let deadline = runtime::deadline_after(Duration::from_secs(20));
    accept(session, Vec::new(), deadline, choose).await
}

/// The ends of a session, as transports: the server's and the client's.
async fn connected(version: &'static SupportedProtocolVersion) -> (Transport, Transport) {
    let (near, far) = pair();
    let (server, client) = (Session::new(near), Rc::new(Session::new(far)));
    let connecting = Rc::clone(&client);
    runtime::spawn(async move {
        let connected = connect(
            &connecting,
            client_config(version),
            name(),
            Vec::new(),
            Tick::NEVER,
        )
        .await;
        connected.expect("the server is who it says");
    });
    accept_as(&server, "localhost").await.expect("a session");
    while Rc::strong_count(&client) > 1 {
        runtime::yield_now().await;
    }
    let client = Rc::into_inner(client).expect("the other is gone");
    (
        Transport::Tls(Box::new(server)),
        Transport::Tls(Box::new(client)),
    )
}

/// Receives until the end, `most` octets at a time.
async fn receive_all(transport: &Transport, most: usize) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; most]);
    loop {
        match transport.receive(&mut buffer) {
            Ok(Received { count: 0, .. }) => return Ok(all),
            Ok(Received { count, is_drained }) => {
                all.extend_from_slice(&buffer[..count]);
                if !is_drained {
                    continue;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let ready = transport.ready(Direction::Read, Tick::NEVER).await;
        ready.expect("there is no deadline");
    }
}

/// Sends all of `octets` with `send`, which returns how many it took.
async fn send_all(
    transport: &Transport,
    octets: &[u8],
    mut send: impl FnMut(&Transport, &[u8]) -> io::Result<usize>,
) {
    let mut sent = 0;
    while sent < octets.len() {
        match send(transport, &octets[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = transport.ready(Direction::Write, Tick::NEVER).await;
                ready.expect("there is no deadline");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Octets that are nowhere the same for long.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(u32::to_be_bytes)
        .take(length)
        .collect()
}

/// What arrives at one end when `send` sends at the other, which then ends its side.
fn carried<F: Future<Output = ()>>(
    version: &'static SupportedProtocolVersion,
    most: usize,
    send: impl FnOnce(Transport) -> F + 'static,
) -> io::Result<Vec<u8>> {
    let carry = async move {
        let (server, client) = connected(version).await;
        let received = runtime::either(
            async {
                send(server).await;
                std::future::pending::<()>().await;
            },
            receive_all(&client, most),
        );
        match received.await {
            runtime::Either::First(()) => unreachable!("it waits for ever"),
            runtime::Either::Second(received) => received,
        }
    };
    runtime::run(carry).expect("a loop")
}

#[test]
fn octets_arrive_whole_whatever_room_there_is_for_them() {
    for (version, length, most) in [
        (&TLS13, 0, 100),
        (&TLS13, 1, 1),
        (&TLS12, 612, 7),
        (&TLS13, 20_000, 100),
        (&TLS12, 20_000, 16 * 1024),
        (&TLS13, 1_000_000, 16 * 1024),
        (&TLS12, 1_000_000, 64 * 1024),
        (&TLS13, 100_000, 200_000),
    ] {
        let received = carried(version, most, move |server| async move {
            send_all(&server, &pattern(length), |server, octets| {
                server.send(octets, false)
            })
            .await;
            server.shut_down();
            let _ = server.ready(Direction::Read, Tick::NEVER).await;
            std::future::pending::<()>().await;
        });
        let received = received.expect("an end in order");
        assert!(
            received == pattern(length),
            "{length} octets, {most} at a time"
        );
    }
}

#[test]
fn pieces_and_files_arrive_in_their_order() {
    let received = carried(&TLS13, 16 * 1024, |server| async move {
        send_all(&server, &pattern(150_000), |server, octets| {
            let (first, second) = octets.split_at(octets.len() / 3);
            server.send_vectored(&[io::IoSlice::new(first), io::IoSlice::new(second)])
        })
        .await;
        // `more` is true: the session holds the octets for the next record.
        let taken = server.send(b"head", true);
        assert_eq!(taken.expect("there is room"), 4);
        let file = tempfile::tempfile().expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&file, &pattern(300_000), 0).expect("room");
        let mut offset = 0;
        send_all(&server, &[0; 300_000], |server, octets| {
            let count = octets.len().min(100_000);
            server
                .send_file(file.as_fd(), &mut offset, count, true)
                .map(|sent| sent.expect("it may wait"))
        })
        .await;
        assert_eq!(offset, 300_000);
        let closed = server.close(LONG).await;
        closed.expect("the client reads");
        drop(server);
    });
    let expected = [pattern(150_000), b"head".to_vec(), pattern(300_000)].concat();
    assert!(received.expect("an end in order") == expected);
}

/// A response begins with calls whose records are one segment each.
#[test]
fn a_response_begins_in_small_shares() {
    const LENGTH: usize = 300_000;
    const FIRST: usize = 60 * 1024;
    for from_file in [true, false] {
        let received = carried(&TLS13, 64 * 1024, move |server| async move {
            let file = tempfile::tempfile().expect("a file");
            std::os::unix::fs::FileExt::write_all_at(&file, &pattern(LENGTH), 0).expect("room");
            let (mut offset, mut counts) = (0, Vec::new());
            send_all(&server, &pattern(LENGTH), |server, octets| {
                let count = if from_file {
                    let sent = server.send_file(file.as_fd(), &mut offset, octets.len(), true)?;
                    sent.expect("it may wait")
                } else {
                    server.send(octets, false)?
                };
                counts.push(count);
                Ok(count)
            })
            .await;
            assert_eq!(counts, [FIRST, FIRST, FIRST, LENGTH - 3 * FIRST]);
            server.close(LONG).await.expect("the client reads");
        });
        assert!(received.expect("an end in order") == pattern(LENGTH));
    }
}

/// An update of the keys costs a worker much more than the client, which may send one behind each
/// few octets.
#[test]
fn a_client_that_updates_its_keys_all_the_time_is_cut_off() {
    for (records_with_content, is_cut_off) in [(1, true), (40, false)] {
        let received = runtime::run(async move {
            let (near, far) = UnixStream::pair().expect("a socket pair");
            near.set_nonblocking(true).expect("a socket can be set so");
            let server = Session::new(Stream::new(OwnedFd::from(near)));
            let client = std::thread::spawn(move || update_keys(far, records_with_content));
            accept_as(&server, "localhost").await.expect("a session");
            let received = receive_all(&Transport::Tls(Box::new(server)), 16 * 1024).await;
            client.join().expect("the client does not panic");
            received.is_err()
        });
        assert_eq!(received.expect("a loop"), is_cut_off);
    }
}

/// A client that updates its keys 2,000 times, each time behind so many records with content, or until the
/// server ends the connection.
fn update_keys(mut far: UnixStream, records_with_content: usize) {
    use std::io::Write as _;
    let client = rustls::ClientConnection::new(client_config(&TLS13), name());
    let mut client = client.expect("a name and a configuration that fit");
    let mut work = || -> io::Result<()> {
        client.complete_io(&mut far)?;
        for _ in 0..2_000 {
            for _ in 0..records_with_content {
                client.writer().write_all(b"x")?;
                client.write_tls(&mut far)?;
            }
            client.refresh_traffic_keys().map_err(io::Error::other)?;
            while client.wants_write() {
                client.write_tls(&mut far)?;
            }
        }
        client.send_close_notify();
        client.write_tls(&mut far)?;
        Ok(())
    };
    // It fails where the server has had enough.
    let _ = work();
}

/// A file with `pattern(FILE)` that the system was told to evict from memory.
fn evicted_file() -> std::fs::File {
    let directory = std::env::current_dir().expect("there is one");
    let file = tempfile::tempfile_in(directory).expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, &pattern(FILE), 0).expect("room");
    file.sync_all().expect("it can be written");
    let evict = rustix::fs::Advice::DontNeed;
    rustix::fs::fadvise(&file, 0, None, evict).expect("a file");
    file
}

/// Bytes of [`evicted_file`].
const FILE: usize = 100_000;

/// Whether the file system evicts files and can tell. The look itself starts the read from the disk, so
/// the file that was looked at may be in memory afterwards, and is of no further use.
fn evicts_files() -> bool {
    let mut octet = [0];
    let mut pieces = [io::IoSliceMut::new(&mut octet)];
    let flags = rustix::io::ReadWriteFlags::NOWAIT;
    let read = rustix::io::preadv2(evicted_file(), &mut pieces, 0, flags);
    read == Err(rustix::io::Errno::AGAIN)
}

/// The read itself says whether a file is in memory. Some file systems evict nothing, as that of /tmp may: a
/// file there is sent at once.
#[test]
fn a_file_that_is_not_in_memory_is_not_waited_for() {
    /// The system may read a page of a file again before the server does, but not of each file.
    const FILES: usize = 5;
    let received = carried(&TLS13, 16 * 1024, |server| async move {
        let mut not_in_memory = 0;
        for _ in 0..FILES {
            let file = evicted_file();
            let mut offset = 0;
            match server.send_file(file.as_fd(), &mut offset, FILE, false) {
                Ok(None) => {
                    assert_eq!(offset, 0);
                    not_in_memory += 1;
                }
                Ok(Some(sent)) => assert!(sent > 0 && offset == sent as u64),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            while offset < FILE as u64 {
                let count = FILE - offset as usize;
                match server.send_file(file.as_fd(), &mut offset, count, true) {
                    Ok(sent) => assert!(sent > Some(0)),
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        let ready = server.ready(Direction::Write, Tick::NEVER).await;
                        ready.expect("the client reads");
                    }
                }
            }
        }
        assert!(not_in_memory > 0 || !evicts_files());
        server.close(LONG).await.expect("the client reads");
    });
    assert!(received.expect("an end in order") == pattern(FILE).repeat(FILES));
}

/// A connection that ends without a word is not taken for one that is complete.
#[test]
fn an_end_without_a_word_is_an_error() {
    for says_so in [true, false] {
        let received = carried(&TLS13, 100, move |server| async move {
            send_all(&server, b"hell", |server, octets| {
                server.send(octets, false)
            })
            .await;
            server.send(b"o", true).expect("there is room");
            if says_so {
                let closed = server.close(LONG).await;
                closed.expect("the client reads");
            } else {
                server.reset_on_close();
            }
            drop(server);
        });
        match received {
            Ok(received) => assert!(says_so && received == b"hello"),
            Err(error) => assert!(!says_so && error.kind() == io::ErrorKind::UnexpectedEof),
        }
    }
}

/// The error of the handshake of a client that sends `octets`, `most` at a time.
fn refused(octets: &'static [u8], most: usize) -> HandshakeError {
    let handshake = async move {
        let (near, far) = pair();
        runtime::spawn(async move {
            for piece in octets.chunks(most) {
                // It may be refused already.
                let _ = far.try_send(piece, false);
                runtime::yield_now().await;
            }
            far.shut_down_write();
            let mut answer = vec![0; 1000];
            while let Err(error) = far.try_receive(&mut answer) {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return;
                }
                let ready = far.ready(Direction::Read, Tick::NEVER).await;
                ready.expect("there is no deadline");
            }
        });
        let session = Session::new(near);
        let accepted = accept_as(&session, "localhost").await;
        accepted.expect_err("it is no handshake")
    };
    runtime::run(handshake).expect("a loop")
}

#[test]
fn what_is_no_handshake_is_told_apart() {
    const HTTP: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let error = refused(HTTP, 1000);
    assert!(matches!(&error, HandshakeError::PlainHttp(received) if received == HTTP));
    for (octets, expected) in [
        (&b""[..], "without having sent anything"),
        (b"\x16", "ended before"),
        (b"\x16\x03\x01", "ended before"),
        (b"\x00\x00\x00", "does not speak TLS"),
        (b"SSH-2.0-x\r\n", "plain HTTP"),
        // A record of a handshake whose message is none.
        (
            b"\x16\x03\x01\x00\x04\x63\x00\x00\x00",
            "unexpected handshake message",
        ),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "corrupt message"),
        // A ClientHello of no length.
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "corrupt message"),
        (b"\x16\x03\x01\x00\x00", "corrupt message"),
        (b"\x16\xff\xff\xff\xff\x00", "corrupt message"),
    ] {
        for most in [1, 1000] {
            let error = refused(octets, most);
            assert!(error.to_string().contains(expected), "{octets:?}: {error}");
            let has_begun = octets.first() == Some(&22);
            assert_eq!(error.has_begun(), has_begun, "{octets:?}: {error}");
        }
    }
}

#[test]
fn a_silent_client_has_begun_no_handshake() {
    for (octets, has_begun) in [(&b""[..], false), (b"\x16", true)] {
        let handshake = async move {
            let (near, far) = pair();
            far.try_send(octets, false).expect("room");
            let (session, choose) = (Session::new(near), |_: &super::Hello| Err(UnknownName));
            let deadline = runtime::deadline_after(Duration::from_millis(5));
            let accepted = accept(&session, Vec::new(), deadline, choose).await;
            drop(far);
            accepted.expect_err("no handshake comes")
        };
        let error = runtime::run(handshake).expect("a loop");
        assert_eq!(error.has_begun(), has_begun, "{error}");
        assert!(error.to_string().contains("`handshake_timeout`"), "{error}");
    }
}

#[test]
fn a_client_that_asks_for_another_server_is_told_so() {
    let handshake = async {
        let (near, far) = pair();
        let (server, client) = (Session::new(near), Session::new(far));
        let connecting = connect(
            &client,
            client_config(&TLS13),
            name(),
            Vec::new(),
            Tick::NEVER,
        );
        let accepting = accept_as(&server, "other.test");
        let Either2 { first, second } = both(accepting, connecting).await;
        (first.expect_err("unknown"), second.expect_err("refused"))
    };
    let (server, client) = runtime::run(handshake).expect("a loop");
    assert!(server.to_string().contains("\"localhost\""), "{server}");
    assert!(client.to_string().contains("UnrecognisedName"), "{client}");
}

/// The outputs of two futures.
struct Either2<A, B> {
    first: A,
    second: B,
}

/// Waits for both futures.
async fn both<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> Either2<A, B> {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    let (mut of_first, mut of_second) = (None, None);
    std::future::poll_fn(|context| {
        use std::task::Poll;
        if of_first.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(context)
        {
            of_first = Some(output);
        }
        if of_second.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(context)
        {
            of_second = Some(output);
        }
        match (&of_first, &of_second) {
            (Some(_), Some(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
    Either2 {
        first: of_first.expect("it is ready"),
        second: of_second.expect("it is ready"),
    }
}

/// The loop tried again and again, and did nothing else.
#[test]
fn a_wait_ends_at_its_deadline_where_the_system_does_not_report_room() {
    on_own_loop(|| async {
        let (server, _client) = connected(&TLS13).await;
        while server.send(&pattern(16 * 1024), false).is_ok() {}
        server.shut_down();
        watch_no_more();
        let deadline = runtime::deadline_after(Duration::from_millis(10));
        let waited = server.ready(Direction::Read, deadline).await;
        assert!(waited.is_err());
    });
}
