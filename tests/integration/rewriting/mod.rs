//! Variables that requests fill, `rewrite`, `try`, and routes that `when` tells apart.

// What an upstream, a script, a file and a handler are asked for.
mod targets;
// Which of several files answers.
mod tries;
// Variables in redirects, fields and content.
mod variables;
// Which of several routes of one path answers.
mod when;

use crate::support::{Response, Server};

/// The response to a GET from a client that stays.
fn get(server: &Server, target: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    server.connect().exchange(request)
}
