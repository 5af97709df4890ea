//! `[acme]`: who issues the certificates of servers with `tls = "acme"`.

use data_encoding::{BASE64URL, BASE64URL_NOPAD};

use super::authorities::authorities_file;
use super::setting::{Kind, Setting, Table, rows, set, show as show_settings, walk, word, words};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Acme, AcmeDirectory, Challenge, Config, ExternalAccount, UntilIssued};
use crate::config::tree::node::Node;
use crate::config::tree::paths::{absolute, beside};
use crate::config::words::written;

/// The key of the table at the top of the file. The dump shows it by [`show_acme`], as a table.
pub(super) const ACME: Setting<Config> = Setting {
    key: "acme",
    kind: Kind::Table(&TABLE),
    about: "who issues the certificates of servers with `tls = \"acme\"`",
    translations: &[
        ("certificatesResolvers", "write an [acme] table"),
        ("email", "write contact = \"mailto:…\" in [acme]"),
    ],
    read: |node, config| set(&mut config.acme, Some(read(node))),
    ..Setting::BLANK
};

pub(crate) const TABLE: Table = Table {
    title: "`[acme]`",
    home: |_| "`[acme]`".to_owned(),
    rows: || rows(SETTINGS),
};

/// The directories that have a name, and where the terms of their CAs are.
const DIRECTORIES: [(&str, &str, &str); 3] = [
    (
        "letsencrypt",
        "https://acme-v02.api.letsencrypt.org/directory",
        "https://letsencrypt.org/repository/",
    ),
    (
        "letsencrypt-staging",
        "https://acme-staging-v02.api.letsencrypt.org/directory",
        "https://letsencrypt.org/repository/",
    ),
    (
        "zerossl",
        "https://acme.zerossl.com/v2/DV90",
        "https://zerossl.com/terms/",
    ),
];

const CHALLENGES: &[(&str, Challenge)] = &[
    ("tls-alpn-01", Challenge::TlsAlpn01),
    ("http-01", Challenge::Http01),
];

const UNTIL_ISSUED: &[(&str, UntilIssued)] = &[
    ("self_signed", UntilIssued::SelfSigned),
    ("refuse", UntilIssued::Refuse),
];

