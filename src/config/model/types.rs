//! The media types of files, as far as the operator says them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::http::media_type;

/// Media types by extension or name, in place of those that the server knows by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Types {
    /// The keys are extensions without their dot (`tar.gz`), names of files, or [`OTHERS`](Self::OTHERS),
    /// in small letters.
    by_name: BTreeMap<String, String>,
    /// The character encoding that text is said to be in whose type names none; `None`: nothing is said.
    pub(crate) charset: Option<String>,
}

impl Default for Types {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            charset: Some(media_type::UTF_8.to_owned()),
        }
    }
}

impl Types {
    /// The key for files of which nothing else is known.
    pub(crate) const OTHERS: &'static str = "*";

    /// Adds a type. It replaces the type of the same key, if there is one.
    pub(crate) fn insert(&mut self, key: String, media_type: String) {
        self.by_name.insert(key, media_type);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_name
            .iter()
            .map(|(key, media_type)| (key.as_str(), media_type.as_str()))
    }

    /// The value of `Content-Type` for the file at `path`: by its name, by its longest extension that
    /// is a key, by the server's own tables.
    pub(crate) fn for_path(&self, path: &[u8]) -> Cow<'static, str> {
        let own = || {
            let known = media_type::bare_for_path(path);
            let others = self.by_name.get(Self::OTHERS);
            match others.filter(|_| media_type::is_unknown(known)) {
                Some(others) => Cow::Owned(others.clone()),
                None => Cow::Borrowed(known),
            }
        };
        let found = self.find(path).map(|found| Cow::Owned(found.to_owned()));
        let media_type = found.unwrap_or_else(own);
        match &self.charset {
            Some(charset) => media_type::with_charset(media_type, charset),
            None => media_type,
        }
    }

    fn find(&self, path: &[u8]) -> Option<&str> {
        if self.by_name.is_empty() {
            return None;
        }
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        let name = str::from_utf8(name).ok()?.to_ascii_lowercase();
        let mut keys =
            std::iter::successors(Some(&*name), |longer| Some(longer.split_once('.')?.1));
        keys.find_map(|key| self.by_name.get(key))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::Types;

    #[test]
    fn the_name_and_the_longest_extension_come_first() {
        let mut types = Types::default();
        for (key, media_type) in [
            ("data", "application/x-data"),
            ("js.data", "text/x-js-data"),
            ("cname", "text/x-cname"),
            ("html", "text/html; charset=koi8-r"),
            ("*", "text/x-unknown"),
        ] {
            types.insert(key.to_owned(), media_type.to_owned());
        }
        for (path, expected) in [
            ("a.data", "application/x-data"),
            ("b/A.DATA", "application/x-data"),
            ("a.js.data", "text/x-js-data; charset=utf-8"),
            ("CNAME", "text/x-cname; charset=utf-8"),
            ("a.html", "text/html; charset=koi8-r"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.unknown", "text/x-unknown; charset=utf-8"),
            ("data/program", "text/x-unknown; charset=utf-8"),
        ] {
            assert_eq!(types.for_path(path.as_bytes()), expected, "{path}");
        }
        types.charset = Some("koi8-r".to_owned());
        assert_eq!(types.for_path(b"a.css"), "text/css; charset=koi8-r");
        types.charset = None;
        assert_eq!(types.for_path(b"a.css"), "text/css");
        let none = Types::default();
        assert_eq!(none.for_path(b"a.unknown"), "application/octet-stream");
    }
}
