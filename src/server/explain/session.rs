//! What becomes of a connection on which no request is read: client and listener do not agree about TLS.

use std::net::IpAddr;
use std::time::Instant;

use serde_json::{Value, json};

use super::facts::Facts;
use crate::address::ListenAddress;
use crate::control::question::{Question, Scheme};
use crate::generation::Generation;
use crate::http::target::without_port;
use crate::message::response::Response;
use crate::reason::Reason;
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};
use crate::server::worker::clock::CurrentSecond;

/// A connection that ends before its first request.
#[derive(Debug)]
pub(crate) struct NoSession {
    /// Method and target.
    request: String,
    listener: String,
    /// A sentence, with what to ask for instead.
    pub(crate) why: String,
    /// `None`: the handshake is refused, and there is no response.
    answer: Option<Facts>,
}

impl NoSession {
    /// Why the client of `question` cannot send its request to `listener`: it speaks plain HTTP and the listener TLS, or
    /// the listener refuses its handshake. `None`: it can.
    pub(super) fn find(
        generation: &Generation,
        listener: &ListenAddress,
        question: &Question,
    ) -> Option<Self> {
        if !is_tls(generation, listener) {
            return None;
        }
        let (why, answer) = match question.scheme? {
            Scheme::Http => {
                let url = url("https", question);
                let why = format!(
                    "this port speaks HTTPS, and the request comes over plain HTTP; ask for {url}"
                );
                (why, Some(plain_http_answer(generation, question)))
            }
            Scheme::Https => (refusal_of_handshake(generation, listener, question)?, None),
        };
        Some(Self {
            request: format!("{} {}", question.method, question.target),
            listener: listener.to_string(),
            why,
            answer,
        })
    }

    /// Describes it for a person, in lines.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.request);
        let mut row = |name: &str, value: &str| text.push_str(&format!("  {name:<10}{value}\n"));
        row("listener", &self.listener);
        row("tls", &self.why);
        match &self.answer {
            Some(answer) => answer.to_rows(row),
            None => row("status", "none: no request is read"),
        }
        text
    }

    /// Describes it for a program.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "listener": self.listener,
            "tls": self.why,
            "status": self.answer.as_ref().map(|answer| answer.status.code()),
            "fields": self.answer.as_ref().map(Facts::fields_to_json),
        })
    }
}

/// Whether clients come over TLS there.
pub(super) fn is_tls(generation: &Generation, address: &ListenAddress) -> bool {
    let arrival = generation.arrival(address);
    arrival.is_some_and(|arrival| arrival.is_tls)
}

/// The error for a question over TLS about a listener where clients come without.
pub(super) fn speaks_no_tls(listener: &ListenAddress, question: &Question) -> String {
    let url = url("http", question);
    format!("{listener} speaks no TLS; ask for {url}")
}

/// The response to a client that speaks plain HTTP where TLS is spoken.
fn plain_http_answer(generation: &Generation, question: &Question) -> Facts {
    let mut fields = question.fields.iter();
    let accept = fields.find(|(name, _)| name.eq_ignore_ascii_case("Accept"));
    let traits = RequestTraits::of_accept(accept.map(|(_, value)| value.as_bytes()));
    let problem = Response::problem(Reason::PlainHttp);
    let framed = FramedResponse::new(problem, &generation.policy, traits, false);
    let now = Instant::now();
    let second = CurrentSecond::new(now);
    let mut head = Vec::new();
    let common = framed.common(generation);
    framed.encode_head(second.at(now).common(common), None, &mut head);
    Facts::of_head(framed.status, &head)
}

/// Why the handshake with the client of `question` is refused; `None` if a server at `listener` takes it.
fn refusal_of_handshake(
    generation: &Generation,
    listener: &ListenAddress,
    question: &Question,
) -> Option<String> {
    let name = server_name(&question.host);
    if generation.terminator(listener, name).is_some() {
        return None;
    }
    let whom = if name.is_empty() {
        "no server there is for clients that name none, as with an address in place of a host"
            .to_owned()
    } else {
        format!("no server there answers for `{name}`")
    };
    Some(format!(
        "the handshake is refused with the alert unrecognized_name: {whom}; ask for a name in `hosts` of a server \
         there, or give one of them `tls_default = true`"
    ))
}

/// The name that a client asks for in its handshake to reach `host`; empty if that is an address, which is no
/// server's name (RFC 6066 §3).
fn server_name(host: &str) -> &str {
    let host = str::from_utf8(without_port(host.as_bytes())).unwrap_or_default();
    if host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
        ""
    } else {
        host
    }
}

