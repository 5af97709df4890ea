//! `[tracing]`: which traces are recorded, and who gets them.
//!
//! ```toml
//! [tracing]
//! endpoint = "http://127.0.0.1:4318/v1/traces"
//! sample = "10%"
//! ```

use std::net::IpAddr;

use toml::de::DeValue;

use super::authorities::authorities_file;
use super::setting::{Kind, Setting, Table, rows, set, show, walk, word, words};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Config, Followed, Secret, Tracing, WHOLE_TRACES};
use crate::config::tree::node::Node;
use crate::config::words::values::{parse_field_name, parse_field_value};
use crate::config::words::written;
use crate::http::fields::is_same_variable;
use crate::http::http_url::HttpUrl;

/// The key of the table at the top of the file. The dump shows it by [`show_tracing`], as a table.
pub(super) const TRACING: Setting<Config> = Setting {
    key: "tracing",
    kind: Kind::Table(&TABLE),
    about: "traces of requests, for a collector of OpenTelemetry; left out: none",
    translations: &[
        (
            "opentelemetry",
            "write a [tracing] table, with endpoint = \"http://127.0.0.1:4318\"",
        ),
        (
            "otel_exporter",
            "write a [tracing] table, with endpoint = \"http://127.0.0.1:4318\"",
        ),
    ],
    read: |node, config| set(&mut config.tracing, Some(read(node))),
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`[tracing]`",
    home: |_| "`[tracing]`".to_owned(),
    rows: || rows(SETTINGS),
};

/// Where a collector takes spans, if its URL does not say (OTLP/HTTP).
const USUAL_PATH: &str = "/v1/traces";

const FOLLOWED: &[(&str, Followed)] = &[
    ("trusted", Followed::Trusted),
    ("always", Followed::Always),
    ("never", Followed::Never),
];

const SETTINGS: &[Setting<Draft, Tracing>] = &[
    Setting {
        key: "endpoint",
        kind: Kind::Text,
        about: "where the collector takes spans, by OTLP over HTTP with JSON: \"http://127.0.0.1:4318\"; without a \
                path, `/v1/traces`",
        read: |node, draft| set(&mut draft.endpoint, endpoint(node).map(Some)),
        show: |tracing| Some(written::shown(&tracing.endpoint)),
        ..Setting::BLANK
    },
    Setting {
        key: "sample",
        kind: Kind::Any,
        default: "\"100%\"",
        about: "the part of the traces that begin here which is recorded: \"10%\", or 0.1; a trace of a caller \
                is recorded if the caller records it",
        read: |node, draft| set(&mut draft.tracing.sample, sample(node)),
        show: |tracing| Some(written::string(&tracing.shown_sample())),
        ..Setting::BLANK
    },
    Setting {
        key: "parent",
        kind: Kind::Word(|| words(FOLLOWED)),
        default: "\"trusted\"",
        about: "whose `traceparent` is followed: that of trusted proxies, of every client (\"always\"), or of \
                none (\"never\"); the traces of others begin anew",
        read: |node, draft| set(&mut draft.tracing.parent, node.word(FOLLOWED)),
        show: |tracing| word(FOLLOWED, &tracing.parent),
        ..Setting::BLANK
    },
    Setting {
        key: "service",
        kind: Kind::Text,
        default: "\"tidegate\"",
        about: "what the collector calls this server: `service.name`",
        translations: &[(
            "service_name",
            "the setting is called `service`, in `[tracing]`",
        )],
        read: |node, draft| set(&mut draft.tracing.service, service(node)),
        show: |tracing| Some(written::string(&tracing.service)),
        ..Setting::BLANK
    },
    Setting {
        key: "headers",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "fields that the collector is sent: { Authorization = \"Bearer ${TOKEN}\" }; their values are \
                never printed",
        read: |node, draft| set(&mut draft.tracing.headers, headers(node)),
        show: |tracing| Some(show_headers(&tracing.headers)),
        ..Setting::BLANK
    },
    Setting {
        key: "ca",
        kind: Kind::Text,
        about: "a file of PEM: the CAs that may have issued the certificate of the collector; left out: the \
                authorities that the system trusts",
        read: |node, draft| set(&mut draft.tracing.ca, authorities_file(node).map(Some)),
        show: |tracing| Some(written::path(tracing.ca.as_ref()?)),
        ..Setting::BLANK
    },
];

/// The table while it is read.
struct Draft {
    endpoint: Option<HttpUrl>,
    tracing: Tracing,
}

