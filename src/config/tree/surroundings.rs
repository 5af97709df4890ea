//! What a configuration may refer to outside its files: variables and handlers.

use crate::api::Handlers;
use crate::config::words::variables::Environment;

/// What a configuration may refer to outside its files.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: Environment<'a>,
    /// Only their names are looked at.
    pub(crate) handlers: &'a Handlers,
}

impl<'a> Surroundings<'a> {
    /// The environment of this process, and these handlers.
    pub(crate) fn of_process(handlers: &'a Handlers) -> Self {
        Self {
            environment: &|name| std::env::var(name).ok(),
            handlers,
        }
    }
}
