//! `tidegate explain`: what the configuration makes of a request, and why.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::output::print;
use super::remote;
use crate::api::Handlers;
use crate::config::{self, Strictness, Surroundings};
use crate::control::question::{Question, Scheme};
use crate::generation::prepare::prepare;
use crate::http::method::Method;
use crate::http::target::{Target, is_valid_host, mended, port, without_port};
use crate::server::{Buckets, explain as ask};

/// Tell where a request goes, and why.
///
/// The configuration is read from its file and asked, by the code that serves: the server and the
/// route that answer, those that were considered, the file, the status and the fields.
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// A method and a URL, or a URL alone for GET: `https://example.com/docs/`, `/docs/`. For a
    /// stream, its address: `127.0.0.1:5432`, `unix:/run/db.sock`.
    #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
    request: Vec<String>,
    /// A field of the request; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "FIELD: VALUE", value_parser = parse_field)]
    fields: Vec<(String, String)>,
    /// The listener that it arrives at, such as `unix:/run/site.sock`; otherwise the port in the URL says.
    #[arg(long, value_name = "ADDRESS")]
    listener: Option<String>,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client: IpAddr,
    /// As if the client had shown a certificate.
    #[arg(long)]
    certificate: bool,
    /// Ask the running server instead of the file.
    #[arg(long)]
    live: bool,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
}

