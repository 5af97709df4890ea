//! What is told alike of requests and of connections to streams.

use serde_json::Value;

use crate::address::ClientAddress;
use crate::config::model::{Access, Cidr};
use crate::generation::policy::Admission;
use crate::upstream::ServerOutlook;

/// Gives `row` a line for each server of an upstream.
pub(super) fn servers_to_rows(servers: &[ServerOutlook], mut row: impl FnMut(&str, &str)) {
    for server in servers {
        row("", &server.to_string());
    }
    if servers.is_empty() {
        row("", "its names lead nowhere");
    }
}

/// Describes the servers of an upstream for a program.
pub(super) fn servers_to_json(servers: &[ServerOutlook]) -> Vec<Value> {
    servers.iter().map(ServerOutlook::to_json).collect()
}

/// Whether `client` is let in, and by which rules.
pub(super) fn access_of(access: &Access, client: ClientAddress) -> String {
    let list = |networks: &[Cidr]| {
        networks
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let verdict = if access.permits(client) {
        "let in"
    } else {
        "denied"
    };
    let rules = match (&access.allow[..], &access.deny[..]) {
        ([], []) => "there are no rules".to_owned(),
        (allow, deny) => format!("deny [{}], allow [{}]", list(deny), list(allow)),
    };
    format!("{client} is {verdict}: {rules}")
}

/// As [`access_of`], for a request, of whose client it is known whether it has shown a certificate.
pub(super) fn admission_of(
    admission: Option<&Admission>,
    client: ClientAddress,
    has_certificate: bool,
) -> String {
    let Some(admission) = admission else {
        return access_of(&Access::default(), client);
    };
    let rules = access_of(&admission.access, client);
    match (admission.needs_certificate, has_certificate) {
        (false, _) => rules,
        (true, true) => format!("{rules}; a certificate is required, and shown"),
        (true, false) => format!("{rules}; denied: a certificate is required, and none is shown"),
    }
}
