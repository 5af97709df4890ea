//! Whether a client is let in, and whether its content is small enough to be asked for.

use super::route::Refusal;
use crate::address::ClientAddress;
use crate::generation::policy::ServingPolicy;
use crate::http::framing::Framing;
use crate::http::request::RequestHead;
use crate::http::status::Status;

/// Lets `client` in if the `allow` and `deny` of the policy do.
///
/// # Errors
/// 403, whether or not a route would have answered: a client that is kept out learns nothing of
/// what is there.
pub(super) fn admit(policy: &ServingPolicy, client: ClientAddress) -> Result<(), Refusal> {
    if policy.access.permits(client) {
        Ok(())
    } else {
        Err(Refusal::Status(Status::FORBIDDEN))
    }
}

/// Whether the content that `head` announces is larger than the policy's `max_content`. Content in
/// chunks announces no length: it is measured while it is received.
pub(super) fn is_too_large(policy: &ServingPolicy, head: &RequestHead<'_>) -> bool {
    matches!(head.framing, Framing::Length(length) if length > policy.limits.max_content)
}
