//! To which host a redirect leads: only the operator may say it. If a client could, a link to this server would lead
//! anywhere.
//!
//! A target is read as browsers read a `Location` (WHATWG URL, "basic URL parser"), which is more lenient than
//! RFC 3986: `\` is a slash, and behind the colon of `https:` any number of slashes, even none, begins the host.
//!
//! ```text
//! https://{path}        /evil.example     https:///evil.example     leads to evil.example
//! https:                /evil.example     https:/evil.example       leads to evil.example
//! /{rest}               /evil.example     /evil.example             leads to a path of this server
//! ```
//!
//! In a target that is read, [`HOST`] and [`CLIENT`] stand where a value of the request would stand. Both are control
//! characters, which no target has.

use crate::config::complaint::fault::Fault;
use crate::config::model::{RequestText, TextPart, Variable};
use crate::http::target::{is_valid_host, without_port};

/// Stands for the host that the client has asked for.
const HOST: char = '\u{1}';

/// Stands for another value of the request, which is not empty.
const CLIENT: char = '\u{2}';

/// The schemes whose URLs have a host (WHATWG URL, "special scheme"), but for `file`, to which no browser follows a redirect.
const SCHEMES_WITH_HOST: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// Final labels that no registry gives names below (RFC 2606, RFC 6762 §3 and appendix G, RFC 7686, or by a resolution
/// of ICANN).
const PRIVATE_NAMES: [&str; 13] = [
    "corp",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "test",
];

/// Refuses a target whose host or scheme a client could choose, and one whose host is none.
pub(crate) fn check_host(target: &RequestText) -> Result<(), Fault> {
    let whole = 0..target.written.len();
    let is_network_path = plain_slashes(&target.written).starts_with("//");
    let readings = readings(target);
    let is_chosen = |text: &String| is_chosen_by_client(text, is_network_path);
    if readings.iter().any(is_chosen) {
        return Err(
            Fault::new(whole, "a client would say where this redirect leads")
                .help("begin it with a path, \"/\", or with a host, \"https://example.com/\""),
        );
    }
    for text in &readings {
        let Some((slashes, authority)) = authority_of(text, is_network_path) else {
            continue;
        };
        let shown = authority.replace([HOST, CLIENT], "x");
        if slashes != 2 {
            let message = format!("two slashes stand before the host `{shown}`, not {slashes}");
            let scheme = split_scheme(text).map_or("https", |(scheme, _)| scheme);
            return Err(Fault::new(whole, message).help(format!("write \"{scheme}://{shown}/\"")));
        }
        // User information is no part of the host (RFC 3986 §3.2.1).
        let host = shown.rsplit('@').next().unwrap_or(&shown);
        let is_host = is_valid_host(host.as_bytes()) && !without_port(host.as_bytes()).is_empty();
        if !is_host {
            let message = format!("`{host}` is no host with a port");
            let help = "write \"example.com\", \"192.0.2.1\" or \"[2001:db8::1]\", and perhaps \
                        a port up to 65535 behind it: \":8443\"";
            return Err(Fault::new(whole, message).help(help));
        }
    }
    let end = target.written.find(['?', '#']);
    let before_query = &target.written[..end.unwrap_or(target.written.len())];
    if let Some(at) = before_query.find('\\') {
        let fault = Fault::new(at..at + 1, "`\\` cannot stand in a redirect's target");
        return Err(fault.help("browsers take it for a slash; write `/`, or `%5C`"));
    }
    Ok(())
}

/// What stands in `target` before its query, with each combination of values that may be empty.
fn readings(target: &RequestText) -> Vec<String> {
    let mut readings: Vec<String> = Vec::new();
    for combination in 0..8 {
        let has = |bit: u8| combination & (1 << bit) != 0;
        let text = read(target, (has(0), has(1), has(2)));
        if !readings.contains(&text) {
            readings.push(text);
        }
    }
    readings
}

