//! One exchange with a CA, over TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::fault::Fault;
use crate::fetch::{self, Question};
use crate::http::http_url::HttpsUrl;
use crate::http::method::Method;
use crate::runtime::BlockingPool;

/// How long an exchange may take, from the look-up of the name to the end of the response.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest content of a response that is taken: a chain of certificates has some 6 KiB.
const MAX_CONTENT: usize = 100 * 1024;

/// What every exchange needs.
pub(super) struct Client(fetch::Client);

/// A response of a CA.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The next nonce (RFC 8555 §6.5.1).
    pub(super) nonce: Option<String>,
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) content: Vec<u8>,
}

impl Client {
    /// A client that verifies the CA's server by `tls`, and has `pool` look names up.
    pub(super) fn new(tls: Arc<ClientConfig>, pool: Arc<BlockingPool>) -> Self {
        Self(fetch::Client {
            tls: Some(tls),
            pool,
            patience: PATIENCE,
            max_content: MAX_CONTENT,
        })
    }

    /// Asks for `url`, with `content` if the method is POST.
    ///
    /// # Errors
    /// If no whole response comes.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &HttpsUrl,
        content: &str,
    ) -> Result<Reply, Fault> {
        const GET: &[(&str, &str)] = &[("Accept-Language", "en")];
        const POST: &[(&str, &str)] = &[
            ("Accept-Language", "en"),
            ("Content-Type", "application/jose+json"),
        ];
        let question = Question {
            method,
            url,
            fields: if method == Method::Post { POST } else { GET },
            content: content.as_bytes(),
        };
        let reply = self.0.ask(question).await.map_err(Fault::Unreachable)?;
        let text = |name| reply.text(name).map(str::to_owned);
        Ok(Reply {
            status: reply.status,
            nonce: text("Replay-Nonce"),
            location: text("Location"),
            retry_after: reply.retry_after(),
            content: reply.content,
        })
    }
}
