//! The result of checking a configuration, before the handlers that it names are made.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::wildcard::Listing;
use crate::api::{HandlerSpec, OptionsError};
use crate::config::complaint::certificate::CertificateFault;
use crate::config::complaint::diagnostic::{Diagnostic, Report, Source};
use crate::config::complaint::file_fault::FileFault;
use crate::config::model::Config;
use crate::config::model::{Bucket, HostPattern, Log, Tls, UpstreamTls};
use crate::config::tree::named_buckets::NamedBuckets;
use crate::config::tree::named_certificate::NamedCertificate;
use crate::config::tree::named_connector::NamedConnector;
use crate::config::tree::named_handler::NamedHandler;
use crate::config::tree::named_passwords::NamedPasswords;

/// A configuration that can be served, and the warnings about it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Holds no error.
    pub(crate) warnings: Report,
    /// The files that it was read from, the main one first.
    pub(crate) files: Vec<PathBuf>,
}

/// What a configuration was read from, good or not. A change to it may change the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// Every file that was read, the main one first, with its text.
    pub(crate) read: Vec<Arc<Source>>,
    /// Files of the configuration that are named and could not be read, and what else it names that is not there:
    /// certificates, passwords, roots.
    pub(crate) missing: Vec<PathBuf>,
    /// What the components of the patterns in `include` matched.
    pub(crate) listings: Vec<Listing>,
}

/// What warnings do to a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// It is taken as it is.
    Lenient,
    /// It is refused: they count as errors.
    Strict,
}

/// A configuration that was checked, and its mistakes. Making the handlers that it names may find more
/// of them. [`finish`](Self::finish) returns all.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The main file.
    pub(super) file: PathBuf,
    /// What could be understood; `None` if the main file cannot be read.
    pub(super) config: Option<Config>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Every handler that a route names.
    pub(super) handlers: Vec<NamedHandler>,
    /// The files of TLS that every server names.
    pub(super) certificates: Vec<NamedCertificate>,
    /// The TLS that other servers are asked with: those of upstreams, the collector of traces, the CA of ACME.
    pub(super) connectors: Vec<NamedConnector>,
    /// The files of passwords that are named.
    pub(super) passwords: Vec<NamedPasswords>,
    /// The buckets of every rate.
    pub(super) buckets: Vec<NamedBuckets>,
    pub(super) inputs: Inputs,
    pub(super) strictness: Strictness,
}

impl Checked {
    /// The result for a main file that cannot be read. `diagnostic` says why.
    pub(super) fn unreadable(file: &Path, diagnostic: Diagnostic) -> Self {
        Self {
            file: file.to_owned(),
            config: None,
            diagnostics: vec![diagnostic],
            handlers: Vec::new(),
            certificates: Vec::new(),
            connectors: Vec::new(),
            passwords: Vec::new(),
            buckets: Vec::new(),
            inputs: Inputs {
                missing: vec![file.to_owned()],
                ..Inputs::default()
            },
            strictness: Strictness::Lenient,
        }
    }

    /// What was read, and what could not be.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// How diagnostics are written, as far as the file could be understood; `None` if it cannot be read.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.config.as_ref().map(|config| &config.log)
    }

    /// Calls `make` once for every handler that is named. An error is reported at every place that
    /// names the handler.
    pub(crate) fn make_handlers(
        &mut self,
        mut make: impl FnMut(&HandlerSpec) -> Result<(), OptionsError>,
    ) {
        let mut made = HashMap::new();
        for named in &self.handlers {
            let outcome = made.entry(&named.spec).or_insert_with(|| make(&named.spec));
            if let Err(error) = outcome {
                self.diagnostics.push(named.refusal(error));
            }
        }
    }

    /// Calls `read` for the `tls` of every server, with the hosts that the server answers for. What it
    /// finds is reported at the setting that names the file.
    pub(crate) fn read_certificates(
        &mut self,
        mut read: impl FnMut(&Tls, &[HostPattern]) -> Vec<CertificateFault>,
    ) {
        for named in &self.certificates {
            let faults = read(&named.tls, &named.hosts);
            self.diagnostics.extend(named.diagnostics(faults));
        }
    }

    /// Calls `read` for the `tls` of every upstream that has servers for it, and for what other servers are verified by
    /// that this one asks. Reports what it finds, as [`read_certificates`](Self::read_certificates) does.
    pub(crate) fn read_connectors(
        &mut self,
        mut read: impl FnMut(&UpstreamTls) -> Vec<CertificateFault>,
    ) {
        for named in &self.connectors {
            let faults = read(&named.tls).into_iter();
            let diagnostics = faults.map(|fault| named.diagnostic(fault));
            self.diagnostics.extend(diagnostics);
        }
    }

    /// Calls `read` once for every file of passwords that is named, and reports what it finds at the first
    /// place that names it.
    pub(crate) fn read_passwords(&mut self, mut read: impl FnMut(&Path) -> Vec<FileFault>) {
        let mut seen = HashSet::new();
        for named in &self.passwords {
            if seen.insert(&named.file) {
                let faults = read(&named.file).into_iter();
                let diagnostics = faults.map(|fault| named.diagnostic(fault));
                self.diagnostics.extend(diagnostics);
            }
        }
    }

    /// Calls `make` for the buckets of every rate, by the rate's name. Where it returns false, there is no memory
    /// for them, which is reported where the file says how many there are.
    pub(crate) fn make_buckets(&mut self, mut make: impl FnMut(&str, &Bucket) -> bool) {
        for named in &self.buckets {
            if !make(&named.rate, &named.options) {
                self.diagnostics.push(named.lack_memory());
            }
        }
    }

    /// Returns the configuration if it has no mistake.
    ///
    /// # Errors
    /// Every mistake in it, and the warnings; or the reason why it cannot be read.
    pub(crate) fn finish(self) -> Result<Loaded, Report> {
        let mut report = Report::new(self.file, self.diagnostics, &self.inputs.read);
        if self.strictness == Strictness::Strict {
            report = report.into_strict();
        }
        let read = self.inputs.read.iter();
        let files = read.map(|source| source.path.to_path_buf()).collect();
        match self.config {
            Some(config) if !report.has_errors() => Ok(Loaded {
                config,
                warnings: report,
                files,
            }),
            _ => Err(report),
        }
    }
}
