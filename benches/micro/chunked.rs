//! The chunked coding of a megabyte, in chunks of several sizes.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use tidegate::bench::decode_chunked;

const CONTENT: usize = 1024 * 1024;

#[divan::bench(args = [16, 1024, 65_536])]
fn decode(bencher: Bencher<'_, '_>, chunk: usize) {
    let mut message = Vec::new();
    for _ in 0..CONTENT / chunk {
        message.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
        message.resize(message.len() + chunk, b'x');
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(decode_chunked(&message), Some(CONTENT), "a good message");
    bencher
        .counter(BytesCount::of_slice(&message))
        .bench_local(|| decode_chunked(black_box(&message)));
}
