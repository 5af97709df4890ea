//! Decompresses content, whichever coding it is in, a bounded number of octets at a time. What a decoder holds
//! is bounded by the window of the coding: 32 KiB of gzip, 16 MiB of Brotli, 8 MiB of zstd.
//!
//! A kilobyte may stand for a megabyte. So the caller says how many octets it has room for, and asks
//! again for the rest.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::http::negotiation::ContentCoding;

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A decoder of one content.
pub(crate) struct Decoder {
    inner: Inner,
    /// Whether what was read is all of the content, as far as the coding tells: another member of gzip or
    /// another frame of zstd may follow.
    is_complete: bool,
}

enum Inner {
    Gzip(Decompress),
    Brotli(Box<Brotli>),
    Zstd(DCtx<'static>),
}

/// The content is not in the coding that it is said to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content is not in the content coding that it is said to be in")]
pub(crate) struct NotInCoding;

impl Decoder {
    /// A decoder for `coding`; `None` for identity, or if there is no memory.
    pub(crate) fn new(coding: ContentCoding) -> Option<Self> {
        let inner = match coding {
            ContentCoding::Identity => return None,
            ContentCoding::Gzip => Inner::Gzip(Decompress::new_gzip(15)),
            ContentCoding::Brotli => {
                let alloc = StandardAlloc::default;
                // Windows of up to 16 MiB, as RFC 7932 has them. The other constructor takes windows of up to
                // 1 GiB, and fills one before it gives anything.
                Inner::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            ContentCoding::Zstd => {
                /// What clients may use at most (RFC 9659 §3): the decoder takes as much memory.
                const WINDOW: u32 = 23;
                let mut context = DCtx::try_create()?;
                let bounded = context.set_parameter(DParameter::WindowLogMax(WINDOW));
                bounded.ok()?;
                Inner::Zstd(context)
            }
        };
        Some(Self {
            inner,
            is_complete: false,
        })
    }

    /// Whether what was decoded is all of the content.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Decodes from `input` at most as many octets as fit into `output`. Returns how many of `input` were
    /// read and how many of `output` were written; if neither is any, more input is needed.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(usize, usize), NotInCoding> {
        if self.is_complete && input.is_empty() {
            return Ok((0, 0));
        }
        match &mut self.inner {
            Inner::Gzip(gzip) => {
                if self.is_complete {
                    *gzip = Decompress::new_gzip(15);
                    self.is_complete = false;
                }
                let (read, written) = (gzip.total_in(), gzip.total_out());
                let status = gzip.decompress(input, output, FlushDecompress::None);
                let read = (gzip.total_in() - read) as usize;
                let written = (gzip.total_out() - written) as usize;
                match status {
                    Ok(Status::StreamEnd) => self.is_complete = true,
                    Ok(Status::Ok | Status::BufError) => {}
                    Err(_) => return Err(NotInCoding),
                }
                Ok((read, written))
            }
            Inner::Brotli(_) if self.is_complete => Err(NotInCoding),
            Inner::Brotli(brotli) => {
                let (mut left, mut read) = (input.len(), 0);
                let (mut room, mut written, mut total) = (output.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut read,
                    input,
                    &mut room,
                    &mut written,
                    output,
                    &mut total,
                    brotli,
                );
                match result {
                    BrotliResult::ResultSuccess => self.is_complete = true,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                    BrotliResult::ResultFailure => return Err(NotInCoding),
                }
                Ok((read, written))
            }
            Inner::Zstd(zstd) => {
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around(output);
                let wanted = zstd.decompress_stream(&mut output, &mut input);
                self.is_complete = wanted.map_err(|_| NotInCoding)? == 0;
                Ok((input.pos(), output.pos()))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::coding::encoder::{Effort, encode};

    /// What can be decoded of `coded`, and whether that is all.
    fn run(
        coding: ContentCoding,
        coded: &[u8],
        room: usize,
    ) -> Result<(Vec<u8>, bool), NotInCoding> {
        let mut decoder = Decoder::new(coding).expect("a decoder");
        let (mut content, mut at, mut output) = (Vec::new(), 0, vec![0; room]);
        loop {
            let (read, written) = decoder.decode(&coded[at..], &mut output)?;
            at += read;
            content.extend_from_slice(&output[..written]);
            if (read, written) == (0, 0) {
                return Ok((content, decoder.is_complete() && at == coded.len()));
            }
        }
    }

    /// What `coded` is decoded to; `None` if its end is missing.
    pub(crate) fn decoded(coding: ContentCoding, coded: &[u8]) -> Option<Vec<u8>> {
        let (content, is_complete) = run(coding, coded, 10_000).ok()?;
        is_complete.then_some(content)
    }

    /// What can be decoded of `coded`, whose end is missing.
    pub(crate) fn decoded_so_far(coding: ContentCoding, coded: &[u8]) -> Vec<u8> {
        run(coding, coded, 10_000).expect("it is in the coding").0
    }

    const CODINGS: [ContentCoding; 3] = [
        ContentCoding::Gzip,
        ContentCoding::Brotli,
        ContentCoding::Zstd,
    ];

    #[test]
    fn decodes_into_little_room_and_misses_a_missing_end() {
        let content: Vec<u8> = (0..30_000u32).flat_map(|n| n.to_le_bytes()).collect();
        for coding in CODINGS {
            let coded = encode(&content, coding, Effort::Once).expect("memory");
            for room in [1, 100, 200_000] {
                let found = run(coding, &coded, room);
                assert!(found == Ok((content.clone(), true)), "{coding:?} {room}");
            }
            let cut = run(coding, &coded[..coded.len() - 1], 1000);
            assert!(cut.is_ok_and(|(_, is_complete)| !is_complete), "{coding:?}");
        }
    }

    #[test]
    fn a_second_member_or_frame_goes_on() {
        let of = |coding, content: &[u8]| encode(content, coding, Effort::Once).expect("memory");
        for coding in [ContentCoding::Gzip, ContentCoding::Zstd] {
            let both = [of(coding, b"one "), of(coding, b"two")].concat();
            assert_eq!(
                decoded(coding, &both),
                Some(b"one two".to_vec()),
                "{coding:?}"
            );
        }
        let behind = [of(ContentCoding::Brotli, b"one"), b"x".to_vec()].concat();
        assert_eq!(run(ContentCoding::Brotli, &behind, 100), Err(NotInCoding));
    }

    #[test]
    fn refuses_what_is_not_in_the_coding() {
        for coding in CODINGS {
            let found = run(coding, b"\x91plainly not compressed, whatever is said", 100);
            assert_eq!(found, Err(NotInCoding), "{coding:?}");
            let mut coded = encode(&[7; 5000], coding, Effort::Once).expect("memory");
            coded.extend_from_slice(b"and more");
            assert_eq!(run(coding, &coded, 100), Err(NotInCoding), "{coding:?}");
        }
    }

    /// Such a window is an extension of Brotli's own tools, and no part of `br`.
    #[test]
    fn refuses_a_brotli_window_of_a_gibibyte() {
        let parameters = brotli::enc::BrotliEncoderParams {
            large_window: true,
            lgwin: 30,
            quality: 1,
            ..Default::default()
        };
        let mut coded = Vec::new();
        let written = brotli::BrotliCompress(&mut &[0; 5000][..], &mut coded, &parameters);
        written.expect("a Vec takes everything");
        let found = run(ContentCoding::Brotli, &coded, 100);
        assert_eq!(found, Err(NotInCoding));
    }
}
