//! Text with variables in braces, which requests fill.
//!
//! ```text
//! https://{host}{path}?{query}     of the request: its host without the port, its path, its query
//! /v2{rest}                        what its path has below the route's path
//! /item/{id}                       a parameter of the route's path
//! {{id}}                           in content and fields: the text `{id}`
//! ```
//!
//! Whether a route has the parameters is for the caller to check.

use std::ops::Range;

use super::pattern::is_name;
use crate::config::complaint::fault::Fault;
use crate::config::model::{RequestText, TextPart, Variable};

/// What other servers call the variables, and what they are called here.
const TRANSLATIONS: &[(&str, &str)] = &[
    ("$host", "{host}"),
    ("$http_host", "{host}"),
    ("$server_name", "{host}"),
    ("$scheme", "{scheme}"),
    ("$request_method", "{method}"),
    ("$remote_addr", "{client}"),
    ("$request_uri", "{path}?{query}"),
    ("$uri", "{path}"),
    ("$document_uri", "{path}"),
    ("$args", "{query}"),
    ("$query_string", "{query}"),
    ("$1", "{rest}"),
    ("{uri}", "{path}?{query}"),
    ("{remote_host}", "{client}"),
    ("{http.request.uri}", "{path}?{query}"),
    ("{http.request.host}", "{host}"),
    ("{http.request.uri.path}", "{path}"),
];

/// The help where a variable is not known.
pub(crate) const VARIABLES: &str = "variables are `{path}`, `{rest}`, `{query}`, `{host}`, \
                                    `{scheme}`, `{method}`, `{client}` and the names in the route's path";

/// How many variables a text may have. Each may be as long as a request's head.
const MAX_VARIABLES: usize = 32;

/// Reads text in which every brace belongs to a variable: a part of a URI, where other braces have to be
/// encoded.
pub(super) fn parse_strictly(text: &str) -> Result<RequestText, Fault> {
    refuse_foreign(text)?;
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        push_text(&mut parts, &rest[..brace]);
        let start = text.len() - rest.len() + brace;
        let end = rest[brace..].find('}').map(|end| start + end + 1);
        let end = end.unwrap_or(text.len());
        let written = &text[start..end];
        let name = written
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = name.filter(|name| is_name(name)) else {
            let help = format!("{VARIABLES}; for a brace write `%7B` or `%7D`");
            return Err(Fault::new(start..end, format!("`{written}` is no variable")).help(help));
        };
        parts.push(TextPart::Variable(variable(name)));
        rest = &text[end..];
    }
    push_text(&mut parts, rest);
    limited(text, parts)
}

/// Reads text in which other braces may stand: JSON, a script, a style sheet. `{{name}}` is the text
/// `{name}`.
pub(crate) fn parse_freely(text: &str) -> Result<RequestText, Fault> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(brace) = rest.find('{') {
        let (before, from_brace) = rest.split_at(brace);
        let name_at = |start: usize, end: &str| {
            let inner = from_brace.get(start..)?;
            let name = &inner[..inner.find('}')?];
            (is_name(name) && inner[name.len()..].starts_with(end)).then_some(name)
        };
        push_text(&mut parts, before);
        if let Some(name) = name_at(2, "}}").filter(|_| from_brace.starts_with("{{")) {
            push_text(&mut parts, &format!("{{{name}}}"));
            rest = &from_brace[name.len() + 4..];
        } else if let Some(name) = name_at(1, "}") {
            parts.push(TextPart::Variable(variable(name)));
            rest = &from_brace[name.len() + 2..];
        } else {
            push_text(&mut parts, "{");
            rest = &from_brace[1..];
        }
    }
    push_text(&mut parts, rest);
    limited(text, parts)
}

fn limited(text: &str, parts: Vec<TextPart>) -> Result<RequestText, Fault> {
    let text = RequestText {
        written: text.to_owned(),
        parts,
    };
    if text.variables().count() > MAX_VARIABLES {
        let message = format!("more than {MAX_VARIABLES} variables");
        return Err(Fault::new(0..text.written.len(), message));
    }
    Ok(text)
}

fn push_text(parts: &mut Vec<TextPart>, more: &str) {
    match parts.last_mut() {
        _ if more.is_empty() => {}
        Some(TextPart::Text(text)) => text.push_str(more),
        _ => parts.push(TextPart::Text(more.to_owned())),
    }
}

