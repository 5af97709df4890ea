//! What the unit tests of several rooms need.

pub(crate) mod slow_peer;
pub(crate) mod unwatched;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space};

/// Calls `use_it` with the head of a GET for `/` with these further `lines`, each with its CRLF.
pub(crate) fn with_head<T>(lines: &str, use_it: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let mut space = field_space();
    let limits = HeadLimits {
        max_bytes: 8192,
        max_fields: 20,
    };
    match RequestHead::parse(text.as_bytes(), &mut space, limits) {
        Ok(Parsed::Complete(head, _)) => use_it(&head),
        _ => panic!("{text:?} is no head"),
    }
}

/// A directory of its own for a test, removed when dropped.
pub(crate) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Makes it. `name` becomes part of its name and tells which test has left it behind, if one has.
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tidegate-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory takes another");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and makes the directories above it.
    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().expect("beneath the directory"))
            .expect("can be made");
        std::fs::write(path, content).expect("can be written");
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
