//! The file of a directory that tells about it. The page links to it, and the page's script asks for it: as any
//! other request, so that what a client may not read it does not see here either.

use super::entry::{Entry, EntryKind};

/// The most octets that a page shows.
const MAX_SIZE: u64 = 256 * 1024;

/// Names in lower case, the best first.
const NAMES: [&[u8]; 4] = [b"readme.md", b"readme.txt", b"readme", b"readme.rst"];

/// The README among `entries`, unless it is too large to be shown.
pub(super) fn of(entries: &[Entry]) -> Option<Entry> {
    let of_name = |name: &&[u8]| {
        entries.iter().find(|entry| {
            let is_shown = entry.size.is_some_and(|size| size <= MAX_SIZE);
            entry.kind == EntryKind::File && is_shown && entry.name.eq_ignore_ascii_case(name)
        })
    };
    NAMES.iter().find_map(of_name).cloned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{directory, file, unreadable};
    use super::*;

    #[test]
    fn the_best_name_counts_and_only_files_of_a_fair_size() {
        let large = Entry {
            size: Some(MAX_SIZE + 1),
            ..file(b"README.md")
        };
        for (entries, expected) in [
            (vec![file(b"a.md"), file(b"README.html")], None),
            (
                vec![file(b"readme"), file(b"ReadMe.MD")],
                Some(&b"ReadMe.MD"[..]),
            ),
            (
                vec![directory(b"README"), file(b"README.txt")],
                Some(b"README.txt"),
            ),
            (vec![large, unreadable(b"README")], None),
        ] {
            let found = of(&entries).map(|entry| entry.name);
            assert_eq!(found.as_deref(), expected);
        }
    }
}