fn variable(name: &str) -> Variable {
    let mut known = Variable::OF_EVERY_REQUEST.iter();
    let known = known.find(|(known, _)| *known == name);
    known.map_or_else(
        || Variable::Name(name.to_owned()),
        |(_, variable)| variable.clone(),
    )
}

/// What to write in place of the name of a variable of another server.
pub(crate) fn translated(name: &str) -> Option<&'static str> {
    let written = format!("{{{name}}}");
    let mut known = TRANSLATIONS.iter();
    known.find_map(|(foreign, ours)| (*foreign == written).then_some(*ours))
}

/// Refuses what is a variable of another server.
pub(super) fn refuse_foreign(text: &str) -> Result<(), Fault> {
    match find_foreign(text, |_| true) {
        Some((range, ours)) => {
            let foreign = &text[range.clone()];
            let message = format!("`{foreign}` is a variable of another server");
            Err(Fault::new(range, message).help(format!("write `{ours}`")))
        }
        None => Ok(()),
    }
}

/// Where a variable of another server stands in a text that [`parse_freely`] reads, and what to write in its place.
/// It is sent as it stands there. `$1` may be a price, and a name in braces is a variable that is not known.
pub(crate) fn find_foreign_in_free_text(text: &str) -> Option<(Range<usize>, &'static str)> {
    find_foreign(text, |foreign| {
        foreign != "$1" && (foreign.starts_with('$') || foreign.contains('.'))
    })
}

/// Where a variable of another server stands in `text`, of those that `is_wanted` wants, and what to write in its place.
fn find_foreign(
    text: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Option<(Range<usize>, &'static str)> {
    let mut wanted = TRANSLATIONS
        .iter()
        .filter(|(foreign, _)| is_wanted(foreign));
    wanted.find_map(|(foreign, ours)| {
        let at = find_word(text, foreign)?;
        Some((at..at + foreign.len(), *ours))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> TextPart {
        TextPart::Text(text.to_owned())
    }

    fn named(name: &str) -> TextPart {
        TextPart::Variable(Variable::Name(name.to_owned()))
    }

    #[test]
    fn finds_variables_among_other_braces() {
        for (written, parts) in [
            ("", vec![]),
            ("a}b{c", vec![text("a}b{c")]),
            ("{\"a\":{\"b\":{}}}", vec![text("{\"a\":{\"b\":{}}}")]),
            ("a{color:red}", vec![text("a{color:red}")]),
            ("{id}", vec![named("id")]),
            ("{{id}}", vec![text("{id}")]),
            // The text `{id}` between braces.
            ("{{{id}}}", vec![text("{{id}}")]),
            ("{{id}", vec![text("{"), named("id")]),
            (
                "{\"id\":\"{id}\"}",
                vec![text("{\"id\":\""), named("id"), text("\"}")],
            ),
            (
                "for={client}; {scheme}",
                vec![
                    text("for="),
                    TextPart::Variable(Variable::Client),
                    text("; "),
                    TextPart::Variable(Variable::Scheme),
                ],
            ),
        ] {
            let found = parse_freely(written).expect(written);
            assert_eq!((found.parts, &*found.written), (parts, written));
        }
    }

    #[test]
    fn a_text_without_variables_is_plain() {
        assert_eq!(
            parse_freely("a").as_ref().map(RequestText::as_plain),
            Ok(Some("a"))
        );
        assert_eq!(
            parse_freely("").as_ref().map(RequestText::as_plain),
            Ok(Some(""))
        );
        assert_eq!(
            parse_freely("{a}").as_ref().map(RequestText::as_plain),
            Ok(None)
        );
        let escaped = parse_freely("{{a}}").expect("text");
        assert_eq!(
            (escaped.as_plain(), &*escaped.written),
            (Some("{a}"), "{{a}}")
        );
    }

    #[test]
    fn has_no_more_variables_than_a_text_may() {
        assert!(parse_freely(&"{path}".repeat(MAX_VARIABLES)).is_ok());
        assert!(parse_freely(&"{path}".repeat(MAX_VARIABLES + 1)).is_err());
        assert!(parse_strictly(&"{path}".repeat(MAX_VARIABLES + 1)).is_err());
    }
}
