//! A look at the files beneath a root, for warnings: what a checked file says may be good, and still no
//! request finds anything.
//!
//! A root may hold millions of files, and a configuration may have thousands of routes. So each root is
//! looked at once, and only so many names are looked at for all of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The most names that are looked at beneath one root, and beneath all of them.
const MAX_NAMES: usize = 10_000;
const MAX_NAMES_OF_ALL: usize = 100_000;

/// The roots that were looked at.
pub(crate) struct Surveys {
    known: RefCell<HashMap<PathBuf, Rc<Survey>>>,
    names_left: Cell<usize>,
}

/// What was seen beneath a root. Names that begin with a dot are left out, as they are never served.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Links that lead out of the root, relative to it, and what they lead to.
    pub(crate) leading_out: BTreeMap<PathBuf, PathBuf>,
    /// What the names of files end in, behind their last dot, in lower case; empty if there is none.
    pub(crate) extensions: BTreeSet<String>,
    /// Whether everything beneath the root was seen.
    pub(crate) is_complete: bool,
    /// Whether there is no name at all beneath the root: its files may be still to come.
    pub(crate) is_empty: bool,
}

impl Default for Surveys {
    fn default() -> Self {
        Self {
            known: RefCell::default(),
            names_left: Cell::new(MAX_NAMES_OF_ALL),
        }
    }
}

impl Surveys {
    /// What is beneath `root`.
    pub(crate) fn of(&self, root: &Path) -> Rc<Survey> {
        let mut known = self.known.borrow_mut();
        if let Some(survey) = known.get(root) {
            return Rc::clone(survey);
        }
        let limit = self.names_left.get().min(MAX_NAMES);
        let (survey, names) = Survey::of(root, limit);
        self.names_left.set(self.names_left.get() - names);
        let survey = Rc::new(survey);
        known.insert(root.to_owned(), Rc::clone(&survey));
        survey
    }
}

impl Survey {
    /// Looks at `limit` names beneath `root` at most, those near the root before those below. Returns
    /// how many it looked at, too.
    fn of(root: &Path, limit: usize) -> (Self, usize) {
        let mut survey = Self {
            is_complete: true,
            is_empty: true,
            ..Self::default()
        };
        let Ok(real_root) = root.canonicalize() else {
            return (Self::default(), 0);
        };
        let mut names = 0;
        let mut directories = VecDeque::from([root.to_owned()]);
        while let Some(directory) = directories.pop_front() {
            let Ok(entries) = std::fs::read_dir(&directory) else {
                survey.is_complete = false;
                continue;
            };
            for entry in entries.flatten() {
                if names == limit {
                    survey.is_complete = false;
                    return (survey, names);
                }
                names += 1;
                survey.is_empty = false;
                let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                let Some(kind) = entry.file_type().ok().filter(|_| !is_hidden) else {
                    continue;
                };
                let path = entry.path();
                if kind.is_dir() {
                    directories.push_back(path);
                } else if kind.is_symlink() {
                    survey.add_link(root, &real_root, &path);
                } else {
                    survey.add_file(&path);
                }
            }
        }
        (survey, names)
    }

    fn add_file(&mut self, path: &Path) {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        self.extensions.insert(extension.to_ascii_lowercase());
    }

    fn add_link(&mut self, root: &Path, real_root: &Path, link: &Path) {
        let Ok(target) = link.canonicalize() else {
            return;
        };
        if !target.starts_with(real_root) {
            let link = link.strip_prefix(root).unwrap_or(link).to_owned();
            self.leading_out.insert(link, target.clone());
        }
        if target.is_dir() {
            // What is behind it is not looked at.
            self.is_complete = false;
        } else {
            self.add_file(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn sees_files_and_links_up_to_a_limit() {
        let tree = TemporaryDirectory::new("survey");
        for file in ["root/a/b.PHP", "root/x", "root/.hidden/y.js", "out/z"] {
            tree.write(file, b"");
        }
        let root = tree.path().join("root");
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.join(name)).expect("a link")
        };
        link("../out/z", "z.txt");
        link("x", "in");
        link("nowhere", "dangling");
        let (survey, names) = Survey::of(&root, 100);
        let extensions: Vec<_> = survey.extensions.iter().map(String::as_str).collect();
        assert_eq!(extensions, ["", "php", "txt"]);
        let links: Vec<_> = survey.leading_out.keys().collect();
        assert_eq!(links, [Path::new("z.txt")]);
        assert!(
            survey.is_complete && !survey.is_empty && names == 7,
            "{names}"
        );
        let (survey, names) = Survey::of(&root, 6);
        assert!(!survey.is_complete && names == 6);
        assert!(Survey::of(&root.join("a/b.PHP"), 6).0.is_empty);
        link("../out", "directory");
        assert!(!Survey::of(&root, 100).0.is_complete);
    }
}
