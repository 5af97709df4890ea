//! Handshakes of TLS that are many, slow, large or never complete, and what they cost other connections.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::cipher::Iv;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets};

use crate::support::{Client, SAFETY, Server, Site, client_of, until};
use crate::tls::{anyone, server};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A GET that a worker answers, and then stands still: see `src/server/test_hooks.rs`.
const STOP: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\
    GET /.tidegate-test/block-worker HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A site of one worker, with these settings of `limits`.
fn site(limits: &str) -> Site {
    let server = server("", "localhost", "", "hello");
    Site::configured(&format!(
        "workers = 1\nlog.access = false\n[limits]\n{limits}\n{server}"
    ))
}

fn start(limits: &str) -> Server {
    site(limits).start()
}

fn established(server: &Server) -> Client {
    let mut client = Client::secured(server.address(), &anyone(), "localhost").expect("a session");
    assert_eq!(client.exchange(GET).text(), "hello");
    client
}

/// What a client sends first.
fn client_hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name);
    let mut hello = Vec::new();
    let mut connection = connection.expect("a configuration");
    while connection.wants_write() {
        connection.write_tls(&mut hello).expect("a Vec takes it");
    }
    hello
}

/// A connection that has sent `octets`.
fn sent(server: &Server, octets: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.write_all(octets).expect("there is room");
    stream
}

/// Whether the server has sent something that is not read yet.
fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("it is open");
    match stream.peek(&mut [0]) {
        Ok(count) => {
            assert_eq!(count, 1, "the server has ended the connection");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

/// Makes a FIFO, and sends the requests of `STOP` from `client`. Dropping `standing`, the FIFO at which the
/// worker waits, lets the worker go on: it answers `client`, and waits at the new FIFO. Returns the new FIFO
/// once the worker has opened it.
fn step(server: &Server, standing: Option<File>, client: &mut Client) -> File {
    let (made, fifo) = (
        server.directory().join("next"),
        server.directory().join("fifo"),
    );
    rustix::fs::mkfifoat(rustix::fs::CWD, &made, rustix::fs::Mode::RWXU).expect("ours");
    std::fs::rename(made, &fifo).expect("they are in one directory");
    client.send(STOP);
    drop(standing);
    // It can be opened so when the worker has opened the other end.
    let mut writer = File::options();
    writer
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    until("the worker stands still", || writer.open(&fifo).ok())
}

/// The worker stands still while many clients send their ClientHello. Then it goes on from one request of an
/// established connection to the next one, of which each has come before: what it has done in between is a
/// turn of its loop. It may have answered a few handshakes there, not those of all who wait.
#[test]
fn a_flood_of_handshakes_leaves_each_turn_to_the_others() {
    const FLOOD: usize = 256;
    const TURNS: usize = 10;
    /// As many as `src/transport/tls/gate.rs` lets in, and once more: a request may come a turn later.
    const MOST_IN_A_TURN: usize = 2 * 4;
    let site = site("handshake_timeout = '1m'");
    let server = site.environment("TIDEGATE_TEST_HOOKS", "block").start();
    let mut clients: Vec<Client> = (0..=TURNS).map(|_| established(&server)).collect();
    let mut clients_in_turn = clients.iter_mut();
    let first = clients_in_turn.next().expect("there are more than none");
    let mut standing = step(&server, None, first);
    let hello = client_hello(&anyone());
    let (half, other_half) = hello.split_at(hello.len() / 2);
    let mut begun: Vec<TcpStream> = (0..FLOOD / 2).map(|_| sent(&server, half)).collect();
    let flood: Vec<TcpStream> = (0..FLOOD).map(|_| sent(&server, &hello)).collect();
    let answered = || flood.iter().filter(|stream| is_answered(stream)).count();
    assert_eq!(answered(), 0, "the worker does not stand still");
    for (turn, client) in clients_in_turn.enumerate() {
        standing = step(&server, Some(standing), client);
        let answered = answered();
        assert!(
            answered <= (turn + 1) * MOST_IN_A_TURN,
            "{answered} handshakes before the answer of turn {turn}"
        );
    }
    drop(standing);
    for client in &mut clients {
        assert_eq!(client.response().text(), "hello");
        assert_eq!(client.response().status, 200);
    }
    // A client that comes later waits for its turn, and gets it.
    assert_eq!(established(&server).exchange(GET).text(), "hello");
    until("every handshake has its turn", || {
        (answered() == FLOOD).then_some(())
    });
    assert!(!begun.iter().any(is_answered));
    for stream in &mut begun {
        stream.write_all(other_half).expect("there is room");
    }
    until("half a ClientHello may wait", || {
        begun.iter().all(is_answered).then_some(())
    });
}

/// A client that sends an octet at a time has no more time than another one. The pauses for all octets of its
/// ClientHello are many times as long as the deadline.
#[test]
fn an_octet_now_and_then_does_not_prolong_a_handshake() {
    let server = start("handshake_timeout = '300ms'");
    let hello = client_hello(&talkative(4 << 10));
    let mut stream = sent(&server, &[]);
    stream.set_nodelay(true).expect("a socket can be set so");
    let pause = Duration::from_millis(2);
    stream.set_read_timeout(Some(pause)).expect("a duration");
    let ended = hello.iter().find_map(|octet| {
        let sent = stream.write_all(&[*octet]);
        match sent.and_then(|()| stream.read(&mut [0])) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            ended => Some(ended.map_err(|error| error.kind())),
        }
    });
    // The end, or the reset that answers a later octet.
    let is_ended = matches!(
        ended,
        Some(Ok(0) | Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
    );
    assert!(is_ended, "{ended:?}");
    server.wait_for_line(|line| line.contains("longer than `handshake_timeout`"));
}

/// Takes a handshake in which at most `most` octets go to the server at once.
fn handshake_in(
    server: &Server,
    config: &Arc<ClientConfig>,
    most: usize,
) -> io::Result<(TcpStream, ClientConnection)> {
    let mut stream = sent(server, &[]);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SAFETY))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name);
    let mut connection = connection.map_err(io::Error::other)?;
    loop {
        let mut octets = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut octets)?;
        }
        for piece in octets.chunks(most) {
            stream.write_all(piece)?;
        }
        if !connection.is_handshaking() {
            return Ok((stream, connection));
        }
        if connection.read_tls(&mut stream)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let state = connection.process_new_packets();
        state.map_err(io::Error::other)?;
    }
}

