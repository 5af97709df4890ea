//! What `benches/micro` may call to measure single steps of an exchange.
//!
//! It is part of the library only with the feature `bench-internals`, and other programs must not use
//! it: what is measured stays private and may change. Every function is thin, so that a figure is that
//! of the step alone.

use crate::config::model::{PatternSegment, RoutePattern, Shape};
use crate::generation::routing::{Found, RoutingTable};
use crate::http::chunked::{Decoder, Step};
use crate::http::method::Method;
use crate::http::path::NormalPath;
use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space};
use crate::http::response::{Persistence, ResponseFraming, ResponseHead};
use crate::http::status::Status;

pub use crate::runtime::bench::{TimerWheel, ping_pong};

/// Parses the head at the start of `bytes`. Returns its length if it is complete and good.
pub fn parse_head(bytes: &[u8]) -> Option<usize> {
    let limits = HeadLimits {
        max_bytes: 16 * 1024,
        max_fields: 100,
    };
    match RequestHead::parse(bytes, &mut field_space(), limits) {
        Ok(Parsed::Complete(_, length)) => Some(length),
        Ok(Parsed::Partial) | Err(_) => None,
    }
}

/// A routing table whose routes are numbers.
pub struct Routes(RoutingTable<usize>);

impl Routes {
    /// Routes each path to its place in `paths`; a segment `{name}` stands for any.
    pub fn new(paths: impl IntoIterator<Item = String>) -> Self {
        let mut table = RoutingTable::default();
        for (place, path) in paths.into_iter().enumerate() {
            table.insert(&pattern(&path), place);
        }
        Self(table)
    }

    /// The route of a GET for `path`, which is as a client sends it.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        match self.0.find(Method::Get, &NormalPath::parse(path).ok()?) {
            Found::Route { route, .. } => Some(*route),
            Found::OtherMethods(_) | Found::Nothing => None,
        }
    }
}

/// The pattern of a path.
fn pattern(path: &str) -> RoutePattern {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments = segments.map(|segment| match segment.strip_prefix('{') {
        Some(name) => PatternSegment::Parameter(name.trim_end_matches('}').to_owned(), Shape::Any),
        None => PatternSegment::Static(segment.into()),
    });
    RoutePattern {
        segments: segments.collect(),
        ..RoutePattern::everything()
    }
}

/// Appends the head of a 200 response to `out`. `common` and `fields` are encoded lines, as in a
/// response from the cache.
pub fn encode_head(common: &[u8], fields: &[u8], length: u64, out: &mut Vec<u8>) {
    let head = ResponseHead {
        status: Status::OK,
        common,
        fields,
        more_fields: b"",
        framing: ResponseFraming::Length(length),
        persistence: Persistence::Implied,
    };
    head.encode(out);
}

/// Takes the chunked coding off `message`. Returns the length of its content in octets, if it is
/// complete and good.
pub fn decode_chunked(message: &[u8]) -> Option<usize> {
    let (mut decoder, mut content, mut rest) = (Decoder::default(), 0, message);
    loop {
        match decoder.step(rest).ok()? {
            Step::Content { skip, len } => {
                content += len;
                rest = &rest[skip + len..];
            }
            Step::NeedMore => return None,
            Step::End { .. } => return Some(content),
        }
    }
}
