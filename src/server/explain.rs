//! Explains what becomes of a request, with the code that serves.
//!
//! A question is a request that no client sent. It is parsed, routed and answered like any other, on
//! an event loop of its own, and the result is described. A `[[test]]` table is such a question with
//! the answer that the operator expects.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::exchange::Exchange;
use crate::address::ListenAddress;
use crate::config::model::{Config, Place, RoutePattern, RouteTest};
use crate::control::Submit;
use crate::control::question::Question;
use crate::generation::{Generation, Route, Site};
use crate::handlers::WorkerState;
use crate::http::field_list::FieldList;
use crate::http::path::NormalPath;
use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space};
use crate::http::status::Status;
use crate::message::content::{ContentError, ReadContent};
use crate::message::selected::Selected;
use crate::runtime::{self, Pools};
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct Explanation {
    /// Method and target.
    pub(crate) request: String,
    pub(crate) listener: String,
    /// The hosts of the server that answers; `None` where none does.
    pub(crate) server: Option<String>,
    /// Every route whose pattern matches the path.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) route: Option<RoutePattern>,
    /// The file that is sent, and in which coding.
    pub(crate) file: Option<String>,
    /// What stands in the way of the file that was asked for, or of one beside it.
    pub(crate) barrier: Option<String>,
    /// `None` where code answers: it is not run, because it may do more than answer.
    pub(crate) answer: Option<Facts>,
    /// The limits of the route, in the terms of the file.
    pub(crate) limits: String,
    /// Whether the client is let in, and by which rules.
    pub(crate) access: String,
}

/// What can be said of an answer.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    /// The fields, without those of the framing.
    pub(crate) fields: FieldList,
}

impl Explanation {
    /// Describes it for a person, in lines.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.request);
        let mut row = |name: &str, value: &str| text.push_str(&format!("  {name:<10}{value}\n"));
        row("listener", &self.listener);
        row(
            "server",
            self.server
                .as_deref()
                .unwrap_or("none answers for this host"),
        );
        for (index, candidate) in self.candidates.iter().enumerate() {
            let name = if index == 0 { "routes" } else { "" };
            let Candidate {
                pattern,
                place,
                verdict,
            } = candidate;
            row(name, &format!("{pattern} ({place}) {verdict}"));
        }
        if self.candidates.is_empty() {
            row("routes", "none matches");
        }
        row("file", self.file.as_deref().unwrap_or("none"));
        if let Some(barrier) = &self.barrier {
            row("", barrier);
        }
        row("limits", &self.limits);
        row("access", &self.access);
        let Some(answer) = &self.answer else {
            row("status", "up to the code behind the route");
            return text;
        };
        row("status", &answer.status.to_string());
        for (index, line) in answer.fields.iter().enumerate() {
            let (name, value) = (&line.name, line.text());
            row(
                if index == 0 { "fields" } else { "" },
                &format!("{name}: {value}"),
            );
        }
        text
    }

    /// Describes it for a program.
    pub(crate) fn to_json(&self) -> Value {
        let candidate = |candidate: &Candidate| {
            let Candidate {
                pattern,
                place,
                verdict,
            } = candidate;
            json!({ "route": pattern, "place": place, "verdict": verdict })
        };
        let fields = self.answer.as_ref().map(|answer| {
            let fields = answer.fields.iter();
            fields
                .map(|line| json!([line.name, line.text()]))
                .collect::<Vec<_>>()
        });
        json!({
            "listener": self.listener,
            "server": self.server,
            "considered": self.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "route": self.route.as_ref().map(ToString::to_string),
            "file": self.file,
            "barrier": self.barrier,
            "limits": self.limits,
            "access": self.access,
            "status": self.answer.as_ref().map(|answer| answer.status.code()),
            "fields": fields,
        })
    }
}

/// A route whose pattern matches the path.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) pattern: String,
    pub(crate) place: String,
    pub(crate) verdict: &'static str,
}

