//! `proxy`: what the upstream is sent and what the client gets, row by row.
//!
//! The upstream is [`Upstream`], which does what the row says. An upstream that the test plays itself
//! answers POST where one attempt has to be seen: a GET may be tried again.

// The request that the upstream sees: its target, its fields, who sent it.
mod requests;
// The response that the client sees: its fields, and where its content ends.
mod responses;
// Content both ways at once: interim responses, `Expect`, early answers, trailers.
mod flows;
// Upstreams that break the rules, stall or break off.
mod faults;
// Requests that two recipients could read differently.
mod smuggling;
// Which connections are used again, and which requests are sent again.
mod reuse;
// Several servers, some of them down.
mod repeats;
// Servers that have as many requests as they may have.
mod queue;
// Who is told when the other side goes, and who waits for whom.
mod buffering;
// What `Proxy-Status` says of a response, and of one that is missing.
mod proxy_status;
// What the settings of an upstream's table change.
mod retries;
// What else the configuration says about an exchange, and what is told of it.
mod settings;
// No descriptor left for a connection to an upstream.
mod shortage;
// Many clients, and upstreams that come and go.
mod load;
// Trailer sections, for those who take them.
mod trailers;
// TLS to upstreams.
mod tls;
// A server at localhost, which is at either loopback address.
mod localhost;
// `Upgrade`, and tunnels.
mod upgrade;

use crate::support::{Server, Site, Upstream};

/// A response that ends by its length.
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// The last response of its connection.
const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";

/// A site whose every path leads to this upstream; `options` of the route begin with a comma.
fn site(options: &str, upstream: &Upstream) -> Site {
    site_of(options, "", &[upstream])
}

/// A site whose every path leads to one of these upstreams; `settings` of their table begin with a comma.
fn site_of(options: &str, settings: &str, upstreams: &[&Upstream]) -> Site {
    site_with("", options, settings, upstreams)
}

/// As [`site`], with one worker: a kept connection belongs to the worker that made it.
fn start_with_one_worker(options: &str, upstream: &Upstream) -> Server {
    site_with("workers = 1", options, "", &[upstream]).start()
}

/// However often the upstreams fail, none of them is left out for it.
fn site_with(top: &str, options: &str, settings: &str, upstreams: &[&Upstream]) -> Site {
    let servers: Vec<String> = upstreams
        .iter()
        .map(|upstream| format!("'{}'", upstream.address()))
        .collect();
    let servers = servers.join(", ");
    let routes =
        format!("'/' = {{ proxy = 'shop' {options} }}\n'= /here' = {{ respond = 'here' }}");
    Site::new(&routes).top(&format!(
        "{top}\nupstreams.shop = {{ servers = [{servers}], failures = {{ max = 0 }} {settings} }}"
    ))
}

/// A server, and the upstream that the test plays.
fn start(options: &str) -> (Server, Upstream) {
    let upstream = Upstream::listen();
    let server = site(options, &upstream).start();
    (server, upstream)
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A POST of two octets, which is never sent twice.
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";
