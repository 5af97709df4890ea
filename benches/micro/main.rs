//! What the single steps of a request cost, each by itself.
//!
//! ```sh
//! cargo bench --features bench-internals --bench micro
//! ```
//!
//! A whole request is measured by `benches/compare`; these tell where its time may have gone.

mod chunked;
mod head;
mod routing;
mod runtime;

fn main() {
    divan::main();
}
