//! Compresses content, whichever coding it is for: octets go in, octets of the coding come out.
//!
//! ```text
//! write … write, flush   all octets that went in can be decoded from those that came out
//!       … finish         the end of the coding: without it a recipient knows that content is missing
//! restart                as new, for the next content
//! ```

use std::io::Write as _;

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use crate::http::negotiation::ContentCoding;

/// Octets by which the output is made larger at a time.
const STEP: usize = 16 * 1024;

/// An encoder for one of the codings.
pub(crate) enum Encoder {
    Gzip(Compress),
    /// Boxed, because the others are pointers. `None` once it has finished: it cannot be restarted.
    Brotli(Option<Box<CompressorWriter<Vec<u8>>>>),
    Zstd(CCtx<'static>),
}

/// For whom content is compressed, which decides how much time it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For one client, while it waits.
    Once,
    /// For every client that asks for the same content, of so many octets.
    Kept(u64),
}

/// Why an encoder does not go on: it has no memory.
#[derive(Debug, thiserror::Error)]
#[error("the content could not be compressed: {0}")]
pub(crate) struct EncoderError(String);

/// The levels and windows. `benches/compare --only compression` measures what they cost.
///
/// Brotli for one client is an exception among codings: the encoder (brotli 9.1.1, `StoreRangeOptBatch` and its
/// like) notes places in its ring, of twice the window, in place of places in the content. From the second round
/// on it takes what it has seen for too far away. Up to 256 KiB, twice the window, it makes 2 to 11 % less octets
/// of HTML than gzip, in as much time; of pages of 700 KiB to 2 MiB 5 to 15 % more. A level of 5 is worse there,
/// for it looks for more of what it has lost (55 % more than gzip); a window of 1 MiB is better, and takes 8 MiB
/// of memory. So longer content is not sent in Brotli where the client takes gzip as well:
/// [`Compression::MAX_BROTLI`](crate::http::compression::Compression::MAX_BROTLI). Content that is kept is no
/// longer than its window.
impl Effort {
    fn gzip_level(self) -> Compression {
        match self {
            Self::Once => Compression::new(6),
            Self::Kept(_) => Compression::new(9),
        }
    }

    fn zstd_level(self) -> i32 {
        match self {
            Self::Once => 3,
            Self::Kept(_) => 12,
        }
    }

    fn brotli_level(self) -> i32 {
        match self {
            Self::Once => 4,
            Self::Kept(_) => 9,
        }
    }

    /// The window as a power of two. A client needs as much memory to decode, and an encoder several
    /// times as much. Browsers decode up to 2^23 octets (RFC 9659 §3).
    fn window(self) -> u32 {
        /// As much as a page and its like have; [`Encoder::memory`] depends on it.
        const ONCE: u32 = 17;
        /// Larger content is not kept.
        const MOST: u32 = 23;
        match self {
            Self::Once => ONCE,
            Self::Kept(length) => {
                let needed = u64::BITS - length.saturating_sub(1).leading_zeros();
                needed.clamp(ONCE, MOST)
            }
        }
    }
}

impl Encoder {
    /// An encoder for `coding`; `None` for identity, or if there is no memory.
    pub(crate) fn new(coding: ContentCoding, effort: Effort) -> Option<Self> {
        Some(match coding {
            ContentCoding::Identity => return None,
            ContentCoding::Gzip => {
                const WINDOW: u8 = 15;
                Self::Gzip(Compress::new_gzip(effort.gzip_level(), WINDOW))
            }
            ContentCoding::Brotli => Self::Brotli(Some(Box::new(brotli(effort)))),
            ContentCoding::Zstd => {
                let mut context = CCtx::try_create()?;
                for parameter in [
                    CParameter::CompressionLevel(effort.zstd_level()),
                    CParameter::WindowLog(effort.window()),
                ] {
                    context.set_parameter(parameter).ok()?;
                }
                Self::Zstd(context)
            }
        })
    }

    /// About how much memory an encoder for `coding` takes that works for one client, in octets.
    pub(crate) fn memory(coding: ContentCoding) -> usize {
        const KIB: usize = 1024;
        match coding {
            ContentCoding::Identity => 0,
            ContentCoding::Gzip => 320 * KIB,
            // For content of 2 MiB; it grows with what is found to be alike in 256 KiB.
            ContentCoding::Brotli => 3328 * KIB,
            ContentCoding::Zstd => 1792 * KIB,
        }
    }

