//! For the integration tests of debug builds alone: requests that make the server panic or wait.
//!
//! With `TIDEGATE_TEST_HOOKS=panic` in the environment, `/.tidegate-test/panic-exchange` panics while it is
//! answered, `/.tidegate-test/panic-connection` outside of any handler, and
//! `/.tidegate-test/panic-worker` ends the loop it is answered on. With `TIDEGATE_TEST_HOOKS=block`,
//! `/.tidegate-test/block-worker` makes the worker wait for the other end of the FIFO `fifo` beside the
//! directory of the control socket.

use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::runtime;

/// Panics in an exchange, or on the worker, if `path` asks for it and the environment lets it.
pub(super) fn run_hook(path: &[u8]) {
    match hook(path) {
        Some(b"panic-exchange") => panic!("a test asked for a panic in an exchange"),
        Some(b"panic-worker") => {
            runtime::spawn(async { panic!("a test asked for a panic of the worker") });
        }
        Some(b"block-worker") => {
            let directory = std::env::var_os("TIDEGATE_RUNTIME_DIR").map(PathBuf::from);
            let fifo = directory.map(|directory| directory.with_file_name("fifo"));
            let _ = std::fs::read(fifo.unwrap_or_default());
        }
        _ => {}
    }
}

/// Panics outside of a handler, if `path` asks for it and the environment lets it.
pub(super) fn run_hook_outside_of_handlers(path: &[u8]) {
    if hook(path) == Some(b"panic-connection") {
        panic!("a test asked for a panic of a connection");
    }
}

/// The hook that `path` names, if it is of the kind that the environment enables.
fn hook(path: &[u8]) -> Option<&[u8]> {
    static ENABLED: OnceLock<Vec<u8>> = OnceLock::new();
    let hook = path.strip_prefix(b"/.tidegate-test/")?;
    let enabled = ENABLED.get_or_init(|| {
        let kind = std::env::var_os("TIDEGATE_TEST_HOOKS");
        kind.unwrap_or_default().into_vec()
    });
    let kind = hook.split(|octet| *octet == b'-').next()?;
    (kind == enabled).then_some(hook)
}