/// Explains what `generation` makes of each of `questions`. The outer error concerns all of them, an
/// inner one its question.
///
/// # Errors
/// A sentence: the system gives no event queue; a question is no valid request.
pub(crate) fn explain(
    generation: &Arc<Generation>,
    questions: Vec<Question>,
) -> Result<Vec<Result<Explanation, String>>, String> {
    // A question to the supervisor is dropped: the supervisor may be the one who waits here.
    let nobody: Submit = Arc::new(drop);
    let generation = Arc::clone(generation);
    let explaining = async move {
        // This loop may wait for a job: nothing else runs on it.
        let local = WorkerState::new(Pools::without_threads(), nobody);
        let mut explanations = Vec::new();
        for question in &questions {
            explanations.push(answer(&generation, question, &local).await);
        }
        explanations
    };
    runtime::run(explaining).map_err(|error| format!("there is no event queue: {error}"))
}

/// Runs the `[[test]]` tables of `config`, from which `generation` was made. Returns a line for each
/// mismatch.
pub(crate) fn run_tests(config: &Config, generation: &Arc<Generation>) -> Vec<String> {
    if config.tests.is_empty() {
        return Vec::new();
    }
    let questions = config
        .tests
        .iter()
        .map(|test| question_of_test(test, config))
        .collect();
    match explain(generation, questions) {
        Err(error) => vec![error],
        Ok(answers) => {
            let outcomes = config.tests.iter().zip(answers);
            outcomes
                .flat_map(|(test, answer)| mismatches(test, answer))
                .collect()
        }
    }
}

