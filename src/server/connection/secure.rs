//! The handshake of TLS, before a connection's first request.

use std::fmt::Display;

use super::Connection;
use super::refuse::last_head;
use crate::generation::Generation;
use crate::http::request::field_space;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::log::limited;
use crate::metrics::End;
use crate::reason::Reason;
use crate::runtime;
use crate::server::exchange::outcome::Outcome;
use crate::server::exchange::unrouted::Unrouted;
use crate::tls::made::CHALLENGE_PROTOCOL;
use crate::transport::Transport;
use crate::transport::tls::{self, Chosen, HandshakeError, Hello, UnknownName};

/// The response to a client that speaks plain HTTP at a port where TLS is spoken.
const SPEAK_TLS: &[u8] =
    b"400 Bad Request\nThis port speaks HTTPS, and the request came over plain HTTP: use https://\n";

/// The client rule of a connection on which a CA verifies a name. No server has this rule, so that
/// no request is answered on such a connection.
const RULE_OF_CHALLENGES: u64 = u64::MAX;

/// The status and the fields of the response to plain HTTP where TLS is spoken.
fn speak_tls() -> (Status, FieldLines) {
    let fields = FieldLines::new().with("Content-Type", "text/plain; charset=utf-8");
    (Status::BAD_REQUEST, fields)
}

/// The status and the head of that response. `common` are the lines that all responses carry.
pub(in crate::server) fn plain_http_head(
    generation: &Generation,
    common: &[u8],
) -> (Status, Vec<u8>) {
    let (status, fields) = speak_tls();
    let head = last_head(generation, common, (status, &fields), SPEAK_TLS.len());
    (status, head)
}

impl Connection {
    /// Performs the handshake, if TLS is spoken on the connection. Returns whether the connection may serve
    /// requests.
    pub(super) async fn secure(&mut self) -> bool {
        let Transport::Tls(session) = &self.stream else {
            return true;
        };
        let generation = self.generation();
        let timeout = generation
            .limits_at(&self.endpoint.address)
            .handshake_timeout;
        drop(generation);
        let received = std::mem::take(&mut self.unread);
        self.is_unexamined = false;
        let deadline = runtime::deadline_after(timeout);
        let choose = |hello: &Hello| self.choose(hello);
        let counters = &self.worker.counters.handshakes;
        match tls::accept(session, received, deadline, choose).await {
            Ok(()) => {
                counters.complete.add(1);
                true
            }
            Err(HandshakeError::PlainHttp(received)) => {
                self.answer_plain_http(&received);
                self.linger().await;
                false
            }
            Err(error) => {
                if error.has_begun() {
                    counters.failed.add(1);
                }
                self.tell_no_session(error);
                false
            }
        }
    }

    /// Ends the session, before the connection is closed.
    pub(super) async fn close(&self) {
        let generation = self.generation();
        let timeout = generation.limits_at(&self.endpoint.address).send_timeout;
        drop(generation);
        // The responses are sent; a client that does not take the end in time has no use for it.
        let _ = self.stream.close(runtime::deadline_after(timeout)).await;
    }

    /// Chooses the configuration for a handshake by what the client's first message asks for.
    fn choose(&self, hello: &Hello) -> Result<Chosen, UnknownName> {
        let generation = self.generation();
        let name = hello.server_name.as_deref().unwrap_or_default();
        let mut protocols = hello.protocols.iter();
        if protocols.any(|protocol| protocol == CHALLENGE_PROTOCOL) {
            let config = generation.challenge(name).ok_or(UnknownName)?;
            return Ok(Chosen {
                config,
                client_rule: RULE_OF_CHALLENGES,
            });
        }
        let terminator = generation.terminator(&self.endpoint.address, name);
        let terminator = terminator.ok_or(UnknownName)?;
        Ok(Chosen {
            config: terminator.config(),
            client_rule: terminator.client_rule(),
        })
    }

    fn answer_plain_http(&self, received: &[u8]) {
        let (status, fields) = speak_tls();
        let (generation, mut space) = (self.generation(), field_space());
        let request = Unrouted::of(&generation, (received, &mut space), self.client, self);
        let (response, content_sent) = self.last_response(status, &fields, (SPEAK_TLS, &request));
        // If the socket does not take this little, the client is not reading either.
        let _ = self.stream.send(&response, false);
        self.tell_refused("it speaks plain HTTP, and not TLS");
        self.record_unrouted(
            &request,
            Outcome {
                end: End::Refused,
                status,
                reason: Some(Reason::PlainHttp),
                content_sent,
            },
        );
    }

    fn tell_no_session(&self, error: HandshakeError) {
        match error {
            // No fault: clients open connections before they need them, or try whether a port is open.
            HandshakeError::Gone => self.tell("has ended before its handshake"),
            HandshakeError::LeftSilent => self.tell("has ended, and nothing came over it"),
            HandshakeError::Silent => {
                self.tell("is closed: nothing came within `handshake_timeout`")
            }
            error => self.tell_refused(error),
        }
    }

    fn tell_refused(&self, why: impl Display) {
        let (client, listener) = (self.client, &self.endpoint.bound);
        limited::info(format_args!(
            "{listener}: no session of TLS with {client}: {why}"
        ));
    }
}
