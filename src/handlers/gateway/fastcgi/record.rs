//! Records of FastCGI 1.0, as a server and a responder exchange them.
//!
//! Bytes in, values out; no I/O, no clock. Callers: [`asking`](super::asking),
//! [`receiving`](super::receiving).
//!
//! ```text
//!   0        1        2   3         4   5            6               7
//! ┌────────┬────────┬─────────────┬────────────────┬───────────────┬──────────┬─────────┬─────────┐
//! │version │  type  │ request id  │ content length │ padding length│ reserved │ content │ padding │
//! └────────┴────────┴─────────────┴────────────────┴───────────────┴──────────┴─────────┴─────────┘
//! we:   BEGIN_REQUEST, PARAMS…, PARAMS (empty), STDIN…, STDIN (empty)
//! peer: STDOUT and STDERR in any order, END_REQUEST
//! ```
//!
//! A server that no longer wants a response closes the connection, so there is no ABORT_REQUEST
//! here. A connection carries one request, with the id 1.

/// `FCGI_VERSION_1`
const VERSION: u8 = 1;
const REQUEST_ID: u16 = 1;
const HEADER_LENGTH: usize = 8;

/// The greatest length of a record's content.
const MAX_CONTENT: usize = 65_535;

/// Records are padded to a multiple of this, which the specification recommends (§3.3).
const ALIGNMENT: usize = 8;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

const ROLE_RESPONDER: u8 = 1;

/// Octets of an END_REQUEST: the application's status in four, the protocol's in one, three reserved.
const END_LENGTH: usize = 8;

/// Appends the record that begins a request. Its flags lack `FCGI_KEEP_CONN`: the responder closes the
/// connection when it has answered, and so do we.
pub(super) fn push_begin(out: &mut Vec<u8>) {
    push_record(BEGIN_REQUEST, &[0, ROLE_RESPONDER, 0, 0, 0, 0, 0, 0], out);
}

/// Appends the parameters, and the empty record that ends them.
pub(super) fn push_parameters<'p>(
    parameters: impl IntoIterator<Item = (&'p [u8], &'p [u8])>,
    out: &mut Vec<u8>,
) {
    let mut stream = Vec::with_capacity(2048);
    for (name, value) in parameters {
        push_length(name.len(), &mut stream);
        push_length(value.len(), &mut stream);
        stream.extend_from_slice(name);
        stream.extend_from_slice(value);
    }
    push_stream(PARAMS, &stream, out);
    push_record(PARAMS, &[], out);
}

/// Appends some of the request's content. If `content` is empty, nothing is appended; the end is a
/// call of its own.
pub(super) fn push_content(content: &[u8], out: &mut Vec<u8>) {
    push_stream(STDIN, content, out);
}

/// Appends the end of the request's content.
pub(super) fn push_end_of_content(out: &mut Vec<u8>) {
    push_record(STDIN, &[], out);
}

/// The length of a name or a value (§3.4): one octet up to 127, four with the high bit set past it.
fn push_length(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let long = u32::try_from(length).expect("heads and settings are no gigabytes");
            out.extend_from_slice(&(long | 1 << 31).to_be_bytes());
        }
    }
}

/// Splits `content` over as many records as it needs.
fn push_stream(kind: u8, content: &[u8], out: &mut Vec<u8>) {
    /// The longest that needs no padding.
    const RUN: usize = MAX_CONTENT / ALIGNMENT * ALIGNMENT;
    for run in content.chunks(RUN) {
        push_record(kind, run, out);
    }
}

fn push_record(kind: u8, content: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(content.len()).expect("the callers split what is longer");
    let padding = content.len().next_multiple_of(ALIGNMENT) - content.len();
    let [id_high, id_low] = REQUEST_ID.to_be_bytes();
    let [high, low] = length.to_be_bytes();
    out.extend_from_slice(&[VERSION, kind, id_high, id_low, high, low, padding as u8, 0]);
    out.extend_from_slice(content);
    out.extend_from_slice(&[0; ALIGNMENT][..padding]);
}

