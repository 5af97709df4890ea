//! `respond = TEXT`: the same content for every client, encoded when the configuration was built.

use crate::config::model::Respond;
use crate::http::method::{Method, MethodSet};
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::response::{CommonFields, Response};
use crate::reason::Reason;

pub(crate) struct RespondHandler {
    /// The route's own method; GET and HEAD if the route names none.
    pub(super) methods: MethodSet,
    status: Status,
    fields: FieldLines,
    content: Vec<u8>,
}

impl RespondHandler {
    pub(crate) fn new(respond: &Respond, method: Option<Method>) -> Self {
        let methods = match method {
            None | Some(Method::Get) => MethodSet::of(&[Method::Get, Method::Head]),
            Some(method) => MethodSet::of(&[method]),
        };
        let mut fields = FieldLines::new();
        if !respond.content.is_empty() {
            fields.push("Content-Type", &respond.content_type);
            fields.push("X-Content-Type-Options", "nosniff");
        }
        Self {
            methods,
            status: respond.status,
            fields,
            content: respond.content.clone().into_bytes(),
        }
    }

    pub(crate) fn answer(&self) -> Response<'_> {
        let content = match (self.content.is_empty(), self.status.is_error()) {
            (false, _) => Content::Octets(Octets::Lent(&self.content)),
            (true, true) => Content::Problem(Some(Reason::Configured)),
            (true, false) => Content::Empty,
        };
        Response {
            status: self.status,
            fields: Octets::Lent(self.fields.as_bytes()),
            content,
            common: CommonFields::DateAndServer,
        }
    }
}