/// The question that a `[[test]]` table asks.
fn question_of_test(test: &RouteTest, config: &Config) -> Question {
    let port = config
        .servers
        .iter()
        .flat_map(|server| &server.listen)
        .find_map(ListenAddress::ip);
    Question {
        method: test.method,
        target: test.target.clone(),
        host: test.host.clone().unwrap_or_else(|| any_host(config)),
        port: port.map(|address| address.port()),
        fields: test.fields.clone(),
        client: IpAddr::from([127, 0, 0, 1]),
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
        Ok(answer) => answer,
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
    let Some(answer) = answer.answer else {
        if test.expect.status.is_some() || !test.expect.fields.is_empty() {
            let why = "code answers, and it is not run for a test: expect the route alone";
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
        let got = answer.fields.find(name);
        let got = got.map(|value| String::from_utf8_lossy(value).into_owned());
        if got.as_ref() != expected.as_ref() {
            let text = |value: Option<&String>| {
                value.map_or("no such field".to_owned(), |value| format!("{value:?}"))
            };
            found.push(format!(
                "{at}: expected {name} {}, got {}",
                text(expected.as_ref()),
                text(got.as_ref())
            ));
        }
    }
    found
}

async fn answer(
    generation: &Generation,
    question: &Question,
    local: &WorkerState,
) -> Result<Explanation, String> {
    let bytes = question.head();
    let mut space = field_space();
    let limits = HeadLimits {
        max_bytes: usize::MAX,
        max_fields: usize::MAX,
    };
    let parsed = RequestHead::parse(bytes.as_bytes(), &mut space, limits);
    let Ok(Parsed::Complete(head, _)) = parsed else {
        let why = parsed
            .err()
            .map_or("it is incomplete".to_owned(), |error| error.to_string());
        return Err(format!(
            "{} {} is no valid request: {why}",
            question.method, question.target
        ));
    };
    let listener = listener(generation, question.port).ok_or("nothing listens")?;
    let exchange = Exchange::new(generation, listener, question.client.into(), &head);
    let Selected { file, barrier } = exchange.file(local).await;
    let facts = if exchange.is_answered_by_code() {
        None
    } else {
        Some(ask(&exchange, &head, local).await?)
    };
    let site = generation.site(listener, head.host);
    Ok(Explanation {
        request: format!("{} {}", question.method, question.target),
        listener: listener.to_string(),
        server: site.map(name),
        candidates: site
            .map(|site| candidates(site, &head, &exchange))
            .unwrap_or_default(),
        route: exchange.route().map(|route| route.pattern.clone()),
        file,
        barrier,
        answer: facts,
        limits: describe_limits(&exchange),
        access: describe_access(&exchange),
    })
}

/// Answers the exchange; returns what would be sent.
async fn ask(
    exchange: &Exchange<'_, '_>,
    head: &RequestHead<'_>,
    local: &WorkerState,
) -> Result<Facts, String> {
    let answered = exchange.answer(local, NoContent).await;
    let answered = answered.ok_or("its answer needs content that nobody sent")?;
    let framed = FramedResponse::new(
        answered.response,
        answered.policy,
        RequestTraits::of(head),
        true,
    );
    Ok(Facts {
        status: framed.status,
        fields: framed.fields(),
    })
}

fn listener(generation: &Generation, port: Option<u16>) -> Option<&ListenAddress> {
    let has_port = |address: &&ListenAddress| {
        port.is_some() && address.ip().map(|address| address.port()) == port
    };
    generation
        .addresses()
        .find(has_port)
        .or_else(|| generation.addresses().next())
}

fn name(site: &Site) -> String {
    match &site.hosts[..] {
        [] => "any host".to_owned(),
        hosts => hosts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The routes whose patterns match, and why each answers or does not.
fn candidates(site: &Site, head: &RequestHead<'_>, exchange: &Exchange<'_, '_>) -> Vec<Candidate> {
    let winner = exchange.route();
    let parsed = NormalPath::parse(head.target.path).ok();
    let Some(path) = exchange.path().or(parsed.as_ref()) else {
        return Vec::new();
    };
    let describe = |(route, takes_method): (&Route, bool)| Candidate {
        pattern: route.pattern.to_string(),
        place: format!("{}:{}", route.place.file.display(), route.place.line),
        verdict: match winner {
            Some(winner) if std::ptr::eq(winner, route) => "answers",
            _ if !takes_method || !route.handler.methods().contains(head.method) => {
                "is for other methods"
            }
            Some(winner) => why_it_lost(&route.pattern, &winner.pattern),
            None => "did not get to answer",
        },
    };
    site.routes
        .candidates(head.method, path)
        .into_iter()
        .map(describe)
        .collect()
}

fn why_it_lost(loser: &RoutePattern, winner: &RoutePattern) -> &'static str {
    if loser.segments.len() < winner.segments.len() {
        "matches less of the path"
    } else if (loser.exact, loser.trailing_slash) != (winner.exact, winner.trailing_slash) {
        "is less exact"
    } else if loser.segments != winner.segments {
        "has a parameter where the other has the segment itself"
    } else {
        "names no method"
    }
}

fn describe_limits(exchange: &Exchange<'_, '_>) -> String {
    let limits = exchange.limits();
    format!(
        "max_content {} bytes, body_timeout {:?}, send_timeout {:?}",
        limits.max_content, limits.body_timeout, limits.send_timeout
    )
}

fn describe_access(exchange: &Exchange<'_, '_>) -> String {
    let access = &exchange.policy.access;
    let list = |networks: &[crate::config::model::Cidr]| {
        networks
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let verdict = if access.permits(exchange.client) {
        "let in"
    } else {
        "denied"
    };
    let rules = match (&access.allow[..], &access.deny[..]) {
        ([], []) => "there are no rules".to_owned(),
        (allow, deny) => format!("deny [{}], allow [{}]", list(deny), list(allow)),
    };
    format!("{} is {verdict}: {rules}", exchange.client)
}

/// The content of a request that no client sent: there is none, and the client never goes.
#[derive(Clone, Copy)]
struct NoContent;

impl ReadContent for NoContent {
    async fn read(&mut self, _: &mut Vec<u8>) -> Result<bool, ContentError> {
        Ok(false)
    }

    async fn client_gone(&self) {
        std::future::pending().await
    }
}