const SETTINGS: &[Setting<Draft, Acme>] = &[
    Setting {
        key: "contact",
        kind: Kind::TEXTS,
        default: "[]",
        about: "where the CA may write to: \"mailto:ops@example.com\"",
        read: |node, draft| set(&mut draft.acme.contact, contact(node)),
        show: |acme| Some(written::strings(&acme.contact)),
        ..Setting::BLANK
    },
    Setting {
        key: "agree",
        kind: Kind::Only(true),
        about: "that you agree to the terms of the CA",
        translations: &[
            ("agree_tos", "the setting is called `agree`, in `[acme]`"),
            (
                "agree_to_terms",
                "the setting is called `agree`, in `[acme]`",
            ),
        ],
        read: |node, draft| set(&mut draft.agrees, node.boolean()),
        show: |_| Some("true".to_owned()),
        ..Setting::BLANK
    },
    Setting {
        key: "directory",
        kind: Kind::Text,
        default: "\"letsencrypt\"",
        about: "the CA: \"letsencrypt\", \"letsencrypt-staging\", \"zerossl\", or the URL of its directory",
        translations: &[
            ("caServer", "the setting is called `directory`, in `[acme]`"),
            ("acme_ca", "the setting is called `directory`, in `[acme]`"),
        ],
        read: |node, draft| set(&mut draft.acme.directory, directory(node)),
        show: |acme| Some(written::string(&acme.directory.written)),
        ..Setting::BLANK
    },
    Setting {
        key: "ca",
        kind: Kind::Text,
        about: "a file of PEM: the CAs that may have issued the certificate of the CA's own server; left out: \
                the authorities that the system trusts",
        translations: &[("acme_ca_root", "the setting is called `ca`, in `[acme]`")],
        read: |node, draft| set(&mut draft.acme.ca, authorities_file(node).map(Some)),
        show: |acme| Some(written::path(acme.ca.as_ref()?)),
        ..Setting::BLANK
    },
    Setting {
        key: "storage",
        kind: Kind::Text,
        default: "\"/var/lib/tidegate/acme\"",
        about: "the directory of the account, the keys and the certificates; it is made",
        read: |node, draft| {
            let text = node.text()?;
            if text.value.is_empty() {
                let error = Diagnostic::error("`storage` names no directory");
                node.cx.report(error.at(node.spot(), ""));
                return None;
            }
            let path = beside(node.cx.source, &text.value);
            set(&mut draft.acme.storage, Some(absolute(&path)))
        },
        show: |acme| Some(written::path(&acme.storage)),
        ..Setting::BLANK
    },
    Setting {
        key: "challenge",
        kind: Kind::OneOrMore(&Kind::Word(|| words(CHALLENGES))),
        default: "[\"tls-alpn-01\", \"http-01\"]",
        about: "how the CA may verify that a name is yours, the preferred one first",
        read: |node, draft| {
            // A mistake leaves none, so that no warning is about one that the file does not name.
            draft.acme.challenges = Vec::new();
            set(&mut draft.acme.challenges, challenges(node))
        },
        show: |acme| {
            let challenges = acme.challenges.iter();
            let names = challenges.map(|challenge| written::string(challenge.name()));
            Some(written::array(names))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "until_issued",
        kind: Kind::Word(|| words(UNTIL_ISSUED)),
        default: "\"self_signed\"",
        about: "what clients find until the first certificate is there: one that the server has made \
                itself, or no session (\"refuse\")",
        read: |node, draft| set(&mut draft.acme.until_issued, node.word(UNTIL_ISSUED)),
        show: |acme| word(UNTIL_ISSUED, &acme.until_issued),
        ..Setting::BLANK
    },
    Setting {
        key: "external_account",
        kind: Kind::Table(&EXTERNAL_TABLE),
        about: "the account that you have with the CA already, where it asks for one",
        translations: &[(
            "eab",
            "the setting is called `external_account`, in `[acme]`",
        )],
        read: |node, draft| {
            let account = external_account(node);
            set(&mut draft.acme.external_account, account.map(Some))
        },
        show: |acme| {
            let account = acme.external_account.as_ref()?;
            Some(written::inline(show_settings(EXTERNAL, account)))
        },
        ..Setting::BLANK
    },
];

pub(crate) const EXTERNAL_TABLE: Table = Table {
    title: "`external_account`",
    home: |_| "`external_account` of `[acme]`".to_owned(),
    rows: || rows(EXTERNAL),
};

const EXTERNAL: &[Setting<ExternalAccount>] = &[
    Setting {
        key: "key_id",
        kind: Kind::Text,
        about: "its name, as the CA has given it",
        read: |node, account| set(&mut account.key_id, of_account(node)),
        show: |account| Some(written::string(&account.key_id)),
        ..Setting::BLANK
    },
    Setting {
        key: "hmac_key",
        kind: Kind::Text,
        about: "its key, as the CA has given it: in base64url",
        read: |node, account| set(&mut account.hmac_key, hmac_key(node)),
        show: |account| {
            let text = BASE64URL_NOPAD.encode(&account.hmac_key);
            Some(written::secret(&text))
        },
        ..Setting::BLANK
    },
];

/// The table while it is read.
struct Draft {
    acme: Acme,
    agrees: bool,
}

/// Reads the table. A mistake leaves the default, and in `challenge` it leaves none.
fn read(node: Node<'_>) -> Option<Acme> {
    let mut section = node.section("`[acme]`", None)?;
    let directory = named_directory(DIRECTORIES[0].0)?;
    let mut draft = Draft {
        acme: Acme::with_directory(directory),
        agrees: false,
    };
    let walked = walk(&mut section, SETTINGS, &mut draft);
    let acme = draft.acme;
    if !draft.agrees && (walked.took("agree") || section.lacks("agree")) {
        let place = section.peek("agree").unwrap_or(node).spot();
        let message = "`[acme]` does not say that you agree to the terms of the CA";
        let error = Diagnostic::error(message).at(place, "");
        section.report_absence(error.help(terms(&acme.directory)));
    }
    if acme.directory.written == "zerossl" && section.lacks("external_account") {
        let message =
            "this CA issues to its own accounts alone, and there is no `external_account`";
        let help = "its console gives you external_account = { key_id = \"…\", hmac_key = \"…\" }";
        let place = section.peek("directory").unwrap_or(node).spot();
        let error = Diagnostic::error(message).at(place, "");
        section.report_absence(error.help(help.to_owned()));
    }
    section.close();
    Some(acme)
}

fn terms(directory: &AcmeDirectory) -> String {
    let named = |(name, ..): &&(&str, &str, &str)| *name == directory.written;
    let place = match DIRECTORIES.iter().find(named) {
        Some((.., terms)) => format!("read them at {terms}"),
        None => format!(
            "the directory at {} says where they are (termsOfService)",
            directory.url
        ),
    };
    format!("{place} and write agree = true")
}

fn named_directory(name: &str) -> Option<AcmeDirectory> {
    let found = DIRECTORIES.iter().find(|(known, ..)| *known == name);
    let (written, url, _) = found?;
    Some(AcmeDirectory {
        written: (*written).to_owned(),
        url: url.parse().ok()?,
    })
}

fn directory(node: Node<'_>) -> Option<AcmeDirectory> {
    let text = node.text()?;
    if let Some(directory) = named_directory(&text.value) {
        return Some(directory);
    }
    match text.value.parse() {
        Ok(url) => Some(AcmeDirectory {
            written: text.value,
            url,
        }),
        Err(error) => {
            let names = DIRECTORIES
                .map(|(name, ..)| format!("\"{name}\""))
                .join(", ");
            let message = format!("`directory` is no CA that is known, and no URL: {error}");
            let help = format!("write {names}, or \"https://ca.example/directory\"");
            let error = Diagnostic::error(message).at(node.spot(), "");
            node.cx.report(error.help(help));
            None
        }
    }
}

fn contact(node: Node<'_>) -> Option<Vec<String>> {
    let mut urls = Vec::new();
    for element in node.one_or_more() {
        let text = element.text()?.value;
        let address = text.strip_prefix("mailto:");
        let is_address = |address: &str| {
            let (user, host) = address.split_once('@').unwrap_or_default();
            !user.is_empty() && host.contains('.') && !address.contains([' ', ',', '?'])
        };
        if !address.is_some_and(is_address) {
            let bare = if is_address(&text) {
                text.as_str()
            } else {
                "ops@example.com"
            };
            let message = "`contact` is not the URL of one mail address";
            let error = Diagnostic::error(message).at(element.spot(), "");
            node.cx
                .report(error.help(format!("write contact = \"mailto:{bare}\"")));
            return None;
        }
        urls.push(text);
    }
    Some(urls)
}

fn challenges(node: Node<'_>) -> Option<Vec<Challenge>> {
    let elements = node.at_least_one(
        "`challenge` is empty, so the CA could verify nothing",
        "write challenge = [\"tls-alpn-01\", \"http-01\"]",
    )?;
    let mut challenges = Vec::new();
    for element in elements {
        let text = element.value.get_ref().as_str();
        if text == Some("dns-01") {
            let message = "there is no dns-01 yet: this server changes no zone";
            let error = Diagnostic::error(message).at(element.spot(), "");
            node.cx
                .report(error.help("write \"tls-alpn-01\" or \"http-01\"".to_owned()));
            return None;
        }
        let challenge = element.word(CHALLENGES)?;
        if !challenges.contains(&challenge) {
            challenges.push(challenge);
        }
    }
    Some(challenges)
}

fn external_account(node: Node<'_>) -> Option<ExternalAccount> {
    let help = "write external_account = { key_id = \"…\", hmac_key = \"…\" }";
    let mut account = ExternalAccount {
        key_id: String::new(),
        hmac_key: Vec::new(),
    };
    let mut section = node.section("`external_account`", Some(help.to_owned()))?;
    let walked = walk(&mut section, EXTERNAL, &mut account);
    let both = ["key_id", "hmac_key"];
    if both.iter().any(|key| section.lacks(key)) {
        let message = "`external_account` needs both `key_id` and `hmac_key`";
        let error = Diagnostic::error(message).at(node.spot(), "");
        section.report_absence(error.help(help.to_owned()));
    }
    section.close();
    let is_whole = both.iter().all(|key| walked.took(key));
    is_whole.then_some(account)
}

/// Reads a part of an account, which is not empty.
fn of_account(node: Node<'_>) -> Option<String> {
    let text = node.text()?.value;
    if text.is_empty() {
        let error = Diagnostic::error(format!("`{}` is empty", node.name)).at(node.spot(), "");
        let help = "write what the console of the CA shows";
        node.cx.report(error.help(help.to_owned()));
        return None;
    }
    Some(text)
}

fn hmac_key(node: Node<'_>) -> Option<Vec<u8>> {
    let text = of_account(node)?;
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
    let decoded = decoded.or_else(|_| BASE64URL.decode(text.as_bytes()));
    let report = |_| {
        let error = Diagnostic::error("`hmac_key` is not base64url");
        node.cx.report(error.at(node.spot(), ""));
    };
    decoded.map_err(report).ok()
}

/// The settings of `[acme]` in the terms of the file; nothing if there is no such table.
pub(crate) fn show_acme(acme: Option<&Acme>) -> written::Table {
    acme.map(|acme| show_settings(SETTINGS, acme))
        .unwrap_or_default()
}
