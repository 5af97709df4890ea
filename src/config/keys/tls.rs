//! `tls` of a server or a stream: its certificate, and what it asks of clients.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::certificate::WORDS as CLIENT;
use super::setting::{Kind, Setting, Table, rows, set, show, walk, word, words};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::model::{ClientCertificates, Issue, Protocols, Tls, TlsVersions, UntilIssued};
use crate::config::tree::named_certificate::NamedCertificate;
use crate::config::tree::node::Node;
use crate::config::tree::paths::file_read_later;
use crate::config::words::written;

pub(crate) const TABLE: Table = Table {
    title: "`tls`",
    home: |_| "`tls` of `[[server]]`".to_owned(),
    rows: || [rows(SETTINGS), rows(OF_SERVERS)].concat(),
};

pub(crate) const STREAM_TABLE: Table = Table {
    title: "`tls` of `[[stream]]`",
    home: |_| "`tls` of `[[stream]]`".to_owned(),
    rows: || [rows(SETTINGS), rows(OF_STREAMS)].concat(),
};

const VERSIONS: &[(&str, Version)] = &[("1.2", Version::Tls12), ("1.3", Version::Tls13)];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

const HELP: &str = "write tls = { certificate = \"example.pem\", key = \"example.key\" }";

/// The keys while they are read.
#[derive(Default)]
struct Draft {
    is_issued: bool,
    certificate: PathBuf,
    key: PathBuf,
    authorities: Option<PathBuf>,
    is_required: Option<bool>,
    versions: TlsVersions,
    protocols: Vec<String>,
    /// Why files cannot be read.
    unread: Vec<Diagnostic>,
}

impl Draft {
    /// The file that `node` names; why it cannot be read is kept for later.
    fn file(&mut self, node: Node<'_>) -> Option<PathBuf> {
        file_read_later(&node.text()?, &mut self.unread)
    }
}

/// `tls` of servers and that of upstreams add how they read the key and show it.
impl<D, M> Setting<D, M> {
    pub(super) const TLS_VERSIONS: Self = Self {
        key: "versions",
        kind: Kind::OneOrMore(&Kind::Word(|| words(VERSIONS))),
        default: "[\"1.2\", \"1.3\"]",
        about: "the versions of TLS that are spoken",
        ..Self::BLANK
    };
}

