//! Tests with the real programs that people put behind a route. `.ci/run` installs what they need;
//! `cargo test --test real` runs them, and `cargo test` alone does not.

// Certificates from a CA, by ACME.
mod acme;
// The recipes of docs/application-servers.md.
mod application_servers;
// tar, unzip and Python, with archives of a directory.
mod archives;
// Autobahn's WebSocket test suite through a tunnel.
mod autobahn;
// A client that keeps cookies, and Chromium.
mod browser;
// curl, Python and nginx's cache as clients of `compress`.
mod compression;
// What Chromium makes of `cors`.
mod cors;
// The live page in Chromium.
mod dashboard;
// A page in Chromium that a test drives.
mod devtools;
// What Chromium makes of the page that lists a directory.
mod listing;
// The same odd requests to this server and to nginx.
mod differential;
// What the documents tell to write and to do.
mod documents;
// Programs that trust the CA of `serve --tls`: curl, Node, Debian's store, Chromium.
mod development;
// Django behind `proxy`: its administration, forms, files, and slow clients.
mod django;
// DokuWiki behind `fastcgi`: path-info, and paths of its own.
mod dokuwiki;
// curl, OpenSSL, Python and Java as clients of HTTPS.
mod https;
// HAProxy, which speaks the PROXY protocol to this server and hears it from it.
mod haproxy;
// Servers that are killed, stopped and brought back behind `proxy`.
mod failing_servers;
// Git's own server, and cgit, behind `cgi`.
mod git;
// Go's net/http behind `proxy`, in front, and as a client of HTTPS.
mod go;
// goaccess, which reads the access log.
mod goaccess;
// Node behind `proxy`: Express, events, WebSockets.
mod node;
// A REST API over SQLite, and many clients that write to it.
mod notes;
// npm, with a directory as its registry.
mod npm;
// Passwords of Apache's `htpasswd`, and a service that says who is let in.
mod passwords;
// PHP-FPM behind `fastcgi`.
mod php;
// PHP's built-in server behind `proxy`.
mod php_server;
// phpMyAdmin behind `fastcgi`, with links that lead out of its root.
mod phpmyadmin;
// Programs that a test starts and ends.
mod program;
// Reloads and upgrades while wrk asks over TLS.
mod tls_load;
// What OpenTelemetry makes of the spans of `[tracing]`.
mod tracing;
// TLS to nginx and HAProxy, and from HAProxy and OpenSSL.
mod tls_upstreams;
// nginx and HAProxy behind `proxy`, and in front.
mod proxies;
// Postfix and Dovecot behind streams.
mod mail;
// Prometheus, which scrapes a server under load, and promtool.
mod prometheus;
// PostgreSQL behind a stream.
mod postgresql;
// CGI scripts in Python.
mod python_cgi;
// Spring MVC on an embedded Tomcat behind `proxy`.
mod spring;
// A client of WebSockets.
mod websocket;
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
