//! The target of a redirect, and the path that a rewrite asks an upstream for: text with variables in
//! braces.
//!
//! ```text
//! https://{host}{path}?{query}     of the request: its host without the port, its path, its query
//! /v2{rest}                        what its path has below the route's path
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
    ("$1", "{rest}"),
    ("{uri}", "{path}?{query}"),
    ("{http.request.uri}", "{path}?{query}"),
    ("{http.request.host}", "{host}"),
    ("{http.request.uri.path}", "{path}"),
];

/// Reads the target of a redirect. It goes into `Location` (RFC 9110 §10.2.2), so it must be a URI
/// reference: visible ASCII. Whether the route has the parameters is for the caller to check.
pub(crate) fn parse_redirect(target: &str) -> Result<RedirectTarget, Fault> {
    if target.is_empty() {
        return Err(Fault::new(0..0, "`redirect` names no target")
            .help("write a path, \"/new\", or a URL, \"https://example.com/\""));
    }
    refuse_octets(target, "a redirect's target")?;
    parse(
        target,
        "variables are `{host}`, `{path}`, `{rest}`, `{query}` and the names in the route's path; for a \
         brace write `%7B` or `%7D`",
    )
}

/// Reads the path, and perhaps the query, that an upstream is asked for. It becomes a part of a
/// request-target (RFC 9112 §3.2.1).
pub(crate) fn parse_rewrite(target: &str) -> Result<RedirectTarget, Fault> {
    const HELP: &str = "write \"/v2{rest}\"; `{rest}` is what the path has below the route";
    refuse_octets(target, "a path")?;
    if !target.starts_with('/') && !target.starts_with("{path}") {
        let fault = Fault::new(0..target.len(), "`rewrite` is a path, from its slash on");
        return Err(match target {
            "{rest}" => fault.help("strip_prefix = true asks for what is below the route"),
            _ => fault.help(HELP),
        });
    }
    if let Some(at) = target.find('#') {
        let fault = Fault::new(at..target.len(), "a fragment is never sent (RFC 9110 §7.1)");
        return Err(fault.help(HELP));
    }
    let path = target.split('?').next().unwrap_or(target);
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        let fault = Fault::new(0..path.len(), "a path has no `.` and no `..`");
        return Err(fault.help("write the path that they lead to"));
    }
    let help = "variables are `{path}`, `{rest}`, `{query}` and the names in the route's path; for a \
                brace write `%7B` or `%7D`";
    let rewrite = parse(target, help)?;
    if rewrite.parts.contains(&TargetPart::Host) {
        let at = target.find("{host}").unwrap_or_default();
        let fault = Fault::new(at..at + "{host}".len(), "a path has no host");
        return Err(fault.help("`host` says what the upstream is told as `Host`"));
    }
    Ok(rewrite)
}

/// Reads text with variables. `help` says which there are.
fn parse(target: &str, help: &str) -> Result<RedirectTarget, Fault> {
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
            Fault::new(start..end, message).help(help)
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

/// Refuses what cannot stand in `place`.
fn refuse_octets(target: &str, place: &str) -> Result<(), Fault> {
    let Some((at, c)) = target.char_indices().find(|(_, c)| !c.is_ascii_graphic()) else {
        return Ok(());
    };
    let mut octets = [0; 4];
    let octets = c.encode_utf8(&mut octets).bytes();
    let encoded: String = octets.map(|octet| format!("%{octet:02X}")).collect();
    let message = format!("`{}` cannot stand in {place}", c.escape_debug());
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
        "rest" => Some(TargetPart::Rest),
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
            ("/v2{rest}", vec![text("/v2"), TargetPart::Rest]),
            (
                "/n/{id}",
                vec![text("/n/"), TargetPart::Parameter("id".to_owned())],
            ),
        ] {
            let found = parse_redirect(target).expect(target);
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
        assert_faults(parse_redirect, &cases);
    }

    #[test]
    fn a_rewrite_is_a_path_from_its_slash_on() {
        for target in [
            "/",
            "/v2{rest}",
            "{path}?a={id}",
            "/a?b=../c&{query}",
            "/.a/b..",
        ] {
            let found = parse_rewrite(target).expect(target);
            assert_eq!(found.written, target);
        }
        let cases = [
            ("", 0..0, "from its slash on"),
            ("v2", 0..2, "from its slash on"),
            ("{rest}", 0..6, "from its slash on"),
            ("http://a/b", 0..10, "from its slash on"),
            ("/a#b", 2..4, "a fragment"),
            ("/a/../b?c", 0..7, "no `..`"),
            ("/a b", 2..3, "cannot stand in a path"),
            ("/{host}/a", 1..7, "a path has no host"),
            ("/v2$uri", 3..7, "variable of another server"),
            ("/v2/$1", 4..6, "variable of another server"),
            ("/{a", 1..3, "no variable"),
        ];
        assert_faults(parse_rewrite, &cases);
    }
}
