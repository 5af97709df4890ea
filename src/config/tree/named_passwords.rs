//! A file of passwords, and where the configuration names it.

use std::path::PathBuf;

use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::file_fault::FileFault;

/// A file of passwords that is named. It is read when the whole configuration has been checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedPasswords {
    pub(crate) file: PathBuf,
    pub(crate) spot: Spot,
}

impl NamedPasswords {
    /// The diagnostic for a fault, where the file is named.
    pub(crate) fn diagnostic(&self, fault: FileFault) -> Diagnostic {
        fault.at(&self.spot)
    }
}
