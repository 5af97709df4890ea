//! The content of a request, decoded while it is read, under the same limit as any other content.

use std::task::{Context, Poll};

use super::decoder::Decoder;
use crate::message::content::{ContentError, ReadContent};
use crate::runtime;

/// Octets that are decoded at a time. Other connections get their turn after each.
const SLICE: usize = 64 * 1024;

/// The content that `content` is when it is decoded. It counts against `max_content` as such; the
/// connection counts the coded octets against the same limit.
pub(crate) struct DecodedContent<R> {
    content: R,
    decoder: Decoder,
    /// Octets that were read and not decoded.
    coded: Vec<u8>,
    at: usize,
    /// Whether any octet has been read: content without any is in no coding, and decoded to nothing.
    has_begun: bool,
    /// Octets that may still be decoded.
    left: u64,
    output: Vec<u8>,
}

impl<R: ReadContent> DecodedContent<R> {
    /// The content that `decoder` makes of `content`, of at most `max_content` octets.
    pub(crate) fn new(content: R, decoder: Decoder, max_content: u64) -> Self {
        Self {
            content,
            decoder,
            coded: Vec::new(),
            at: 0,
            has_begun: false,
            left: max_content,
            output: vec![0; SLICE],
        }
    }

    /// Reads more octets that are to be decoded. Returns whether there are any.
    async fn read_coded(&mut self) -> Result<bool, ContentError> {
        self.coded.clear();
        self.at = 0;
        let goes_on = self.content.read(&mut self.coded).await?;
        self.has_begun |= !self.coded.is_empty();
        Ok(goes_on || !self.coded.is_empty())
    }
}

impl<R: ReadContent> ReadContent for DecodedContent<R> {
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        loop {
            let input = &self.coded[self.at..];
            let decoded = self.decoder.decode(input, &mut self.output);
            let (read, written) = decoded.map_err(|_| ContentError::NotInCoding)?;
            self.at += read;
            self.left = self
                .left
                .checked_sub(written as u64)
                .ok_or(ContentError::TooLarge)?;
            if written > 0 {
                into.extend_from_slice(&self.output[..written]);
                runtime::yield_now().await;
                return Ok(true);
            }
            if read > 0 {
                continue;
            }
            if self.at < self.coded.len() {
                return Err(ContentError::NotInCoding);
            }
            let goes_on = self.read_coded().await?;
            // A block may be nothing but ends and beginnings of members, which cost time and give no octet.
            runtime::yield_now().await;
            if !goes_on {
                let is_whole = self.decoder.is_complete() || !self.has_begun;
                return if is_whole {
                    Ok(false)
                } else {
                    Err(ContentError::NotInCoding)
                };
            }
        }
    }

    async fn inform(&self, interim: &[u8]) -> Result<(), ContentError> {
        self.content.inform(interim).await
    }

    async fn invite(&self) -> Result<(), ContentError> {
        self.content.invite().await
    }

    fn poll_client_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.content.poll_client_gone(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::encoder::{Effort, encode};
    use crate::http::negotiation::ContentCoding;

    /// Content in pieces of that length.
    struct InPieces(Vec<u8>, usize);

    impl ReadContent for InPieces {
        async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
            let rest = self.0.split_off(self.1.min(self.0.len()));
            into.append(&mut self.0);
            self.0 = rest;
            Ok(!into.is_empty())
        }

        fn poll_client_gone(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    /// What `coded` is read as, in pieces of that length, where that may be at most `max` octets.
    fn read(
        coded: &[u8],
        coding: ContentCoding,
        piece: usize,
        max: u64,
    ) -> Result<Vec<u8>, String> {
        let coded = coded.to_vec();
        let reading = async move {
            let decoder = Decoder::new(coding).expect("a decoder");
            let mut content = DecodedContent::new(InPieces(coded, piece), decoder, max);
            let (mut all, mut block) = (Vec::new(), Vec::new());
            while content
                .read(&mut block)
                .await
                .map_err(|error| error.to_string())?
            {
                assert!(block.len() <= SLICE, "{}", block.len());
                all.append(&mut block);
            }
            Ok(all)
        };
        runtime::run(reading).expect("a loop")
    }

    const CODINGS: [ContentCoding; 3] = [
        ContentCoding::Gzip,
        ContentCoding::Brotli,
        ContentCoding::Zstd,
    ];

    #[test]
    fn reads_what_was_encoded_however_it_comes() {
        let content: Vec<u8> = (0..40_000u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        for coding in CODINGS {
            let coded = encode(&content, coding, Effort::Once).expect("memory");
            for piece in [1, 1000, 1_000_000] {
                let found = read(&coded, coding, piece, 160_000);
                assert!(found.as_ref() == Ok(&content), "{coding:?} {piece}");
            }
            assert_eq!(read(b"", coding, 1, 0), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let content = vec![0; 50_000_000];
        for coding in CODINGS {
            let bomb = encode(&content, coding, Effort::Once).expect("memory");
            assert!(bomb.len() < 100_000, "{coding:?}");
            let refused = read(&bomb, coding, 1_000_000, 1_000_000);
            assert_eq!(
                refused,
                Err(ContentError::TooLarge.to_string()),
                "{coding:?}"
            );
        }
    }

    #[test]
    fn content_without_its_end_is_refused() {
        for coding in CODINGS {
            let coded = encode(b"some text, and more of it", coding, Effort::Once);
            let coded = coded.expect("memory");
            let cut = read(&coded[..coded.len() - 1], coding, 5, 1000);
            assert_eq!(
                cut,
                Err(ContentError::NotInCoding.to_string()),
                "{coding:?}"
            );
        }
    }
}
