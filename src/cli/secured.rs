//! `--tls` of `serve` and `proxy`: HTTPS with a certificate of the user's own CA.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use clap::Args;

use super::trust;
use crate::config;
use crate::config::model::{HostPattern, Tls};
use crate::log::diagnostic;
use crate::runtime::spawn_thread;
use crate::tls::local::{self, LocalAuthority, LocalError, Origin};

/// How often it is looked whether the certificate of a server that runs is about to expire.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// The arguments.
#[derive(Args, Clone, Debug)]
pub(super) struct Secured {
    /// Speak HTTPS, with a certificate for localhost. A CA of yours, made on first use, issues it;
    /// you are told how to trust it.
    #[arg(long)]
    tls: bool,
    /// With --tls: names and addresses that the certificate is for as well, such as `app.test,192.0.2.1`.
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', requires = "tls")]
    #[arg(value_parser = config::parse_certificate_host)]
    hosts: Vec<HostPattern>,
}

impl Secured {
    /// The certificate of a server that listens at `addresses`; `None`: it speaks plain HTTP.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn certificate(
        &self,
        addresses: &[SocketAddr],
    ) -> Result<Option<ServerCertificate>, LocalError> {
        if !self.tls {
            return Ok(None);
        }
        warn_of_wildcards(&self.hosts);
        let hosts = hosts(addresses, &local::machine(), &self.hosts);
        let authority = open_authority()?;
        let file = authority.server_file(&hosts, SystemTime::now())?;
        Ok(Some(ServerCertificate {
            authority,
            hosts,
            file,
        }))
    }
}

/// The CA of the user who runs this process. The user is warned if other users may read its key.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn open_authority() -> Result<LocalAuthority, LocalError> {
    let directory = local::of_user(|name| std::env::var_os(name))?;
    let authority = LocalAuthority::open(&directory, SystemTime::now())?;
    for doubt in authority.doubts() {
        diagnostic::print(&format!("warning: the CA: {doubt}\n"));
    }
    Ok(authority)
}

/// The certificate of a server, in a file, and the CA that has issued it.
pub(super) struct ServerCertificate {
    authority: LocalAuthority,
    hosts: Vec<HostPattern>,
    file: PathBuf,
}

impl ServerCertificate {
    /// How clients of the server come over TLS.
    pub(super) fn tls(&self) -> Tls {
        Tls {
            certificate: self.file.clone(),
            key: self.file.clone(),
            ..Tls::default()
        }
    }

    /// Tells the user which hosts the certificate is for and which CA has issued it, with a server at `url`; if
    /// the CA is new, also how to trust it.
    pub(super) fn describe(&self, url: &str) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        let hosts = hosts.join(", ");
        let issuer = trust::describe_issuer(&self.authority, url);
        let described = format!("  The certificate is for {hosts}.\n  {issuer}");
        match self.authority.origin() {
            Origin::Found => {
                let file = trust::quoted_path(&self.authority.certificate_file());
                described + &format!("\n    curl --cacert {file} {url}\n")
            }
            Origin::Made | Origin::Replaced => described,
        }
    }

    /// Has a thread of its own make the certificate anew when it is about to expire. The server looks at its
    /// file from time to time.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub(super) fn keep(self) -> io::Result<()> {
        let look = move || {
            loop {
                thread::sleep(LOOK);
                if let Err(error) = self.authority.server_file(&self.hosts, SystemTime::now()) {
                    diagnostic::warn(format_args!(
                        "the certificate is not renewed when it is about to expire: {error}"
                    ));
                }
            }
        };
        spawn_thread("tidegate-renew", look).map(drop)
    }
}

/// Says that browsers do not take a wildcard for names with only one part in common.
pub(super) fn warn_of_wildcards(hosts: &[HostPattern]) {
    for host in hosts {
        if let HostPattern::Below(suffix) = host
            && suffix.matches('.').count() == 1
        {
            diagnostic::print(&format!(
                "warning: browsers do not take `{host}` for the names below `{}`; use a name with \
                 a part more, like `*.app{suffix}`\n",
                &suffix[1..]
            ));
        }
    }
}

/// The hosts by which clients reach a server that listens at `addresses` on the machine of this name, and the
/// `further` ones. Each is there once.
fn hosts(addresses: &[SocketAddr], machine: &str, further: &[HostPattern]) -> Vec<HostPattern> {
    let exact = |host: &str| HostPattern::Exact(host.to_owned());
    let mut hosts = vec![exact("localhost"), exact("127.0.0.1"), exact("[::1]")];
    let addresses: BTreeSet<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    let (any, single): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|ip| ip.is_unspecified());
    hosts.extend(single.iter().map(|ip| match ip {
        IpAddr::V4(ip) => exact(&ip.to_string()),
        IpAddr::V6(ip) => exact(&format!("[{ip}]")),
    }));
    let is_reached_from_elsewhere = !any.is_empty() || single.iter().any(|ip| !ip.is_loopback());
    if is_reached_from_elsewhere {
        hosts.extend(config::parse_certificate_host(machine));
    }
    hosts.extend_from_slice(further);
    let mut seen = Vec::new();
    hosts.retain(|host| {
        let is_new = !seen.contains(host);
        seen.push(host.clone());
        is_new
    });
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_where_the_server_is_reached() {
        for (addresses, further, expected) in [
            (&["127.0.0.1:1", "[::1]:1"][..], &[][..], ""),
            (&["127.0.0.2:1"], &[], " 127.0.0.2"),
            (&["0.0.0.0:1", "[::]:1"], &[], " engine"),
            (&["192.0.2.1:1"], &[], " 192.0.2.1 engine"),
            (
                &["[2001:db8::1]:1", "[2001:db8::1]:2"],
                &[],
                " [2001:db8::1] engine",
            ),
            (
                &["127.0.0.1:1"],
                &["app.test", "*.app.test", "app.test", "::1"],
                " app.test *.app.test",
            ),
        ] {
            let parsed = addresses
                .iter()
                .map(|address| address.parse().expect("an address"));
            let parsed: Vec<SocketAddr> = parsed.collect();
            let read = |host: &&str| config::parse_certificate_host(host).expect("a host");
            let further: Vec<HostPattern> = further.iter().map(read).collect();
            let hosts = hosts(&parsed, "Engine", &further);
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            let expected = format!("localhost 127.0.0.1 [::1]{expected}");
            assert_eq!(hosts.join(" "), expected, "{addresses:?}");
        }
        // A machine may have a name that is none for a host.
        let anywhere = "0.0.0.0:1".parse().expect("an address");
        assert_eq!(hosts(&[anywhere], "ada's engine", &[]).len(), 3);
    }
}
