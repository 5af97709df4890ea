//! Responds to the requests by which a CA verifies names over plain HTTP (RFC 8555 §8.3). Each server without
//! TLS has the route, without a line in the file.

use std::sync::Arc;

use crate::acme::Shared;
use crate::http::method::{Method, MethodSet};
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};
use crate::reason::Reason;

pub(crate) struct AcmeHandler {
    shared: Arc<Shared>,
}

impl AcmeHandler {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn methods() -> MethodSet {
        MethodSet::of(&[Method::Get, Method::Head])
    }

    pub(super) fn answer(&self, request: &Request<'_>) -> Response<'static> {
        let token = str::from_utf8(request.path.last_segment());
        let answer = token.ok().and_then(|token| {
            let host = str::from_utf8(request.head.host).ok()?;
            self.shared.http_answer(host, token)
        });
        match answer {
            Some(answer) => Response {
                status: Status::OK,
                fields: FieldLines::new()
                    .with("Content-Type", "application/octet-stream")
                    .into(),
                content: Content::Octets(Octets::Owned(answer.into_bytes())),
                common: CommonFields::DateAndServer,
            },
            None => Response::problem(Reason::NoRoute),
        }
    }
}
