//! Tests with the real programs that people put behind a route. `.ci/run` installs what they need;
//! `cargo test --test real` runs them, and `cargo test` alone does not.

// The same odd requests to this server and to nginx.
mod differential;
// What the documents tell to write and to do.
mod documents;
// DokuWiki behind `fastcgi`: path-info, and paths of its own.
mod dokuwiki;
// Git's own server, and cgit, behind `cgi`.
mod git;
// goaccess, which reads the access log.
mod goaccess;
// A REST API over SQLite, and many clients that write to it.
mod notes;
// npm, with a directory as its registry.
mod npm;
// PHP-FPM behind `fastcgi`.
mod php;
// phpMyAdmin behind `fastcgi`, with links that lead out of its root.
mod phpmyadmin;
// CGI scripts in Python.
mod python_cgi;
// WordPress behind `fastcgi`, on a MariaDB of its own.
mod wordpress;
// zsync, which asks for many ranges in one request.
mod zsync;

#[path = "../integration/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the integration tests use the rest"
)]
mod support;
