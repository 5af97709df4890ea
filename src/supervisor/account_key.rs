//! Replies to `tidegate acme roll-key`.

use serde_json::json;

use crate::acme::KeyAnswer;
use crate::control::{ControlReply, Reply};
use crate::http::status::Status;

/// Takes what becomes of the change of the key, and tells it by `reply`.
pub(super) fn answer(reply: Reply) -> crate::acme::Answer {
    Box::new(move |said| reply(describe(&said)))
}

fn describe(said: &KeyAnswer) -> ControlReply {
    let (status, text) = match said {
        KeyAnswer::Changed => (Status::OK, "the account has a new key".to_owned()),
        KeyAnswer::UnderWay => {
            let text = "the change of the key is under way; the log says how it ends";
            (Status::ACCEPTED, text.to_owned())
        }
        KeyAnswer::Failed(why) => {
            let text = format!("error: {why}");
            return ControlReply {
                status: Status::BAD_GATEWAY,
                json: json!({ "error": text }),
                text: text + "\n",
            };
        }
    };
    ControlReply {
        status,
        json: json!({ "message": text }),
        text: text + "\n",
    }
}
