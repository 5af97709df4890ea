//! A client that sends exactly the bytes it is told to.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};

use super::wire::{Wire, tls_fixture};
use super::{Events, Response, SAFETY};

/// A connection to the server.
pub(crate) struct Client(BufReader<Wire>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the server listens")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SAFETY))?;
        stream.set_write_timeout(Some(SAFETY))?;
        Ok(Self(BufReader::new(Wire::over(stream, address))))
    }

    /// A connection over TLS with the server that is `name`.
    ///
    /// # Errors
    /// Why there is no session.
    pub(crate) fn secured(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SAFETY))?;
        stream.set_write_timeout(Some(SAFETY))?;
        let wire = Wire::secured(stream, Arc::clone(config), name)?;
        Ok(Self(BufReader::new(wire)))
    }

    /// Calls `use_it` with the session of TLS.
    pub(crate) fn with_session<T>(&self, use_it: impl FnOnce(&ClientConnection) -> T) -> T {
        self.0.get_ref().with_connection(use_it)
    }

    /// The same connection once more, to send by while another thread reads.
    pub(crate) fn another(&self) -> Self {
        Self(BufReader::new(self.0.get_ref().another()))
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.0.get_ref().socket()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server reads");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Closes the sending side; responses can still be read.
    pub(crate) fn finish_sending(&mut self) {
        self.0.get_ref().finish_sending();
    }

    /// Reads the next response, which is to any method but HEAD. The connection must not end before it.
    pub(crate) fn response(&mut self) -> Response {
        Response::read(&mut self.0, false).expect("a response, not the end of the connection")
    }

    /// Reads the next response, which is to HEAD.
    pub(crate) fn response_to_head(&mut self) -> Response {
        Response::read(&mut self.0, true).expect("a response, not the end of the connection")
    }

    /// Reads the head of the next response; the caller reads the content.
    pub(crate) fn response_head(&mut self) -> Response {
        Response::read_head(&mut self.0).expect("a response, not the end of the connection")
    }

    /// Reads the head of the next response, whose content is events.
    pub(crate) fn events(self) -> (Response, Events) {
        Events::of(self.0)
    }

    /// Reads the head of the next response, octet for octet, with its empty line.
    pub(crate) fn raw_head(&mut self) -> Vec<u8> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let count = self.0.read_until(b'\n', &mut head);
            assert_ne!(count.expect("a line in time"), 0, "cut off: {head:?}");
        }
        head
    }

    /// Sends a request and reads its response; the connection is expected to persist.
    pub(crate) fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request);
        self.response()
    }

    /// Reads a response, after which the server must close the connection without a reset.
    pub(crate) fn last_response(&mut self) -> Response {
        let response = self.response();
        self.expect_end();
        response
    }

    /// Sends the last request, or what is left of it, and reads its response.
    pub(crate) fn last_response_to(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request);
        self.last_response()
    }

    /// Waits for the end of the connection; the server must send nothing before it.
    pub(crate) fn expect_end(&mut self) {
        let rest = self.rest().expect("an end in good order");
        assert_eq!(
            String::from_utf8_lossy(&rest),
            "",
            "bytes behind the last response"
        );
    }

    /// Reads everything up to the end of the connection.
    ///
    /// # Errors
    /// If it is reset.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).map(|_| rest)
    }

    /// Reads everything up to where the server cuts the connection: it must not seem to have ended it in
    /// order, if the connection can say that.
    pub(crate) fn rest_before_cut(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let ended = self.0.read_to_end(&mut rest).map_err(|error| error.kind());
        match self.0.get_ref() {
            Wire::Plain(_) => assert!(ended.is_ok(), "{ended:?}"),
            Wire::Tls { .. } => assert_eq!(ended, Err(io::ErrorKind::ConnectionReset)),
        }
        rest
    }

    /// Counts the octets that arrive before the connection ends or is reset.
    pub(crate) fn count_rest(&mut self) -> u64 {
        let mut count = 0;
        loop {
            match self.0.fill_buf() {
                Ok([]) => return count,
                Ok(some) => {
                    let length = some.len();
                    count += length as u64;
                    self.0.consume(length);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return count,
                Err(error) => panic!("neither content nor an end: {error}"),
            }
        }
    }

    /// Reads the next `length` octets, which must all be zero.
    pub(crate) fn expect_zeros(&mut self, mut length: u64) {
        while length > 0 {
            let some = self.0.fill_buf().expect("as many octets as were announced");
            assert!(!some.is_empty(), "cut off: {length} octets are missing");
            let taken = some
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            assert!(
                some[..taken].iter().all(|octet| *octet == 0),
                "other octets"
            );
            self.0.consume(taken);
            length -= taken as u64;
        }
    }

    /// Reads `most` octets, or fewer if the connection ends or is reset before.
    pub(crate) fn some_of(&mut self, most: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        while octets.len() < most {
            match self.0.fill_buf() {
                Ok([]) => break,
                Ok(some) => {
                    let taken = some.len().min(most - octets.len());
                    octets.extend(&some[..taken]);
                    self.0.consume(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("neither content nor an end: {error}"),
            }
        }
        octets
    }

    /// Reads the next `length` octets.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        self.0
            .read_exact(&mut octets)
            .expect("as many octets as were announced");
        octets
    }
}

/// A client that trusts the fixtures' CA, speaks `versions`, and shows the fixture `identity`.
pub(crate) fn client_of(
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&str>,
) -> Arc<ClientConfig> {
    let files = identity.map(|name| {
        let chain = [tls_fixture(&format!("{name}.pem"))];
        (chain, tls_fixture(&format!("{name}.key")))
    });
    let identity = files.as_ref().map(|(chain, key)| (&chain[..], &**key));
    let mut config = configuration(versions, &tls_fixture("ca.pem"), identity);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A client that trusts the CA in the PEM file `ca`, and shows the certificates in the files of `identity`,
/// which are a chain and the file of its key.
pub(crate) fn client_trusting(
    ca: &Path,
    identity: Option<(&[PathBuf], &Path)>,
) -> Arc<ClientConfig> {
    Arc::new(configuration(ALL_VERSIONS, ca, identity))
}

fn configuration(
    versions: &[&'static SupportedProtocolVersion],
    ca: &Path,
    identity: Option<(&[PathBuf], &Path)>,
) -> ClientConfig {
    let certificate = |file: &Path| CertificateDer::from_pem_file(file).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate(ca)).expect("a CA's");
    let builder =
        ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    let Some((chain, key)) = identity else {
        return builder.with_no_client_auth();
    };
    let chain = chain.iter().map(|file| certificate(file)).collect();
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let built = builder.with_client_auth_cert(chain, key);
    built.expect("they fit")
}
