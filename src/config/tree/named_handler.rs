//! A handler that a route names, and the places at which to report what its factory refuses.

use toml::de::DeValue;

use super::node::Node;
use crate::api::{HandlerSpec, OptionsError};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};

/// A handler that a route names. It is made once the whole configuration has been checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedHandler {
    pub(crate) spec: HandlerSpec,
    /// Where the name stands.
    name: Spot,
    /// Where the options stand, if there are any.
    options: Option<Spot>,
    /// Where the value of each option stands.
    values: Vec<(String, Spot)>,
}

impl NamedHandler {
    /// The handler of `spec`, of which the file says `name` and `options`.
    pub(crate) fn new(spec: HandlerSpec, name: Node<'_>, options: Option<Node<'_>>) -> Self {
        let table = options.map(|node| (node, node.value.get_ref()));
        let values = match table {
            Some((node, DeValue::Table(table))) => table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), node.cx.spot(value.span())))
                .collect(),
            _ => Vec::new(),
        };
        Self {
            spec,
            name: name.spot(),
            options: options.map(|node| node.spot()),
            values,
        }
    }

    /// What is said when the factory refuses the options: at the option that `error` names, else at
    /// the options, else at the name.
    pub(crate) fn refusal(&self, error: &OptionsError) -> Diagnostic {
        let message = format!(
            "the handler `{}` refuses its options: {}",
            self.spec.name, error.message
        );
        let is_meant = |(key, _): &&(String, Spot)| error.key.as_ref() == Some(key);
        let value = self.values.iter().find(is_meant).map(|(_, spot)| spot);
        let spot = value.or(self.options.as_ref()).unwrap_or(&self.name);
        Diagnostic::error(message).at(spot.clone(), "")
    }

    /// Every place at which something may be reported.
    pub(crate) fn spots(&self) -> impl Iterator<Item = &Spot> {
        let values = self.values.iter().map(|(_, spot)| spot);
        values.chain(&self.options).chain([&self.name])
    }
}
