//! CORS of a server or a route, prepared: the field lines for each origin are encoded.
//!
//! ```text
//!                        a response, of whatever status        the 204 to a preflight
//! origin allowed         Allow-Origin, Allow-Credentials,      Allow-Origin, Allow-Credentials,
//!                        Expose-Headers                        Allow-Methods, Allow-Headers, Max-Age
//! another, or none       nothing                               nothing
//! origins are not `*`    Vary: Origin in both cases
//! ```

use std::borrow::Cow;

use crate::config::model::{Cors, OriginPattern};
use crate::http::field_list::{lines_of, name_and_value};
use crate::http::list;
use crate::http::response::FieldLines;
use crate::message::content::Octets;

/// CORS, ready to be applied.
#[derive(Debug)]
pub(crate) struct ServingCors {
    /// As they stand in the file, for `explain`.
    pub(crate) rules: Cors,
    /// The lines for each pattern that is an origin itself; those behind `Allow-Origin` for a wildcard.
    origins: Vec<(OriginPattern, Lines)>,
}

/// Encoded field lines. Those that depend on the origin end with [`VARY`].
#[derive(Debug)]
struct Lines {
    preflight: Vec<u8>,
    /// Of every other response.
    ordinary: Vec<u8>,
}

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";

/// The line of a response that depends on the origin, also where the origin is not allowed: a cache that
/// is not told sends the response for one origin to another (Fetch standard §3.2.5).
const VARY: &[u8] = b"Vary: Origin\r\n";

impl ServingCors {
    pub(super) fn new(rules: &Cors) -> Self {
        // With `*` the response is the same for every origin, also for those that are named beside it.
        let patterns = if rules.allows_any() {
            &[OriginPattern::Any]
        } else {
            &rules.origins[..]
        };
        let lines = |pattern: &OriginPattern| (pattern.clone(), Lines::new(rules, pattern));
        Self {
            rules: rules.clone(),
            origins: patterns.iter().map(lines).collect(),
        }
    }

    /// Puts the lines for a request from `origin` to `fields`, in place of all lines of the same names.
    /// Returns the fields, and lines that are to be sent behind them. Where `fields` have no line of CORS and
    /// no `Vary`, and the origin is written out in the configuration, nothing is allocated.
    pub(crate) fn apply<'a>(
        &'a self,
        fields: Octets<'a>,
        origin: Option<&[u8]>,
        is_preflight: bool,
    ) -> (Octets<'a>, &'a [u8]) {
        match self.lines(origin, is_preflight) {
            Cow::Borrowed(lines) if !lines_of(&fields).any(is_touched) => (fields, lines),
            lines => (merged(&fields, &lines).into(), b""),
        }
    }

    /// The lines for a request from `origin`, or from none that a browser names.
    fn lines(&self, origin: Option<&[u8]>, is_preflight: bool) -> Cow<'_, [u8]> {
        let is_it = |pattern: &OriginPattern| match origin {
            Some(origin) => pattern.matches(origin),
            None => *pattern == OriginPattern::Any,
        };
        let Some((pattern, lines)) = self.origins.iter().find(|(pattern, _)| is_it(pattern)) else {
            return Cow::Borrowed(VARY);
        };
        let lines = if is_preflight {
            &lines.preflight
        } else {
            &lines.ordinary
        };
        match (pattern, origin) {
            (OriginPattern::Below { .. }, Some(origin)) => {
                let mut all = FieldLines::new().with(ALLOW_ORIGIN, origin);
                all.extend(lines);
                Cow::Owned(all.into_bytes())
            }
            _ => Cow::Borrowed(lines),
        }
    }
}

impl Lines {
    fn new(rules: &Cors, pattern: &OriginPattern) -> Self {
        let mut both = FieldLines::new();
        if !matches!(pattern, OriginPattern::Below { .. }) {
            both.push(ALLOW_ORIGIN, pattern.to_string());
        }
        if rules.credentials {
            both.push("Access-Control-Allow-Credentials", "true");
        }
        let (mut preflight, mut ordinary) = (both.clone(), both);
        preflight.push("Access-Control-Allow-Methods", rules.methods.join(", "));
        if !rules.headers.is_empty() {
            preflight.push("Access-Control-Allow-Headers", rules.headers.join(", "));
        }
        if let Some(max_age) = rules.max_age {
            preflight.push("Access-Control-Max-Age", max_age.as_secs().to_string());
        }
        if !rules.expose.is_empty() {
            ordinary.push("Access-Control-Expose-Headers", rules.expose.join(", "));
        }
        if *pattern != OriginPattern::Any {
            preflight.extend(VARY);
            ordinary.extend(VARY);
        }
        Self {
            preflight: preflight.into_bytes(),
            ordinary: ordinary.into_bytes(),
        }
    }
}

