//! What a configuration may refer to that does not stand in its files: variables and handlers.

use std::cell::RefCell;

use crate::api::{Handlers, Instance, NoInstance, Options};
use crate::config::words::variables::Environment;

/// What a configuration may refer to that does not stand in its files.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: Environment<'a>,
    pub(crate) plugins: &'a Plugins,
}

impl<'a> Surroundings<'a> {
    /// The environment of this process, and these handlers.
    pub(crate) fn of_process(plugins: &'a Plugins) -> Self {
        Self {
            environment: &|name| std::env::var(name).ok(),
            plugins,
        }
    }
}

/// The handlers that a configuration may name, and the instances there are.
#[derive(Debug, Default)]
pub(crate) struct Plugins {
    handlers: Handlers,
    instances: RefCell<Vec<Instance>>,
}

impl Plugins {
    /// With the instances of the configuration that runs: they are kept where nothing has changed.
    pub(crate) fn new(handlers: &Handlers, kept: Vec<Instance>) -> Self {
        Self {
            handlers: handlers.clone(),
            instances: RefCell::new(kept),
        }
    }

    /// The instance made of `name` and `options`: one that there is, or a new one.
    ///
    /// # Errors
    /// No handler is called so, or it refuses the options.
    pub(crate) fn instance(&self, name: &str, options: Options) -> Result<Instance, NoInstance> {
        let known = self.instances.borrow();
        if let Some(known) = known.iter().find(|known| known.is_for(name, &options)) {
            return Ok(known.clone());
        }
        drop(known);
        let made = self.handlers.make(name, options)?;
        self.instances.borrow_mut().push(made.clone());
        Ok(made)
    }

    /// The names under which handlers are registered.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.handlers.names()
    }
}
