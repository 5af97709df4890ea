//! The request-target that an upstream is asked for.
//!
//! ```text
//! route "/api", request /api/a%2Fb?q
//!   as it is                    /api/a%2Fb?q
//!   strip_prefix                /a%2Fb?q
//! ```
//!
//! The path is never decoded and encoded again; see [`raw_path`](crate::http::raw_path). `rewrite` has been
//! applied before.

use crate::http::raw_path::{behind_segments, without_dot_segments};
use crate::http::target::Form;
use crate::message::request::Request;

/// Appends the target for `request` to `out`, without the route's path if `strips_prefix`.
pub(super) fn push(request: &Request<'_>, strips_prefix: bool, out: &mut Vec<u8>) {
    let target = &request.head.target;
    if target.form == Form::Asterisk {
        out.push(b'*');
        return;
    }
    let path = without_dot_segments(target.path);
    if strips_prefix {
        let segments = request.path.covered().iter();
        let covered = segments.filter(|byte| **byte == b'/').count();
        push_path(behind_segments(&path, covered), out);
    } else {
        out.extend_from_slice(&path);
    }
    if let Some(query) = target.query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

/// Appends a path that may be empty: an upstream is asked for `/` then.
fn push_path(path: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if path.is_empty() { b"/" } else { path });
}