    /// Compresses `input`. What comes of it is appended to `into`, now or with a later call.
    pub(crate) fn write(&mut self, input: &[u8], into: &mut Vec<u8>) -> Result<(), EncoderError> {
        match self {
            Self::Gzip(gzip) => run_gzip(gzip, input, FlushCompress::None, into),
            Self::Brotli(brotli) => {
                let brotli = brotli.as_mut().ok_or_else(is_finished)?;
                brotli.write_all(input).map_err(refused)?;
                into.append(brotli.get_mut());
                Ok(())
            }
            Self::Zstd(zstd) => run_zstd(zstd, input, ZSTD_EndDirective::ZSTD_e_continue, into),
        }
    }

    /// Appends to `into` whatever is needed to decode all that was written.
    pub(crate) fn flush(&mut self, into: &mut Vec<u8>) -> Result<(), EncoderError> {
        match self {
            Self::Gzip(gzip) => run_gzip(gzip, b"", FlushCompress::Sync, into),
            Self::Brotli(brotli) => {
                let brotli = brotli.as_mut().ok_or_else(is_finished)?;
                brotli.flush().map_err(refused)?;
                into.append(brotli.get_mut());
                Ok(())
            }
            Self::Zstd(zstd) => run_zstd(zstd, b"", ZSTD_EndDirective::ZSTD_e_flush, into),
        }
    }

    /// Appends the rest to `into`, and the end of the coding.
    pub(crate) fn finish(&mut self, into: &mut Vec<u8>) -> Result<(), EncoderError> {
        match self {
            Self::Gzip(gzip) => run_gzip(gzip, b"", FlushCompress::Finish, into),
            Self::Brotli(brotli) => {
                let brotli = brotli.take().ok_or_else(is_finished)?;
                into.append(&mut brotli.into_inner());
                Ok(())
            }
            Self::Zstd(zstd) => run_zstd(zstd, b"", ZSTD_EndDirective::ZSTD_e_end, into),
        }
    }

    /// Makes it fit for other content. Returns whether it is.
    pub(crate) fn restart(&mut self) -> bool {
        match self {
            Self::Gzip(gzip) => {
                gzip.reset();
                true
            }
            Self::Brotli(_) => false,
            Self::Zstd(zstd) => zstd.reset(ResetDirective::SessionOnly).is_ok(),
        }
    }
}

/// `content` in `coding`.
///
/// # Errors
/// There is no memory, or the coding is identity.
pub(crate) fn encode(
    content: &[u8],
    coding: ContentCoding,
    effort: Effort,
) -> Result<Vec<u8>, EncoderError> {
    let encoder = Encoder::new(coding, effort);
    let mut encoder = encoder.ok_or_else(|| EncoderError("there is no encoder".to_owned()))?;
    let mut coded = Vec::with_capacity(content.len() / 4);
    encoder.write(content, &mut coded)?;
    encoder.finish(&mut coded)?;
    Ok(coded)
}

fn brotli(effort: Effort) -> CompressorWriter<Vec<u8>> {
    let parameters = BrotliEncoderParams {
        quality: effort.brotli_level(),
        lgwin: effort.window() as i32,
        size_hint: match effort {
            Effort::Once => 0,
            Effort::Kept(length) => usize::try_from(length).unwrap_or_default(),
        },
        ..BrotliEncoderParams::default()
    };
    CompressorWriter::with_params(Vec::new(), STEP, &parameters)
}

/// Gives `input` to `gzip` and takes what it has, until it has nothing more.
fn run_gzip(
    gzip: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    into: &mut Vec<u8>,
) -> Result<(), EncoderError> {
    loop {
        into.reserve(STEP);
        let (read, room) = (gzip.total_in(), into.capacity() - into.len());
        let length = into.len();
        let status = gzip.compress_vec(input, into, flush).map_err(refused)?;
        input = &input[(gzip.total_in() - read) as usize..];
        let is_full = into.len() - length == room;
        match flush {
            FlushCompress::Finish if status == Status::StreamEnd => return Ok(()),
            FlushCompress::Finish => {}
            // An output that is not filled holds all that there was.
            _ if input.is_empty() && !is_full => return Ok(()),
            _ => {}
        }
    }
}

