//! The reasons of faults that `http` and `transport` name, which know no reasons.

use super::list::Reason;
use crate::http::error::RequestError;

impl From<RequestError> for Reason {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Malformed => Self::RequestMalformed,
            RequestError::InvalidTarget => Self::TargetInvalid,
            RequestError::MissingHost => Self::HostMissing,
            RequestError::InvalidHost => Self::HostInvalid,
            RequestError::InvalidContentLength => Self::ContentLengthInvalid,
            RequestError::InvalidTransferCoding => Self::TransferCodingInvalid,
            RequestError::LengthBesideTransferCoding | RequestError::TransferCodingInHttp10 => {
                Self::FramingAmbiguous
            }
            RequestError::UnknownTransferCoding => Self::TransferCodingUnknown,
            RequestError::UnknownExpectation => Self::ExpectationUnknown,
            RequestError::UnknownMethod => Self::MethodUnknown,
            RequestError::UnsupportedVersion => Self::VersionUnsupported,
            RequestError::TargetTooLong => Self::TargetTooLong,
            RequestError::HeadTooLarge => Self::HeadTooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_status() {
        for (error, code) in [
            (RequestError::Malformed, 400),
            (RequestError::InvalidTarget, 400),
            (RequestError::MissingHost, 400),
            (RequestError::InvalidHost, 400),
            (RequestError::InvalidContentLength, 400),
            (RequestError::InvalidTransferCoding, 400),
            (RequestError::LengthBesideTransferCoding, 400),
            (RequestError::TransferCodingInHttp10, 400),
            (RequestError::UnknownTransferCoding, 501),
            (RequestError::UnknownMethod, 501),
            (RequestError::UnknownExpectation, 417),
            (RequestError::UnsupportedVersion, 505),
            (RequestError::TargetTooLong, 414),
            (RequestError::HeadTooLarge, 431),
        ] {
            let status = Reason::from(error).status();
            assert_eq!(status.map(|status| status.code()), Some(code), "{error:?}");
        }
    }
}
