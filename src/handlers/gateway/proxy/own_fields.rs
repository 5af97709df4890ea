//! The fields that the operator adds to a request to an upstream: `request_headers`.

use crate::config::model::{HeaderChanges, RoutePattern};
use crate::http::response::FieldLines;
use crate::http::template::{Place, Template};
use crate::message::request::Request;

/// Fields, in their order.
pub(super) struct OwnFields(Vec<(String, Value)>);

enum Value {
    Plain(String),
    /// Each request fills it.
    Filled(Template),
}

impl OwnFields {
    /// Those of a route with that pattern: what `changes` sets and adds.
    pub(super) fn new(changes: &HeaderChanges, pattern: &RoutePattern) -> Self {
        let fields = changes.set.iter().chain(&changes.add);
        let fields = fields.map(|(name, value)| {
            let value = match value.as_plain() {
                Some(plain) => Value::Plain(plain.to_owned()),
                None => Value::Filled(value.resolved(pattern)),
            };
            (name.clone(), value)
        });
        Self(fields.collect())
    }

    /// Appends their lines.
    pub(super) fn push(&self, request: &Request<'_>, lines: &mut FieldLines) {
        for (name, value) in &self.0 {
            match value {
                Value::Plain(value) => lines.push(name, value),
                Value::Filled(template) => {
                    let mut value = Vec::new();
                    template.fill(&request.values(), Place::Field, &mut value);
                    lines.push(name, value);
                }
            }
        }
    }
}
