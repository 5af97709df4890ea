//! What a listing says of the directory as a whole.

use super::entry::{Entry, EntryKind};
use super::view::View;
use crate::config::model::ArchiveForm;

/// The facts in the head of a listing.
#[derive(Debug)]
pub(super) struct Page {
    /// The request's path, decoded; ends in `/`.
    pub(super) path: Vec<u8>,
    pub(super) view: View,
    /// The file that tells about the directory.
    pub(super) readme: Option<Entry>,
    pub(super) summary: Summary,
    /// The forms in which the directory may be had as one file.
    pub(super) archives: Vec<ArchiveForm>,
}

/// The sums over all entries.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) directories: usize,
    /// Entries that are no directories.
    pub(super) files: usize,
    /// The sum of the sizes that are known.
    pub(super) bytes: u64,
}

impl Summary {
    pub(super) fn count(&self) -> usize {
        self.directories + self.files
    }

    pub(super) fn of(entries: &[Entry]) -> Self {
        entries.iter().fold(Self::default(), Self::with)
    }

    fn with(mut self, entry: &Entry) -> Self {
        match entry.kind {
            EntryKind::Directory => self.directories += 1,
            EntryKind::File | EntryKind::Other => self.files += 1,
        }
        self.bytes = self.bytes.saturating_add(entry.size.unwrap_or(0));
        self
    }
}
