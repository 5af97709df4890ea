//! Replies to `tidegate acme roll-key`.

use serde_json::json;

use crate::acme::KeyOutcome;
use crate::control::{ControlReply, Reply};
use crate::http::status::Status;

/// Takes the result of the change of the key, and tells it by `reply`.
pub(super) fn answer(reply: Reply) -> crate::acme::Answer {
    Box::new(move |said| reply(describe(&said)))
}

fn describe(said: &KeyOutcome) -> ControlReply {
    let (status, text) = match said {
        KeyOutcome::Changed => (Status::OK, "the account has a new key".to_owned()),
        KeyOutcome::UnderWay => {
            let text = "the change of the key is under way; the log says how it ends";
            (Status::ACCEPTED, text.to_owned())
        }
        KeyOutcome::Failed(why) => {
            let text = format!("error: {why}");
            return ControlReply {
                status: Status::BAD_GATEWAY,
                json: json!({ "error": text }),
                text: text + "\n",
            };
        }
    };
    ControlReply::message(status, text)
}
