//! What `fuzz/` calls: for each parser that sees octets from outside, a function that takes any octets
//! and panics if the parser breaks its word.
//!
//! It is part of the library only with the feature `fuzz-internals`, and of the tests, which hold every
//! seed of `fuzz/seeds/` to the same functions; other programs must not use it. A function states what
//! holds for *every* input: that the result does not depend on where the input is cut, that what was
//! accepted can be written and read again, that no sum overflows.

mod coding;
mod config;
mod connection;
mod content;
mod cuts;
mod gateway;
mod proxy_protocol;
mod request;
mod responses;
mod semantics;
mod upstream;
mod upstream_connection;

pub use coding::decoding;
pub use config::configuration;
pub use connection::connection;
pub use content::content;
pub use gateway::{fastcgi_records, script_response};
pub use proxy_protocol::proxy_protocol;
pub use request::{forwarded, head, host, target};
pub use semantics::{conditions, multipart, negotiation, ranges, trace_context};
pub use upstream::response_head;
pub use upstream_connection::upstream_connection;

/// A function that panics if octets make a parser break its word.
type Property = fn(&[u8]);

/// Every function, by the name of its target in `fuzz/fuzz_targets/` and of its seeds in
/// `fuzz/seeds/`.
pub const TARGETS: &[(&str, Property)] = &[
    ("conditions", conditions),
    ("configuration", configuration),
    ("connection", connection),
    ("content", content),
    ("decoding", decoding),
    ("fastcgi_records", fastcgi_records),
    ("forwarded", forwarded),
    ("head", head),
    ("host", host),
    ("multipart", multipart),
    ("negotiation", negotiation),
    ("proxy_protocol", proxy_protocol),
    ("ranges", ranges),
    ("response_head", response_head),
    ("script_response", script_response),
    ("target", target),
    ("trace_context", trace_context),
    ("upstream_connection", upstream_connection),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::PathBuf;

    use super::TARGETS;

    fn names_in(folder: &str) -> BTreeSet<String> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = fs::read_dir(folder).expect("the repository has it");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("a plain name"));
        names
            .map(|name| name.trim_end_matches(".rs").to_owned())
            .collect()
    }

    #[test]
    fn every_function_has_a_target_and_seeds() {
        let functions: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names_in("fuzz/fuzz_targets"), functions);
        assert_eq!(names_in("fuzz/seeds"), functions);
    }

    /// Also what the fuzzers found: an input that once failed stays among the seeds.
    #[test]
    fn every_seed_holds() {
        for (name, function) in TARGETS {
            let folder = format!("{}/fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
            let mut held = 0;
            for entry in fs::read_dir(&folder).expect("every function has seeds") {
                let path = entry.expect("an entry").path();
                let seed = fs::read(&path).expect("a file");
                let outcome = catch_unwind(|| function(&seed));
                assert!(outcome.is_ok(), "{} breaks a promise", path.display());
                held += 1;
            }
            assert!(held > 0, "{folder} is empty");
        }
    }
}
