//! Handlers by name, and the instances made of them.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::error::Error;
use super::handler::Handler;
use super::options::{Options, OptionsError};
use super::request::Request;
use super::response::Response;
use crate::runtime::panic_message;

/// What a factory is refused for, as it comes.
type FactoryError = Box<dyn StdError + Send + Sync>;

type Factory = dyn Fn(&Options) -> Result<Arc<dyn Handler>, FactoryError> + Send + Sync;

/// Handlers that a configuration may name: `handler = "…"`.
///
/// A name stands for a factory, which makes a handler of the `options` beside the name. It is called
/// whenever a configuration is read that names it with options not seen before: at the start, at a
/// reload, by `check`. Instances whose options did not change are kept; routes that name the same
/// handler with the same options share one.
#[derive(Clone, Default)]
pub struct Handlers {
    factories: BTreeMap<String, Arc<Factory>>,
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
        let make = move |options: &Options| -> Result<Arc<dyn Handler>, FactoryError> {
            Ok(Arc::new(PanicGuard(Some(factory(options)?))))
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

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    /// Makes a handler.
    ///
    /// # Errors
    /// If nobody registered the name, or the factory refuses.
    pub(crate) fn make(&self, name: &str, options: Options) -> Result<Instance, NoInstance> {
        let factory = self.factories.get(name).ok_or(NoInstance::Unknown)?;
        let make = || factory(&options).map(|handler| (handler.never_waits(), handler));
        let made = catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            Err(format!("the factory of the handler `{name}` panicked: {message}").into())
        });
        let (never_waits, handler) = made.map_err(|error| NoInstance::Refused(refusal(&*error)))?;
        Ok(Instance {
            never_waits,
            handler,
            name: name.to_owned(),
            options,
        })
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// A handler, of which a panic in `drop` is swallowed: `drop` may run on any thread, also on the
/// supervisor's or an event loop's, which must go on. The panic hook has reported the panic.
struct PanicGuard<H>(Option<H>);

impl<H: Handler> Handler for PanicGuard<H> {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        self.inner().handle(request)
    }

    fn never_waits(&self) -> bool {
        self.inner().never_waits()
    }
}

impl<H> PanicGuard<H> {
    fn inner(&self) -> &H {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<H> Drop for PanicGuard<H> {
    fn drop(&mut self) {
        let handler = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handler)));
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

/// Why there is no instance.
#[derive(Debug)]
pub(crate) enum NoInstance {
    /// Nobody registered the name.
    Unknown,
    Refused(OptionsError),
}

/// A handler that was made, and what of.
#[derive(Clone)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) options: Options,
    pub(crate) never_waits: bool,
    pub(crate) handler: Arc<dyn Handler>,
}

impl Instance {
    /// Whether anybody else holds the handler.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.handler) > 1
    }

    /// Whether it is this very handler, and not another made of the same options.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handler, &other.handler)
    }

    /// Whether it is what the factory of `name` would make of `options`.
    pub(crate) fn is_for(&self, name: &str, options: &Options) -> bool {
        self.name == name && self.options == *options
    }
}

/// Two that were made of the same are as good as one.
impl PartialEq for Instance {
    fn eq(&self, other: &Self) -> bool {
        self.is_for(&other.name, &other.options)
    }
}

// TOML knows floats, and so NaN, which is not equal to itself: the handler is then made anew.
impl Eq for Instance {}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?})", self.name, self.options)
    }
}
