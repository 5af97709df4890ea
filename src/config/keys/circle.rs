//! Warns of redirects that lead back to their own route, over others or not, for ever.
//!
//! Only what is sure is followed: a path, without the variables of a request, to a route without parameters and
//! without `when`.

use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{PatternSegment, Route, Verb, When};
use crate::config::tree::node::Context;
use crate::http::method::Method;

use super::target::is_back;

/// A route, and where its `redirect` stands if it has one.
pub(super) type PlacedRoute = (Route, Option<Spot>);

/// Of more routes no circles are looked for: each redirect is compared with all routes.
const MAX_ROUTES: usize = 1000;

/// A longer chain of redirects is not followed: clients give up, too, and each step looks at all routes.
const MAX_STEPS: usize = 20;

/// Warns of every circle of redirects among the routes of a server, once.
pub(super) fn warn(cx: &Context<'_>, routes: &[PlacedRoute]) {
    if routes.len() > MAX_ROUTES {
        return;
    }
    for (first, (route, spot)) in routes.iter().enumerate() {
        // That is reported already.
        if is_back(route) {
            continue;
        }
        let Some((spot, circle)) = spot.as_ref().zip(circle(first, routes)) else {
            continue;
        };
        let (message, label) = match circle.len() {
            1 => ("this redirect leads to its own route, in a circle", ""),
            _ => ("these redirects lead in a circle", "here it begins"),
        };
        let mut warning = Diagnostic::warning(message).at(spot.clone(), label);
        for spot in circle
            .iter()
            .filter_map(|next| routes[*next].1.clone())
            .skip(1)
        {
            warning = warning.at(spot, "");
        }
        let target = target(route).unwrap_or_default();
        let help = if is_relative(target) {
            format!("write \"https://{target}\" if that is a host")
        } else {
            "name a path of another route, or a host: \"https://example.com{path}\"".to_owned()
        };
        cx.report(warning.help(help));
    }
}

/// The routes of the circle that begins with the route `first`; `None` if its redirect leads into none, or if another
/// route of the circle stands before it.
fn circle(first: usize, routes: &[PlacedRoute]) -> Option<Vec<usize>> {
    let route = &routes[first].0;
    let segments = static_segments(route)?;
    let with = |last| segments.iter().copied().chain([last]).collect::<Vec<_>>();
    let starts = [segments.clone(), with(""), with("x")];
    let starts = starts
        .iter()
        .filter(|path| answering(path, routes) == Some(first));
    let mut circles = starts.filter_map(|start| {
        let (mut at, mut visited) = (first, Vec::new());
        let mut path: Vec<String> = start.iter().map(|segment| (*segment).to_owned()).collect();
        loop {
            visited.push(at);
            path = lead(&path, &routes[at].0)?;
            at = answering(&path, routes)?;
            if at == first {
                return Some(visited);
            }
            if at < first || visited.contains(&at) || visited.len() == MAX_STEPS {
                return None;
            }
        }
    });
    circles.next()
}

fn target(route: &Route) -> Option<&str> {
    match &route.verb {
        Verb::Redirect(redirect) => Some(&redirect.target.written),
        _ => None,
    }
}

/// Whether a client resolves `target` against the directory of the path.
fn is_relative(target: &str) -> bool {
    !target.starts_with(['/', '{', '?', '#']) && !target.contains("://")
}

/// The path that the redirect of `route` leads to from `path`, which it answers. The last segment of a path that
/// ends with a slash is empty, except that `/` has none.
fn lead(path: &[String], route: &Route) -> Option<Vec<String>> {
    let target = target(route)?.split(['?', '#']).next()?;
    let rest = if route.pattern.exact {
        &[]
    } else {
        path.get(route.pattern.covered_segments()..)?
    };
    let (fixed, tail) = match target.strip_suffix("{path}") {
        Some(fixed) => (fixed, path),
        None => (target.strip_suffix("{rest}").unwrap_or(target), rest),
    };
    let is_unsure = fixed.contains(['{', '%']) || fixed.contains("//") || fixed.contains(':');
    if is_unsure
        || fixed
            .split('/')
            .any(|segment| matches!(segment, "." | ".."))
    {
        return None;
    }
    let directory = match path {
        [directory @ .., _] if is_relative(fixed) => directory,
        _ => &[],
    };
    let ends_with_slash = fixed.len() > 1 && fixed.ends_with('/') && tail.is_empty();
    let fixed = fixed.split('/').filter(|segment| !segment.is_empty());
    let slash = ends_with_slash.then_some("");
    let led = directory.iter().map(String::as_str).chain(fixed);
    let led = led.chain(tail.iter().map(String::as_str)).chain(slash);
    Some(led.map(str::to_owned).collect())
}

/// The segments of a route's path; `None` if it has parameters.
fn static_segments(route: &Route) -> Option<Vec<&str>> {
    let segments = route.pattern.segments.iter();
    segments
        .map(|segment| match segment {
            PatternSegment::Static(octets) => str::from_utf8(octets).ok(),
            _ => None,
        })
        .collect()
}

/// The route that answers a GET for `path`, if that is sure.
fn answering<S: AsRef<str>>(path: &[S], routes: &[PlacedRoute]) -> Option<usize> {
    let mut best: Option<(usize, (usize, bool, bool))> = None;
    for (index, (route, _)) in routes.iter().enumerate() {
        if !may_answer(path, route) {
            continue;
        }
        if static_segments(route).is_none() || route.when != When::default() {
            return None;
        }
        let pattern = &route.pattern;
        let rank = (
            pattern.segments.len(),
            pattern.exact,
            pattern.trailing_slash,
        );
        if best.is_none_or(|(_, other)| rank > other) {
            best = Some((index, rank));
        }
    }
    best.map(|(index, _)| index)
}

/// Whether there may be a GET for `path` that the route matches.
fn may_answer<S: AsRef<str>>(path: &[S], route: &Route) -> bool {
    let pattern = &route.pattern;
    let methods = route.methods();
    let takes_get = methods.is_empty() || methods.contains(&Method::Get);
    let covered = pattern.covered_segments();
    let is_long_enough = match (pattern.exact, pattern.trailing_slash) {
        (true, false) => path.len() == covered,
        (true, true) => path.len() == covered + 1 && path[covered].as_ref().is_empty(),
        (false, true) => path.len() > covered,
        (false, false) => path.len() >= covered,
    };
    let mut pairs = pattern.segments.iter().zip(path);
    takes_get
        && is_long_enough
        && pairs.all(|(segment, part)| match segment {
            PatternSegment::Static(octets) => octets == part.as_ref().as_bytes(),
            _ => true,
        })
}
