//! `echo = true`: the request as it arrived, in JSON, to debug a client or a proxy before us.

use serde::Serialize;

use crate::http::path::readable;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Content, ContentError, Octets, ReadContent};
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};

/// Octets of content that are echoed. The rest is read and counted, but not echoed.
const MAX_ECHOED: usize = 64 * 1024;

pub(crate) struct Echo;

/// The response's content.
#[derive(Serialize)]
struct Arrived<'a> {
    method: &'a str,
    target: &'a str,
    version: &'a str,
    path: String,
    query: Option<String>,
    client: String,
    /// In the order sent, with their names as sent.
    fields: Vec<(&'a str, String)>,
    content_length: u64,
    content: String,
    content_is_cut: bool,
}

impl Echo {
    /// # Errors
    /// If the content cannot be read.
    pub(crate) async fn answer(
        &self,
        request: &Request<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Response<'static>, ContentError> {
        let (mut echoed, mut block, mut length) = (Vec::new(), Vec::new(), 0u64);
        while content.read(&mut block).await? {
            length += block.len() as u64;
            let room = MAX_ECHOED - echoed.len();
            echoed.extend_from_slice(&block[..block.len().min(room)]);
            // Freed, because the client may take its time until more comes.
            block = Vec::new();
        }
        let head = request.head;
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let arrived = Arrived {
            method: head.method.as_str(),
            target: head.raw_target,
            version: head.version.as_str(),
            path: text(&readable(request.path.as_bytes())),
            query: head.target.query.map(text),
            client: request.client.to_string(),
            fields: head
                .fields
                .iter()
                .map(|(name, value)| (name, text(value)))
                .collect(),
            content_length: length,
            content: text(&echoed),
            content_is_cut: length > echoed.len() as u64,
        };
        let mut json =
            serde_json::to_vec_pretty(&arrived).expect("strings and numbers are plain JSON");
        json.push(b'\n');
        let fields = FieldLines::new()
            .with("Content-Type", "application/json")
            .with("Cache-Control", "no-store")
            .with("X-Content-Type-Options", "nosniff");
        Ok(Response {
            status: Status::OK,
            fields: fields.into(),
            content: Content::Octets(Octets::Owned(json)),
            common: CommonFields::DateAndServer,
        })
    }
}
