//! Content codings (RFC 9110 §8.4.1): gzip, Brotli and Zstandard, of content on its way out and in.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | one coder, whichever coding it is for | [`encoder`], [`decoder`] |
//! | how many encoders a worker has at once | [`encoders`] |
//! | content of a response that is coded while it is sent | [`coded_stream`] |
//! | content of a request that is decoded while it is read | [`decoded_content`] |
//!
//! Which responses are coded is not decided here, but by [`http::compression`](crate::http::compression).

pub(crate) mod coded_stream;
pub(crate) mod decoded_content;
pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod encoders;
