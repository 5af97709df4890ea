//! Reads what chooses a server: what is hashed, and the cookie that names one.

use crate::config::complaint::fault::Fault;
use crate::config::model::HashKey;
use crate::http::fields::is_token;

const HASH_HELP: &str = "write \"client\", \"path\", \"header NAME\" or \"cookie NAME\"";

/// Reads `hash`: `client`, `path`, `header NAME` or `cookie NAME`.
pub(crate) fn parse_hash_key(text: &str) -> Result<HashKey, Fault> {
    let fault = |message: String| Fault::new(0..text.len(), message);
    match text {
        "client" => return Ok(HashKey::Client),
        "path" => return Ok(HashKey::Path),
        "header" | "cookie" => {
            let error = fault(format!("which {text} is hashed is missing"));
            let example = if text == "header" {
                "X-Tenant"
            } else {
                "session"
            };
            return Err(error.help(format!("write \"{text} {example}\"")));
        }
        _ => {}
    }
    let (kind, name) = text.split_once(' ').unwrap_or((text, ""));
    let is_named = is_token(name.as_bytes());
    match kind {
        "header" if is_named => Ok(HashKey::Header(name.to_owned())),
        "cookie" if is_named => Ok(HashKey::Cookie(name.to_owned())),
        "header" | "cookie" => {
            let message = format!("`{}` is not the name of a {kind}", name.escape_debug());
            Err(Fault::new(kind.len() + 1..text.len(), message).help(HASH_HELP))
        }
        _ => {
            let message = format!("`{}` is nothing that can be hashed", text.escape_debug());
            Err(fault(message).help(HASH_HELP))
        }
    }
}

/// Reads the name of a cookie (RFC 6265 §4.1.1).
pub(crate) fn parse_cookie_name(name: &str) -> Result<String, Fault> {
    let whole = 0..name.len();
    if !is_token(name.as_bytes()) {
        let message = format!("`{}` is not the name of a cookie", name.escape_debug());
        return Err(Fault::new(whole, message).help("write letters, digits, `-` and `_`"));
    }
    let lower = name.to_ascii_lowercase();
    if let Some(prefix) = ["__host-", "__secure-"]
        .into_iter()
        .find(|prefix| lower.starts_with(prefix))
    {
        let message = "browsers take a cookie of such a name over TLS alone";
        return Err(Fault::new(0..prefix.len(), message).help("leave the prefix out"));
    }
    Ok(name.to_owned())
}

/// Octets of the shortest secret. A shorter one could be found out by trying.
const SHORTEST_SECRET: usize = 16;

/// Reads what cookies are signed with.
pub(crate) fn parse_secret(text: &str) -> Result<String, Fault> {
    if text.len() >= SHORTEST_SECRET {
        return Ok(text.to_owned());
    }
    let message = format!("a secret has at least {SHORTEST_SECRET} characters");
    let help =
        "`openssl rand -base64 24` makes one; secret = \"${NAME}\" reads it from the environment";
    Err(Fault::new(0..text.len(), message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn reads_what_is_hashed() {
        for (text, expected) in [
            ("client", HashKey::Client),
            ("path", HashKey::Path),
            ("header X-Tenant", HashKey::Header("X-Tenant".into())),
            ("cookie session", HashKey::Cookie("session".into())),
        ] {
            assert_eq!(parse_hash_key(text), Ok(expected));
        }
        let cases = [
            ("", 0..0, "nothing that can be hashed"),
            ("uri", 0..3, "nothing that can be hashed"),
            ("$remote_addr", 0..12, "nothing that can be hashed"),
            ("header", 0..6, "is missing"),
            ("cookie ", 7..7, "not the name of a cookie"),
            ("header a b", 7..10, "not the name of a header"),
        ];
        assert_faults(parse_hash_key, &cases);
    }

    #[test]
    fn a_cookie_has_a_name_that_browsers_take() {
        for name in ["tidegate-shop", "a_b.c", "__hosts"] {
            assert_eq!(parse_cookie_name(name).as_deref(), Ok(name));
        }
        let cases = [
            ("", 0..0, "not the name"),
            ("a=b", 0..3, "not the name"),
            ("__Host-a", 0..7, "over TLS alone"),
            ("__secure-a", 0..9, "over TLS alone"),
        ];
        assert_faults(parse_cookie_name, &cases);
        assert_faults(parse_secret, &[("fifteen letters", 0..15, "at least 16")]);
        assert!(parse_secret("sixteen letters!").is_ok());
    }
}
