//! From host and path to the route that answers, in the documented order of precedence.
//!
//! A [`HostTable`] picks the server, its [`RoutingTable`] the route. Both are generic over what they
//! lead to, so that this room knows patterns and nothing of handlers.
//!
//! Among the routes whose pattern and method both match, the one wins that
//! 1. matches more segments,
//! 2. at equal length, is the more exact: `= /a`, then `/a/{name...}`, then `/a/`, then `/a`;
//! 3. has the more exact segment where they differ, looking from the left: the segment itself, then
//!    `{name:shape}`, then `{name}`;
//! 4. names the method.
//!
//! `{name...}` matches no segment in the sense of 1: it is a way in which a pattern ends.
//!
//! The order of lines means nothing. If routes match the path but none of them the method, the answer
//! is 405, with the methods that these routes take.

use std::collections::HashMap;

use crate::config::model::{HostPattern, PatternSegment, RoutePattern, Shape};
use crate::http::method::{Method, MethodSet};
use crate::http::path::NormalPath;

/// The servers at an address, by host.
#[derive(Debug)]
pub(crate) struct HostTable<T> {
    exact: HashMap<String, T>,
    /// Suffixes like `.example.com`, the longest first.
    below: Vec<(String, T)>,
    any: Option<T>,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            below: Vec::new(),
            any: None,
        }
    }
}

impl<T: Clone> HostTable<T> {
    /// Adds `server` for `hosts`; without hosts it is the server for any host. Checking has made sure
    /// that no other server has the same host.
    pub(crate) fn insert(&mut self, hosts: &[HostPattern], server: &T) {
        if hosts.is_empty() {
            self.any = Some(server.clone());
        }
        for host in hosts {
            match host {
                HostPattern::Exact(name) => {
                    self.exact.insert(name.clone(), server.clone());
                }
                HostPattern::Below(suffix) => self.below.push((suffix.clone(), server.clone())),
            }
        }
        self.below
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
    }
}

impl<T> HostTable<T> {
    /// The server for `host` (without a port, in any case): the exact name before the longest
    /// wildcard before the server for any host.
    pub(crate) fn find(&self, host: &[u8]) -> Option<&T> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.as_ref();
        }
        let lower = String::from_utf8_lossy(host).to_ascii_lowercase();
        // A final dot only says that the name is complete.
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        let below = || {
            self.below
                .iter()
                .find(|(suffix, _)| name.ends_with(suffix.as_str()))
        };
        self.exact
            .get(name)
            .or_else(|| below().map(|(_, server)| server))
            .or(self.any.as_ref())
    }
}

/// The routes of a server, as a tree of path segments.
#[derive(Debug)]
pub(crate) struct RoutingTable<T> {
    root: Node<T>,
}

/// What [`RoutingTable::find`] returns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'t, T> {
    /// The route, and how many octets of the path its pattern covers.
    Route {
        route: &'t T,
        matched: usize,
    },
    /// Routes match the path, but none takes the method. They take these.
    OtherMethods(MethodSet),
    Nothing,
}

/// A segment and its node. The node is boxed because it is large: a search among a thousand segments
/// should touch only the memory that it compares.
type Child<T> = (Box<[u8]>, Box<Node<T>>);

/// A node of the tree: the patterns that end at it, and the segments that follow.
#[derive(Debug)]
struct Node<T> {
    /// Sorted by segment.
    children: Vec<Child<T>>,
    /// Sorted by how exact they are.
    parameters: Vec<Parameter<T>>,
    /// The patterns that end here, in the order of [`Ending`].
    routes: [Methods<T>; 4],
}

/// What stands for a segment of any name, or for all that are left.
#[derive(Debug)]
enum Parameter<T> {
    One(Shape, Box<Node<T>>),
    /// The patterns that end in `{name...}`.
    Tail(Box<Methods<T>>),
}

/// What may follow a pattern's last segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// `= /a`: nothing.
    Exact,
    /// `= /a/`: a slash alone.
    ExactSlash,
    /// `/a/`: a slash, and anything after it.
    Below,
    /// `/a`: nothing, or a slash and anything after it.
    Subtree,
}

