//! Tests with the real programs that people put behind a route. `.ci/run` installs what they need;
//! `cargo test --test real` runs them, and `cargo test` alone does not.

// A REST API over SQLite, and many clients that write to it.
mod notes;
// PHP-FPM behind `fastcgi`.
mod php;
// CGI scripts in Python.
mod python_cgi;

#[path = "../integration/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the integration tests use the rest"
)]
mod support;
