//! The server as a part of another program: a [`Builder`] makes it, a [`Server`] controls it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::api::Handlers;
use crate::config::{self, Checked, Report, Strictness, Surroundings};
use crate::control::{ControlReply, ControlRequest, ControlVerb, Submit};
use crate::generation::prepare::{Prepared, prepare};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::server::{exposed_files, run_tests};
use crate::supervisor::{Role, Setup, Supervisor, SupervisorError, wait_for_ends};

/// The name, in diagnostics, of a configuration that does not come from a file.
const NAME_OF_TEXT: &str = "configuration";

/// Makes a [`Server`]: from a configuration and the handlers that it may name.
///
/// ```
/// use tidegate::{Response, Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder()
///     .function("hello", |_request| Ok(Response::text("hello\\n")))
///     .config_text(r#"
///         log.access = false
///         [[server]]
///         listen = "127.0.0.1:0"
///         routes."/" = { handler = "hello" }
///     "#)
///     .start()?;
/// println!("http://{}/", server.addresses()[0]);
/// server.drain(std::time::Duration::from_secs(1))?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    origin: Option<Origin>,
    handlers: Handlers,
}

/// Where a configuration comes from.
#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Text(String),
}

impl Builder {
    /// Takes the configuration from a file, as `tidegate run` does; [`Server::reload`] reads it
    /// again.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.origin = Some(Origin::File(path.into()));
        self
    }

    /// Takes the configuration from a text; relative paths in it start at the current directory.
    pub fn config_text(mut self, text: impl Into<String>) -> Self {
        self.origin = Some(Origin::Text(text.into()));
        self
    }

    /// Takes the configuration from a value; as with a text, relative paths start at the current
    /// directory.
    pub fn config_value(self, value: &toml::Table) -> Self {
        self.config_text(value.to_string())
    }

    /// Lets the configuration name these handlers, beside those added before.
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers.extend(handlers);
        self
    }

    /// Lets the configuration name a function; see [`Handlers::function`].
    pub fn function<F>(mut self, name: impl Into<String>, function: F) -> Self
    where
        F: Fn(crate::Request) -> Result<crate::Response, crate::Error> + Send + Sync + 'static,
    {
        self.handlers.function(name, function);
        self
    }

    /// Binds the addresses and starts to serve, on threads of its own.
    ///
    /// The server takes no signals and opens no control socket: both belong to the program. It
    /// writes its diagnostics to standard error, and the access log where the configuration says,
    /// which is standard output unless it says `log.access = false`.
    ///
    /// # Errors
    /// Every mistake in the configuration, at once; or what keeps the server from starting.
    pub fn start(self) -> Result<Server, StartError> {
        let Some(origin) = self.origin else {
            return Err(StartError::Configuration(
                "there is no configuration: give the builder a file, a text or a value".to_owned(),
            ));
        };
        let checked = origin.check(&self.handlers);
        let prepared = prepare(checked, &self.handlers, None);
        let Prepared { loaded, generation } = prepared.map_err(refused)?;
        for warning in loaded.warnings.to_string().lines() {
            diagnostic::warn(format_args!("{warning}"));
        }
        let failures = run_tests(&loaded.config, &generation);
        if !failures.is_empty() {
            return Err(StartError::Configuration(failures.join("\n")));
        }
        for doubt in exposed_files(&loaded.config, &loaded.files, &generation) {
            diagnostic::warn(format_args!("{doubt}"));
        }
        let handlers = self.handlers.clone();
        let supervisor = Supervisor::new(Setup {
            config: loaded.config,
            generation,
            file: origin.file(),
            handlers: self.handlers,
            role: Role::Part,
        });
        let supervisor = supervisor.map_err(failed)?;
        let submit = supervisor.submit();
        let addresses = supervisor.addresses().filter_map(|address| address.ip());
        let addresses = addresses.collect();
        let thread = std::thread::Builder::new()
            .name("tidegate".to_owned())
            .spawn(move || {
                let outcome = supervisor.run();
                wait_for_ends(&handlers);
                outcome
            })
            .map_err(|error| StartError::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Server {
            thread: Some(thread),
            submit,
            addresses,
        })
    }
}

