//! Verbs without a value: `echo = true`, `status = true`.

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