/// What stands in `target` before its query, for a request with or without a rest, a query and an address.
fn read(target: &RequestText, (has_rest, has_query, has_address): (bool, bool, bool)) -> String {
    let mut text = String::new();
    for (index, part) in target.parts.iter().enumerate() {
        let rest = &target.parts[index + 1..];
        match part {
            TextPart::Text(written) => {
                let end = written.find(['?', '#']);
                text.push_str(&plain_slashes(&written[..end.unwrap_or(written.len())]));
                if end.is_some() {
                    break;
                }
            }
            TextPart::Variable(variable) => match variable {
                Variable::Path => text.extend(['/', CLIENT]),
                Variable::Rest if has_rest => text.extend(['/', CLIENT]),
                Variable::Query if has_query => text.push(CLIENT),
                Variable::Client if has_address => text.push(CLIENT),
                Variable::Rest | Variable::Query | Variable::Client => {}
                Variable::Host => text.push(HOST),
                // With letters behind it, as in `{scheme}s:`, it is another scheme for each of its values.
                Variable::Scheme if text.is_empty() && is_followed_by_colon(rest) => {
                    text.push_str("https");
                }
                Variable::Scheme | Variable::Method | Variable::Name(_) => text.push(CLIENT),
            },
        }
    }
    text
}

fn is_followed_by_colon(rest: &[TextPart]) -> bool {
    matches!(rest.first(), Some(TextPart::Text(text)) if text.starts_with(':'))
}

/// `text` with the slashes that a browser sees in it.
fn plain_slashes(text: &str) -> String {
    text.replace('\\', "/")
}

/// Whether a value of the request stands in the scheme or the host of `text`, or would if something were appended.
fn is_chosen_by_client(text: &str, is_network_path: bool) -> bool {
    if let Some((_, authority)) = authority_of(text, is_network_path) {
        return authority.is_empty() || has_chosen_host(authority);
    }
    match split_scheme(text) {
        Some((scheme, _)) if scheme.contains([HOST, CLIENT]) => true,
        // Of other schemes only what stands behind two slashes is a host.
        Some((_, rest)) => rest
            .strip_prefix("//")
            .is_some_and(|rest| has_chosen_host(first_segment(rest))),
        // A value in front of the first slash could have a colon, and so bring a scheme.
        None => first_segment(text).contains([HOST, CLIENT]),
    }
}

/// How many slashes stand before the authority of `text`, and the authority. `None`: it is a path, or has a scheme
/// whose URLs need no host. A path never begins with two slashes, because the handler leaves one of them out.
fn authority_of(text: &str, is_network_path: bool) -> Option<(usize, &str)> {
    let rest = match split_scheme(text) {
        Some((scheme, rest)) => SCHEMES_WITH_HOST
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
            .then_some(rest)?,
        None if is_network_path => text,
        None => return None,
    };
    let behind = rest.trim_start_matches('/');
    Some((rest.len() - behind.len(), first_segment(behind)))
}

/// Splits `text` at the colon behind its scheme.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    (!scheme.contains('/')).then_some((scheme, rest))
}

/// What stands before the first slash of `text`.
fn first_segment(text: &str) -> &str {
    text.split('/').next().unwrap_or(text)
}

/// Whether a value of the request decides which server `authority` names. A value may be a label, if a domain of the
/// operator's follows it.
fn has_chosen_host(authority: &str) -> bool {
    let mut values = authority.match_indices(CLIENT);
    values.any(|(at, _)| {
        let Some(domain) = authority[at + 1..].strip_prefix('.') else {
            return true;
        };
        // The dot of a fully qualified name ends the host, too.
        let domain = domain.split([':', '@']).next().unwrap_or(domain);
        let domain = domain.trim_end_matches('.');
        let last = domain.rsplit('.').next().unwrap_or(domain);
        // With a number at the end, the host is an IPv4 address.
        let is_name = last.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_private = PRIVATE_NAMES
            .iter()
            .any(|name| name.eq_ignore_ascii_case(last));
        let starts_label = domain.starts_with(|c: char| c.is_ascii_alphanumeric());
        !(starts_label && is_name && (domain.contains('.') || is_private))
    })
}
