//! The server and the route that answer a request, in the order in which its parts are read.

use super::{cors, when};
use crate::generation::policy::ServingPolicy;
use crate::generation::routing::Found;
use crate::generation::{Listening, Route, Site};
use crate::http::method::{Method, MethodSet};
use crate::http::path::NormalPath;
use crate::http::request::RequestHead;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::target::Form;
use crate::message::response::{Response, not_allowed, options};
use crate::reason::Reason;

/// The methods that `OPTIONS *` names: those that some handler of the server takes.
const SERVER_METHODS: MethodSet = MethodSet::of(&[
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
]);

/// The route that answers a request.
pub(super) struct Matched<'g, 'r> {
    pub(super) route: &'g Route,
    pub(super) path: NormalPath<'r>,
    /// How many octets of the path the route's pattern covers.
    pub(super) length: usize,
}

/// What the server itself answers where no route does.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    /// An error.
    Because(Reason),
    /// The method is not taken; those that are.
    NotAllowed(MethodSet),
    /// The client asks which methods are taken.
    Options(MethodSet),
    /// A browser asks what `cors` of the policy lets a script do.
    Preflight,
}

impl Refusal {
    /// The reason, for the log.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Preflight => "`cors` answers it",
            Self::Options(_) => "it asks which methods are taken there",
            Self::NotAllowed(_) => Reason::MethodNotAllowed.meaning(),
            Self::Because(reason) => reason.meaning(),
        }
    }

    /// Whether the request counts at the rates of its policy. A client that is kept out uses up no other's
    /// share; and what is for another connection, or a preflight, is not the request itself.
    pub(super) fn counts(&self) -> bool {
        match self {
            Self::Because(reason) => !matches!(
                reason,
                Reason::AccessDenied | Reason::CertificateMissing | Reason::OtherConnection
            ),
            Self::NotAllowed(_) | Self::Options(_) => true,
            Self::Preflight => false,
        }
    }

    pub(super) fn is_misdirected(self) -> bool {
        matches!(self, Self::Because(Reason::HostUnknown))
    }

    pub(super) fn response(self) -> Response<'static> {
        match self {
            Self::Because(reason) => Response::problem(reason),
            Self::NotAllowed(methods) => not_allowed(methods),
            Self::Options(methods) => options(methods),
            Self::Preflight => Response::bare(Status::NO_CONTENT, FieldLines::new()),
        }
    }
}

/// Finds who answers the request of `head`, which came in at `listening`, and the policy that holds
/// for the response: the route's, or that of as much as was found.
pub(super) fn find<'g, 'r>(
    listening: Listening<'g>,
    head: &RequestHead<'r>,
) -> (&'g ServingPolicy, Result<Matched<'g, 'r>, Refusal>) {
    let Some(site) = listening.site(head.host) else {
        let refusal = Refusal::Because(Reason::HostUnknown);
        return (&listening.generation.policy, Err(refusal));
    };
    match head.target.form {
        Form::Asterisk | Form::Authority => (&site.policy, Err(refuse_without_path(site, head))),
        Form::Origin | Form::Absolute if head.method == Method::Options => {
            find_for_options(site, head)
        }
        Form::Origin | Form::Absolute => with_policy(find_route(site, head, head.method)),
    }
}

/// What `site` answers to a request whose target has no path. It comes under the policy of the site, since there
/// is no route.
#[cold]
fn refuse_without_path(site: &Site, head: &RequestHead<'_>) -> Refusal {
    match head.target.form {
        _ if is_head_too_large(site, head) => Refusal::Because(Reason::HeadTooLarge),
        Form::Asterisk => Refusal::Options(SERVER_METHODS),
        // CONNECT: no tunnels here.
        _ => Refusal::NotAllowed(SERVER_METHODS),
    }
}

/// Whether the head is larger than `site` allows. Until the site was known, the largest limits of all held.
#[inline(always)]
fn is_head_too_large(site: &Site, head: &RequestHead<'_>) -> bool {
    let limits = &site.policy.limits;
    head.length > limits.max_head || head.fields.count() > limits.max_fields
}

/// As [`find`], for OPTIONS. A preflight comes under the policy of the request that it asks for, and so of the
/// route for that request's method. Where that has no `cors`, it is a request like any other.
#[cold]
fn find_for_options<'g, 'r>(
    site: &'g Site,
    head: &RequestHead<'r>,
) -> (&'g ServingPolicy, Result<Matched<'g, 'r>, Refusal>) {
    if let Some(method) = cors::requested_method(head) {
        let method = Method::from_bytes(method).unwrap_or(Method::Options);
        let (policy, found) = find_as(site, head, method);
        let is_readable = !matches!(
            found,
            Err(Refusal::Because(Reason::PathInvalid | Reason::HeadTooLarge))
        );
        if policy.cors.is_some() && is_readable {
            return (policy, Err(Refusal::Preflight));
        }
    }
    find_as(site, head, Method::Options)
}

/// What `site` has for the request of `head`, were it of `method`.
#[cold]
fn find_as<'g, 'r>(
    site: &'g Site,
    head: &RequestHead<'r>,
    method: Method,
) -> (&'g ServingPolicy, Result<Matched<'g, 'r>, Refusal>) {
    with_policy(find_route(site, head, method))
}

