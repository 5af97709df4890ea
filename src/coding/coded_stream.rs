//! Content of a response that is compressed while it is sent.
//!
//! ```text
//! source ── next ──→ raw ── slices ──→ encoder ──→ a block for the client
//!              │                          ↑
//!              └ has nothing for now ── flush
//! ```
//!
//! It works on the loop, in slices: one takes less time than a handshake, and other connections get their
//! turn after each. On another thread a block would cost two switches of threads more, and a source that
//! ends and a client that goes would have to be told across.
//!
//! When the source pauses, the client is sent all that there is: the next event of a stream may be hours
//! away. When the source breaks off, the coding is not ended: the client sees that content is missing.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::encoder::EncoderError;
use super::encoders::LentEncoder;
use crate::http::field_list::FieldList;
use crate::http::field_roles::describes_octets;
use crate::message::content::{BrokenOff, ContentSource, ContentStream, LocalFuture, Octets};
use crate::runtime;

/// Octets that are compressed before other connections get their turn: about 0.3 ms of gzip.
const SLICE: usize = 16 * 1024;

/// Octets of a block that is sent while the source still has more.
const BLOCK: usize = 16 * 1024;

/// Octets that a source of octets gives at a time.
const PIECE: usize = 64 * 1024;

/// `stream`, compressed by `encoder`. Its length is not known beforehand.
pub(crate) fn coded(stream: ContentStream<'_>, encoder: LentEncoder) -> ContentStream<'_> {
    let (first, length, source) = stream.into_parts();
    let mut coded = CodedSource {
        place: Place::Here(source),
        encoder,
        raw: Vec::new(),
        at: 0,
        left: length,
        holds_back: false,
        slice_left: SLICE,
        broken: None,
        is_ended: false,
        is_longer: false,
    };
    coded.take(first);
    ContentStream::new(None, Box::new(coded))
}

/// Octets that are all there, as a stream.
pub(crate) fn stream_of(octets: Octets<'static>) -> ContentStream<'static> {
    let length = Some(octets.len() as u64);
    ContentStream::new(length, Box::new(OctetsSource { octets, at: 0 }))
}

struct CodedSource<'c> {
    place: Place<'c>,
    encoder: LentEncoder,
    /// Octets of the source, of which those before `at` have been compressed.
    raw: Vec<u8>,
    at: usize,
    /// Octets that the source still has to give, where it said how many.
    left: Option<u64>,
    /// Whether the encoder was given something since it was flushed.
    holds_back: bool,
    /// Octets that may be compressed before others get their turn.
    slice_left: usize,
    /// Why the source broke off, which is told when what came before has been sent.
    broken: Option<BrokenOff>,
    /// Whether the source has given all.
    is_ended: bool,
    /// Whether it has given more than it announced.
    is_longer: bool,
}

/// Where the source is.
enum Place<'c> {
    Here(Box<dyn ContentSource + 'c>),
    /// It has been asked for its next octets, and comes back with them. The question outlives a flush:
    /// [`ContentSource::next`] need not be safe to cancel.
    Asked(LocalFuture<'c, Given<'c>>),
    /// Nowhere, while it is moved from one to the other.
    Moving,
}

/// What a source gave.
struct Given<'c> {
    source: Box<dyn ContentSource + 'c>,
    octets: Vec<u8>,
    goes_on: Result<bool, BrokenOff>,
}

impl<'c> CodedSource<'c> {
    /// Takes `octets` of the source, as far as it announced them.
    fn take(&mut self, mut octets: Vec<u8>) {
        if let Some(left) = &mut self.left {
            if octets.len() as u64 > *left {
                // What is longer than announced is dropped, as without a coding.
                octets.truncate(*left as usize);
                self.is_longer = true;
            }
            *left -= octets.len() as u64;
            // The client has all of it, whether or not the source ends now: a script may keep its output open.
            self.is_ended |= *left == 0;
        }
        self.raw = octets;
        self.at = 0;
    }

