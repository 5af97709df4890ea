//! From a path to the script that answers for it, and the path-info that is left for the script.
//!
//! ```text
//!   /index.php/2024/05/   → index.php, path-info /2024/05/
//!   /admin/               → admin/index.php
//!   /2024/05/             → the fallback, if there is one
//! ```
//!
//! A route with `script` has one program for everything, and nothing is looked for:
//!
//! ```text
//!   route /app, /app/a/b  → SCRIPT_NAME /app, PATH_INFO /a/b
//! ```
//!
//! The same code runs on the loop, where it may not wait, and on the blocking pool.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use crate::config::model::Fastcgi;
use crate::disk::absence::Absence;
use crate::disk::beneath::{Links, Waiting, find_beneath, is_hidden, open_root};
use crate::disk::identity::Kind;
use crate::handlers::gateway::meta_variables::segment_ends;

/// A script that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// Its path beneath the root, from a `/` on.
    pub(super) path: Vec<u8>,
    /// The part of the request's path below the route that leads to it: empty, or from a `/` on.
    pub(super) name: Vec<u8>,
    /// The path-info, which follows it in the request's path: empty, or from a `/` on.
    pub(super) path_info: Vec<u8>,
}

impl Script {
    /// The script at `path`, which is also how the request's path calls it, up to the `path_info`.
    fn at(path: &[u8], path_info: &[u8]) -> Self {
        Self {
            path: path.to_vec(),
            name: path.to_vec(),
            path_info: path_info.to_vec(),
        }
    }

    /// The program `name`, which answers everything beneath its route. `below` is the request's path
    /// below the route.
    pub(super) fn owning_the_route(name: &str, below: &[u8]) -> Self {
        Self {
            path: format!("/{name}").into_bytes(),
            name: Vec::new(),
            path_info: below.to_vec(),
        }
    }
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Script(Script),
    /// A directory whose index file is no script.
    Index,
    /// A directory with an index file; the path lacks its final slash.
    Directory,
    Nothing,
    /// The system does not let us look.
    Forbidden,
}

/// A search, with all that it needs to run on another thread.
#[derive(Clone)]
pub(super) struct Search {
    pub(super) options: Arc<Fastcgi>,
    /// The path beneath the root, from a `/` on; it is normal.
    pub(super) path: Vec<u8>,
}

impl Search {
    /// Looks for the script.
    ///
    /// # Errors
    /// A disk that fails, descriptors that ran out. `WouldBlock` if the search would have to wait
    /// and may not.
    pub(super) fn run(&self, waiting: Waiting) -> io::Result<Found> {
        let root = open_root(&self.options.root, waiting)?;
        let look = Look { root, waiting };
        let found = self.look(&look);
        match found.as_ref().map_err(Absence::of) {
            Err(Some(Absence::Forbidden)) => Ok(Found::Forbidden),
            _ => found,
        }
    }

    fn look(&self, look: &Look) -> io::Result<Found> {
        for end in segment_ends(&self.path) {
            let (path, path_info) = self.path.split_at(end);
            if self.options.is_script(path) && look.is(Kind::File, path)? {
                return Ok(Found::Script(Script::at(path, path_info)));
            }
        }
        let found = if self.path.ends_with(b"/") {
            self.index(look, &self.path)?
        } else if look.is(Kind::Directory, &self.path)? {
            let directory = [&self.path[..], b"/"].concat();
            let index = self.index(look, &directory)?;
            index.map(|_| Found::Directory)
        } else {
            None
        };
        match found {
            Some(found) => Ok(found),
            None => self.fallback(look),
        }
    }

    /// The index of a directory, whose path ends in a slash.
    fn index(&self, look: &Look, directory: &[u8]) -> io::Result<Option<Found>> {
        for name in &self.options.index {
            let path = [directory, name.as_bytes()].concat();
            let is_script = self.options.is_script(&path);
            let is_sent = self.options.static_files && self.options.may_be_sent(&path);
            if (is_script || is_sent) && look.is(Kind::File, &path)? {
                return Ok(Some(if is_script {
                    Found::Script(Script::at(&path, b""))
                } else {
                    Found::Index
                }));
            }
        }
        Ok(None)
    }

