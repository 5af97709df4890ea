//! `*` and `?` in the entries of `include`.

use std::ffi::OsStr;
use std::path::PathBuf;

/// Names in a directory that `include` matches. If a file or directory with such a name appears, the
/// configuration may have one more file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    pub(crate) directory: PathBuf,
    /// One component of a path, with or without `*` and `?`.
    pub(super) pattern: String,
    /// Whether the component is the last of the path, and so the name of a file.
    pub(super) is_last: bool,
}

impl Wildcard {
    /// Whether `include` matches a file or directory of that name in the directory.
    pub(crate) fn is_match(&self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        let is_hidden = name.starts_with(b".") && has_wildcard(&self.pattern);
        !is_hidden && matches(self.pattern.as_bytes(), name)
    }

    /// Whether it is files that are matched, and not directories on the way to them.
    pub(crate) fn is_of_files(&self) -> bool {
        self.is_last
    }
}

/// Whether `text` has `*` or `?`.
pub(super) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether `name` matches `pattern`: `*` is any number of octets, `?` is one. A mismatch goes back to
/// the last `*` only, so the time is bounded by the product of the lengths.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut last_star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((star, taken)) = last_star else {
                    return false;
                };
                last_star = Some((star, taken + 1));
                (p, n) = (star + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_within_a_name() {
        let cases = [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml~", false),
            ("*", "", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbY", false),
            ("?.toml", "a.toml", true),
            ("?.toml", ".toml", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("*?", "", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
