//! What the query asks of a listing: its order, and which names it shows.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{percent_decode, percent_encode};

use super::display::ENCODED;
use super::entry::Entry;
use super::sort::Sort;

/// How a listing is shown: all entries, by name, unless the query says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(super) sort: Sort,
    pub(super) filter: Filter,
}

/// The text that a name must have in it to be shown. Empty: every name is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter(String);

impl View {
    /// What `query` (without its `?`) asks for: the order, see [`Sort::from_query`], and `filter=TEXT`, as a form
    /// encodes it.
    ///
    /// Other parameters are ignored; of repeated parameters the last one counts.
    pub(crate) fn from_query(query: &[u8]) -> Self {
        let parameters = query.split(|octet| *octet == b'&');
        let mut text = parameters.filter_map(|parameter| parameter.strip_prefix(b"filter="));
        Self {
            sort: Sort::from_query(query),
            filter: text.next_back().map(Filter::of_form).unwrap_or_default(),
        }
    }

    /// Drops the entries that are not shown, and puts the others in order.
    pub(super) fn apply(&self, entries: &mut Vec<Entry>) {
        if !self.filter.is_empty() {
            let wanted = self.filter.0.to_lowercase();
            entries.retain(|entry| {
                let name = String::from_utf8_lossy(&entry.name);
                name.to_lowercase().contains(&wanted)
            });
        }
        self.sort.apply(entries);
    }
}

impl Filter {
    /// The text that a form sends as `value` (URL standard §5.1: `+` is a space).
    fn of_form(value: &[u8]) -> Self {
        let spaced: Vec<u8> = value
            .iter()
            .map(|octet| if *octet == b'+' { b' ' } else { *octet })
            .collect();
        let decoded = Cow::from(percent_decode(&spaced));
        Self(String::from_utf8_lossy(&decoded).trim().to_owned())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// As the value of a parameter in a query.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", percent_encode(self.as_bytes(), ENCODED))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{directory, file};
    use super::*;

    #[test]
    fn the_query_says_which_names_are_shown() {
        for (query, shown) in [
            ("", "sub Report.pdf a+b c d.txt"),
            ("filter=", "sub Report.pdf a+b c d.txt"),
            ("filter=report", "Report.pdf"),
            ("filter=REPORT&sort=size", "Report.pdf"),
            ("filter=report&filter=.TXT", "d.txt"),
            ("filter=a%2Bb", "a+b"),
            ("filter=b+c", ""),
            ("filter=+c+", "c"),
            ("filter=%FF", ""),
            ("filter=u", "sub"),
            ("Filter=u", "sub Report.pdf a+b c d.txt"),
        ] {
            let names = ["Report.pdf", "a+b", "c", "d.txt"];
            let mut entries: Vec<Entry> = names.map(|name| file(name.as_bytes())).into();
            entries.push(directory(b"sub"));
            View::from_query(query.as_bytes()).apply(&mut entries);
            let mut names: Vec<_> = entries
                .iter()
                .map(|entry| String::from_utf8_lossy(&entry.name))
                .collect();
            // The directory stays first; the octets order the others here.
            let first = usize::from(names.first().is_some_and(|name| name == "sub"));
            names[first..].sort();
            assert_eq!(names.join(" "), shown, "{query}");
        }
    }

    #[test]
    fn names_are_compared_without_regard_to_case_in_every_script() {
        let mut entries = vec![file("GRÜSSE".as_bytes()), file(b"x")];
        View::from_query("filter=gr%C3%BC".as_bytes()).apply(&mut entries);
        assert_eq!(entries, [file("GRÜSSE".as_bytes())]);
    }
}
