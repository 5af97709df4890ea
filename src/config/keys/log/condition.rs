//! `when` of an access log: which exchanges it has.
//!
//! ```toml
//! when = { status = ["4xx", "5xx"], route = "/api", slower_than = "1s" }    # all of it must hold
//! ```

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::suggest::nearest;
use crate::config::keys::setting::{Kind, Setting, Table, read_table, rows, show};
use crate::config::keys::upstream::{read_status, show_status};
use crate::config::model::{LogCondition, PathStart, Server, StatusRange};
use crate::config::tree::named_route::NamedRoute;
use crate::config::tree::node::{Context, Node};
use crate::config::words::method::parse_method;
use crate::config::words::pattern::route_key;
use crate::config::words::units::WAIT_OR_NONE;
use crate::config::words::written;
use crate::http::method::Method;
use crate::reason::Reason;

pub(crate) const TABLE: Table = Table {
    title: "`when`",
    home: |_| "`when`, in `[[log.access]]`".to_owned(),
    rows: || rows(SETTINGS),
};

const HELP: &str = "write when = { status = \"5xx\" }";

pub(super) fn read(node: Node<'_>) -> Option<LogCondition> {
    let mut condition = LogCondition::default();
    read_table(node, SETTINGS, &mut condition, HELP)?;
    Some(condition)
}

/// `None` where every exchange is meant.
pub(super) fn show_condition(condition: &LogCondition) -> Option<String> {
    let is_for_all = *condition == LogCondition::default();
    (!is_for_all).then(|| written::inline(show(SETTINGS, condition)))
}

const STATUSES: std::ops::RangeInclusive<u64> = 100..=999;

const SETTINGS: &[Setting<LogCondition>] = &[
    Setting {
        key: "status",
        kind: Kind::OneOrMore(&Kind::Either(&[Kind::Text, Kind::integer(&STATUSES)])),
        about: "statuses: 404, \"5xx\", or an array of them; left out: any",
        read: |node, condition| each(node, &mut condition.status, status),
        show: |condition| shown(&condition.status, show_status),
        ..Setting::BLANK
    },
    Setting {
        key: "route",
        kind: Kind::TEXTS,
        about: "keys of routes: \"/api\"; left out: any, and none at all",
        read: |node, condition| each(node, &mut condition.route, route),
        show: |condition| shown(&condition.route, |text| written::string(text)),
        ..Setting::BLANK
    },
    Setting {
        key: "path",
        kind: Kind::TEXTS,
        about: "paths, and what is below them: \"/api\"; left out: any",
        read: |node, condition| each(node, &mut condition.path, path),
        show: |condition| shown(&condition.path, written::shown),
        ..Setting::BLANK
    },
    Setting {
        key: "method",
        kind: Kind::TEXTS,
        about: "methods: \"POST\"; left out: any",
        read: |node, condition| each(node, &mut condition.method, method),
        show: |condition| shown(&condition.method, written::shown),
        ..Setting::BLANK
    },
    Setting {
        key: "reason",
        kind: Kind::TEXTS,
        about: "reasons, as `tidegate reasons` lists them; left out: any, and none at all",
        read: |node, condition| each(node, &mut condition.reason, reason),
        show: |condition| shown(&condition.reason, written::shown),
        ..Setting::BLANK
    },
    Setting {
        key: "slower_than",
        kind: Kind::Duration,
        about: "exchanges that took at least so long",
        translations: &[("slow", "the setting is called `slower_than`, in `when`")],
        read: |node, condition| {
            condition.slower_than = Some(node.duration(WAIT_OR_NONE)?);
            Some(())
        },
        show: |condition| condition.slower_than.map(written::duration),
        ..Setting::BLANK
    },
];

/// Reads one value, or an array of them. An empty array would leave the log empty.
fn each<T>(node: Node<'_>, place: &mut Vec<T>, read: impl Fn(Node<'_>) -> Option<T>) -> Option<()> {
    let message = format!("`{}` is empty, so no exchange would be recorded", node.name);
    let help = format!("leave {} out, if any will do", node.name);
    let nodes = node.at_least_one(message, help)?;
    *place = nodes.into_iter().map(read).collect::<Option<_>>()?;
    Some(())
}

/// One value by itself, several as an array; `None` where there is none.
fn shown<T>(values: &[T], show: impl Fn(&T) -> String) -> Option<String> {
    match values {
        [] => None,
        [one] => Some(show(one)),
        several => Some(written::array(several.iter().map(show))),
    }
}

fn status(node: Node<'_>) -> Option<StatusRange> {
    read_status(node, &STATUSES, "5xx")
}

fn route(node: Node<'_>) -> Option<String> {
    let key = route_key(&node.text()?.value);
    node.cx.logged.borrow_mut().push(NamedRoute {
        key: key.clone(),
        spot: node.spot(),
    });
    Some(key)
}

/// What stands in logs for the keys of routes that the server adds by itself.
const OWN_ROUTES: [&str; 2] = ["http_redirect", "acme"];

/// Warns of routes that access logs name in `contexts`, the files, and that none of `servers` has: such a log
/// would stay empty.
pub(crate) fn warn_of_unknown_routes(contexts: &[&Context<'_>], servers: &[Server]) {
    let routes = servers.iter().flat_map(|server| &server.routes);
    let keys: Vec<String> = routes.map(|route| route.pattern.to_string()).collect();
    let is_known = |key: &String| keys.contains(key) || OWN_ROUTES.contains(&key.as_str());
    for cx in contexts {
        for named in cx
            .logged
            .take()
            .iter()
            .filter(|named| !is_known(&named.key))
        {
            let message = format!("there is no route `{}`", named.key.escape_debug());
            let meant = nearest(&named.key, keys.iter().map(String::as_str));
            let label = meant.map(|key| format!("did you mean `{key}`?"));
            let help = "the log has no line for it: name a route as `[server.routes]` does, \"/api\" or \
                        \"POST /api\"; `path` is for what clients ask for";
            let warning =
                Diagnostic::warning(message).at(named.spot.clone(), label.unwrap_or_default());
            cx.report_absence(warning.help(help.to_owned()));
        }
    }
}

fn path(node: Node<'_>) -> Option<PathStart> {
    let path = node.text()?.value;
    if path.starts_with('/') {
        return Some(PathStart::new(path));
    }
    let message = format!("`{}` is no path", path.escape_debug());
    let help = format!("write \"/{}\"", path.escape_debug());
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), "").help(help));
    None
}

fn method(node: Node<'_>) -> Option<Method> {
    node.text()?.parse(parse_method)
}

fn reason(node: Node<'_>) -> Option<Reason> {
    let text = node.text()?.value;
    let mut all = Reason::ALL.iter().copied();
    if let Some(reason) = all.find(|reason| reason.id() == text) {
        return Some(reason);
    }
    let ids = Reason::ALL.iter().map(|reason| reason.id());
    let meant = nearest(&text, ids);
    let label = meant.map_or(String::new(), |id| format!("did you mean \"{id}\"?"));
    let message = format!("`{}` is no reason", text.escape_debug());
    let help = "`tidegate reasons` lists them".to_owned();
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), label).help(help));
    None
}
