//! Queries such as forms make: `a=b&c=d`.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The values of the parameter `name` in `query`, decoded, in order. A `+` is a space.
pub(crate) fn values<'q>(query: &'q [u8], name: &'q [u8]) -> impl Iterator<Item = Cow<'q, [u8]>> {
    let pairs = query.split(|octet| *octet == b'&');
    pairs.filter_map(move |pair| {
        let mut parts = pair.splitn(2, |octet| *octet == b'=');
        let is_it = *decoded(parts.next().unwrap_or_default()) == *name && !pair.is_empty();
        is_it.then(|| decoded(parts.next().unwrap_or_default()))
    })
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|octet| if *octet == b'+' { b' ' } else { *octet })
        .collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_value_of_a_name() {
        for (query, expected) in [
            ("v=2", &["2"][..]),
            ("a=1&v=2&v=3", &["2", "3"]),
            ("%76=a%26b", &["a&b"]),
            ("v=a+b%2B", &["a b+"]),
            ("v", &[""]),
            ("v=a=b", &["a=b"]),
            ("V=2&vv=3&=4&", &[]),
            ("", &[]),
        ] {
            let found: Vec<_> = values(query.as_bytes(), b"v").collect();
            let expected: Vec<_> = expected.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}
