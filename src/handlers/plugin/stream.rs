//! The content of a handler's response, on its way to the connection.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::call::Call;
use crate::api::Body;
use crate::log::diagnostic;
use crate::message::conditional::Supply;
use crate::message::content::{BrokenOff, Content, ContentSource, ContentStream, LocalFuture};
use crate::message::representation;
use crate::runtime::{Broken, TaskReader};

/// Content that a thread writes into a pipe: a thread of the pool, or one of the handler's own.
struct PipeSource {
    reader: TaskReader<String>,
    /// The code that makes the content. Held as long as content is wanted.
    call: Option<Call>,
}

/// The content of `body`; `call` is the code that makes it. `None` if the content cannot be had; the log
/// says why.
pub(super) fn content(body: Body, call: Call, route: &str) -> Option<Supply<'static>> {
    let (length, reader) = match body {
        Body::Stream { length, reader } => (length, reader),
        body => {
            call.end();
            return whole(body, route).map(Supply::Whole);
        }
    };
    let source = Box::new(PipeSource {
        reader,
        call: Some(call),
    });
    let stream = ContentStream::new(length, source);
    Some(Supply::Entire(Content::Stream(stream)))
}

fn whole(body: Body, route: &str) -> Option<representation::Body> {
    let file = match body {
        Body::Memory(octets) => return Some(representation::Body::Memory(octets.into())),
        Body::File(file) => file,
        // The caller has taken streams out, and waited for decisions.
        Body::Pumped { .. } | Body::Stream { .. } | Body::Later(_) => {
            diagnostic::error(format_args!("{route}: the response is not decided"));
            return None;
        }
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Some(representation::Body::File {
            length: metadata.len(),
            file: Rc::new(OwnedFd::from(file)),
        }),
        Ok(_) => {
            diagnostic::error_of(route, format_args!("what the handler gives is no file"));
            None
        }
        Err(error) => {
            let message = "the file that the handler gives cannot be looked at";
            diagnostic::error_of(route, format_args!("{message}: {error}"));
            None
        }
    }
}

impl ContentSource for PipeSource {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async move {
            let read = self.reader.read(into).await;
            if !matches!(read, Ok(true))
                && let Some(call) = self.call.take()
            {
                call.end();
            }
            read.map_err(|broken| {
                BrokenOff::Maker(match broken {
                    Broken::Because(why) => why,
                    Broken::Silently => "the code that writes it panicked".to_owned(),
                })
            })
        })
    }
}