/// The rank of `{name...}` among endings: behind that of [`Ending::ExactSlash`].
const TAIL: usize = Ending::ExactSlash as usize * 2 + 1;

impl Ending {
    /// Its rank among endings; the lowest is the most exact.
    fn rank(self) -> usize {
        self as usize * 2
    }

    fn of(pattern: &RoutePattern) -> Self {
        // "/" has no segments: the slash is what follows the root.
        let slash = pattern.trailing_slash || pattern.segments.is_empty();
        match (pattern.exact, slash) {
            (true, false) => Self::Exact,
            (true, true) => Self::ExactSlash,
            (false, true) => Self::Below,
            (false, false) => Self::Subtree,
        }
    }
}

/// The routes of one pattern: one for any method, and one for each method that is named.
#[derive(Debug)]
struct Methods<T> {
    any: Option<T>,
    named: Vec<(Method, T)>,
}

impl<T> Methods<T> {
    fn insert(&mut self, method: Option<Method>, route: T) {
        match method {
            None => self.any = Some(route),
            Some(method) => self.named.push((method, route)),
        }
    }

    fn find(&self, method: Method) -> Option<&T> {
        let named = |wanted| {
            self.named
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, route)| route)
        };
        let for_get = || {
            if method == Method::Head {
                named(Method::Get)
            } else {
                None
            }
        };
        named(method).or_else(for_get).or(self.any.as_ref())
    }

    fn allowed(&self) -> MethodSet {
        self.named
            .iter()
            .fold(MethodSet::default(), |set, (method, _)| match method {
                Method::Get => set.with(Method::Get).with(Method::Head),
                other => set.with(*other),
            })
    }
}

impl<T> Default for Methods<T> {
    fn default() -> Self {
        Self {
            any: None,
            named: Vec::new(),
        }
    }
}

impl<T> Default for RoutingTable<T> {
    fn default() -> Self {
        Self {
            root: Node::default(),
        }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        let routes = std::array::from_fn(|_| Methods::default());
        Self {
            children: Vec::new(),
            parameters: Vec::new(),
            routes,
        }
    }
}

impl<T> RoutingTable<T> {
    /// Adds a route. Checking has made sure that no other has the same pattern and method.
    pub(crate) fn insert(&mut self, pattern: &RoutePattern, route: T) {
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            node = match segment {
                PatternSegment::Static(octets) => node.child_mut(octets),
                PatternSegment::Parameter(_, shape) => node.parameter_mut(*shape),
                // It is the last.
                PatternSegment::Tail(_) => return node.tail_mut().insert(pattern.method, route),
            };
        }
        node.routes[Ending::of(pattern) as usize].insert(pattern.method, route);
    }

    /// The route that answers `method` for `path`.
    pub(crate) fn find(&self, method: Method, path: &NormalPath<'_>) -> Found<'_, T> {
        let mut best: Option<Match<'_, T>> = None;
        let mut allowed = MethodSet::default();
        self.root
            .visit(path.as_bytes(), 0, 0, &mut |routes, matched, rank| {
                match routes.find(method) {
                    // The first of equals stays: static segments are visited before parameters.
                    Some(route) if best.as_ref().is_none_or(|best| best.rank < rank) => {
                        best = Some(Match {
                            route,
                            matched,
                            rank,
                        });
                    }
                    Some(_) => {}
                    None => allowed = allowed.or(routes.allowed()),
                }
            });
        match best {
            Some(best) => Found::Route {
                route: best.route,
                matched: best.matched,
            },
            None if allowed != MethodSet::default() => Found::OtherMethods(allowed),
            None => Found::Nothing,
        }
    }

    /// Every route whose pattern matches `path`, in the order in which [`find`](Self::find) considers
    /// them, and whether it takes `method`.
    pub(crate) fn candidates(&self, method: Method, path: &NormalPath<'_>) -> Vec<(&T, bool)> {
        let mut candidates = Vec::new();
        self.root.visit(path.as_bytes(), 0, 0, &mut |routes, _, _| {
            let takes =
                |named: Method| named == method || (named, method) == (Method::Get, Method::Head);
            candidates.extend(
                routes
                    .named
                    .iter()
                    .map(|(named, route)| (route, takes(*named))),
            );
            candidates.extend(routes.any.iter().map(|route| (route, true)));
        });
        candidates
    }
}

