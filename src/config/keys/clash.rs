//! Claims that exclude each other: a host on an address has one server, a request has one route.

use std::collections::HashMap;

use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{HostPattern, PatternSegment, RoutePattern, Shape};
use crate::config::tree::node::{Context, Node};
use crate::config::tree::section::Key;
use crate::http::method::Method;

/// Which server answers for which host on which address. `None` is any host.
#[derive(Default)]
pub(super) struct ServerClaims {
    claims: HashMap<(ListenAddress, Option<HostPattern>), Spot>,
}

impl ServerClaims {
    /// Adds the claims of `server`. A host that is claimed already is reported once, even if the two
    /// servers share several addresses.
    pub(crate) fn add(
        &mut self,
        listen: &[ListenAddress],
        hosts: &[(HostPattern, Spot)],
        server: Node<'_>,
    ) {
        let any = [(None, server.spot())];
        let hosts: Vec<(Option<HostPattern>, Spot)> = match hosts {
            [] => any.into(),
            _ => hosts
                .iter()
                .map(|(host, spot)| (Some(host.clone()), spot.clone()))
                .collect(),
        };
        // With port 0 every server gets a port of its own.
        let listen: Vec<&ListenAddress> = listen
            .iter()
            .filter(|address| !address.has_any_port())
            .collect();
        for (host, spot) in hosts {
            let taken = listen.iter().find_map(|address| {
                Some((
                    *address,
                    self.claims.get(&((*address).clone(), host.clone()))?,
                ))
            });
            if let Some((address, first)) = taken {
                server
                    .cx
                    .report(server_clash(address, host.as_ref(), &spot, first));
            }
            for address in &listen {
                self.claims
                    .entry(((*address).clone(), host.clone()))
                    .or_insert_with(|| spot.clone());
            }
        }
    }
}

fn server_clash(
    address: &ListenAddress,
    host: Option<&HostPattern>,
    second: &Spot,
    first: &Spot,
) -> Diagnostic {
    let (what, help) = match host {
        Some(host) => (format!("`{host}`"), "a host has one server on each address"),
        None => (
            "any host".to_owned(),
            "tell the servers apart by `hosts`, or let them listen on different addresses",
        ),
    };
    Diagnostic::error(format!("two servers answer for {what} on {address}"))
        .at(second.clone(), "claimed again here")
        .at(first.clone(), "claimed here")
        .help(help.to_owned())
}

/// Which route of a server matches which requests.
pub(super) struct RouteClaims<'c> {
    cx: &'c Context<'c>,
    claims: HashMap<Claim, Spot>,
}

/// A pattern without the names of its parameters, which do not change what it matches.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Claim {
    method: Option<Method>,
    exact: bool,
    segments: Vec<ClaimedSegment>,
    trailing_slash: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum ClaimedSegment {
    Static(Vec<u8>),
    Parameter(Shape),
    Tail,
}

impl<'c> RouteClaims<'c> {
    pub(crate) fn new(cx: &'c Context<'c>) -> Self {
        Self {
            cx,
            claims: HashMap::new(),
        }
    }

    /// Adds the claim of one more route, or reports that another route has it.
    pub(crate) fn add(&mut self, pattern: &RoutePattern, key: &Key<'_>) {
        let claim = Claim::of(pattern);
        if let Some(first) = self.claims.get(&claim) {
            self.cx.report(
                Diagnostic::error("two routes claim the same requests")
                    .at(key.spot(), "the second route")
                    .at(first.clone(), "the first route"),
            );
            return;
        }
        self.claims.insert(claim, key.spot());
    }

    /// Warns of routes that never match. All routes must have been added.
    ///
    /// `/a` matches `/a` itself and the paths below it. Beside `= /a` and `/a/` no request is left for
    /// it. No other set of routes covers a route: a shorter pattern comes after a longer one, and no
    /// list of names covers `{name}`.
    pub(super) fn warn_of_shadowed(&self) {
        for (claim, spot) in &self.claims {
            let ending = |exact, trailing_slash| {
                let claim = claim.ending(exact, trailing_slash);
                claim.and_then(|claim| self.before(claim))
            };
            if let (Some(itself), Some(below)) = (ending(true, false), ending(false, true)) {
                self.cx.report(
                    Diagnostic::warning("this route never matches: two others take all of it")
                        .at(spot.clone(), "")
                        .at(itself.clone(), "takes the path itself")
                        .at(below.clone(), "takes what is below it"),
                );
            }
        }
    }

    /// The route that has the claim, or one that matches its requests among others.
    fn before(&self, claim: Claim) -> Option<&Spot> {
        // A route for GET matches HEAD where no route is for HEAD.
        let wider = (claim.method == Some(Method::Head)).then_some(Some(Method::Get));
        let mut methods = [Some(claim.method), wider, Some(None)]
            .into_iter()
            .flatten();
        methods.find_map(|method| {
            self.claims.get(&Claim {
                method,
                ..claim.clone()
            })
        })
    }
}

impl Claim {
    /// The claim of the same path with another ending, if this claim is of the path and all below it.
    fn ending(&self, exact: bool, trailing_slash: bool) -> Option<Self> {
        let is_subtree = !self.exact && !self.trailing_slash && !self.segments.is_empty();
        is_subtree.then(|| Self {
            exact,
            trailing_slash,
            ..self.clone()
        })
    }

    fn of(pattern: &RoutePattern) -> Self {
        let segment = |segment: &PatternSegment| match segment {
            PatternSegment::Static(octets) => ClaimedSegment::Static(octets.clone()),
            PatternSegment::Parameter(_, shape) => ClaimedSegment::Parameter(*shape),
            PatternSegment::Tail(_) => ClaimedSegment::Tail,
        };
        Self {
            method: pattern.method,
            exact: pattern.exact,
            segments: pattern.segments.iter().map(segment).collect(),
            trailing_slash: pattern.trailing_slash,
        }
    }
}