impl Origin {
    fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Text(_) => None,
        }
    }

    fn check(&self, handlers: &Handlers) -> Checked {
        let surroundings = Surroundings::of_process(handlers);
        match self {
            Self::File(path) => config::load(path, surroundings, Strictness::Lenient),
            Self::Text(text) => config::parse(text.as_str(), Path::new(NAME_OF_TEXT), surroundings),
        }
    }
}

fn refused(report: Report) -> StartError {
    StartError::Configuration(report.to_string())
}

fn failed(error: SupervisorError) -> StartError {
    StartError::Failed(diagnostic::chain(&error))
}

/// A server that runs, as the rest of the program sees it.
///
/// Dropped, it stops at once: exchanges in flight are cut. [`drain`](Self::drain) lets them finish.
pub struct Server {
    thread: Option<JoinHandle<Result<(), SupervisorError>>>,
    submit: Submit,
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Makes a builder without a configuration and without handlers.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The addresses that the server was bound to when it started, with the ports that the system
    /// chose for port 0; Unix sockets are not among them.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reads the configuration file again and adopts it, as `tidegate reload` does. Returns what
    /// changed, in words. Connections and exchanges are not disturbed, and handlers whose options did
    /// not change are kept.
    ///
    /// # Errors
    /// Why the configuration was refused; what ran before goes on.
    pub fn reload(&self) -> Result<String, ReloadError> {
        let confirm_within = None;
        self.change(ControlVerb::Reload { confirm_within })
    }

    /// [`reload`](Self::reload), with another text in the place of the configuration.
    ///
    /// # Errors
    /// Why the configuration was refused; what ran before goes on.
    pub fn reload_text(&self, text: impl Into<String>) -> Result<String, ReloadError> {
        let (text, name) = (text.into(), PathBuf::from(NAME_OF_TEXT));
        self.change(ControlVerb::Replace { text, name })
    }

    fn change(&self, verb: ControlVerb) -> Result<String, ReloadError> {
        match self.ask(verb) {
            Some(reply) if reply.status == Status::OK => Ok(reply.text),
            Some(reply) => Err(ReloadError(reply.text)),
            None => Err(ReloadError("the server has stopped".to_owned())),
        }
    }

    /// What the server is doing, as JSON: what `tidegate status --json` tells. `None` if it has
    /// stopped.
    pub fn status(&self) -> Option<String> {
        let reply = self.ask(ControlVerb::Status)?;
        Some(format!("{:#}", reply.json))
    }

    fn ask(&self, verb: ControlVerb) -> Option<ControlReply> {
        let (sender, receiver) = mpsc::channel();
        let reply = Box::new(move |reply| {
            // The receiver waits below; it cannot be gone.
            let _ = sender.send(reply);
        });
        (self.submit)(ControlRequest { verb, reply });
        receiver.recv().ok()
    }

    /// Waits until the server ends by itself, which it does only if its workers keep dying.
    ///
    /// # Errors
    /// Why it ended.
    pub fn wait(mut self) -> Result<(), StartError> {
        self.join()
    }

    /// Accepts nothing more, lets exchanges in flight finish for as long as `grace`, and ends.
    ///
    /// # Errors
    /// If the server had ended before, why.
    pub fn drain(mut self, grace: Duration) -> Result<(), StartError> {
        self.end(grace)
    }

    /// Ends at once: exchanges in flight are cut.
    ///
    /// # Errors
    /// If the server had ended before, why.
    pub fn stop(mut self) -> Result<(), StartError> {
        self.end(Duration::ZERO)
    }

    fn end(&mut self, grace: Duration) -> Result<(), StartError> {
        // If there is no answer, the server has ended already.
        let _ = self.ask(ControlVerb::Stop { grace: Some(grace) });
        self.join()
    }

    fn join(&mut self) -> Result<(), StartError> {
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(failed(error)),
            Some(Err(_)) => Err(StartError::Failed("the server panicked".to_owned())),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // A destructor cannot return the error.
            let _ = self.end(Duration::ZERO);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Why a server does not start, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Every mistake in the configuration, each with its place.
    #[error("{0}")]
    Configuration(String),
    /// An address that is taken, a log that cannot be opened, workers that keep dying.
    #[error("{0}")]
    Failed(String),
}

/// Why a configuration was refused, in the words of the diagnostics; what ran before goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReloadError(String);
