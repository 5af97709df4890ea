//! Why a request is refused, and the status of the answer that says so.

use super::status::Status;

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

impl RequestError {
    /// The status of the response to the request.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::UnknownTransferCoding | Self::UnknownMethod => Status::NOT_IMPLEMENTED,
            Self::UnknownExpectation => Status::EXPECTATION_FAILED,
            Self::UnsupportedVersion => Status::HTTP_VERSION_NOT_SUPPORTED,
            Self::TargetTooLong => Status::URI_TOO_LONG,
            Self::HeadTooLarge => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Malformed
            | Self::InvalidTarget
            | Self::MissingHost
            | Self::InvalidHost
            | Self::InvalidContentLength
            | Self::InvalidTransferCoding
            | Self::LengthBesideTransferCoding
            | Self::TransferCodingInHttp10 => Status::BAD_REQUEST,
        }
    }
}

impl From<httparse::Error> for RequestError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::HeadTooLarge,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_status() {
        for (error, code) in [
            (RequestError::Malformed, 400),
            (RequestError::UnknownTransferCoding, 501),
            (RequestError::UnknownMethod, 501),
            (RequestError::UnknownExpectation, 417),
            (RequestError::UnsupportedVersion, 505),
            (RequestError::TargetTooLong, 414),
            (RequestError::HeadTooLarge, 431),
            (RequestError::LengthBesideTransferCoding, 400),
        ] {
            assert_eq!(error.status().code(), code, "{error:?}");
        }
    }
}
