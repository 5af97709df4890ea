//! What a redirect leads to, what a rewrite asks a handler for, and the files that `try` names.

use super::redirect_host::check_host;
use super::request_text::{parse_strictly, refuse_foreign};
use crate::config::complaint::fault::Fault;
use crate::config::model::RequestText;

/// Reads the target of a redirect. It goes into `Location` (RFC 9110 §10.2.2), so it must be a URI
/// reference: visible ASCII. Whether the route has the parameters is for the caller to check.
pub(crate) fn parse_redirect(target: &str) -> Result<RequestText, Fault> {
    if target.is_empty() {
        return Err(Fault::new(0..0, "`redirect` names no target")
            .help("write a path, \"/new\", or a URL, \"https://example.com/\""));
    }
    refuse_octets(target, "a redirect's target")?;
    let parsed = parse_strictly(target)?;
    check_host(&parsed)?;
    Ok(parsed)
}

/// Reads the path, and perhaps the query, that a handler is asked for. It becomes a request-target
/// (RFC 9112 §3.2.1).
pub(crate) fn parse_rewrite(target: &str) -> Result<RequestText, Fault> {
    const HELP: &str = "write \"/v2{rest}\"; `{rest}` is what the path has below the route";
    parse_path(target, "rewrite", HELP)
}

/// Reads an element of `try`: a path beneath the root of a route.
pub(crate) fn parse_try(path: &str) -> Result<RequestText, Fault> {
    const HELP: &str = "write \"{path}.html\", or \"/index.html\"";
    if let Some(at) = path.find('?') {
        let fault = Fault::new(
            at..path.len(),
            "a file is found by its path, and not by a query",
        );
        return Err(fault.help(HELP));
    }
    if path.starts_with('=') {
        let help = "leave it out: without a file and without `fallback` the answer is 404";
        return Err(Fault::new(0..path.len(), "`try` names files, not a status").help(help));
    }
    if path.contains('%') {
        let at = path.find('%').unwrap_or_default();
        let message = "the names of files are not percent-encoded";
        return Err(Fault::new(at..at + 1, message).help("write the names as they are"));
    }
    parse_path(path, "try", HELP)
}

/// Reads a path from its slash on, which is the value of `key`.
fn parse_path(target: &str, key: &str, help: &str) -> Result<RequestText, Fault> {
    refuse_octets(target, "a path")?;
    refuse_foreign(target)?;
    // `{rest}` may be empty.
    let starts = [
        "/",
        "{path}",
        if key == "try" { "{rest}" } else { "{rest}/" },
    ];
    if !starts.iter().any(|start| target.starts_with(start)) {
        let fault = Fault::new(
            0..target.len(),
            format!("`{key}` is a path, from its slash on"),
        );
        return Err(fault.help(help));
    }
    if let Some(at) = target.find('#') {
        let fault = Fault::new(at..target.len(), "a fragment is never sent (RFC 9110 §7.1)");
        return Err(fault.help(help));
    }
    let path = target.split('?').next().unwrap_or(target);
    if path.split('/').any(is_dot_segment) {
        let fault = Fault::new(0..path.len(), "a path has no `.` and no `..`");
        return Err(fault.help("write the path that they lead to"));
    }
    if path.contains("{query}") {
        let at = path.find("{query}").unwrap_or_default();
        let fault = Fault::new(
            at..at + "{query}".len(),
            "a path has no query before its `?`",
        );
        return Err(fault.help("write it behind a `?`"));
    }
    parse_strictly(target)
}

