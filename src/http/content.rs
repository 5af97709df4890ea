//! The content of a message, found in the octets of a connection (RFC 9112 §6.3).
//!
//! One decoder for the three ways in which a message says where its content ends:
//!
//! | Delimited by | Content | It ends |
//! |---|---|---|
//! | `Content-Length` | every octet | when so many octets have come |
//! | the chunked transfer coding | what [`chunked`] finds in it | after the last chunk |
//! | the end of the connection (a response without either field) | every octet | at the end of input |
//!
//! Octets in, places of content out: no I/O, no allocation, no copy. The caller reads from the
//! connection, keeps the content under its limit, and tells the decoder when the connection ends.

use super::chunked::{self, ChunkedError};
use super::field_list::FieldList;
use super::framing::Framing;
use super::received_response::ReceivedFraming;

pub(crate) use super::chunked::Step;

/// Finds the content of one message. It keeps its place between calls, so the input may be split
/// anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Decoder(State);

/// What is still to come of the content.
#[derive(Clone, Debug)]
enum State {
    /// This many octets.
    Length(u64),
    /// The rest of a message in the chunked coding.
    Chunked(chunked::Decoder),
    /// All octets up to the end of input.
    Close,
    /// Nothing of a message in the chunked coding; the trailer section of a response, until it is taken.
    End(FieldList),
}

impl State {
    /// Nothing. The next octet belongs to the next message.
    const NOTHING: Self = Self::Length(0);
}

/// The input ended before the content did: the sender broke off. A recipient must not take the content
/// for complete (RFC 9112 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended before the content did")]
pub(crate) struct Truncated;

