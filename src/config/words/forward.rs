//! Reads what `forward` of `auth` asks: a server and a path.
//!
//! ```text
//! http://127.0.0.1:4181/verify?x     a server, and what it is asked for
//! authelia/api/authz/forward-auth    an upstream of the file, and what its servers are asked for
//! authelia                           the same for /
//! ```

use super::upstream::{ProxyTarget, parse_proxy_target};
use crate::address::UNIX;
use crate::config::complaint::fault::Fault;
use crate::http::method::Method;
use crate::http::target::{Form, Target};

const HELP: &str = "write a URL, \"http://127.0.0.1:4181/verify\", or the name of an upstream and a path, \
                    \"authelia/api/authz/forward-auth\"";

/// Reads the value of `forward`: which upstream, and the target that it is asked for.
pub(crate) fn parse_forward(text: &str) -> Result<(ProxyTarget, String), Fault> {
    if text.starts_with(UNIX) {
        let fault = Fault::new(
            0..text.len(),
            "behind the path of a socket no path can stand",
        );
        return Err(fault.help(
            "name the server: [upstreams.auth] with servers = [\"unix:…\"], and forward = \"auth/verify\"",
        ));
    }
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    let end = text[start..].find(['/', '?', '#']);
    let end = end.map_or(text.len(), |end| start + end);
    let (server, target) = text.split_at(end);
    let server = parse_proxy_target(server).map_err(|fault| match (start, server) {
        (0, "") => Fault::new(0..text.len(), "it is not said which server is asked").help(HELP),
        (0, _) => {
            let message = format!("`{}` is no server that can be asked", server.escape_debug());
            Fault::new(0..end, message).help(HELP)
        }
        _ => fault,
    })?;
    let target = match target {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        target => target.to_owned(),
    };
    let is_of_target = |octet: u8| matches!(octet, b'!'..=b'~') && octet != b'#';
    let parsed = Target::parse(Method::Get, target.as_bytes());
    let is_target = target.bytes().all(is_of_target)
        && parsed.is_some_and(|target| target.form == Form::Origin);
    if !is_target {
        let shown = target.escape_debug();
        let fault = Fault::new(
            end..text.len(),
            format!("`{shown}` is nothing that can be asked for"),
        );
        return Err(
            fault.help("a path, and perhaps a query: \"/verify?rd=x\"; encode what is no ASCII")
        );
    }
    Ok((server, target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn reads_a_server_and_what_it_is_asked_for() {
        for (text, server, target) in [
            ("http://127.0.0.1:4181/verify", "127.0.0.1:4181", "/verify"),
            ("http://127.0.0.1:4181", "127.0.0.1:4181", "/"),
            ("http://auth?a=b/c", "auth:80", "/?a=b/c"),
            ("https://auth/a/b?c", "https://auth:443", "/a/b?c"),
            ("authelia/api/verify", "authelia", "/api/verify"),
            ("authelia", "authelia", "/"),
        ] {
            let (found, path) =
                parse_forward(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
            let found = match found {
                ProxyTarget::Named(name) => name,
                ProxyTarget::Server(url) => url.to_string(),
            };
            assert_eq!((&*found, &*path), (server, target), "{text}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_asked() {
        assert_faults(
            parse_forward,
            &[
                ("unix:/run/auth.sock", 0..19, "no path can stand"),
                ("http://auth/a b", 11..15, "nothing that can be asked for"),
                ("http://auth/a#b", 11..15, "nothing that can be asked for"),
                ("http://auth/ä", 11..14, "nothing that can be asked for"),
                ("ftp://auth/a", 0..6, "no scheme"),
                ("127.0.0.1:1/a", 0..11, "no server that can be asked"),
                ("/verify", 0..7, "not said which server"),
                ("", 0..0, "not said which server"),
            ],
        );
    }
}
