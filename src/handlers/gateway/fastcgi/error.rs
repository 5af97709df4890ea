//! Why an application server gave no response, or no whole one.

use std::io;

use super::record::RecordError;
use super::sent_file::SentFileError;
use crate::handlers::gateway::script_response::ScriptError;
use crate::reason::Reason;
use crate::runtime::descriptors::is_shortage;
use crate::upstream::{self, Fault};

/// What an application server did wrong, or the operator did with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("it did not take the connection within the timeout")]
    ConnectTimedOut,
    #[error("it closed the connection before the end of its answer")]
    ClosedEarly,
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("it did not answer within the timeout")]
    TimedOut,
    #[error("it sent what is no FastCGI")]
    Record(#[from] RecordError),
    #[error("it sent what is no answer")]
    Script(#[from] ScriptError),
    #[error("it is overloaded")]
    Overloaded,
    #[error("it refused the request, as one that would share a connection")]
    CannotMultiplex,
    #[error("it refused the request, for it is no responder")]
    UnknownRole,
    #[error("the file that it answers with")]
    SentFile(#[from] SentFileError),
}

impl UpstreamError {
    /// Why there is no response, if no head has come yet.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Reason::UpstreamConnectRefused
            }
            Self::Connect(error) if is_shortage(error) => Reason::UpstreamNoDescriptor,
            Self::Connect(_) => Reason::UpstreamConnectFailed,
            Self::ConnectTimedOut => Reason::UpstreamConnectTimeout,
            Self::ClosedEarly | Self::Script(ScriptError::Incomplete) => {
                Reason::UpstreamClosedEarly
            }
            Self::Broken(_) => Reason::UpstreamBroken,
            Self::TimedOut => Reason::UpstreamTimeout,
            Self::Script(ScriptError::TooLong) => Reason::UpstreamHeadTooLarge,
            Self::Record(_) | Self::Script(_) => Reason::UpstreamResponseInvalid,
            Self::Overloaded => Reason::UpstreamOverloaded,
            Self::CannotMultiplex | Self::UnknownRole => Reason::UpstreamRefused,
            Self::SentFile(_) => Reason::UpstreamFile,
        }
    }
}

impl Fault for UpstreamError {
    fn timed_out() -> Self {
        Self::TimedOut
    }

    fn broken(error: io::Error) -> Self {
        Self::Broken(error)
    }

    fn no_head() -> Self {
        Self::Script(ScriptError::Incomplete)
    }
}

/// Why there is no response, and on which side it failed.
pub(super) type Failure = upstream::Failure<UpstreamError>;
