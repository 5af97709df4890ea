//! A CA that says what a test wants it to say.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use data_encoding::BASE64URL_NOPAD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// A request, as the CA got it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) line: String,
    /// The protected header, and what was signed; nothing of a request without a signature.
    pub(super) header: Value,
    pub(super) payload: Value,
}

/// What the CA says: status, further field lines, content.
pub(super) struct Answer(pub(super) u16, pub(super) String, pub(super) String);

/// What a CA, which listens at this address, says to a request; `None`: the default answer.
pub(super) type Script = Box<dyn FnMut(&Asked, SocketAddr) -> Option<Answer> + Send>;

/// A CA in a thread of its own. Dropping it ends it.
pub(super) struct Ca {
    pub(super) address: SocketAddr,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ca {
    pub(super) fn start(mut script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let (all, end) = (Arc::clone(&asked), Arc::clone(&is_over));
        let config = server_config();
        let thread = std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
                let mut client = StreamOwned::new(session, socket);
                let asked = read_request(&mut client);
                let mut all = all.lock().expect("no test panics with it");
                all.push(asked.clone());
                let nonce = format!("nonce-{}", all.len());
                drop(all);
                let Answer(status, fields, content) =
                    script(&asked, address).unwrap_or_else(|| usual(&asked, address));
                let length = if fields.contains("Transfer-Encoding") {
                    String::new()
                } else {
                    format!("Content-Length: {}\r\n", content.len())
                };
                let response = format!(
                    "HTTP/1.1 {status} X\r\nReplay-Nonce: {nonce}\r\n{length}\
                     {fields}\r\n{content}"
                );
                // The client may have had enough.
                let _ = client.write_all(response.as_bytes());
                client.conn.send_close_notify();
                let _ = client.flush();
            }
        });
        Self {
            address,
            asked,
            is_over,
            thread: Some(thread),
        }
    }

    /// The request lines so far.
    pub(super) fn lines(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("no test panics with it");
        asked.iter().map(|asked| asked.line.clone()).collect()
    }

    /// How many signed requests for `path` there were so far.
    pub(super) fn count(&self, path: &str) -> usize {
        let asked = self.asked.lock().expect("no test panics with it");
        asked.iter().filter(|asked| is_for(asked, path)).count()
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking());
    }
}

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures/tls").join(name)
}

pub(super) fn server_config() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(fixture("localhost.pem")).expect("a fixture");
    let key = PrivateKeyDer::from_pem_file(fixture("localhost.key")).expect("a fixture");
    let builder = ServerConfig::builder().with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate], key);
    Arc::new(config.expect("they fit"))
}

pub(super) fn read_request(client: &mut impl std::io::Read) -> Asked {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut octet).expect("a whole head");
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).expect("ASCII");
    let length = head.split("Content-Length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
    let mut content = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut content).expect("the whole content");
    let signed: Value = serde_json::from_slice(&content).unwrap_or_default();
    Asked {
        line: head.lines().next().unwrap_or_default().to_owned(),
        header: decoded(&signed, "protected"),
        payload: decoded(&signed, "payload"),
    }
}

/// The JSON that the member `name` of a signed object holds in base64url; null if there is none.
pub(super) fn decoded(signed: &Value, name: &str) -> Value {
    let text = signed[name].as_str().unwrap_or_default();
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
    serde_json::from_slice(&decoded).unwrap_or_default()
}

/// The default answers of the CA.
pub(super) fn usual(asked: &Asked, address: SocketAddr) -> Answer {
    let url = |path: &str| format!("https://localhost:{}/{path}", address.port());
    let answer = |status, value: Value| Answer(status, String::new(), value.to_string());
    match asked.line.as_str() {
        "GET /dir HTTP/1.1" => answer(
            200,
            json!({
                "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order"),
                "keyChange": url("key-change"),
            }),
        ),
        "HEAD /nonce HTTP/1.1" => Answer(200, String::new(), String::new()),
        "POST /account HTTP/1.1" => {
            let location = format!("Location: {}\r\n", url("account/1"));
            Answer(201, location, "{}".to_owned())
        }
        "POST /order HTTP/1.1" => {
            let location = format!("Location: {}\r\n", url("order/1"));
            Answer(201, location, "{}".to_owned())
        }
        "POST /order/1 HTTP/1.1" => answer(200, order("pending", address)),
        "POST /authorization HTTP/1.1" => answer(200, authorization("pending", "token", address)),
        "POST /certificate HTTP/1.1" => {
            let chain = std::fs::read_to_string(fixture("localhost.pem"));
            Answer(200, String::new(), chain.expect("a fixture"))
        }
        _ => answer(200, json!({})),
    }
}

pub(super) fn order(status: &str, address: SocketAddr) -> Value {
    let url = |path: &str| format!("https://localhost:{}/{path}", address.port());
    json!({
        "status": status,
        "authorizations": [url("authorization")],
        "finalize": url("finalize"),
        "certificate": url("certificate"),
    })
}

pub(super) fn authorization(status: &str, token: &str, address: SocketAddr) -> Value {
    let url = format!("https://localhost:{}/challenge", address.port());
    json!({
        "status": status,
        "identifier": { "type": "dns", "value": "localhost" },
        "challenges": [
            { "type": "dns-01", "url": url, "token": token },
            { "type": "http-01", "url": url, "token": token },
        ],
    })
}

/// What a CA says that refuses with these words.
pub(super) fn refuses(status: u16, kind: &str, fields: &str) -> Answer {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    let problem = json!({ "type": kind, "detail": "no\nmore today" });
    Answer(status, fields.to_owned(), problem.to_string())
}

pub(super) fn is_for(asked: &Asked, path: &str) -> bool {
    asked.line == format!("POST /{path} HTTP/1.1")
}
