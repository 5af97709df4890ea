//! For the integration tests of debug builds alone: requests that make the server panic.
//!
//! With `TIDEGATE_TEST_HOOKS` in the environment, `/.tidegate-test/panic-exchange` panics while it is
//! answered, and `/.tidegate-test/panic-worker` ends the loop it is answered on.

use std::sync::OnceLock;

use crate::runtime;

/// Panics if `path` asks for it and the environment lets it.
pub(super) fn obey(path: &[u8]) {
    static ENABLED: OnceLock<bool> = OnceLock::new();
    let Some(hook) = path.strip_prefix(b"/.tidegate-test/") else {
        return;
    };
    if !*ENABLED.get_or_init(|| std::env::var_os("TIDEGATE_TEST_HOOKS").is_some()) {
        return;
    }
    match hook {
        b"panic-exchange" => panic!("a test asked for a panic in an exchange"),
        b"panic-worker" => {
            runtime::spawn(async { panic!("a test asked for a panic of the worker") })
        }
        _ => {}
    }
}
