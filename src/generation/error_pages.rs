//! The files of `error_pages`: read when the configuration is prepared, and again when they have
//! changed.
//!
//! A page is one file, however many servers and routes name it, and it outlives a reload. Pages with the
//! same content are one in memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use crate::disk::identity::Identity;
use crate::disk::read_file;
use crate::http::media_type;
use crate::http::response::FieldLines;
use crate::log::diagnostic;

/// How long a page is believed to be as it was read.
const BELIEVED: Duration = Duration::from_secs(1);

/// The most octets of a page.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// A page, and the state of its file when it was read.
#[derive(Debug)]
pub(super) struct ErrorPage {
    path: PathBuf,
    /// The fields that describe the content.
    pub(super) fields: FieldLines,
    read: RwLock<Read>,
    /// When the file was looked at, in milliseconds since [`START`].
    looked: AtomicU64,
}

#[derive(Debug, Default)]
struct Read {
    identity: Option<Identity>,
    /// `None` if it could not be read yet.
    content: Option<Arc<[u8]>>,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl ErrorPage {
    /// The page at `path`, read; a warning is logged if it cannot be. It could be when the
    /// configuration was checked: a page that has gone since costs its own answer, not the reload.
    pub(super) fn new(path: &Path) -> Self {
        let media_type = media_type::for_path(path.as_os_str().as_encoded_bytes());
        let page = Self {
            path: path.to_owned(),
            fields: FieldLines::new()
                .with("Content-Type", media_type.as_ref())
                .with("X-Content-Type-Options", "nosniff"),
            read: RwLock::default(),
            looked: AtomicU64::new(milliseconds()),
        };
        page.look_again();
        page
    }

    /// The content as the file has it, or had it a moment ago; `None` if it could not be read.
    pub(super) fn content(&self) -> Option<Arc<[u8]>> {
        let (now, looked) = (milliseconds(), self.looked.load(Ordering::Relaxed));
        let is_old = Duration::from_millis(now.saturating_sub(looked)) >= BELIEVED;
        let claim = || {
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            self.looked.compare_exchange(looked, now, success, failure)
        };
        // One worker looks; the others go on with what there is.
        if is_old && claim().is_ok() {
            self.refresh();
        }
        self.last_read()
    }

    /// The content as it was read last.
    pub(super) fn last_read(&self) -> Option<Arc<[u8]>> {
        self.with_read(|read| read.content.clone())
    }

    /// Reads the file if it is not as it was. What cannot be read any more stays as it is.
    pub(super) fn look_again(&self) {
        if let Err(error) = self.read_if_changed() {
            let path = self.path.display();
            let instead = if self.with_read(|read| read.content.is_some()) {
                "it is sent as it was"
            } else {
                "the built-in one takes its place"
            };
            diagnostic::warn(format_args!(
                "cannot read the error page {path}: {error}; {instead}"
            ));
        }
    }

    /// As [`look_again`](Self::look_again), without a word: it was said when the configuration was
    /// read, and a page that is missing would be told every second.
    fn refresh(&self) {
        let _ = self.read_if_changed();
    }

    /// Reads the file if it is not as it was.
    fn read_if_changed(&self) -> io::Result<()> {
        let identity = Some(Identity::at(&self.path)?);
        if self.with_read(|read| read.identity == identity) {
            return Ok(());
        }
        let content = Some(interned(read_file(&self.path, MAX_SIZE)?));
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        *read = Read { identity, content };
        Ok(())
    }

    fn with_read<T>(&self, use_it: impl FnOnce(&Read) -> T) -> T {
        use_it(&self.read.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn milliseconds() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Returns `content`, or what holds the same octets already.
fn interned(content: Vec<u8>) -> Arc<[u8]> {
    static CONTENTS: LazyLock<Mutex<HashMap<u64, Weak<[u8]>>>> = LazyLock::new(Mutex::default);
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let mut contents = CONTENTS.lock().unwrap_or_else(PoisonError::into_inner);
    contents.retain(|_, known| known.strong_count() > 0);
    let known = contents.get(&hasher.finish()).and_then(Weak::upgrade);
    match known.filter(|known| **known == *content) {
        Some(known) => known,
        None => {
            let content: Arc<[u8]> = content.into();
            contents.insert(hasher.finish(), Arc::downgrade(&content));
            content
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn content(page: &ErrorPage) -> Option<Vec<u8>> {
        page.content().map(|content| content.to_vec())
    }

    /// A page that was edited was sent as it had been, until a reload, which said that nothing had
    /// changed.
    #[test]
    fn an_edited_page_is_read_again() {
        let directory = TemporaryDirectory::new("error-pages");
        directory.write("404.html", b"old");
        let page = ErrorPage::new(&directory.path().join("404.html"));
        assert_eq!(content(&page).as_deref(), Some(&b"old"[..]));
        directory.write("404.html", b"longer");
        page.look_again();
        assert_eq!(content(&page).as_deref(), Some(&b"longer"[..]));
        std::fs::remove_file(directory.path().join("404.html")).expect("it is ours");
        page.look_again();
        assert_eq!(content(&page).as_deref(), Some(&b"longer"[..]), "it stays");
    }

    #[test]
    fn a_page_that_comes_later_is_read_then() {
        let directory = TemporaryDirectory::new("late-page");
        let page = ErrorPage::new(&directory.path().join("404.html"));
        assert_eq!(content(&page), None);
        directory.write("404.html", b"late");
        page.look_again();
        assert_eq!(content(&page).as_deref(), Some(&b"late"[..]));
    }

    #[test]
    fn pages_of_the_same_content_are_one_in_memory() {
        let directory = TemporaryDirectory::new("same-pages");
        for name in ["a.html", "b.html", "c.html"] {
            directory.write(
                name,
                if name == "c.html" {
                    b"different"
                } else {
                    b"the same."
                },
            );
        }
        let page = |name| ErrorPage::new(&directory.path().join(name)).content();
        let [a, b, c] = ["a.html", "b.html", "c.html"]
            .map(page)
            .map(|page| page.expect("a file"));
        assert!(Arc::ptr_eq(&a, &b) && !Arc::ptr_eq(&a, &c));
    }
}
