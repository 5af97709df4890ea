//! `tls` of `[upstreams.NAME]`: which certificates its servers have to show, and the one that this server shows them.

use std::path::PathBuf;

use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::keys::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::keys::tls::{protocols, show_versions, versions};
use crate::config::model::{OwnCertificate, UpstreamTls};
use crate::config::tree::named_connector::NamedConnector;
use crate::config::tree::node::Node;
use crate::config::tree::paths::readable_file;
use crate::config::words::address::parse_server_name;
use crate::config::words::written;

pub(crate) const TABLE: Table = Table {
    title: "`tls` of `[upstreams.NAME]`",
    home: |_| "`tls` of `[upstreams.NAME]`".to_owned(),
    rows: || rows(SETTINGS),
};

const HELP: &str = "write tls = { ca = \"internal.pem\" }";

/// The keys while they are read.
#[derive(Default)]
struct Draft {
    tls: UpstreamTls,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

const SETTINGS: &[Setting<Draft, UpstreamTls>] = &[
    Setting {
        key: "ca",
        kind: Kind::Text,
        about: "a file of PEM: the certificates of the authorities that may have issued a server's; left out: \
                the authorities that the system trusts",
        translations: &[
            (
                "proxy_ssl_trusted_certificate",
                "the setting is called `ca`, in `tls` of `[upstreams.NAME]`",
            ),
            (
                "tls_trust_pool",
                "the setting is called `ca`, in `tls` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, draft| {
            let path = readable_file(&node.text()?);
            set(&mut draft.tls.authorities, path.map(Some))
        },
        show: |tls| Some(written::path(tls.authorities.as_ref()?)),
        ..Setting::BLANK
    },
    Setting {
        key: "server_name",
        kind: Kind::Text,
        about: "the host that a server's certificate has to be for, and that the server is asked for (SNI); \
                left out: the host of its address",
        translations: &[
            (
                "proxy_ssl_name",
                "the setting is called `server_name`, in `tls` of `[upstreams.NAME]`",
            ),
            (
                "tls_server_name",
                "the setting is called `server_name`, in `tls` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, draft| {
            let name = node.text()?.parse(parse_server_name);
            set(&mut draft.tls.server_name, name.map(Some))
        },
        show: |tls| tls.server_name.as_deref().map(written::string),
        ..Setting::BLANK
    },
    Setting {
        key: "certificate",
        kind: Kind::Text,
        about: "a file of PEM: the certificate that this server shows if a server asks for one, then that of \
                its issuer, and so on",
        translations: &[
            (
                "proxy_ssl_certificate",
                "the setting is called `certificate`, in `tls` of `[upstreams.NAME]`",
            ),
            (
                "tls_client_auth",
                "write tls = { certificate = \"me.pem\", key = \"me.key\" } in `[upstreams.NAME]`",
            ),
        ],
        read: |node, draft| {
            let path = readable_file(&node.text()?);
            set(&mut draft.certificate, path.map(Some))
        },
        show: |tls| Some(written::path(&tls.own.as_ref()?.certificate)),
        ..Setting::BLANK
    },
    Setting {
        key: "key",
        kind: Kind::Text,
        about: "a file of PEM: the private key of `certificate`",
        translations: &[(
            "proxy_ssl_certificate_key",
            "the setting is called `key`, in `tls` of `[upstreams.NAME]`",
        )],
        read: |node, draft| set(&mut draft.key, readable_file(&node.text()?).map(Some)),
        show: |tls| Some(written::path(&tls.own.as_ref()?.key)),
        ..Setting::BLANK
    },
    Setting {
        key: "verify",
        kind: Kind::Boolean,
        default: "true",
        about: "whether a server's certificate is verified; false: any machine on the way can read the \
                messages and answer",
        translations: &[
            (
                "proxy_ssl_verify",
                "certificates are verified unless `tls` of `[upstreams.NAME]` says verify = false",
            ),
            (
                "tls_insecure_skip_verify",
                "the setting is called `verify`, in `tls` of `[upstreams.NAME]`: verify = false",
            ),
            (
                "insecureSkipVerify",
                "the setting is called `verify`, in `tls` of `[upstreams.NAME]`: verify = false",
            ),
        ],
        read: |node, draft| set(&mut draft.tls.is_verified, node.boolean()),
        show: |tls| Some(tls.is_verified.to_string()),
        ..Setting::BLANK
    },
    Setting {
        translations: &[(
            "proxy_ssl_protocols",
            "the setting is called `versions`, in `tls` of `[upstreams.NAME]`: [\"1.2\", \"1.3\"]",
        )],
        read: |node, draft| set(&mut draft.tls.versions, versions(node)),
        show: |tls| Some(show_versions(tls.versions)),
        ..Setting::TLS_VERSIONS
    },
    Setting {
        key: "alpn",
        kind: Kind::TEXTS,
        about: "the protocols that servers with `tls://` are offered (ALPN), such as \"postgresql\"; those with \
                `https://` are offered HTTP/1.1",
        read: |node, draft| set(&mut draft.tls.protocols, protocols(node)),
        show: |tls| {
            let protocols = &tls.protocols;
            (!protocols.is_empty()).then(|| written::strings(protocols))
        },
        ..Setting::BLANK
    },
];

/// Reads `tls`. `None`: there is a mistake, and it is reported.
pub(super) fn tls(node: Node<'_>) -> Option<NamedConnector> {
    let mut section = node.section("`tls`", Some(HELP.to_owned()))?;
    let mut draft = Draft::default();
    let walked = walk(&mut section, SETTINGS, &mut draft);
    let spot = |key| -> Option<Spot> { section.peek(key).map(|node| node.spot()) };
    let (ca, certificate, key) = (spot("ca"), spot("certificate"), spot("key"));
    let verify = spot("verify");
    for (given, missing, file) in [
        (&certificate, "key", "me.key"),
        (&key, "certificate", "me.pem"),
    ] {
        if let (Some(given), true) = (given, section.lacks(missing)) {
            let message =
                format!("a certificate and its key belong together: `{missing}` is missing");
            let help = format!("add {missing} = \"{file}\"");
            let error = Diagnostic::error(message).at(given.clone(), "");
            section.report_absence(error.help(help));
        }
    }
    section.close();
    if !walked.is_sound() {
        return None;
    }
    if let (Some(verify), false) = (verify, draft.tls.is_verified) {
        let message = "certificates are not verified: any machine on the way to a server can read the messages and answer";
        let help = "name who issues them, ca = \"internal.pem\"; for a certificate that is for another name, \
                    write server_name = \"NAME\"";
        let warning = Diagnostic::warning(message).at(verify, "");
        node.cx.report(warning.help(help.to_owned()));
    }
    let own = match (draft.certificate, draft.key) {
        (Some(certificate), Some(key)) => Some(OwnCertificate { certificate, key }),
        (None, None) => None,
        _ => return None,
    };
    let tls = UpstreamTls { own, ..draft.tls };
    let whole = node.spot();
    Some(NamedConnector {
        tls,
        whole,
        ca,
        certificate,
        key,
    })
}

pub(super) fn show_tls(tls: &UpstreamTls) -> String {
    written::inline(show(SETTINGS, tls))
}
