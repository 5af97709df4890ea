//! Comma-separated lists in field values (RFC 9110 §5.6.1).

/// Returns the elements of a list, without the white space around them. Drops empty elements, as a
/// recipient has to (§5.6.1.2). A comma between double quotes separates nothing.
///
/// A backslash escapes nothing here, because in an entity tag it is an ordinary octet (§8.8.3). In a
/// quoted parameter of `Accept` it does escape; an element that is misread there costs the client a
/// preference.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    value
        .split(move |&byte| {
            is_quoted ^= byte == b'"';
            byte == b',' && !is_quoted
        })
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Returns one list with the elements of all `values`, each once, in their order. The case of letters
/// makes no difference. `*` stands for everything else (RFC 9110 §12.5.5).
pub(crate) fn union(values: &[&[u8]]) -> Vec<u8> {
    let mut union: Vec<&[u8]> = Vec::new();
    for element in values.iter().flat_map(|value| elements(value)) {
        if element == b"*" {
            return b"*".to_vec();
        }
        if !union
            .iter()
            .any(|known| known.eq_ignore_ascii_case(element))
        {
            union.push(element);
        }
    }
    union.join(&b", "[..])
}

/// Returns `bytes` without the spaces and tabs at both ends (§5.6.3).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_has_each_element_once() {
        for (values, expected) in [
            (&["Origin"][..], "Origin"),
            (
                &["Accept-Encoding", "Origin, accept-encoding"],
                "Accept-Encoding, Origin",
            ),
            (&["a,b", "*"], "*"),
            (&["", "a"], "a"),
            (&[], ""),
        ] {
            let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(union(&values), expected.as_bytes(), "{values:?}");
        }
    }

    #[test]
    fn splits_at_commas_outside_quotes() {
        let cases: &[(&str, &[&str])] = &[
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            (" a\t, b ;q=1 ", &["a", "b ;q=1"]),
            (",, a ,\t,b,", &["a", "b"]),
            ("\"a,b\", c", &["\"a,b\"", "c"]),
            ("\"a, b", &["\"a, b"]),
            ("\"a\\\", b", &["\"a\\\"", "b"]),
            (" ", &[]),
            ("", &[]),
        ];
        for (value, expected) in cases {
            let found: Vec<_> = elements(value.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().map(|element| element.as_bytes()).collect();
            assert_eq!(found, expected, "{value:?}");
        }
    }
}
