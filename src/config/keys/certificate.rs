//! `client` of a server and of a route: whether a client has to show a certificate to be answered.
//!
//! ```toml
//! tls = { …, client_ca = "staff.pem", client = "request" }     # asked for in the handshake, but not demanded
//!
//! [server.routes]
//! "/" = { files = "www" }
//! "/intern" = { files = "intern", client = "require" }         # 403 for a client that has shown none
//! ```

use toml::de::DeValue;

use super::level::Refinement;
use super::setting::{Kind, Setting, set, word, words};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Policy, Tls};
use crate::config::tree::node::Node;

/// Whether a client has to show a certificate: in the handshake, or to be answered.
pub(super) const WORDS: &[(&str, bool)] = &[("request", false), ("require", true)];

/// It replaces what is inherited.
pub(super) const CLIENT: Setting<Refinement, Policy> = Setting {
    key: "client",
    kind: Kind::Word(|| words(WORDS)),
    about: "whether a client that has shown no certificate of `client_ca`, in `tls`, is answered 403 \
            (\"require\") or like any other (\"request\")",
    translations: &[(
        "SSLVerifyClient",
        "write client = \"require\" in the route, and tls = { …, client_ca = \"staff.pem\", client = \"request\" }",
    )],
    read: |node, refinement| set(&mut refinement.policy.needs_certificate, node.word(WORDS)),
    show: |policy| word(WORDS, &policy.needs_certificate),
    ..Setting::BLANK
};

/// As [`CLIENT`], for a level that inherits nothing.
pub(super) const CLIENT_AT_SERVER: Setting<Refinement, Policy> = Setting {
    default: "\"request\"",
    ..CLIENT
};

/// What the handshakes of a server ask of clients.
#[derive(Clone, Copy)]
pub(super) enum Handshakes {
    /// A mistake in `tls` has been reported.
    Unknown,
    /// No certificate; and what to write to have them ask for one.
    AskNothing(&'static str),
    /// A certificate, if the client has one.
    AskForCertificate,
    DemandCertificate,
}

impl Handshakes {
    /// Those of a server with `tls`, if it has that key.
    pub(super) fn of(has_key: bool, tls: Option<&Tls>) -> Self {
        match tls {
            None if has_key => Self::Unknown,
            None => Self::AskNothing(
                "the server needs tls = { certificate = \"example.pem\", key = \"example.key\", client_ca = \
                 \"staff.pem\", client = \"request\" }",
            ),
            Some(tls) => match &tls.clients {
                Some(clients) if clients.is_required => Self::DemandCertificate,
                Some(_) => Self::AskForCertificate,
                None if tls.issue.is_some() => Self::AskNothing(
                    "write tls = { acme = true, client_ca = \"staff.pem\", client = \"request\" } in the server",
                ),
                None => Self::AskNothing(
                    "add client_ca = \"staff.pem\", client = \"request\" to `tls` of the server",
                ),
            },
        }
    }
}

/// Reports `client = "require"` in `table`, a server or one of its routes, where no client can show a
/// certificate, or where every client has. `policy` is that of the table.
pub(super) fn check(table: Node<'_>, policy: &Policy, handshakes: Handshakes) {
    let DeValue::Table(keys) = table.value.get_ref() else {
        return;
    };
    // Another word is a mistake, and reported.
    let may_demand = |text: &str| text == "require" || text.contains("${");
    let value = keys.get(CLIENT.key);
    let value = value.filter(|value| value.get_ref().as_str().is_some_and(may_demand));
    let Some(value) = value.filter(|_| policy.needs_certificate) else {
        return;
    };
    let diagnostic = match handshakes {
        Handshakes::Unknown | Handshakes::AskForCertificate => return,
        Handshakes::AskNothing(help) => {
            let message = "`client` needs `client_ca`: who may have issued the certificate";
            Diagnostic::error(message).help(help.to_owned())
        }
        Handshakes::DemandCertificate => {
            let message = "`client` says nothing new here: `tls` of the server lets in no client \
                           without a certificate";
            let help = "to answer such clients on other routes, add client = \"request\" to `tls`";
            Diagnostic::warning(message).help(help.to_owned())
        }
    };
    let spot = table.cx.spot(value.span());
    table.cx.report(diagnostic.at(spot, ""));
}
