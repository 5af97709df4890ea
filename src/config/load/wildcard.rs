//! `*` and `?` in the entries of `include`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

    /// The names of the files or directories that it matches now, links that lead nowhere included; none if there is no
    /// such directory.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub(crate) fn names(&self) -> io::Result<BTreeSet<OsString>> {
        let mut names = if has_wildcard(&self.pattern) {
            self.listed()?
        } else {
            BTreeSet::from([OsString::from(&self.pattern)])
        };
        names.retain(|name| {
            let path = self.directory.join(name);
            match path.metadata() {
                Ok(metadata) => self.is_last || metadata.is_dir(),
                // A link that leads nowhere stays: the caller reports it.
                Err(_) => !is_absent(&path),
            }
        });
        Ok(names)
    }

    /// The names in the directory that match, whatever they name.
    fn listed(&self) -> io::Result<BTreeSet<OsString>> {
        // An empty path is the current directory.
        let entries = match fs::read_dir(Path::new(".").join(&self.directory)) {
            Ok(entries) => entries,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    return Ok(BTreeSet::new());
                }
                _ => return Err(error),
            },
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let name = entry?.file_name();
            if self.is_match(&name) {
                names.insert(name);
            }
        }
        Ok(names)
    }
}

/// A wildcard, and the names that it matched when they were listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) wildcard: Wildcard,
    pub(crate) names: BTreeSet<OsString>,
}

impl Listing {
    /// What `wildcard` matches now; nothing if its directory cannot be listed.
    pub(crate) fn now(wildcard: Wildcard) -> Self {
        let names = wildcard.names().unwrap_or_default();
        Self { wildcard, names }
    }

    /// The paths that were matched, sorted.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let join = |name| self.wildcard.directory.join(name);
        self.names.iter().map(join)
    }
}

/// Whether nothing stands at `path`, not even a link that leads nowhere. What stands in a directory into which this user
/// may not look counts as absent, so that `/srv/*/site.toml` goes past `lost+found`.
pub(super) fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err()
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
