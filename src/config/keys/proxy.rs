//! `proxy = UPSTREAM`, and the options beside it.

use toml::de::DeValue;

use super::certificate;
use super::headers;
use super::peer;
use super::setting::{Kind, Setting, rows, set, show, walk};
use super::upstream::ABSENT;
use super::verb::{Answer, VerbKeys};
use crate::address::{Scheme, UpstreamAddress, UpstreamUrl};
use crate::config::model::{HostField, Proxy, Route, Verb};
use crate::config::tree::asked_upstream::AskedUpstream;
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::proxy::{parse_host_field, parse_protocol};
use crate::config::words::units::{WAIT, WAIT_OR_NONE};
use crate::config::words::upstream::{ProxyTarget, parse_proxy_target};
use crate::config::words::written;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "proxy",
    usage: "proxy = \"NAME\"",
    example: "\"/api\" = { proxy = \"http://127.0.0.1:8000\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

const SETTINGS: &[Setting<Proxy>] = &[
    Setting {
        key: "proxy",
        kind: Kind::Text,
        about: "a server that speaks HTTP: the name of `[upstreams.NAME]` or `[apps.NAME]`, or \"http://HOST:PORT\"",
        translations: &[
            (
                "proxy_pass",
                "the setting is called `proxy`: `\"/\" = { proxy = \"http://127.0.0.1:8000\" }`",
            ),
            (
                "reverse_proxy",
                "the setting is called `proxy`: `\"/\" = { proxy = \"http://127.0.0.1:8000\" }`",
            ),
            (
                "use_backend",
                "the setting is called `proxy`: `\"/\" = { proxy = \"shop\" }`",
            ),
            (
                "default_backend",
                "the setting is called `proxy`: `\"/\" = { proxy = \"shop\" }`",
            ),
            (
                "proxy_http_version",
                "upstreams are asked by HTTP/1.1, and connections to them are kept, by themselves",
            ),
        ],
        read: |node, proxy| set(&mut proxy.upstream, upstream(node)),
        show: |proxy| Some(written::string(&proxy.upstream)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, proxy| set(&mut proxy.strip_prefix, node.boolean()),
        show: |proxy| Some(proxy.strip_prefix.to_string()),
        ..Setting::STRIP_PREFIX
    },
    Setting {
        key: "host",
        kind: Kind::Text,
        default: "\"keep\"",
        about: "what `Host` says: \"keep\", what the client's said; \"upstream\", the address of the \
                server; or a host",
        translations: &[(
            "passHostHeader",
            "the setting is called `host`, beside `proxy` in a route: \"keep\" or \"upstream\"",
        )],
        read: |node, proxy| set(&mut proxy.host, node.text()?.parse(parse_host_field)),
        show: |proxy| Some(show_host(&proxy.host)),
        ..Setting::BLANK
    },
    Setting {
        key: "request_headers",
        kind: Kind::Either(&[Kind::Table(&headers::TABLE), Kind::TEXT_MAP]),
        default: "{}",
        about: "fields of the request that is sent; fields alone are `set`",
        translations: &[
            (
                "proxy_set_header",
                "the setting is called `request_headers`, beside `proxy` in a route; `Host` is `host`, and \
                 `X-Forwarded-For`, `-Proto` and `-Host` are set by themselves",
            ),
            (
                "header_up",
                "the setting is called `request_headers`, beside `proxy` in a route; `Host` is `host`",
            ),
            (
                "forwardfor",
                "`X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` are set by themselves",
            ),
        ],
        read: |node, proxy| {
            let headers = headers::request_headers(node);
            set(&mut proxy.request_headers, headers)
        },
        show: |proxy| Some(headers::show_request_headers(&proxy.request_headers)),
        ..Setting::BLANK
    },
    certificate::CLIENT_CERTIFICATE,
    Setting {
        key: "buffer",
        kind: Kind::Boolean,
        default: "true",
        about: "a request is taken in before the server is asked, and its answer ahead of the client, so \
                that a slow client holds no server; events (`text/event-stream`) are passed on as they come",
        translations: &[
            (
                "proxy_buffering",
                "`proxy_buffering off` is called `buffer = false`, beside `proxy` in a route",
            ),
            (
                "proxy_request_buffering",
                "`proxy_request_buffering off` is called `buffer = false`, beside `proxy` in a route",
            ),
            (
                "flush_interval",
                "`flush_interval -1` is called `buffer = false`, beside `proxy` in a route",
            ),
        ],
        read: |node, proxy| set(&mut proxy.buffer, node.boolean()),
        show: |proxy| Some(proxy.buffer.to_string()),
        ..Setting::BLANK
    },
    Setting {
        read: |node, proxy| set(&mut proxy.timeout, node.duration(WAIT).map(Some)),
        show: |proxy| proxy.timeout.map(written::duration),
        ..Setting::TIMEOUT
    },
    Setting {
        key: "upgrade",
        kind: Kind::Either(&[Kind::TEXTS, Kind::Only(false)]),
        default: "[\"websocket\"]",
        about: "the protocols that `Upgrade` may change to, through a tunnel; false: none",
        read: |node, proxy| set(&mut proxy.upgrade, protocols(node)),
        show: |proxy| Some(written::strings(&proxy.upgrade)),
        ..Setting::BLANK
    },
    Setting {
        key: "tunnel_timeout",
        kind: Kind::Duration,
        default: "\"1h\"",
        about: "how long a tunnel may be without octets: closed",
        translations: &[(
            "timeout_tunnel",
            "the setting is called `tunnel_timeout`, beside `proxy` in a route",
        )],
        read: |node, proxy| set(&mut proxy.tunnel_timeout, node.duration(WAIT)),
        show: |proxy| Some(written::duration(proxy.tunnel_timeout)),
        ..Setting::BLANK
    },
    Setting {
        key: "tunnel_grace",
        kind: Kind::Duration,
        default: "\"5s\"",
        about: "how long a tunnel may go on when the server stops, or its route or its server is gone: closed",
        translations: &[(
            "worker_shutdown_timeout",
            "the settings are called `grace`, at the top of the file, and `tunnel_grace`, beside `proxy` in a \
             route",
        )],
        read: |node, proxy| set(&mut proxy.tunnel_grace, node.duration(WAIT_OR_NONE)),
        show: |proxy| Some(written::duration(proxy.tunnel_grace)),
        ..Setting::BLANK
    },
    Setting {
        key: "proxy_status",
        kind: Kind::Boolean,
        default: "false",
        about: "answers say in `Proxy-Status` what became of the request (RFC 9209)",
        read: |node, proxy| set(&mut proxy.proxy_status, node.boolean()),
        show: |proxy| Some(proxy.proxy_status.to_string()),
        ..Setting::BLANK
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut proxy = Proxy::to(String::new());
    let walked = walk(section, SETTINGS, &mut proxy);
    certificate::report_set_twice(section, &proxy);
    if !walked.took("proxy") {
        return None;
    }
    Some(Answer {
        strip_prefix: proxy.strip_prefix,
        verb: Verb::Proxy(proxy),
    })
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Proxy(proxy) = &route.verb else {
        return None;
    };
    Some(show(SETTINGS, proxy))
}

fn show_host(host: &HostField) -> String {
    written::string(match host {
        HostField::Keep => "keep",
        HostField::Upstream => "upstream",
        HostField::Set(host) => host,
    })
}

/// Reads the protocols of `upgrade`. One with a mistake is left out.
fn protocols(node: Node<'_>) -> Option<Vec<String>> {
    match node.value.get_ref() {
        DeValue::Boolean(false) => return Some(Vec::new()),
        DeValue::String(_) | DeValue::Array(_) => {}
        _ => {
            let help = "write upgrade = [\"websocket\"]".to_owned();
            return node.refuse_type("names of protocols, or false", Some(help));
        }
    }
    let mut protocols: Vec<String> = Vec::new();
    for element in node.one_or_more() {
        let protocol = element.text().and_then(|text| text.parse(parse_protocol));
        protocols.extend(protocol.filter(|protocol| !protocols.contains(protocol)));
    }
    Some(protocols)
}

/// Reads what is asked. Returns the name of its upstream, which is checked when all files are read.
pub(super) fn upstream(node: Node<'_>) -> Option<String> {
    let (name, server) = upstream_name(node)?;
    node.cx.asked.borrow_mut().push(AskedUpstream {
        of_stream: false,
        name: name.clone(),
        server: server.map(|UpstreamUrl { scheme, address }| UpstreamUrl {
            scheme,
            address: peer::look_up(node, address, &ABSENT),
        }),
        spot: node.spot(),
    });
    Some(name)
}

/// Reads the name of an upstream, or the address of a server, which is not looked up; then the name is that
/// of the upstream that has this server alone.
pub(super) fn upstream_name(node: Node<'_>) -> Option<(String, Option<UpstreamUrl>)> {
    match node.text()?.parse(parse_proxy_target)? {
        ProxyTarget::Named(name) => Some((name, None)),
        ProxyTarget::Server(UpstreamUrl { scheme, address }) => {
            let address = peer::locate(node, address)?;
            let url = UpstreamUrl { scheme, address };
            Some((name_of_server(&url), Some(url)))
        }
    }
}

/// The name of the upstream that has this server alone: one for each server, however it is written.
pub(super) fn name_of_server(url: &UpstreamUrl) -> String {
    match (&url.address, url.scheme) {
        (UpstreamAddress::Unix(_), _) | (_, Scheme::Https | Scheme::Tls) => written::plain_url(url),
        (address, Scheme::Plain) => format!("http://{address}"),
    }
}
