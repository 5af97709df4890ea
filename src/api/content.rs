//! The content of a request, as other people's code reads it.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::{Mutex, PoisonError};

use crate::http::status::Status;
use crate::runtime::{Broken, PipeReader};

/// The content of a request: a [`Read`].
///
/// Unless the route says `stream = true` it has arrived completely before the handler is called,
/// and reading does not wait. With `stream`, it is read as it arrives: a handler that reads slowly
/// makes the client wait, and a client that sends slowly the handler. It must then be read before
/// the handler returns; what is left is dropped.
///
/// Reading fails where the content is malformed, larger than the route's `max_content`, late, or
/// cut off; [`Error`](super::Error) has the right status for it.
#[derive(Debug)]
pub struct Content {
    length: Option<u64>,
    source: ContentSource,
}

/// Where content comes from.
pub(crate) enum ContentSource {
    Memory(Cursor<Vec<u8>>),
    File(File),
    Pipe(PipeReader<Unreadable>),
    /// Of a test, or of a handler that calls another. The lock only makes it `Sync`.
    Reader(Mutex<Box<dyn Read + Send>>),
}

impl fmt::Debug for ContentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "memory",
            Self::File(_) => "a file",
            Self::Pipe(_) | Self::Reader(_) => "a stream",
        })
    }
}

impl Content {
    pub(crate) fn new(length: Option<u64>, source: ContentSource) -> Self {
        Self { length, source }
    }

    pub(super) fn empty() -> Self {
        Self::from_memory(Vec::new())
    }

    pub(super) fn from_memory(octets: Vec<u8>) -> Self {
        let length = Some(octets.len() as u64);
        Self::new(length, ContentSource::Memory(Cursor::new(octets)))
    }

    /// How many octets there are in all; `None` if the client sends chunks as it makes them.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl Read for Content {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            ContentSource::Memory(memory) => memory.read(octets),
            ContentSource::File(file) => file.read(octets),
            ContentSource::Reader(reader) => {
                let reader = reader.get_mut();
                reader.unwrap_or_else(PoisonError::into_inner).read(octets)
            }
            ContentSource::Pipe(pipe) => pipe.read(octets).map_err(|broken| {
                io::Error::other(match broken {
                    Broken::Because(why) => why,
                    Broken::Silently => Unreadable::over(),
                })
            }),
        }
    }
}

/// Why content cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Unreadable {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Unreadable {
    /// The error after the server has stopped reading the content.
    fn over() -> Self {
        Self {
            status: Status::INTERNAL_SERVER_ERROR,
            message: "the content cannot be read any more: the exchange is over".to_owned(),
        }
    }
}
