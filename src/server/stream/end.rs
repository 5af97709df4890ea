//! How a connection of a stream has ended.

use crate::http::status::Status;
use crate::server::proxy_header::NoHeader;
use crate::transfer::tunnel::TunnelEnd;
use crate::upstream::NoServer;

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was passed on; how its tunnel has ended.
    Carried(TunnelEnd),
    /// No proxy has said who the client is.
    NoHeader(NoHeader),
    /// There is no session of TLS with the client.
    NoSession,
    /// The client took longer than `handshake_timeout`.
    HandshakeTimedOut,
    /// It left before the handshake was complete, or before a server had room for it.
    ClientGone,
    /// `allow` and `deny` keep the client out.
    Denied,
    /// As many connections are open as may be.
    TooMany,
    /// No server could be asked.
    NoServer(NoServer),
    /// The last server that was tried took no connection.
    NotConnected,
    /// The last server that was tried took no connection in time.
    ConnectTimedOut,
    /// It was passed on, and open when `grace` was over, or it panicked.
    Cut,
    /// It was open when `grace` was over, or it panicked, and no server had taken a connection for it.
    CutBefore,
}

impl End {
    /// The status that a response would have: the log has one for each line.
    pub(super) fn status(self) -> Status {
        match self {
            Self::Carried(_) | Self::Cut => Status::OK,
            Self::NoHeader(NoHeader::Untrusted) | Self::Denied => Status::FORBIDDEN,
            Self::NoHeader(NoHeader::Late) | Self::HandshakeTimedOut => Status::REQUEST_TIMEOUT,
            Self::NoHeader(NoHeader::Gone) | Self::ClientGone => Status::CLIENT_GONE,
            Self::NoHeader(NoHeader::Malformed(_)) | Self::NoSession => Status::BAD_REQUEST,
            Self::TooMany | Self::NoServer(_) | Self::CutBefore => Status::SERVICE_UNAVAILABLE,
            Self::NotConnected => Status::BAD_GATEWAY,
            Self::ConnectTimedOut => Status::GATEWAY_TIMEOUT,
        }
    }

    /// How it ended, in words.
    pub(super) fn describe(self) -> String {
        let why = match self {
            Self::Carried(TunnelEnd::Complete) => "both sides have ended it",
            Self::Carried(TunnelEnd::ClientBroke) => "the connection of the client broke",
            Self::Carried(TunnelEnd::UpstreamBroke) => "the connection of the server broke",
            Self::Carried(TunnelEnd::Idle) => "no octet has moved for `idle_timeout`",
            Self::NoHeader(why) => return format!("refused: {why}"),
            Self::NoSession => "there is no session of TLS with the client",
            Self::HandshakeTimedOut => "the handshake took longer than `handshake_timeout`",
            Self::ClientGone => "the client left before it was connected",
            Self::Denied => "refused: `allow` and `deny` keep the client out",
            Self::TooMany => "refused: as many connections are open as may be",
            Self::NoServer(why) => return format!("no server can be asked: {why}"),
            Self::NotConnected => "no server that was asked took the connection",
            Self::ConnectTimedOut => "the server that was asked last took no connection in time",
            Self::Cut | Self::CutBefore => "it was cut by the end of `grace`, or by a panic",
        };
        why.to_owned()
    }

    /// How it ended, as the log tells it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Carried(TunnelEnd::Complete) => "complete",
            Self::Carried(TunnelEnd::ClientBroke) => "client_broke",
            Self::Carried(TunnelEnd::UpstreamBroke) => "upstream_broke",
            Self::Carried(TunnelEnd::Idle) => "idle",
            Self::NoHeader(NoHeader::Untrusted) => "untrusted",
            Self::NoHeader(NoHeader::Malformed(_)) => "no_header",
            Self::NoHeader(NoHeader::Late) => "header_timeout",
            Self::NoHeader(NoHeader::Gone) | Self::ClientGone => "client_gone",
            Self::NoSession => "handshake_failed",
            Self::HandshakeTimedOut => "handshake_timeout",
            Self::Denied => "denied",
            Self::TooMany => "too_many",
            Self::NoServer(NoServer::Unknown) => "name_not_found",
            Self::NoServer(NoServer::NotReady) => "app_not_ready",
            Self::NoServer(NoServer::AllFailed) => "no_server",
            Self::NoServer(NoServer::AllBusy) => "servers_busy",
            Self::NoServer(NoServer::QueueFull) => "queue_full",
            Self::NoServer(NoServer::QueueLate) => "queue_timeout",
            Self::NotConnected => "connect_failed",
            Self::ConnectTimedOut => "connect_timeout",
            Self::Cut | Self::CutBefore => "cut",
        }
    }
}