/// Splits `Field: value`.
fn parse_field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected `Field: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Prints what becomes of a request, according to the file or, with `--live`, to the running server.
///
/// # Errors
/// The message to print.
pub(super) fn explain(arguments: &Explain, handlers: &Handlers) -> Result<(), String> {
    let question = question(arguments)?;
    if arguments.live {
        return remote::explain(&arguments.config, &question, arguments.json);
    }
    let surroundings = Surroundings::of_process(handlers);
    let checked = config::load(&arguments.config, surroundings, Strictness::Lenient);
    let prepared = prepare(checked, handlers, None).map_err(|report| report.to_string())?;
    for answer in ask(&prepared.generation, vec![question], Buckets::AsTheyAre)? {
        let answer = answer.map_err(|error| format!("error: {error}"))?;
        if arguments.json {
            print(&format!("{:#}\n", answer.to_json()))?;
        } else {
            print(&answer.to_text())?;
        }
    }
    Ok(())
}

/// Whether `text` is a host and a port, and nothing else.
fn is_address(text: &str) -> bool {
    let port = port(text.as_bytes()).and_then(|port| str::from_utf8(port).ok());
    is_valid_host(text.as_bytes()) && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

/// The message for a `url` that gives no request-target for `method`.
fn no_target(method: Method, url: &str) -> String {
    let with_scheme = format!("http://{url}");
    let proposal = mended(method, url).or_else(|| mended(method, &with_scheme));
    let remedy = match proposal {
        Some(proposal) => format!("ask for {proposal}"),
        None if method == Method::Connect => "ask for HOST:PORT".to_owned(),
        None => "ask for http://HOST/PATH or /PATH".to_owned(),
    };
    format!("error: `{url}` is not a request-target for {method}; {remedy}")
}

/// The method that `text` begins with, if a space follows.
fn method_before(text: &str) -> Option<Method> {
    let (method, _) = text.split_once(' ')?;
    Method::from_bytes(method.as_bytes())
}

/// The message for a `text` that holds the method and the URL, in one argument.
fn one_argument(method: Method, text: &str) -> String {
    let url = text.split_whitespace().nth(1).unwrap_or("/PATH");
    format!(
        "error: `{text}` is one argument, and the method and the URL are two; write `tidegate explain {method} {url}`"
    )
}

/// The message for a `url` whose host is empty, before `target`.
fn no_host(url: &str, target: &str) -> String {
    let path = if target.starts_with('/') {
        target
    } else {
        "/PATH"
    };
    format!(
        "error: {url} names no host, so that a server answers 400; ask for http://HOST{path} or {path}"
    )
}

/// The question that the command line asks.
fn question(arguments: &Explain) -> Result<Question, String> {
    let (method, url) = match &arguments.request[..] {
        [url] => match method_before(url) {
            Some(method) => return Err(one_argument(method, url)),
            None => ("GET", url),
        },
        [method, url] => (method.as_str(), url),
        _ => return Err("error: expected [METHOD] URL".to_owned()),
    };
    let method = Method::from_bytes(method.as_bytes())
        .ok_or_else(|| format!("error: {method} is no method this server knows"))?;
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let is_scheme = |known: &str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known));
    let (host, target) = match url.split_once("://") {
        // It names the place that it asks to be connected to, and no path (RFC 9112 §3.2.3).
        _ if method == Method::Connect => ("localhost", url.as_str()),
        Some((scheme, _)) if !is_scheme("http") && !is_scheme("https") => {
            return Err(format!(
                "error: nothing listens for {scheme}; ask for http://… or https://…"
            ));
        }
        Some((_, rest)) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
        None if is_address(url) => (url.as_str(), ""),
        None if url.starts_with("unix:") => ("localhost", ""),
        None => ("localhost", url.as_str()),
    };
    if !is_valid_host(host.as_bytes()) {
        return Err(format!("error: `{host}` in {url} is no host"));
    }
    if scheme.is_some() && without_port(host.as_bytes()).is_empty() {
        return Err(no_host(url, target));
    }
    let port = port(host.as_bytes()).map(String::from_utf8_lossy);
    let port = port.and_then(|port| port.parse().ok());
    let target = match target {
        // A URL without a path is about the server (RFC 9112 §3.2.4).
        "" if method == Method::Options && scheme.is_some() => "*".to_owned(),
        target if target.is_empty() || target.starts_with('?') => format!("/{target}"),
        target => target.to_owned(),
    };
    if Target::parse(method, target.as_bytes()).is_none() {
        return Err(no_target(method, url));
    }
    Ok(Question {
        method,
        target,
        host: host.to_owned(),
        port,
        scheme: match scheme {
            Some(_) if method == Method::Connect => None,
            Some(_) if is_scheme("https") => Some(Scheme::Https),
            Some(_) => Some(Scheme::Http),
            None => None,
        },
        listener: arguments
            .listener
            .clone()
            .or_else(|| Some(url.clone()).filter(|url| url.starts_with("unix:"))),
        fields: arguments.fields.clone(),
        client: arguments.client,
        has_certificate: arguments.certificate,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        explain: Explain,
    }

    /// The question that these arguments ask.
    fn asked(arguments: &[&str]) -> Result<Question, String> {
        let line = [&["explain"], arguments].concat();
        question(&Line::parse_from(line).explain)
    }

    /// It was asked about `/`.
    #[test]
    fn options_for_a_url_without_a_path_is_about_the_server() {
        for (arguments, target) in [
            (&["OPTIONS", "http://a.test:80"][..], "*"),
            (&["OPTIONS", "http://a.test:80/"], "/"),
            (&["OPTIONS", "http://a.test:80?q"], "/?q"),
            (&["OPTIONS", "*"], "*"),
            (&["http://a.test:80"], "/"),
            (&["a.test:80"], "/"),
        ] {
            let question = asked(arguments).expect("a question");
            assert_eq!(question.target, target, "{arguments:?}");
        }
    }

    #[test]
    fn the_scheme_says_how_the_client_comes() {
        for (arguments, scheme) in [
            (&["https://a.test/"][..], Some(Scheme::Https)),
            (&["HTTP://a.test/"], Some(Scheme::Http)),
            (&["a.test:80"], None),
            (&["/"], None),
        ] {
            let question = asked(arguments).expect("a question");
            assert_eq!(question.scheme, scheme, "{arguments:?}");
        }
    }

    #[test]
    fn what_no_request_can_say_gets_a_remedy() {
        for (argument, remedy) in [
            ("http:///f.txt", "; ask for http://HOST/f.txt or /f.txt"),
            ("http://:80/f.txt", "; ask for http://HOST/f.txt or /f.txt"),
            ("https://", "; ask for http://HOST/PATH or /PATH"),
            ("GET /f.txt", "; write `tidegate explain GET /f.txt`"),
            ("GET  /f HTTP/1.1", "; write `tidegate explain GET /f`"),
        ] {
            let said = asked(&[argument]).expect_err("no question");
            assert!(said.ends_with(remedy), "{argument}: {said}");
        }
    }
}