/// Gives `input` to `zstd` and takes what it has, until it has nothing more.
fn run_zstd(
    zstd: &mut CCtx<'static>,
    input: &[u8],
    directive: ZSTD_EndDirective,
    into: &mut Vec<u8>,
) -> Result<(), EncoderError> {
    let mut input = InBuffer::around(input);
    loop {
        into.reserve(STEP);
        let length = into.len();
        let mut output = OutBuffer::around_pos(into, length);
        let left = zstd.compress_stream2(&mut output, &mut input, directive);
        let left = left.map_err(|code| EncoderError(zstd_safe::get_error_name(code).to_owned()))?;
        let is_done = match directive {
            ZSTD_EndDirective::ZSTD_e_continue => input.pos() == input.src.len(),
            _ => left == 0,
        };
        if is_done {
            return Ok(());
        }
    }
}

fn refused(error: impl std::fmt::Display) -> EncoderError {
    EncoderError(error.to_string())
}

fn is_finished() -> EncoderError {
    EncoderError("the encoder has finished".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::decoder::tests::decoded;

    pub(crate) const CODINGS: [ContentCoding; 3] = [
        ContentCoding::Gzip,
        ContentCoding::Brotli,
        ContentCoding::Zstd,
    ];

    /// Text that can be compressed, of that length.
    fn text(length: usize) -> Vec<u8> {
        let lines = (0..).flat_map(|number: u32| {
            let item = number.wrapping_mul(2_654_435_761) >> 20;
            format!("<li class=\"item\">the item {item}</li>\n").into_bytes()
        });
        lines.take(length).collect()
    }

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        for coding in CODINGS {
            for length in [0, 1, 100, 20_000, 300_000] {
                let content = text(length);
                for effort in [Effort::Once, Effort::Kept(length as u64)] {
                    let coded = encode(&content, coding, effort).expect("there is memory");
                    assert!(
                        decoded(coding, &coded) == Some(content.clone()),
                        "{coding:?} {length}"
                    );
                    assert!(length < 1000 || coded.len() < length / 2, "{coding:?}");
                }
            }
        }
    }

    #[test]
    fn a_flush_gives_all_that_was_written() {
        for coding in CODINGS {
            let mut encoder = Encoder::new(coding, Effort::Once).expect("an encoder");
            let mut coded = Vec::new();
            for number in 1..=3 {
                encoder.write(&text(1000), &mut coded).expect("memory");
                encoder.flush(&mut coded).expect("memory");
                let so_far = crate::coding::decoder::tests::decoded_so_far(coding, &coded);
                assert_eq!(so_far.len(), number * 1000, "{coding:?}");
                assert_eq!(decoded(coding, &coded), None, "{coding:?} has no end");
            }
        }
    }

    #[test]
    fn an_encoder_that_is_restarted_midway_begins_anew() {
        for coding in CODINGS {
            let mut encoder = Encoder::new(coding, Effort::Once).expect("an encoder");
            let mut coded = Vec::new();
            encoder.write(&text(50_000), &mut coded).expect("memory");
            if !encoder.restart() {
                assert_eq!(coding, ContentCoding::Brotli);
                continue;
            }
            coded.clear();
            encoder.write(&text(3000), &mut coded).expect("memory");
            encoder.finish(&mut coded).expect("memory");
            assert!(decoded(coding, &coded) == Some(text(3000)), "{coding:?}");
        }
    }

    #[test]
    fn an_encoder_of_zstd_takes_no_more_memory_than_it_is_counted_for() {
        let encoder = Encoder::new(ContentCoding::Zstd, Effort::Once);
        let Some(Encoder::Zstd(mut zstd)) = encoder else {
            unreachable!("it is one of zstd")
        };
        let content = text(1_000_000);
        let directive = ZSTD_EndDirective::ZSTD_e_continue;
        run_zstd(&mut zstd, &content, directive, &mut Vec::new()).expect("memory");
        let used = zstd.sizeof();
        assert!(used <= Encoder::memory(ContentCoding::Zstd), "{used}");
    }
}