/// Why the octets that were received are no responder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("a record of version {0}, which is not FastCGI 1")]
    Version(u8),
    #[error("a record of type {0}, which no responder sends")]
    Kind(u8),
    #[error("a record for request {0}, which was never made")]
    Request(u16),
    #[error("an END_REQUEST of {0} octets, not 8")]
    EndLength(u16),
    #[error("an END_REQUEST with the unknown protocol status {0}")]
    ProtocolStatus(u8),
}

/// How a responder ended a request (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProtocolStatus {
    Complete,
    /// It takes one request at a time, and was sent a second one.
    CannotMultiplex,
    Overloaded,
    UnknownRole,
}

/// The result of taking the next octets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'i> {
    /// All of the input is used.
    NeedMore,
    /// Some of the script's output: its header section and content.
    Output(&'i [u8]),
    /// Some of the script's error stream.
    Messages(&'i [u8]),
    /// The end of the response. Every further step returns it again.
    End {
        /// The script's exit status.
        application: u32,
        protocol: ProtocolStatus,
    },
}

/// Takes the framing of records off the octets of a responder.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    /// The part of a header or of an END_REQUEST that has been read. Both have 8 octets.
    partial: [u8; HEADER_LENGTH],
    filled: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Header,
    Content {
        kind: Stream,
        left: u16,
        padding: u8,
    },
    End {
        padding: u8,
    },
    Padding {
        left: u8,
        /// END_REQUEST.
        is_last: bool,
    },
    Ended,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Output,
    Messages,
}

impl Decoder {
    /// Takes octets off the front of `input` until there is something to return.
    ///
    /// # Errors
    /// Octets that no responder sends. Where the next record begins is then unknowable.
    pub(super) fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, RecordError> {
        loop {
            match self.state {
                State::Header => match self.fill(input) {
                    Some(header) => self.state = State::after(header)?,
                    None => return Ok(Step::NeedMore),
                },
                State::Content {
                    left: 0, padding, ..
                } => {
                    self.state = State::Padding {
                        left: padding,
                        is_last: false,
                    };
                }
                State::Content {
                    kind,
                    left,
                    padding,
                } => {
                    let run = take(input, usize::from(left));
                    let left = left - run.len() as u16;
                    self.state = State::Content {
                        kind,
                        left,
                        padding,
                    };
                    return Ok(match (run, kind) {
                        ([], _) => Step::NeedMore,
                        (run, Stream::Output) => Step::Output(run),
                        (run, Stream::Messages) => Step::Messages(run),
                    });
                }
                State::End { padding } => match self.fill(input) {
                    Some(_) => {
                        self.state = State::Padding {
                            left: padding,
                            is_last: true,
                        }
                    }
                    None => return Ok(Step::NeedMore),
                },
                State::Padding { left: 0, is_last } => {
                    self.state = if is_last { State::Ended } else { State::Header };
                }
                State::Padding { left, is_last } => {
                    let run = take(input, usize::from(left));
                    if run.is_empty() {
                        return Ok(Step::NeedMore);
                    }
                    let left = left - run.len() as u8;
                    self.state = State::Padding { left, is_last };
                }
                State::Ended => return self.end(),
            }
        }
    }

    /// Collects 8 octets; `None` if more are needed.
    fn fill(&mut self, input: &mut &[u8]) -> Option<[u8; HEADER_LENGTH]> {
        let run = take(input, HEADER_LENGTH - self.filled);
        self.partial[self.filled..][..run.len()].copy_from_slice(run);
        self.filled += run.len();
        if self.filled < HEADER_LENGTH {
            return None;
        }
        self.filled = 0;
        Some(self.partial)
    }

    fn end(&self) -> Result<Step<'static>, RecordError> {
        let [a, b, c, d, protocol, ..] = self.partial;
        let protocol = match protocol {
            0 => ProtocolStatus::Complete,
            1 => ProtocolStatus::CannotMultiplex,
            2 => ProtocolStatus::Overloaded,
            3 => ProtocolStatus::UnknownRole,
            other => return Err(RecordError::ProtocolStatus(other)),
        };
        let application = u32::from_be_bytes([a, b, c, d]);
        Ok(Step::End {
            application,
            protocol,
        })
    }
}

