//! An entry of `servers`: an address, or a table with one.
//!
//! ```toml
//! servers = ["127.0.0.1:8000", { address = "app.internal:8000", weight = 2 }]
//! ```

use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::address::{SocketPath, UpstreamAddress, UpstreamUrl};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::keys::peer::{self, Absent};
use crate::config::keys::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::model::UpstreamServer;
use crate::config::tree::node::Node;
use crate::config::words::upstream::parse_upstream_server;
use crate::config::words::written;

/// A larger one is more likely a slip, and no server is that much stronger than another.
const WEIGHTS: RangeInclusive<u64> = 1..=1000;
const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;

pub(crate) const TABLE: Table = Table {
    title: "A server of `[upstreams.NAME]`",
    home: |_| "an entry of `servers` in `[upstreams.NAME]`".to_owned(),
    rows: || rows(SETTINGS),
};

/// What the warning says of a server that cannot be asked yet.
pub(crate) const ABSENT: Absent = Absent {
    name: "it is looked up again; until then the last answer of a running server holds, and without one routes \
           to it answer 502 while no other server can be asked",
    socket: "while no other server can be asked, routes to it answer 502",
};

const SETTINGS: &[Setting<UpstreamServer>] = &[
    Setting {
        key: "address",
        kind: Kind::Text,
        translations: &[(
            "url",
            "the setting is called `address`: `servers = [{ address = \"127.0.0.1:8000\" }]`",
        )],
        about: "\"127.0.0.1:8000\", \"app.internal:8000\" (all its addresses), \
                \"srv:_http._tcp.app.internal\" or \"unix:run/app.sock\"; over TLS \
                \"https://app.internal:8443\", \"srv:_https._tcp.app.internal\", or \"tls://db.internal:5433\" \
                for a stream",
        read: |node, server| {
            let url = url(node);
            set(&mut server.scheme, url.as_ref().map(|url| url.scheme));
            set(&mut server.address, url.map(|url| url.address))
        },
        show: |server| Some(written::string(&written::plain_url(&server.url()))),
        ..Setting::BLANK
    },
    Setting {
        key: "weight",
        kind: Kind::integer(&WEIGHTS),
        default: "1",
        about: "its share of the requests beside that of the others",
        read: |node, server| set(&mut server.weight, node.small(WEIGHTS)),
        show: |server| Some(server.weight.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "max_connections",
        kind: Kind::integer(&CONNECTIONS),
        about: "how many requests it may have at once; left out: any number",
        translations: &[
            (
                "max_conns",
                "the setting is called `max_connections`, beside the `address` of a server",
            ),
            (
                "maxconn",
                "the setting is called `max_connections`, beside the `address` of a server",
            ),
        ],
        read: |node, server| {
            set(
                &mut server.max_connections,
                node.count(CONNECTIONS).map(Some),
            )
        },
        show: |server| server.max_connections.map(|most| most.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "backup",
        kind: Kind::Boolean,
        default: "false",
        about: "it is asked only while no other server can be",
        read: |node, server| set(&mut server.backup, node.boolean()),
        show: |server| Some(server.backup.to_string()),
        ..Setting::BLANK
    },
];

/// Reads `servers`, each with its place. `None`: there is a mistake, and it is reported.
pub(super) fn servers(node: Node<'_>) -> Option<Vec<(UpstreamServer, Spot)>> {
    let elements = node.at_least_one(
        "`servers` is empty, so there is no server to ask",
        "write servers = [\"127.0.0.1:8000\"]",
    )?;
    let count = elements.len();
    let mut read: Vec<(UpstreamServer, Spot)> = Vec::new();
    for element in elements {
        if let Some(server) = server(element) {
            report_twice(element, &server, &read);
            read.push((server, element.spot()));
        }
    }
    if read.len() < count {
        return None;
    }
    if read.iter().all(|(server, _)| server.backup) {
        let message = "every server is a backup, so there is none for it to stand in for";
        let help = "leave `backup` out of at least one of them".to_owned();
        node.cx
            .report(Diagnostic::error(message).at(node.spot(), "").help(help));
        return None;
    }
    Some(read)
}

/// The entries of `servers`, as TOML.
pub(super) fn show_servers(servers: &[UpstreamServer]) -> String {
    let entry = |server: &UpstreamServer| {
        if *server == UpstreamServer::at(server.url()) {
            written::string(&written::plain_url(&server.url()))
        } else {
            written::inline(show(SETTINGS, server))
        }
    };
    written::array(servers.iter().map(entry))
}

fn server(node: Node<'_>) -> Option<UpstreamServer> {
    let help = "write \"127.0.0.1:8000\", or { address = \"127.0.0.1:8000\", weight = 2 }";
    match node.value.get_ref() {
        DeValue::String(_) => url(node).map(UpstreamServer::at),
        DeValue::Table(_) => {
            let mut section = node.section("a server", None)?;
            let mut server = UpstreamServer::at(UpstreamAddress::Unix(PathBuf::new()));
            let walked = walk(&mut section, SETTINGS, &mut server);
            if section.lacks("address") {
                let error = Diagnostic::error("this server has no address").at(node.spot(), "");
                node.cx.report_absence(error.help(help.to_owned()));
            }
            let is_sound = walked.is_sound() && walked.took("address");
            section.close();
            is_sound.then_some(server)
        }
        _ => node.refuse_type("addresses or tables", Some(help.to_owned())),
    }
}

fn url(node: Node<'_>) -> Option<UpstreamUrl> {
    let UpstreamUrl { scheme, address } = node.text()?.parse(parse_upstream_server)?;
    let address = peer::resolve(node, address, &ABSENT)?;
    Some(UpstreamUrl { scheme, address })
}

/// Whether both lead to one server, however the path of a socket is written.
fn is_same(one: &UpstreamAddress, other: &UpstreamAddress) -> bool {
    match (one, other) {
        (UpstreamAddress::Unix(one), UpstreamAddress::Unix(other)) => {
            SocketPath::new(one.clone()) == SocketPath::new(other.clone())
        }
        _ => one == other,
    }
}

fn report_twice(node: Node<'_>, server: &UpstreamServer, before: &[(UpstreamServer, Spot)]) {
    let same = |(other, _): &&(UpstreamServer, Spot)| is_same(&other.address, &server.address);
    if let Some((_, first)) = before.iter().find(same) {
        let message = format!("the server `{}` stands twice in `servers`", server.address);
        node.cx.report(
            Diagnostic::error(message)
                .at(node.spot(), "the second time")
                .at(first.clone(), "the first time")
                .help("for a larger share write weight = 2".to_owned()),
        );
    }
}
