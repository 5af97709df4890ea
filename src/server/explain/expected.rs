//! `[[test]]` tables: questions, each with the answer that the operator expects.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Buckets, Explanation, RequestExplanation, explain};
use crate::config::model::{Config, Place, RouteTest};
use crate::control::question::Question;
use crate::generation::Generation;
use crate::http::field_list::FieldList;
use crate::http::target;

/// A way in which an answer differs from what a `[[test]]` expects; written with its place, as a line.
pub(crate) struct Mismatch {
    /// Where the test stands; `None`: no test could run.
    pub(crate) place: Option<Place>,
    /// The request, and what differs.
    pub(crate) message: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { file, line, .. }) = &self.place {
            write!(f, "{}:{line}: ", file.display())?;
        }
        f.write_str(&self.message)
    }
}

/// Runs the `[[test]]` tables of `config`, from which `generation` was made. Returns a line for each
/// mismatch.
pub(crate) fn run_tests(config: &Config, generation: &Arc<Generation>) -> Vec<String> {
    let found = mismatches_of_tests(config, generation).into_iter();
    found.map(|mismatch| mismatch.to_string()).collect()
}

/// As [`run_tests`], with the place of each test apart.
pub(crate) fn mismatches_of_tests(config: &Config, generation: &Arc<Generation>) -> Vec<Mismatch> {
    if config.tests.is_empty() {
        return Vec::new();
    }
    let tests = config.tests.iter();
    let questions = tests.map(|test| question(test, config)).collect();
    match explain(generation, questions, Buckets::Full) {
        Err(message) => vec![Mismatch {
            place: None,
            message,
        }],
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
        scheme: None,
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

/// Returns each part of `answer` that differs from what `test` expects.
fn mismatches(test: &RouteTest, answer: Result<Explanation, String>) -> Vec<Mismatch> {
    let found = match answer {
        Ok(Explanation::Request(answer)) => {
            let mut found = mismatches_of_route(test, &answer);
            found.extend(mismatch_of_rates(test, &answer));
            found.extend(mismatches_of_answer(test, &answer));
            found
        }
        Ok(Explanation::Stream(_)) => {
            vec!["a stream listens there, and has no requests".to_owned()]
        }
        Ok(Explanation::NoSession(none)) => vec![none.why],
        Err(error) => vec![error],
    };
    let mismatch = |what| Mismatch {
        place: Some(test.place.clone()),
        message: format!("{} {}: {what}", test.method, test.target),
    };
    found.into_iter().map(mismatch).collect()
}

/// What differs of where the request goes: the route, the target that its handler sees, the upstream.
fn mismatches_of_route(test: &RouteTest, answer: &RequestExplanation) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(expected) = &test.expect.route
        && answer.route.as_ref() != Some(expected)
    {
        let got = answer.route.as_ref();
        let got = got.map_or("none".to_owned(), ToString::to_string);
        found.push(format!("expected route {expected}, got {got}"));
    }
    if let Some(expected) = &test.expect.target {
        let got = match answer.rewrite.as_ref().map(|rewrite| &rewrite.to) {
            None => &test.target,
            Some(Ok(to)) => to,
            Some(Err(_)) => "no path: 400",
        };
        if got != expected {
            found.push(format!("expected target {expected}, got {got}"));
        }
    }
    let upstream = answer.upstream.as_ref().map(|proxied| &proxied.upstream);
    if let Some(expected) = &test.expect.proxy
        && upstream != Some(expected)
    {
        let got = upstream.map_or("none", String::as_str);
        found.push(format!("expected upstream {expected}, got {got}"));
    }
    found
}

/// What differs of the rates at which the request counts, in whichever order they are named.
fn mismatch_of_rates(test: &RouteTest, answer: &RequestExplanation) -> Option<String> {
    let expected = test.expect.rates.as_ref()?;
    let got: Vec<&str> = answer.rates.iter().map(|rate| rate.name.as_str()).collect();
    let is_expected = |name: &&str| expected.iter().any(|other| other == name);
    if got.len() == expected.len() && got.iter().all(is_expected) {
        return None;
    }
    let (expected, got) = (shown_names(expected), shown_names(&got));
    Some(format!("expected rate {expected}, got {got}"))
}

/// The differences between the answer and what the test expects of its status and fields. If only the running
/// server can give the answer, as that of an upstream, each such expectation is a mismatch.
fn mismatches_of_answer(test: &RouteTest, answer: &RequestExplanation) -> Vec<String> {
    let expect = &test.expect;
    let Some(facts) = &answer.answer else {
        if expect.status.is_none() && expect.fields.is_empty() {
            return Vec::new();
        }
        let why = match answer.upstream {
            _ if answer.asks_a_service => {
                "the service of `auth` is not asked for a test: expect the route alone"
            }
            Some(_) => "the upstream is not asked for a test: expect `route` and `proxy` alone",
            None => "code answers, and it is not run for a test: expect the route alone",
        };
        return vec![why.to_owned()];
    };
    let mut found = Vec::new();
    if let Some(expected) = expect.status.filter(|expected| *expected != facts.status) {
        let (expected, got) = (expected.code(), facts.status.code());
        found.push(format!("expected status {expected}, got {got}"));
    }
    for (name, expected) in &expect.fields {
        let got = values(&facts.fields, name);
        if !is_as_expected(&got, expected.as_deref()) {
            let (expected, got) = (shown(expected.as_slice()), shown(&got));
            found.push(format!("expected {name} {expected}, got {got}"));
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
