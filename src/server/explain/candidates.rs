//! The routes that a request could be for, which of them answers and why, and what its `rewrite` makes of the
//! request's target.

use std::fmt;

use crate::config::model::RoutePattern;
use crate::generation::{Route, Site};
use crate::http::path::NormalPath;
use crate::http::request::RequestHead;
use crate::reason::Reason;
use crate::server::exchange::{Exchange, when};

/// A route whose pattern matches the path.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) pattern: String,
    pub(crate) place: String,
    pub(crate) verdict: String,
}

/// What `rewrite` has made of a request-target.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// The client's.
    pub(super) from: String,
    /// The handler's; the error is why there is none.
    pub(crate) to: Result<String, Reason>,
}

impl fmt::Display for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Ok(to) => write!(f, "{} becomes {to}", self.from),
            Err(_) => write!(f, "{} makes no path: 400", self.from),
        }
    }
}

/// The routes whose patterns match, and why each answers or does not.
pub(super) fn candidates(
    site: &Site,
    head: &RequestHead<'_>,
    exchange: &Exchange<'_, '_>,
) -> Vec<Candidate> {
    let winner = exchange.route();
    let parsed = NormalPath::parse(head.target.path).ok();
    let Some(path) = exchange.path().or(parsed.as_ref()) else {
        return Vec::new();
    };
    let describe = |(route, takes_method): (&Route, bool)| {
        let describe = |route: &Route| Candidate {
            pattern: route.pattern.to_string(),
            place: format!("{}:{}", route.place.file.display(), route.place.line),
            verdict: verdict(route, winner, (takes_method, head)),
        };
        match &route.arms[..] {
            [] => vec![describe(route)],
            arms => arms.iter().map(describe).collect(),
        }
    };
    site.routes
        .candidates(head.method, path)
        .into_iter()
        .flat_map(describe)
        .collect()
}

/// Why `route`, whose pattern matches, answers the request of `head` or does not.
fn verdict(
    route: &Route,
    winner: Option<&Route>,
    (takes_method, head): (bool, &RequestHead<'_>),
) -> String {
    if let Some(winner) = winner.filter(|winner| std::ptr::eq(*winner, route)) {
        let met: Vec<String> = winner.when.0.iter().map(when::describe).collect();
        return match &met[..] {
            [] => "answers".to_owned(),
            met => format!("answers: {}", met.join(", ")),
        };
    }
    if !takes_method || !route.handler.methods().contains(head.method) {
        return "is for other methods".to_owned();
    }
    let other = winner.filter(|winner| winner.pattern != route.pattern);
    if let Some(winner) = other {
        return why_it_lost(&route.pattern, &winner.pattern).to_owned();
    }
    if let Some(condition) = when::unmet(&route.when, head, head.method) {
        return format!(
            "is for other requests than this: {}",
            when::describe(condition)
        );
    }
    match winner {
        Some(_) => "stands behind the one that answers".to_owned(),
        None => "did not get to answer".to_owned(),
    }
}

fn why_it_lost(loser: &RoutePattern, winner: &RoutePattern) -> &'static str {
    let has_tail = |pattern: &RoutePattern| pattern.covered_segments() < pattern.segments.len();
    if loser.covered_segments() < winner.covered_segments() {
        "matches less of the path"
    } else if (loser.exact, loser.trailing_slash, has_tail(loser))
        != (winner.exact, winner.trailing_slash, has_tail(winner))
    {
        "is less exact"
    } else if loser.segments != winner.segments {
        "has a parameter where the other has the segment itself, or a shape"
    } else {
        "names no method"
    }
}
