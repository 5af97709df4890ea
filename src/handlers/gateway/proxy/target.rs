//! The request-target that an upstream is asked for.
//!
//! ```text
//! route "/api", request /api/a%2Fb?q
//!   as it is                    /api/a%2Fb?q
//!   strip_prefix                /a%2Fb?q
//!   rewrite "/v2{rest}"         /v2/a%2Fb?q
//! ```
//!
//! The path is never decoded and encoded again; see [`raw_path`](crate::http::raw_path).

use crate::config::model::{Proxy, ResolvedPart, RoutePattern};
use crate::http::raw_path::{behind_segments, without_dot_segments};
use crate::http::target::Form;
use crate::message::request::Request;

/// How the target is made of the client's.
pub(super) enum TargetRule {
    /// It is the client's.
    Keep,
    /// It is the part below the route.
    Strip,
    /// It consists of these parts; the client's query is appended unless it is one of them.
    Rewrite(Vec<ResolvedPart>),
}

impl TargetRule {
    /// The rule of `options`, for a route with that pattern.
    pub(super) fn new(options: &Proxy, pattern: &RoutePattern) -> Self {
        match &options.rewrite {
            Some(target) => Self::Rewrite(target.resolved(|name| pattern.parameter(name))),
            None if options.strip_prefix => Self::Strip,
            None => Self::Keep,
        }
    }

    /// Appends the target for `request` to `out`.
    pub(super) fn push(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        let target = &request.head.target;
        if target.form == Form::Asterisk {
            out.push(b'*');
            return;
        }
        let path = without_dot_segments(target.path);
        let segments = request.path.covered().iter();
        let covered = segments.filter(|byte| **byte == b'/').count();
        match self {
            Self::Keep => out.extend_from_slice(&path),
            Self::Strip => push_path(behind_segments(&path, covered), out),
            Self::Rewrite(parts) => {
                for part in parts {
                    push_part(part, request, &path, covered, out);
                }
                if parts.iter().any(|part| matches!(part, ResolvedPart::Query)) {
                    return;
                }
            }
        }
        if let Some(query) = target.query {
            let has_query = matches!(self, Self::Rewrite(_)) && out.contains(&b'?');
            out.push(if has_query { b'&' } else { b'?' });
            out.extend_from_slice(query);
        }
    }
}

/// Appends the part; `path` is the client's, of which the route covers so many segments.
fn push_part(
    part: &ResolvedPart,
    request: &Request<'_>,
    path: &[u8],
    covered: usize,
    out: &mut Vec<u8>,
) {
    match part {
        ResolvedPart::Text(text) => out.extend_from_slice(text.as_bytes()),
        ResolvedPart::Host => out.extend_from_slice(request.head.host),
        ResolvedPart::Path => out.extend_from_slice(path),
        ResolvedPart::Rest => out.extend_from_slice(behind_segments(path, covered)),
        ResolvedPart::Query => out.extend_from_slice(request.head.target.query.unwrap_or_default()),
        ResolvedPart::Segment(index) => {
            let segment = behind_segments(path, *index);
            let start = segment.iter().position(|byte| *byte != b'/');
            let segment = &segment[start.unwrap_or(segment.len())..];
            let end = memchr::memchr(b'/', segment).unwrap_or(segment.len());
            out.extend_from_slice(&segment[..end]);
        }
    }
}

/// Appends a path that may be empty: an upstream is asked for `/` then.
fn push_path(path: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if path.is_empty() { b"/" } else { path });
}
