//! One `[[stream]]`: where it listens, and the upstream that its connections go to.

use super::access;
use super::level::Refinement;
use super::limits::{MAX_CONNECTIONS, read_pace, show_pace_or_false};
use super::listen_claims::{ListenClaims, Misread};
use super::listening::{
    listen, read_group, read_mode, read_owner, report_no_address, show_group, show_listen,
    show_mode, show_owner,
};
use super::peer::{self, Absent};
use super::setting::{Kind, Setting, Table, rows, set, show, walk, word, words};
use super::tls;
use crate::address::UpstreamUrl;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Policy, Stream, Tls};
use crate::config::tree::asked_upstream::AskedUpstream;
use crate::config::tree::node::Node;
use crate::config::words::units::WAIT;
use crate::config::words::upstream::{ProxyTarget, parse_stream_target};
use crate::config::words::written;
use crate::proxy_protocol::Version;

pub(super) const TABLE: Table = Table {
    title: "`[[stream]]`",
    home: |_| "`[[stream]]`".to_owned(),
    rows: || [rows(SETTINGS), rows(ACCESS)].concat(),
};

const VERSIONS: &[(&str, Version)] = &[("v1", Version::V1), ("v2", Version::V2)];

/// What the warning says of a server that cannot be asked yet.
const ABSENT: Absent = Absent {
    name: "it is looked up again; while no other server can be asked, connections are closed at once",
    socket: "while no other server can be asked, connections are closed at once",
};

