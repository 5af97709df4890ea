//! `auth`: what a client has to prove before anything is answered.
//!
//! ```toml
//! auth = { basic = "users.htpasswd", realm = "Admin" }
//! auth = { forward = "http://127.0.0.1:4181/verify", copy = ["Remote-User", "Remote-Groups"] }
//! auth = "none"     # a route that is open below a server that is closed
//! ```

use std::net::IpAddr;

use toml::de::DeValue;

use super::headers::{Message, check_name};
use super::level::Refinement;
use super::peer;
use super::proxy::name_of_server;
use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use super::upstream::ABSENT;
use crate::address::{ListenAddress, UpstreamUrl};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::model::{Auth, BasicAuth, ForwardAuth, Policy, Server};
use crate::config::tree::asked_upstream::AskedUpstream;
use crate::config::tree::named_passwords::NamedPasswords;
use crate::config::tree::node::Node;
use crate::config::tree::paths::beside;
use crate::config::tree::section::Section;
use crate::config::words::forward::parse_forward;
use crate::config::words::units::WAIT;
use crate::config::words::upstream::ProxyTarget;
use crate::config::words::written;
use crate::http::fields::is_same_variable;

const HELP: &str = "write auth = { basic = \"users.htpasswd\" }, auth = { forward = \"http://…\" } or \
                    auth = \"none\"";

/// As [`AT_ROUTE`], for a level that inherits none.
pub(super) const AT_SERVER: Setting<Refinement, Policy> = Setting {
    default: "\"none\"",
    ..AT_ROUTE
};

/// It replaces the inherited one as a whole.
pub(super) const AT_ROUTE: Setting<Refinement, Policy> = Setting {
    key: "auth",
    kind: Kind::Either(&[Kind::Table(&TABLE), Kind::Word(|| vec!["none"])]),
    about: "what a client has to prove: a password, or what another server wants; \"none\": nothing",
    translations: &[
        (
            "auth_basic",
            "the setting is called `auth`: `auth = { basic = \"users.htpasswd\", realm = \"Admin\" }`",
        ),
        (
            "auth_basic_user_file",
            "the setting is called `auth`: `auth = { basic = \"users.htpasswd\", realm = \"Admin\" }`",
        ),
        (
            "basicauth",
            "the setting is called `auth`: `auth = { basic = \"users.htpasswd\" }`; `tidegate hash-password` \
             makes its lines",
        ),
        (
            "basic_auth",
            "the setting is called `auth`: `auth = { basic = \"users.htpasswd\" }`; `tidegate hash-password` \
             makes its lines",
        ),
        (
            "auth_request",
            "the setting is called `auth`: `auth = { forward = \"http://127.0.0.1:4181/verify\" }`",
        ),
        (
            "forward_auth",
            "the setting is called `auth`: `auth = { forward = \"http://127.0.0.1:4181/verify\" }`",
        ),
    ],
    read: |node, refinement| set(&mut refinement.policy.auth, auth(node)),
    show: |policy| {
        let auth = policy.auth.as_ref();
        Some(auth.map_or_else(|| written::string("none"), show_auth))
    },
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`auth`",
    home: |_| "`auth`".to_owned(),
    rows: || rows(SETTINGS),
};

/// The keys of both kinds, while they are read.
#[derive(Default)]
struct Draft {
    basic: Option<BasicAuth>,
    forward: Option<(String, String)>,
    realm: Option<String>,
    user_header: Option<String>,
    copy: Vec<String>,
    timeout: Option<std::time::Duration>,
}

/// What browsers show where the configuration names no realm.
const REALM: &str = "Restricted";

