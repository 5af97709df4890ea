//! Reads an origin (RFC 6454 §6.2): a scheme, a host and a port, as a browser names it in `Origin`.

use std::num::NonZeroU16;

use super::address::parse_host;
use crate::config::complaint::fault::Fault;
use crate::config::model::{HostPattern, OriginPattern};

/// Reads an entry of `origins`, and puts it into the form that browsers send: in lower case, without the
/// default port. So `https://Example.com:443` is `https://example.com`.
pub(crate) fn parse_origin(text: &str) -> Result<OriginPattern, Fault> {
    match text {
        "*" => return Ok(OriginPattern::Any),
        "null" => return Ok(OriginPattern::Exact(text.to_owned())),
        _ => {}
    }
    if is_of_files(text) {
        let message = "the page of a file has no origin of its own";
        let help = "browsers send \"null\" for it: write \"null\"";
        return Err(Fault::new(0..text.len(), message).help(help));
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return Err(no_scheme(text));
    };
    check_scheme(scheme)?;
    let start = text.len() - authority.len();
    check_authority(text, authority, start)?;
    let (host, port) = split_port(authority);
    let port = port.map(|port| parse_port(text, port)).transpose()?;
    let host = parse_host(host).map_err(|fault| Fault {
        range: start + fault.range.start..start + fault.range.end,
        ..fault
    })?;
    let scheme = scheme.to_ascii_lowercase();
    let port = port.filter(|port| Some(port.get()) != default_port(&scheme));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Ok(match host {
        HostPattern::Exact(host) => OriginPattern::Exact(format!("{scheme}://{host}{port}")),
        HostPattern::Below(suffix) => OriginPattern::Below {
            start: format!("{scheme}://"),
            end: format!("{suffix}{port}"),
        },
    })
}

/// Whether `text` has the scheme of files.
fn is_of_files(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("file"))
}

/// The fault of an origin without `://`.
fn no_scheme(text: &str) -> Fault {
    let shown = text.escape_debug();
    let message = format!("`{shown}` is no origin, because it has no scheme");
    let host = text
        .strip_prefix("//")
        .unwrap_or(text)
        .split(['/', '?', '#'])
        .next();
    let origin = format!("https://{}", host.unwrap_or_default());
    let origin = Some(origin).filter(|origin| parse_origin(origin).is_ok());
    let origin = origin.as_deref().unwrap_or("https://example.com");
    Fault::new(0..text.len(), message).help(format!("write \"{origin}\""))
}

/// Checks the scheme (RFC 3986 §3.1). Pages of apps and of extensions have schemes of their own.
fn check_scheme(scheme: &str) -> Result<(), Fault> {
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let begins_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    if begins_well && scheme.chars().all(is_of_scheme) {
        return Ok(());
    }
    let message = format!("`{}` is not a scheme", scheme.escape_debug());
    Err(Fault::new(0..scheme.len(), message).help("write \"https://…\" or \"http://…\""))
}

/// Refuses what no origin has behind its scheme. `authority` is the end of `text`, from `start` on.
fn check_authority(text: &str, authority: &str, start: usize) -> Result<(), Fault> {
    let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    let user = authority[..end].rfind('@').map_or(0, |at| at + 1);
    // What is left if a path and a user are taken away.
    let bare = &authority[user..end];
    let help = match split_port(bare).0 {
        "" => {
            let help = "write \"https://example.com\"";
            return Err(Fault::new(0..text.len(), "an origin without a host").help(help));
        }
        "*" => {
            let help = "every origin is \"*\"; those below a name are \"https://*.example.com\"";
            return Err(Fault::new(start..text.len(), "`*` alone is not a host").help(help));
        }
        _ => format!("write \"{}{bare}\"", &text[..start]),
    };
    if end < authority.len() {
        let message = match &authority[end..] {
            "/" => "an origin has no slash at its end",
            _ => "an origin has no path and no query",
        };
        let help = format!("{help}; it stands for every page there");
        return Err(Fault::new(start + end..text.len(), message).help(help));
    }
    if user > 0 {
        return Err(Fault::new(start..start + user, "an origin has no user").help(help));
    }
    Ok(())
}

/// The host, and what stands behind its colon. The colons of an IPv6 address stand in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let end_of_address = if authority.starts_with('[') {
        authority.find(']').unwrap_or(authority.len())
    } else {
        0
    };
    match authority[end_of_address..].find(':') {
        None => (authority, None),
        Some(at) => {
            let (host, port) = authority.split_at(end_of_address + at);
            (host, Some(&port[1..]))
        }
    }
}

