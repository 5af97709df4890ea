//! A collector: takes batches of spans by HTTP, or says why not.

use std::sync::Arc;
use std::time::Duration;

use super::otlp;
use super::span::Span;
use crate::config::model::Tracing;
use crate::fetch::{Client, Question, Reply, client_config};
use crate::http::method::Method;
use crate::runtime::BlockingPool;

/// How long a collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest response that is taken; a good one has some bytes.
const MAX_CONTENT: usize = 64 * 1024;

/// A collector, with what is needed to ask it.
pub(super) struct Collector {
    options: Tracing,
    client: Client,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The collector has it, but so many spans of it, for the reason.
    Taken { refused: u64, why: String },
    /// The collector wants it later; after so long, if it says that.
    Later(Option<Duration>, String),
    /// It is of no use to send it again.
    Failed(String),
}

impl Collector {
    /// The collector of `options`, whose name is looked up on `pool`. Reads files.
    ///
    /// # Errors
    /// Why its certificate cannot be verified.
    pub(super) fn new(options: &Tracing, pool: &Arc<BlockingPool>) -> Result<Self, String> {
        let is_https = options.endpoint.is_https();
        let tls = is_https.then(|| client_config(options.ca.as_deref()));
        Ok(Self {
            options: options.clone(),
            client: Client {
                tls: tls.transpose()?,
                pool: Arc::clone(pool),
                patience: PATIENCE,
                max_content: MAX_CONTENT,
            },
        })
    }

    /// Whether it is asked as `options` say.
    pub(super) fn is_of(&self, options: &Tracing) -> bool {
        self.options == *options
    }

    /// Sends `spans`.
    pub(super) async fn send(&self, spans: &[Span]) -> Sent {
        let content = otlp::request(&self.options.service, spans).to_string();
        let own = ("Content-Type", "application/json");
        let headers = self.options.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.0.as_str()));
        let fields: Vec<(&str, &str)> = [own].into_iter().chain(headers).collect();
        let question = Question {
            method: Method::Post,
            url: &self.options.endpoint,
            fields: &fields,
            content: content.as_bytes(),
        };
        match self.client.ask(question).await {
            Ok(reply) => sent(&reply),
            Err(why) => Sent::Failed(why),
        }
    }
}

/// What `reply` says of a batch. The statuses are those that OTLP has a client send again after.
fn sent(reply: &Reply) -> Sent {
    let status = reply.status;
    match status {
        200..300 => {
            let (refused, why) = otlp::rejected(&reply.content).unwrap_or_default();
            Sent::Taken { refused, why }
        }
        429 | 502 | 503 | 504 => {
            let why = format!("the collector answers {status}");
            Sent::Later(reply.retry_after(), why)
        }
        _ => Sent::Failed(format!("the collector answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field_list::FieldList;

    #[test]
    fn the_status_says_what_became_of_a_batch() {
        let reply = |status, content: &str| {
            let mut fields = FieldList::new();
            fields.push("Retry-After", "7");
            Reply {
                status,
                fields,
                content: content.as_bytes().to_vec(),
            }
        };
        let taken = |refused, why: &str| Sent::Taken {
            refused,
            why: why.to_owned(),
        };
        assert_eq!(sent(&reply(200, "{}")), taken(0, ""));
        let partial = "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"x\"}}";
        assert_eq!(sent(&reply(200, partial)), taken(1, "x"));
        for status in [429, 502, 503, 504] {
            let later = sent(&reply(status, ""));
            assert!(matches!(later, Sent::Later(Some(wait), _) if wait.as_secs() == 7));
        }
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(
                matches!(sent(&reply(status, "")), Sent::Failed(_)),
                "{status}"
            );
        }
    }
}
