//! `failures`, `retry`, `timeouts`, `queue`: what is done about servers that fail, are late or are busy.

use std::ops::RangeInclusive;

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::keys::setting::{Kind, Setting, Table, read_table, rows, set};
use crate::config::model::{Failures, Queue, Retry, UpstreamTimeouts};
use crate::config::tree::node::Node;
use crate::config::words::units::{WAIT, WAIT_OR_NONE};
use crate::config::words::written;

const FAILURES: RangeInclusive<u64> = 0..=1_000_000;
/// Each try is another server, and no upstream has that many that all fail.
const TRIES: RangeInclusive<u64> = 1..=100;
/// Each of them holds a client's connection.
const QUEUED: RangeInclusive<u64> = 0..=1_000_000;
const RETRIED: RangeInclusive<u64> = 400..=599;

pub(crate) const FAILURES_TABLE: Table = Table {
    title: "`failures`",
    home: |_| "`failures` of `[upstreams.NAME]`".to_owned(),
    rows: || rows(FAILURES_SETTINGS),
};

pub(super) const FAILURES_SETTINGS: &[Setting<Failures>] = &[
    Setting {
        key: "max",
        kind: Kind::integer(&FAILURES),
        default: "3",
        about: "so many failures, and the server is not asked for `pause`; 0: it is always asked",
        translations: &[(
            "max_fails",
            "the setting is called `max`: `failures = { max = 3, within = \"10s\", pause = \"5s\" }`",
        )],
        read: |node, failures| set(&mut failures.max, node.small(FAILURES)),
        show: |failures| Some(failures.max.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "within",
        kind: Kind::Duration,
        default: "\"10s\"",
        about: "failures count together that lie so close to each other",
        read: |node, failures| set(&mut failures.within, node.duration(WAIT)),
        show: |failures| Some(written::duration(failures.within)),
        ..Setting::BLANK
    },
    Setting {
        key: "pause",
        kind: Kind::Duration,
        default: "\"5s\"",
        about: "how long it is not asked; each pause that follows another is twice as long, up to 20 times",
        translations: &[(
            "fail_timeout",
            "the settings are called `within` and `pause`: \
             `failures = { max = 3, within = \"10s\", pause = \"5s\" }`",
        )],
        read: |node, failures| set(&mut failures.pause, node.duration(WAIT)),
        show: |failures| Some(written::duration(failures.pause)),
        ..Setting::BLANK
    },
];

pub(crate) const TIMEOUTS_TABLE: Table = Table {
    title: "`timeouts`",
    home: |_| "`timeouts` of `[upstreams.NAME]`".to_owned(),
    rows: || rows(TIMEOUTS_SETTINGS),
};

pub(super) const TIMEOUTS_SETTINGS: &[Setting<UpstreamTimeouts>] = &[
    Setting {
        key: "connect",
        kind: Kind::Duration,
        default: "\"3s\"",
        about: "how long a server may take to accept a connection: another one is asked, or 504",
        translations: &[
            (
                "proxy_connect_timeout",
                "the setting is called `connect`, in `timeouts` of `[upstreams.NAME]`",
            ),
            (
                "timeout_connect",
                "the setting is called `connect`, in `timeouts` of `[upstreams.NAME]`",
            ),
            (
                "dial_timeout",
                "the setting is called `connect`, in `timeouts` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, timeouts| set(&mut timeouts.connect, node.duration(WAIT)),
        show: |timeouts| Some(written::duration(timeouts.connect)),
        ..Setting::BLANK
    },
    Setting {
        key: "head",
        kind: Kind::Duration,
        default: "\"60s\"",
        about: "from the end of a request to the end of the head of its answer: 504",
        translations: &[
            (
                "response_header_timeout",
                "the setting is called `head`, in `timeouts` of `[upstreams.NAME]`",
            ),
            (
                "responseHeaderTimeout",
                "the setting is called `head`, in `timeouts` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, timeouts| set(&mut timeouts.head, node.duration(WAIT)),
        show: |timeouts| Some(written::duration(timeouts.head)),
        ..Setting::BLANK
    },
    Setting {
        key: "read",
        kind: Kind::Duration,
        default: "\"60s\"",
        about: "between two reads of content, and how long the server may take nothing of a request: cut",
        translations: &[
            (
                "proxy_read_timeout",
                "the settings are called `head` and `read`, in `timeouts` of `[upstreams.NAME]`; \
                 `timeout` beside `proxy` is both, for one route",
            ),
            (
                "proxy_send_timeout",
                "the setting is called `read`, in `timeouts` of `[upstreams.NAME]`: it is for both ways",
            ),
            (
                "timeout_server",
                "the settings are called `head` and `read`, in `timeouts` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, timeouts| set(&mut timeouts.read, node.duration(WAIT)),
        show: |timeouts| Some(written::duration(timeouts.read)),
        ..Setting::BLANK
    },
];

pub(crate) const RETRY_TABLE: Table = Table {
    title: "`retry`",
    home: |_| "`retry` of `[upstreams.NAME]`".to_owned(),
    rows: || rows(RETRY_SETTINGS),
};

pub(super) const RETRY_SETTINGS: &[Setting<Retry>] = &[
    Setting {
        key: "tries",
        kind: Kind::integer(&TRIES),
        default: "3",
        about: "how many servers a request is sent to at most, one after the other; 1: it is never sent again",
        translations: &[
            (
                "proxy_next_upstream_tries",
                "the setting is called `tries`, in `retry` of `[upstreams.NAME]`",
            ),
            (
                "retries",
                "the setting is called `tries`, in `retry` of `[upstreams.NAME]`, and counts the first",
            ),
            (
                "lb_retries",
                "the setting is called `tries`, in `retry` of `[upstreams.NAME]`, and counts the first",
            ),
        ],
        read: |node, retry| set(&mut retry.tries, node.small(TRIES)),
        show: |retry| Some(retry.tries.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "within",
        kind: Kind::Duration,
        default: "\"10s\"",
        about: "no try begins later than this after the first",
        translations: &[
            (
                "proxy_next_upstream_timeout",
                "the setting is called `within`, in `retry` of `[upstreams.NAME]`",
            ),
            (
                "lb_try_duration",
                "the setting is called `within`, in `retry` of `[upstreams.NAME]`",
            ),
        ],
        read: |node, retry| set(&mut retry.within, node.duration(WAIT_OR_NONE)),
        show: |retry| Some(written::duration(retry.within)),
        ..Setting::BLANK
    },
    Setting {
        key: "statuses",
        kind: Kind::OneOrMore(&Kind::integer(&RETRIED)),
        default: "[]",
        about: "answers that count as failures of their server; a request that may be sent again goes to \
                another one",
        read: |node, retry| set(&mut retry.statuses, statuses(node)),
        show: |retry| Some(written::array(retry.statuses.iter().map(u16::to_string))),
        ..Setting::BLANK
    },
];

pub(crate) const QUEUE_TABLE: Table = Table {
    title: "`queue`",
    home: |_| "`queue` of `[upstreams.NAME]`".to_owned(),
    rows: || rows(QUEUE_SETTINGS),
};

pub(super) const QUEUE_SETTINGS: &[Setting<Queue>] = &[
    Setting {
        key: "max",
        kind: Kind::integer(&QUEUED),
        default: "100",
        about: "how many may wait, of all workers together; one more is answered 503; 0: none waits",
        read: |node, queue| set(&mut queue.max, node.count(QUEUED)),
        show: |queue| Some(queue.max.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "within",
        kind: Kind::Duration,
        default: "\"10s\"",
        about: "how long one waits: 503",
        read: |node, queue| set(&mut queue.within, node.duration(WAIT)),
        show: |queue| Some(written::duration(queue.within)),
        ..Setting::BLANK
    },
];

/// Reads `retry`. `None`: there is a mistake, and it is reported.
pub(super) fn retry(node: Node<'_>, retry: &mut Retry) -> Option<()> {
    let help = "write retry = { tries = 3, within = \"10s\", statuses = [502, 503] }";
    read_table(node, RETRY_SETTINGS, retry, help)?;
    if retry.tries == 1 && !retry.statuses.is_empty() {
        let message = "tries = 1 sends no request again, so `statuses` has nothing to say";
        let error = Diagnostic::error(message).at(node.spot(), "");
        let help = "leave one of them out".to_owned();
        node.cx.report(error.help(help));
        return None;
    }
    Some(())
}

fn statuses(node: Node<'_>) -> Option<Vec<u16>> {
    let mut statuses = Vec::new();
    let elements = node.one_or_more();
    let count = elements.len();
    for element in elements {
        let status = element
            .integer(RETRIED)
            .and_then(|code| u16::try_from(code).ok());
        statuses.extend(status);
    }
    (statuses.len() == count).then_some(statuses)
}
