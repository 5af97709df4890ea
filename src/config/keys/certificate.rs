//! The keys of servers and routes about a client's certificate: `client` says whether it has to be shown;
//! `client_certificate` of a route with `proxy` says in which fields the upstream is told of it.
//!
//! ```toml
//! tls = { …, client_ca = "staff.pem", client = "request" }     # asked for in the handshake, but not demanded
//!
//! [server.routes]
//! "/" = { files = "www" }
//! "/intern" = { files = "intern", client = "require" }         # 403 for a client that has shown none
//! "/shop" = { proxy = "shop", client_certificate = { X-Client-Subject = "subject" } }
//! ```

use super::headers::{self, Message};
use super::level::Refinement;
use super::setting::{Kind, Setting, set, word, words};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{CertificateFact, Policy, Proxy, Tls};
use crate::config::tree::node::Node;
use crate::config::tree::section::{Key, Section};
use crate::config::words::written;
use crate::http::fields::is_same_variable;

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
    read: |node, refinement| {
        // After a mistake none is demanded, so that `check` reports nothing about a word that is not there.
        refinement.policy.needs_certificate = false;
        set(&mut refinement.policy.needs_certificate, node.word(WORDS))
    },
    show: |policy| word(WORDS, &policy.needs_certificate),
    ..Setting::BLANK
};

/// What an upstream may be told.
const FACTS: &[(&str, CertificateFact)] = &[
    ("verified", CertificateFact::Verified),
    ("subject", CertificateFact::Subject),
    ("issuer", CertificateFact::Issuer),
    ("serial", CertificateFact::Serial),
    ("fingerprint", CertificateFact::Fingerprint),
    ("certificate", CertificateFact::Certificate),
    ("chain", CertificateFact::Chain),
];

pub(super) const CLIENT_CERTIFICATE: Setting<Proxy> = Setting {
    key: "client_certificate",
    kind: Kind::Map(&Kind::Word(|| words(FACTS))),
    default: "{}",
    about: "fields of the request that is sent, and what each tells of the client's certificate, in place of what the \
            client says itself",
    translations: &[
        (
            "passTLSClientCert",
            "the setting is called `client_certificate`, beside `proxy` in a route: { X-Client-Subject = \"subject\" }",
        ),
        (
            "ssl_client_s_dn",
            "the setting is called `client_certificate`, beside `proxy` in a route: { X-Client-Subject = \"subject\" }",
        ),
    ],
    read: |node, proxy| set(&mut proxy.client_certificate, fields(node)),
    show: |proxy| {
        let fields = proxy.client_certificate.iter();
        let field = |(name, fact): &(String, _)| Some((name.clone(), word(FACTS, fact)?));
        Some(written::inline(fields.filter_map(field)))
    },
    ..Setting::BLANK
};

/// Reads the names of fields and what they tell. One with a mistake is left out.
fn fields(node: Node<'_>) -> Option<Vec<(String, CertificateFact)>> {
    let help = "write client_certificate = { X-Client-Subject = \"subject\" }".to_owned();
    let section = node.section("`client_certificate`", Some(help))?;
    let mut fields: Vec<(String, CertificateFact)> = Vec::new();
    for (key, value) in section.entries() {
        let name = key.parse(|name| headers::check_name(name, Message::Request));
        let (Some(name), Some(fact)) = (name, value.word(FACTS)) else {
            continue;
        };
        let mut others = fields.iter().map(|(other, _)| other);
        match others.find(|other| is_same_variable(other, &name)) {
            Some(other) => report_taken_for(&key, other),
            None => fields.push((name, fact)),
        }
    }
    Some(fields)
}

/// Reports the field of `key`, which applications would take for `other`.
fn report_taken_for(key: &Key<'_>, other: &str) {
    let message = format!("applications take the field `{}` for `{other}`", key.name);
    let help = "they tell names apart by letters and digits alone, in any case".to_owned();
    key.cx
        .report(Diagnostic::error(message).at(key.spot(), "").help(help));
}

/// Reports fields of `client_certificate` that `request_headers` sets or adds too. `section` is the route.
pub(super) fn report_set_twice(section: &Section<'_>, proxy: &Proxy) {
    let changes = &proxy.request_headers;
    let set = changes.set.iter().chain(&changes.add).map(|(name, _)| name);
    let is_told = |name: &&String| {
        let mut told = proxy.client_certificate.iter();
        told.any(|(other, _)| is_same_variable(name, other))
    };
    let (Some(told), Some(changes)) = (
        section.peek(CLIENT_CERTIFICATE.key),
        section.peek("request_headers"),
    ) else {
        return;
    };
    for name in set.filter(is_told) {
        let message =
            format!("`client_certificate` says what `{name}` tells, so that it cannot be changed");
        let error = Diagnostic::error(message).at(changes.spot(), "");
        section.report(error.at(told.spot(), "said here"));
    }
}

/// As [`CLIENT`], for a level that inherits nothing.
pub(super) const CLIENT_AT_SERVER: Setting<Refinement, Policy> = Setting {
    default: "\"request\"",
    ..CLIENT
};

/// What the handshakes of a server ask of clients.
#[derive(Clone, Copy)]
pub(super) enum Handshakes {
    /// Unknown, because `tls` has a mistake, which is reported.
    Unknown,
    /// No certificate; and what to write to have them ask for one.
    AskNothing(&'static str),
    /// A certificate, if the client has one.
    AskForCertificate,
    DemandCertificate,
}

impl Handshakes {
    /// What the handshakes of a server ask, by its `tls`. `has_key`: whether its table has the key, be it
    /// misspelt.
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

/// Warns of `client_certificate` in `table`, a route, where no client can show a certificate.
pub(super) fn warn_of_none_to_tell(table: Node<'_>, handshakes: Handshakes) {
    if let (Some(spot), Handshakes::AskNothing(help)) =
        (table.spot_of(CLIENT_CERTIFICATE.key), handshakes)
    {
        let message =
            "`client_certificate` never has a certificate to tell of: clients are asked for none";
        let warning = Diagnostic::warning(message).at(spot, "");
        table.cx.report(warning.help(help.to_owned()));
    }
}

/// Reports `client = "require"` in `table`, a server or one of its routes, where no client can show a
/// certificate, or where every client has. `policy` is that of the table.
pub(super) fn check(table: Node<'_>, policy: &Policy, handshakes: Handshakes) {
    // What a table without the key inherits is reported where it stands.
    let own = table.spot_of(CLIENT.key);
    let Some(spot) = own.filter(|_| policy.needs_certificate) else {
        return;
    };
    let diagnostic = match handshakes {
        Handshakes::Unknown | Handshakes::AskForCertificate => return,
        Handshakes::AskNothing(help) => {
            let message =
                "`client` needs `client_ca`: the CAs that may have issued the certificate";
            Diagnostic::error(message).help(help.to_owned())
        }
        Handshakes::DemandCertificate => {
            let message = "`client` says nothing new here: `tls` of the server lets in no client \
                           without a certificate";
            let help = "to answer such clients on other routes, add client = \"request\" to `tls`";
            Diagnostic::warning(message).help(help.to_owned())
        }
    };
    table.cx.report(diagnostic.at(spot, ""));
}
