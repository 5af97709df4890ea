//! The form of a verb's entry, and the keys that several verbs have.
//!
//! To add a verb, add a file like `respond` beside this one, a line in `route::VERBS`, a variant of
//! `model::Verb`, and the handler that serves it.

use super::setting::{Kind, Row, Setting};
use crate::config::model::{RequestText, Route, Verb, When};
use crate::config::tree::node::{Node, Text};
use crate::config::tree::section::Section;
use crate::config::words::values::{parse_index_name, parse_script_name};
use crate::config::words::written;

/// A verb: its own key and those that may stand beside it in a route.
pub(crate) struct VerbKeys {
    pub(crate) key: &'static str,
    /// How it is written: `files = "DIR"`.
    pub(super) usage: &'static str,
    /// A whole route with it.
    pub(super) example: &'static str,
    /// The verb's own key first, then the options.
    pub(super) rows: fn() -> Vec<Row>,
    /// Reads the verb and its options from a route. `None`: there is a mistake, and it is reported.
    pub(super) read: fn(&mut Section<'_>) -> Option<Answer>,
    /// The verb and its options in the terms of the file; `None` if the route has another verb.
    pub(super) show: fn(&Route) -> Option<written::Table>,
}

impl VerbKeys {
    /// What the verb's own key may be.
    pub(crate) fn kind(&self) -> Kind {
        let rows = (self.rows)();
        rows.first().map_or(Kind::Any, |row| row.kind)
    }

    /// Whether the verb has no value but `true`.
    pub(super) fn is_switch(&self) -> bool {
        matches!(self.kind(), Kind::Only(true))
    }
}

/// What a route does.
pub(super) struct Answer {
    pub(super) verb: Verb,
    /// Whether the verb sees the path without the part that matched.
    pub(super) strip_prefix: bool,
}

/// What a route says for itself alone, whatever its verb, while it is read.
#[derive(Default)]
pub(super) struct Own {
    /// The key of the route's verb. `None`: it has no verb, or two, which is reported elsewhere.
    pub(super) verb: Option<&'static str>,
    pub(super) when: When,
    pub(super) rewrite: Option<RequestText>,
}

impl From<Verb> for Answer {
    fn from(verb: Verb) -> Self {
        Self {
            verb,
            strip_prefix: false,
        }
    }
}

/// Keys that several verbs have. Each verb declares the key in its own table, and adds how it reads
/// and shows it. The documentation has one row for each, so its text names the verbs.
impl<D, M> Setting<D, M> {
    pub(super) const CACHE_CONTROL: Self = Self {
        key: "cache_control",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "with `files` and `fastcgi` (files that are no scripts): `Cache-Control` by pattern over the paths",
        ..Self::BLANK
    };

    pub(super) const EXPIRES: Self = Self {
        key: "expires",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "with `files` and `fastcgi` (files that are no scripts): how long files are fresh, by pattern or \
                kind (`html`, `text/html`): \"1y immutable\", \"no-cache\"",
        ..Self::BLANK
    };

    pub(super) const FALLBACK: Self = Self {
        key: "fallback",
        kind: Kind::Text,
        about: "with `files` and `fastcgi`: the file, or the script, for paths that lead to nothing",
        ..Self::BLANK
    };

    pub(super) const INDEX: Self = Self {
        key: "index",
        kind: Kind::TEXTS,
        about: "with `files` (`index.html`) and `fastcgi` (`index.php`): names tried in a \
                directory",
        translations: &[(
            "fastcgi_index",
            "the setting is called `index`, beside `fastcgi` in a route",
        )],
        ..Self::BLANK
    };

    /// The verbs read it when they know the root.
    pub(super) const SCRIPT: Self = Self {
        key: "script",
        kind: Kind::Text,
        about: "with `cgi` and `fastcgi`: the one script, which answers everything beneath the route",
        translations: &[(
            "ScriptAlias",
            "write `\"/cgit\" = { cgi = \"/usr/lib/cgit\", script = \"cgit.cgi\" }`",
        )],
        ..Self::BLANK
    };

    pub(super) const STATUS: Self = Self {
        key: "status",
        kind: Kind::Either(&[Kind::Integer(200, 599), Kind::Only(true)]),
        about: "a verb: `true`, what the server has counted; or a number, with `respond` (200) and \
                `redirect` (308; one of 301, 302, 303, 307, 308)",
        ..Self::BLANK
    };

    pub(super) const STREAM: Self = Self {
        key: "stream",
        kind: Kind::Boolean,
        default: "false",
        about: "content is passed on as it comes, and none is kept: a request's with `handler` and \
                `fastcgi`, a script's with `cgi` and `fastcgi`",
        translations: &[
            (
                "fastcgi_buffering",
                "`fastcgi_buffering off` is called `stream = true`, beside `fastcgi` in a route",
            ),
            (
                "fastcgi_request_buffering",
                "`fastcgi_request_buffering off` is called `stream = true`, beside `fastcgi` in a route",
            ),
        ],
        ..Self::BLANK
    };

    pub(super) const STRIP_PREFIX: Self = Self {
        key: "strip_prefix",
        kind: Kind::Boolean,
        default: "false",
        about: "with `files` and `proxy`: take the path that matched off first",
        ..Self::BLANK
    };

    pub(super) const TIMEOUT: Self = Self {
        key: "timeout",
        kind: Kind::Duration,
        default: "\"60s\"",
        about: "with `handler`, `cgi`, `fastcgi` and `proxy` (in place of the upstream's `timeouts`): how \
                long it may take until it answers: 504; with the last three also between two reads of \
                content: cut",
        translations: &[(
            "fastcgi_read_timeout",
            "the setting is called `timeout`, beside `fastcgi` in a route",
        )],
        ..Self::BLANK
    };
}

/// Reads the name of `script`, a path relative to the root of the route.
pub(super) fn script_name<'c>(section: &Section<'c>) -> Option<(String, Text<'c>)> {
    let text = section.peek("script").and_then(Node::text)?;
    Some((text.parse(parse_script_name)?, text))
}

/// Reads the names of `index`. A name with a mistake is left out.
pub(super) fn index_names(node: Node<'_>) -> Vec<String> {
    let name = |node: Node<'_>| node.text()?.parse(parse_index_name);
    node.one_or_more().into_iter().filter_map(name).collect()
}
