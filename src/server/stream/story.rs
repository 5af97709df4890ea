//! The story of a connection, step by step, for the search for a fault: at level debug, and at any level for the
//! clients that `log.debug_clients` names.
//!
//! ```text
//! 192.0.2.7: stream at 0.0.0.0:5432, port 51234: let in, for upstream db
//! 192.0.2.7: stream at 0.0.0.0:5432, port 51234: 10.0.0.5:5432 is asked, try 1
//! 192.0.2.7: stream at 0.0.0.0:5432, port 51234: 10.0.0.5:5432 takes the connection after 812.4µs
//! 192.0.2.7: stream at 0.0.0.0:5432, port 51234: ended (complete): both sides have ended it; 120 octets …
//! ```
//!
//! The port is the client's: it tells apart what the client has open at once. What is told is put into words only
//! where it is told.

use super::StreamConnection;
use crate::log::diagnostic;
use crate::runtime;
use crate::transport::tls::About;
use crate::upstream::Chosen;

impl StreamConnection {
    /// Tells a step, if the operator wants to hear of this client.
    #[inline]
    pub(super) fn tell(&self, step: impl FnOnce() -> String) {
        if diagnostic::may_debug(self.client) {
            self.write_debug_line(&step());
        }
    }

    /// Tells what the server that was `chosen` does.
    #[inline]
    pub(super) fn tell_of_server(&self, chosen: &Chosen, step: impl FnOnce() -> String) {
        self.tell(|| format!("{} {}", chosen.server().name(), step()));
    }

    /// Tells how the connection has ended, and what it has carried.
    pub(super) fn tell_end(&self) {
        self.tell(|| {
            let duration = runtime::now().duration_since(self.started);
            format!(
                "ended ({}): {}; {} octets from the client, {} to it, in {duration:.1?}",
                self.end.word(),
                self.end.describe(),
                self.tunnel.received_from_client(),
                self.tunnel.to_client(),
            )
        });
    }

    #[cold]
    fn write_debug_line(&self, step: &str) {
        let (client, listener) = (self.client, &self.endpoint.bound);
        // A client at a Unix socket has none.
        let port = self.client_port.map(|port| format!(", port {port}"));
        let port = port.unwrap_or_default();
        diagnostic::debug_of(client, format_args!("stream at {listener}{port}: {step}"));
    }
}

/// What the handshake with the client has settled.
pub(super) fn of_session(about: &About) -> String {
    let (version, cipher) = (about.version(), about.cipher());
    let name = about.server_name.as_deref();
    let name = name.map(|name| format!(" for {name:?}"));
    let name = name.unwrap_or_default();
    let certificate = match about.client_certificates() {
        [] => "",
        _ => "; the client has shown a certificate",
    };
    format!("the handshake is complete: {version} with {cipher}{name}{certificate}")
}
