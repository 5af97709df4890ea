//! The listing of a directory: takes entries, gives content, a block at a time.
//!
//! No file, no clock. The caller reads the directory (and leaves out what serving refuses), picks
//! the format by `Accept` and sends the blocks. So a directory of a million entries takes memory
//! for its entries, never for its page. No value of an entry can fail the page.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | what a query asks for, and which names `?filter=TEXT` shows | [`view`] |
//! | which row comes first, and `?sort=size&order=desc` | [`sort`] |
//! | the three forms | [`html`] with `listing.css` and `listing.js`, [`json`], [`text`] |
//! | how a name, a size and a time are shown | [`display`] |

mod display;
mod entry;
mod html;
mod json;
mod page;
mod readme;
mod sort;
mod text;
mod view;

use std::{io, vec};

use crate::config::model::ArchiveForm;
use crate::message::format::Format;

pub(super) use entry::{Entry, EntryKind};
use page::{Page, Summary};
pub(super) use view::View;

/// The size of a block, in bytes: a few writes for a thousand rows, and little held for a client
/// that reads slowly.
const BLOCK_BYTES: usize = 32 * 1024;

/// A listing that is being sent.
#[derive(Debug)]
pub(crate) struct Renderer {
    format: Format,
    page: Page,
    /// The entries that are still to be shown, in order.
    entries: vec::IntoIter<Entry>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Rows,
    Done,
}

impl Renderer {
    /// A listing of `entries`, which come in any order, for the decoded request path `path`.
    pub(crate) fn new(format: Format, path: Vec<u8>, view: View, mut entries: Vec<Entry>) -> Self {
        view.apply(&mut entries);
        let summary = Summary::of(&entries);
        Self {
            format,
            page: Page {
                path,
                view,
                readme: readme::of(&entries),
                summary,
                archives: Vec::new(),
            },
            entries: entries.into_iter(),
            stage: Stage::Head,
        }
    }

    /// The listing, which offers the directory as one file in these forms.
    pub(crate) fn offering(mut self, archives: &[ArchiveForm]) -> Self {
        self.page.archives = archives.to_vec();
        self
    }

    /// Appends the next block, about 32 KiB, to `out`; says whether another follows.
    ///
    /// The first `false` comes with the last block, so that a listing of one block can be sent with
    /// its `Content-Length`. Further calls append nothing.
    pub(crate) fn next_block(&mut self, out: &mut Vec<u8>) -> bool {
        self.write_block(out)
            .expect("a vector takes every write, and rows serialize to plain JSON");
        self.stage != Stage::Done
    }

    fn write_block(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let full = out.len() + BLOCK_BYTES;
        if self.stage == Stage::Head {
            self.write_head(out)?;
            self.stage = Stage::Rows;
        }
        while self.stage == Stage::Rows && out.len() < full {
            match self.entries.next() {
                Some(entry) => self.write_row(&entry, out)?,
                None => {
                    self.write_foot(out)?;
                    self.stage = Stage::Done;
                }
            }
        }
        Ok(())
    }

    fn write_head(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.format {
            Format::Html => html::write_head(&self.page, out),
            Format::Json => json::write_head(out),
            Format::Text => text::write_head(out),
        }
    }

    fn write_row(&self, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
        match self.format {
            Format::Html => html::write_row(entry, out),
            Format::Json => json::write_row(entry, self.entries.len() == 0, out),
            Format::Text => text::write_row(entry, out),
        }
    }

    fn write_foot(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.format {
            Format::Html => html::write_foot(&self.page, out),
            Format::Json => json::write_foot(out),
            Format::Text => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const FORMATS: [Format; 3] = [Format::Html, Format::Json, Format::Text];

    /// A file of 1536 bytes, last changed at 2026-11-22 23:54:10 UTC.
    pub(super) fn file(name: &[u8]) -> Entry {
        Entry {
            name: name.to_vec(),
            kind: EntryKind::File,
            size: Some(1536),
            modified: Some(UNIX_EPOCH + Duration::from_secs(1_795_391_650)),
        }
    }

    pub(super) fn directory(name: &[u8]) -> Entry {
        Entry {
            kind: EntryKind::Directory,
            size: None,
            ..file(name)
        }
    }

    /// An entry of which only the name is known.
    pub(super) fn unreadable(name: &[u8]) -> Entry {
        Entry {
            name: name.to_vec(),
            kind: EntryKind::Other,
            size: None,
            modified: None,
        }
    }

    /// The whole listing of `path`, and its blocks' lengths.
    fn render_blocks(format: Format, path: &str, entries: Vec<Entry>) -> (String, Vec<usize>) {
        let mut renderer = Renderer::new(format, path.into(), View::default(), entries);
        let (mut whole, mut lengths) = (Vec::new(), Vec::new());
        loop {
            let before = whole.len();
            let more = renderer.next_block(&mut whole);
            lengths.push(whole.len() - before);
            if !more {
                let text = String::from_utf8(whole).expect("listings are UTF-8");
                return (text, lengths);
            }
        }
    }

    pub(super) fn render(format: Format, path: &str, entries: Vec<Entry>) -> String {
        render_blocks(format, path, entries).0
    }

    #[test]
    fn a_small_listing_is_one_block_and_then_silence() {
        for format in FORMATS {
            let mut renderer = Renderer::new(format, b"/".into(), View::default(), Vec::new());
            let mut out = Vec::new();
            assert!(!renderer.next_block(&mut out), "{format:?}");
            let length = out.len();
            assert!(!renderer.next_block(&mut out), "{format:?}");
            assert_eq!(out.len(), length, "{format:?}");
        }
    }

    #[test]
    fn a_huge_listing_comes_in_blocks_with_every_row_once() {
        for format in FORMATS {
            let names = (0..5000).map(|number| format!("file-{number:04}.bin"));
            let entries = names.map(|name| file(name.as_bytes())).collect();
            let (whole, lengths) = render_blocks(format, "/", entries);
            let [blocks @ .., _last] = lengths.as_slice() else {
                panic!("no block at all");
            };
            assert!(blocks.len() > 5, "{format:?}: {lengths:?}");
            for length in blocks {
                let expected = BLOCK_BYTES..BLOCK_BYTES + 1024;
                assert!(expected.contains(length), "{format:?}: {length}");
            }
            let mut rest = whole.as_str();
            for number in 0..5000 {
                let name = format!("file-{number:04}.bin");
                (_, rest) = rest.split_once(&name).expect("the names come in order");
            }
            let per_row = if format == Format::Text { 1 } else { 2 };
            assert_eq!(whole.matches(".bin").count(), 5000 * per_row, "{format:?}");
        }
    }
}