const SETTINGS: &[Setting<Draft, Tls>] = &[
    Setting {
        key: "certificate",
        kind: Kind::Text,
        about: "a file of PEM: the certificate of the server, then the one that has issued it, and so on",
        translations: &[
            (
                "ssl_certificate",
                "write tls = { certificate = \"example.pem\", key = \"example.key\" }",
            ),
            (
                "cert",
                "the setting is called `certificate`, in `tls` of `[[server]]`",
            ),
            (
                "pemfile",
                "write tls = { certificate = \"example.pem\", key = \"example.key\" }",
            ),
        ],
        read: |node, draft| {
            let file = draft.file(node);
            set(&mut draft.certificate, file)
        },
        show: |tls| show_file(tls, &tls.certificate),
        ..Setting::BLANK
    },
    Setting {
        key: "key",
        kind: Kind::Text,
        about: "a file of PEM: its private key",
        translations: &[
            (
                "ssl_certificate_key",
                "the setting is called `key`, in `tls` of `[[server]]`",
            ),
            (
                "privkey",
                "the setting is called `key`, in `tls` of `[[server]]`",
            ),
        ],
        read: |node, draft| {
            let file = draft.file(node);
            set(&mut draft.key, file)
        },
        show: |tls| show_file(tls, &tls.key),
        ..Setting::BLANK
    },
    Setting {
        key: "client_ca",
        kind: Kind::Text,
        about: "a file of PEM: the certificates of the CAs that may have issued those of clients; \
                left out: clients are asked for none",
        translations: &[
            (
                "ssl_client_certificate",
                "the setting is called `client_ca`, in `tls` of `[[server]]`",
            ),
            (
                "ca-file",
                "the setting is called `client_ca`, in `tls` of `[[server]]`",
            ),
        ],
        read: |node, draft| {
            let file = draft.file(node);
            set(&mut draft.authorities, file.map(Some))
        },
        show: |tls| {
            let clients = tls.clients.as_ref()?;
            Some(written::path(&clients.authorities))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "client",
        kind: Kind::Word(|| words(CLIENT)),
        default: "\"require\"",
        about: "whether a client without a certificate of `client_ca` is refused in the handshake \
                (\"require\") or let in (\"request\")",
        translations: &[(
            "ssl_verify_client",
            "the setting is called `client`, in `tls` of `[[server]]`: \"require\", or \"request\" for `optional`, and \
             client = \"require\" in the routes that need a certificate",
        )],
        read: |node, draft| set(&mut draft.is_required, node.word(CLIENT).map(Some)),
        show: |tls| word(CLIENT, &tls.clients.as_ref()?.is_required),
        ..Setting::BLANK
    },
    Setting {
        translations: &[
            (
                "ssl_protocols",
                "the setting is called `versions`, in `tls` of `[[server]]`: [\"1.2\", \"1.3\"]",
            ),
            (
                "minVersion",
                "the setting is called `versions`, in `tls` of `[[server]]`: [\"1.2\", \"1.3\"]",
            ),
        ],
        read: |node, draft| set(&mut draft.versions, versions(node)),
        show: |tls| Some(show_versions(tls.versions)),
        ..Setting::TLS_VERSIONS
    },
];

/// What a stream's `tls` has besides.
const OF_STREAMS: &[Setting<Draft, Tls>] = &[Setting {
    key: "alpn",
    kind: Kind::TEXTS,
    about: "the protocols that clients may ask for (ALPN), such as \"postgresql\"; left out: what they ask for \
            is not looked at",
    read: |node, draft| set(&mut draft.protocols, protocols(node)),
    show: |tls| match &tls.protocols {
        Protocols::Only(protocols) => Some(written::strings(protocols)),
        Protocols::Http | Protocols::Any => None,
    },
    ..Setting::BLANK
}];

/// What a server's `tls` has besides.
const OF_SERVERS: &[Setting<Draft, Tls>] = &[Setting {
    key: "acme",
    kind: Kind::Only(true),
    about: "the certificate is issued as `[acme]` says, and `certificate` and `key` are left out",
    read: |node, draft| set(&mut draft.is_issued, node.boolean()),
    show: |tls| tls.issue.as_ref().map(|_| "true".to_owned()),
    ..Setting::BLANK
}];

/// The file of `tls`, unless ACME writes it.
fn show_file(tls: &Tls, file: &Path) -> Option<String> {
    tls.issue.is_none().then(|| written::path(file))
}

/// What stands for a certificate that is issued, until the names are known.
fn unnamed_issue() -> Issue {
    Issue {
        names: Vec::new(),
        until_issued: UntilIssued::default(),
    }
}

/// Reads `tls` of a server. `None`: there is a mistake, and it is reported. For a certificate that is
/// issued, the caller adds the names and the files.
pub(super) fn tls(node: Node<'_>) -> Option<NamedCertificate> {
    if matches!(node.value.get_ref(), DeValue::String(_)) {
        node.word(&[("acme", ())])?;
        return Some(NamedCertificate {
            tls: Tls {
                issue: Some(unnamed_issue()),
                ..Tls::default()
            },
            hosts: Vec::new(),
            certificate: node.spot(),
            key: node.spot(),
            client_ca: None,
            unread: Vec::new(),
        });
    }
    read(node, OF_SERVERS)
}

/// Reads `tls` of a stream, as [`tls`] does.
pub(super) fn tls_of_stream(node: Node<'_>) -> Option<NamedCertificate> {
    let mut named = read(node, OF_STREAMS)?;
    if named.tls.protocols == Protocols::Http {
        named.tls.protocols = Protocols::Any;
    }
    Some(named)
}

/// Reads `tls`, which has `more` settings besides.
fn read(node: Node<'_>, more: &'static [Setting<Draft, Tls>]) -> Option<NamedCertificate> {
    let mut section = node.section("`tls`", Some(HELP.to_owned()))?;
    let mut draft = Draft::default();
    let walked = walk(&mut section, SETTINGS.iter().chain(more), &mut draft);
    let is_issued = draft.is_issued;
    let says_no = |node: Node<'_>| matches!(node.value.get_ref(), DeValue::Boolean(false));
    // Also with a mistake: one error is enough.
    let wants_issue = section.peek("acme").is_some_and(|node| !says_no(node));
    for key in ["certificate", "key"] {
        if let (true, Some(file)) = (is_issued, section.peek(key)) {
            let message = format!("`acme = true` stands for `{key}`, and both are here");
            section.report(Diagnostic::error(message).at(file.spot(), ""));
        }
        if !wants_issue && section.lacks(key) {
            let error = Diagnostic::error(format!("`tls` names no `{key}`")).at(node.spot(), "");
            section.report_absence(error.help(HELP.to_owned()));
        }
    }
    let has_authorities = !section.lacks("client_ca");
    if let (Some(client), false) = (section.peek("client"), has_authorities)
        && walked.took("client")
    {
        let error = Diagnostic::error(
            "`client` needs `client_ca`: the CAs that may have issued the certificate",
        );
        let help = "add client_ca = \"staff.pem\"".to_owned();
        section.report(error.at(client.spot(), "").help(help));
    }
    let spot = |key| section.peek(key).map(|node| node.spot());
    let spots = (spot("certificate"), spot("key"), spot("client_ca"));
    let misspells_authorities = section.misspells("client_ca");
    section.close();
    // Without `client_ca` it would be another `tls`: one that asks clients for no certificate.
    let is_sound = walked.is_sound() && !misspells_authorities;
    let spots = match spots {
        (None, None, client_ca) if is_issued => (Some(node.spot()), Some(node.spot()), client_ca),
        spots => spots,
    };
    let (true, (Some(certificate), Some(key), client_ca)) = (is_sound, spots) else {
        // No file is read later.
        let unread = draft.unread.into_iter();
        unread.for_each(|error| node.cx.report(error));
        return None;
    };
    let is_required = draft.is_required.unwrap_or(true);
    let tls = Tls {
        certificate: draft.certificate,
        key: draft.key,
        clients: draft.authorities.map(|authorities| ClientCertificates {
            authorities,
            is_required,
        }),
        versions: draft.versions,
        protocols: match draft.protocols {
            protocols if protocols.is_empty() => Protocols::Http,
            protocols => Protocols::Only(protocols),
        },
        issue: is_issued.then(unnamed_issue),
    };
    Some(NamedCertificate {
        tls,
        hosts: Vec::new(),
        certificate,
        key,
        client_ca,
        unread: draft.unread,
    })
}

pub(super) fn show_tls(tls: &Tls) -> String {
    let is_plain = tls.clients.is_none() && tls.versions == TlsVersions::default();
    if tls.issue.is_some() && is_plain {
        return written::string("acme");
    }
    let settings = SETTINGS.iter().chain(OF_STREAMS).chain(OF_SERVERS);
    written::inline(show(settings, tls))
}

/// Reads the protocols of `alpn` (RFC 7301 §3.1).
pub(super) fn protocols(node: Node<'_>) -> Option<Vec<String>> {
    let protocol = |node: Node<'_>| {
        node.text()?.parse(|text: &str| match text.len() {
            1..=255 => Ok(text.to_owned()),
            _ => Err(Fault::new(
                0..text.len(),
                "the name of a protocol has 1 to 255 octets",
            )),
        })
    };
    node.one_or_more().into_iter().map(protocol).collect()
}

pub(super) fn versions(node: Node<'_>) -> Option<TlsVersions> {
    let message = "`versions` is empty, so no version could be spoken";
    let elements = node.at_least_one(message, "write versions = [\"1.2\", \"1.3\"]")?;
    let versions: Option<Vec<Version>> = elements
        .into_iter()
        .map(|node| node.word(VERSIONS))
        .collect();
    let versions = versions?;
    Some(TlsVersions {
        tls12: versions.contains(&Version::Tls12),
        tls13: versions.contains(&Version::Tls13),
    })
}

pub(super) fn show_versions(versions: TlsVersions) -> String {
    let spoken = [(versions.tls12, "1.2"), (versions.tls13, "1.3")];
    let spoken = spoken.into_iter().filter(|(is_spoken, _)| *is_spoken);
    written::array(spoken.map(|(_, version)| written::string(version)))
}