/// Whether a segment is `.` or `..`, however it is written.
fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(&*plain, "." | "..")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;
    use crate::config::model::{TextPart, Variable};

    #[test]
    fn finds_variables() {
        let text = |text: &str| TextPart::Text(text.to_owned());
        let variable = TextPart::Variable;
        for (target, parts) in [
            ("/new?a=%20#b", vec![text("/new?a=%20#b")]),
            (
                "https://{host}{path}",
                vec![
                    text("https://"),
                    variable(Variable::Host),
                    variable(Variable::Path),
                ],
            ),
            (
                "{path}?$filter={query}&x",
                vec![
                    variable(Variable::Path),
                    text("?$filter="),
                    variable(Variable::Query),
                    text("&x"),
                ],
            ),
            ("/v2{rest}", vec![text("/v2"), variable(Variable::Rest)]),
            (
                "/n/{id}",
                vec![text("/n/"), variable(Variable::Name("id".to_owned()))],
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
            ("{host}/a", 0..8, "a client would say where"),
            ("{id}", 0..4, "a client would say where"),
            ("{query}", 0..7, "a client would say where"),
            ("https://{id}", 0..12, "a client would say where"),
            ("https://example.com{id}", 0..23, "a client would say where"),
            ("//{query}/", 0..10, "a client would say where"),
            ("https://{id}./x", 0..15, "a client would say where"),
            ("https://{id}.{path}", 0..19, "a client would say where"),
        ];
        assert_faults(parse_redirect, &cases);
    }

    #[test]
    fn refuses_a_target_that_a_client_would_complete() {
        for target in [
            "https://",
            "http://",
            "HTTPS://",
            "ws://",
            "//",
            "///",
            "https:",
            "https:/",
            "https:///",
            "{scheme}:",
            "{scheme}://",
            "https://{rest}",
            "https://{path}",
            "https:{path}",
            "https:/{rest}",
            "https:{rest}//",
            "https:{query}//example.com/",
            "{scheme}://{rest}",
            "https://?a",
            "https://#a",
            "///{rest}",
            "//{path}",
            "//{rest}/",
            "/\\{rest}",
            "\\\\{rest}",
            "/\\",
            "https:\\\\{path}",
            "https:\\",
            "https://{rest}example.com",
            "https://example.com{rest}{id}",
            "https://user@{id}",
            "https://{id}@example.com",
            "https://example.com:{id}",
            "https://{id}.com",
            "https://{id}.com:443/",
            "https://{id}.7",
            "https://{id}.example.0x7",
            "x-app://{id}/",
            "{rest}{id}",
            "{rest}https://{id}",
            "htt{id}",
            "ab{id}:c",
            "{scheme}{id}",
            "{scheme}s:{rest}",
        ] {
            let fault = parse_redirect(target).expect_err(target);
            let message = "a client would say where this redirect leads";
            assert_eq!(fault.message, message, "{target}");
            assert!(fault.help.is_some(), "{target}");
        }
    }

    #[test]
    fn refuses_a_host_that_is_none() {
        let cases = [
            ("http://[::1", 0..11, "`[::1` is no host"),
            ("http://[::1]x/", 0..14, "`[::1]x` is no host"),
            (
                "https://example.com:99999",
                0..25,
                "`example.com:99999` is no",
            ),
            ("https://example.com:port/a", 0..26, "is no host"),
            ("//a|b/", 0..6, "`a|b` is no host"),
            ("https://:80/", 0..12, "`:80` is no host"),
            ("https://user@", 0..13, "`` is no host"),
            ("https://{host}:x{path}", 0..22, "`x:x` is no host"),
            ("https:example.com/", 0..18, "not 0"),
            ("https:/example.com/", 0..19, "not 1"),
            ("https:///example.com", 0..20, "not 3"),
            ("///example.com", 0..14, "not 3"),
            ("/a\\b", 2..3, "cannot stand"),
        ];
        assert_faults(parse_redirect, &cases);
    }

    #[test]
    fn a_client_may_say_a_part_of_where_a_redirect_leads() {
        for target in [
            "{path}",
            "{rest}?a",
            "{scheme}://{host}/{id}",
            "https://{id}.example.com{path}",
            "https://example.com{path}",
            "/a{id}?{query}",
            "//cdn.example/{id}",
            "https://example.com",
            "https://example.com:8443{rest}",
            "https://user:word@[2001:db8::1]:80/",
            "https://{host}:8443{path}",
            "https://{id}.internal/",
            "https://{id}.intranet/",
            "/a?b=\\",
            "https://{id}.example.com./",
            "https://example.com?{query}",
            "{path}/",
            "{rest}/index.html",
            "{path}/{query}",
            "/{rest}",
            "/{host}:{id}",
            "/a:b",
            "?a={query}",
            "#{id}",
            "example.com/new",
            "example.com:8080/new",
            "a/{id}",
            "mailto:{id}@example.com",
            "x-app://open",
            "x-app://",
            "x-app://{path}",
        ] {
            assert!(parse_redirect(target).is_ok(), "{target}");
        }
    }

    #[test]
    fn a_file_to_try_is_a_path_beneath_the_root() {
        for path in [
            "{path}",
            "{path}.html",
            "{rest}.html",
            "{path}/index.html",
            "/{host}{path}",
            "/a",
        ] {
            assert!(parse_try(path).is_ok(), "{path}");
        }
        let cases = [
            ("", 0..0, "from its slash on"),
            ("index.html", 0..10, "from its slash on"),
            ("=404", 0..4, "not a status"),
            ("/a?b", 2..4, "not by a query"),
            ("/a%20b", 2..3, "not percent-encoded"),
            ("/../a", 0..5, "no `..`"),
            ("{path}/../a", 0..11, "no `..`"),
            ("$uri", 0..4, "variable of another server"),
            ("/{a b}", 3..4, "cannot stand in a path"),
        ];
        assert_faults(parse_try, &cases);
    }

    #[test]
    fn a_rewrite_is_a_path_from_its_slash_on() {
        for target in [
            "/",
            "/v2{rest}",
            "{path}?a={id}",
            "/a?b=../c&{query}",
            "/.a/b..",
            "/{host}{path}",
            "{rest}/index.html",
            "/item?id={id}&{query}",
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
            ("/%2e%2E/a", 0..9, "no `..`"),
            ("/a{query}", 2..9, "no query before its `?`"),
            ("/v2$uri", 3..7, "variable of another server"),
            ("/v2/$1", 4..6, "variable of another server"),
            ("/{a", 1..3, "no variable"),
        ];
        assert_faults(parse_rewrite, &cases);
    }
}
