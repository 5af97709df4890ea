//! Why a request is refused. The status of the answer is that of the reason (`reason`).

/// Why a request is refused. Each of these is the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the request line or a field line is malformed")]
    Malformed,
    #[error("the request-target is of no known form")]
    InvalidTarget,
    #[error("an HTTP/1.1 request needs a Host field")]
    MissingHost,
    #[error("the Host field is repeated or invalid")]
    InvalidHost,
    #[error("Content-Length is not one number")]
    InvalidContentLength,
    #[error("Transfer-Encoding does not end in one chunked coding")]
    InvalidTransferCoding,
    #[error("Content-Length beside Transfer-Encoding")]
    LengthBesideTransferCoding,
    #[error("Transfer-Encoding in an HTTP/1.0 request")]
    TransferCodingInHttp10,
    #[error("a transfer coding before chunked")]
    UnknownTransferCoding,
    #[error("an expectation other than 100-continue")]
    UnknownExpectation,
    #[error("an unknown method")]
    UnknownMethod,
    #[error("a major version other than 1")]
    UnsupportedVersion,
    #[error("the request line is longer than max_head")]
    TargetTooLong,
    #[error("the header section is longer than max_head or has more than max_fields lines")]
    HeadTooLarge,
}

impl From<httparse::Error> for RequestError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::HeadTooLarge,
            _ => Self::Malformed,
        }
    }
}