/// What was found, and the policy of it.
#[inline(always)]
fn with_policy<'g, 'r>(
    found: Result<Matched<'g, 'r>, (&'g ServingPolicy, Refusal)>,
) -> (&'g ServingPolicy, Result<Matched<'g, 'r>, Refusal>) {
    match found {
        Err((policy, refusal)) => (policy, Err(refusal)),
        Ok(matched) => (&matched.route.policy, Ok(matched)),
    }
}

/// The route of `site` that answers the request of `head`, were it of `method`; or what the server answers
/// in its place, and the policy that holds for that.
// Two callers, of which one is hot.
#[inline(always)]
fn find_route<'g, 'r>(
    site: &'g Site,
    head: &RequestHead<'r>,
    method: Method,
) -> Result<Matched<'g, 'r>, (&'g ServingPolicy, Refusal)> {
    let refuse = |reason| (&site.policy, Refusal::Because(reason));
    if is_head_too_large(site, head) {
        return Err(refuse(Reason::HeadTooLarge));
    }
    let path = NormalPath::parse(head.target.path);
    let path = path.map_err(|_| refuse(Reason::PathInvalid))?;
    let matched = match_path(site, head, method, path)?;
    // An encoded slash makes the path shorter than the target's.
    if matched.path.as_bytes().len() == head.target.path.len() || !matched.path.has_encoded_slash()
    {
        return Ok(matched);
    }
    with_encoded_slash(site, head, method, matched)
}

/// As [`find_route`], of a path with an encoded slash, so that no spelling of a path gets past the route that is for
/// it: what was `matched` may take the slash for one that separates segments.
#[cold]
fn with_encoded_slash<'g, 'r>(
    site: &'g Site,
    head: &RequestHead<'r>,
    method: Method,
    matched: Matched<'g, 'r>,
) -> Result<Matched<'g, 'r>, (&'g ServingPolicy, Refusal)> {
    let invalid = |policy| (policy, Refusal::Because(Reason::PathInvalid));
    let handler = &matched.route.handler;
    if handler.decodes_slashes() {
        let decoded = matched.path.with_slashes_decoded();
        let decoded = decoded.ok_or_else(|| invalid(&site.policy))?;
        return match_path(site, head, method, decoded);
    }
    if !handler.is_code(head) {
        return Ok(matched);
    }
    // A program may decode the path before it splits it, as all under WSGI do, and resolve `..` then, or not.
    for decoded in [
        matched.path.with_slashes_decoded_and_resolved(),
        matched.path.with_slashes_only_decoded(),
    ] {
        let Found::Route { route, .. } = site.routes.find(method, &decoded) else {
            continue;
        };
        // Of several routes at the path, the one that would answer; where none does, no rule is passed.
        let other = match &route.arms[..] {
            [] => Some(route),
            arms => when::choose(arms, head, method),
        };
        let policy = &matched.route.policy;
        if let Some(other) = other.filter(|other| other.policy.keeps_others_out_than(policy)) {
            return Err(invalid(&other.policy));
        }
    }
    Ok(matched)
}

/// The route of `site` that answers `method` for `path`, as [`find_route`] returns it.
// Two callers, of which one is hot: without this the compiler inlines it into neither.
#[inline(always)]
fn match_path<'g, 'r>(
    site: &'g Site,
    head: &RequestHead<'_>,
    method: Method,
    path: NormalPath<'r>,
) -> Result<Matched<'g, 'r>, (&'g ServingPolicy, Refusal)> {
    let (policy, allowed) = match site.routes.find(method, &path) {
        Found::Route { route, matched } => {
            let methods = route.handler.methods();
            if methods.contains(method) {
                return Ok(Matched {
                    route,
                    path,
                    length: matched,
                });
            }
            // Several routes stand at the path, and none of them is this one, which takes no method.
            if !route.arms.is_empty() {
                return match_arm(route, head, method, (path, matched));
            }
            (&route.policy, methods)
        }
        Found::OtherMethods(methods) => (&site.policy, methods),
        Found::Nothing => return Err((&site.policy, Refusal::Because(Reason::NoRoute))),
    };
    Err((policy, other_method(method, allowed)))
}

/// The answer to a request of `method`, which is none of those that are taken.
fn other_method(method: Method, allowed: MethodSet) -> Refusal {
    let allowed = allowed.with(Method::Options);
    match method {
        Method::Options => Refusal::Options(allowed),
        _ => Refusal::NotAllowed(allowed),
    }
}

/// The one of the routes behind `group` that answers, as [`match_path`] returns it. The path and how much
/// of it they cover are the same for all.
#[cold]
fn match_arm<'g, 'r>(
    group: &'g Route,
    head: &RequestHead<'_>,
    method: Method,
    (path, length): (NormalPath<'r>, usize),
) -> Result<Matched<'g, 'r>, (&'g ServingPolicy, Refusal)> {
    let Some(route) = when::choose(&group.arms, head, method) else {
        let methods = when::methods(&group.arms, head);
        let refusal = if methods == MethodSet::default() {
            Refusal::Because(Reason::WhenUnmet)
        } else {
            other_method(method, methods)
        };
        return Err((&group.policy, refusal));
    };
    if !route.handler.methods().contains(method) {
        // The routes beside it take others.
        let methods = when::methods(&group.arms, head);
        return Err((&route.policy, other_method(method, methods)));
    }
    Ok(Matched {
        route,
        path,
        length,
    })
}
