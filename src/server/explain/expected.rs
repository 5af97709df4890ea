//! `[[test]]` tables: questions, each with the answer that the operator expects.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Buckets, Explanation, explain};
use crate::config::model::{Config, Place, RouteTest};
use crate::control::question::Question;
use crate::generation::Generation;
use crate::http::field_list::FieldList;
use crate::http::status::Status;
use crate::http::target;

/// Runs the `[[test]]` tables of `config`, from which `generation` was made. Returns a line for each
/// mismatch.
pub(crate) fn run_tests(config: &Config, generation: &Arc<Generation>) -> Vec<String> {
    if config.tests.is_empty() {
        return Vec::new();
    }
    let tests = config.tests.iter();
    let questions = tests.map(|test| question(test, config)).collect();
    match explain(generation, questions, Buckets::Full) {
        Err(error) => vec![error],
        Ok(answers) => {
            let outcomes = config.tests.iter().zip(answers);
            outcomes
                .flat_map(|(test, answer)| mismatches(test, answer))
                .collect()
        }
    }
}

/// The question that a `[[test]]` table asks. Without `listen`, the port in its host says where the
/// request arrives.
fn question(test: &RouteTest, config: &Config) -> Question {
    let host = test.host.clone().unwrap_or_else(|| any_host(config));
    let port = target::port(host.as_bytes());
    let port = port.and_then(|port| str::from_utf8(port).ok()?.parse().ok());
    Question {
        method: test.method,
        target: test.target.clone(),
        host,
        port: port.filter(|_| test.listen.is_none()),
        listener: test.listen.as_ref().map(ToString::to_string),
        fields: test.fields.clone(),
        client: IpAddr::from([127, 0, 0, 1]),
        is_over_tls: false,
        has_certificate: test.has_certificate,
    }
}

/// A host that a server answers for: the host of a test that names none.
fn any_host(config: &Config) -> String {
    let names = config
        .servers
        .iter()
        .find_map(|server| server.hosts.first());
    let has_default = config.servers.iter().any(|server| server.hosts.is_empty());
    match names {
        Some(name) if !has_default => name.to_string().replace('*', "www"),
        _ => "localhost".to_owned(),
    }
}

/// Returns a line for each part of `answer` that differs from what `test` expects.
fn mismatches(test: &RouteTest, answer: Result<Explanation, String>) -> Vec<String> {
    let Place { file, line, .. } = &test.place;
    let at = format!("{}:{line}: {} {}", file.display(), test.method, test.target);
    let answer = match answer {
        Ok(Explanation::Request(answer)) => *answer,
        Ok(Explanation::Stream(_)) => {
            return vec![format!("{at}: a stream listens there, and has no requests")];
        }
        Err(error) => return vec![format!("{at}: {error}")],
    };
    let mut found = Vec::new();
    if let Some(expected) = &test.expect.route
        && answer.route.as_ref() != Some(expected)
    {
        let got = answer
            .route
            .map_or("none".to_owned(), |route| route.to_string());
        found.push(format!("{at}: expected route {expected}, got {got}"));
    }
    let asks_a_service = answer.asks_a_service;
    if let Some(expected) = &test.expect.target {
        let got = match answer.rewrite {
            None => test.target.clone(),
            Some(rewrite) => rewrite.to.unwrap_or_else(|_| "no path: 400".to_owned()),
        };
        if got != *expected {
            found.push(format!("{at}: expected target {expected}, got {got}"));
        }
    }
    let upstream = answer.upstream.map(|proxied| proxied.upstream);
    if let Some(expected) = &test.expect.proxy
        && upstream.as_ref() != Some(expected)
    {
        let got = upstream.as_deref().unwrap_or("none");
        found.push(format!("{at}: expected upstream {expected}, got {got}"));
    }
    if let Some(expected) = &test.expect.rates {
        let got: Vec<&str> = answer.rates.iter().map(|rate| rate.name.as_str()).collect();
        if got.len() != expected.len()
            || !got
                .iter()
                .all(|name| expected.iter().any(|other| other == name))
        {
            let (expected, got) = (shown_names(expected), shown_names(&got));
            found.push(format!("{at}: expected rate {expected}, got {got}"));
        }
    }
    let Some(answer) = answer.answer else {
        if test.expect.status.is_some() || !test.expect.fields.is_empty() {
            let why = match upstream {
                _ if asks_a_service => {
                    "the service of `auth` is not asked for a test: expect the route alone"
                }
                Some(_) => "the upstream is not asked for a test: expect `route` and `proxy` alone",
                None => "code answers, and it is not run for a test: expect the route alone",
            };
            found.push(format!("{at}: {why}"));
        }
        return found;
    };
    let unexpected = |expected: &Status| *expected != answer.status;
    if let Some(expected) = test.expect.status.filter(unexpected) {
        let (expected, got) = (expected.code(), answer.status.code());
        found.push(format!("{at}: expected status {expected}, got {got}"));
    }
    for (name, expected) in &test.expect.fields {
        let got = values(&answer.fields, name);
        if !is_as_expected(&got, expected.as_deref()) {
            let expected = shown(expected.as_slice());
            found.push(format!(
                "{at}: expected {name} {expected}, got {}",
                shown(&got)
            ));
        }
    }
    found
}

/// The names of rates as a mismatch shows them.
fn shown_names(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// The values of every field line of that name.
fn values(fields: &FieldList, name: &str) -> Vec<String> {
    let lines = fields.iter().filter(|line| line.is_named(name));
    lines.map(|line| line.text().into_owned()).collect()
}

/// Whether a line of the field has the expected value, or all of them together have (RFC 9110 §5.3).
/// `None` expects that there is no such field.
fn is_as_expected(values: &[String], expected: Option<&str>) -> bool {
    match expected {
        None => values.is_empty(),
        Some(expected) => {
            values.iter().any(|value| value == expected)
                || (!values.is_empty() && values.join(", ") == expected)
        }
    }
}

/// Values as a mismatch shows them.
fn shown(values: &[String]) -> String {
    match values {
        [] => "no such field".to_owned(),
        values => {
            let quoted = values.iter().map(|value| format!("{value:?}"));
            quoted.collect::<Vec<_>>().join(" and ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_as_expected_if_a_line_or_all_lines_together_have_the_value() {
        for (values, expected, is_met) in [
            (&["a"][..], Some("a"), true),
            (&["a"], Some("b"), false),
            (&["a", "b"], Some("b"), true),
            (&["a", "b"], Some("a, b"), true),
            (&["a", "b"], Some("b, a"), false),
            (&["a"], None, false),
            (&[], Some(""), false),
            (&[], None, true),
        ] {
            let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(
                is_as_expected(&values, expected),
                is_met,
                "{values:?} {expected:?}"
            );
        }
    }
}
