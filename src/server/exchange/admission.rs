//! Whether a client is let in, and whether its content is small enough to be asked for.

use super::route::Refusal;
use crate::address::ClientAddress;
use crate::generation::policy::{Admission, ServingPolicy};
use crate::http::framing::Framing;
use crate::http::request::RequestHead;
use crate::message::request::TellsOfConnection;
use crate::reason::Reason;

/// Lets `client` in if the `allow`, the `deny` and the `client` of the policy do. A request that came on no
/// `connection` has no certificate. A preflight of CORS needs none, because browsers send none with it (Fetch
/// standard, CORS-preflight fetch).
///
/// # Errors
/// 403, whether or not a route would have answered: a client that is kept out learns nothing of
/// what is there, but what `cors` says of it.
#[inline(always)]
pub(super) fn admit(
    policy: &ServingPolicy,
    client: ClientAddress,
    connection: Option<&dyn TellsOfConnection>,
    is_preflight: bool,
) -> Result<(), Refusal> {
    match &policy.admission {
        None => Ok(()),
        Some(admission) => admit_some(admission, client, connection, is_preflight),
    }
}

#[inline(never)]
fn admit_some(
    admission: &Admission,
    client: ClientAddress,
    connection: Option<&dyn TellsOfConnection>,
    is_preflight: bool,
) -> Result<(), Refusal> {
    let has_certificate = || connection.is_some_and(|it| it.has_client_certificate());
    if !admission.access.permits(client) {
        Err(Refusal::Because(Reason::AccessDenied))
    } else if admission.needs_certificate && !is_preflight && !has_certificate() {
        Err(Refusal::Because(Reason::CertificateMissing))
    } else {
        Ok(())
    }
}

/// Whether the content that `head` announces is larger than the policy's `max_content`. Content in
/// chunks announces no length: it is measured while it is received.
pub(super) fn is_too_large(policy: &ServingPolicy, head: &RequestHead<'_>) -> bool {
    matches!(head.framing, Framing::Length(length) if length > policy.limits.max_content)
}