const SETTINGS: &[Setting<Draft, Auth>] = &[
    Setting {
        key: "basic",
        kind: Kind::Text,
        about: "a file of users and hashes, as `htpasswd` and `tidegate hash-password` write it; read again \
                when it changes",
        read: |node, draft| set(&mut draft.basic, basic(node).map(Some)),
        show: |auth| match auth {
            Auth::Basic(basic) => Some(written::path(&basic.file)),
            Auth::Forward(_) => None,
        },
        ..Setting::BLANK
    },
    Setting {
        key: "realm",
        kind: Kind::Text,
        default: "\"Restricted\"",
        about: "with `basic`: what browsers show when they ask for a password, and keep it for",
        read: |node, draft| set(&mut draft.realm, node.text()?.parse(parse_realm).map(Some)),
        show: |auth| match auth {
            Auth::Basic(basic) => Some(written::string(&basic.realm)),
            Auth::Forward(_) => None,
        },
        ..Setting::BLANK
    },
    Setting {
        key: "user_header",
        kind: Kind::Text,
        about: "with `basic`: the field that tells upstreams and scripts the user: \"Remote-User\"",
        read: |node, draft| set(&mut draft.user_header, field(node).map(Some)),
        show: |auth| match auth {
            Auth::Basic(basic) => basic.user_header.as_ref().map(|name| written::string(name)),
            Auth::Forward(_) => None,
        },
        ..Setting::BLANK
    },
    Setting {
        key: "forward",
        kind: Kind::Text,
        about: "a server that is asked about each request: the URL, or an upstream and a path, \"NAME/PATH\"; \
                2xx lets the request in, any other answer goes to the client",
        read: |node, draft| set(&mut draft.forward, forward(node).map(Some)),
        show: |auth| match auth {
            Auth::Forward(forward) => {
                let target = match &*forward.target {
                    "/" => "",
                    target => target,
                };
                Some(written::string(&format!("{}{target}", forward.upstream)))
            }
            Auth::Basic(_) => None,
        },
        ..Setting::BLANK
    },
    Setting {
        key: "copy",
        kind: Kind::TEXTS,
        default: "[]",
        about: "with `forward`: fields of its answer for the upstream or the script; the first one is the user. \
                What clients send under these names never arrives",
        read: |node, draft| set(&mut draft.copy, copy(node)),
        show: |auth| match auth {
            Auth::Forward(forward) => Some(written::strings(&forward.copy)),
            Auth::Basic(_) => None,
        },
        ..Setting::BLANK
    },
    Setting {
        key: "timeout",
        kind: Kind::Duration,
        default: "\"10s\"",
        about: "with `forward`: how long it may take until it answers: 504",
        read: |node, draft| set(&mut draft.timeout, node.duration(WAIT).map(Some)),
        show: |auth| match auth {
            Auth::Forward(forward) => Some(written::duration(forward.timeout)),
            Auth::Basic(_) => None,
        },
        ..Setting::BLANK
    },
];

/// Reads `auth`, or "none". The outer `None`: there is a mistake.
fn auth(node: Node<'_>) -> Option<Option<Auth>> {
    if let DeValue::String(_) = node.value.get_ref() {
        let is_none = node.text()?.value == "none";
        if !is_none {
            let error = Diagnostic::error("`auth` must be a table or \"none\"");
            node.cx
                .report(error.at(node.spot(), "").help(HELP.to_owned()));
        }
        return is_none.then_some(None);
    }
    let mut section = node.section("`auth`", Some(HELP.to_owned()))?;
    let mut draft = Draft::default();
    let walked = walk(&mut section, SETTINGS, &mut draft);
    let is_sound = is_of_one_kind(node, &section) && walked.is_sound();
    section.close();
    let auth = match (draft.basic, draft.forward) {
        (Some(basic), None) => Auth::Basic(BasicAuth {
            realm: draft.realm.unwrap_or(basic.realm),
            user_header: draft.user_header,
            ..basic
        }),
        (None, Some((upstream, target))) => Auth::Forward(ForwardAuth {
            upstream,
            target,
            copy: draft.copy,
            timeout: draft.timeout.unwrap_or(ForwardAuth::DEFAULT_TIMEOUT),
        }),
        _ => return None,
    };
    is_sound.then_some(Some(auth))
}

