//! A server behind the server, which does what a test wants, well or badly, and keeps what it was sent.
//!
//! ```text
//! Upstream::listen()                 the test accepts, reads and sends, in the order that it needs
//! Upstream::start(|connection| …)    a thread for each connection runs the script
//! ```
//!
//! Everything that happens on a connection is a call of [`Connection`], so a script that waits for the
//! test is a test that calls the next function. A connection ends when it is dropped, an upstream when
//! it is: then nothing listens at its address any more, and its threads have ended.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use socket2::{Domain, SockAddr, Socket, Type};

use super::SAFETY;
use super::wire::tls_fixture;

/// A server that takes nothing for so long has stopped reading.
const PAUSE: Duration = Duration::from_millis(300);

/// A scripted server at an address of its own.
pub(crate) struct Upstream {
    listener: Arc<Socket>,
    /// As a configuration names it.
    address: String,
    seen: Arc<Mutex<Seen>>,
    acceptor: Option<JoinHandle<()>>,
    /// Connections of ours that fill its queue.
    waiting: Vec<Socket>,
    /// `None`: its connections are plain.
    tls: Option<Arc<ServerConfig>>,
    /// What its URL begins with.
    scheme: &'static str,
}

/// What has come so far.
#[derive(Default)]
struct Seen {
    /// Of each connection, in the order in which they were accepted; dropped when the script drops it.
    connections: Vec<Weak<Socket>>,
    /// In the order in which they were read.
    requests: Vec<Request>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The request line and the fields, with the empty line.
    pub(crate) head: Vec<u8>,
    /// The octets behind the head that belong to the request.
    pub(crate) body: Vec<u8>,
    /// The content, without the chunked coding.
    pub(crate) content: Vec<u8>,
    /// The trailer section, a line each.
    pub(crate) trailers: Vec<String>,
}

/// A connection from the server.
pub(crate) struct Connection {
    stream: Arc<Socket>,
    /// Its session, over TLS; the handshake comes with the first octets.
    session: Option<Box<ServerConnection>>,
    /// What was read and belongs to no request yet.
    unused: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
}

/// What a server over TLS shows, and what it asks of the one that connects: see [`Upstream::over_tls`].
pub(crate) struct Certificate {
    name: &'static str,
    versions: Vec<&'static SupportedProtocolVersion>,
    asks_for_one: bool,
}