/// A client that offers protocols by ALPN until its ClientHello has `length` octets or a few more.
fn talkative(length: usize) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&client_of(&[&TLS13], None));
    let count = length / 256 + 1;
    config
        .alpn_protocols
        .extend((0..count).map(|_| vec![b'x'; 255]));
    Arc::new(config)
}

#[test]
fn a_client_hello_may_come_in_pieces_and_be_large() {
    let server = start("");
    handshake_in(&server, &anyone(), 1).expect("octet by octet");
    for length in [16 << 10, 40 << 10, 60 << 10] {
        let config = talkative(length);
        assert!(client_hello(&config).len() > length);
        for pieces in [usize::MAX, 1000] {
            let session = handshake_in(&server, &config, pieces);
            assert!(session.is_ok(), "{length} octets by {pieces}: {session:?}");
        }
    }
    until("all are complete", || {
        (server.status()["handshakes"]["complete"] == 7).then_some(())
    });
}

/// A ClientHello that announces more than a server of TLS has to take, and that never ends.
#[test]
fn a_client_hello_without_end_is_refused() {
    let server = start("");
    for length in [[1, 0, 0], [0xff, 0xff, 0xff]] {
        let mut stream = sent(
            &server,
            &[22, 3, 1, 0x40, 0, 1, length[0], length[1], length[2]],
        );
        stream.set_read_timeout(Some(SAFETY)).expect("a duration");
        let record = [&[22, 3, 1, 0x40, 0][..], &[0; 16 << 10]].concat();
        let _ = stream.write_all(&[0; (16 << 10) - 4]);
        let _ = (0..100).try_for_each(|_| stream.write_all(&record));
        let mut answer = [0; 7];
        match stream.read_exact(&mut answer) {
            // The alert decode_error, unless it is lost: the server has not read all.
            Ok(()) => assert_eq!(answer, [21, 3, 3, 0, 2, 2, 50]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert_eq!(established(&server).exchange(GET).text(), "hello");
    until("both have failed", || {
        (server.status()["handshakes"]["failed"] == 2).then_some(())
    });
}

/// A client that says by hand what it has to say once the handshake is complete.
struct ByHand {
    stream: TcpStream,
    key: LessSafeKey,
    iv: Iv,
    sequence: u64,
}

impl ByHand {
    fn connect(server: &Server) -> Self {
        let mut config = ClientConfig::clone(&client_of(&[&TLS13], None));
        config.enable_secret_extraction = true;
        let session = handshake_in(server, &Arc::new(config), usize::MAX);
        let (stream, connection) = session.expect("a session");
        let secrets = connection.dangerous_extract_secrets().expect("a session");
        let (sequence, secrets) = secrets.tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
            panic!("another cipher than that which comes first");
        };
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("its length");
        let key = LessSafeKey::new(key);
        Self {
            stream,
            key,
            iv,
            sequence,
        }
    }

    /// Sends a record of this type.
    fn send(&mut self, content_type: u8, content: &[u8]) -> io::Result<()> {
        let mut sealed = [content, &[content_type]].concat();
        let length = u16::try_from(sealed.len() + AES_256_GCM.tag_len()).expect("a record");
        let header = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
        let mut nonce = [0; 12];
        nonce.copy_from_slice(self.iv.as_ref());
        for (octet, part) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *octet ^= part;
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed_in_place =
            self.key
                .seal_in_place_append_tag(nonce, Aad::from(&header), &mut sealed);
        sealed_in_place.expect("it is short");
        self.sequence += 1;
        self.stream.write_all(&[header, sealed].concat())
    }
}

/// The worker was busy with a part of a message until the rest came: with the first record of a KeyUpdate a
/// client could stop it for good. tlsfuzzer found it.
#[test]
fn a_message_in_two_records_keeps_no_worker_busy() {
    const HANDSHAKE: u8 = 22;
    const CONTENT: u8 = 23;
    let server = start("");
    let mut other = established(&server);
    let mut client = ByHand::connect(&server);
    client
        .send(CONTENT, GET.as_bytes())
        .expect("the server reads");
    client.send(HANDSHAKE, &[24, 0]).expect("the server reads");
    for _ in 0..2 {
        assert_eq!(other.exchange(GET).text(), "hello");
    }
    until("the worker sleeps", || is_asleep(&server).then_some(()));
    client
        .send(HANDSHAKE, &[0, 1, 0])
        .expect("the server reads");
    assert_eq!(other.exchange(GET).text(), "hello");
    // The beginning of a message of 60 KiB, which the server need not keep.
    let mut client = ByHand::connect(&server);
    client
        .send(HANDSHAKE, &[24, 0, 0xf0, 0])
        .expect("the server reads");
    let ended = (0..40).try_for_each(|_| client.send(HANDSHAKE, &[0; 1000]));
    let ended = ended.and_then(|()| io::copy(&mut client.stream, &mut io::sink()));
    let is_late = matches!(&ended, Err(error) if error.kind() == ErrorKind::WouldBlock);
    assert!(!is_late, "the server keeps what it need not keep");
    assert_eq!(other.exchange(GET).text(), "hello");
}

/// Whether the threads of workers wait for the system.
fn is_asleep(server: &Server) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id()));
    let stats = tasks.expect("it runs").flatten();
    let stats = stats.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    // NUMBER (NAME) STATE …
    let workers = stats.filter(|stat| stat.contains("(tidegate-worker)"));
    let workers: Vec<String> = workers.collect();
    assert!(!workers.is_empty(), "no thread has this name");
    workers.iter().all(|worker| worker.contains(") S "))
}

/// RFC 7301 §3.2. In TLS 1.3 the alert stands behind the ServerHello; only that was sent, and then the end.
#[test]
fn a_client_that_speaks_another_protocol_is_told_so() {
    let server = start("");
    for version in [&TLS12, &TLS13] {
        let mut config = (*client_of(&[version], None)).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let config = Arc::new(config);
        let Err(refused) = Client::secured(server.address(), &config, "localhost") else {
            panic!("a session with h2")
        };
        let refused = refused.to_string();
        assert!(
            refused.contains("NoApplicationProtocol"),
            "{version:?}: {refused}"
        );
    }
}
