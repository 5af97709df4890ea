//! Queries and content as forms make them (`application/x-www-form-urlencoded`).

/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The pairs of `a=b&c=d`, decoded; one without `=` has an empty value. What is no UTF-8 becomes U+FFFD.
pub(super) fn pairs(query: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query).into_owned()
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
            let found: Vec<_> = pairs(query.as_bytes()).collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}