    /// Lets go of a source that has given as much as it announced: what it still does is not waited for.
    fn let_go(&mut self) {
        let has_all = self.left == Some(0);
        if has_all && let Place::Here(source) = std::mem::replace(&mut self.place, Place::Moving) {
            source.discard();
        }
    }

    /// Asks the source for its next octets, if it has not been asked.
    fn ask(&mut self) {
        if matches!(self.place, Place::Here(_))
            && let Place::Here(mut source) = std::mem::replace(&mut self.place, Place::Moving)
        {
            self.place = Place::Asked(Box::pin(async move {
                let mut octets = Vec::new();
                let goes_on = source.next(&mut octets).await;
                Given {
                    source,
                    octets,
                    goes_on,
                }
            }));
        }
    }

    /// Takes what the source has given, if it has by now.
    fn poll_given(&mut self, context: &mut std::task::Context<'_>) -> Poll<()> {
        let Place::Asked(asked) = &mut self.place else {
            return Poll::Ready(());
        };
        let Poll::Ready(given) = Pin::as_mut(asked).poll(context) else {
            return Poll::Pending;
        };
        let Given {
            source,
            octets,
            goes_on,
        } = given;
        self.place = Place::Here(source);
        self.take(octets);
        match goes_on {
            Ok(true) => {}
            Ok(false) if self.left.is_some_and(|left| left > 0) => {
                let why = "the content is shorter than its Content-Length says";
                self.broken = Some(BrokenOff::Maker(why.to_owned()));
            }
            Ok(false) => self.is_ended = true,
            Err(broken) => self.broken = Some(broken),
        }
        Poll::Ready(())
    }

    /// Whether the source has given something by now.
    async fn has_given(&mut self) -> bool {
        poll_fn(|context| Poll::Ready(self.poll_given(context).is_ready())).await
    }

    /// Compresses a slice of what the source has given.
    async fn encode(&mut self, into: &mut Vec<u8>) -> Result<(), BrokenOff> {
        if self.slice_left == 0 {
            runtime::yield_now().await;
            self.slice_left = SLICE;
        }
        let end = self.raw.len().min(self.at + self.slice_left);
        let slice = &self.raw[self.at..end];
        let written = self.encoder.get().write(slice, into);
        written.map_err(no_memory)?;
        self.slice_left -= slice.len();
        self.at = end;
        self.holds_back = true;
        Ok(())
    }

    /// Appends the next block to `into`; `false` at the end.
    async fn next_block(&mut self, into: &mut Vec<u8>) -> Result<bool, BrokenOff> {
        let start = into.len();
        loop {
            if self.at < self.raw.len() {
                self.encode(into).await?;
                if into.len() - start >= BLOCK {
                    return Ok(true);
                }
                continue;
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
            if self.is_ended {
                self.encoder.get().finish(into).map_err(no_memory)?;
                self.let_go();
                return Ok(false);
            }
            self.ask();
            if !self.has_given().await {
                self.pause(into).await?;
                if into.len() > start {
                    return Ok(true);
                }
                if matches!(self.place, Place::Asked(_)) {
                    self.given().await;
                }
            }
        }
    }

    /// The source has nothing for now: flushes what the encoder holds back.
    async fn pause(&mut self, into: &mut Vec<u8>) -> Result<(), BrokenOff> {
        if !self.holds_back {
            return Ok(());
        }
        // What the source waits for may have come with the same turn of the loop.
        runtime::yield_now().await;
        self.slice_left = SLICE;
        if self.has_given().await {
            return Ok(());
        }
        self.encoder.get().flush(into).map_err(no_memory)?;
        self.holds_back = false;
        Ok(())
    }

    /// Waits for what the source gives.
    async fn given(&mut self) {
        poll_fn(|context| self.poll_given(context)).await;
        self.slice_left = SLICE;
    }
}

fn no_memory(error: EncoderError) -> BrokenOff {
    BrokenOff::Maker(error.to_string())
}

impl ContentSource for CodedSource<'_> {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(self.next_block(into))
    }

    fn trailers(&mut self) -> Vec<u8> {
        let Place::Here(source) = &mut self.place else {
            return Vec::new();
        };
        let mut trailers = FieldList::parse(&source.trailers());
        trailers.retain(|line| !describes_octets(&line.name));
        trailers.encode().into_bytes()
    }

    fn dropped_some(&self) -> bool {
        self.is_longer
    }

    fn while_blocked<'s>(&'s mut self) -> LocalFuture<'s, ()> {
        if matches!(self.place, Place::Asked(_)) {
            return Box::pin(poll_fn(|context| self.poll_given(context)));
        }
        match &mut self.place {
            Place::Here(source) => source.while_blocked(),
            Place::Asked(_) | Place::Moving => Box::pin(std::future::pending()),
        }
    }

    fn discard(self: Box<Self>) {
        if let Place::Here(source) = self.place {
            source.discard();
        }
    }
}

