//! The order of a listing: the order that the query asks for, and the comparison of entries.
//!
//! In every order directories come first, and names are compared as people read them. The order is
//! total: entries with an equal key are put in order by name, so two listings of one directory
//! agree whatever the file system's own order is.

use std::cmp::Ordering;
use std::iter;

use super::entry::{Entry, EntryKind};

/// How a listing is sorted; by name, ascending, unless the query says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) key: SortKey,
    pub(super) descending: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SortKey {
    #[default]
    Name,
    Size,
    Time,
}

impl Sort {
    /// The order that `query` (without its `?`) asks for: `sort=name|size|time`, `order=asc|desc`.
    ///
    /// Other parameters are ignored; of repeated parameters the last one counts.
    pub(super) fn from_query(query: &[u8]) -> Self {
        let mut sort = Self::default();
        for parameter in query.split(|octet| *octet == b'&') {
            match parameter {
                b"sort=name" => sort.key = SortKey::Name,
                b"sort=size" => sort.key = SortKey::Size,
                b"sort=time" => sort.key = SortKey::Time,
                b"order=asc" => sort.descending = false,
                b"order=desc" => sort.descending = true,
                _ => {}
            }
        }
        sort
    }

    /// The order after a click on the column `key`: the other direction if it is the present key,
    /// otherwise the one that people look for first: names from the start, the largest, the latest.
    pub(super) fn after_choosing(self, key: SortKey) -> Self {
        let descending = match key {
            _ if key == self.key => !self.descending,
            SortKey::Name => false,
            SortKey::Size | SortKey::Time => true,
        };
        Self { key, descending }
    }

    /// The direction's name in the query.
    pub(super) fn order(self) -> &'static str {
        if self.descending { "desc" } else { "asc" }
    }

    /// Puts `entries` in order.
    pub(super) fn apply(self, entries: &mut [Entry]) {
        entries.sort_unstable_by(|a, b| {
            directories_first(a, b)
                .then_with(|| self.by_key(a, b))
                .then_with(|| by_name(a, b))
        });
    }

    fn by_key(self, a: &Entry, b: &Entry) -> Ordering {
        match self.key {
            SortKey::Name => self.directed(by_name(a, b)),
            SortKey::Size => self.known_first(a.size, b.size),
            SortKey::Time => self.known_first(a.modified, b.modified),
        }
    }

    /// Compares two values. A value that is not known comes last in both directions.
    fn known_first<T: Ord>(self, a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => self.directed(a.cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }

    fn directed(self, ascending: Ordering) -> Ordering {
        if self.descending {
            ascending.reverse()
        } else {
            ascending
        }
    }
}

impl SortKey {
    /// The key's name in the query.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

fn directories_first(a: &Entry, b: &Entry) -> Ordering {
    let is_other = |entry: &Entry| entry.kind != EntryKind::Directory;
    is_other(a).cmp(&is_other(b))
}

/// The natural order: `a2` before `a10`, `B` beside `b`. The octets decide between names that are
/// still equal.
fn by_name(a: &Entry, b: &Entry) -> Ordering {
    pieces(&a.name)
        .cmp(pieces(&b.name))
        .then_with(|| a.name.cmp(&b.name))
}

/// A piece of a name. The derived order of its variants is the natural order: the outer variants
/// are below and above the digits, as in ASCII.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    BelowDigits(u8),
    /// Without leading zeros: then the longer number is the greater, however long.
    Number {
        length: usize,
        digits: &'a [u8],
    },
    /// In lower case, if an ASCII letter.
    AboveDigits(u8),
}

fn pieces(name: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = name;
    iter::from_fn(move || {
        let (piece, after) = split_piece(rest)?;
        rest = after;
        Some(piece)
    })
}

fn split_piece(name: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let (first, after) = name.split_first()?;
    Some(match first {
        b'0'..=b'9' => split_number(name),
        0..b'0' => (Piece::BelowDigits(*first), after),
        _ => (Piece::AboveDigits(first.to_ascii_lowercase()), after),
    })
}