impl Certificate {
    /// A certificate of `tests/fixtures/tls`.
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            name,
            versions: rustls::DEFAULT_VERSIONS.to_vec(),
            asks_for_one: false,
        }
    }

    /// Speaks this version alone.
    pub(crate) fn only(self, version: &'static SupportedProtocolVersion) -> Self {
        let versions = vec![version];
        Self { versions, ..self }
    }

    /// Asks for a certificate that the authority of the fixtures has issued.
    pub(crate) fn asking_for_one(self) -> Self {
        Self {
            asks_for_one: true,
            ..self
        }
    }

    fn config(&self) -> ServerConfig {
        let read = |end: &str| tls_fixture(&format!("{}.{end}", self.name));
        let chain = vec![CertificateDer::from_pem_file(read("pem")).expect("the fixture")];
        let key = PrivateKeyDer::from_pem_file(read("key")).expect("the fixture");
        let builder = ServerConfig::builder_with_protocol_versions(&self.versions);
        let builder = if self.asks_for_one {
            let mut roots = RootCertStore::empty();
            let ca = CertificateDer::from_pem_file(tls_fixture("ca.pem"));
            roots.add(ca.expect("the fixture")).expect("a root");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.expect("a root"))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(chain, key).expect("they fit");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

impl Upstream {
    /// Listens at a port of its own. The test itself accepts.
    pub(crate) fn listen() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::bind(Domain::IPV4, &any.into())
    }

    /// Listens at a port where another upstream listened before.
    pub(crate) fn listen_again_at(address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("the address of an upstream");
        Self::bind(Domain::for_address(address), &address.into())
    }

    /// Listens at a Unix socket.
    pub(crate) fn listen_at(path: &Path) -> Self {
        let address = SockAddr::unix(path).expect("a short path");
        Self::bind(Domain::UNIX, &address)
    }

    /// Listens, but takes no connection: its queue is full.
    pub(crate) fn full() -> Self {
        let mut upstream = Self::listen();
        // So many and one more wait to be accepted; the system drops what comes beyond.
        upstream.listener.listen(0).expect("it is bound");
        let address = upstream.listener.local_addr().expect("it is bound");
        for _ in 0..2 {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("it is new");
            let _ = client.connect(&address);
            upstream.waiting.push(client);
        }
        upstream
    }

    fn bind(domain: Domain, address: &SockAddr) -> Self {
        let listener = Socket::new(domain, Type::STREAM, None).expect("a socket");
        if domain != Domain::UNIX {
            listener.set_reuse_address(true).expect("it is new");
        }
        listener.bind(address).expect("the address is free");
        listener.listen(1024).expect("it is bound");
        let bound = listener.local_addr().expect("it is bound");
        let address = match (bound.as_socket(), bound.as_pathname()) {
            (Some(address), _) => address.to_string(),
            (None, Some(path)) => format!("unix:{}", path.display()),
            (None, None) => unreachable!("one of the two"),
        };
        Self {
            listener: Arc::new(listener),
            address,
            seen: Arc::default(),
            acceptor: None,
            waiting: Vec::new(),
            tls: None,
            scheme: "http",
        }
    }

    /// Has it speak TLS.
    pub(crate) fn over_tls(self, certificate: &Certificate) -> Self {
        self.over_tls_with(certificate.config())
    }

    /// Has it speak TLS as `config` says.
    pub(crate) fn over_tls_with(mut self, config: ServerConfig) -> Self {
        self.tls = Some(Arc::new(config));
        self.pretending_tls()
    }

    /// Has its URL say that it speaks TLS.
    pub(crate) fn pretending_tls(mut self) -> Self {
        self.scheme = "https";
        self
    }

    /// Listens at a port of its own; `script` is run for each connection, on a thread of its own.
    pub(crate) fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::listen().run(script)
    }

    /// Answers every request with these octets.
    pub(crate) fn answering(octets: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |connection| {
            while connection.next_request().is_some() {
                connection.send(&octets);
            }
        })
    }

    /// Ends listening; the address is refused from now on, and no other program gets it.
    pub(crate) fn close(&mut self) {
        let address = self.listener.local_addr().expect("it is bound");
        let reserved = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        reserved.set_reuse_address(true).expect("it is new");
        self.listener = Arc::new(reserved);
        self.listener
            .bind(&address)
            .expect("it was ours a moment ago");
    }

    /// Has `script` run for each connection.
    pub(crate) fn run(mut self, script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let (listener, seen) = (Arc::clone(&self.listener), Arc::clone(&self.seen));
        let (script, tls) = (Arc::new(script), self.tls.clone());
        self.acceptor = Some(thread::spawn(move || {
            let mut scripts = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                let mut connection = Connection::of(stream, tls.as_ref(), &seen);
                let script = Arc::clone(&script);
                scripts.push(thread::spawn(move || script(&mut connection)));
            }
            for connection in &seen.lock().expect("no script holds it").connections {
                if let Some(stream) = connection.upgrade() {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            for script in scripts {
                if let Err(panic) = script.join() {
                    std::panic::resume_unwind(panic);
                }
            }
        }));
        self
    }

    /// Its address, as `servers` takes it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its URL, as `proxy` takes it.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Waits for the next connection.
    pub(crate) fn accept(&self) -> Connection {
        assert!(self.is_asked_within(SAFETY), "the server does not connect");
        let (stream, _) = self.listener.accept().expect("one waits");
        Connection::of(stream, self.tls.as_ref(), &self.seen)
    }

    /// Waits for the next connection and a request on it, and sends these octets.
    pub(crate) fn answer(&self, octets: impl AsRef<[u8]>) -> (Connection, Request) {
        let mut connection = self.accept();
        let request = connection.request();
        connection.send(octets);
        (connection, request)
    }

    /// Whether there is a connection that was not accepted, at once or within `time`.
    pub(crate) fn is_asked_within(&self, time: Duration) -> bool {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::try_from(time).expect("short"))).expect("a poll") > 0
    }

    /// Fails if there is a connection that was not accepted.
    pub(crate) fn expect_no_connection(&self) {
        assert!(
            !self.is_asked_within(Duration::ZERO),
            "the server has connected"
        );
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.seen
            .lock()
            .expect("no panic holds it")
            .connections
            .len()
    }

    /// Every request that was read.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen
            .lock()
            .expect("no panic holds it")
            .requests
            .clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Wakes the thread that accepts.
        let _ = self.listener.shutdown(Shutdown::Both);
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        if let Err(panic) = acceptor.join()
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Connection {
    fn of(stream: Socket, tls: Option<&Arc<ServerConfig>>, seen: &Arc<Mutex<Seen>>) -> Self {
        stream.set_read_timeout(Some(SAFETY)).expect("it is open");
        stream.set_write_timeout(Some(SAFETY)).expect("it is open");
        let _ = stream.set_tcp_nodelay(true);
        let stream = Arc::new(stream);
        let mut seen_now = seen.lock().expect("no panic holds it");
        seen_now.connections.push(Arc::downgrade(&stream));
        let session = tls.map(|config| {
            let session = ServerConnection::new(Arc::clone(config));
            Box::new(session.expect("a configuration that fits"))
        });
        Self {
            stream,
            session,
            unused: Vec::new(),
            seen: Arc::clone(seen),
        }
    }

    /// What the handshake of TLS has settled, once something was read.
    pub(crate) fn session(&self) -> &ServerConnection {
        self.session.as_deref().expect("it speaks TLS")
    }

    fn read(&mut self, block: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.session {
            None => (&*self.stream).read(block),
            Some(session) => rustls::Stream::new(&mut **session, &mut &*self.stream).read(block),
        }
    }

    fn write_all(&mut self, octets: &[u8]) -> std::io::Result<()> {
        match &mut self.session {
            None => (&*self.stream).write_all(octets),
            Some(session) => {
                let mut socket = &*self.stream;
                let mut stream = rustls::Stream::new(&mut **session, &mut socket);
                stream.write_all(octets)?;
                stream.flush()
            }
        }
    }

    /// Says over TLS that nothing more is sent.
    fn say_end(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            while session.wants_write() && session.write_tls(&mut &*self.stream).is_ok() {}
        }
    }

    /// Ends the connection over TLS without a word: what was sent may be less than all.
    pub(crate) fn cut(mut self) {
        self.session = None;
    }

    /// Reads the next request, head and content. There must be one.
    pub(crate) fn request(&mut self) -> Request {
        self.next_request().expect("a request, not the end")
    }

    /// Reads the next request; `None` if the connection ends or is reset before it is complete.
    pub(crate) fn next_request(&mut self) -> Option<Request> {
        let mut request = self.read_head()?;
        self.read_body(&mut request)?;
        self.keep(&request);
        Some(request)
    }

    /// Reads the head of the next request, which must be there; nothing of its content.
    pub(crate) fn head(&mut self) -> Request {
        let request = self.read_head().expect("a request, not the end");
        self.keep(&request);
        request
    }

    /// Reads the content that the head of a request announces; `None` if the connection ends before.
    pub(crate) fn content_of(&mut self, head: &Request) -> Option<Request> {
        let mut request = head.clone();
        self.read_body(&mut request)?;
        Some(request)
    }

    fn keep(&self, request: &Request) {
        let mut seen = self.seen.lock().expect("no panic holds it");
        seen.requests.push(request.clone());
    }

    fn read_head(&mut self) -> Option<Request> {
        Some(Request {
            head: self.read_until(b"\r\n\r\n")?,
            body: Vec::new(),
            content: Vec::new(),
            trailers: Vec::new(),
        })
    }

    /// Reads the content that the head announces (RFC 9112 §6.3).
    fn read_body(&mut self, request: &mut Request) -> Option<()> {
        match (
            request.field("Transfer-Encoding").as_deref(),
            request.field("Content-Length"),
        ) {
            (None, None) => {}
            (None, Some(length)) => {
                let length = length.parse().expect("a number");
                request.content = self.take(length)?;
                request.body.clone_from(&request.content);
            }
            (Some("chunked"), None) => self.read_chunks(request)?,
            both => panic!("framed as {both:?}"),
        }
        Some(())
    }

    fn read_chunks(&mut self, request: &mut Request) -> Option<()> {
        loop {
            let line = self.read_until(b"\r\n")?;
            request.body.extend(&line);
            let size = text(&line[..line.len() - 2]);
            let size =
                usize::from_str_radix(&size, 16).expect("a chunk size, and nothing behind it");
            if size == 0 {
                break;
            }
            let chunk = self.take(size + 2)?;
            assert!(chunk.ends_with(b"\r\n"), "a chunk longer than its size");
            request.body.extend(&chunk);
            request.content.extend(&chunk[..size]);
        }
        loop {
            let line = self.read_until(b"\r\n")?;
            request.body.extend(&line);
            if line == b"\r\n" {
                return Some(());
            }
            request.trailers.push(text(&line[..line.len() - 2]));
        }
    }

    /// Reads up to `end`, and that too; `None` if the connection ends before.
    fn read_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.unused.windows(end.len()).position(|some| some == end);
            if let Some(at) = found {
                return Some(self.unused.drain(..at + end.len()).collect());
            }
            self.read_more()?;
        }
    }

    /// Reads so many octets; `None` if the connection ends before.
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unused.len() < count {
            self.read_more()?;
        }
        Some(self.unused.drain(..count).collect())
    }

    /// Reads what is there, at least an octet; `None` at the end of the connection, however it ended.
    fn read_more(&mut self) -> Option<()> {
        let mut block = [0; 64 * 1024];
        match self.read(&mut block) {
            Ok(0) => None,
            Ok(count) => {
                self.unused.extend(&block[..count]);
                Some(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("the server sends nothing, and does not close")
            }
            Err(_) => None,
        }
    }

    /// Reads what is there, at least an octet; `None` at the end of the connection.
    pub(crate) fn some(&mut self) -> Option<Vec<u8>> {
        if self.unused.is_empty() {
            self.read_more()?;
        }
        Some(std::mem::take(&mut self.unused))
    }

    /// Sends octets. The server may have closed already: what a client sees decides a test.
    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) {
        let sent = self.write_all(octets.as_ref());
        let is_stuck = sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!is_stuck, "the server does not read");
    }

    /// Sends octets until the server takes no more, for as long as a server that reads would never pause.
    /// Returns how many it took.
    pub(crate) fn send_until_it_stops(&mut self, octets: &[u8]) -> usize {
        let mut sent = 0;
        while sent < octets.len() {
            let mut fds = [PollFd::new(&self.stream, PollFlags::OUT)];
            let pause = Timespec::try_from(PAUSE).expect("short");
            if poll(&mut fds, Some(&pause)).expect("a poll") == 0 {
                break;
            }
            let flags = socket2::SockRef::from(&*self.stream);
            flags.set_nonblocking(true).expect("it is open");
            if let Ok(count) = (&*self.stream).write(&octets[sent..]) {
                sent += count;
            }
            flags.set_nonblocking(false).expect("it is open");
        }
        sent
    }

    /// Closes the sending side; the server can still send.
    pub(crate) fn finish_sending(&mut self) {
        self.say_end();
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(mut self) {
        self.session = None;
        self.stream
            .set_linger(Some(Duration::ZERO))
            .expect("it is open");
    }

    /// Reads everything up to the end of the connection, or its reset.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read_more().is_some() {}
        std::mem::take(&mut self.unused)
    }

    /// Waits until the server closes the connection; it must send nothing before.
    pub(crate) fn expect_end(&mut self) {
        let rest = self.rest();
        assert_eq!(text(&rest), "", "octets where an end was expected");
    }

    /// Whether the server has neither sent anything nor closed the connection.
    pub(crate) fn is_idle(&self) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&Timespec::default())).expect("a poll");
        self.unused.is_empty() && ready == 0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.say_end();
    }
}

impl Request {
    /// The first line of the head.
    pub(crate) fn line(&self) -> String {
        self.lines().swap_remove(0)
    }

    /// The lines of the head; octets beyond ASCII as replacement characters.
    pub(crate) fn lines(&self) -> Vec<String> {
        let head = text(&self.head);
        let lines = head.split("\r\n").filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// The values of each field line of that name, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let lines = self.lines();
        let fields = lines[1..].iter().filter_map(|line| line.split_once(": "));
        let found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).collect()
    }

    /// The value of the one field line of that name.
    ///
    /// # Panics
    /// If there are several.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "{name} is repeated: {values:?}");
        values.pop()
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
