//! `[[test]]`: what the operator expects of a request, held against a configuration before it runs.
//!
//! ```toml
//! [[test]]
//! request = "GET /api"
//! host    = "example.com"
//! headers = { Accept = "application/json" }
//! expect  = { status = 200, route = "/api", header.Cache-Control = "no-store", header.Server = false }
//! ```

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::complaint::vocabulary::explain;
use crate::config::model::{Expectation, RoutePattern, RouteTest, Server};
use crate::config::tree::node::{Node, Text};
use crate::config::tree::section::{Key, Section};
use crate::config::words::pattern::parse_pattern;
use crate::config::words::values::{parse_field_name, parse_field_value};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::{Target, is_valid_host};

/// All tests, in the order of the files.
pub(super) fn resolve_tests(nodes: Vec<Node<'_>>, servers: &[Server]) -> Vec<RouteTest> {
    let test = |node| route_test(node, servers);
    nodes.into_iter().filter_map(test).collect()
}

fn route_test(node: Node<'_>, servers: &[Server]) -> Option<RouteTest> {
    let mut section = node.section("`[[test]]`", None)?;
    let request = request(node, section.take("request"));
    let host = section.take("host").and_then(host);
    let fields = section.take("headers").map(fields).unwrap_or_default();
    let expect = expectation(node, section.take("expect"), servers);
    section.close(explain);
    let (method, target) = request?;
    Some(RouteTest {
        method,
        target,
        host,
        fields,
        expect: expect?,
        place: node.cx.source.place(node.value.span().start),
    })
}

fn request(test: Node<'_>, node: Option<Node<'_>>) -> Option<(Method, String)> {
    match node {
        Some(node) => node.text()?.parse(parse_request),
        None => report_missing(test, "this test has no request", "add request = \"GET /\""),
    }
}

fn report_missing<T>(test: Node<'_>, message: &str, help: &str) -> Option<T> {
    let diagnostic = Diagnostic::error(message).at(test.spot(), "");
    test.cx.report_absence(diagnostic.help(help.to_owned()));
    None
}

/// `GET /path?query`: a request line without its version (RFC 9112 §3).
fn parse_request(text: &str) -> Result<(Method, String), Fault> {
    const HELP: &str = "write a method and a request-target: \"GET /api?q=1\"";
    let Some((name, target)) = text.split_once(' ') else {
        return Err(Fault::new(0..text.len(), "this is not a request").help(HELP));
    };
    let Some(method) = Method::from_bytes(name.as_bytes()) else {
        let fault = Fault::new(0..name.len(), format!("`{name}` is not a method"));
        let meant = nearest(name, Method::ALL.iter().map(|method| method.as_str()));
        return Err(
            fault.help(meant.map_or(HELP.to_owned(), |name| format!("did you mean `{name}`?")))
        );
    };
    let is_visible = target.bytes().all(|byte| byte.is_ascii_graphic());
    match Target::parse(method, target.as_bytes()) {
        Some(_) if is_visible => Ok((method, target.to_owned())),
        _ => {
            let message = format!(
                "`{}` is not a request-target for {method}",
                target.escape_debug()
            );
            Err(Fault::new(name.len() + 1..text.len(), message).help(HELP))
        }
    }
}

fn host(node: Node<'_>) -> Option<String> {
    let parse = |text: &str| match is_valid_host(text.as_bytes()) {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(
            0..text.len(),
            format!("`{text}` cannot be a `Host`"),
        )),
    };
    node.text()?.parse(parse)
}

fn fields(node: Node<'_>) -> Vec<(String, String)> {
    let help = "write headers = { Accept = \"text/html\" }".to_owned();
    let section = node.section("`headers`", Some(help));
    let entries = section.map(|section| section.entries()).unwrap_or_default();
    let field = |(key, value): (Key<'_>, Node<'_>)| {
        Some((key.parse(parse_field_name)?, field_value(value)?))
    };
    entries.into_iter().filter_map(field).collect()
}

fn field_value(node: Node<'_>) -> Option<String> {
    node.text()?.parse(parse_field_value)
}

fn expectation(test: Node<'_>, node: Option<Node<'_>>, servers: &[Server]) -> Option<Expectation> {
    let Some(node) = node else {
        return report_missing(test, "this test expects nothing", EXPECT_HELP);
    };
    let mut section = node.section("`expect`", Some(EXPECT_HELP.to_owned()))?;
    let status = section.integer("status", 100..=599);
    let status = status.and_then(|code| Status::from_code(u16::try_from(code).ok()?));
    let route = section.take("route").and_then(Node::text);
    let expectation = Expectation {
        status,
        route: route.and_then(|text| known_route(&text, servers)),
        fields: expected_fields(&mut section),
    };
    if section.entries().is_empty() {
        return report_missing(node, "this test expects nothing", EXPECT_HELP);
    }
    section.close(explain);
    Some(expectation)
}

const EXPECT_HELP: &str = "add expect = { status = 200, route = \"/\" }";

/// The route that `text` names: a test that no route can pass is a slip.
fn known_route(text: &Text<'_>, servers: &[Server]) -> Option<RoutePattern> {
    let pattern = text.parse(parse_pattern)?;
    let mut routes = servers.iter().flat_map(|server| &server.routes);
    if routes.any(|route| route.pattern == pattern) {
        return Some(pattern);
    }
    let cx = text.node.cx;
    let message = format!("no server has a route `{}`", text.value);
    let help = "write it as the key in `[server.routes]`".to_owned();
    cx.report_absence(
        Diagnostic::error(message)
            .at(text.node.spot(), "")
            .help(help),
    );
    None
}

/// `header.NAME = "VALUE"`, or false for a field that must not be there.
fn expected_fields(section: &mut Section<'_>) -> Vec<(String, Option<String>)> {
    let help = "write header.Cache-Control = \"no-store\"".to_owned();
    let header = section.take("header");
    let header = header.and_then(|node| node.section("`header`", Some(help)));
    let entries = header.map(|section| section.entries()).unwrap_or_default();
    let field = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(parse_field_name)?;
        match value.value.get_ref().as_bool() {
            Some(false) => Some((name, None)),
            _ => Some((name, Some(field_value(value)?))),
        }
    };
    entries.into_iter().filter_map(field).collect()
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
