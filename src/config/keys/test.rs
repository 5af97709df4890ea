//! `[[test]]`: a request, and the response that the operator expects. `tidegate check` tries it.
//!
//! ```toml
//! [[test]]
//! request = "GET /api"
//! host    = "example.com"
//! listen  = "localhost:8080"
//! headers = { Accept = "application/json" }
//! expect  = { status = 200, route = "/api", header.Cache-Control = "no-store", header.Server = false }
//! ```

use std::ops::RangeInclusive;

use super::listening::listen_entry;
use super::proxy;
use super::rate;
use super::secrets;
use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::model::{Expectation, RoutePattern, RouteTest, Server, Verb};
use crate::config::tree::node::Node;
use crate::config::tree::section::Key;
use crate::config::words::method::parse_method;
use crate::config::words::pattern::parse_pattern;
use crate::config::words::values::{parse_field_name, parse_field_value};
use crate::config::words::written;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::{Form, Target, is_valid_host, mended};

pub(super) const TABLE: Table = Table {
    title: "`[[test]]`",
    home: |_| "`[[test]]`".to_owned(),
    rows: || rows(SETTINGS),
};

pub(super) const EXPECT_TABLE: Table = Table {
    title: "`expect`",
    home: |_| "`expect` of a `[[test]]`".to_owned(),
    rows: || rows(EXPECT_SETTINGS),
};

/// A test while its keys are read.
#[derive(Default)]
struct Draft {
    request: Option<(Method, String)>,
    host: Option<String>,
    /// The addresses that `listen` stands for, and where it is written.
    listen: Option<(Vec<ListenAddress>, Spot)>,
    fields: Vec<(String, String)>,
    has_certificate: bool,
    expect: ExpectDraft,
}

