//! What is wrong with the files of TLS.

/// Which of its settings a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Certificate,
    Key,
    ClientCa,
    /// CAs that may have issued a certificate of an upstream's server.
    Ca,
    /// The same, where it is the system that says who they are.
    SystemRoots,
}

/// Something wrong, as the operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) part: Part,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(super) fn new(part: Part, message: impl Into<String>) -> Self {
        Self {
            part,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
