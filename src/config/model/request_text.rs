//! Text with variables in braces, which each request fills: `rewrite`, `redirect`, `try`, `respond`,
//! and the values of fields.

use std::fmt;

use super::{Capture, RoutePattern};
use crate::http::template::{Area, Part, Template};

/// A text as the operator writes it, and what it consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RequestText {
    pub(crate) written: String,
    /// In order.
    pub(crate) parts: Vec<TextPart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TextPart {
    /// Text that stands as it is.
    Text(String),
    Variable(Variable),
}

/// What a request fills in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Variable {
    /// The path of the request.
    Path,
    /// What the path of the request has below the route's path: empty, or from a slash on.
    Rest,
    /// The query of the request.
    Query,
    /// The host of the request, without its port.
    Host,
    /// `http` or `https`.
    Scheme,
    Method,
    /// The address of the client.
    Client,
    /// What the parameter of that name stands for in the route's path.
    Name(String),
}

impl Variable {
    /// Those that every request has, by their names.
    pub(crate) const OF_EVERY_REQUEST: [(&'static str, Self); 7] = [
        ("path", Self::Path),
        ("rest", Self::Rest),
        ("query", Self::Query),
        ("host", Self::Host),
        ("scheme", Self::Scheme),
        ("method", Self::Method),
        ("client", Self::Client),
    ];
}

impl RequestText {
    /// A text without variables.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        let written: String = text.into();
        Self {
            parts: vec![TextPart::Text(written.clone())],
            written,
        }
    }

    /// The text, if it has no variables.
    pub(crate) fn as_plain(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [TextPart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its variables, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            TextPart::Text(_) => None,
            TextPart::Variable(variable) => Some(variable),
        })
    }

    /// The text for a route with that pattern. A name that the pattern does not have stands for
    /// nothing; checking lets none through.
    pub(crate) fn resolved(&self, pattern: &RoutePattern) -> Template {
        let mut before = String::new();
        let part = |part: &TextPart| {
            let area = Area::behind(&before);
            let part = match part {
                TextPart::Text(text) => {
                    before.push_str(text);
                    Part::Text(text.as_str().into())
                }
                TextPart::Variable(variable) => {
                    before.push('x');
                    resolved(variable, pattern)
                }
            };
            (part, area)
        };
        self.parts.iter().map(part).collect()
    }
}

fn resolved(variable: &Variable, pattern: &RoutePattern) -> Part {
    match variable {
        Variable::Path => Part::Path,
        Variable::Rest => Part::Rest,
        Variable::Query => Part::Query,
        Variable::Host => Part::Host,
        Variable::Scheme => Part::Scheme,
        Variable::Method => Part::Method,
        Variable::Client => Part::Client,
        Variable::Name(name) => match pattern.parameter(name) {
            Some(Capture::Segment(index)) => Part::Segment(index),
            Some(Capture::Tail(index)) => Part::Tail(index),
            None => Part::Text("".into()),
        },
    }
}

/// As the operator writes it.
impl fmt::Display for RequestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
