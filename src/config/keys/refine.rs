//! The [`Policy`] of one level of the file: the inherited one, and what the level changes of it.

use super::level::{Level, Refinement};
use super::setting::{Setting, show, walk};
use super::{
    access, auth, certificate, compress, cors, error_pages, headers, limits, rate, request_id,
    target, types,
};
use crate::config::model::Policy;
use crate::config::tree::section::Section;
use crate::config::words::written;

/// The keys of a policy that may stand at `level`.
pub(super) fn settings(level: Level) -> &'static [Setting<Refinement, Policy>] {
    const TOP: &[Setting<Refinement, Policy>] = &[
        headers::AT_TOP,
        error_pages::AT_TOP,
        types::AT_TOP,
        types::CHARSET_AT_TOP,
        limits::AT_TOP,
        request_id::AT_TOP,
    ];
    const SERVER: &[Setting<Refinement, Policy>] = &[
        headers::FURTHER_IN,
        limits::AT_SERVER,
        error_pages::FURTHER_IN,
        types::FURTHER_IN,
        types::CHARSET,
        access::ALLOW,
        access::DENY_AT_SERVER,
        certificate::CLIENT_AT_SERVER,
        auth::AT_SERVER,
        cors::AT_SERVER,
        rate::AT_SERVER,
        request_id::FURTHER_IN,
        compress::AT_SERVER,
    ];
    const ROUTE: &[Setting<Refinement, Policy>] = &[
        headers::FURTHER_IN,
        limits::AT_ROUTE,
        error_pages::FURTHER_IN,
        types::FURTHER_IN,
        types::CHARSET,
        access::ALLOW,
        access::DENY,
        certificate::CLIENT,
        auth::AT_ROUTE,
        cors::AT_ROUTE,
        rate::AT_ROUTE,
        request_id::FURTHER_IN,
        compress::AT_ROUTE,
    ];
    match level {
        Level::Top => TOP,
        Level::Server => SERVER,
        Level::Route => ROUTE,
    }
}

/// Reads the policy of a level from its table. `outer` is the policy that it inherits.
pub(super) fn refine(section: &mut Section<'_>, level: Level, outer: &Policy) -> Policy {
    let mut refinement = Refinement::of(outer.clone());
    walk(section, settings(level), &mut refinement);
    access::warn_of_denied(section, &refinement);
    cors::warn_of_own_fields(section, &refinement);
    compress::warn_of_own_fields(section, &refinement);
    target::refuse_names(section, level, &mut refinement.policy);
    refinement.policy
}

/// `policy` in the terms of the file, inherited settings included.
pub(crate) fn show_policy(policy: &Policy, level: Level) -> written::Table {
    show(settings(level), policy)
}
