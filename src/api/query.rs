//! Queries as forms make them (`application/x-www-form-urlencoded`).

use percent_encoding::percent_decode_str;

/// The pairs of `a=b&c=d`, decoded; one without `=` has an empty value.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode_form(name), decode_form(value))
    })
}

fn decode_form(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// Takes percent-encoding off; what is no UTF-8 then becomes U+FFFD.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_query_apart() {
        for (query, expected) in [
            ("", &[][..]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            (
                "q=high+water%21&&flag",
                &[("q", "high water!"), ("flag", "")],
            ),
            ("a=b=c&%C3%A4=%FF", &[("a", "b=c"), ("ä", "\u{fffd}")]),
        ] {
            let found: Vec<_> = pairs(query).collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}
