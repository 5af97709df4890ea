//! `cors`: which other origins may read what is answered (CORS, Fetch standard §3.2).
//!
//! ```toml
//! cors = { origins = ["https://example.com"], methods = ["GET", "PUT"], headers = ["Authorization"] }
//! cors = false     # a route that does not take part, below a server that does
//! ```

use toml::de::DeValue;

use super::level::Refinement;
use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::model::{Cors, OriginPattern, Policy};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::origin::parse_origin;
use crate::config::words::units::WAIT_OR_NONE;
use crate::config::words::values::parse_field_name;
use crate::config::words::written;
use crate::http::fields::is_token;
use crate::http::method::{Method, MethodSet};

/// As [`AT_ROUTE`], for a level that inherits none.
pub(super) const AT_SERVER: Setting<Refinement, Policy> = Setting {
    default: "false",
    ..AT_ROUTE
};

/// It replaces the inherited one as a whole.
pub(super) const AT_ROUTE: Setting<Refinement, Policy> = Setting {
    key: "cors",
    kind: Kind::Either(&[Kind::Table(&TABLE), Kind::Only(false)]),
    about: "which other origins may read answers, and what they may ask for; false: none",
    translations: &[(
        "allow_origin",
        "the setting is called `cors`: `cors = { origins = [\"https://example.com\"] }`",
    )],
    read: |node, refinement| set(&mut refinement.policy.cors, cors(node)),
    show: |policy| {
        let cors = policy.cors.as_ref();
        Some(cors.map_or_else(|| "false".to_owned(), show_cors))
    },
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`cors`",
    home: |_| "`cors`".to_owned(),
    rows: || rows(SETTINGS),
};

/// The methods that a script may send without a preflight (Fetch standard §2.2.1). They are the default,
/// because browsers send them even if `methods` leaves them out.
const SAFELISTED: [&str; 3] = ["GET", "HEAD", "POST"];

