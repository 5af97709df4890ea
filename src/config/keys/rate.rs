//! `[rates.NAME]`: how many requests may be made; and `rate`, which names those that hold for a server or a
//! route.
//!
//! ```toml
//! [rates.login]
//! rate = "10/m"
//! burst = 5
//! key = "client"
//!
//! "/login" = { proxy = "app", rate = "login" }
//! ```

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::level::Refinement;
use super::listening::warn_twice;
use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::suggest::nearest;
use crate::config::model::{Bucket, Policy, Rate, RateKey, Server};
use crate::config::tree::named_buckets::NamedBuckets;
use crate::config::tree::named_rate::NamedRate;
use crate::config::tree::node::{Context, Node, list};
use crate::config::tree::section::Key;
use crate::config::words::rate::{parse_rate, parse_rate_key, parse_rate_name, show_rate};
use crate::config::words::units::WAIT_OR_NONE;
use crate::config::words::written;

/// As [`AT_ROUTE`], for a level that inherits none.
pub(super) const AT_SERVER: Setting<Refinement, Policy> = Setting {
    default: "false",
    ..AT_ROUTE
};

/// It replaces the inherited ones.
pub(super) const AT_ROUTE: Setting<Refinement, Policy> = Setting {
    key: "rate",
    kind: Kind::Either(&[Kind::TEXTS, Kind::Only(false)]),
    about: "names of `[rates.NAME]` at which requests are counted; one too many for one of them is answered 429; \
            false: none",
    translations: &[
        (
            "limit_req",
            "write rate = \"login\", and [rates.login] with rate = \"10/m\" at the top of the file",
        ),
        (
            "rate_limit",
            "write rate = \"login\", and [rates.login] with rate = \"10/m\" at the top of the file",
        ),
    ],
    read: |node, refinement| set(&mut refinement.policy.rates, names(node)),
    show: |policy| Some(show_names(&policy.rates)),
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`[rates.NAME]`",
    home: |_| "`[rates.NAME]`".to_owned(),
    rows: || rows(SETTINGS),
};

/// Requests at once. More than that is no limit.
const BURST: RangeInclusive<u64> = 1..=100_000;

/// Each takes 17 bytes.
const MAX_KEYS: RangeInclusive<u64> = 1..=10_000_000;
const DEFAULT_MAX_KEYS: usize = 100_000;

/// How long a request is held at most if `delay` only says that it is.
const DEFAULT_DELAY: Duration = Duration::from_secs(10);

/// A rate while its keys are read.
struct Draft {
    rate: Rate,
    /// `None`: as many as `rate` says.
    burst: Option<u32>,
    /// Where the file says how much memory the rate takes: at `max_keys`, or at the name.
    size_spot: Spot,
}