/// Reads the table. `None`: it does not say where spans go, or that is a mistake.
fn read(node: Node<'_>) -> Option<Tracing> {
    let help = "write [tracing], and below it endpoint = \"http://127.0.0.1:4318\"";
    let mut section = node.section("`[tracing]`", Some(help.to_owned()))?;
    let nowhere = "http://localhost".parse().ok()?;
    let mut draft = Draft {
        endpoint: None,
        tracing: Tracing::to(nowhere),
    };
    walk(&mut section, SETTINGS, &mut draft);
    if section.lacks("endpoint") {
        let message = "`[tracing]` does not say where the collector takes spans";
        let error = Diagnostic::error(message).at(node.spot(), "");
        let help = "add endpoint = \"http://127.0.0.1:4318\"".to_owned();
        section.report_absence(error.help(help));
    }
    section.close();
    Some(Tracing {
        endpoint: draft.endpoint?,
        ..draft.tracing
    })
}

fn endpoint(node: Node<'_>) -> Option<HttpUrl> {
    let text = node.text()?;
    let url: HttpUrl = match text.value.parse() {
        Ok(url) => url,
        Err(error) => {
            let message = format!("`endpoint` is no URL of a collector: {error}");
            let help = "write \"http://127.0.0.1:4318\", or \"https://collector.example:4318\"";
            let error = Diagnostic::error(message).at(node.spot(), "");
            node.cx.report(error.help(help.to_owned()));
            return None;
        }
    };
    let is_name = url.host().parse::<IpAddr>().is_err();
    if is_name && node.cx.look_up(url.host(), url.port()).is_empty() {
        let host = url.host();
        let message = format!("the name `{host}` is not found; until it is, spans are dropped");
        node.cx
            .report(Diagnostic::warning(message).at(node.spot(), ""));
    }
    Some(url.or_path(USUAL_PATH))
}

/// Reads a part of the whole, as millionths: `"10%"`, or 0.1.
fn sample(node: Node<'_>) -> Option<u32> {
    let whole = f64::from(WHOLE_TRACES);
    let part = match node.value.get_ref() {
        DeValue::String(_) => percentage(&node.text()?.value),
        DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
        DeValue::Integer(_) => node.number().map(|number| number as f64),
        _ => return node.refuse_type("a part of the whole, such as \"10%\"", None),
    };
    let is_part = |part: &f64| (0.0..=1.0).contains(part);
    if let Some(part) = part.filter(is_part) {
        // What is not 0 is not made 0: an operator who wants one of ten million gets one of a million.
        let millionths = (part * whole).round().max(f64::from(u8::from(part > 0.0)));
        return Some(millionths as u32);
    }
    let message = "`sample` must be a part of the whole, from \"0%\" to \"100%\"";
    let help =
        "\"10%\" is one trace of ten; \"0%\" records those alone that callers record".to_owned();
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), "").help(help));
    None
}

fn percentage(text: &str) -> Option<f64> {
    let digits = text.strip_suffix('%')?.trim_end();
    let is_plain = |octet: u8| octet.is_ascii_digit() || octet == b'.';
    let number: f64 = digits
        .parse()
        .ok()
        .filter(|_| digits.bytes().all(is_plain))?;
    Some(number / 100.0)
}

fn service(node: Node<'_>) -> Option<String> {
    let text = node.text()?.value;
    if !text.trim().is_empty() && text.len() <= 255 && !text.contains(char::is_control) {
        return Some(text);
    }
    let message = "`service` is a name of 1 to 255 bytes, on one line";
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), ""));
    None
}

/// Fields that this server has something to say about itself.
const OWN: [&str; 6] = [
    "Host",
    "Content-Length",
    "Content-Type",
    "Transfer-Encoding",
    "Connection",
    "User-Agent",
];

fn headers(node: Node<'_>) -> Option<Vec<(String, Secret)>> {
    let help = "write headers = { Authorization = \"Bearer ${TOKEN}\" }";
    let section = node.section("`headers`", Some(help.to_owned()))?;
    let mut headers = Vec::new();
    let mut is_sound = true;
    for (key, node) in section.entries() {
        let name = key.parse(parse_field_name);
        let value = node.text().and_then(|text| text.parse(parse_field_value));
        let is_own = |name: &String| OWN.iter().any(|own| is_same_variable(own, name));
        match (name, value) {
            (Some(name), Some(_)) if is_own(&name) => {
                let message = format!("this server says `{name}` to the collector itself");
                node.cx
                    .report(Diagnostic::error(message).at(node.spot(), ""));
                is_sound = false;
            }
            (Some(name), Some(value)) => headers.push((name, Secret(value))),
            _ => is_sound = false,
        }
    }
    is_sound.then_some(headers)
}

fn show_headers(headers: &[(String, Secret)]) -> String {
    let shown = |(name, value): &(String, Secret)| (name.clone(), written::secret(&value.0));
    written::inline(headers.iter().map(shown))
}

/// The settings of `[tracing]` in the terms of the file; nothing if there is no such table.
pub(crate) fn show_tracing(tracing: Option<&Tracing>) -> written::Table {
    tracing
        .map(|tracing| show(SETTINGS, tracing))
        .unwrap_or_default()
}
