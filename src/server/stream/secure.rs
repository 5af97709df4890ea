//! The handshake of TLS, before a stream's connection is passed on.

use super::{End, StreamConnection, story};
use crate::log::limited;
use crate::runtime;
use crate::tls::Terminator;
use crate::transport::Transport;
use crate::transport::tls::{self, Chosen, HandshakeError, Hello};

impl StreamConnection {
    /// Performs the handshake with the client, of which `received` has come already. The client is shown the
    /// certificate of `terminator`, whatever server it asks for.
    ///
    /// # Errors
    /// Why the connection ends here.
    pub(super) async fn secure(
        &self,
        terminator: &Terminator,
        received: Vec<u8>,
    ) -> Result<(), End> {
        let Transport::Tls(session) = &self.transport else {
            unreachable!("the listener makes a session where the stream has a certificate")
        };
        let generation = self.worker.current_generation();
        let limits = generation.limits_at(&self.endpoint.address);
        let deadline = runtime::deadline_after(limits.handshake_timeout);
        drop(generation);
        let choose = |_: &Hello| {
            Ok(Chosen {
                config: terminator.config(),
                client_rule: terminator.client_rule(),
            })
        };
        let counters = &self.worker.counters.handshakes;
        match tls::accept(session, received, deadline, choose).await {
            Ok(()) => {
                counters.complete.add(1);
                self.tell(|| session.about().map_or_else(String::new, story::of_session));
                Ok(())
            }
            Err(error) => {
                if error.has_begun() {
                    counters.failed.add(1);
                }
                self.tell_no_session(&error);
                self.tell(|| format!("the handshake fails: {error}"));
                Err(match error {
                    HandshakeError::TimedOut | HandshakeError::Silent => End::HandshakeTimedOut,
                    HandshakeError::Gone | HandshakeError::LeftSilent => End::ClientGone,
                    _ => End::NoSession,
                })
            }
        }
    }

    fn tell_no_session(&self, error: &HandshakeError) {
        // Clients look whether a port is open, and open connections before they need them.
        let is_usual = matches!(
            error,
            HandshakeError::Gone | HandshakeError::LeftSilent | HandshakeError::Silent
        );
        if !is_usual {
            let (client, listener) = (self.client, &self.endpoint.bound);
            limited::info(format_args!(
                "{listener}: no session of TLS with {client}: {error}"
            ));
        }
    }
}