    /// The script for paths that lead to nothing.
    fn fallback(&self, look: &Look) -> io::Result<Found> {
        let Some(name) = &self.options.fallback else {
            return Ok(Found::Nothing);
        };
        let path = format!("/{name}").into_bytes();
        Ok(if look.is(Kind::File, &path)? {
            Found::Script(Script::at(&path, b""))
        } else {
            Found::Nothing
        })
    }
}

struct Look {
    root: OwnedFd,
    waiting: Waiting,
}

impl Look {
    /// Whether `path`, which begins with `/`, leads to something of that kind. What is hidden
    /// counts as not there.
    fn is(&self, kind: Kind, path: &[u8]) -> io::Result<bool> {
        if is_hidden(path) {
            return Ok(false);
        }
        let found = find_beneath(self.root.as_fd(), &path[1..], Links::Followed, self.waiting);
        match found {
            Ok((found, _)) => Ok(found == kind),
            Err(error) => match Absence::of(&error) {
                Some(Absence::Forbidden) | None => Err(error),
                Some(_) => Ok(false),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn tree() -> TemporaryDirectory {
        let tree = TemporaryDirectory::new("scripts");
        for file in [
            "root/index.php",
            "root/a.php",
            "root/admin/index.php",
            "root/dir.php/b.php",
            "root/pages/index.html",
            "root/empty/x.txt",
            "root/style.css",
            "root/.secret/x.php",
            "outside.php",
        ] {
            tree.write(file, b"<?php");
        }
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, tree.path().join("root").join(name)).expect("a link")
        };
        link("a.php", "in.php");
        link("../outside.php", "out.php");
        tree
    }

    /// What `path` leads to, as text.
    fn find(tree: &TemporaryDirectory, change: impl FnOnce(&mut Fastcgi), path: &str) -> String {
        let mut options = Fastcgi::for_test(tree.path().join("root"));
        options.index = vec!["index.php".to_owned(), "index.html".to_owned()];
        change(&mut options);
        let search = Search {
            options: Arc::new(options),
            path: path.as_bytes().to_vec(),
        };
        match search.run(Waiting::Allowed).expect("no error") {
            Found::Script(script) => {
                let text = |octets| String::from_utf8(octets).expect("text");
                format!("{} {}", text(script.path), text(script.path_info))
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_path_is_split_behind_the_first_script() {
        let tree = tree();
        for (path, expected) in [
            ("/a.php", "/a.php "),
            ("/a.php/", "/a.php /"),
            ("/a.php/2024/05/a.php", "/a.php /2024/05/a.php"),
            ("/a.php/.b", "/a.php /.b"),
            ("/dir.php/b.php/c", "/dir.php/b.php /c"),
            ("/in.php", "/in.php "),
            ("/out.php", "Nothing"),
            ("/none.php", "Nothing"),
            ("/.secret/x.php", "Nothing"),
            ("/style.css", "Nothing"),
            ("/", "/index.php "),
            ("/admin/", "/admin/index.php "),
            ("/admin", "Directory"),
            ("/pages/", "Index"),
            ("/pages", "Directory"),
            ("/empty", "Nothing"),
            ("/empty/", "Nothing"),
            ("/none/", "Nothing"),
        ] {
            assert_eq!(find(&tree, |_| {}, path), expected, "{path}");
        }
    }

    #[test]
    fn the_fallback_is_for_what_leads_to_nothing() {
        let tree = tree();
        let fallback = |name: &str| {
            let name = Some(name.to_owned());
            move |options: &mut Fastcgi| options.fallback = name
        };
        for path in [
            "/2024/05/",
            "/none.php",
            "/empty/",
            "/.secret/x.php",
            "/out.php",
        ] {
            assert_eq!(
                find(&tree, fallback("index.php"), path),
                "/index.php ",
                "{path}"
            );
        }
        assert_eq!(find(&tree, fallback("none.php"), "/x"), "Nothing");
        assert_eq!(find(&tree, fallback("index.php"), "/a.php/x"), "/a.php /x");
    }

    #[test]
    fn an_index_that_is_no_script_needs_static_files() {
        let tree = tree();
        let without = |options: &mut Fastcgi| options.static_files = false;
        assert_eq!(find(&tree, without, "/pages/"), "Nothing");
        assert_eq!(find(&tree, without, "/admin/"), "/admin/index.php ");
    }
}
