//! `respond = TEXT`: content that the operator has written. Without variables it is encoded when the
//! configuration is built; with some, each request fills it.

use crate::config::model::{Respond, Route};
use crate::http::method::{Method, MethodSet};
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::template::{Part, Place, Template};
use crate::message::content::{Content, Octets};
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};
use crate::reason::Reason;

pub(crate) struct RespondHandler {
    /// The methods that the route names, in its pattern or in `when`; GET and HEAD if it names none.
    pub(super) methods: MethodSet,
    status: Status,
    fields: FieldLines,
    content: Vec<u8>,
    /// The content that each request fills, and what it is; in place of `content`.
    filled: Option<Box<(Template, Place)>>,
}

impl RespondHandler {
    pub(crate) fn new(respond: &Respond, route: &Route) -> Self {
        let methods = match route.methods() {
            [] => MethodSet::of(&[Method::Get, Method::Head]),
            methods if methods.contains(&Method::Get) => MethodSet::of(methods).with(Method::Head),
            methods => MethodSet::of(methods),
        };
        let mut fields = FieldLines::new();
        if !respond.content.parts.is_empty() {
            fields.push("Content-Type", &respond.content_type);
            fields.push("X-Content-Type-Options", "nosniff");
        }
        let plain = respond.content.as_plain();
        let filled = || {
            let place = place_of(content_type(respond, route));
            Box::new((respond.content.resolved(&route.pattern), place))
        };
        Self {
            methods,
            status: respond.status,
            fields,
            content: plain.unwrap_or_default().into(),
            filled: plain.is_none().then(filled),
        }
    }

    /// The response; `None` if it is to be asked again when it is known how the request arrived.
    pub(crate) fn answer_now(&self, request: &Request<'_>) -> Option<Response<'_>> {
        let filled = self.filled.as_deref();
        let asks_arrival = filled.is_some_and(|(content, _)| content.has(&Part::Scheme));
        let may_answer = request.arrival.is_some() || !asks_arrival;
        may_answer.then(|| self.answer(request))
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Response<'_> {
        let content = match (self.content.is_empty(), self.status.is_error()) {
            _ if self.filled.is_some() => Content::Octets(Octets::Owned(self.fill(request))),
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

    /// The content with the values of `request`.
    fn fill(&self, request: &Request<'_>) -> Vec<u8> {
        let mut content = Vec::new();
        if let Some((template, place)) = self.filled.as_deref() {
            template.fill(&request.values(), *place, &mut content);
        }
        content
    }
}

/// What clients take the content for.
fn content_type<'r>(respond: &'r Respond, route: &'r Route) -> &'r str {
    let mut set = route.policy.headers.set.iter();
    let set = set.find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
    set.map_or(&respond.content_type, |(_, value)| &value.written)
}

/// How values are encoded in content of that type.
fn place_of(content_type: &str) -> Place {
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let is_one_of = |words: &[&str]| words.iter().any(|word| essence.contains(word));
    if is_one_of(&["html", "xml"]) {
        Place::Markup
    } else if is_one_of(&["json", "javascript", "ecmascript"]) {
        Place::Json
    } else if is_one_of(&["css"]) {
        Place::Field
    } else {
        Place::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_content_says_how_values_are_encoded() {
        for (content_type, place) in [
            ("text/plain; charset=utf-8", Place::Text),
            ("text/html", Place::Markup),
            ("application/xhtml+xml;a=b", Place::Markup),
            ("image/svg+xml", Place::Markup),
            ("Application/JSON", Place::Json),
            ("application/problem+json", Place::Json),
            ("text/javascript", Place::Json),
            ("text/css", Place::Field),
        ] {
            assert_eq!(place_of(content_type), place, "{content_type}");
        }
    }
}
