//! Whether the client has proved what `auth` wants, before any handler is asked.
//!
//! ```text
//! credentials ─┬─ none, or malformed ────────────→ 401
//!              ├─ verified a moment ago ─────────→ the handler, at once
//!              └─ others ── the pool verifies ─┬─→ the handler
//!                                              └─→ 401
//! forward ───── the service is asked ──┬─ 2xx ───→ the handler
//!                                      └─ else ──→ its answer
//! ```
//!
//! A preflight of CORS carries no credentials, so it is answered without them. What is wrong with the request
//! itself is answered as such. Whether a route matches is told only to a client that is let in.
//!
//! What can be decided at once stands here; what is waited for, in [`authorize`](super::authorize).

use std::cell::OnceCell;
use std::sync::Arc;

use super::route::{Matched, Refusal};
use crate::auth::{Credentials, Decoded, basic};
use crate::generation::auth::{Door, ServingAuth};
use crate::http::request::RequestHead;
use crate::message::content::Octets;
use crate::message::identity::Identity;
use crate::message::response::Response;
use crate::reason::Reason;

/// Decides what can be decided at once about the request of `head`. Puts the user into `identity` if it is
/// known, and a refusal into `matched` if it is certain.
#[inline(never)]
pub(super) fn begin(
    auth: &ServingAuth,
    head: &RequestHead<'_>,
    matched: &mut Result<Matched<'_, '_>, Refusal>,
    identity: &OnceCell<Arc<Identity>>,
) {
    let Door::Basic(basic) = &auth.door else {
        return;
    };
    if !is_behind_auth(matched) {
        return;
    }
    let mut decoded = Decoded::new();
    match credentials(head, &mut decoded) {
        None => *matched = Err(Refusal::Because(Reason::PasswordMissing)),
        Some(credentials) => {
            if let Some(user) = basic.passwords.remembered(&credentials) {
                let _ = identity.set(user);
            }
        }
    }
}

/// Whether what was found is told only to a client that is let in.
pub(super) fn is_behind_auth(matched: &Result<Matched<'_, '_>, Refusal>) -> bool {
    match matched {
        Ok(_) | Err(Refusal::NotAllowed(_) | Refusal::Options(_)) => true,
        Err(Refusal::Because(reason)) => matches!(reason, Reason::NoRoute | Reason::WhenUnmet),
        Err(Refusal::Preflight) => false,
    }
}

/// The credentials that the request carries, if they are well-formed and there is one field of them.
pub(super) fn credentials<'d>(
    head: &RequestHead<'_>,
    decoded: &'d mut Decoded,
) -> Option<Credentials<'d>> {
    let mut values = head.fields.values("authorization");
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    basic(value, decoded)
}

/// The 401 of a route with `auth`, for `reason`.
pub(super) fn unauthorized(auth: Option<&ServingAuth>, reason: Reason) -> Response<'_> {
    let mut response = Response::problem(reason);
    if let Some(ServingAuth {
        door: Door::Basic(basic),
        ..
    }) = auth
    {
        response.fields = Octets::Lent(basic.challenge.as_bytes());
    }
    response
}
