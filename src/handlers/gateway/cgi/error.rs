//! Why a script gave no response.

use std::io;

use super::start::StartError;
use crate::disk::barrier;
use crate::handlers::gateway::script_response::ScriptError;
use crate::message::content::ContentError;
use crate::runtime::{BlockingError, Exit};

/// Why a script gave no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum CgiError {
    #[error("there is no such script")]
    Missing,
    #[error("it has as many processes as max_processes allows")]
    Busy,
    #[error("cannot look for it")]
    Look(#[source] io::Error),
    #[error("scripts with non-parsed headers (nph-) are not run")]
    NonParsedHeaders,
    #[error("cannot be started")]
    Start(#[from] StartError),
    #[error("cannot be read from")]
    Read(#[source] io::Error),
    #[error(transparent)]
    Output(#[from] ScriptError),
    #[error("it ended with {0} before its header section did")]
    Ended(Exit),
    #[error("its header section did not come within the timeout")]
    TimedOut,
    #[error("cannot be run")]
    Pool(#[from] BlockingError),
    /// The client's fault. The operator is not told.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl CgiError {
    /// Whether the system lacks something that was needed for the script: descriptors, memory, processes.
    pub(super) fn is_of_lack(&self) -> bool {
        match self {
            Self::Look(error)
            | Self::Start(StartError::Input(error) | StartError::Refused(error)) => {
                barrier::is_of_lack(error)
            }
            _ => false,
        }
    }
}
