//! `health`: a request that each server is asked again and again.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::keys::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::model::{HealthCheck, StatusRange};
use crate::config::tree::node::Node;
use crate::config::words::proxy::parse_sent_host;
use crate::config::words::units::WAIT;
use crate::config::words::written;

const STATUSES: RangeInclusive<u64> = 100..=599;
const IN_A_ROW: RangeInclusive<u64> = 1..=1000;
/// A server that is asked more often has little else to do.
const EVERY: RangeInclusive<Duration> = Duration::from_millis(10)..=*WAIT.end();

pub(crate) const TABLE: Table = Table {
    title: "`health`",
    home: |_| "`health` of `[upstreams.NAME]`".to_owned(),
    rows: || rows(SETTINGS),
};

const SETTINGS: &[Setting<HealthCheck>] = &[
    Setting {
        key: "path",
        kind: Kind::Text,
        about: "what is asked for, with GET: \"/healthz\"",
        translations: &[(
            "health_uri",
            "write `health = { path = \"/healthz\" }` in `[upstreams.NAME]`",
        )],
        read: |node, health| set(&mut health.path, node.text()?.parse(parse_path)),
        show: |health| Some(written::string(&health.path)),
        ..Setting::BLANK
    },
    Setting {
        key: "host",
        kind: Kind::Text,
        about: "what `Host` says; left out: the address of the server",
        read: |node, health| {
            let host = node.text()?.parse(parse_sent_host);
            set(&mut health.host, host.map(Some))
        },
        show: |health| health.host.as_deref().map(written::string),
        ..Setting::BLANK
    },
    Setting {
        key: "every",
        kind: Kind::Duration,
        default: "\"5s\"",
        about: "how often; once for all workers",
        translations: &[
            (
                "health_interval",
                "the setting is called `every`, in `health` of `[upstreams.NAME]`",
            ),
            (
                "interval",
                "the setting is called `every`, in `health` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, health| set(&mut health.every, node.duration(EVERY)),
        show: |health| Some(written::duration(health.every)),
        ..Setting::BLANK
    },
    Setting {
        key: "timeout",
        kind: Kind::Duration,
        default: "\"2s\"",
        about: "how long the answer may take; not longer than `every`",
        translations: &[(
            "health_timeout",
            "the setting is called `timeout`, in `health` of `[upstreams.NAME]`",
        )],
        read: |node, health| set(&mut health.timeout, node.duration(WAIT)),
        show: |health| Some(written::duration(health.timeout)),
        ..Setting::BLANK
    },
    Setting {
        key: "status",
        kind: Kind::OneOrMore(&Kind::Either(&[Kind::Text, Kind::integer(&STATUSES)])),
        default: "\"2xx\"",
        about: "the statuses of a healthy server: 204, \"2xx\", or an array of them",
        translations: &[(
            "health_status",
            "the setting is called `status`, in `health` of `[upstreams.NAME]`",
        )],
        read: |node, health| set(&mut health.status, statuses(node)),
        show: |health| Some(written::array(health.status.iter().map(show_status))),
        ..Setting::BLANK
    },
    Setting {
        key: "rises",
        kind: Kind::integer(&IN_A_ROW),
        default: "2",
        about: "good answers in a row after which an unhealthy server is healthy",
        translations: &[
            (
                "rise",
                "the setting is called `rises`, in `health` of `[upstreams.NAME]`",
            ),
            (
                "health_passes",
                "the setting is called `rises`, in `health` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, health| set(&mut health.rises, node.small(IN_A_ROW)),
        show: |health| Some(health.rises.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "falls",
        kind: Kind::integer(&IN_A_ROW),
        default: "3",
        about: "bad answers in a row, or none, after which it is unhealthy: it is not asked",
        translations: &[
            (
                "fall",
                "the setting is called `falls`, in `health` of `[upstreams.NAME]`",
            ),
            (
                "health_fails",
                "the setting is called `falls`, in `health` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, health| set(&mut health.falls, node.small(IN_A_ROW)),
        show: |health| Some(health.falls.to_string()),
        ..Setting::BLANK
    },
];

/// Reads `health`. `None`: there is a mistake, and it is reported.
pub(super) fn health(node: Node<'_>) -> Option<HealthCheck> {
    const HELP: &str = "write health = { path = \"/healthz\" }";
    let mut section = node.section("`health`", Some(HELP.to_owned()))?;
    let mut health = HealthCheck {
        path: String::new(),
        host: None,
        every: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        status: vec![StatusRange {
            first: 200,
            last: 299,
        }],
        rises: 2,
        falls: 3,
    };
    let walked = walk(&mut section, SETTINGS, &mut health);
    if section.lacks("path") {
        let error = Diagnostic::error("`health` says nothing to ask for").at(node.spot(), "");
        section.report_absence(error.help(HELP.to_owned()));
    }
    if health.timeout > health.every {
        match section.peek("timeout") {
            Some(timeout) => {
                let message =
                    "`timeout` is longer than `every`: a server would be asked before it is late";
                section.report(Diagnostic::error(message).at(timeout.spot(), ""));
            }
            None => health.timeout = health.every,
        }
    }
    section.close();
    (walked.is_sound() && walked.took("path")).then_some(health)
}

pub(super) fn show_health(health: &HealthCheck) -> String {
    written::inline(show(SETTINGS, health))
}

/// Reads a path, and perhaps a query, as it stands in a request-target (RFC 9112 §3.2.1).
pub(crate) fn parse_path(text: &str) -> Result<String, Fault> {
    let is_path = text.starts_with('/')
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'#');
    if is_path {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is not the path of a request", text.escape_debug());
    Err(Fault::new(0..text.len(), message).help("write \"/healthz\""))
}

fn statuses(node: Node<'_>) -> Option<Vec<StatusRange>> {
    let message = "`status` is empty, so no server would ever be healthy";
    let elements = node.at_least_one(message, "write status = \"2xx\"")?;
    elements.into_iter().map(status).collect()
}

fn status(node: Node<'_>) -> Option<StatusRange> {
    read_status(node, &STATUSES, "2xx")
}

/// Reads a status within `statuses`, or a class of them such as `example`.
pub(crate) fn read_status(
    node: Node<'_>,
    statuses: &RangeInclusive<u64>,
    example: &str,
) -> Option<StatusRange> {
    match node.value.get_ref() {
        DeValue::String(_) => node.text()?.parse(parse_class),
        DeValue::Integer(_) => {
            let code = u16::try_from(node.integer(statuses.clone())?).ok()?;
            Some(StatusRange {
                first: code,
                last: code,
            })
        }
        _ => node.refuse_type(&format!("a status or \"{example}\""), None),
    }
}

/// Reads `2xx`.
fn parse_class(text: &str) -> Result<StatusRange, Fault> {
    let class = text
        .strip_suffix("xx")
        .and_then(|digit| digit.parse::<u16>().ok());
    if let Some(class) = class.filter(|class| (1..=5).contains(class)) {
        let first = class * 100;
        return Ok(StatusRange {
            first,
            last: first + 99,
        });
    }
    let message = format!("`{}` is no class of statuses", text.escape_debug());
    let fault = Fault::new(0..text.len(), message);
    Err(match text.parse::<u16>() {
        Ok(code) => fault.help(format!("write it without quotes: {code}")),
        Err(_) => fault.help("write \"2xx\", 204, or [\"2xx\", 404]"),
    })
}

/// Reads a status or a class of them in another place than the file: `404`, `5xx`.
///
/// # Errors
/// It is neither.
pub(crate) fn parse_status(text: &str) -> Result<StatusRange, Fault> {
    let code = text.parse::<u16>().ok();
    match code.filter(|code| (100..=999).contains(code)) {
        Some(code) => Ok(StatusRange {
            first: code,
            last: code,
        }),
        None => parse_class(text).map_err(|_| {
            let message = format!("`{}` is no status", text.escape_debug());
            Fault::new(0..text.len(), message).help("write 404 or 5xx")
        }),
    }
}

/// Writes a status or a class as it is read.
pub(crate) fn show_status(range: &StatusRange) -> String {
    if range.first == range.last {
        return range.first.to_string();
    }
    written::string(&format!("{}xx", range.first / 100))
}
