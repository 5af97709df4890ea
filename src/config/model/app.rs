//! `[apps.NAME]`: an upstream whose servers are processes that this server runs.

use std::path::PathBuf;
use std::time::Duration;

use super::{Account, Upstream};

/// The `PATH` of scripts, and of applications that set none, if the server has none either.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct App {
    /// How its instances are asked. It names no servers: they are the instances that are ready.
    pub(crate) upstream: Upstream,
    /// What makes a process of it. If this changes, the processes are replaced.
    pub(crate) process: AppProcess,
    /// Processes at a time.
    pub(crate) instances: usize,
    /// The path that must answer 2xx or 3xx before an instance is asked; `None`: it takes a connection.
    pub(crate) ready: Option<String>,
    /// What `Host` says in a request for that path.
    pub(crate) ready_host: String,
    /// How long an instance may take from its start until it is ready.
    pub(crate) ready_timeout: Duration,
    /// How long the requests of an instance that has to go may take before SIGTERM, and how long the
    /// instance may take from there until SIGKILL.
    pub(crate) stop_timeout: Duration,
}

/// A command line, and what its processes start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppProcess {
    /// The program and its arguments; at least the program.
    pub(crate) command: Vec<Template>,
    /// Absolute.
    pub(crate) directory: PathBuf,
    pub(crate) environment: Vec<(String, Template)>,
    /// The user that its processes run as; `None`: the user of this process.
    pub(crate) user: Option<Account>,
    pub(crate) endpoint: Endpoint,
}

/// Where an instance listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// At a Unix socket of its own: `${SOCKET}`.
    Socket,
    /// At a port of its own of 127.0.0.1: `${PORT}`.
    Port,
}

/// A string in which the name of an instance's own socket or port may stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template(pub(crate) Vec<TemplatePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TemplatePart {
    Text(String),
    Own(Endpoint),
}

impl App {
    /// As the operator calls it.
    pub(crate) fn name(&self) -> &str {
        &self.upstream.name
    }
}

impl Endpoint {
    /// How the configuration calls it.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Socket => "SOCKET",
            Self::Port => "PORT",
        }
    }

    /// What the configuration calls `name`.
    pub(crate) fn of_variable(name: &str) -> Option<Self> {
        let mut all = [Self::Socket, Self::Port].into_iter();
        all.find(|endpoint| endpoint.variable() == name)
    }
}

impl Template {
    /// The string for an instance whose socket or port is `own`.
    pub(crate) fn fill(&self, own: &str) -> String {
        let parts = self.0.iter();
        parts
            .map(|part| match part {
                TemplatePart::Text(text) => text,
                TemplatePart::Own(_) => own,
            })
            .collect()
    }

    /// What it names of the instance, once for each place.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.0.iter().filter_map(|part| match part {
            TemplatePart::Text(_) => None,
            TemplatePart::Own(endpoint) => Some(*endpoint),
        })
    }
}