const SETTINGS: &[Setting<Cors>] = &[
    Setting {
        key: "origins",
        kind: Kind::TEXTS,
        about: "as browsers name them; `https://*.example.com` is any name below, \"*\" every origin",
        read: |node, cors| set(&mut cors.origins, origins(node)),
        show: |cors| Some(written::array(cors.origins.iter().map(written::shown))),
        ..Setting::BLANK
    },
    Setting {
        key: "methods",
        kind: Kind::TEXTS,
        default: r#"["GET", "HEAD", "POST"]"#,
        about: "methods that a preflight allows; browsers send these three whatever stands here",
        read: |node, cors| set(&mut cors.methods, methods(node)),
        show: |cors| Some(written::strings(&cors.methods)),
        ..Setting::BLANK
    },
    Setting {
        key: "headers",
        kind: Kind::TEXTS,
        default: "[]",
        about: "fields of requests that a preflight allows",
        read: |node, cors| set(&mut cors.headers, names(node)),
        show: |cors| Some(written::strings(&cors.headers)),
        ..Setting::BLANK
    },
    Setting {
        key: "expose",
        kind: Kind::TEXTS,
        default: "[]",
        about: "fields of answers that scripts may read, besides the few that they always may",
        read: |node, cors| set(&mut cors.expose, names(node)),
        show: |cors| Some(written::strings(&cors.expose)),
        ..Setting::BLANK
    },
    Setting {
        key: "credentials",
        kind: Kind::Boolean,
        default: "false",
        about: "whether scripts may send cookies and passwords; then nothing is \"*\"",
        read: |node, cors| set(&mut cors.credentials, node.boolean()),
        show: |cors| Some(cors.credentials.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "max_age",
        kind: Kind::Duration,
        about: "how long a browser may keep the answer to a preflight; without it, five seconds",
        read: |node, cors| {
            let max_age = node.duration(WAIT_OR_NONE)?;
            if max_age.subsec_nanos() == 0 {
                return set(&mut cors.max_age, Some(Some(max_age)));
            }
            let error = Diagnostic::error("`max_age` is whole seconds");
            let help = "write \"1s\", \"10m\" or \"1h\"".to_owned();
            node.cx.report(error.at(node.spot(), "").help(help));
            None
        },
        show: |cors| cors.max_age.map(written::duration),
        ..Setting::BLANK
    },
];

/// Reads `cors`, or false. The outer `None`: there is a mistake.
fn cors(node: Node<'_>) -> Option<Option<Cors>> {
    if let DeValue::Boolean(false) = node.value.get_ref() {
        return Some(None);
    }
    let help = "write cors = { origins = [\"https://example.com\"] }, or cors = false";
    let mut section = node.section("`cors`", Some(help.to_owned()))?;
    let mut cors = Cors {
        origins: Vec::new(),
        methods: SAFELISTED.map(str::to_owned).into(),
        headers: Vec::new(),
        expose: Vec::new(),
        credentials: false,
        max_age: None,
    };
    let walked = walk(&mut section, SETTINGS, &mut cors);
    if section.lacks("origins") {
        let error = Diagnostic::error("`cors` names no origin").at(node.spot(), "");
        node.cx.report_absence(error.help(help.to_owned()));
    }
    let is_sound = walked.took("origins") & is_sound_with_credentials(&section, &cors);
    section.close();
    (is_sound && walked.is_sound()).then_some(Some(cors))
}

/// The table in the terms of the file.
fn show_cors(cors: &Cors) -> String {
    written::inline(show(SETTINGS, cors))
}

/// Reads `origins`. It warns of an entry whose origins an earlier entry allows already.
fn origins(node: Node<'_>) -> Option<Vec<OriginPattern>> {
    let help = "write origins = [\"https://example.com\"], or cors = false";
    let nodes = node.at_least_one("`origins` names no origin", help)?;
    let mut is_sound = true;
    let mut origins: Vec<OriginPattern> = Vec::new();
    for node in nodes {
        let Some(origin) = node.text().and_then(|text| text.parse(parse_origin)) else {
            is_sound = false;
            continue;
        };
        let written = origin.to_string();
        // A pattern with a wildcard is not an origin, so that among other entries only `*` matches it.
        let covers =
            |other: &&OriginPattern| **other == origin || other.matches(written.as_bytes());
        match origins.iter().find(covers) {
            Some(other) => node.cx.report(
                Diagnostic::warning(format!("`{origin}` is in `{other}` already"))
                    .at(node.spot(), "says nothing new"),
            ),
            None => origins.push(origin),
        }
    }
    is_sound.then_some(origins)
}

/// Reads `methods`.
fn methods(node: Node<'_>) -> Option<Vec<String>> {
    let help = "leave `methods` out for GET, HEAD and POST, which browsers send in any case";
    let nodes = node.at_least_one("`methods` names no method", help)?;
    all(nodes, parse_allowed_method)
}

/// Reads `headers` or `expose`.
fn names(node: Node<'_>) -> Option<Vec<String>> {
    all(node.one_or_more(), parse_field_name)
}

/// The texts, if each of them is right.
fn all(nodes: Vec<Node<'_>>, parser: fn(&str) -> Result<String, Fault>) -> Option<Vec<String>> {
    let texts = nodes.into_iter().map(|node| node.text()?.parse(parser));
    // Collected twice, so that each mistake is reported.
    let texts: Vec<Option<String>> = texts.collect();
    texts.into_iter().collect()
}

/// Reads a method that the server takes, or `*`. Case matters to browsers too: they send `patch` as it is
/// (Fetch standard §2.2.1), and the server answers 501 to it.
fn parse_allowed_method(text: &str) -> Result<String, Fault> {
    let taken = MethodSet::ALL_BUT_TUNNELS;
    let is_taken = |text: &str| {
        let method = Method::from_bytes(text.as_bytes());
        method.is_some_and(|method| taken.contains(method))
    };
    if text == "*" || is_taken(text) {
        return Ok(text.to_owned());
    }
    let shown = text.escape_debug();
    let upper = text.to_ascii_uppercase();
    if !is_token(text.as_bytes()) {
        let fault = Fault::new(0..text.len(), format!("`{shown}` is not a method"));
        return Err(fault.help("write each method by itself: [\"GET\", \"PUT\"]"));
    }
    let fault = Fault::new(0..text.len(), format!("this server takes no `{shown}`"));
    if is_taken(&upper) {
        return Err(fault.help(format!("methods are in capitals: write \"{upper}\"")));
    }
    let meant = nearest(&upper, taken.iter().map(Method::as_str));
    Err(match meant {
        Some(meant) => fault.help(format!("did you mean \"{meant}\"?")),
        None => fault.help("it refuses such requests before `cors` is looked at; leave it out"),
    })
}

/// Why `*` is an error beside `credentials`.
const BROWSERS_REFUSE: &str = "browsers refuse it";

/// Refuses `*` and the origin `null` beside `credentials`. Returns whether neither is there.
///
/// Browsers refuse `*` as the origin of a response to a request with credentials, and take it for a name
/// everywhere else (Fetch standard §3.2.5). `null` is the origin of a sandboxed frame, and a page of any site
/// can hold one: it would let in every site, as `*` would.
fn is_sound_with_credentials(section: &Section<'_>, cors: &Cors) -> bool {
    if !cors.credentials {
        return true;
    }
    let is_wildcard = |names: &[String]| names.iter().any(|name| name == "*");
    let names_null = !cors.allows_any() && cors.allows(b"null");
    let mut is_sound = true;
    for (is_refused, key, value, why, remedy) in [
        (
            cors.allows_any(),
            "origins",
            "*",
            BROWSERS_REFUSE,
            "name the origins, as in \"https://example.com\", or leave `credentials` out",
        ),
        (
            names_null,
            "origins",
            "null",
            "pages of every site can send it",
            "name the origins; a sandboxed frame of any site is `null`",
        ),
        (
            is_wildcard(&cors.methods),
            "methods",
            "*",
            BROWSERS_REFUSE,
            "name the methods, as in \"PUT\", or leave `credentials` out",
        ),
        (
            is_wildcard(&cors.headers),
            "headers",
            "*",
            BROWSERS_REFUSE,
            "name the fields, as in \"Authorization\", or leave `credentials` out",
        ),
        (
            is_wildcard(&cors.expose),
            "expose",
            "*",
            BROWSERS_REFUSE,
            "name the fields, as in \"X-Total\", or leave `credentials` out",
        ),
    ] {
        if !is_refused {
            continue;
        }
        is_sound = false;
        let message = format!("`{key}` cannot be \"{value}\" with `credentials`: {why}");
        let marked = section.peek(key).into_iter();
        let error = Diagnostic::error(message).help(remedy.to_owned());
        section.report(marked.fold(error, |error, node| error.at(node.spot(), "")));
    }
    is_sound
}

/// Warns of each field of `cors` that `headers` of this level sets or adds: the client gets what `cors` says.
/// A level that only inherits such a field is not warned of, for the field may be meant for other routes.
pub(super) fn warn_of_own_fields(section: &Section<'_>, refinement: &Refinement) {
    if refinement.policy.cors.is_none() {
        return;
    }
    for (name, spot) in &refinement.fields {
        let mut told = Cors::FIELDS.iter();
        if told.any(|field| field.eq_ignore_ascii_case(name)) {
            let message = format!("`{name}` in `headers` has no effect: `cors` says what it is");
            let help = "take it out of `headers`, or write cors = false".to_owned();
            let warning = Diagnostic::warning(message).at(spot.clone(), "");
            section.report(warning.help(help));
        }
    }
}
