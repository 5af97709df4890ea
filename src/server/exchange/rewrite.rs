//! What the handler is asked for, where `rewrite` says so: another path, and perhaps another query.
//!
//! ```text
//! route "/shop/{id}", rewrite "/item?id={id}&{query}"
//!
//! GET /shop/7?x=1      matched, admitted, logged
//! GET /item?id=7&x=1   what the handler sees
//! ```
//!
//! The route has been chosen before and is not chosen again, so that no rewrite leads to another, or in
//! a circle.

use std::borrow::Cow;

use super::Exchange;
use super::route::Matched;
use crate::generation::Rewrite;
use crate::http::path::NormalPath;
use crate::http::raw_path::{behind_segments, without_dot_segments};
use crate::http::request::RequestHead;
use crate::http::template::Values;
use crate::message::request::Request;
use crate::message::routed_path::RoutedPath;
use crate::reason::Reason;

impl<'g> Exchange<'g, '_> {
    /// Calls `ask` with the request as the handler of a route with `rewrite` sees it.
    ///
    /// # Errors
    /// 400: what the client sent makes no path.
    pub(super) async fn rewritten<T>(
        &self,
        matched: &Matched<'_, '_>,
        rewrite: &Rewrite,
        ask: impl AsyncFnOnce(&Request<'_>) -> T,
    ) -> Result<T, Reason> {
        let original = self.request(matched);
        let target = target(&original, rewrite).ok_or(Reason::RewriteWithoutPath)?;
        let (head, path) =
            head_and_path(&original, &target, matched).ok_or(Reason::RewriteWithoutPath)?;
        let request = Request {
            head: &head,
            path: RoutedPath::new(&path, 0),
            original: Some(&original),
            ..self.request(matched)
        };
        Ok(ask(&request).await)
    }

    /// The target that the handler sees in place of the client's; `None`: there is no `rewrite`, or no route.
    /// The error: the client's makes no path.
    pub(in crate::server) fn rewritten_target(&self) -> Option<Result<String, Reason>> {
        let matched = self.matched.as_ref().ok()?;
        let rewrite = matched.route.rewrite.as_ref()?;
        let original = self.request(matched);
        let target = target(&original, rewrite)
            .filter(|target| head_and_path(&original, target, matched).is_some());
        Some(target.ok_or(Reason::RewriteWithoutPath))
    }
}

/// The target that the handler is asked for.
fn target(request: &Request<'_>, rewrite: &Rewrite) -> Option<String> {
    let path: Cow<'_, [u8]> = without_dot_segments(request.head.target.path);
    let segments = request.path.covered().iter();
    let covered = segments.filter(|octet| **octet == b'/').count();
    rewrite.target(&Values {
        path: &path,
        rest: behind_segments(&path, covered),
        matched: &path,
        is_sent: true,
        ..request.values()
    })
}

/// The head of `original` with `target` in place of the client's, and its path in the form that the route's
/// handler takes. `None`: the path has no normal form.
fn head_and_path<'t>(
    original: &Request<'t>,
    target: &'t str,
    matched: &Matched<'_, '_>,
) -> Option<(RequestHead<'t>, NormalPath<'t>)> {
    let head = original.head.rewritten(target)?;
    let path = NormalPath::parse(head.target.path).ok()?;
    if matched.route.handler.decodes_slashes() && path.has_encoded_slash() {
        return Some((head, path.with_slashes_decoded()?));
    }
    Some((head, path))
}
