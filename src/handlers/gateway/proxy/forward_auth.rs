//! `auth = { forward = URL }`: another server says of each request whether it is let in.
//!
//! ```text
//! client ── POST /app?q ──→ here ── GET /verify ─────────────────────→ service
//!                                   X-Forwarded-Method: POST
//!                                   X-Forwarded-Uri: /app?q …
//!                                   the client's Cookie, Authorization and the like
//!                           here ←── 200, Remote-User: alice ───────── service    the request goes on
//! client ←── 302, Set-Cookie ─ here ←── 302, Set-Cookie ────────────── service    it does not
//! ```
//!
//! The service is asked like any upstream, and never gets the content. The fields are those that services for
//! other servers know: `X-Forwarded-*` of Traefik and Caddy, `X-Original-*` and `X-Real-IP` of nginx.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::request::original_host;
use super::{ProxyHandler, Worker};
use crate::config::model::{self, HostField, Proxy, RoutePattern};
use crate::http::field_list::FieldList;
use crate::http::fields::is_same_variable;
use crate::http::path::NormalPath;
use crate::http::raw_path::without_dot_segments;
use crate::http::request::{HeadLimits, Parsed, RequestHead};
use crate::http::response::FieldLines;
use crate::message::content::{ContentError, ReadContent};
use crate::message::identity::{Identity, Verified, VerifiedBy};
use crate::message::request::Request;
use crate::message::response::{DuplexAnswer, DuplexResponse, Response};
use crate::message::routed_path::RoutedPath;
use crate::reason::Reason;
use crate::upstream::Group;

/// Asks the service.
pub(crate) struct ForwardAuth {
    handler: ProxyHandler,
    options: model::ForwardAuth,
}

/// What the service says of a request.
pub(crate) enum Said<'a, 'c> {
    LetsIn(Arc<Identity>),
    /// What the client is answered.
    Refuses(DuplexResponse<'a, 'c>),
}

/// Fields about the content of a request or about what part of a response is wanted. They say nothing of who
/// asks, and would be wrong for a GET without content.
const NOT_ASKED: [&str; 13] = [
    "Accept-Encoding",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Expect",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Range",
    "Transfer-Encoding",
    "TE",
];

/// Fields that are made of the original request.
const OF_ORIGINAL: [&str; 5] = [
    "X-Forwarded-Method",
    "X-Forwarded-Uri",
    "X-Original-Method",
    "X-Original-URL",
    "X-Real-IP",
];

impl ForwardAuth {
    /// Asks servers of `group`, for what the log calls `asker`.
    pub(crate) fn new(options: &model::ForwardAuth, group: Arc<Group>, asker: &str) -> Self {
        let proxy = Proxy {
            host: HostField::Upstream,
            timeout: Some(options.timeout),
            upgrade: Vec::new(),
            ..Proxy::to(options.upstream.clone())
        };
        let name = format!("{asker}: `auth` by {}{}", options.upstream, options.target);
        let pattern = RoutePattern::everything();
        Self {
            handler: ProxyHandler::named(&proxy, group, &pattern, &name, Arc::default()),
            options: options.clone(),
        }
    }

    /// What is asked, and where.
    pub(crate) fn options(&self) -> &model::ForwardAuth {
        &self.options
    }

