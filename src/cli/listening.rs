//! Where a server without a file listens: `--listen` and `--port`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use clap::Args;

use crate::address::ListenAddress;
use crate::config;

/// The arguments.
#[derive(Args, Clone, Debug)]
pub(super) struct Listening {
    /// Listen at this address instead of localhost: `192.0.2.1`, `192.0.2.1:8080`, `localhost:3000`,
    /// `:8080` for every address. May be repeated.
    #[arg(short, long, value_name = "ADDRESS", value_parser = parse_listen)]
    listen: Vec<Listen>,
    /// The port, where an address does not say.
    #[arg(short, long, default_value_t = 8080)]
    port: u16,
}

impl Listening {
    /// The addresses to listen at: those given, each with its port, or localhost.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        if self.listen.is_empty() {
            let localhost = [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ];
            return localhost
                .map(|address| SocketAddr::new(address, self.port))
                .to_vec();
        }
        let with_port = |listen: &Listen| match listen {
            Listen::At(addresses) => addresses.clone(),
            Listen::On(ips) => {
                let with_port = |ip: &IpAddr| SocketAddr::new(*ip, self.port);
                ips.iter().map(with_port).collect()
            }
        };
        self.listen.iter().flat_map(with_port).collect()
    }
}

/// An argument of `--listen`: addresses with or without a port.
#[derive(Clone, Debug)]
enum Listen {
    At(Vec<SocketAddr>),
    /// At the port that `--port` says.
    On(Vec<IpAddr>),
}

/// Reads an argument of `--listen`: an address as in `listen` of a file, or one without its port.
fn parse_listen(text: &str) -> Result<Listen, String> {
    let of_file = |text: &str| {
        let addresses = config::parse_listen(text).ok()?;
        addresses
            .iter()
            .map(ListenAddress::ip)
            .collect::<Option<Vec<_>>>()
    };
    if let Some(addresses) = of_file(text) {
        return Ok(Listen::At(addresses));
    }
    let host = match text.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => text.to_owned(),
    };
    let with_port = format!("{host}:1");
    if let Some(addresses) = of_file(&with_port).filter(|_| !host.is_empty()) {
        return Ok(Listen::On(addresses.iter().map(SocketAddr::ip).collect()));
    }
    // An address of version 6 may be one that no socket can be bound to.
    let is_address = |text: &&str| text.parse::<SocketAddrV6>().is_ok();
    let address = [text, &with_port].into_iter().find(is_address);
    match address.and_then(|address| config::parse_listen(address).err()) {
        Some(why) => Err(why),
        None => Err(
            "expected an address with or without a port, like 127.0.0.1:8080, localhost:3000, 0.0.0.0, \
             [::1]:8080 or :8080"
                .to_owned(),
        ),
    }
}