/// Reads the port, which is the end of `text`.
fn parse_port(text: &str, port: &str) -> Result<NonZeroU16, Fault> {
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse().ok().filter(|_| is_digits);
    number.ok_or_else(|| {
        let range = text.len() - port.len()..text.len();
        let message = format!("`{}` is not a port", port.escape_debug());
        let help = match port {
            "*" => "each port is an origin of its own: write those that you mean",
            _ => "a port is a number from 1 to 65535",
        };
        Fault::new(range, message).help(help)
    })
}

/// The port that browsers leave out (RFC 9110 §4.2).
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn reads_origins_as_browsers_send_them() {
        for (text, expected) in [
            ("*", "*"),
            ("null", "null"),
            ("https://example.com", "https://example.com"),
            ("HTTPS://Example.COM", "https://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://localhost:03000", "http://localhost:3000"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[0:0::1]:8080", "http://[::1]:8080"),
            ("https://[::1]", "https://[::1]"),
            ("https://*.Example.com", "https://*.example.com"),
            ("https://*.example.com:443", "https://*.example.com"),
            ("http://*.localhost:3000", "http://*.localhost:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("moz-extension://2f0e-11", "moz-extension://2f0e-11"),
        ] {
            let origin = parse_origin(text).map(|origin| origin.to_string());
            assert_eq!(origin.as_deref(), Ok(expected), "{text:?}");
        }
    }

    /// The help for `https:///` was `https://`, which is refused as well.
    #[test]
    fn what_the_help_says_is_taken() {
        for (text, written) in [
            ("https://example.com/app", "https://example.com"),
            ("https://me@example.com/", "https://example.com"),
            ("https://me@example.com:8443", "https://example.com:8443"),
            ("https:///", "https://example.com"),
            ("https://me@/", "https://example.com"),
            ("https://:8443/", "https://example.com"),
            ("file:///x", "null"),
            ("FILE:/x", "null"),
            ("example.org/app", "https://example.org"),
            ("//example.org", "https://example.org"),
            ("example.org:8443", "https://example.org:8443"),
            ("/app", "https://example.com"),
            ("", "https://example.com"),
            ("mailto:me@example.org", "https://example.com"),
        ] {
            let help = parse_origin(text)
                .expect_err(text)
                .help
                .expect("there is help");
            let (_, rest) = help.split_once("write \"").expect("it says what to write");
            let (told, _) = rest.split_once('"').expect("a quote at the end");
            assert_eq!(told, written, "{text}: {help}");
            assert!(parse_origin(told).is_ok(), "{text}: {help}");
        }
    }

    #[test]
    fn refuses_what_no_browser_sends_and_says_where() {
        assert_faults(
            parse_origin,
            &[
                ("", 0..0, "no scheme"),
                ("example.com", 0..11, "no scheme"),
                ("//example.com", 0..13, "no scheme"),
                ("https://example.com/", 19..20, "no slash at its end"),
                ("https://example.com/app", 19..23, "no path"),
                ("https://example.com?a", 19..21, "no path"),
                ("https://", 0..8, "without a host"),
                ("https://:8080", 0..13, "without a host"),
                ("https://me@example.com", 8..11, "no user"),
                ("ht tps://example.com", 0..6, "not a scheme"),
                ("1https://example.com", 0..6, "not a scheme"),
                ("https://*", 8..9, "not a host"),
                ("https://*:8443", 8..14, "not a host"),
                ("https://*/app", 8..13, "not a host"),
                ("https:///", 0..9, "without a host"),
                ("file:///x", 0..9, "no origin of its own"),
                ("https://a.*.com", 10..11, "a wildcard"),
                ("https://*example.com", 8..16, "a wildcard"),
                ("https://a..b", 10..10, "no empty part"),
                ("https://[::1", 8..12, "not an IPv6 address"),
                ("https://example.com:", 20..20, "not a port"),
                ("https://example.com:0", 20..21, "not a port"),
                ("https://example.com:+1", 20..22, "not a port"),
                ("https://example.com:65536", 20..25, "not a port"),
                ("https://example.com:*", 20..21, "not a port"),
                ("https://b\u{fc}cher.example", 8..15, "\u{fc}"),
            ],
        );
    }
}
