//! `tidegate proxy`: passes requests on to one server, without any file.

use std::net::ToSocketAddrs as _;

use clap::Args;

use super::listening::Listening;
use super::secured::Secured;
use super::starting::run_without_file;
use crate::address::{UpstreamAddress, UpstreamUrl};
use crate::config;
use crate::config::model::Config;
use crate::supervisor::Inherited;

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
    run_without_file(
        inherited,
        (&arguments.listening, &arguments.secured),
        |listen| Config::for_upstream(server, listen),
        |addresses| {
            let to = &arguments.to;
            format!("\n  Passing requests on to {to}\n\n{addresses}\n  Ctrl-C stops\n\n")
        },
    )
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
