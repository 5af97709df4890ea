//! Verbs without a value: `echo = true`, `status = true`, `metrics = true`, `live = true`,
//! `dashboard = true`.

use super::setting::{Kind, Setting, rows, show, walk};
use super::verb::{Answer, VerbKeys};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Route, Verb};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::written;

pub(super) const ECHO: VerbKeys = VerbKeys {
    key: "echo",
    usage: "echo = true",
    example: "\"/echo\" = { echo = true }",
    rows: || rows(ECHO_SETTINGS),
    read: |section| read(section, ECHO_SETTINGS, Verb::Echo),
    show: |route| show_route(route, ECHO_SETTINGS, &Verb::Echo),
};

pub(super) const STATUS: VerbKeys = VerbKeys {
    key: "status",
    usage: "status = true",
    example: "\"/status\" = { status = true }",
    rows: || rows(STATUS_SETTINGS),
    read: |section| read(section, STATUS_SETTINGS, Verb::Status),
    show: |route| show_route(route, STATUS_SETTINGS, &Verb::Status),
};

pub(super) const METRICS: VerbKeys = VerbKeys {
    key: "metrics",
    usage: "metrics = true",
    example: "\"/metrics\" = { metrics = true }",
    rows: || rows(METRICS_SETTINGS),
    read: |section| read(section, METRICS_SETTINGS, Verb::Metrics),
    show: |route| show_route(route, METRICS_SETTINGS, &Verb::Metrics),
};

pub(super) const LIVE: VerbKeys = VerbKeys {
    key: "live",
    usage: "live = true",
    example: "\"/live\" = { live = true }",
    rows: || rows(LIVE_SETTINGS),
    read: |section| read(section, LIVE_SETTINGS, Verb::Live),
    show: |route| show_route(route, LIVE_SETTINGS, &Verb::Live),
};

pub(super) const DASHBOARD: VerbKeys = VerbKeys {
    key: "dashboard",
    usage: "dashboard = true",
    example: "\"/dashboard\" = { dashboard = true, allow = \"127.0.0.1\" }",
    rows: || rows(DASHBOARD_SETTINGS),
    read: |section| read(section, DASHBOARD_SETTINGS, Verb::Dashboard),
    show: |route| show_route(route, DASHBOARD_SETTINGS, &Verb::Dashboard),
};

const METRICS_SETTINGS: &[Setting<()>] = &[Setting {
    key: "metrics",
    about: "all that the server counts, for Prometheus, by route",
    translations: &[(
        "stub_status",
        "write `\"/status\" = { status = true }`, or `\"/metrics\" = { metrics = true }` for Prometheus",
    )],
    ..SWITCH
}];

const LIVE_SETTINGS: &[Setting<()>] = &[Setting {
    key: "live",
    about: "200 as long as the event loops turn, otherwise 503",
    ..SWITCH
}];

const DASHBOARD_SETTINGS: &[Setting<()>] = &[Setting {
    key: "dashboard",
    about: "the live page: what the server does at this moment, second by second; to be kept from the public by \
            `allow` or `auth`",
    ..SWITCH
}];

const ECHO_SETTINGS: &[Setting<()>] = &[Setting {
    key: "echo",
    about: "what arrived, as JSON",
    ..SWITCH
}];

const STATUS_SETTINGS: &[Setting<()>] = &[Setting {
    key: "status",
    about: Setting::<(), ()>::STATUS.about,
    ..SWITCH
}];

const SWITCH: Setting<()> = Setting {
    kind: Kind::Only(true),
    read: |node, ()| switch(node),
    show: |()| Some("true".to_owned()),
    ..Setting::BLANK
};

fn read(section: &mut Section<'_>, settings: &'static [Setting<()>], verb: Verb) -> Option<Answer> {
    let walked = walk(section, settings, &mut ());
    walked.is_sound().then(|| verb.into())
}

fn show_route(
    route: &Route,
    settings: &'static [Setting<()>],
    verb: &Verb,
) -> Option<written::Table> {
    (route.verb == *verb).then(|| show(settings, &()))
}

/// Reads `true`. `false` is a mistake, because such a route would do nothing.
fn switch(node: Node<'_>) -> Option<()> {
    let is_on = node.boolean()?;
    if is_on {
        return Some(());
    }
    let verb = node.name;
    let help = format!("write {verb} = true, or take the route out");
    node.cx.report(
        Diagnostic::error(format!("a route with `{verb} = false` does nothing"))
            .at(node.spot(), "")
            .help(help),
    );
    None
}
