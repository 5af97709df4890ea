//! What `Proxy-Status` says of a request (RFC 9209): the server that was asked, and why there is no response
//! of it.

use std::fmt::Write as _;

/// The value of the field.
pub(crate) fn value(error: Option<&str>, next_hop: Option<&str>) -> String {
    let mut value = "tidegate".to_owned();
    if let Some(error) = error {
        value.push_str("; error=");
        value.push_str(error);
    }
    if let Some(server) = next_hop {
        value.push_str("; next-hop=\"");
        push_escaped(server, &mut value);
        value.push('"');
    }
    value
}

/// Appends `text` as it stands in a string (RFC 8941 §3.3.3), which holds ASCII alone: other octets, which a
/// socket's path may have, are percent-encoded.
fn push_escaped(text: &str, out: &mut String) {
    for octet in text.bytes() {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(octet));
            }
            b' '..=b'~' => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "%{octet:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_holds_no_quote_and_no_octet_beyond_ascii() {
        for (server, expected) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("[::1]:80", "[::1]:80"),
            (r#"unix:/a "b\c"#, r#"unix:/a \"b\\c"#),
            ("unix:/grün\n", "unix:/gr%C3%BCn%0A"),
        ] {
            let expected = format!("tidegate; next-hop=\"{expected}\"");
            assert_eq!(value(None, Some(server)), expected);
        }
        let expected = "tidegate; error=dns_error; next-hop=\"a\"";
        assert_eq!(value(Some("dns_error"), Some("a")), expected);
        assert_eq!(value(Some("dns_error"), None), "tidegate; error=dns_error");
    }
}
