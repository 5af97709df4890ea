//! What all commands share that start a server which is this process.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::listening::Listening;
use super::secured::{Secured, ServerCertificate};
use crate::address::ListenAddress;
use crate::api::Handlers;
use crate::config::model::{Config, LogLevel};
use crate::generation::Generation;
use crate::log::diagnostic;
use crate::supervisor::{Inherited, Role, Setup, Supervisor};

/// Makes the supervisor of a server that is this process.
///
/// # Errors
/// Why the server cannot start.
pub(super) fn start(setup: Setup) -> Result<Supervisor, String> {
    report_panics();
    Supervisor::new(setup).map_err(|error| describe(&error))
}

/// Runs the server of a command that reads no file, until a signal ends that. It has the configuration that
/// `configure` makes for its addresses. Once it listens, the operator is told what `banner` makes of the lines that
/// name the addresses.
///
/// # Errors
/// Why the server cannot start, or has failed.
pub(super) fn run_without_file(
    inherited: Inherited,
    (listening, secured): (&Listening, &Secured),
    configure: impl FnOnce(Vec<SocketAddr>) -> Config,
    banner: impl FnOnce(&str) -> String,
) -> Result<(), String> {
    let listen = listening.addresses();
    let certificate = secured.certificate(&listen);
    let certificate = certificate.map_err(|error| describe(&error))?;
    let config = configure(listen).over(certificate.as_ref().map(ServerCertificate::tls));
    let generation = Generation::of_command(&config).map_err(|why| format!("error: {why}"))?;
    let supervisor = start(Setup {
        generation: Arc::new(generation),
        config,
        file: None,
        handlers: Handlers::new(),
        role: Role::Program(inherited),
    })?;
    diagnostic::print(&banner(&address_lines(&supervisor, certificate.as_ref())));
    let kept = certificate.map(ServerCertificate::keep).transpose();
    kept.map_err(|error| format!("error: cannot start a thread: {error}"))?;
    supervisor.run().map_err(|error| describe(&error))
}

/// An error as the operator reads it.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    format!("error: {}", diagnostic::chain(error))
}

/// An address as it is typed into a browser: a wildcard address becomes `localhost`, and so does
/// 127.0.0.1.
fn clickable(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip.is_unspecified() => {
            format!("localhost:{}", address.port())
        }
        _ => address.to_string(),
    }
}

/// The addresses at which the server can be asked, as lines for the operator; then the CA that clients
/// have to trust, if they come over TLS.
fn address_lines(supervisor: &Supervisor, certificate: Option<&ServerCertificate>) -> String {
    let addresses = supervisor.addresses().filter_map(ListenAddress::ip);
    let scheme = if certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let urls = addresses.map(|address| format!("{scheme}://{}/", clickable(address)));
    let urls: Vec<String> = urls.collect();
    let lines: String = urls.iter().map(|url| format!("    {url}\n")).collect();
    match (certificate, urls.first()) {
        (Some(certificate), Some(url)) => lines + "\n" + &certificate.describe(url),
        _ => lines,
    }
}

/// Has panics reported as diagnostics: a panic of a handler must not make its worker wait until standard
/// error is read.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        // Where it panicked, a line end, and what it said.
        let panic = panic.to_string().replacen('\n', " ", 1);
        diagnostic::error(format_args!("thread '{name}' {panic}"));
        if backtrace.status() == BacktraceStatus::Captured {
            diagnostic::report(LogLevel::Error, &format!("backtrace:\n{backtrace}"));
        }
    }));
}