fn split_number(name: &[u8]) -> (Piece<'_>, &[u8]) {
    let (run, after) = split_while(name, |octet| octet.is_ascii_digit());
    let (_zeros, digits) = split_while(run, |octet| octet == b'0');
    let length = digits.len();
    (Piece::Number { length, digits }, after)
}

/// The longest start of `octets` for which `keep` holds, and the rest.
fn split_while(octets: &[u8], keep: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = octets.iter().position(|octet| !keep(*octet));
    octets.split_at(end.unwrap_or(octets.len()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::tests::{directory, file, unreadable};
    use super::*;

    const fn sort(key: SortKey, descending: bool) -> Sort {
        Sort { key, descending }
    }

    #[test]
    fn the_query_chooses_and_the_rest_is_ignored() {
        for (query, expected) in [
            ("", sort(SortKey::Name, false)),
            ("sort=size", sort(SortKey::Size, false)),
            ("sort=time&order=desc", sort(SortKey::Time, true)),
            ("order=desc&x=1&sort=name", sort(SortKey::Name, true)),
            ("sort=size&sort=time", sort(SortKey::Time, false)),
            ("sort=SIZE&order=up&&=&sort", sort(SortKey::Name, false)),
        ] {
            assert_eq!(Sort::from_query(query.as_bytes()), expected, "{query}");
        }
    }

    #[test]
    fn choosing_the_present_key_turns_the_order_round() {
        let by_size = sort(SortKey::Size, true);
        for (key, expected) in [
            (SortKey::Name, sort(SortKey::Name, false)),
            (SortKey::Size, sort(SortKey::Size, false)),
            (SortKey::Time, sort(SortKey::Time, true)),
        ] {
            assert_eq!(by_size.after_choosing(key), expected, "{key:?}");
        }
    }

    #[test]
    fn names_are_compared_as_people_read_them() {
        for (less, greater) in [
            ("a2", "a10"),
            ("a2b", "a10a"),
            ("a", "a1"),
            ("file.txt", "file1.txt"),
            ("1", "a"),
            ("Apple", "banana"),
            ("apple", "Banana"),
            ("README", "readme"),
            ("a01", "a1"),
            ("x9", "x99999999999999999999999999999999"),
            ("z", "\u{e9}"),
        ] {
            let (a, b) = (file(less.as_bytes()), file(greater.as_bytes()));
            assert_eq!(by_name(&a, &b), Ordering::Less, "{less} {greater}");
            assert_eq!(by_name(&b, &a), Ordering::Greater, "{greater} {less}");
        }
    }

    #[test]
    fn directories_come_first_and_the_unknown_last_in_every_order() {
        let entries = [
            unreadable(b"lost"),
            Entry {
                size: Some(9),
                modified: Some(UNIX_EPOCH),
                ..file(b"b")
            },
            Entry {
                size: Some(9),
                ..file(b"c")
            },
            Entry {
                size: Some(5),
                modified: Some(UNIX_EPOCH + Duration::from_secs(5)),
                ..file(b"a")
            },
            directory(b"zoo"),
            directory(b"ark"),
        ];
        for (key, descending, expected) in [
            (SortKey::Name, false, "ark zoo a b c lost"),
            (SortKey::Name, true, "zoo ark lost c b a"),
            (SortKey::Size, false, "ark zoo a b c lost"),
            (SortKey::Size, true, "ark zoo b c a lost"),
            (SortKey::Time, false, "ark zoo b a c lost"),
            (SortKey::Time, true, "ark zoo c a b lost"),
        ] {
            let mut entries = entries.clone();
            sort(key, descending).apply(&mut entries);
            let names = entries.map(|entry| String::from_utf8_lossy(&entry.name).into_owned());
            assert_eq!(names.join(" "), expected, "{key:?} {descending}");
        }
    }
}