struct OctetsSource {
    octets: Octets<'static>,
    at: usize,
}

impl ContentSource for OctetsSource {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        let end = self.octets.len().min(self.at + PIECE);
        into.extend_from_slice(&self.octets[self.at..end]);
        self.at = end;
        Box::pin(std::future::ready(Ok(end < self.octets.len())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::rc::Rc;

    use super::*;
    use crate::coding::decoder::tests::{decoded, decoded_so_far};
    use crate::coding::encoders::Encoders;
    use crate::http::negotiation::ContentCoding;
    use crate::runtime::channel;

    const CODINGS: [ContentCoding; 3] = [
        ContentCoding::Gzip,
        ContentCoding::Brotli,
        ContentCoding::Zstd,
    ];

    /// Content in blocks, with a wait for the test before each that is `None`.
    struct InBlocks {
        blocks: VecDeque<Option<&'static str>>,
        go_on: Option<crate::runtime::Receiver<()>>,
        ends: Result<bool, &'static str>,
    }

    impl ContentSource for InBlocks {
        fn next<'s>(
            &'s mut self,
            into: &'s mut Vec<u8>,
        ) -> LocalFuture<'s, Result<bool, BrokenOff>> {
            Box::pin(async move {
                match self.blocks.pop_front() {
                    Some(Some(block)) => into.extend_from_slice(block.as_bytes()),
                    Some(None) => {
                        if let Some(mut go_on) = self.go_on.take() {
                            go_on.receive().await;
                        }
                    }
                    None => return self.ends.map_err(|why| BrokenOff::Maker(why.to_owned())),
                }
                Ok(true)
            })
        }

        fn trailers(&mut self) -> Vec<u8> {
            b"Content-Digest: sha-256=:x:\r\nX-Sum: 1\r\n".to_vec()
        }
    }

    fn source(blocks: &[Option<&'static str>]) -> InBlocks {
        InBlocks {
            blocks: blocks.iter().copied().collect(),
            go_on: None,
            ends: Ok(false),
        }
    }

    /// Compresses what `source` gives. Returns all of it in `coding`, and whether the stream came to its end.
    fn run(
        coding: ContentCoding,
        length: Option<u64>,
        source: InBlocks,
    ) -> (Vec<u8>, Result<(), String>) {
        let length_is_known = length.is_some();
        let running = async move {
            let encoder = Rc::new(Encoders::default())
                .lend(coding)
                .expect("the first");
            let stream = ContentStream::new(length, Box::new(source));
            let (first, length, mut source) = coded(stream, encoder).into_parts();
            assert!(first.is_empty() && length.is_none());
            let mut all = Vec::new();
            loop {
                match source.next(&mut all).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(broken) => return (all, Err(broken.to_string())),
                }
            }
            // Content of a known length has none.
            let trailers: &[u8] = if length_is_known {
                b""
            } else {
                b"X-Sum: 1\r\n"
            };
            assert_eq!(source.trailers(), trailers);
            (all, Ok(()))
        };
        runtime::run(running).expect("a loop")
    }

