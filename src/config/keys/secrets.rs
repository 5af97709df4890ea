//! Which strings of a file give access to something: a dump does not print them, nor does a line of the file
//! that is shown with a mistake.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Whether the field `name` of a request proves who the client is.
pub(super) fn is_proof(name: &str) -> bool {
    let mut proofs = ["Authorization", "Proxy-Authorization", "Cookie"].iter();
    proofs.any(|proof| proof.eq_ignore_ascii_case(name))
}

/// Keys whose strings, at any depth, may give access to something.
const KEYS: [&str; 6] = [
    "secret",
    "hmac_key",
    "environment",
    "params",
    "request_headers",
    "options",
];

/// `text`, a file, with asterisks in place of its secrets: places in it stay where they are.
pub(crate) fn hide_secrets(text: &str) -> String {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut spans = Vec::new();
    for_each_secret(tree.get_ref(), "", false, &mut |span| spans.push(span));
    let mut shown = text.to_owned();
    for span in spans {
        let written = &text[span.clone()];
        shown.replace_range(span, &in_asterisks(written));
    }
    if errors.is_empty() {
        shown
    } else {
        hide_lines(&shown)
    }
}

/// The same for a file that is no TOML, of which the tree does not have all values: it has the first one of a key that
/// is set twice, and none behind a quote too many. So all that stands behind a secret key is hidden, to the end of its
/// line, and each line of a table that has such a name.
fn hide_lines(text: &str) -> String {
    let mut table = "";
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            table = line;
        }
        let name = secret_key(line, table).unwrap_or(line.len());
        let start = line[name..].find('=').map_or(line.len(), |at| name + at);
        shown += &line[..start];
        shown.extend(line[start..].bytes().map(|octet| match octet {
            b' ' | b'\t' | b'\r' | b'\n' | b'=' | b',' => char::from(octet),
            b'"' | b'\'' | b'{' | b'}' | b'[' | b']' => char::from(octet),
            _ => '*',
        }));
    }
    shown
}

/// Where in `line` the values of a secret key begin to be possible: behind its name, or at once if `table`, the line
/// that begins its table, has such a name.
fn secret_key(line: &str, table: &str) -> Option<usize> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let find = |text: &str, key: &str| {
        text.match_indices(key)
            .map(|(at, _)| at + key.len())
            .find(|end| {
                let before = text[..end - key.len()].chars().next_back();
                let behind = text[*end..].chars().next();
                !before.is_some_and(is_of_name) && !behind.is_some_and(is_of_name)
            })
    };
    let is_tracing = find(table, "tracing").is_some();
    let keys = KEYS.into_iter().chain(is_tracing.then_some("headers"));
    if keys.clone().any(|key| find(table, key).is_some()) {
        return Some(0);
    }
    keys.filter_map(|key| find(line, key)).min()
}

/// Calls `found` with the place of each secret of `table`, which stands below the key `above`. All strings are
/// secrets if `is_secret`.
fn for_each_secret(
    table: &DeTable<'_>,
    above: &str,
    is_secret: bool,
    found: &mut dyn FnMut(Range<usize>),
) {
    for (key, value) in table {
        let key: &Spanned<Cow<'_, str>> = key;
        let name = key.get_ref();
        let is_secret = is_secret
            || KEYS.contains(&&**name)
            || (above, &**name) == ("tracing", "headers")
            || above.starts_with("header") && is_proof(name);
        if (above, &**name) == ("request_headers", "remove") {
            continue; // Names of fields.
        }
        secrets_of(value, name, is_secret, found);
        // A handler's options may be numbers, which are no secrets; here a number is a string without its quotes.
        let is_text = matches!(above, "environment" | "params") || name == "secret";
        if is_text && value.get_ref().as_str().is_none() && !is_collection(value.get_ref()) {
            found(value.span());
        }
    }
}

fn is_collection(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Array(_) | DeValue::Table(_))
}

fn secrets_of(
    value: &Spanned<DeValue<'_>>,
    name: &str,
    is_secret: bool,
    found: &mut dyn FnMut(Range<usize>),
) {
    match value.get_ref() {
        DeValue::String(text) if is_secret && !is_reference(text) => found(value.span()),
        DeValue::Array(values) => {
            for value in values {
                secrets_of(value, name, is_secret, found);
            }
        }
        DeValue::Table(table) => for_each_secret(table, name, is_secret, found),
        _ => {}
    }
}

/// Whether `text` is `${NAME}` or `{name}`: what it stands for is elsewhere.
fn is_reference(text: &str) -> bool {
    let braced = text.strip_prefix('$').unwrap_or(text);
    let inner = braced.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
    inner.is_some_and(|name| !name.contains(['$', '{', '}', ':']))
}

/// As many octets as `written`, a value of TOML: an asterisk for each, but for line ends and the quotes around.
fn in_asterisks(written: &str) -> String {
    let is_quote = |c: char| c == '"' || c == '\'';
    let start = written.len() - written.trim_start_matches(is_quote).len();
    let end = written.trim_end_matches(is_quote).len().max(start);
    let hidden = written[start..end].bytes().map(|octet| match octet {
        b'\n' | b'\r' => char::from(octet),
        _ => '*',
    });
    let hidden: String = hidden.collect();
    [&written[..start], &hidden, &written[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_file_has_asterisks_for_secrets_at_the_same_places() {
        let text = "\
[upstreams.u]
sticky = { cookie = \"a\", secret = 'hünter2' }
[apps.a]
environment = { A = \"${A}\", B = \"x${B}\", C = \"${C:-x}\", D = 5 }
[tracing]
headers.X-Team = \"\"\"a
b\"\"\"
[[server]]
headers = { X-Team = \"a\" }
routes.\"/\" = { proxy = \"u\", request_headers = { set.X = \"a\", add = { Y = [\"b\", \"{path}\"] }, remove = \"Z\" } }
[[test]]
headers = { cookie = \"a=b\", Accept = \"*\" }
";
        let expected = "\
[upstreams.u]
sticky = { cookie = \"a\", secret = '********' }
[apps.a]
environment = { A = \"${A}\", B = \"*****\", C = \"*******\", D = * }
[tracing]
headers.X-Team = \"\"\"*
*\"\"\"
[[server]]
headers = { X-Team = \"a\" }
routes.\"/\" = { proxy = \"u\", request_headers = { set.X = \"*\", add = { Y = [\"*\", \"{path}\"] }, remove = \"Z\" } }
[[test]]
headers = { cookie = \"***\", Accept = \"*\" }
";
        assert_eq!(hide_secrets(text), expected);
        assert_eq!(hide_secrets("a = b"), "a = b");
    }

    #[test]
    fn behind_a_mistake_nothing_of_a_secret_is_shown() {
        for (text, expected) in [
            (
                "secret = 'a', secret = 'b'\nc = 'd'\n",
                "secret = '*', ****** = '*'\nc = 'd'\n",
            ),
            (
                "sticky.secret = 'a'\nsticky.secret = 'b'\n",
                "sticky.secret = '*'\nsticky.secret = '*'\n",
            ),
            ("environment.A = 'it's me'\n", "environment.A = '**'* **'\n"),
            (
                "[apps.a.environment]\nA = 'a'\nA = 'b'\n[b]\nA = 'a'\n",
                "[apps.a.environment]\nA = '*'\nA = '*'\n[b]\nA = 'a'\n",
            ),
            (
                "[tracing]\nheaders = { A = B c }\nheaders_of = 'a'\n",
                "[tracing]\nheaders = { * = *** }\nheaders_of = 'a'\n",
            ),
        ] {
            assert_eq!(hide_secrets(text), expected);
        }
    }
}