const SETTINGS: &[Setting<Draft, Rate>] = &[
    Setting {
        key: "rate",
        kind: Kind::Text,
        about: "how many requests in which time: \"10/s\", \"100/m\", \"1000/h\", \"5/10s\"",
        read: |node, draft| {
            let bucket = &mut draft.rate.bucket;
            (bucket.requests, bucket.period) = node.text()?.parse(parse_rate)?;
            Some(())
        },
        show: |rate| {
            let Bucket {
                requests, period, ..
            } = rate.bucket;
            Some(written::string(&show_rate(requests, period)))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "burst",
        kind: Kind::integer(&BURST),
        about: "how many may come at once after a rest; left out: as many as `rate` says, 100000 at most",
        read: |node, draft| set(&mut draft.burst, node.small(BURST).map(Some)),
        show: |rate| Some(rate.bucket.burst.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "key",
        kind: Kind::TEXTS,
        default: "\"client\"",
        about: "what the requests that are counted together have in common: \"client\" (of IPv6 the network \
                of 64 bits), \"path\", \"host\", \"header NAME\", \"cookie NAME\", or several of them",
        read: |node, draft| set(&mut draft.rate.bucket.keys, keys(node)),
        show: |rate| {
            let keys = rate.bucket.keys.iter().map(written::shown);
            Some(written::array(keys))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "delay",
        kind: Kind::Either(&[Kind::Boolean, Kind::Duration]),
        default: "false",
        about: "true: a request that comes too early is held until it is its turn, for 10 seconds at most; \
                \"30s\": for so long at most; what would wait longer is answered 429",
        translations: &[(
            "nodelay",
            "no request is held, unless a rate says delay = true",
        )],
        read: |node, draft| set(&mut draft.rate.max_delay, delay(node)),
        show: |rate| {
            Some(if rate.max_delay.is_zero() {
                "false".to_owned()
            } else {
                written::duration(rate.max_delay)
            })
        },
        ..Setting::BLANK
    },
    Setting {
        key: "dry_run",
        kind: Kind::Boolean,
        default: "false",
        about: "true: no request is held or refused; the log says which would be",
        translations: &[(
            "limit_req_dry_run",
            "write dry_run = true in `[rates.NAME]`",
        )],
        read: |node, draft| set(&mut draft.rate.dry_run, node.boolean()),
        show: |rate| Some(rate.dry_run.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "max_keys",
        kind: Kind::integer(&MAX_KEYS),
        default: "100000",
        about: "how many keys are remembered, each in 17 bytes; past it, one is forgotten that has asked little",
        read: |node, draft| {
            draft.size_spot = node.spot();
            set(&mut draft.rate.bucket.max_keys, node.count(MAX_KEYS))
        },
        show: |rate| Some(rate.bucket.max_keys.to_string()),
        ..Setting::BLANK
    },
];

const HELP: &str = "write [rates.login] and rate = \"10/m\"";

/// Reads one rate. `None`: there is a mistake, and it is reported.
fn rate(key: &Key<'_>, node: Node<'_>) -> Option<Rate> {
    let name = key.parse(parse_rate_name);
    let title = format!("`[rates.{}]`", key.name.escape_debug());
    let mut section = node.section(&*title, Some(HELP.to_owned()))?;
    let mut draft = Draft {
        rate: Rate {
            name: name.clone().unwrap_or_default(),
            bucket: Bucket {
                requests: 1,
                period: Duration::from_secs(1),
                burst: 1,
                keys: vec![RateKey::Client],
                max_keys: DEFAULT_MAX_KEYS,
            },
            max_delay: Duration::ZERO,
            dry_run: false,
        },
        burst: None,
        size_spot: key.spot(),
    };
    let walked = walk(&mut section, SETTINGS, &mut draft);
    if section.lacks("rate") {
        let error = Diagnostic::error(format!("{title} has no rate")).at(key.spot(), "");
        section.report_absence(error.help("add rate = \"10/m\"".to_owned()));
    }
    section.close();
    let is_sound = walked.took("rate") && walked.is_sound() && name.is_some();
    let bucket = &mut draft.rate.bucket;
    let most = u32::try_from(*BURST.end()).unwrap_or(u32::MAX);
    bucket.burst = draft.burst.unwrap_or(bucket.requests).min(most);
    if is_sound {
        key.cx.buckets.borrow_mut().push(NamedBuckets {
            rate: draft.rate.name.clone(),
            options: draft.rate.bucket.clone(),
            spot: draft.size_spot,
        });
    }
    is_sound.then_some(draft.rate)
}

/// A rate in the terms of the file.
pub(crate) fn show_rate_table(rate: &Rate) -> written::Table {
    show(SETTINGS, rate)
}

/// Reads `key`.
fn keys(node: Node<'_>) -> Option<Vec<RateKey>> {
    let help = "leave it out to count the requests of each client";
    let nodes = node.at_least_one("`key` names nothing", help)?;
    let mut keys: Vec<RateKey> = Vec::new();
    let mut is_sound = true;
    for node in nodes {
        match node.text().and_then(|text| text.parse(parse_rate_key)) {
            Some(key) if keys.contains(&key) => warn_twice(node, &key.to_string()),
            Some(key) => keys.push(key),
            None => is_sound = false,
        }
    }
    is_sound.then_some(keys)
}

/// Reads `delay`.
fn delay(node: Node<'_>) -> Option<Duration> {
    match node.value.get_ref() {
        DeValue::Boolean(true) => Some(DEFAULT_DELAY),
        DeValue::Boolean(false) => Some(Duration::ZERO),
        DeValue::String(_) => node.duration(WAIT_OR_NONE),
        _ => node.refuse_type("true, false or a duration", None),
    }
}

/// Reads `rate` of a server or a route.
fn names(node: Node<'_>) -> Option<Vec<String>> {
    read_names(node, true)
}

/// Reads `rate` of what a test expects.
pub(super) fn expected(node: Node<'_>) -> Option<Vec<String>> {
    read_names(node, false)
}

/// Reads names, or false; `counts` says whether requests are counted there.
fn read_names(node: Node<'_>, counts: bool) -> Option<Vec<String>> {
    if let DeValue::Boolean(false) = node.value.get_ref() {
        return Some(Vec::new());
    }
    let help = "write rate = \"login\", or rate = false";
    let nodes = node.at_least_one("`rate` names no rate", help)?;
    let mut names: Vec<String> = Vec::new();
    let mut is_sound = true;
    for node in nodes {
        let Some(text) = node.text() else {
            is_sound = false;
            continue;
        };
        if parse_rate(&text.value).is_ok() {
            is_sound = false;
            report_bare_rate(node, &text.value);
        } else if names.contains(&text.value) {
            warn_twice(node, &text.value);
        } else {
            node.cx.rates.borrow_mut().push(NamedRate {
                name: text.value.clone(),
                spot: node.spot(),
                counts,
            });
            names.push(text.value);
        }
    }
    is_sound.then_some(names)
}

/// Reports `rate = "10/m"` at a route: a rate has a name, because routes may share it.
fn report_bare_rate(node: Node<'_>, rate: &str) {
    let message = "`rate` of a route or a server names a rate";
    let help = format!(
        "add\n[rates.login]\nrate = \"{rate}\"\nat the top of the file, and write rate = \"login\" here"
    );
    let error = Diagnostic::error(message).at(node.spot(), "");
    node.cx.report(error.help(help));
}

/// The names as they are written: one as a string.
pub(super) fn show_names(names: &[String]) -> String {
    match names {
        [] => "false".to_owned(),
        [name] => written::string(name),
        names => written::strings(names),
    }
}

/// The rates of all files.
#[derive(Default)]
pub(super) struct Known<'c> {
    /// Every name that is there, with those of rates that have a mistake.
    names: Vec<Key<'c>>,
    rates: Vec<Rate>,
}

impl<'c> Known<'c> {
    /// Reads the tables `[rates.NAME]` of all files. A name that stands twice is reported.
    pub(super) fn read(nodes: Vec<Node<'c>>) -> Self {
        let mut known = Self::default();
        for node in nodes {
            let Some(section) = node.section("`[rates]`", Some(HELP.to_owned())) else {
                continue;
            };
            for (key, value) in section.entries() {
                known.add(key, value);
            }
        }
        known.rates.sort_by(|a, b| a.name.cmp(&b.name));
        known
    }

    fn add(&mut self, key: Key<'c>, value: Node<'c>) {
        let rate = rate(&key, value);
        if let Some(first) = self.names.iter().find(|first| first.name == key.name) {
            let message = format!("there are two rates `{}`", key.name.escape_debug());
            let error = Diagnostic::error(message).at(key.spot(), "the second one");
            return key.cx.report(error.at(first.spot(), "the first one"));
        }
        self.names.push(key);
        self.rates.extend(rate);
    }

    /// Warns, at `node`, of rates that count requests by client where clients have no address: at a Unix
    /// socket of `server`. All of them count as one client there.
    pub(super) fn warn_of_no_address(&self, node: Node<'_>, server: &Server) {
        let socket = server
            .listen
            .iter()
            .find(|address| address.unix().is_some());
        let Some(socket) = socket.filter(|_| !server.accept_proxy_protocol) else {
            return;
        };
        let routes = server.routes.iter().map(|route| &route.policy.rates);
        let named = || routes.clone().chain([&server.policy.rates]).flatten();
        let of_clients = self.rates.iter().filter(|rate| {
            rate.bucket.keys.contains(&RateKey::Client) && named().any(|name| *name == rate.name)
        });
        for rate in of_clients {
            let message = format!(
                "all requests that come to {socket} count as those of one client at the rate `{}`",
                rate.name
            );
            let help = "peers at a Unix socket have no address: if a proxy connects there, add \
                        trusted_proxies = \"unix:\" at the top of the file, and have the proxy say who its \
                        client is; or count by another key, such as \"header NAME\"";
            let warning = Diagnostic::warning(message).at(node.spot(), "");
            node.cx.report_absence(warning.help(help.to_owned()));
        }
    }

    /// All rates by name. One that is named in `contexts`, the files, and is not there is reported, and one
    /// that is there and at which nothing is counted.
    pub(super) fn complete(self, contexts: &[&Context<'_>]) -> Vec<Rate> {
        let mut used = Vec::new();
        for cx in contexts {
            for named in cx.rates.take() {
                if !self.names.iter().any(|key| key.name == named.name) {
                    self.report_unknown(cx, &named.name, named.spot);
                } else if named.counts {
                    used.push(named.name);
                }
            }
        }
        for key in &self.names {
            let is_named = used.iter().any(|name| name == key.name);
            if !is_named && parse_rate_name(key.name).is_ok() {
                let message = format!("nothing is counted at the rate `{}`", key.name);
                let help = format!(
                    "a route with rate = \"{}\" counts its requests there",
                    key.name
                );
                let warning = Diagnostic::warning(message).at(key.spot(), "");
                key.cx.report_absence(warning.help(help));
            }
        }
        self.rates
    }

    fn report_unknown(&self, cx: &Context<'_>, name: &str, spot: Spot) {
        let names = || self.names.iter().map(|key| key.name);
        let meant = nearest(name, names());
        let label = meant.map_or(String::new(), |name| format!("did you mean `{name}`?"));
        let help = match (meant, self.names.as_slice()) {
            (Some(_), _) => None,
            (None, _) if matches!(name, "none" | "off") => {
                Some("write rate = false to count at no rate".to_owned())
            }
            (None, []) => Some(format!(
                "add\n[rates.{}]\nrate = \"10/m\"",
                written::key(name)
            )),
            (None, _) => {
                let names = list(names().map(|name| format!("`{name}`")), "and");
                Some(format!("there is {names}"))
            }
        };
        let error = Diagnostic::error(format!("there is no rate `{}`", name.escape_debug()));
        cx.report_absence(error.at(spot, label).help(help));
    }
}