    #[test]
    fn a_stream_is_decoded_to_what_its_source_gave() {
        for coding in CODINGS {
            for blocks in [
                &[][..],
                &[Some("one ")],
                &[Some("one "), Some(""), Some("two")],
            ] {
                let expected: String = blocks.iter().flatten().copied().collect();
                let (all, ended) = run(coding, None, source(blocks));
                assert_eq!(decoded(coding, &all), Some(expected.into_bytes()));
                assert_eq!(ended, Ok(()));
            }
        }
    }

    #[test]
    fn what_breaks_off_has_no_end() {
        for coding in CODINGS {
            let broken = InBlocks {
                ends: Err("the script died"),
                ..source(&[Some("some")])
            };
            let short = source(&[Some("some")]);
            for (length, source) in [(None, broken), (Some(5), short)] {
                let (all, ended) = run(coding, length, source);
                assert!(
                    ended.is_err() && decoded(coding, &all).is_none(),
                    "{coding:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_longer_than_announced_is_cut_there() {
        for (length, expected) in [(4, "some"), (6, "some m"), (8, "some mor")] {
            let blocks = &[Some("some "), Some("more"), Some("and more")];
            let (all, ended) = run(ContentCoding::Gzip, Some(length), source(blocks));
            let found = decoded(ContentCoding::Gzip, &all);
            assert_eq!(found, Some(expected.as_bytes().to_vec()));
            assert_eq!(ended, Ok(()));
        }
    }

    /// As a script does whose child holds its output open.
    #[test]
    fn a_source_that_has_given_all_it_announced_need_not_end() {
        for coding in CODINGS {
            let (_go_on, waits) = channel();
            let source = InBlocks {
                go_on: Some(waits),
                ..source(&[Some("some"), None])
            };
            let (all, ended) = run(coding, Some(4), source);
            assert_eq!(decoded(coding, &all), Some(b"some".to_vec()));
            assert_eq!(ended, Ok(()));
        }
    }

    #[test]
    fn a_source_that_pauses_has_all_of_it_sent() {
        for coding in CODINGS {
            let running = async move {
                let (go_on, waits) = channel();
                let source = InBlocks {
                    go_on: Some(waits),
                    ..source(&[Some("event 1\n"), None, Some("event 2\n")])
                };
                let encoder = Rc::new(Encoders::default())
                    .lend(coding)
                    .expect("the first");
                let stream = ContentStream::new(None, Box::new(source));
                let (.., mut source) = coded(stream, encoder).into_parts();
                let mut all = Vec::new();
                assert!(matches!(source.next(&mut all).await, Ok(true)));
                assert_eq!(decoded_so_far(coding, &all), b"event 1\n");
                go_on.send(());
                while let Ok(true) = source.next(&mut all).await {}
                assert_eq!(decoded(coding, &all), Some(b"event 1\nevent 2\n".to_vec()));
            };
            runtime::run(running).expect("a loop");
        }
    }

    #[test]
    fn a_long_content_lets_others_go_first() {
        let turns = runtime::run(async move {
            let turns = Rc::new(std::cell::Cell::new(0));
            let counted = Rc::clone(&turns);
            runtime::spawn(async move {
                loop {
                    counted.set(counted.get() + 1);
                    runtime::yield_now().await;
                }
            });
            let encoders = Rc::new(Encoders::default());
            let encoder = encoders.lend(ContentCoding::Zstd).expect("the first");
            let octets = Octets::Owned(vec![b'a'; 10 * SLICE]);
            let (.., mut source) = coded(stream_of(octets), encoder).into_parts();
            let mut all = Vec::new();
            while let Ok(true) = source.next(&mut all).await {}
            let content = decoded(ContentCoding::Zstd, &all).expect("all of it");
            assert_eq!(content.len(), 10 * SLICE);
            turns.get()
        });
        assert!(turns.expect("a loop") >= 9);
    }
}
