//! A handler that a route names, and the places for the faults that its factory reports.

use crate::api::{HandlerSpec, OptionsError};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};

/// A handler that a route names. It is made when the whole configuration has been checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedHandler {
    pub(crate) spec: HandlerSpec,
    /// Where the name stands.
    pub(crate) name: Spot,
    /// Where the options stand, if there are any.
    pub(crate) options: Option<Spot>,
    /// Where the value of each option stands.
    pub(crate) values: Vec<(String, Spot)>,
}

impl NamedHandler {
    /// The diagnostic for options that the factory refuses. It is at the option that `error` names,
    /// else at the options, else at the name.
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

    /// Every place where a diagnostic about the handler may be.
    pub(crate) fn spots(&self) -> impl Iterator<Item = &Spot> {
        let values = self.values.iter().map(|(_, spot)| spot);
        values.chain(&self.options).chain([&self.name])
    }
}
