//! `balance`, `hash` and `sticky`: how a server is chosen.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::keys::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::model::{Balance, HashKey, Sticky};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::balance::{parse_cookie_name, parse_secret};
use crate::config::words::written;

use toml::de::DeValue;

/// The words of `balance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    RoundRobin,
    LeastConnections,
    RandomTwo,
    Hash,
}

pub(super) const WAYS: &[(&str, Way)] = &[
    ("round_robin", Way::RoundRobin),
    ("least_connections", Way::LeastConnections),
    ("random_two", Way::RandomTwo),
    ("hash", Way::Hash),
];

/// The word for `balance`, as TOML.
pub(super) fn show_way(balance: &Balance) -> Option<String> {
    let way = match balance {
        Balance::RoundRobin => Way::RoundRobin,
        Balance::LeastConnections => Way::LeastConnections,
        Balance::RandomTwo => Way::RandomTwo,
        Balance::Hash(_) => Way::Hash,
    };
    crate::config::keys::setting::word(WAYS, &way)
}

/// What is hashed, as TOML; `None` if nothing is.
pub(super) fn show_hash(balance: &Balance) -> Option<String> {
    let Balance::Hash(key) = balance else {
        return None;
    };
    Some(written::string(&match key {
        HashKey::Client => "client".to_owned(),
        HashKey::Path => "path".to_owned(),
        HashKey::Header(name) => format!("header {name}"),
        HashKey::Cookie(name) => format!("cookie {name}"),
    }))
}

/// The way to choose a server that `balance` and `hash` of `section` say together. balance = "hash" and `hash`
/// are mistakes without each other. Beside another way, which the operator has named, `hash` is doubtful only.
pub(super) fn balance(section: &Section<'_>, way: Option<Way>, hash: Option<HashKey>) -> Balance {
    let report = |key: &'static str, diagnostic: Diagnostic, help: &str| {
        if let Some(node) = section.peek(key) {
            section.report(diagnostic.at(node.spot(), "").help(help.to_owned()));
        }
    };
    let is_other_way = way.is_some_and(|way| way != Way::Hash);
    if is_other_way || section.lacks("balance") {
        let message = "`hash` chooses no server without balance = \"hash\"";
        let diagnostic = if is_other_way {
            Diagnostic::warning(message)
        } else {
            Diagnostic::error(message)
        };
        let help = "write balance = \"hash\" beside it, or leave it out";
        report("hash", diagnostic, help);
    }
    match (way, hash) {
        (Some(Way::Hash), Some(key)) => Balance::Hash(key),
        (Some(Way::Hash), None) => {
            if section.lacks("hash") {
                let message = "balance = \"hash\" needs `hash`, which says what is hashed";
                let help = "add hash = \"client\", \"path\", \"header NAME\" or \"cookie NAME\"";
                report("balance", Diagnostic::error(message), help);
            }
            Balance::default()
        }
        (Some(Way::LeastConnections), _) => Balance::LeastConnections,
        (Some(Way::RandomTwo), _) => Balance::RandomTwo,
        (Some(Way::RoundRobin) | None, _) => Balance::RoundRobin,
    }
}

pub(crate) const STICKY_TABLE: Table = Table {
    title: "`sticky`",
    home: |_| "`sticky` of `[upstreams.NAME]`".to_owned(),
    rows: || rows(STICKY_SETTINGS),
};

const STICKY_SETTINGS: &[Setting<Sticky>] = &[
    Setting {
        key: "cookie",
        kind: Kind::Text,
        about: "the name of the cookie; left out: `tidegate-` and the upstream's name",
        read: |node, sticky| set(&mut sticky.cookie, node.text()?.parse(parse_cookie_name)),
        show: |sticky| Some(written::string(&sticky.cookie)),
        ..Setting::BLANK
    },
    Setting {
        key: "secret",
        kind: Kind::Text,
        about: "what the cookie is signed with, the same on every machine that gets the client's requests; \
                left out: a key of this process",
        read: |node, sticky| {
            set(
                &mut sticky.secret,
                node.text()?.parse(parse_secret).map(Some),
            )
        },
        show: |sticky| sticky.secret.as_deref().map(written::secret),
        ..Setting::BLANK
    },
];

/// Reads `sticky` of the upstream called `upstream`.
pub(super) fn sticky(node: Node<'_>, upstream: &str) -> Option<Sticky> {
    const HELP: &str =
        "write sticky = \"cookie\", or sticky = { cookie = \"NAME\", secret = \"…\" }";
    // Two upstreams of one host must not take each other's cookie.
    let mut sticky = Sticky {
        cookie: format!("tidegate-{upstream}"),
        secret: None,
    };
    match node.value.get_ref() {
        DeValue::String(_) => node.word(&[("cookie", ())]).map(|()| sticky),
        DeValue::Table(_) => {
            let mut section = node.section("`sticky`", None)?;
            let walked = walk(&mut section, STICKY_SETTINGS, &mut sticky);
            section.close();
            walked.is_sound().then_some(sticky)
        }
        _ => node.refuse_type("\"cookie\" or a table", Some(HELP.to_owned())),
    }
}

pub(super) fn show_sticky(sticky: &Sticky) -> String {
    written::inline(show(STICKY_SETTINGS, sticky))
}
