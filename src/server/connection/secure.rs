//! The handshake of TLS, before a connection's first request.

use std::fmt::Display;

use super::Connection;
use crate::http::request::field_space;
use crate::http::response::FieldLines;
use crate::log::limited;
use crate::metrics::End;
use crate::reason::Reason;
use crate::runtime;
use crate::server::exchange::outcome::Outcome;
use crate::server::exchange::unrouted::Unrouted;
use crate::tls::made::CHALLENGE_PROTOCOL;
use crate::transport::Transport;
use crate::transport::tls::{self, Chosen, HandshakeError, Hello, UnknownName};

/// The client rule of a connection on which a CA verifies a name. No server has this rule, so that
/// no request is answered on such a connection.
const RULE_OF_CHALLENGES: u64 = u64::MAX;

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
        let _ = self.stream.close(timeout).await;
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

    /// Answers a request over plain HTTP, of which `received` has come, as others that are refused.
    fn answer_plain_http(&self, received: &[u8]) {
        let (generation, mut space) = (self.generation(), field_space());
        let request = Unrouted::of(&generation, (received, &mut space), self.client, self);
        let (reason, fields) = (Reason::PlainHttp, FieldLines::new());
        let (response, status, content_sent) =
            self.response_at_once((reason, &fields), &request, &generation);
        // If the socket does not take this little, the client is not reading either.
        let _ = self.stream.send(&response, false);
        self.tell_refused("it speaks plain HTTP, and not TLS");
        self.record_unrouted(
            &request,
            Outcome {
                end: End::Refused,
                status,
                reason: Some(reason),
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
