//! The files of `error_pages`, read when the configuration is prepared.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::read_whole;
use crate::http::media_type;
use crate::http::response::FieldLines;
use crate::log::diagnostic;

/// The content of an error answer, and the fields that describe it.
#[derive(Debug)]
pub(super) struct ErrorPage {
    pub(super) fields: FieldLines,
    pub(super) content: Vec<u8>,
}

/// Reads error pages: each file once, however many servers and routes name it.
#[derive(Default)]
pub(super) struct PageFiles(HashMap<PathBuf, Option<Arc<ErrorPage>>>);

impl PageFiles {
    /// The page at `path`; `None`, with a warning, if it cannot be read. It could be when the
    /// configuration was checked: a page that has gone since costs its own answer, not the reload.
    pub(super) fn read(&mut self, path: &Path) -> Option<Arc<ErrorPage>> {
        if let Some(known) = self.0.get(path) {
            return known.clone();
        }
        let page = ErrorPage::read(path).map(Arc::new);
        self.0.insert(path.to_owned(), page.clone());
        page
    }
}

impl ErrorPage {
    fn read(path: &Path) -> Option<Self> {
        let content = match read_whole(path) {
            Ok(content) => content,
            Err(error) => {
                let path = path.display();
                diagnostic::warn(format_args!(
                    "cannot read the error page {path}: {error}; the built-in one takes its place"
                ));
                return None;
            }
        };
        let media_type = media_type::for_path(path.as_os_str().as_encoded_bytes());
        let fields = FieldLines::new()
            .with("Content-Type", media_type.as_ref())
            .with("X-Content-Type-Options", "nosniff");
        Some(Self { fields, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn a_page_is_read_once() {
        let directory = TemporaryDirectory::new("error-pages");
        directory.write("404.html", b"gone");
        let path = directory.path().join("404.html");
        let mut files = PageFiles::default();
        let first = files.read(&path).expect("it is there");
        assert_eq!(first.content, b"gone");
        directory.write("404.html", b"other");
        let second = files.read(&path).expect("it was read");
        assert!(Arc::ptr_eq(&first, &second));
        assert!(files.read(Path::new("no such page")).is_none());
    }
}
