//! The real binary, on a port that the system chose: each test sends bytes and reads bytes.
//!
//! Every test starts a server of its own from a configuration in a directory of its own (see
//! [`support`]), so tests run side by side. No test sleeps: it waits for an event, such as a response,
//! the end of a connection, or a line on standard error. The time limit in `support` only keeps a
//! broken server from hanging the suite.

// How responses follow each other on a connection, and how a connection ends.
mod persistence;
// The request line and `Host`: forms, versions, methods.
mod messages;
// Where a request's content ends, and requests that try to be ambiguous about that.
mod framing;
// `auth`: passwords, and another server that says who is let in.
mod auth;
// `Expect`: when the server sends 100 (Continue), and when it does not.
mod expectation;
// Preconditions: 304, 412, and their order.
mod conditional;
// Ranges: one, several, none of them satisfiable.
mod ranges;
// Content negotiation between a file and its precompressed siblings.
mod coding;
// `compress`: content that this server compresses.
mod compression;
// From a path to a file, its fields, and files that change while they are served.
mod files;
// CGI scripts: what they are given, how they answer, and that they leave no process behind.
mod cgi;
// A directory that is listed, as one file.
mod archives;
// The listing of a directory, in three formats.
mod listing;
// Every limit of a size or a time, and what happens when it is reached.
mod limits;
// What a response to an error says, and what it must not say.
mod errors;
// `tidegate explain`, compared with what the server really answers.
mod explain;
// The access log: formats, destinations, reopening.
mod log;
// Templates, several logs, samples, redaction, diagnostics, stories.
mod logs;
// Exchanges as they are seen while the server runs: followers, and the last failures.
mod following;
// What is counted, in the forms of Prometheus; what balancers and orchestrators are told.
mod metrics;
// What the control socket shows live: snapshots, and a stream of them.
mod live;
// `dashboard`: the live page and its events.
mod dashboard;
// `tidegate dashboard`: the page of a server that runs, at an address of this machine.
mod dashboard_command;
// Every way in which an exchange can end: one record each, and one request counted.
mod outcomes;
// The process: how it starts, refuses to start, drains and stops.
mod process;
// Another process of the program takes over, and no client notices.
mod upgrade;
// `run --watch`: a saved file leads to a reload.
mod watch;
// What the service manager is notified of, and the sockets that it passes.
mod service_manager;
// A hundred thousand exchanges of all kinds, by clients that keep account.
mod accounts;
// Panics in an exchange and in a worker.
mod panics;
// Many clients at once, and clients that send more than they read.
mod load;
// The control socket, and the commands that speak to a running server.
mod control;
// `tidegate top`: in a terminal of its own, before a server that the test plays and before the real one.
mod top;
// Reloads: under load, refused, to be confirmed, and a thousand of them.
mod reload;
// Variables that requests fill, `rewrite`, `try` and `when`.
mod rewriting;
// Policies: headers, limits, error pages, access. Which of several servers answers.
mod policy;
// How often clients may ask.
mod rates;
// How many connections a client may have.
mod per_client;
// How fast responses are sent.
mod pace;
// What scripts of other origins may read and send.
mod cors;
// Application servers behind `fastcgi`: those that keep to the protocol, and those that do not.
mod fastcgi;
// Which server of an upstream is asked: pauses, health, cookies, what the operator sees and does.
mod upstreams;
// Connections that are passed on as they are, and the PROXY protocol.
mod stream;
// Slow clients hold no process: what `cgi` and `fastcgi` keep of content, in both directions.
mod slow_clients;
// Samples in the documents are what the program prints.
mod documents;
// `proxy`: the scripted upstream behind it does well, and each thing that it must not.
mod proxy;
// Applications that the server runs: when they are asked, replaced and ended.
mod apps;
// `tidegate check`.
mod check;
// HTTPS: certificates, names, sessions, and clients that do not speak TLS.
mod tls;
// Handshakes that are many, slow, large or never complete.
mod handshakes;
// Certificates of clients: routes that need one, and what programs are told of it.
mod client_certificates;
// HTTPS for developers: a CA of the user, `serve --tls`, `tidegate certificate`.
mod development;
// Faults that were found by use, by subject.
mod regression;
// The id of an exchange.
mod request_ids;
// Traces: who is told of them, and what a collector gets.
mod tracing;
// Why the server answers what it answers: every reason, and the test that produces it.
mod reasons;

mod support;
