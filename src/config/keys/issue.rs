//! What `tls = "acme"` needs of a server: names that a CA can issue for, and listeners where the CA can ask.

use std::net::IpAddr;

use super::acme::ACME;
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Acme, Challenge, HostPattern, Issue, Server};
use crate::config::tree::named_certificate::NamedCertificate;
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;

/// Who issues certificates.
#[derive(Clone, Copy)]
pub(super) enum Issuer<'a> {
    Known(&'a Acme),
    /// `[acme]` has a mistake, be it in its name, which is reported.
    Misread,
    /// There is no `[acme]`.
    Absent,
}

impl<'a> Issuer<'a> {
    /// What `root`, the top of the file, says of it; `acme` was read there.
    pub(super) fn of(acme: Option<&'a Acme>, root: &Section<'_>) -> Self {
        match acme {
            Some(acme) => Self::Known(acme),
            None if root.has(ACME.key) || root.misspells(ACME.key) => Self::Misread,
            None => Self::Absent,
        }
    }
}

/// `named`, which is to be issued by `issuer` for a server that answers for `hosts`. `None`: there is a
/// mistake, and it is reported at `server`.
pub(super) fn complete(
    server: Node<'_>,
    named: NamedCertificate,
    hosts: &[HostPattern],
    issuer: Issuer<'_>,
) -> Option<NamedCertificate> {
    let spot = named.certificate.clone();
    let refuse = |message: String, help: &str| {
        let error = Diagnostic::error(message).at(spot.clone(), "");
        server.cx.report_absence(error.help(help.to_owned()));
    };
    let acme = match issuer {
        Issuer::Known(acme) => acme,
        Issuer::Misread => return None,
        Issuer::Absent => {
            let message = "`tls = \"acme\"` needs an `[acme]` table: who issues the certificate";
            let help = "write at the top of the main file:\n[acme]\ncontact = \"mailto:ops@example.com\"\nagree = true";
            refuse(message.to_owned(), help);
            return None;
        }
    };
    if hosts.is_empty() {
        let message = "`tls = \"acme\"` needs `hosts`: the names that the certificate is for";
        refuse(message.to_owned(), "write hosts = [\"example.com\"]");
        return None;
    }
    if hosts.len() > MAX_NAMES {
        let message = format!("no CA issues a certificate for {} names", hosts.len());
        refuse(
            message,
            "make several servers of it, with up to 100 names each",
        );
        return None;
    }
    let mut names = Vec::new();
    for host in hosts {
        match issuable(host) {
            Ok(name) => names.push(name),
            Err((why, help)) => refuse(format!("`{host}` {why}"), help),
        }
    }
    if names.len() < hosts.len() {
        return None;
    }
    names.sort_unstable();
    let file = acme.certificate_file(&names);
    let mut named = named;
    named.tls.certificate.clone_from(&file);
    named.tls.key = file;
    named.tls.issue = Some(Issue {
        names,
        until_issued: acme.until_issued,
    });
    Some(named)
}

/// The most names in one certificate: the limit of Let's Encrypt, ZeroSSL and Google.
const MAX_NAMES: usize = 100;

/// The name that a CA can issue for, or why it cannot, and what to do.
fn issuable(host: &HostPattern) -> Result<String, (&'static str, &'static str)> {
    let name = match host {
        HostPattern::Below(_) => {
            return Err((
                "is a wildcard, which a CA verifies by dns-01 alone, and there is no dns-01 yet",
                "name the hosts one by one, or write tls = { certificate = …, key = … }",
            ));
        }
        HostPattern::Exact(name) => name,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Err((
            "is an IP address, and certificates are issued for names",
            "write a name, or tls = { certificate = …, key = … }",
        ));
    }
    if name == "localhost" || name.ends_with(".localhost") {
        return Err((
            "is this machine itself, which no CA can verify",
            "write a name that the CA can look up, or tls = { certificate = …, key = … }",
        ));
    }
    Ok(name.clone())
}

/// Warns of challenges whose answers the CA could not get, as far as the listeners show. Without `challenge`
/// in the file, it warns only if the CA could get the answer to none of them. If `challenge` has a mistake,
/// `acme` has no challenge to warn of.
pub(super) fn warn_of_unanswered(root: &Section<'_>, acme: &Acme, servers: &[Server]) {
    let node = root.peek(ACME.key);
    let Some(node) = node.filter(|_| servers.iter().any(is_issued)) else {
        return;
    };
    let section = node.section("`[acme]`", None);
    let written = section.and_then(|section| section.peek("challenge"));
    let challenges = acme.challenges.iter().copied();
    let unanswered: Vec<Challenge> = challenges
        .filter(|challenge| !is_answered(*challenge, servers))
        .collect();
    if written.is_none() && unanswered.len() < acme.challenges.len() {
        return;
    }
    for challenge in unanswered {
        let (port, who) = match challenge {
            Challenge::TlsAlpn01 => (443, "no server with `tls = \"acme\"`"),
            Challenge::Http01 => (80, "no server without `tls`"),
        };
        let name = challenge.name();
        let message = format!("{name} asks at port {port}, and {who} listens there");
        let help = "that is right if something in front passes the port on to this server";
        let place = written.unwrap_or(node).spot();
        let warning = Diagnostic::warning(message).at(place, "");
        root.report(warning.help(help.to_owned()));
    }
}

fn is_issued(server: &Server) -> bool {
    let tls = server.tls.as_ref();
    tls.is_some_and(|tls| tls.issue.is_some())
}

fn is_answered(challenge: Challenge, servers: &[Server]) -> bool {
    let listens_at = |server: &Server, port| {
        let mut listen = server.listen.iter();
        listen
            .any(|address| matches!(address, ListenAddress::Ip(address) if address.port() == port))
    };
    servers.iter().any(|server| match challenge {
        Challenge::TlsAlpn01 => is_issued(server) && listens_at(server, 443),
        Challenge::Http01 => server.tls.is_none() && listens_at(server, 80),
    })
}