const SETTINGS: &[Setting<Stream>] = &[
    Setting {
        read: |node, stream| set(&mut stream.listen, Some(listen(node, "stream"))),
        show: |stream| Some(show_listen(&stream.listen)),
        ..Setting::LISTEN
    },
    Setting {
        read: |node, stream| read_mode(node, &mut stream.socket),
        show: |stream| show_mode(&stream.socket),
        ..Setting::SOCKET_MODE
    },
    Setting {
        read: |node, stream| read_owner(node, &mut stream.socket),
        show: |stream| show_owner(&stream.socket),
        ..Setting::SOCKET_OWNER
    },
    Setting {
        read: |node, stream| read_group(node, &mut stream.socket),
        show: |stream| show_group(&stream.socket),
        ..Setting::SOCKET_GROUP
    },
    Setting {
        key: "tls",
        kind: Kind::Table(&tls::STREAM_TABLE),
        about: "its certificate; with it, clients come over TLS, and what they send is passed on as it was \
                before; left out: they come over plain connections",
        read: |node, stream| set(&mut stream.tls, certificate(node).map(Some)),
        show: |stream| stream.tls.as_ref().map(tls::show_tls),
        ..Setting::BLANK
    },
    Setting {
        key: "proxy",
        kind: Kind::Text,
        about: "where its connections go: the name of `[upstreams.NAME]`, \"127.0.0.1:5432\", \
                \"db.internal:5432\", \"unix:/run/postgresql/.s.PGSQL.5432\", or over TLS \
                \"tls://db.internal:5433\"",
        translations: &[("proxy_pass", "the setting is called `proxy`")],
        read: |node, stream| set(&mut stream.upstream, upstream(node)),
        show: |stream| Some(written::string(&stream.upstream)),
        ..Setting::BLANK
    },
    Setting {
        key: "proxy_protocol",
        kind: Kind::Word(|| words(VERSIONS)),
        about: "has the PROXY protocol tell the upstream who the client is; left out: it is not told",
        translations: &[(
            "send_proxy",
            "the setting is called `proxy_protocol`: \"v1\" or \"v2\"",
        )],
        read: |node, stream| set(&mut stream.proxy_protocol, node.word(VERSIONS).map(Some)),
        show: |stream| word(VERSIONS, &stream.proxy_protocol?),
        ..Setting::BLANK
    },
    Setting {
        read: |node, stream| set(&mut stream.accept_proxy_protocol, node.boolean()),
        show: |stream| Some(stream.accept_proxy_protocol.to_string()),
        ..Setting::ACCEPT_PROXY_PROTOCOL
    },
    Setting {
        key: "max_connections",
        kind: Kind::integer(&MAX_CONNECTIONS),
        about: "how many of its connections may be open at once; left out: as many as the whole \
                server may have",
        read: |node, stream| {
            set(
                &mut stream.max_connections,
                node.count(MAX_CONNECTIONS).map(Some),
            )
        },
        show: |stream| stream.max_connections.map(|most| most.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "idle_timeout",
        kind: Kind::Duration,
        default: "\"1h\"",
        about: "without an octet either way: close",
        translations: &[(
            "proxy_timeout",
            "the setting is called `idle_timeout`, in `[[stream]]`",
        )],
        read: |node, stream| set(&mut stream.idle_timeout, node.duration(WAIT)),
        show: |stream| Some(written::duration(stream.idle_timeout)),
        ..Setting::BLANK
    },
    Setting {
        key: "max_rate_out",
        kind: Kind::Either(&[Kind::Text, Kind::Only(false)]),
        default: "false",
        about: "how fast each client is sent what its upstream says, as in \"2 MiB/s\"; false: as fast as it \
                reads; what clients send is passed on as it comes",
        translations: &[(
            "proxy_download_rate",
            "the setting is called `max_rate_out`: \"500 KiB/s\"",
        )],
        read: |node, stream| set(&mut stream.max_rate_out, read_pace(node)),
        show: |stream| Some(show_pace_or_false(stream.max_rate_out)),
        ..Setting::BLANK
    },
];

/// The keys that say which clients may connect: those of a server.
const ACCESS: &[Setting<Refinement, Policy>] = &[access::ALLOW, access::DENY_AT_SERVER];

/// All streams, in the order of the files.
pub(super) fn resolve_streams(nodes: Vec<Node<'_>>, claims: &mut ListenClaims<'_>) -> Vec<Stream> {
    let nodes = nodes.into_iter();
    nodes.filter_map(|node| stream(node, claims)).collect()
}

fn stream(node: Node<'_>, claims: &mut ListenClaims<'_>) -> Option<Stream> {
    let mut section = node.section("`[[stream]]`", None)?;
    let mut stream = Stream::default();
    let walked = walk(&mut section, SETTINGS, &mut stream);
    if section.lacks("listen") {
        report_no_address(node, "stream");
    }
    if section.lacks("proxy") {
        let help = "add proxy = \"127.0.0.1:5432\", or the name of an upstream".to_owned();
        let error = Diagnostic::error("this stream leads nowhere");
        node.cx.report_absence(error.at(node.spot(), "").help(help));
    }
    let mut refinement = Refinement::of(Policy::default());
    walk(&mut section, ACCESS, &mut refinement);
    access::warn_of_denied(&section, &refinement);
    stream.access = refinement.policy.access;
    claims.add_stream(&stream, Misread::of(&walked, &section), node);
    section.close();
    walked.took("proxy").then_some(stream)
}

/// A stream in the terms of the file.
pub(crate) fn show_stream(stream: &Stream) -> written::Table {
    let mut table = show(SETTINGS, stream);
    let policy = Policy {
        access: stream.access.clone(),
        ..Policy::default()
    };
    table.extend(show(ACCESS, &policy));
    table
}

/// Reads `tls`, and has its files read.
fn certificate(node: Node<'_>) -> Option<Tls> {
    let named = tls::tls_of_stream(node)?;
    let tls = named.tls.clone();
    node.cx.certificates.borrow_mut().push(named);
    Some(tls)
}

/// Reads where connections go. Returns the name of the upstream, which is checked when all files are
/// read.
fn upstream(node: Node<'_>) -> Option<String> {
    let (name, server) = match node.text()?.parse(parse_stream_target)? {
        ProxyTarget::Named(name) => (name, None),
        ProxyTarget::Server(UpstreamUrl { scheme, address }) => {
            let address = peer::resolve(node, address, &ABSENT)?;
            let url = UpstreamUrl { scheme, address };
            (written::plain_url(&url), Some(url))
        }
    };
    let spot = node.spot();
    node.cx.asked.borrow_mut().push(AskedUpstream {
        of_stream: true,
        name: name.clone(),
        server,
        spot,
    });
    Some(name)
}
