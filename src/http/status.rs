//! Status codes (RFC 9110 §15) and their reason phrases.

use std::fmt;

/// A status code of three digits, 100 to 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

/// Declares the registered codes: constant, number, reason phrase.
macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal,)+) => {
        impl Status {
            $(
                #[doc = concat!($code, " ", $reason)]
                pub const $name: Status = Status($code);
            )+

            /// The registered reason phrase. It is empty for a code that is not registered: clients
            /// ignore the phrase (RFC 9112 §4).
            pub fn reason(self) -> &'static str {
                match self.0 { $($code => $reason,)+ _ => "" }
            }

            /// The status line with its CRLF, as `HTTP/1.1 200 OK`; `None` for a code that is not
            /// registered.
            #[inline]
            pub(crate) fn line(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n")),)+
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    CONTINUE 100 "Continue",
    SWITCHING_PROTOCOLS 101 "Switching Protocols",
    EARLY_HINTS 103 "Early Hints",
    OK 200 "OK",
    CREATED 201 "Created",
    ACCEPTED 202 "Accepted",
    NON_AUTHORITATIVE_INFORMATION 203 "Non-Authoritative Information",
    NO_CONTENT 204 "No Content",
    RESET_CONTENT 205 "Reset Content",
    PARTIAL_CONTENT 206 "Partial Content",
    MULTI_STATUS 207 "Multi-Status",
    MULTIPLE_CHOICES 300 "Multiple Choices",
    MOVED_PERMANENTLY 301 "Moved Permanently",
    FOUND 302 "Found",
    SEE_OTHER 303 "See Other",
    NOT_MODIFIED 304 "Not Modified",
    TEMPORARY_REDIRECT 307 "Temporary Redirect",
    PERMANENT_REDIRECT 308 "Permanent Redirect",
    BAD_REQUEST 400 "Bad Request",
    UNAUTHORIZED 401 "Unauthorized",
    PAYMENT_REQUIRED 402 "Payment Required",
    FORBIDDEN 403 "Forbidden",
    NOT_FOUND 404 "Not Found",
    METHOD_NOT_ALLOWED 405 "Method Not Allowed",
    NOT_ACCEPTABLE 406 "Not Acceptable",
    PROXY_AUTHENTICATION_REQUIRED 407 "Proxy Authentication Required",
    REQUEST_TIMEOUT 408 "Request Timeout",
    CONFLICT 409 "Conflict",
    GONE 410 "Gone",
    LENGTH_REQUIRED 411 "Length Required",
    PRECONDITION_FAILED 412 "Precondition Failed",
    CONTENT_TOO_LARGE 413 "Content Too Large",
    URI_TOO_LONG 414 "URI Too Long",
    UNSUPPORTED_MEDIA_TYPE 415 "Unsupported Media Type",
    RANGE_NOT_SATISFIABLE 416 "Range Not Satisfiable",
    EXPECTATION_FAILED 417 "Expectation Failed",
    MISDIRECTED_REQUEST 421 "Misdirected Request",
    UNPROCESSABLE_CONTENT 422 "Unprocessable Content",
    LOCKED 423 "Locked",
    FAILED_DEPENDENCY 424 "Failed Dependency",
    TOO_EARLY 425 "Too Early",
    UPGRADE_REQUIRED 426 "Upgrade Required",
    PRECONDITION_REQUIRED 428 "Precondition Required",
    TOO_MANY_REQUESTS 429 "Too Many Requests",
    REQUEST_HEADER_FIELDS_TOO_LARGE 431 "Request Header Fields Too Large",
    UNAVAILABLE_FOR_LEGAL_REASONS 451 "Unavailable For Legal Reasons",
    INTERNAL_SERVER_ERROR 500 "Internal Server Error",
    NOT_IMPLEMENTED 501 "Not Implemented",
    BAD_GATEWAY 502 "Bad Gateway",
    SERVICE_UNAVAILABLE 503 "Service Unavailable",
    GATEWAY_TIMEOUT 504 "Gateway Timeout",
    HTTP_VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported",
    INSUFFICIENT_STORAGE 507 "Insufficient Storage",
    LOOP_DETECTED 508 "Loop Detected",
    NETWORK_AUTHENTICATION_REQUIRED 511 "Network Authentication Required",
}

impl Status {
    /// Returns the status with the number `code`; `None` if that has not three digits.
    pub fn from_code(code: u16) -> Option<Self> {
        (100..1000).contains(&code).then_some(Self(code))
    }

    /// The number of the status, 100 to 999.
    pub fn code(self) -> u16 {
        self.0
    }

    /// Whether the status is 1xx: more responses to the same request follow (RFC 9110 §15.2).
    pub(crate) fn is_interim(self) -> bool {
        self.0 < 200
    }

    /// Whether the status is 200 to 599, and so may be that of the last response to a request. Those
    /// below are for interim responses (RFC 9110 §15.2), those above are in no class (§15).
    pub(crate) fn is_final(self) -> bool {
        (200..=599).contains(&self.0)
    }

    /// The status in the log for a client that left before there was a response. Other servers log the
    /// same number. It is never sent.
    pub(crate) const CLIENT_GONE: Self = Self(499);

    /// Whether the status says that the request failed: 4xx and 5xx.
    pub fn is_error(self) -> bool {
        self.0 >= 400
    }

    /// Whether a response with this status never has content: 1xx, 204 and 304 (RFC 9110 §6.4.1), and
    /// 205 (§15.3.6).
    pub(crate) fn forbids_content(self) -> bool {
        self.ends_with_its_head() || self == Self::RESET_CONTENT
    }

    /// Whether a response with this status ends with its header section, whatever its fields say: 1xx,
    /// 204 and 304 (RFC 9112 §6.3 item 1). A 205 is not among them: it has to say that its length is
    /// zero.
    pub(crate) fn ends_with_its_head(self) -> bool {
        self.is_interim() || matches!(self, Self::NO_CONTENT | Self::NOT_MODIFIED)
    }
}

/// `404 Not Found`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.reason() {
            "" => Ok(()),
            reason => write!(f, " {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_three_digits() {
        for (code, valid) in [
            (99, false),
            (100, true),
            (418, true),
            (999, true),
            (1000, false),
        ] {
            assert_eq!(Status::from_code(code).is_some(), valid, "{code}");
        }
    }

    #[test]
    fn a_final_status_is_of_a_known_class_and_not_interim() {
        for (code, is_final) in [
            (100, false),
            (199, false),
            (200, true),
            (599, true),
            (600, false),
        ] {
            assert_eq!(Status(code).is_final(), is_final, "{code}");
        }
    }

    #[test]
    fn displays_with_its_reason_if_it_has_one() {
        assert_eq!(Status::NOT_FOUND.to_string(), "404 Not Found");
        assert_eq!(Status(418).to_string(), "418");
        assert_eq!(Status::OK.line(), Some("HTTP/1.1 200 OK\r\n"));
    }

    #[test]
    fn content_is_forbidden_where_the_rfc_says() {
        for (code, forbidden, ends_with_its_head) in [
            (100, true, true),
            (204, true, true),
            (205, true, false),
            (304, true, true),
            (200, false, false),
            (404, false, false),
        ] {
            let status = Status(code);
            assert_eq!(status.forbids_content(), forbidden, "{code}");
            assert_eq!(status.ends_with_its_head(), ends_with_its_head, "{code}");
        }
    }
}
