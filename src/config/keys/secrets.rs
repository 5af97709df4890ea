//! Which strings of a file give access to something: a dump does not print them, nor does a line of the file
//! that is shown with a mistake.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Fields of a request that prove who the client is.
pub(super) const PROOFS: [&str; 3] = ["Authorization", "Proxy-Authorization", "Cookie"];

/// Keys whose strings, at any depth, may give access to something.
const KEYS: [&str; 6] = [
    "secret",
    "hmac_key",
    "environment",
    "params",
    "request_headers",
    "options",
];

/// `text`, a file, with asterisks in place of its secrets: places in it stay where they are. In text that is no
/// TOML, only what can be told to be a value is replaced.
pub(crate) fn hide_secrets(text: &str) -> String {
    let (tree, _) = DeTable::parse_recoverable(text);
    let mut spans = Vec::new();
    for_each_secret(tree.get_ref(), "", false, &mut |span| spans.push(span));
    let mut shown = text.to_owned();
    for span in spans {
        let written = &text[span.clone()];
        shown.replace_range(span, &in_asterisks(written));
    }
    shown
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
            || above.starts_with("header")
                && PROOFS.iter().any(|proof| proof.eq_ignore_ascii_case(name));
        if (above, &**name) == ("request_headers", "remove") {
            continue; // Names of fields.
        }
        secrets_of(value, name, is_secret, found);
    }
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

/// As many octets as `written`, a string of TOML: an asterisk for each, but for line ends and the quotes around.
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
environment = { A = \"${A}\", B = \"*****\", C = \"*******\", D = 5 }
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
}
