//! Every key of the file: what it takes, what it is if left out, what it says. For editors as a
//! JSON Schema (2020-12), for docs/configuration.md as a table.
//!
//! The walk through the file names its keys where it takes them. That both know the same ones is
//! held by `tests`, which asks the walk about every key here, and here about all that the walk
//! says it takes; defaults are held against `dump`.

use serde_json::{Map, Value, json};

/// A key and its value.
pub(super) struct Setting {
    pub(crate) key: &'static str,
    kind: Kind,
    /// As TOML; empty if there is none, or none that can be written down.
    pub(crate) default: &'static str,
    about: &'static str,
}

/// What a value may be.
enum Kind {
    Boolean,
    /// `true` or `false` alone.
    Only(bool),
    /// Within these bounds.
    Integer(u64, u64),
    /// A string, or a whole number of bytes.
    Size,
    Duration,
    Text,
    Word(&'static [&'static str]),
    /// One, or an array of them.
    OneOrMore(&'static Kind),
    Either(&'static [Kind]),
    /// What the server does not look into.
    Any,
    /// Keys of the operator's choice.
    Map(&'static Kind),
    Table(&'static [Setting]),
    /// A table with exactly one of the verbs.
    Route,
    Tables(&'static [Setting]),
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        key,
        kind,
        default,
        about,
    }
}

const TEXTS: Kind = Kind::OneOrMore(&Kind::Text);
const FIELDS: Kind = Kind::Map(&Kind::Text);
const HEADERS_KIND: Kind = Kind::Either(&[Kind::Table(HEADERS), FIELDS]);

const TOP: &[Setting] = &[
    setting(
        "workers",
        Kind::Either(&[Kind::Word(&["auto"]), Kind::Integer(1, 1024)]),
        "\"auto\"",
        "event loops; \"auto\" is one for each CPU that this process may use",
    ),
    setting(
        "blocking",
        Kind::Table(BLOCKING),
        "",
        "the pool for whatever may wait",
    ),
    setting(
        "grace",
        Kind::Duration,
        "\"10s\"",
        "how long exchanges in flight may take once the server is told to stop",
    ),
    setting(
        "server_field",
        Kind::Boolean,
        "true",
        "whether answers say `Server: tidegate`",
    ),
    setting(
        "trusted_proxies",
        TEXTS,
        "[]",
        "networks of peers whose word about the client's address is believed",
    ),
    setting(
        "include",
        TEXTS,
        "[]",
        "further files with servers and tests; `*` and `?` stand for characters of a name",
    ),
    setting("headers", HEADERS_KIND, "{}", HEADERS_ABOUT),
    setting("error_pages", FIELDS, "{}", ERROR_PAGES_ABOUT),
    setting("log", Kind::Table(LOG), "", "what is written down"),
    setting(
        "limits",
        Kind::Table(LIMITS),
        "",
        "every wait and every size",
    ),
    setting(
        "server",
        Kind::Tables(SERVER),
        "",
        "a server: where it listens, and what it answers",
    ),
    setting(
        "test",
        Kind::Tables(TEST),
        "",
        "a request and what is expected of its answer",
    ),
];

const HEADERS_ABOUT: &str =
    "fields of every answer, error answers included; fields alone are `set`";
const ERROR_PAGES_ABOUT: &str = "files for error answers, by status or class: `404`, `4xx`, `5xx`";
const ALLOW_ABOUT: &str = "networks that are answered, everybody else is not; \"all\" is everybody";
const DENY_ABOUT: &str = "networks that are not answered, whatever `allow` says";

const BLOCKING: &[Setting] = &[
    setting(
        "threads",
        Kind::Integer(1, 1024),
        "32",
        "how many jobs may wait at once",
    ),
    setting(
        "queue",
        Kind::Integer(1, 1_000_000),
        "1024",
        "how many jobs may wait for a thread; past it, 503",
    ),
];

const LOG: &[Setting] = &[
    setting(
        "access",
        Kind::Either(&[Kind::Text, Kind::Only(false)]),
        "\"-\"",
        "the access log: \"-\" is standard output, else a file; false is none",
    ),
    setting(
        "format",
        Kind::Word(&["combined", "common", "json"]),
        "\"combined\"",
        "how a line of the access log looks",
    ),
    setting(
        "level",
        Kind::Word(&["error", "warn", "info", "debug"]),
        "\"info\"",
        "the least severe diagnostic that is written",
    ),
];

const BODY_TIMEOUT: Setting = setting(
    "body_timeout",
    Kind::Duration,
    "\"30s\"",
    "between two reads of content: 408",
);
const SEND_TIMEOUT: Setting = setting(
    "send_timeout",
    Kind::Duration,
    "\"30s\"",
    "between two writes that make progress: close",
);
const MAX_CONTENT: Setting = setting(
    "max_content",
    Kind::Size,
    "\"16 MiB\"",
    "bytes of a request's content: 413",
);
const HEAD_TIMEOUT: Setting = setting(
    "head_timeout",
    Kind::Duration,
    "\"10s\"",
    "from the first byte of a request to the end of its head: 408",
);
const IDLE_TIMEOUT: Setting = setting(
    "idle_timeout",
    Kind::Duration,
    "\"75s\"",
    "between requests: close",
);
const MAX_HEAD: Setting = setting(
    "max_head",
    Kind::Size,
    "\"16 KiB\"",
    "bytes of a request's head: 431, or 414 for its line alone",
);
const MAX_FIELDS: Setting = setting(
    "max_fields",
    Kind::Integer(1, 255),
    "100",
    "field lines of a request: 431",
);

const LIMITS: &[Setting] = &[
    HEAD_TIMEOUT,
    IDLE_TIMEOUT,
    BODY_TIMEOUT,
    SEND_TIMEOUT,
    MAX_HEAD,
    MAX_FIELDS,
    MAX_CONTENT,
    setting(
        "max_connections",
        Kind::Integer(1, 1_000_000),
        "10000",
        "open connections: 503 with Retry-After, then close",
    ),
];
const SERVER_LIMITS: &[Setting] = &[
    HEAD_TIMEOUT,
    IDLE_TIMEOUT,
    BODY_TIMEOUT,
    SEND_TIMEOUT,
    MAX_HEAD,
    MAX_FIELDS,
    MAX_CONTENT,
];
const ROUTE_LIMITS: &[Setting] = &[BODY_TIMEOUT, SEND_TIMEOUT, MAX_CONTENT];

const HEADERS: &[Setting] = &[
    setting(
        "set",
        FIELDS,
        "{}",
        "fields in place of what the answer has of that name",
    ),
    setting(
        "add",
        Kind::Map(&TEXTS),
        "{}",
        "fields beside what the answer has of that name",
    ),
    setting("remove", TEXTS, "[]", "names of fields that are taken off"),
];

const SERVER: &[Setting] = &[
    setting(
        "listen",
        TEXTS,
        "",
        "addresses: \"127.0.0.1:8080\", \"localhost:8080\", \":8080\", \"unix:/run/a.sock\"",
    ),
    setting(
        "hosts",
        TEXTS,
        "",
        "names it answers for, \"*.example.com\" among them; left out: any",
    ),
    setting("headers", HEADERS_KIND, "", HEADERS_ABOUT),
    setting(
        "limits",
        Kind::Table(SERVER_LIMITS),
        "",
        "limits of this server",
    ),
    setting("error_pages", FIELDS, "", ERROR_PAGES_ABOUT),
    setting("allow", TEXTS, "", ALLOW_ABOUT),
    setting("deny", TEXTS, "[]", DENY_ABOUT),
    setting(
        "routes",
        Kind::Map(&Kind::Route),
        "{}",
        "what it answers, by `[METHOD ][= ]PATH`",
    ),
];

/// Who answers; a route has one of them.
const VERBS: &[&str] = &[
    "files", "respond", "redirect", "handler", "echo", "status", "cgi", "fastcgi",
];

const ROUTE: &[Setting] = &[
    setting("files", Kind::Text, "", "a verb: the files of a directory"),
    setting("respond", Kind::Text, "", "a verb: this text"),
    setting("redirect", Kind::Text, "", "a verb: another target"),
    setting(
        "handler",
        Kind::Text,
        "",
        "a verb: code of the program's own, by the name it was registered under",
    ),
    setting(
        "echo",
        Kind::Only(true),
        "",
        "a verb: what arrived, as JSON",
    ),
    setting(
        "cgi",
        Kind::Text,
        "",
        "a verb: the scripts of a directory, a process for each request",
    ),
    setting(
        "fastcgi",
        Kind::Text,
        "",
        "a verb: the application server at \"unix:/run/php/php-fpm.sock\" or \"127.0.0.1:9000\"",
    ),
    setting(
        "strip_prefix",
        Kind::Boolean,
        "false",
        "with `files`: take the path that matched off first",
    ),
    setting(
        "index",
        TEXTS,
        "",
        "with `files` (`index.html`) and `fastcgi` (`index.php`): names tried in a directory",
    ),
    setting(
        "listing",
        Kind::Boolean,
        "false",
        "with `files`: list directories without an index",
    ),
    setting(
        "spa",
        Kind::Boolean,
        "false",
        "with `files`: navigations that lead nowhere get /index.html",
    ),
    setting(
        "clean_urls",
        Kind::Boolean,
        "false",
        "with `files`: `/a` may be answered from `a.html`",
    ),
    setting(
        "precompressed",
        Kind::Boolean,
        "true",
        "with `files`: look for `.zst`, `.br` and `.gz` siblings",
    ),
    setting(
        "cache_control",
        FIELDS,
        "{}",
        "with `files`: `Cache-Control` by pattern over the paths",
    ),
    setting(
        "revalidate",
        Kind::Duration,
        "\"1s\"",
        "with `files`: how long what is cached is believed",
    ),
    setting(
        "status",
        Kind::Either(&[Kind::Integer(200, 599), Kind::Only(true)]),
        "",
        "a verb: `true`, what the server has counted; or a number, with `respond` (200) and \
         `redirect` (308; one of 301, 302, 303, 307, 308)",
    ),
    setting(
        "options",
        Kind::Map(&Kind::Any),
        "{}",
        "with `handler`: what its factory takes",
    ),
    setting(
        "timeout",
        Kind::Duration,
        "\"60s\"",
        "with `handler`, `cgi` and `fastcgi`: how long it may take until it answers: 504; with the latter two also between two reads of content: cut",
    ),
    setting(
        "stream",
        Kind::Boolean,
        "false",
        "with `handler`: it reads content as it arrives, instead of when all of it is there",
    ),
    setting(
        "content_type",
        Kind::Text,
        "\"text/plain; charset=utf-8\"",
        "with `respond`: its media type",
    ),
    setting(
        "max_processes",
        Kind::Integer(1, 10_000),
        "32",
        "with `cgi`: scripts of the route that run at once; past it, 503 with Retry-After",
    ),
    setting(
        "environment",
        FIELDS,
        "{}",
        "with `cgi`: variables that scripts find beside those of the request",
    ),
    setting(
        "root",
        Kind::Text,
        "",
        "with `fastcgi`: the directory of its scripts",
    ),
    setting(
        "scripts",
        TEXTS,
        "[\".php\"]",
        "with `fastcgi`: what the names of scripts end in",
    ),
    setting(
        "fallback",
        Kind::Text,
        "",
        "with `fastcgi`: the script for paths that lead to nothing",
    ),
    setting(
        "static_files",
        Kind::Boolean,
        "true",
        "with `fastcgi`: send files that are no scripts",
    ),
    setting("params", FIELDS, "{}", "with `fastcgi`: further parameters"),
    setting(
        "sendfile",
        Kind::Boolean,
        "false",
        "with `fastcgi`: X-Sendfile and X-Accel-Redirect name files beneath `root`",
    ),
    setting("headers", HEADERS_KIND, "", HEADERS_ABOUT),
    setting(
        "limits",
        Kind::Table(ROUTE_LIMITS),
        "",
        "limits of this route",
    ),
    setting("error_pages", FIELDS, "", ERROR_PAGES_ABOUT),
    setting("allow", TEXTS, "", ALLOW_ABOUT),
    setting("deny", TEXTS, "", DENY_ABOUT),
];

const TEST: &[Setting] = &[
    setting(
        "request",
        Kind::Text,
        "",
        "a method and a request-target: \"GET /api\"",
    ),
    setting("host", Kind::Text, "", "what `Host` says"),
    setting("headers", FIELDS, "{}", "further fields of the request"),
    setting(
        "expect",
        Kind::Table(EXPECT),
        "",
        "what must be so of the answer",
    ),
];

const EXPECT: &[Setting] = &[
    setting("status", Kind::Integer(100, 599), "", "its status"),
    setting("route", Kind::Text, "", "the key of the route that answers"),
    setting(
        "header",
        Kind::Map(&Kind::Either(&[Kind::Text, Kind::Only(false)])),
        "{}",
        "values of its fields; false: there is none",
    ),
];

/// Every table, by the title under which the operator knows it.
pub(super) const TABLES: &[(&str, &[Setting])] = &[
    ("The top of the file", TOP),
    ("`blocking`", BLOCKING),
    ("`[log]`", LOG),
    ("`[limits]`", LIMITS),
    ("`headers`", HEADERS),
    ("`[[server]]`", SERVER),
    ("`limits` of a server", SERVER_LIMITS),
    ("A route", ROUTE),
    ("`limits` of a route", ROUTE_LIMITS),
    ("`[[test]]`", TEST),
    ("`expect`", EXPECT),
];

/// The JSON Schema of the file.
pub(crate) fn schema() -> Value {
    let mut schema = table(TOP);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of tidegate",
    });
    if let (Value::Object(schema), Value::Object(head)) = (&mut schema, head) {
        schema.extend(head);
    }
    schema
}

fn table(settings: &[Setting]) -> Value {
    let properties: Map<String, Value> = settings
        .iter()
        .map(|setting| (setting.key.to_owned(), property(setting)))
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn property(setting: &Setting) -> Value {
    let mut property = setting.kind.schema();
    property["description"] = setting.about.into();
    if let Some(default) = setting.default_value() {
        property["default"] = default;
    }
    property
}

impl Setting {
    fn default_value(&self) -> Option<Value> {
        let text = format!("default = {}", self.default);
        let table: toml::Table = text.parse().ok()?;
        serde_json::to_value(table.get("default")?).ok()
    }
}

impl Kind {
    fn schema(&self) -> Value {
        match self {
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Only(value) => json!({ "const": value }),
            Self::Integer(low, high) => {
                json!({ "type": "integer", "minimum": low, "maximum": high })
            }
            Self::Size => json!({ "type": ["integer", "string"] }),
            Self::Duration | Self::Text => json!({ "type": "string" }),
            // A variable may stand for the word.
            Self::Word(words) => {
                json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$\\{" }] })
            }
            Self::OneOrMore(kind) => {
                let one = kind.schema();
                json!({ "anyOf": [one, { "type": "array", "items": one }] })
            }
            Self::Either(kinds) => {
                let kinds: Vec<Value> = kinds.iter().map(Self::schema).collect();
                json!({ "anyOf": kinds })
            }
            Self::Any => json!({}),
            Self::Map(kind) => json!({ "type": "object", "additionalProperties": kind.schema() }),
            Self::Table(settings) => table(settings),
            Self::Route => {
                let mut route = table(ROUTE);
                let verb = |verb: &&str| match *verb {
                    // Beside another verb it is that verb's option, and a number.
                    "status" => json!({
                        "required": [verb],
                        "properties": { "status": { "const": true } },
                    }),
                    verb => json!({ "required": [verb] }),
                };
                route["oneOf"] = VERBS.iter().map(verb).collect();
                route
            }
            Self::Tables(settings) => json!({ "type": "array", "items": table(settings) }),
        }
    }
}

/// Every key as a Markdown table for each table of the file.
pub(crate) fn key_table() -> String {
    let mut text = String::new();
    for (title, settings) in TABLES {
        text += &format!("\n**{title}**\n\n| Key | Default | What it says |\n|---|---|---|\n");
        for setting in *settings {
            let default = match setting.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            text += &format!("| `{}` | {default} | {} |\n", setting.key, setting.about);
        }
    }
    text.trim_start().to_owned()
}
