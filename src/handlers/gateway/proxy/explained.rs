//! What `explain` tells of a request to a `proxy` route: it is not sent.

use std::time::Instant;

use super::ProxyHandler;
use super::body::announced_framing;
use super::connection_auth;
use super::request::{self, Wishes};
use crate::message::request::Request;
use crate::upstream::ServerOutlook;

/// A request that would be sent to an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Explained {
    /// The name of the upstream.
    pub(crate) upstream: String,
    /// Its servers as they are now; none if its names lead nowhere.
    pub(crate) servers: Vec<ServerOutlook>,
    /// The head that the first of its servers would be sent, line by line, without the empty line at its
    /// end. The length is left out where only the content says it.
    pub(crate) head: Vec<String>,
}

impl ProxyHandler {
    /// What would be sent for `request`.
    pub(crate) fn explain(&self, request: &Request<'_>) -> Explained {
        let options = self.upstream.options();
        // An application has no servers before it is started, which explaining does not do.
        let server = options.servers.first();
        let host = server.map_or("localhost".to_owned(), |server| {
            server.address.host_field(server.scheme)
        });
        let wishes = Wishes {
            upgrade: request::wanted_protocol(request.head, &self.options.upgrade),
            expects_continue: request.head.expects_continue && !self.options.buffer,
            trailers: request::takes_trailers(request.head),
            owns_connection: connection_auth::owns_connection(request.head),
        };
        let framing = announced_framing(request, self.options.buffer);
        let encoded = request::encode(
            request,
            &self.options,
            &self.own_fields,
            &host,
            (framing, wishes),
            Vec::new(),
        );
        let text = String::from_utf8_lossy(&encoded);
        Explained {
            upstream: options.name.clone(),
            servers: self.upstream.outlook(Instant::now()),
            head: text.trim_end().lines().map(without_credentials).collect(),
        }
    }
}

/// A line of the head; of a field that carries a password or a token, only its scheme.
fn without_credentials(line: &str) -> String {
    let Some((name, value)) = line.split_once(": ") else {
        return line.to_owned();
    };
    if !name.eq_ignore_ascii_case("Authorization") {
        return line.to_owned();
    }
    let scheme = value.split(' ').next().unwrap_or_default();
    format!("{name}: {scheme} (not shown)")
}
