//! The target of a redirect: a URI reference with variables in braces.
//!
//! ```text
//! https://{host}{path}?{query}     of the request: its host without the port, its path, its query
//! /item/{id}                       a parameter of the route's path
//! ```

use crate::config::complaint::fault::Fault;
use crate::config::model::{RedirectTarget, TargetPart};

/// What other servers call the variables, and what they are called here.
const TRANSLATIONS: &[(&str, &str)] = &[
    ("$host", "{host}"),
    ("$http_host", "{host}"),
    ("$server_name", "{host}"),
    ("$request_uri", "{path}?{query}"),
    ("$uri", "{path}"),
    ("$document_uri", "{path}"),
    ("$args", "{query}"),
    ("$query_string", "{query}"),
    ("{uri}", "{path}?{query}"),
    ("{http.request.uri}", "{path}?{query}"),
    ("{http.request.host}", "{host}"),
    ("{http.request.uri.path}", "{path}"),
];

/// Reads the target of a redirect. It goes into `Location` (RFC 9110 §10.2.2), so it must be a URI
/// reference: visible ASCII. Whether the route has the parameters is for the caller to check.
pub(crate) fn parse_target(target: &str) -> Result<RedirectTarget, Fault> {
    if target.is_empty() {
        return Err(Fault::new(0..0, "`redirect` names no target")
            .help("write a path, \"/new\", or a URL, \"https://example.com/\""));
    }
    refuse_octets(target)?;
    for (foreign, ours) in TRANSLATIONS {
        if let Some(at) = find_word(target, foreign) {
            let range = at..at + foreign.len();
            let message = format!("`{foreign}` is a variable of another server");
            return Err(Fault::new(range, message).help(format!("write `{ours}`")));
        }
    }
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Some(brace) = target[at..].find(['{', '}']) {
        let start = at + brace;
        if start > at {
            parts.push(TargetPart::Text(target[at..start].to_owned()));
        }
        let end = target[start..].find('}').map(|end| start + end + 1);
        let end = end.unwrap_or(target.len());
        parts.push(parse_variable(&target[start..end]).ok_or_else(|| {
            let message = format!("`{}` is no variable", &target[start..end]);
            Fault::new(start..end, message).help(
                "variables are `{host}`, `{path}`, `{query}` and the names in the route's path; for a \
                 brace write `%7B` or `%7D`",
            )
        })?);
        at = end;
    }
    if at < target.len() {
        parts.push(TargetPart::Text(target[at..].to_owned()));
    }
    Ok(RedirectTarget {
        written: target.to_owned(),
        parts,
    })
}

fn refuse_octets(target: &str) -> Result<(), Fault> {
    let Some((at, c)) = target.char_indices().find(|(_, c)| !c.is_ascii_graphic()) else {
        return Ok(());
    };
    let mut octets = [0; 4];
    let octets = c.encode_utf8(&mut octets).bytes();
    let encoded: String = octets.map(|octet| format!("%{octet:02X}")).collect();
    let message = format!("`{}` cannot stand in a redirect's target", c.escape_debug());
    Err(Fault::new(at..at + c.len_utf8(), message)
        .help(format!("write it percent-encoded: `{encoded}`")))
}

/// Where `word` stands in `text` without a longer name behind it: `$host` does not stand in `$hostname`.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let goes_on = |at: usize| {
        let next = text[at + word.len()..].chars().next();
        word.starts_with('$') && next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let mut places = text.match_indices(word).map(|(at, _)| at);
    places.find(|at| !goes_on(*at))
}

/// Reads `{name}`.
fn parse_variable(written: &str) -> Option<TargetPart> {
    let name = written.strip_prefix('{')?.strip_suffix('}')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|octet| octet == b'_' || octet.is_ascii_alphanumeric());
    match name {
        "host" => Some(TargetPart::Host),
        "path" => Some(TargetPart::Path),
        "query" => Some(TargetPart::Query),
        _ => is_name.then(|| TargetPart::Parameter(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn finds_variables() {
        let text = |text: &str| TargetPart::Text(text.to_owned());
        for (target, parts) in [
            ("/new?a=%20#b", vec![text("/new?a=%20#b")]),
            (
                "https://{host}{path}",
                vec![text("https://"), TargetPart::Host, TargetPart::Path],
            ),
            (
                "{path}?$filter={query}&x",
                vec![
                    TargetPart::Path,
                    text("?$filter="),
                    TargetPart::Query,
                    text("&x"),
                ],
            ),
            (
                "/n/{id}",
                vec![text("/n/"), TargetPart::Parameter("id".to_owned())],
            ),
        ] {
            let found = parse_target(target).expect(target);
            assert_eq!((found.parts, found.written.as_str()), (parts, target));
        }
    }

    #[test]
    fn refuses_what_is_no_target_and_says_where() {
        let cases = [
            ("", 0..0, "names no target"),
            ("/a b", 2..3, "cannot stand"),
            ("/\r\n", 1..2, "cannot stand"),
            ("/\u{e9}", 1..3, "cannot stand"),
            ("https://$host/x", 8..13, "variable of another server"),
            ("https://a$request_uri", 9..21, "variable of another server"),
            ("https://a{uri}", 9..14, "variable of another server"),
            ("/a/{}", 3..5, "`{}` is no variable"),
            ("/a/{b", 3..5, "`{b` is no variable"),
            ("/a}b", 2..3, "`}` is no variable"),
            ("/{a-b}", 1..6, "`{a-b}` is no variable"),
        ];
        assert_faults(parse_target, &cases);
    }
}
