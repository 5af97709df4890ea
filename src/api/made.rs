//! What of a handler's response the server is willing to send.

use std::fs::File;

use super::later::Later;
use super::response::Response;
use super::stream::Pump;
use crate::http::field_list::FieldList;
use crate::http::field_roles::{FieldRule, Setter};
use crate::http::fields::is_token;
use crate::http::status::Status;
use crate::runtime::TaskReader;

/// Where the content of a response comes from.
pub(crate) enum Body {
    Memory(Vec<u8>),
    File(File),
    /// Made on a thread of the pool, once the head has been sent.
    Pumped {
        length: Option<u64>,
        pump: Pump,
    },
    /// Written into a channel by the owner of its writer.
    Stream {
        length: Option<u64>,
        reader: TaskReader<String>,
    },
    /// Neither it nor the head is decided yet.
    Later(Box<Later>),
}

/// A response that the server is willing to send.
pub(crate) struct Made {
    pub(crate) head: MadeHead,
    pub(crate) body: Body,
}

/// The head of a response that the server is willing to send.
pub(crate) struct MadeHead {
    pub(crate) status: Status,
    pub(crate) fields: FieldList,
}

/// Why the server does not send a response as it was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("status {0} is not for a handler: it takes 200 to 599")]
    Status(Status),
    #[error(
        "it switches protocols, with status 101 or the field `Upgrade`, and this server has no tunnels: \
         answer with a status of 200 to 599 and without `Upgrade`"
    )]
    Upgrade,
    #[error("{0:?} is no field name")]
    FieldName(String),
    #[error("the value of the field {0:?} holds a control character")]
    FieldValue(String),
    #[error("the field {0:?} is the server's to set")]
    ServersField(String),
}

impl Response {
    /// Splits the response into its parts, if the server is willing to send them.
    pub(crate) fn made(self) -> Result<Made, Refused> {
        if self.status == Status::SWITCHING_PROTOCOLS {
            return Err(Refused::Upgrade);
        }
        if !self.status.is_final() {
            return Err(Refused::Status(self.status));
        }
        for (name, value) in &self.fields {
            check_field(name, value)?;
        }
        let Self {
            status,
            fields,
            body,
        } = self;
        let fields = fields.into_iter().collect();
        let head = MadeHead { status, fields };
        Ok(Made { head, body })
    }
}

fn check_field(name: &str, value: &str) -> Result<(), Refused> {
    if !is_token(name.as_bytes()) {
        return Err(Refused::FieldName(name.to_owned()));
    }
    // RFC 9110 §5.5
    if value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(Refused::FieldValue(name.to_owned()));
    }
    if name.eq_ignore_ascii_case("Upgrade") {
        return Err(Refused::Upgrade);
    }
    if !FieldRule::of(name).may_be_set_by(Setter::Handler) {
        return Err(Refused::ServersField(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_split_a_response() {
        for (name, value, refused) in [
            ("X-Name", "value", false),
            ("X-Name", "tab\tis fine", false),
            ("X-Name", "é", false),
            ("X Name", "value", true),
            ("", "value", true),
            ("X-Name", "a\r\nSet-Cookie: b", true),
            ("X-Name", "a\nb", true),
            ("X-Name", "a\0", true),
            ("Content-Length", "1", true),
            ("transfer-encoding", "chunked", true),
            ("Connection", "close", true),
            ("Upgrade", "h2c", true),
            ("Proxy-Connection", "close", true),
            ("Proxy-Authenticate", "Basic", true),
            ("Date", "now", true),
            ("Server", "mine", false),
            ("Content-Range", "bytes 0-0/1", false),
        ] {
            let made = Response::text("").field(name, value).made();
            assert_eq!(made.is_err(), refused, "{name:?}: {value:?}");
        }
    }

    /// A WebSocket cannot work yet, and the log says what is missing.
    #[test]
    fn refuses_to_switch_protocols_and_says_why() {
        let switching = Response::new(Status::SWITCHING_PROTOCOLS);
        let upgrade = Response::new(Status::UPGRADE_REQUIRED).field("upgrade", "websocket");
        for response in [switching, upgrade] {
            let refused = response.made().err().map(|refused| refused.to_string());
            assert!(refused.is_some_and(|text| text.contains("no tunnels")));
        }
    }

    #[test]
    fn refuses_a_status_that_is_not_final() {
        let codes = [100, 101, 199, 200, 599, 600];
        let made = codes.map(|code| {
            let status = Status::from_code(code).expect("three digits");
            Response::new(status).made().is_ok()
        });
        assert_eq!(made, [false, false, false, true, true, false]);
    }
}
