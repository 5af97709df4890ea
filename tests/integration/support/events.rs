//! A stream of server-sent events, read while it goes on.

use std::io::{BufRead, Read as _};

use serde_json::Value;

use super::Response;

/// The events of a response whose head has been read.
pub(crate) struct Events {
    from: Box<dyn BufRead>,
    is_chunked: bool,
    /// What has come and is no complete event yet.
    rest: String,
}

impl Events {
    /// Reads the head of a response from `from`: it has to be a stream of events.
    pub(super) fn of(mut from: impl BufRead + 'static) -> (Response, Self) {
        let head = Response::read_head(&mut from).expect("a response");
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.field("Content-Type"), Some("text/event-stream"));
        let events = Self {
            is_chunked: head.field("Transfer-Encoding") == Some("chunked"),
            from: Box::new(from),
            rest: String::new(),
        };
        (head, events)
    }

    /// The data of the next event, which has to be a snapshot; `None` at the end of the stream, which has to be
    /// one in order.
    pub(crate) fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let data = event.strip_prefix("event: snapshot\ndata: ");
                let data = data.unwrap_or_else(|| panic!("another event: {event:?}"));
                let data = serde_json::from_str(data).expect("JSON");
                self.rest = rest.to_owned();
                return Some(data);
            }
            let more = self.more();
            if more.is_empty() {
                assert_eq!(self.rest, "", "half an event");
                return None;
            }
            self.rest.push_str(&more);
        }
    }

    /// Reads events until `is_meant` says so of one, and returns that.
    pub(crate) fn until(&mut self, what: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
        let start = std::time::Instant::now();
        loop {
            let event = self
                .next()
                .unwrap_or_else(|| panic!("{what}: the stream has ended"));
            if is_meant(&event) {
                return event;
            }
            assert!(start.elapsed() < super::SAFETY, "{what}: not in {event}");
        }
    }

    /// Waits for the end of the stream; some events may come before it.
    pub(crate) fn expect_end(&mut self) {
        let start = std::time::Instant::now();
        while self.next().is_some() {
            assert!(start.elapsed() < super::SAFETY, "the stream goes on");
        }
    }

    /// What comes next; nothing at the end.
    fn more(&mut self) -> String {
        let octets = if self.is_chunked {
            self.chunk()
        } else {
            let some = self.from.fill_buf().expect("content in time").to_vec();
            self.from.consume(some.len());
            some
        };
        String::from_utf8(octets).expect("text")
    }

    /// The next chunk (RFC 9112 §7.1); empty at the end.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let mut size = String::new();
        self.from.read_line(&mut size).expect("a chunk in time");
        let size = usize::from_str_radix(size.trim_end(), 16).expect("the size of a chunk");
        let mut chunk = vec![0; size + 2];
        self.from.read_exact(&mut chunk).expect("a whole chunk");
        assert_eq!(chunk.split_off(size), *b"\r\n");
        chunk
    }
}
