//! Reads values that stand beside `proxy` in a route: what `Host` says, and the protocols of `upgrade`.

use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::is_one_slip;
use crate::config::model::HostField;
use crate::http::fields::is_token;
use crate::http::target::is_valid_host;

const HOST_HELP: &str = "write \"keep\" for the client's `Host`, \"upstream\" for the address of the \
                         server, or a host: \"app.example\"";

/// Reads `host`: `keep`, `upstream`, or what `Host` says.
pub(crate) fn parse_host_field(text: &str) -> Result<HostField, Fault> {
    let fault = |message: String| Fault::new(0..text.len(), message);
    match text {
        "keep" => return Ok(HostField::Keep),
        "upstream" => return Ok(HostField::Upstream),
        _ => {}
    }
    let words = ["keep", "upstream"];
    if let Some(meant) = words.into_iter().find(|word| is_one_slip(text, word)) {
        let message = format!("`{}` is no host", text.escape_debug());
        return Err(fault(message).help(format!("did you mean \"{meant}\"?")));
    }
    // `$host` of nginx is a host by its syntax (RFC 3986 §3.2.2).
    if text.contains('$') {
        let message = format!("`{}` cannot be a `Host`", text.escape_debug());
        return Err(fault(message).help(HOST_HELP));
    }
    parse_sent_host(text)
        .map(HostField::Set)
        .map_err(|fault| fault.help(HOST_HELP))
}

/// Reads a value of the field `Host` (RFC 9110 §7.2).
pub(crate) fn parse_sent_host(text: &str) -> Result<String, Fault> {
    if !text.is_empty() && is_valid_host(text.as_bytes()) {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` cannot be a `Host`", text.escape_debug());
    Err(Fault::new(0..text.len(), message).help("write a host: \"app.example\""))
}

/// Reads a protocol that `Upgrade` names (RFC 9110 §7.8), such as `websocket`. Case does not count.
///
/// HTTP and TLS are none that a tunnel may carry: requests would pass this server without being looked at.
pub(crate) fn parse_protocol(text: &str) -> Result<String, Fault> {
    let whole = 0..text.len();
    let (name, version) = text.split_once('/').unwrap_or((text, "0"));
    if !is_token(name.as_bytes()) || !is_token(version.as_bytes()) {
        let message = format!("`{}` is not the name of a protocol", text.escape_debug());
        return Err(Fault::new(whole, message).help("write upgrade = [\"websocket\"]"));
    }
    let lower = text.to_ascii_lowercase();
    // What other servers have in this place: the field's name, its variable, the scheme of URLs.
    if matches!(
        &*lower,
        "upgrade" | "ws" | "wss" | "websockets" | "true" | "on" | "yes"
    ) || text.contains('$')
    {
        let message = format!(
            "`{}` is not the name of a protocol that a request asks for",
            text.escape_debug()
        );
        return Err(Fault::new(whole, message).help(
            "leave `upgrade` out: WebSockets pass by themselves, as with upgrade = [\"websocket\"]",
        ));
    }
    // A draft of a version has a number behind its name: `h3-29`.
    let stem = lower.split(['/', '-']).next().unwrap_or_default();
    if matches!(stem, "h2c" | "h2" | "h3" | "http" | "tls") {
        let message = format!("`Upgrade: {lower}` is never passed on");
        return Err(Fault::new(whole, message).help(
            "behind it requests would pass that no route and no limit of this server is asked about",
        ));
    }
    Ok(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn a_host_is_kept_or_of_the_upstream_or_said() {
        for (text, expected) in [
            ("keep", HostField::Keep),
            ("upstream", HostField::Upstream),
            (
                "app.example:8080",
                HostField::Set("app.example:8080".into()),
            ),
            ("[::1]:80", HostField::Set("[::1]:80".into())),
            ("app", HostField::Set("app".into())),
        ] {
            assert_eq!(parse_host_field(text), Ok(expected));
        }
        let cases = [
            ("", 0..0, "cannot be a `Host`"),
            ("Keep", 0..4, "no host"),
            ("upstreams", 0..9, "no host"),
            ("http://app", 0..10, "cannot be a `Host`"),
            ("a b", 0..3, "cannot be a `Host`"),
        ];
        assert_faults(parse_host_field, &cases);
    }

    #[test]
    fn a_tunnel_carries_neither_http_nor_tls() {
        for (text, expected) in [("WebSocket", "websocket"), ("IRC/6.9", "irc/6.9")] {
            assert_eq!(parse_protocol(text).as_deref(), Ok(expected));
        }
        let cases = [
            ("", 0..0, "not the name"),
            ("a b", 0..3, "not the name"),
            ("a/", 0..2, "not the name"),
            ("Upgrade", 0..7, "not the name"),
            ("ws", 0..2, "not the name"),
            ("websockets", 0..10, "not the name"),
            ("$http_upgrade", 0..13, "not the name"),
            ("h2c", 0..3, "never passed on"),
            ("HTTP/2.0", 0..8, "never passed on"),
            ("h3", 0..2, "never passed on"),
            ("H3-29", 0..5, "never passed on"),
            ("h2c-14", 0..6, "never passed on"),
            ("TLS/1.2", 0..7, "never passed on"),
        ];
        assert_faults(parse_protocol, &cases);
    }
}
