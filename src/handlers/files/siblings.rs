//! Compressed siblings that are passed over, for an operator who wonders why: `explain` asks about one
//! file, `check` about a whole directory.
//!
//! Nothing here serves. It looks at names and times as [`super::lookup`] does, and it may wait for the
//! disk.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::lookup::{CODINGS, coded_path, may_have_codings};
use crate::config::model::Files;

/// The most names that [`passed_over_beneath`] looks at.
const MAX_NAMES: usize = 50_000;

/// A sibling that is not served.
#[derive(Debug)]
pub(crate) struct PassedOver {
    sibling: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    /// By so many seconds.
    Older(i64),
    NotAFile,
    Unreadable(io::Error),
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sibling = self.sibling.display();
        match &self.reason {
            Reason::Older(seconds) => write!(
                f,
                "{sibling} is not served: it is {seconds} s older than the file, so it may be of an \
                 older state of it; compress the file again"
            ),
            Reason::NotAFile => write!(f, "{sibling} is not served: it is no file"),
            Reason::Unreadable(error) => write!(f, "{sibling} is not served: {error}"),
        }
    }
}

/// The siblings of `file` that are passed over.
pub(super) fn passed_over(file: &Path, options: &Files) -> Vec<PassedOver> {
    let path = file.as_os_str().as_bytes();
    let media_type = options.types.for_path(path);
    if !options.sends_siblings() || !may_have_codings(path, &media_type) {
        return Vec::new();
    }
    let Ok(state) = fs::metadata(file) else {
        return Vec::new();
    };
    let siblings = CODINGS.into_iter().map(|coding| {
        let path = coded_path(path, coding).into_owned();
        PathBuf::from(OsString::from_vec(path))
    });
    siblings
        .filter_map(|sibling| {
            let reason = reason(&sibling, state.mtime())?;
            Some(PassedOver { sibling, reason })
        })
        .collect()
}

/// Why `sibling` of a file with that modification time is passed over; `None` if it is served, or not
/// there.
fn reason(sibling: &Path, modified: i64) -> Option<Reason> {
    match fs::metadata(sibling) {
        Ok(state) if !state.is_file() => Some(Reason::NotAFile),
        Ok(state) if !Files::is_current_sibling(state.mtime(), modified) => {
            Some(Reason::Older(modified - state.mtime()))
        }
        Ok(_) => fs::File::open(sibling).err().map(Reason::Unreadable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Reason::Unreadable(error)),
    }
}

/// The siblings beneath the root of `options` that are passed over, of the first [`MAX_NAMES`] names.
/// Links to directories are not followed, and what cannot be read is left out.
pub(crate) fn passed_over_beneath(options: &Files) -> Vec<PassedOver> {
    let mut found = Vec::new();
    let mut names = 0;
    let mut directories = vec![options.root.clone()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            names += 1;
            if names > MAX_NAMES {
                return found;
            }
            let is_hidden = entry.file_name().as_bytes().starts_with(b".");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !is_hidden => directories.push(entry.path()),
                Ok(kind) if kind.is_file() && !is_hidden => {
                    found.extend(of_coding(&entry.path(), options));
                }
                _ => {}
            }
        }
    }
    found
}

/// `path` itself, if it is a sibling that is passed over.
fn of_coding(path: &Path, options: &Files) -> Option<PassedOver> {
    let extension = path.extension()?.to_str();
    CODINGS
        .into_iter()
        .find(|coding| coding.file_suffix() == extension)?;
    let file = path.with_extension("");
    let all = passed_over(&file, options);
    all.into_iter()
        .find(|passed_over| passed_over.sibling == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;
    use std::time::{Duration, SystemTime};

    /// A sibling that was passed over was passed over in silence.
    #[test]
    fn tells_which_siblings_are_passed_over_and_why() {
        let tree = TemporaryDirectory::new("passed-over");
        let now = SystemTime::now();
        for (name, age) in [
            ("a.js", 10),
            ("a.js.gz", 15),
            ("a.js.br", 12),
            ("sub/b.css", 0),
            ("sub/b.css.zst", 60),
            ("c.png", 0),
            ("c.png.gz", 60),
            ("alone.gz", 60),
            (".hidden.js", 0),
            (".hidden.js.gz", 60),
        ] {
            tree.write(name, b"x");
            let file = fs::File::options().write(true).open(tree.path().join(name));
            let set = file.and_then(|file| file.set_modified(now - Duration::from_secs(age)));
            set.expect("just written");
        }
        fs::create_dir(tree.path().join("a.js.zst")).expect("the name is free");
        let options = Files::beneath(tree.path().to_owned());
        let told = |passed_over: Vec<PassedOver>| {
            let lines = passed_over.iter().map(PassedOver::to_string);
            let mut lines: Vec<String> = lines.collect();
            lines.sort();
            let root = format!("{}/", tree.path().display());
            lines
                .iter()
                .map(|line| line.replace(&root, ""))
                .collect::<Vec<_>>()
        };
        let older = |name: &str, seconds| {
            format!(
                "{name} is not served: it is {seconds} s older than the file, so it may be of an \
                 older state of it; compress the file again"
            )
        };
        assert_eq!(
            told(passed_over(&tree.path().join("a.js"), &options)),
            [
                older("a.js.gz", 5),
                "a.js.zst is not served: it is no file".to_owned()
            ]
        );
        assert_eq!(
            told(passed_over_beneath(&options)),
            [older("a.js.gz", 5), older("sub/b.css.zst", 60)]
        );
    }
}