/// `fields` without lines of CORS, followed by `ours`, with one `Vary` for both.
fn merged(fields: &[u8], ours: &[u8]) -> FieldLines {
    let mut merged = FieldLines::new();
    let mut vary = Vec::new();
    for line in lines_of(fields) {
        match name_and_value(line) {
            (name, value) if is_vary(name) => vary.push(value),
            (name, _) if is_cors(name) => {}
            _ => merged.extend(line),
        }
    }
    let without_vary = ours.strip_suffix(VARY);
    merged.extend(without_vary.unwrap_or(ours));
    if without_vary.is_some() {
        vary.push(b"Origin");
    }
    if !vary.is_empty() {
        merged.push("Vary", list::union(&vary));
    }
    merged
}

/// Whether the line is one of CORS, or a `Vary`.
fn is_touched(line: &[u8]) -> bool {
    // Few other names begin so.
    let may_be = matches!(line.first(), Some(b'A' | b'a' | b'V' | b'v'));
    may_be && {
        let (name, _) = name_and_value(line);
        is_vary(name) || is_cors(name)
    }
}

fn is_vary(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"Vary")
}

fn is_cors(name: &[u8]) -> bool {
    let mut fields = Cors::FIELDS.iter();
    fields.any(|field| field.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn serving(origins: &[OriginPattern], credentials: bool) -> ServingCors {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ServingCors::new(&Cors {
            origins: origins.to_vec(),
            methods: texts(&["GET", "PUT"]),
            headers: texts(&["Authorization", "X-A"]),
            expose: texts(&["X-Total"]),
            credentials,
            max_age: Some(Duration::from_secs(3600)),
        })
    }

    fn applied(
        cors: &ServingCors,
        fields: &str,
        origin: Option<&str>,
        is_preflight: bool,
    ) -> String {
        let fields = Octets::Lent(fields.as_bytes());
        let (fields, more) = cors.apply(fields, origin.map(str::as_bytes), is_preflight);
        String::from_utf8([&fields, more].concat())
            .expect("the cases are text")
            .replace("\r\n", ";")
    }

    fn exact(origin: &str) -> OriginPattern {
        OriginPattern::Exact(origin.to_owned())
    }

    #[test]
    fn an_allowed_origin_is_named_and_another_is_not() {
        let below = OriginPattern::Below {
            start: "http://".to_owned(),
            end: ".b".to_owned(),
        };
        let cors = serving(&[exact("http://a"), below], true);
        for (origin, is_preflight, expected) in [
            (None, false, "Vary: Origin;"),
            (None, true, "Vary: Origin;"),
            (Some("http://b"), false, "Vary: Origin;"),
            (Some("http://b"), true, "Vary: Origin;"),
            (
                Some("http://a"),
                false,
                "Access-Control-Allow-Origin: http://a;Access-Control-Allow-Credentials: true;\
                 Access-Control-Expose-Headers: X-Total;Vary: Origin;",
            ),
            (
                Some("http://x.b"),
                true,
                "Access-Control-Allow-Origin: http://x.b;Access-Control-Allow-Credentials: true;\
                 Access-Control-Allow-Methods: GET, PUT;\
                 Access-Control-Allow-Headers: Authorization, X-A;Access-Control-Max-Age: 3600;\
                 Vary: Origin;",
            ),
        ] {
            assert_eq!(applied(&cors, "", origin, is_preflight), expected);
        }
    }

    #[test]
    fn every_origin_is_answered_alike() {
        let cors = serving(&[exact("http://a"), OriginPattern::Any], false);
        for origin in [None, Some("http://a"), Some("null")] {
            let expected = "Vary: Accept;Access-Control-Allow-Origin: *;\
                Access-Control-Expose-Headers: X-Total;";
            let found = applied(&cors, "Vary: Accept\r\n", origin, false);
            let mut lines: Vec<_> = found.split_inclusive(';').collect();
            lines.sort_by_key(|line| !line.starts_with("Vary"));
            assert_eq!(lines.concat(), expected, "{origin:?}");
        }
    }

    #[test]
    fn takes_the_place_of_lines_of_the_same_names_and_keeps_vary() {
        let cors = serving(&[exact("http://a")], false);
        let own = "X: y\r\naccess-control-allow-origin: *\r\nAccess-Control-Allow-Methods: PUT\r\n\
            Access-Control-Allow-Credentials: true\r\n";
        for (vary, origin, expected) in [
            ("", "http://b", "X: y;Vary: Origin;"),
            ("vary: Cookie\r\n", "http://b", "X: y;Vary: Cookie, Origin;"),
            (
                "Vary: Accept-Encoding, origin\r\nVary: Cookie\r\n",
                "http://a",
                "X: y;Access-Control-Allow-Origin: http://a;Access-Control-Expose-Headers: X-Total;\
                 Vary: Accept-Encoding, origin, Cookie;",
            ),
            ("Vary: *\r\n", "http://b", "X: y;Vary: *;"),
        ] {
            let found = applied(&cors, &format!("{vary}{own}"), Some(origin), false);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_it_need_not_change_is_lent() {
        let cors = serving(&[exact("http://a")], false);
        for origin in [Some(&b"http://a"[..]), Some(b"http://b"), None] {
            let (fields, more) = cors.apply(Octets::Lent(b"X: y\r\n"), origin, false);
            assert!(matches!(fields, Octets::Lent(b"X: y\r\n")) && more.ends_with(VARY));
        }
    }
}