impl<T> Node<T> {
    fn child(&self, segment: &[u8]) -> Option<&Self> {
        let place = self
            .children
            .binary_search_by(|(name, _)| (**name).cmp(segment))
            .ok()?;
        Some(&self.children[place].1)
    }

    fn child_mut(&mut self, segment: &[u8]) -> &mut Self {
        let place = match self
            .children
            .binary_search_by(|(name, _)| (**name).cmp(segment))
        {
            Ok(place) => place,
            Err(place) => {
                self.children
                    .insert(place, (segment.into(), Box::default()));
                place
            }
        };
        &mut self.children[place].1
    }
}

impl<T> Node<T> {
    /// The node of the parameter of that shape; a new one if there is none.
    fn parameter_mut(&mut self, shape: Shape) -> &mut Self {
        let exactness = |parameter: &Parameter<T>| match parameter {
            Parameter::One(shape, _) => Some(*shape),
            Parameter::Tail(_) => None,
        };
        let is_before =
            |parameter: &Parameter<T>| exactness(parameter).is_some_and(|it| it < shape);
        let place = self.parameters.partition_point(is_before);
        let there = self.parameters.get(place).and_then(exactness);
        if there != Some(shape) {
            let new = Parameter::One(shape, Box::default());
            self.parameters.insert(place, new);
        }
        match &mut self.parameters[place] {
            Parameter::One(_, node) => node,
            Parameter::Tail(_) => unreachable!("a parameter of one segment was put there"),
        }
    }

    /// The patterns that end here in `{name...}`.
    fn tail_mut(&mut self) -> &mut Methods<T> {
        if !matches!(self.parameters.last(), Some(Parameter::Tail(_))) {
            self.parameters.push(Parameter::Tail(Box::default()));
        }
        match self.parameters.last_mut() {
            Some(Parameter::Tail(methods)) => methods,
            _ => unreachable!("it was put there"),
        }
    }
}

/// A route that takes the request, and its rank.
struct Match<'t, T> {
    route: &'t T,
    matched: usize,
    rank: Rank,
}

/// How well a pattern matches: the number of its segments, then how it ends.
type Rank = (usize, std::cmp::Reverse<usize>);