impl State {
    /// What follows a record's header.
    fn after(header: [u8; HEADER_LENGTH]) -> Result<Self, RecordError> {
        let [version, kind, id_high, id_low, high, low, padding, _] = header;
        let left = u16::from_be_bytes([high, low]);
        let request = u16::from_be_bytes([id_high, id_low]);
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        if !matches!(kind, STDOUT | STDERR | END_REQUEST) {
            return Err(RecordError::Kind(kind));
        }
        if request != REQUEST_ID {
            return Err(RecordError::Request(request));
        }
        match kind {
            STDOUT => Ok(Self::Content {
                kind: Stream::Output,
                left,
                padding,
            }),
            STDERR => Ok(Self::Content {
                kind: Stream::Messages,
                left,
                padding,
            }),
            _ if usize::from(left) != END_LENGTH => Err(RecordError::EndLength(left)),
            _ => Ok(Self::End { padding }),
        }
    }
}

/// Takes up to `count` octets off the front of `input`.
fn take<'i>(input: &mut &'i [u8], count: usize) -> &'i [u8] {
    let (run, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const END: &[u8] = &[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0];

    /// Output, messages, and the end.
    type Told = (Vec<u8>, Vec<u8>, Option<(u32, ProtocolStatus)>);

    /// All steps over `parts`, with runs joined.
    fn decode(parts: &[&[u8]]) -> Result<Told, RecordError> {
        let mut decoder = Decoder::default();
        let (mut output, mut messages, mut ended) = (Vec::new(), Vec::new(), None);
        for part in parts {
            let mut input = *part;
            loop {
                match decoder.step(&mut input)? {
                    Step::NeedMore => break,
                    Step::Output(run) => output.extend_from_slice(run),
                    Step::Messages(run) => messages.extend_from_slice(run),
                    Step::End {
                        application,
                        protocol,
                    } => {
                        ended = Some((application, protocol));
                        break;
                    }
                }
            }
        }
        Ok((output, messages, ended))
    }

    fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let length = (content.len() as u16).to_be_bytes();
        let header = [1, kind, 0, 1, length[0], length[1], padding, 0];
        [&header[..], content, &vec![0xff; usize::from(padding)]].concat()
    }

    #[test]
    fn a_request_begins_with_its_role() {
        let mut out = Vec::new();
        push_begin(&mut out);
        assert_eq!(out, [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn parameters_have_short_and_long_lengths() {
        let mut out = Vec::new();
        let long = [b'v'; 128];
        push_parameters([(&b"A"[..], &b"bc"[..]), (b"N", &long)], &mut out);
        let mut expected = vec![1, 4, 0, 1, 0, 139, 5, 0, 1, 2];
        expected.extend_from_slice(b"Abc\x01\x80\x00\x00\x80N");
        expected.extend_from_slice(&long);
        expected.extend_from_slice(&[0; 5]);
        expected.extend_from_slice(&[1, 4, 0, 1, 0, 0, 0, 0]);
        assert_eq!(out, expected);
    }

    #[test]
    fn what_is_longer_than_a_record_goes_into_several() {
        let mut out = Vec::new();
        push_content(&vec![b'x'; 65_529], &mut out);
        push_end_of_content(&mut out);
        assert_eq!(out[..8], [1, 5, 0, 1, 0xff, 0xf8, 0, 0]);
        assert_eq!(
            out[8 + 65_528..][..17],
            *b"\x01\x05\0\x01\0\x01\x07\0x\0\0\0\0\0\0\0\x01"
        );
        assert!(out.ends_with(&[1, 5, 0, 1, 0, 0, 0, 0]));
        let mut out = Vec::new();
        push_content(b"", &mut out);
        assert_eq!(out, b"", "an empty record would be the end");
    }

    #[test]
    fn an_answer_is_taken_out_of_its_records() {
        let answer = [
            record(STDOUT, b"Status: 200\r\n", 3),
            record(STDERR, b"notice", 255),
            record(STDOUT, b"", 0),
            record(STDOUT, b"\r\nhello", 0),
            END.to_vec(),
        ]
        .concat();
        let expected = (
            b"Status: 200\r\n\r\nhello".to_vec(),
            b"notice".to_vec(),
            Some((7, ProtocolStatus::Complete)),
        );
        assert_eq!(decode(&[&answer]), Ok(expected));
    }

    #[test]
    fn the_end_waits_for_its_padding() {
        let end = record(END_REQUEST, &[0, 0, 0, 0, 2, 0, 0, 0], 2);
        let whole = decode(&[&end]).expect("records");
        assert_eq!(whole.2, Some((0, ProtocolStatus::Overloaded)));
        let short = decode(&[&end[..end.len() - 1]]).expect("records");
        assert_eq!(short.2, None);
    }

    #[test]
    fn what_no_responder_sends_is_refused() {
        let changed = |at: usize, octet: u8| {
            let mut record = END.to_vec();
            record[at] = octet;
            record
        };
        for (record, error) in [
            (changed(0, b'H'), RecordError::Version(b'H')),
            (changed(1, 1), RecordError::Kind(1)),
            (changed(1, 11), RecordError::Kind(11)),
            (changed(1, 77), RecordError::Kind(77)),
            (changed(3, 0), RecordError::Request(0)),
            (changed(2, 1), RecordError::Request(257)),
            (changed(5, 7), RecordError::EndLength(7)),
            (changed(12, 4), RecordError::ProtocolStatus(4)),
        ] {
            assert_eq!(decode(&[&record]), Err(error));
        }
        for (octet, status) in [
            (1, ProtocolStatus::CannotMultiplex),
            (3, ProtocolStatus::UnknownRole),
        ] {
            let ended = decode(&[&changed(12, octet)]).expect("records").2;
            assert_eq!(ended, Some((7, status)));
        }
    }

    fn any_record() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![Just(STDOUT), Just(STDERR)];
        let content = proptest::collection::vec(any::<u8>(), 0..40);
        (kind, content, 0..20u8)
            .prop_map(|(kind, content, padding)| record(kind, &content, padding))
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same(
            records in proptest::collection::vec(any_record(), 0..6),
            noise in proptest::collection::vec(any::<u8>(), 0..12),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let whole = [records.concat(), noise, END.to_vec()].concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(&parts), decode(&[&whole]));
        }

        #[test]
        fn parameters_read_back(
            parameters in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..200), proptest::collection::vec(any::<u8>(), 0..40_000)),
                0..6,
            )
        ) {
            let mut out = Vec::new();
            push_parameters(parameters.iter().map(|(name, value)| (&name[..], &value[..])), &mut out);
            prop_assert_eq!(read_parameters(&out), parameters);
        }
    }

    /// The parameters that a responder reads from records.
    fn read_parameters(mut records: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut stream = Vec::new();
        while let [_, PARAMS, _, _, high, low, padding, _, rest @ ..] = records {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            assert_eq!((length + usize::from(*padding)) % 8, 0);
            stream.extend_from_slice(&rest[..length]);
            records = &rest[length + usize::from(*padding)..];
        }
        let mut stream = &stream[..];
        let mut read = Vec::new();
        while !stream.is_empty() {
            let name = read_length(&mut stream);
            let value = read_length(&mut stream);
            let name = take(&mut stream, name).to_vec();
            read.push((name, take(&mut stream, value).to_vec()));
        }
        read
    }

    fn read_length(stream: &mut &[u8]) -> usize {
        match take(stream, 1) {
            [short] if *short < 0x80 => usize::from(*short),
            [first] => {
                let rest = take(stream, 3);
                let octets = [first & 0x7f, rest[0], rest[1], rest[2]];
                u32::from_be_bytes(octets) as usize
            }
            _ => panic!("cut off"),
        }
    }
}