impl Decoder {
    /// Makes a decoder for content that is delimited as `framing` says.
    pub(crate) fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Empty => State::NOTHING,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(chunked::Decoder::default()),
        })
    }

    /// A decoder for the content of a response that an upstream sends.
    pub(crate) fn of_response(framing: ReceivedFraming) -> Self {
        match framing {
            ReceivedFraming::Empty => Self::new(Framing::Empty),
            ReceivedFraming::Length(length) => Self::new(Framing::Length(length)),
            ReceivedFraming::Chunked => Self(State::Chunked(chunked::Decoder::with_trailers())),
            ReceivedFraming::Close => Self::until_close(),
        }
    }

    /// Makes a decoder for content that goes on until the connection ends (RFC 9112 §6.3 item 8). Only
    /// a response may be delimited in this way.
    pub(crate) fn until_close() -> Self {
        Self(State::Close)
    }

    /// Finds the next run of content in `input`.
    ///
    /// The caller calls again with the octets of `input` that are not used, or with more input. After
    /// [`Step::End`] every call returns `End`.
    ///
    /// # Errors
    /// The first fault in the chunked coding. It is then unknown where the next message starts: a
    /// server answers 400 and closes, a gateway whose upstream sent the message answers 502
    /// (RFC 9112 §11.2).
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, ChunkedError> {
        match &mut self.0 {
            State::Length(0) | State::End(_) => Ok(Step::End { used: 0 }),
            State::Chunked(decoder) => {
                let step = decoder.step(input)?;
                if matches!(step, Step::End { .. }) {
                    self.0 = State::End(decoder.take_trailers());
                }
                Ok(step)
            }
            State::Length(_) | State::Close if input.is_empty() => Ok(Step::NeedMore),
            State::Close => Ok(Step::Content {
                skip: 0,
                len: input.len(),
            }),
            State::Length(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                Ok(Step::Content { skip: 0, len })
            }
        }
    }

    /// Takes note that no more input comes.
    ///
    /// # Errors
    /// The content is not complete.
    pub(crate) fn end_of_input(&mut self) -> Result<(), Truncated> {
        match self.0 {
            State::Length(0) | State::End(_) => Ok(()),
            State::Close => {
                self.0 = State::NOTHING;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => Err(Truncated),
        }
    }

    /// The trailer section of a response that has ended.
    pub(crate) fn take_trailers(&mut self) -> FieldList {
        match &mut self.0 {
            State::End(trailers) => std::mem::take(trailers),
            _ => FieldList::new(),
        }
    }

    /// Whether all of the content has been found.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.0, State::Length(0) | State::End(_))
    }

    /// How many octets of content are still to come, if the message said so beforehand.
    pub(crate) fn length_left(&self) -> Option<u64> {
        match self.0 {
            State::End(_) => Some(0),
            State::Length(left) => Some(left),
            State::Chunked(_) | State::Close => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::received_response::MAX_RECEIVED_HEAD;
    use proptest::prelude::*;

    /// What a decoder finds in the whole of an input.
    #[derive(Debug, PartialEq, Eq)]
    struct Decoded {
        content: Vec<u8>,
        /// Where the content ends in the input; `None` if it has not ended there.
        end: Result<Option<usize>, ChunkedError>,
        /// Whether the content is complete if the connection ends after the input.
        is_complete: bool,
    }

    /// Decodes `input` in pieces that end at `cuts`.
    fn decode(mut decoder: Decoder, input: &[u8], cuts: &[usize]) -> Decoded {
        let (mut content, mut at) = (Vec::new(), 0);
        let mut end = Ok(None);
        'input: for cut in cuts.iter().copied().chain([input.len()]) {
            loop {
                match decoder.step(&input[at..cut]) {
                    Ok(Step::Content { skip, len }) => {
                        assert!(len > 0, "a run of content is not empty");
                        content.extend_from_slice(&input[at + skip..at + skip + len]);
                        at += skip + len;
                    }
                    Ok(Step::NeedMore) => {
                        at = cut;
                        break;
                    }
                    Ok(Step::End { used }) => {
                        end = Ok(Some(at + used));
                        break 'input;
                    }
                    Err(fault) => {
                        end = Err(fault);
                        break 'input;
                    }
                }
            }
        }
        let is_complete = end.is_ok() && decoder.end_of_input().is_ok();
        Decoded {
            content,
            end,
            is_complete,
        }
    }

    fn decoders() -> [Decoder; 5] {
        [
            Decoder::new(Framing::Empty),
            Decoder::new(Framing::Length(1)),
            Decoder::new(Framing::Length(5)),
            Decoder::new(Framing::Chunked),
            Decoder::until_close(),
        ]
    }

    #[test]
    fn finds_content_and_end() {
        let [empty, _, five, chunked, close] = decoders();
        for (decoder, input, content, end, is_complete) in [
            (&empty, "", "", Some(0), true),
            (&empty, "GET /", "", Some(0), true),
            (&five, "", "", None, false),
            (&five, "hell", "hell", None, false),
            (&five, "hello", "hello", Some(5), true),
            (&five, "helloGET /", "hello", Some(5), true),
            (&chunked, "5\r\nhel", "hel", None, false),
            (&chunked, "5\r\nhello\r\n0\r\n", "hello", None, false),
            (&chunked, "5\r\nhello\r\n0\r\n\r\n", "hello", Some(15), true),
            (&chunked, "0\r\n\r\nGET /", "", Some(5), true),
            (&close, "", "", None, true),
            (&close, "hello", "hello", None, true),
        ] {
            let expected = Decoded {
                content: content.into(),
                end: Ok(end),
                is_complete,
            };
            let found = decode(decoder.clone(), input.as_bytes(), &[]);
            assert_eq!(found, expected, "{decoder:?} {input:?}");
        }
    }

    #[test]
    fn a_length_of_zero_is_no_content() {
        assert!(Decoder::new(Framing::Length(0)).is_ended());
    }

    /// A trailer section of 9 kB, where a head may have 128 KiB, broke off the response that it ended.
    #[test]
    fn trailers_of_a_response_may_be_as_long_as_its_head() {
        let input = |length: usize| format!("0\r\nX:{}\r\n\r\n", "x".repeat(length - 4));
        let of_response = Decoder::of_response(ReceivedFraming::Chunked);
        for (decoder, length, is_taken) in [
            (&of_response, MAX_RECEIVED_HEAD, true),
            (&of_response, MAX_RECEIVED_HEAD + 1, false),
            (&Decoder::new(Framing::Chunked), 9000, false),
        ] {
            let found = decode(decoder.clone(), input(length).as_bytes(), &[]);
            assert_eq!(found.is_complete, is_taken, "{length}");
        }
    }

    #[test]
    fn passes_the_faults_of_chunks_on() {
        let found = decode(Decoder::new(Framing::Chunked), b"2\r\nhi!", &[]);
        assert_eq!(found.content, b"hi");
        assert_eq!(found.end, Err(ChunkedError::ChunkTooLong));
    }

    #[test]
    fn tells_what_is_left() {
        let mut decoder = Decoder::new(Framing::Length(u64::MAX));
        let step = decoder.step(b"hello").expect("no fault is possible");
        assert_eq!(step, Step::Content { skip: 0, len: 5 });
        assert_eq!(decoder.length_left(), Some(u64::MAX - 5));
        assert_eq!(Decoder::new(Framing::Empty).length_left(), Some(0));
        assert_eq!(Decoder::new(Framing::Chunked).length_left(), None);
        assert_eq!(Decoder::until_close().length_left(), None);
    }

    #[test]
    fn the_end_is_the_end() {
        let inputs = ["", "h", "hello", "0\r\n\r\n", "hello"];
        for (mut decoder, input) in decoders().into_iter().zip(inputs) {
            decoder.step(input.as_bytes()).expect("no input is faulty");
            assert_eq!(decoder.end_of_input(), Ok(()), "{decoder:?}");
            assert!(decoder.is_ended());
            assert_eq!(decoder.step(b"more"), Ok(Step::End { used: 0 }));
            assert_eq!(decoder.step(b""), Ok(Step::End { used: 0 }));
        }
    }

    proptest! {
        /// Every piece boundary, and any set of them, gives what the whole gives.
        #[test]
        fn every_split_gives_the_same_answer(
            input in "(5\r\nhello\r\n|[0-3]\r\n|2\r\nhi\r\n|0\r\n\r\n|[a-z\r\n]{0,3}){0,6}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let input = input.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
            cuts.sort_unstable();
            let every: Vec<_> = (0..input.len()).collect();
            for decoder in decoders() {
                let whole = decode(decoder.clone(), input, &[]);
                prop_assert_eq!(&decode(decoder.clone(), input, &cuts), &whole);
                prop_assert_eq!(&decode(decoder.clone(), input, &every), &whole);
                for cut in 0..input.len() {
                    prop_assert_eq!(&decode(decoder.clone(), input, &[cut]), &whole);
                }
            }
        }
    }
}
