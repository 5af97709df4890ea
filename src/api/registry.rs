//! Handlers by name, and the instances made of them.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::ends::Ends;
use super::error::Error;
use super::handler::Handler;
use super::options::{Options, OptionsError};
use super::request::Request;
use super::response::Response;
use crate::runtime::catch_panic;

/// Why a factory refuses its options.
type FactoryError = Box<dyn StdError + Send + Sync>;

type Factory = dyn Fn(&Options) -> Result<Box<dyn Handler>, FactoryError> + Send + Sync;

/// How long the process waits for the `drop` of handlers when it ends.
const MAX_END: Duration = Duration::from_secs(5);

/// Handlers that a configuration may name: `handler = "…"`.
///
/// A name stands for a factory, which makes a handler of the `options` beside the name. It is called
/// once for each name with other options in a configuration that is prepared: at the start, at a
/// reload, by `check` and `explain`. A reload keeps the instances whose options did not change; routes
/// that name the same handler with the same options share one.
#[derive(Clone, Default)]
pub struct Handlers {
    factories: BTreeMap<String, Arc<Factory>>,
    /// Shared by all copies of the registry.
    ends: Arc<Ends>,
}

impl Handlers {
    /// Without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names a factory; a second of that name takes the place of the first.
    ///
    /// The factory may refuse its options with any error. What the error says becomes a diagnostic
    /// of the configuration; an [`OptionsError`] may say which option is meant.
    pub fn register<H, F>(&mut self, name: impl Into<String>, factory: F) -> &mut Self
    where
        H: Handler + 'static,
        F: Fn(&Options) -> Result<H, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    {
        let make = move |options: &Options| -> Result<Box<dyn Handler>, FactoryError> {
            Ok(Box::new(factory(options)?))
        };
        self.factories.insert(name.into(), Arc::new(make));
        self
    }

    /// Names a function that needs no options, and refuses any.
    ///
    /// ```
    /// # use tidegate::{Handlers, Response};
    /// let mut handlers = Handlers::new();
    /// handlers.function("ping", |_request| Ok(Response::text("pong\n")));
    /// ```
    pub fn function<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: Fn(Request) -> Result<Response, Error> + Send + Sync + 'static,
    {
        let function = Arc::new(function);
        self.register(name, move |options| {
            options.only(&[])?;
            let function = Arc::clone(&function);
            Ok(move |request: Request| function(request))
        })
    }

    /// Takes all of `others` in.
    pub fn extend(&mut self, others: Self) {
        self.factories.extend(others.factories);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.factories.contains_key(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    /// Waits until the handlers that are not needed any more have been dropped, for a few seconds at
    /// most. Returns how many have not: something holds up their `drop`.
    pub(crate) fn wait_for_ends(&self) -> usize {
        self.ends.wait(MAX_END)
    }

    /// Makes the handler that `spec` describes.
    ///
    /// # Errors
    /// Why its factory refuses the options, or panics; or that no factory has the name.
    pub(crate) fn make(&self, spec: &HandlerSpec) -> Result<Instance, OptionsError> {
        let name = &spec.name;
        let Some(factory) = self.factories.get(name) else {
            return Err(OptionsError::new(format!("no handler is called `{name}`")));
        };
        let make = || {
            let mut instance = Instance {
                never_waits: false,
                handler: Some(factory(&spec.options)?),
                ends: Arc::clone(&self.ends),
            };
            instance.never_waits = instance.handler().never_waits();
            Ok(instance)
        };
        let made = catch_panic(make).unwrap_or_else(|panic| {
            Err(format!("the factory of the handler `{name}` panicked: {panic}").into())
        });
        made.map_err(|error: FactoryError| refusal(&*error))
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

fn refusal(error: &(dyn StdError + Send + Sync + 'static)) -> OptionsError {
    if let Some(error) = error.downcast_ref::<OptionsError>() {
        return error.clone();
    }
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    OptionsError::new(message)
}

/// What a handler is made of. Equal if the name and the options are the same.
#[derive(Clone, Debug)]
pub(crate) struct HandlerSpec {
    pub(crate) name: String,
    pub(crate) options: Options,
}

impl PartialEq for HandlerSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.options.identity() == other.options.identity()
    }
}

impl Eq for HandlerSpec {}

impl Hash for HandlerSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.options.identity().hash(state);
    }
}

/// A handler that a factory made.
pub(crate) struct Instance {
    pub(crate) never_waits: bool,
    /// `None` only while it is dropped.
    handler: Option<Box<dyn Handler>>,
    ends: Arc<Ends>,
}

impl Instance {
    pub(crate) fn handler(&self) -> &dyn Handler {
        self.handler
            .as_deref()
            .expect("it is there until it is dropped")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.ends.drop_elsewhere(self.handler.take());
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn spec(name: &str, options: &str, directory: &str) -> HandlerSpec {
        HandlerSpec {
            name: name.to_owned(),
            options: Options::new(options.parse().expect("TOML"), directory.into()),
        }
    }

    #[test]
    fn handlers_are_the_same_if_made_of_the_same_name_and_options() {
        let first = spec("a", "x = nan\ny = 'z'", "d");
        assert_eq!(first, spec("a", "y = \"z\"\nx = nan", "d"));
        let others = [
            spec("b", "x = nan\ny = 'z'", "d"),
            spec("a", "x = 1.0\ny = 'z'", "d"),
            spec("a", "x = nan\ny = 'z'", "e"),
            spec("a", "", "d"),
        ];
        assert!(!others.contains(&first));
        let all: HashSet<&HandlerSpec> = others.iter().chain([&first, &first]).collect();
        assert_eq!(all.len(), 5);
    }
}