/// Reports a table that has none of the two kinds, or both, or keys of the other one.
fn is_of_one_kind(node: Node<'_>, section: &Section<'_>) -> bool {
    let (basic, forward) = (section.peek("basic"), section.peek("forward"));
    let (kind, others): (_, &[&'static str]) = match (basic, forward) {
        (None, None) => {
            if section.misspells("basic") || section.misspells("forward") {
                return false;
            }
            let error = Diagnostic::error("`auth` says neither `basic` nor `forward`");
            let error = error.at(node.spot(), "").help(HELP.to_owned());
            node.cx.report_absence(error);
            return false;
        }
        (Some(basic), Some(forward)) => {
            let error = Diagnostic::error("`auth` has both `basic` and `forward`");
            let error = error.at(forward.spot(), "").at(basic.spot(), "");
            let help =
                "a route has one of them: the service of `forward` may ask for passwords itself";
            node.cx.report(error.help(help.to_owned()));
            return false;
        }
        (Some(_), None) => ("basic", &["copy", "timeout"]),
        (None, Some(_)) => ("forward", &["realm", "user_header"]),
    };
    let wrong = others.iter().filter_map(|key| section.peek(key));
    let mut is_sound = true;
    for wrong in wrong {
        is_sound = false;
        let other = if kind == "basic" { "forward" } else { "basic" };
        let message = format!(
            "`{}` belongs to `{other}`, and this is `{kind}`",
            wrong.name
        );
        node.cx
            .report(Diagnostic::error(message).at(wrong.spot(), ""));
    }
    is_sound
}

/// Reads the name of the file, which is read when the whole configuration has been.
fn basic(node: Node<'_>) -> Option<BasicAuth> {
    let text = node.text()?;
    if text.value.is_empty() {
        let error = Diagnostic::error("`basic` names no file").at(node.spot(), "");
        node.cx.report(error.help(HELP.to_owned()));
        return None;
    }
    let file = beside(node.cx.source, &text.value);
    node.cx.note_if_missing(&file);
    let mut passwords = node.cx.passwords.borrow_mut();
    passwords.push(NamedPasswords {
        file: file.clone(),
        spot: node.spot(),
    });
    Some(BasicAuth {
        file,
        realm: REALM.to_owned(),
        user_header: None,
    })
}

/// Reads the realm: what may stand in a quoted string (RFC 9110 §5.6.4), and is shown as it is.
fn parse_realm(text: &str) -> Result<String, Fault> {
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, c)) => Err(Fault::new(
            at..at + c.len_utf8(),
            "a realm has no control characters",
        )),
        None => Ok(text.to_owned()),
    }
}

fn forward(node: Node<'_>) -> Option<(String, String)> {
    let (server, target) = node.text()?.parse(parse_forward)?;
    let (name, server) = match server {
        ProxyTarget::Named(name) => (name, None),
        ProxyTarget::Server(UpstreamUrl { scheme, address }) => {
            let address = peer::look_up(node, address, &ABSENT);
            let url = UpstreamUrl { scheme, address };
            (name_of_server(&url), Some(url))
        }
    };
    node.cx.asked.borrow_mut().push(AskedUpstream {
        of_stream: false,
        name: name.clone(),
        server,
        spot: node.spot(),
    });
    Some((name, target))
}

/// Reads the name of a field of requests that this server says.
fn field(node: Node<'_>) -> Option<String> {
    node.text()?
        .parse(|name| check_name(name, Message::Request))
}

/// Reads `copy`. A name that stands twice is reported.
fn copy(node: Node<'_>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut is_sound = true;
    for node in node.one_or_more() {
        let Some(name) = field(node) else {
            is_sound = false;
            continue;
        };
        match names.iter().find(|other| is_same_variable(other, &name)) {
            Some(other) => {
                let message =
                    format!("`{name}` is `{other}` to applications, and stands here already");
                let warning = Diagnostic::warning(message).at(node.spot(), "says nothing new");
                node.cx.report(warning);
            }
            None => names.push(name),
        }
    }
    is_sound.then_some(names)
}

/// The table in the terms of the file.
fn show_auth(auth: &Auth) -> String {
    written::inline(show(SETTINGS, auth))
}

/// Warns of passwords that travel where others read them: the server speaks no TLS, and other machines reach
/// it. A proxy in front may speak TLS: then it is trusted, or speaks the PROXY protocol.
pub(super) fn warn_of_plain_passwords(node: Node<'_>, server: &Server) {
    let asks = |policy: &Policy| matches!(policy.auth, Some(Auth::Basic(_)));
    let mut policies = server.routes.iter().map(|route| &route.policy);
    if server.tls.is_some() || !(asks(&server.policy) || policies.any(asks)) {
        return;
    }
    let Some(address) = server.listen.iter().find(|address| is_public(address)) else {
        return;
    };
    let message = format!("passwords of `auth` travel unencrypted to {address}");
    let help = "give the server `tls`, or let it listen on loopback behind a proxy that speaks TLS, and name \
                that proxy in `trusted_proxies`";
    let warning = Diagnostic::warning(message).at(node.spot(), "");
    node.cx.report_absence(warning.help(help.to_owned()));
}

/// Whether other machines may reach `address`.
fn is_public(address: &ListenAddress) -> bool {
    let ip = address.ip().map(|address| address.ip());
    ip.is_some_and(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => {
            !ip.is_loopback() && !ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    })
}