/// The URL of the question, with another scheme.
fn url(scheme: &str, question: &Question) -> String {
    let Question { host, target, .. } = question;
    // OPTIONS for the server as a whole has a URL without a path (RFC 9112 §3.2.4).
    let target = if target == "*" { "" } else { target };
    format!("{scheme}://{host}{target}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Handlers;
    use crate::config::{self, Strictness, Surroundings};
    use crate::generation::prepare::prepare;
    use crate::http::method::Method;
    use crate::server::{Buckets, explain};
    use crate::test_support::TemporaryDirectory;

    /// A configuration with TLS for two hosts at port 20443, and without at port 20080.
    fn configuration(further: &str) -> String {
        let fixture = |name: &str| {
            let root = env!("CARGO_MANIFEST_DIR");
            format!("{root}/tests/fixtures/tls/{name}")
        };
        let (certificate, key) = (fixture("localhost.pem"), fixture("localhost.key"));
        format!(
            "[[server]]\nlisten = '127.0.0.1:20443'\nhosts = ['intern.test', 'localhost']\n{further}\n\
             tls = {{ certificate = '{certificate}', key = '{key}' }}\nroutes.'/' = {{ respond = 'in' }}\n\
             [[server]]\nlisten = '127.0.0.1:20080'\nroutes.'/' = {{ respond = 'plain' }}\n"
        )
    }

    /// What is said of GET for `/open` at `host`.
    fn said(
        text: &str,
        host: &str,
        (port, listener): (Option<u16>, Option<&str>),
        scheme: Option<Scheme>,
    ) -> Result<String, String> {
        let directory = TemporaryDirectory::new("session");
        directory.write("config.toml", text.as_bytes());
        let handlers = Handlers::default();
        let surroundings = Surroundings::of_process(&handlers);
        let file = directory.path().join("config.toml");
        let checked = config::load(&file, surroundings, Strictness::Lenient);
        let prepared = prepare(checked, &handlers, None).map_err(|report| report.to_string())?;
        let question = Question {
            method: Method::Get,
            target: "/open".to_owned(),
            host: host.to_owned(),
            port,
            scheme,
            listener: listener.map(str::to_owned),
            fields: Vec::new(),
            client: IpAddr::from([127, 0, 0, 1]),
            has_certificate: false,
        };
        let mut answers = explain(&prepared.generation, vec![question], Buckets::AsTheyAre)?;
        let answer = answers.pop().expect("one answer for one question")?;
        assert!(answer.to_json()["listener"].is_string(), "{answer:?}");
        Ok(answer.to_text())
    }

    /// These had the answers of requests that no client can make.
    #[test]
    fn client_and_listener_may_not_agree_about_tls() {
        let text = configuration("");
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        let (tls, plain) = ("127.0.0.1:20443", "127.0.0.1:20080");
        for (host, port, listener, scheme, expected) in [
            ("localhost:20443", 20443, tls, https, "status    200"),
            ("localhost:20443", 20443, tls, None, "status    200"),
            ("localhost:20080", 20080, plain, http, "status    200"),
            (
                "localhost:20443",
                20443,
                tls,
                http,
                "plain HTTP; ask for https://localhost:20443/open\n  status    400 Bad Request\n  fields    ",
            ),
            (
                "other:20443",
                20443,
                tls,
                https,
                "unrecognized_name: no server there answers for `other`; ask for a name in `hosts` of a server \
                 there, or give one of them `tls_default = true`\n  status    none",
            ),
            (
                "127.0.0.1:20443",
                20443,
                tls,
                https,
                "no server there is for clients that name none",
            ),
            (
                "q:20080",
                20080,
                plain,
                https,
                "127.0.0.1:20080 speaks no TLS; ask for http://q:20080/open",
            ),
        ] {
            for place in [(Some(port), None), (None, Some(listener))] {
                let said = said(&text, host, place, scheme).unwrap_or_else(|error| error);
                assert!(
                    said.contains(expected),
                    "{host} {place:?} {scheme:?}: {said}"
                );
            }
        }
    }

    #[test]
    fn a_default_certificate_takes_the_handshake_of_any_name() {
        let text = configuration("tls_default = true");
        for host in ["other:20443", "127.0.0.1:20443"] {
            let said = said(&text, host, (Some(20443), None), Some(Scheme::Https));
            let said = said.expect("an answer");
            assert!(said.contains("status    421"), "{said}");
        }
    }

    #[test]
    fn a_url_without_a_port_arrives_where_its_scheme_is_spoken() {
        let text = configuration("http_redirect = '127.0.0.1:20081'");
        for (scheme, listener) in [
            (Scheme::Http, "127.0.0.1:20081"),
            (Scheme::Https, "127.0.0.1:20443"),
        ] {
            let said = said(&text, "intern.test", (None, None), Some(scheme));
            let said = said.expect("an answer");
            assert!(said.contains(&format!("listener  {listener}\n")), "{said}");
        }
    }

    #[test]
    fn an_address_is_no_name_in_a_handshake() {
        for (host, name) in [
            ("intern.test:8443", "intern.test"),
            ("localhost", "localhost"),
            ("127.0.0.1:8443", ""),
            ("[::1]:8443", ""),
        ] {
            assert_eq!(server_name(host), name, "{host}");
        }
    }
}
