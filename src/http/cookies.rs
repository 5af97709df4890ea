//! Cookies of a request (RFC 6265 §4.2, §5.4): `Cookie: a=1; b=2`.

use super::fields::Fields;
use super::list::trim;

/// The value of the first cookie called `name`, without the quotation marks that may stand around it.
/// Names are compared with regard to case. `None` if there is none, or its value is empty.
pub(crate) fn find<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = fields.values("cookie");
    values.find_map(|value| find_in(value, name.as_bytes()))
}

fn find_in<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut pairs = value.split(|octet| *octet == b';').map(trim);
    pairs.find_map(|pair| {
        let value = pair.strip_prefix(name)?.strip_prefix(b"=")?;
        let unquoted = value
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""));
        Some(unquoted.unwrap_or(value)).filter(|value| !value.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_cookie_by_its_whole_name() {
        for (field, expected) in [
            ("a=1", Some("1")),
            ("b=2; a=1", Some("1")),
            ("aa=2;a=1;a=3", Some("1")),
            ("b=a=1; A=2", None),
            ("a=\"1\"", Some("1")),
            ("a=1=2", Some("1=2")),
            ("a=; a=2", Some("2")),
            ("a", None),
            ("", None),
        ] {
            let found = find_in(field.as_bytes(), b"a");
            assert_eq!(found, expected.map(str::as_bytes), "{field}");
        }
    }

    #[test]
    fn looks_at_every_line_of_the_field() {
        let line = |name, value| httparse::Header { name, value };
        let lines = [
            line("Cookie", &b"b=2"[..]),
            line("cookie", b"a=1"),
            line("X", b"c=3"),
        ];
        let fields = Fields::new(&lines);
        assert_eq!(find(&fields, "a"), Some(&b"1"[..]));
        assert_eq!(find(&fields, "c"), None);
    }
}