    /// Asks whether `request` is let in. `client` is only watched: once it has gone, nothing is waited for.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) async fn ask<'a, 'c>(
        &'a self,
        request: &Request<'_>,
        worker: Worker<'_>,
        client: impl ReadContent + Copy + 'c,
    ) -> Result<Said<'a, 'c>, ContentError> {
        let bytes = self.question(request);
        let mut lines = Box::default();
        let parsed = RequestHead::parse_kept(&bytes, &mut lines, HeadLimits::NONE);
        // Its lines are of a request that was parsed. If that were not so, the request would not be let in.
        let refused = || Ok(Said::Refuses(Response::problem(Reason::HeadTooLarge)));
        let Ok(Parsed::Complete(head, _)) = parsed else {
            return refused();
        };
        let Ok(path) = NormalPath::parse(head.target.path) else {
            return refused();
        };
        let identity = Identity {
            user: None,
            by: VerifiedBy::Service,
            fields: original(request),
        };
        let question = Request {
            head: &head,
            path: RoutedPath::new(&path, 0),
            verified: Verified {
                identity: Some(&identity),
                fields: None,
            },
            ..*request
        };
        // The question says little: the operator finds the client's request in the access log.
        let client = OnlyWatched(client);
        let answer = self.handler.answer(request.head, &question, worker, client);
        match answer.await? {
            DuplexAnswer::Response(response) => Ok(self.said(response)),
            DuplexAnswer::LocalRedirect(_) => refused(),
        }
    }

    fn said<'a, 'c>(&self, response: DuplexResponse<'a, 'c>) -> Said<'a, 'c> {
        if !(200..300).contains(&response.status.code()) {
            return Said::Refuses(response);
        }
        let fields = FieldList::parse(&response.fields);
        let lines = self.options.copy.iter().flat_map(|name| {
            let lines = fields.iter().filter(move |line| line.is_named(name));
            lines.map(move |line| (name.clone(), line.value.to_vec()))
        });
        let lines: Vec<(String, Vec<u8>)> = lines.filter(|(_, value)| !value.is_empty()).collect();
        let user = self.options.copy.first().and_then(|first| {
            let mut lines = lines.iter().filter(|(name, _)| name == first);
            Some(String::from_utf8_lossy(&lines.next()?.1).into())
        });
        Said::LetsIn(Arc::new(Identity {
            user,
            by: VerifiedBy::Service,
            fields: lines,
        }))
    }

    /// The head of the request that the service is to answer, before an upstream's own fields are put to it.
    fn question(&self, request: &Request<'_>) -> Vec<u8> {
        let head = request.head;
        let start = format!("GET {} HTTP/1.1\r\n", self.options.target);
        let mut lines = FieldLines::behind(start.into_bytes());
        let is_one_of =
            |name: &str, others: &[&str]| others.iter().any(|other| is_same_variable(name, other));
        let host = original_host(head);
        // A request has one, and a client of HTTP/1.0 may have none.
        lines.push_clean("Host", [if host.is_empty() { b"localhost" } else { host }]);
        for (name, value) in head.fields.iter() {
            let is_dropped = is_one_of(name, &NOT_ASKED)
                || is_one_of(name, &OF_ORIGINAL)
                || name.eq_ignore_ascii_case("host")
                || is_one_of(name, &["Max-Forwards"])
                || request.verified.withholds(name)
                || self
                    .options
                    .copy
                    .iter()
                    .any(|copied| is_same_variable(name, copied));
            if !is_dropped {
                lines.push_clean(name, [value]);
            }
        }
        let mut bytes = lines.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// The fields that tell of the original request. Its path stands there as the application is asked for it, without
/// dot segments: a service that knows rules for paths must not be asked about another one.
fn original(request: &Request<'_>) -> Vec<(String, Vec<u8>)> {
    let head = request.head;
    let mut uri = without_dot_segments(head.target.path).into_owned();
    if let Some(query) = head.target.query {
        uri.push(b'?');
        uri.extend_from_slice(query);
    }
    let is_https = request.arrival.is_some_and(|arrival| arrival.is_https);
    let scheme: &[u8] = if is_https { b"https://" } else { b"http://" };
    let url = [scheme, original_host(head), &uri].concat();
    let method = head.method.as_str().as_bytes().to_vec();
    let client = request.client.ip().map(|ip| ip.to_string().into_bytes());
    let values = [method.clone(), uri, method, url, client.unwrap_or_default()];
    let names = OF_ORIGINAL.iter().map(|name| (*name).to_owned());
    names
        .zip(values)
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// A client that waits, and whose content is left where it is.
#[derive(Clone, Copy)]
struct OnlyWatched<C>(C);

impl<C: ReadContent> ReadContent for OnlyWatched<C> {
    async fn read(&mut self, _: &mut Vec<u8>) -> Result<bool, ContentError> {
        Ok(false)
    }

    fn poll_client_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_client_gone(context)
    }
}