const SETTINGS: &[Setting<Draft, RouteTest>] = &[
    Setting {
        key: "request",
        kind: Kind::Text,
        about: "a method and a request-target: \"GET /api\"",
        read: |node, draft| {
            draft.request = Some(node.text()?.parse(parse_request)?);
            Some(())
        },
        show: |test| Some(written::string(&format!("{} {}", test.method, test.target))),
        ..Setting::BLANK
    },
    Setting {
        key: "host",
        kind: Kind::Text,
        about: "what `Host` says",
        read: |node, draft| {
            draft.host = Some(host(node)?);
            Some(())
        },
        show: |test| test.host.as_deref().map(written::string),
        ..Setting::BLANK
    },
    Setting {
        key: "listen",
        kind: Kind::Text,
        about: "where it arrives; left out: at the port in `host`, or where a server names the host",
        read: |node, draft| {
            draft.listen = Some((listen_entry(node)?, node.spot()));
            Some(())
        },
        show: |test| test.listen.as_ref().map(written::address),
        ..Setting::BLANK
    },
    Setting {
        key: "headers",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "further fields of the request",
        read: |node, draft| set(&mut draft.fields, fields(node)),
        show: |test| Some(show_fields(&test.fields)),
        ..Setting::BLANK
    },
    Setting {
        key: "client_certificate",
        kind: Kind::Boolean,
        default: "false",
        about: "whether the client has shown a certificate that is verified",
        read: |node, draft| set(&mut draft.has_certificate, node.boolean()),
        show: |test| Some(test.has_certificate.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "expect",
        kind: Kind::Table(&EXPECT_TABLE),
        about: "what must be so of the answer",
        read: |node, draft| read_expectation(node, &mut draft.expect),
        show: |test| Some(written::inline(show(EXPECT_SETTINGS, &test.expect))),
        ..Setting::BLANK
    },
];

/// Fields of a request; of those that prove who the client is, only the names.
fn show_fields(fields: &[(String, String)]) -> String {
    let field = |(name, value): &(String, String)| {
        let value = if secrets::is_proof(name) {
            written::secret(value)
        } else {
            written::string(value)
        };
        (name.clone(), value)
    };
    written::inline(fields.iter().map(field))
}

/// What is expected, while its keys are read.
#[derive(Default)]
struct ExpectDraft {
    status: Option<Status>,
    /// The pattern, how it is written, and where.
    route: Option<(RoutePattern, String, Spot)>,
    /// The name of the upstream, and where it is written.
    proxy: Option<(String, Spot)>,
    rates: Option<Vec<String>>,
    target: Option<String>,
    fields: Vec<(String, Option<String>)>,
}

const STATUSES: RangeInclusive<u64> = 100..=599;

const EXPECT_SETTINGS: &[Setting<ExpectDraft, Expectation>] = &[
    Setting {
        key: "status",
        kind: Kind::integer(&STATUSES),
        about: "its status",
        read: |node, draft| {
            let code = u16::try_from(node.integer(STATUSES)?).ok()?;
            draft.status = Some(Status::from_code(code)?);
            Some(())
        },
        show: |expect| expect.status.map(|status| status.code().to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "route",
        kind: Kind::Text,
        about: "the key of the route that answers",
        read: |node, draft| {
            let text = node.text()?;
            let pattern = text.parse(parse_pattern)?;
            draft.route = Some((pattern, text.value, node.spot()));
            Some(())
        },
        show: |expect| expect.route.as_ref().map(written::shown),
        ..Setting::BLANK
    },
    Setting {
        key: "proxy",
        kind: Kind::Text,
        about: "the upstream that would be asked; it is not asked, so beside it only `route` can be expected",
        read: |node, draft| {
            let (name, _) = proxy::upstream_name(node)?;
            draft.proxy = Some((name, node.spot()));
            Some(())
        },
        show: |expect| expect.proxy.as_deref().map(written::string),
        ..Setting::BLANK
    },
    Setting {
        key: "rate",
        kind: Kind::Either(&[Kind::TEXTS, Kind::Only(false)]),
        about: "the rates at which it is counted, all of them; false: none",
        read: |node, draft| set(&mut draft.rates, rate::expected(node).map(Some)),
        show: |expect| expect.rates.as_deref().map(rate::show_names),
        ..Setting::BLANK
    },
    Setting {
        key: "target",
        kind: Kind::Text,
        about: "what `rewrite` has the handler asked for: \"/item?id=7\"",
        read: |node, draft| {
            draft.target = Some(node.text()?.parse(parse_target)?);
            Some(())
        },
        show: |expect| expect.target.as_deref().map(written::string),
        ..Setting::BLANK
    },
    Setting {
        key: "header",
        kind: Kind::Map(&Kind::Either(&[Kind::Text, Kind::Only(false)])),
        default: "{}",
        about: "values of its fields; false: there is none",
        read: |node, draft| set(&mut draft.fields, expected_fields(node)),
        show: |expect| Some(show_expected_fields(&expect.fields)),
        ..Setting::BLANK
    },
];

/// All tests, in the order of the files.
pub(super) fn resolve_tests(nodes: Vec<Node<'_>>, servers: &[Server]) -> Vec<RouteTest> {
    let test = |node| route_test(node, servers);
    nodes.into_iter().filter_map(test).collect()
}

fn route_test(node: Node<'_>, servers: &[Server]) -> Option<RouteTest> {
    let mut section = node.section("`[[test]]`", None)?;
    let mut draft = Draft::default();
    let walked = walk(&mut section, SETTINGS, &mut draft);
    if section.lacks("request") {
        report_missing(node, "this test has no request", "add request = \"GET /\"");
    }
    if section.lacks("expect") {
        report_missing(node, "this test expects nothing", EXPECT_HELP);
    }
    section.close();
    let ExpectDraft {
        status,
        route,
        proxy,
        rates,
        target: expected_target,
        fields,
    } = draft.expect;
    let route = route.and_then(|route| known_route(node, route, servers));
    let proxy = proxy.and_then(|proxy| known_upstream(node, proxy, servers));
    let listen = draft
        .listen
        .and_then(|listen| known_listener(node, listen, servers));
    let (method, target) = draft.request?;
    walked.took("expect").then(|| RouteTest {
        method,
        target,
        host: draft.host,
        listen,
        fields: draft.fields,
        has_certificate: draft.has_certificate,
        expect: Expectation {
            status,
            route,
            proxy,
            rates,
            target: expected_target,
            fields,
        },
        place: node.cx.source.place(node.value.span().start),
    })
}

/// A test in the terms of the file.
pub(crate) fn show_test(test: &RouteTest) -> written::Table {
    show(SETTINGS, test)
}

fn report_missing(test: Node<'_>, message: &str, help: &str) {
    let diagnostic = Diagnostic::error(message).at(test.spot(), "");
    test.cx.report_absence(diagnostic.help(help.to_owned()));
}

/// Reads `GET /path?query`: a request line without its version (RFC 9112 §3).
fn parse_request(text: &str) -> Result<(Method, String), Fault> {
    const HELP: &str = "write a method and a request-target: \"GET /api?q=1\"";
    let Some((name, target)) = text.split_once(' ') else {
        return Err(Fault::new(0..text.len(), "this is not a request").help(HELP));
    };
    let method = parse_method(name).map_err(|fault| fault.or_help(HELP))?;
    let is_visible = target.bytes().all(|byte| byte.is_ascii_graphic());
    match Target::parse(method, target.as_bytes()) {
        Some(_) if is_visible => Ok((method, target.to_owned())),
        _ => {
            let message = format!(
                "`{}` is not a request-target for {method}",
                target.escape_debug()
            );
            let fault = Fault::new(name.len() + 1..text.len(), message);
            Err(match mended(method, target) {
                Some(target) => fault.help(format!("write \"{name} {target}\"")),
                None => fault.help(HELP),
            })
        }
    }
}

/// Reads a path and perhaps a query.
fn parse_target(text: &str) -> Result<String, Fault> {
    let target = Target::parse(Method::Get, text.as_bytes());
    if target.is_some_and(|target| target.form == Form::Origin) {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(0..text.len(), "this is no path with a query");
    Err(fault.help("write \"/item?id=7\""))
}

fn host(node: Node<'_>) -> Option<String> {
    let text = node.text()?;
    text.parse(|text| {
        if is_valid_host(text.as_bytes()) {
            return Ok(text.to_owned());
        }
        let message = format!("`{text}` cannot be a `Host`");
        Err(Fault::new(0..text.len(), message))
    })
}

fn fields(node: Node<'_>) -> Option<Vec<(String, String)>> {
    let help = "write headers = { Accept = \"text/html\" }".to_owned();
    let section = node.section("`headers`", Some(help))?;
    let field = |(key, value): (Key<'_>, Node<'_>)| {
        Some((key.parse(parse_field_name)?, field_value(value)?))
    };
    Some(section.entries().into_iter().filter_map(field).collect())
}

fn field_value(node: Node<'_>) -> Option<String> {
    node.text()?.parse(parse_field_value)
}

/// Reads what is expected. `None`: it is not a table, or the table is empty.
fn read_expectation(node: Node<'_>, draft: &mut ExpectDraft) -> Option<()> {
    let mut section = node.section("`expect`", Some(EXPECT_HELP.to_owned()))?;
    walk(&mut section, EXPECT_SETTINGS, draft);
    if section.entries().is_empty() {
        report_missing(node, "this test expects nothing", EXPECT_HELP);
        return None;
    }
    section.close();
    Some(())
}

const EXPECT_HELP: &str = "add expect = { status = 200, route = \"/\" }";

/// Returns the pattern if some server has a route with it. Otherwise no response could pass the test,
/// which is reported.
fn known_route(
    test: Node<'_>,
    (pattern, written, spot): (RoutePattern, String, Spot),
    servers: &[Server],
) -> Option<RoutePattern> {
    let mut routes = servers.iter().flat_map(|server| &server.routes);
    if routes.any(|route| route.pattern == pattern) {
        return Some(pattern);
    }
    let message = format!("no server has a route `{written}`");
    let help = "write it as the key in `[server.routes]`".to_owned();
    test.cx
        .report_unknown_name(Diagnostic::error(message).at(spot, "").help(help));
    None
}

/// Returns the name of an upstream if some route asks it. Otherwise no request could pass the test, which is
/// reported.
fn known_upstream(
    test: Node<'_>,
    (name, spot): (String, Spot),
    servers: &[Server],
) -> Option<String> {
    let routes = servers.iter().flat_map(|server| &server.routes);
    let asked = routes.filter_map(|route| match &route.verb {
        Verb::Proxy(proxy) => Some(proxy.upstream.as_str()),
        _ => None,
    });
    let asked: Vec<&str> = asked.collect();
    if asked.contains(&name.as_str()) {
        return Some(name);
    }
    let meant = nearest(&name, asked);
    let label = meant.map_or(String::new(), |name| format!("did you mean `{name}`?"));
    let message = format!("no route asks the upstream `{name}`");
    test.cx
        .report_unknown_name(Diagnostic::error(message).at(spot, label));
    None
}

/// Returns the first of the addresses at which some server listens. Otherwise no request could arrive,
/// which is reported.
fn known_listener(
    test: Node<'_>,
    (addresses, spot): (Vec<ListenAddress>, Spot),
    servers: &[Server],
) -> Option<ListenAddress> {
    let is_listened_at =
        |address: &ListenAddress| servers.iter().any(|server| server.listen.contains(address));
    let found = addresses.into_iter().find(is_listened_at);
    if found.is_none() {
        let message = "no server listens there";
        let help = "write an address as in `listen` of a `[[server]]`".to_owned();
        let diagnostic = Diagnostic::error(message).at(spot, "").help(help);
        test.cx.report_unknown_name(diagnostic);
    }
    found
}

/// Reads `header.NAME = "VALUE"`, or false for a field that must not be there.
fn expected_fields(node: Node<'_>) -> Option<Vec<(String, Option<String>)>> {
    let help = "write header.Cache-Control = \"no-store\"".to_owned();
    let section = node.section("`header`", Some(help))?;
    let field = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(parse_field_name)?;
        match value.value.get_ref().as_bool() {
            Some(false) => Some((name, None)),
            _ => Some((name, Some(field_value(value)?))),
        }
    };
    Some(section.entries().into_iter().filter_map(field).collect())
}

fn show_expected_fields(fields: &[(String, Option<String>)]) -> String {
    let field = |(name, value): &(String, Option<String>)| {
        let value = value.as_deref().map_or("false".to_owned(), written::string);
        (name.clone(), value)
    };
    written::inline(fields.iter().map(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requests() {
        for (text, method, target) in [
            ("GET /", Method::Get, "/"),
            ("POST /a?b=c", Method::Post, "/a?b=c"),
            ("OPTIONS *", Method::Options, "*"),
            (
                "GET http://example.com/a",
                Method::Get,
                "http://example.com/a",
            ),
        ] {
            assert_eq!(
                parse_request(text),
                Ok((method, target.to_owned())),
                "{text:?}"
            );
        }
    }

    #[test]
    fn says_how_a_client_would_send_a_request_target() {
        for (text, help) in [
            ("GET /é", "write \"GET /%C3%A9\""),
            ("GET /a b#c", "write \"GET /a%20b\""),
            (
                "GET api",
                "write a method and a request-target: \"GET /api?q=1\"",
            ),
        ] {
            let fault = parse_request(text).expect_err(text);
            assert_eq!(fault.help.as_deref(), Some(help), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_request_and_says_where() {
        for (text, range) in [
            ("", 0..0),
            ("/api", 0..4),
            ("get /", 0..3),
            ("GET api", 4..7),
            ("GET /a b", 4..8),
            ("GET *", 4..5),
        ] {
            assert_eq!(
                parse_request(text).expect_err(text).range,
                range,
                "{text:?}"
            );
        }
    }
}