impl<T> Node<T> {
    /// Calls `consider` with the routes that match and end at this node or below it. `path[matched..]`
    /// follows the `depth` segments that led here: it is empty, or begins with a slash.
    fn visit<'t>(
        &'t self,
        path: &[u8],
        matched: usize,
        depth: usize,
        consider: &mut impl FnMut(&'t Methods<T>, usize, Rank),
    ) {
        let endings: &[Ending] = match path[matched..] {
            [] => &[Ending::Exact, Ending::Subtree],
            [b'/'] => &[Ending::ExactSlash, Ending::Below, Ending::Subtree],
            _ => &[Ending::Below, Ending::Subtree],
        };
        for ending in endings {
            let rank = (depth, std::cmp::Reverse(ending.rank()));
            consider(&self.routes[*ending as usize], matched, rank);
        }
        let Some(rest) = path[matched..]
            .strip_prefix(b"/")
            .filter(|rest| !rest.is_empty())
        else {
            return;
        };
        let length = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let next = matched + 1 + length;
        if let Some(child) = self.child(&rest[..length]) {
            child.visit(path, next, depth + 1, consider);
        }
        for parameter in &self.parameters {
            match parameter {
                Parameter::One(shape, node) if shape.has(&rest[..length]) => {
                    node.visit(path, next, depth + 1, consider);
                }
                Parameter::One(..) => {}
                Parameter::Tail(routes) => {
                    consider(routes, matched, (depth, std::cmp::Reverse(TAIL)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `[METHOD ][= ]PATH`. `config::words::pattern` parses the operator's patterns.
    fn pattern(text: &str) -> RoutePattern {
        let (method, rest) = match text.split_once(' ') {
            Some((name, rest)) if name != "=" => (Method::from_bytes(name.as_bytes()), rest),
            _ => (None, text),
        };
        let path = rest.strip_prefix("= ").unwrap_or(rest);
        let segment = |segment: &str| match segment.strip_prefix('{') {
            None => PatternSegment::Static(segment.into()),
            Some(inner) if inner.ends_with("...}") => PatternSegment::Tail(inner.to_owned()),
            Some(inner) => {
                let inner = inner.trim_end_matches('}');
                let (name, shape) = inner.split_once(':').unwrap_or((inner, ""));
                let mut named = Shape::NAMED.iter();
                let shape = named.find_map(|(name, it)| (*name == shape).then_some(*it));
                PatternSegment::Parameter(name.to_owned(), shape.unwrap_or_default())
            }
        };
        RoutePattern {
            method,
            exact: rest.starts_with("= "),
            segments: path
                .split('/')
                .filter(|segment| !segment.is_empty())
                .map(segment)
                .collect(),
            trailing_slash: path.len() > 1 && path.ends_with('/'),
        }
    }

    fn table(routes: &[&'static str]) -> RoutingTable<&'static str> {
        let mut table = RoutingTable::default();
        routes
            .iter()
            .for_each(|route| table.insert(&pattern(route), *route));
        table
    }

    /// The key of the route that wins; `405 …` or `404` if none does.
    fn winner(table: &RoutingTable<&'static str>, request: &str) -> String {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let method = Method::from_bytes(method.as_bytes()).expect("a known method");
        match table.find(method, &NormalPath::parse(path.as_bytes()).expect("normal")) {
            Found::Route { route, .. } => (*route).to_owned(),
            Found::OtherMethods(methods) => format!("405 {methods}"),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn the_documented_precedence_holds_in_any_order_of_lines() {
        let mut routes = vec![
            "/",
            "/a",
            "/a/",
            "= /a",
            "/a/b",
            "/a/{x}",
            "/a/{x}/c",
            "/a/b/{y}",
            "GET /a/b",
            "= /e",
            "= /f/",
            "/g/{x}/h",
            "GET /m",
            "PUT /m",
            "GET /m/{x}",
            "/{x}/z",
            "/g/s",
        ];
        let cases = [
            ("GET /", "/"),
            ("GET /nothing", "/"),
            ("GET /ab", "/"),
            ("GET /a", "= /a"),
            ("GET /a/", "/a/"),
            ("GET /a/b", "GET /a/b"),
            ("HEAD /a/b", "GET /a/b"),
            ("POST /a/b", "/a/b"),
            ("GET /a/q", "/a/{x}"),
            ("GET /a/b/c", "/a/b/{y}"),
            ("GET /a/q/c", "/a/{x}/c"),
            ("GET /a/q/c/d", "/a/{x}/c"),
            ("GET /e", "= /e"),
            ("GET /e/", "/"),
            ("GET /f/", "= /f/"),
            ("GET /f", "/"),
            ("GET /g/s/h", "/g/{x}/h"),
            ("GET /g/s/i", "/g/s"),
            ("GET /a/z", "/a/{x}"),
            ("GET /q/z", "/{x}/z"),
            ("POST /m", "/"),
            ("GET /m/1", "GET /m/{x}"),
        ];
        for turn in 0..routes.len() {
            routes.rotate_left(1);
            let table = table(&routes);
            for (request, expected) in cases {
                assert_eq!(
                    winner(&table, request),
                    expected,
                    "{request}, rotated by {turn}"
                );
            }
        }
    }

    #[test]
    fn the_more_exact_parameter_wins_in_any_order_of_lines() {
        let mut routes = vec![
            "/",
            "/a/7",
            "/a/{n:int}",
            "/a/{h:hex}",
            "/a/{u:uuid}",
            "/a/{s:slug}",
            "/a/{x}",
            "/a/{n:int}/b",
            "/a/{x}/c",
            "/t",
            "/t/",
            "= /t/s",
            "/t/{all...}",
            "/t/{x}/y",
            "PUT /t/{all...}",
            "/{any...}",
        ];
        let cases = [
            ("GET /a/7", "/a/7"),
            ("GET /a/8", "/a/{n:int}"),
            ("GET /a/8/d", "/a/{n:int}"),
            ("GET /a/7/b", "/a/{n:int}/b"),
            ("GET /a/7/c", "/a/{x}/c"),
            ("GET /a/f", "/a/{h:hex}"),
            ("GET /a/01890a5d-ac96-774b-bcce-b302099a8057", "/a/{u:uuid}"),
            ("GET /a/g_h", "/a/{s:slug}"),
            ("GET /a/g.h", "/a/{x}"),
            ("GET /a/%D9%A3", "/a/{x}"),
            ("GET /a", "/{any...}"),
            ("GET /", "/"),
            ("GET /t", "/t"),
            ("GET /t/", "/t/"),
            ("GET /t/s", "= /t/s"),
            ("GET /t/s/", "/t/{all...}"),
            ("GET /t/u", "/t/{all...}"),
            ("PUT /t/u/v", "PUT /t/{all...}"),
            ("GET /t/u/y", "/t/{x}/y"),
        ];
        for turn in 0..routes.len() {
            routes.rotate_left(1);
            let table = table(&routes);
            for (request, expected) in cases {
                assert_eq!(
                    winner(&table, request),
                    expected,
                    "{request}, rotated by {turn}"
                );
            }
        }
    }

    #[test]
    fn a_tail_is_below_what_its_route_covers() {
        let table = table(&["/t/{all...}"]);
        let path = NormalPath::parse(b"/t/a/b").expect("normal");
        let found = table.find(Method::Get, &path);
        let (route, matched) = (&"/t/{all...}", "/t".len());
        assert_eq!(found, Found::Route { route, matched });
        for path in ["GET /t", "GET /t/", "GET /u"] {
            assert_eq!(winner(&table, path), "404", "{path}");
        }
    }

    #[test]
    fn a_path_that_only_its_method_keeps_out_is_told_which_would_do() {
        let table = table(&["GET /m", "PUT /m", "DELETE = /m/x", "/other"]);
        for (request, expected) in [
            ("POST /m", "405 GET, HEAD, PUT"),
            ("POST /m/x", "405 GET, HEAD, PUT, DELETE"),
            ("DELETE /m/x", "DELETE = /m/x"),
            ("POST /n", "404"),
            ("GET /", "404"),
        ] {
            assert_eq!(winner(&table, request), expected, "{request}");
        }
    }

    #[test]
    fn tells_how_much_of_the_path_matched() {
        let table = table(&["/", "/docs", "/u/{id}"]);
        for (path, expected) in [
            ("/x/y", 0),
            ("/docs", 5),
            ("/docs/", 5),
            ("/docs/a/b", 5),
            ("/u/7/x", 4),
        ] {
            let path = NormalPath::parse(path.as_bytes()).expect("normal");
            match table.find(Method::Get, &path) {
                Found::Route { matched, .. } => assert_eq!(matched, expected, "{path:?}"),
                other => panic!("{path:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn hosts_lead_to_servers() {
        let mut table = HostTable::default();
        let exact = |name: &str| HostPattern::Exact(name.to_owned());
        let below = |suffix: &str| HostPattern::Below(suffix.to_owned());
        table.insert(&[exact("example.com"), below(".example.com")], &1);
        table.insert(&[below(".deep.example.com")], &2);
        for (host, expected) in [
            ("example.com", Some(1)),
            ("EXAMPLE.com", Some(1)),
            ("example.com.", Some(1)),
            ("a.example.com", Some(1)),
            ("a.b.example.com", Some(1)),
            ("x.deep.example.com", Some(2)),
            ("deep.example.com", Some(1)),
            ("badexample.com", None),
            ("", None),
        ] {
            assert_eq!(table.find(host.as_bytes()).copied(), expected, "{host}");
        }
        table.insert(&[], &3);
        assert_eq!(table.find(b"elsewhere"), Some(&3));
    }
}
