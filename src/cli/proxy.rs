//! `tidegate proxy`: passes requests on to one server, without any file.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use clap::Args;

use super::listening::Listening;
use super::secured::{Secured, ServerCertificate};
use super::starting::{address_lines, describe, start};
use crate::address::{UpstreamAddress, UpstreamUrl};
use crate::api::Handlers;
use crate::config;
use crate::config::model::Config;
use crate::generation::Generation;
use crate::log::diagnostic;
use crate::supervisor::{Inherited, Role, Setup, Supervisor};

/// Pass requests on to one server, without any file.
///
/// For this machine alone unless --listen says otherwise. WebSockets pass too. The server gets the client's
/// Host, and X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded.
#[derive(Args, Debug)]
pub(super) struct Proxy {
    /// The server: `http://127.0.0.1:3000`, `127.0.0.1:3000`, `app.internal:3000`, `unix:run/app.sock`, or
    /// `https://app.internal`, whose certificate has to be issued by a CA that the system trusts.
    #[arg(long, value_name = "URL", value_parser = config::parse_upstream_server)]
    to: UpstreamUrl,
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    secured: Secured,
}

/// Passes requests on, until a signal ends that.
///
/// # Errors
/// Why that cannot be done.
pub(super) fn proxy(arguments: &Proxy) -> Result<(), String> {
    let inherited = Inherited::from_environment();
    let server = look_up(&arguments.to)?;
    let listen = arguments.listening.addresses();
    let certificate = arguments.secured.certificate(&listen);
    let certificate = certificate.map_err(|error| describe(&error))?;
    let config =
        Config::for_upstream(server, listen).over(certificate.as_ref().map(ServerCertificate::tls));
    let generation = Generation::of_command(&config).map_err(|why| format!("error: {why}"))?;
    let supervisor = start(Setup {
        generation: Arc::new(generation),
        config,
        file: None,
        handlers: Handlers::new(),
        role: Role::Program(inherited),
    })?;
    print_banner(&supervisor, &arguments.to, certificate.as_ref());
    let kept = certificate.map(ServerCertificate::keep).transpose();
    kept.map_err(|error| format!("error: cannot start a thread: {error}"))?;
    supervisor.run().map_err(|error| describe(&error))
}

/// The same address, with those that its name leads to.
fn look_up(url: &UpstreamUrl) -> Result<UpstreamUrl, String> {
    let UpstreamAddress::Name { name, port, .. } = &url.address else {
        return Ok(url.clone());
    };
    let found = (name.as_str(), *port).to_socket_addrs();
    let found = found.map_err(|error| {
        format!("error: the name `{name}` is not found: {error}; name a server that is there")
    })?;
    Ok(UpstreamUrl {
        scheme: url.scheme,
        address: UpstreamAddress::Name {
            name: name.clone(),
            port: *port,
            found: found.collect(),
        },
    })
}

/// Tells the operator the addresses, and where requests go.
fn print_banner(
    supervisor: &Supervisor,
    server: &UpstreamUrl,
    certificate: Option<&ServerCertificate>,
) {
    let addresses = address_lines(supervisor, certificate);
    diagnostic::print(&format!(
        "\n  Passing requests on to {server}\n\n{addresses}\n  Ctrl-C stops\n\n"
    ));
}
