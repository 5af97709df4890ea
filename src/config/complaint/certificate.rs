//! What is wrong with the files of TLS, as it is found while a configuration is prepared.

use super::file_fault::FileFault;

/// Something that is wrong with the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFault {
    /// The setting that names the file.
    pub(crate) setting: CertificateSetting,
    pub(crate) fault: FileFault,
}

/// A setting of `tls` that names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateSetting {
    Certificate,
    Key,
    ClientCa,
    Ca,
    /// No setting: the CAs that the system trusts are trusted because `ca` is left out.
    SystemRoots,
}
