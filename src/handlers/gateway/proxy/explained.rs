//! What `explain` tells of a request to a `proxy` route: it is not sent.

use std::time::Instant;

use super::ProxyHandler;
use super::body::announced_framing;
use super::connection_auth;
use super::request::{self, Wishes};
use crate::config::model::HeaderChanges;
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
            head: text
                .trim_end()
                .lines()
                .map(|line| without_secrets(line, &self.options.request_headers))
                .collect(),
        }
    }
}

/// A line of the head: of credentials only their scheme, and no value of a field that the file says in `changes` and
/// that is called as a secret is.
fn without_secrets(line: &str, changes: &HeaderChanges) -> String {
    let Some((name, value)) = line.split_once(": ") else {
        return line.to_owned();
    };
    if name.eq_ignore_ascii_case("Authorization") {
        let scheme = value.split(' ').next().unwrap_or_default();
        return format!("{name}: {scheme} (not shown)");
    }
    let mut given = changes.set.iter().chain(&changes.add);
    let is_given = given.any(|(given, _)| given.eq_ignore_ascii_case(name));
    if is_given && is_called_secret(name) {
        return format!("{name}: (not shown)");
    }
    line.to_owned()
}

/// Whether the name of a field says that its value gives access.
fn is_called_secret(name: &str) -> bool {
    const PARTS: [&str; 6] = ["auth", "cookie", "key", "password", "secret", "token"];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::RequestText;

    #[test]
    fn explain_shows_no_secret_of_the_file() {
        let given = |name: &str| (name.to_owned(), RequestText::plain("s3cret"));
        let changes = HeaderChanges {
            set: ["X-Api-Key", "cookie", "X-Tenant"].map(given).into(),
            ..HeaderChanges::default()
        };
        for (line, expected) in [
            ("GET / HTTP/1.1", "GET / HTTP/1.1"),
            (
                "Authorization: Bearer s3cret",
                "Authorization: Bearer (not shown)",
            ),
            ("X-Api-Key: s3cret", "X-Api-Key: (not shown)"),
            ("Cookie: s3cret", "Cookie: (not shown)"),
            ("X-Tenant: s3cret", "X-Tenant: s3cret"),
            // What the question says itself.
            ("X-Auth-Token: mine", "X-Auth-Token: mine"),
        ] {
            assert_eq!(without_secrets(line, &changes), expected);
        }
    }
}
