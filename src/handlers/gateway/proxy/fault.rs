//! What an upstream did wrong.

use std::io;

use crate::http::chunked::ChunkedError;
use crate::http::received_response::ResponseError;
use crate::reason::Reason;
use crate::upstream::{self, Fault, TlsFault};

/// Why an upstream gave no response, or no whole one.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyFault {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// This server's own fault.
    #[error("this process or the system has no descriptor or no memory left for a connection")]
    NoDescriptor(#[source] io::Error),
    #[error("it did not take the connection within the timeout")]
    ConnectTimedOut,
    #[error("it closed the connection before its response")]
    ClosedEarly,
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("it did not respond within the timeout")]
    TimedOut,
    #[error("it sent what is no response")]
    Response(#[from] ResponseError),
    #[error("the content of its response is malformed")]
    Chunked(#[from] ChunkedError),
    #[error("it closed the connection before the end of its response")]
    Truncated,
    #[error("it changed to another protocol, which the client did not ask for")]
    UnaskedUpgrade,
    #[error("it sent a 101 that is not of HTTP/1.1, or without `Connection: upgrade`")]
    MalformedUpgrade,
    #[error("it changed to another protocol before it had read the request")]
    EarlyUpgrade,
    #[error("it sent too many interim responses")]
    TooManyInterim,
}

impl ProxyFault {
    /// Why there is no response, or no whole one.
    pub(super) fn reason(&self) -> Reason {
        if let Self::Connect(error) | Self::Broken(error) = self
            && let Some(fault) = TlsFault::in_error(error)
        {
            return fault.reason();
        }
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Reason::UpstreamConnectRefused
            }
            Self::Connect(_) => Reason::UpstreamConnectFailed,
            Self::ConnectTimedOut => Reason::UpstreamConnectTimeout,
            Self::NoDescriptor(_) => Reason::UpstreamNoDescriptor,
            Self::ClosedEarly => Reason::UpstreamClosedEarly,
            Self::Broken(_) => Reason::UpstreamBroken,
            Self::TimedOut => Reason::UpstreamTimeout,
            Self::Truncated => Reason::UpstreamIncomplete,
            Self::Chunked(_) => Reason::UpstreamChunksInvalid,
            Self::UnaskedUpgrade | Self::MalformedUpgrade | Self::EarlyUpgrade => {
                Reason::UpstreamUpgradeFailed
            }
            Self::Response(ResponseError::HeadTooLong) => Reason::UpstreamHeadTooLarge,
            Self::Response(_) | Self::TooManyInterim => Reason::UpstreamResponseInvalid,
        }
    }

    /// Whether it is this server's own: no upstream is the worse for it, and none would do better.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::NoDescriptor(_))
    }

    /// Whether the connection ended, as one does that the upstream has closed between two requests.
    pub(super) fn is_end_of_connection(&self) -> bool {
        matches!(self, Self::ClosedEarly | Self::Broken(_))
    }
}

impl Fault for ProxyFault {
    fn timed_out() -> Self {
        Self::TimedOut
    }

    fn broken(error: io::Error) -> Self {
        Self::Broken(error)
    }

    fn no_head() -> Self {
        Self::ClosedEarly
    }
}

/// Why there is no response, and on which side it failed.
pub(super) type Failure = upstream::Failure<ProxyFault>;
