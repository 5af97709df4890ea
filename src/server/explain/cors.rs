//! Says for `explain` what the `cors` of a route lets a script do, by the rules that browsers follow.

use crate::config::model::Cors;
use crate::generation::cors::ServingCors;
use crate::http::list;
use crate::http::request::RequestHead;
use crate::server::exchange::cors::{origin, requested_fields, requested_method};

/// What scripts of the request's origin may do, and by which rules; of a preflight also what stands in the
/// way of the request that it asks for.
pub(super) fn cors_of(cors: &Option<Box<ServingCors>>, head: &RequestHead<'_>) -> Option<String> {
    let rules = &cors.as_ref()?.rules;
    let origins: Vec<_> = rules.origins.iter().map(ToString::to_string).collect();
    let origins = origins.join(", ");
    let Some(origin) = origin(head) else {
        return Some(format!("the request has no Origin: origins [{origins}]"));
    };
    let text = String::from_utf8_lossy(origin);
    if !rules.allows(origin) {
        return Some(format!("{text} is not allowed: origins [{origins}]"));
    }
    let credentials = if rules.credentials {
        "with credentials"
    } else {
        "without credentials"
    };
    let allowed = format!("{text} is allowed, {credentials}: origins [{origins}]");
    let Some(method) = requested_method(head) else {
        return Some(allowed);
    };
    let refused = refused_of(rules, method, requested_fields(head).unwrap_or_default());
    Some(match &refused[..] {
        [] => format!("{allowed}; the request may follow"),
        refused => format!("{allowed}; not allowed: {}", refused.join(", ")),
    })
}

/// What a preflight for `method` and `fields` asks for and `rules` do not allow, as browsers take them
/// (Fetch standard §4.8).
fn refused_of(rules: &Cors, method: &[u8], fields: &[u8]) -> Vec<String> {
    let is_named = |names: &[String], name: &[u8]| {
        let mut names = names.iter();
        names.any(|other| other.as_bytes().eq_ignore_ascii_case(name))
    };
    let has_wildcard = |names: &[String]| is_named(names, b"*");
    let is_safelisted = matches!(method, b"GET" | b"HEAD" | b"POST");
    let is_method_named = rules.methods.iter().any(|other| other.as_bytes() == method);
    let mut refused = Vec::new();
    if !is_safelisted && !is_method_named && !has_wildcard(&rules.methods) {
        refused.push(String::from_utf8_lossy(method).into_owned());
    }
    for name in list::elements(fields) {
        // `*` is every field but this one.
        let is_any = has_wildcard(&rules.headers) && !name.eq_ignore_ascii_case(b"Authorization");
        if !is_any && !is_named(&rules.headers, name) {
            refused.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    refused
}
