//! One `[upstreams.NAME]`.

use super::server;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::keys::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::model::Upstream;
use crate::config::tree::node::Node;
use crate::config::tree::section::Key;
use crate::config::words::upstream::parse_upstream_name;
use crate::config::words::written;

pub(crate) const TABLE: Table = Table {
    title: "`[upstreams.NAME]`",
    home: |_| "`[upstreams.NAME]`".to_owned(),
    rows: || rows(SETTINGS),
};

const SETTINGS: &[Setting<Upstream>] = &[Setting {
    key: "servers",
    kind: Kind::OneOrMore(&Kind::Either(&[Kind::Text, Kind::Table(&server::TABLE)])),
    about: "its servers: addresses, or tables with an `address`",
    read: |node, upstream| set(&mut upstream.servers, server::servers(node)),
    show: |upstream| Some(server::show_servers(&upstream.servers)),
    ..Setting::BLANK
}];

/// Reads one upstream. `None`: there is a mistake, and it is reported.
pub(super) fn upstream(key: &Key<'_>, node: Node<'_>) -> Option<Upstream> {
    let help = "write [upstreams.shop] and servers = [\"127.0.0.1:8000\"]".to_owned();
    let name = key.parse(parse_upstream_name);
    let title = format!("`[upstreams.{}]`", key.name.escape_debug());
    let mut section = node.section(&*title, Some(help))?;
    let place = key.cx.source.place(key.span.start);
    let mut upstream = Upstream::of(name.clone().unwrap_or_default(), Vec::new(), place);
    let walked = walk(&mut section, SETTINGS, &mut upstream);
    if !section.has("servers") {
        let help = "add servers = [\"127.0.0.1:8000\"]".to_owned();
        let error = Diagnostic::error(format!("{title} has no servers"));
        section.report_absence(error.at(key.spot(), "").help(help));
    }
    let is_sound = walked.took("servers") && walked.is_sound();
    section.close();
    (is_sound && name.is_some()).then_some(upstream)
}

/// An upstream in the terms of the file.
pub(crate) fn show_upstream(upstream: &Upstream) -> written::Table {
    show(SETTINGS, upstream)
}
