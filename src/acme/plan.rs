//! Which certificates a generation needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::{Shared, State};
use crate::config::model::{Acme, Issue};
use crate::tls::{Looked, Terminator};

/// What a generation asks of ACME.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) settings: Acme,
    pub(crate) shared: Arc<Shared>,
    pub(crate) wanted: Vec<Wanted>,
}

/// A certificate that servers need.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(super) names: Vec<String>,
    /// Where it is in the storage, with its key.
    pub(super) file: PathBuf,
    /// What presents it to clients: one for each of the TLS settings that servers have for these names.
    pub(super) terminators: Vec<Arc<Terminator>>,
}

impl Plan {
    /// A plan for no certificate.
    pub(crate) fn new(settings: Acme, shared: Arc<Shared>) -> Self {
        Self {
            settings,
            shared,
            wanted: Vec::new(),
        }
    }

    /// Adds the certificate of `issue` in `file`, which `terminator` presents.
    pub(crate) fn add(&mut self, issue: &Issue, file: &Path, terminator: &Arc<Terminator>) {
        let known = self.wanted.iter_mut().find(|wanted| wanted.file == file);
        match known {
            Some(wanted) => {
                let is_it = |other: &Arc<Terminator>| Arc::ptr_eq(other, terminator);
                if !wanted.terminators.iter().any(is_it) {
                    wanted.terminators.push(Arc::clone(terminator));
                }
            }
            None => self.wanted.push(Wanted {
                names: issue.names.clone(),
                file: file.to_owned(),
                terminators: vec![Arc::clone(terminator)],
            }),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The state of the certificate in `file`.
    pub(crate) fn state(&self, file: &Path) -> State {
        self.shared.state(file)
    }

    /// The names of each certificate, and its state.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&[String], State)> {
        let state = |wanted: &Wanted| self.state(&wanted.file);
        self.wanted
            .iter()
            .map(move |wanted| (&wanted.names[..], state(wanted)))
    }
}

impl Wanted {
    /// The name of the certificate in the log.
    pub(super) fn describe(&self) -> String {
        self.names.join(", ")
    }

    /// Presents the certificate in the file to clients, if the file has changed.
    ///
    /// # Errors
    /// Why clients still get the certificate of before.
    pub(super) fn show(&self) -> Result<(), String> {
        for terminator in &self.terminators {
            if let Looked::Failed(fault) = terminator.look() {
                return Err(fault.message);
            }
        }
        Ok(())
    }
}
