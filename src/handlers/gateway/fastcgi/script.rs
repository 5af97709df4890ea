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

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use crate::config::model::Fastcgi;
use crate::disk::absence::Absence;
use crate::disk::barrier::Barrier;
use crate::disk::beneath::{Root, Waiting, is_hidden};
use crate::disk::identity::Kind;
use crate::handlers::gateway::meta_variables::segment_ends;
use crate::http::path::holds_encoded_slash;

/// A script that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// How the path stands to the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It goes on below the route's own path.
    Beneath,
    /// It is the route's own path, without the slash that relative links would need: `/app`.
    RootWithoutSlash,
    /// It is the only path of the route, which leads to one script: `= /app`.
    OnlyPath,
}

/// What a path leads to, and what stood in the way of something else.
#[derive(Debug)]
pub(super) struct Searched {
    pub(super) found: Found,
    pub(super) barrier: Option<Barrier>,
}

/// A search, with all that it needs to run on another thread.
#[derive(Clone)]
pub(super) struct Search {
    pub(super) options: Arc<Fastcgi>,
    pub(super) start: Start,
    /// The path beneath the root, from a `/` on; it is normal.
    pub(super) path: Vec<u8>,
}

impl Search {
    /// Looks for the script.
    ///
    /// # Errors
    /// A disk that fails, descriptors that ran out. `WouldBlock` if the search would have to wait
    /// and may not.
    pub(super) fn run(&self, waiting: Waiting) -> io::Result<Searched> {
        let root = match Root::open(&self.options.root, &self.options.links, waiting) {
            Err(error) if Absence::of(&error) == Some(Absence::Forbidden) => {
                return Ok(Searched {
                    found: Found::Forbidden,
                    barrier: Barrier::from(error),
                });
            }
            root => root?,
        };
        let look = Look {
            root,
            waiting,
            barrier: RefCell::new(None),
        };
        let found = match self.look(&look) {
            Err(error) if Absence::of(&error) == Some(Absence::Forbidden) => {
                look.note(error);
                Found::Forbidden
            }
            found => found?,
        };
        Ok(Searched {
            found,
            barrier: look.barrier.into_inner(),
        })
    }

    fn look(&self, look: &Look) -> io::Result<Found> {
        match self.start {
            Start::OnlyPath if self.options.fallback.is_some() => self.fallback(look),
            Start::RootWithoutSlash => self.root_without_slash(look),
            Start::OnlyPath | Start::Beneath => self.look_beneath(look),
        }
    }

    /// The route's own path leads to the directory with the index, and lacks its slash. But where
    /// that index is also the fallback, it is a router, which knows what its own path means: some
    /// take the slash off again, and the client would go in a circle.
    fn root_without_slash(&self, look: &Look) -> io::Result<Found> {
        match self.index(look, b"/")? {
            Some(Found::Script(index)) if self.is_fallback(&index) => Ok(Found::Script(index)),
            Some(_) => Ok(Found::Directory),
            None => self.fallback(look),
        }
    }

    fn is_fallback(&self, script: &Script) -> bool {
        let name = self.options.fallback.as_deref().map(str::as_bytes);
        script.path.strip_prefix(b"/") == name
    }

    fn look_beneath(&self, look: &Look) -> io::Result<Found> {
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
    root: Root,
    waiting: Waiting,
    /// What stood in the way first.
    barrier: RefCell<Option<Barrier>>,
}

impl Look {
    /// Whether `path`, which begins with `/`, leads to something of that kind. What is hidden
    /// counts as not there, and no file has a slash in its name.
    fn is(&self, kind: Kind, path: &[u8]) -> io::Result<bool> {
        if is_hidden(path) || holds_encoded_slash(path) {
            return Ok(false);
        }
        match self.root.find(&path[1..], self.waiting) {
            Ok((found, _)) => Ok(found == kind),
            Err(error) => match Absence::of(&error) {
                Some(Absence::Forbidden) | None => Err(error),
                Some(_) => {
                    self.note(error);
                    Ok(false)
                }
            },
        }
    }

    fn note(&self, error: io::Error) {
        if let Some(barrier) = Barrier::from(error) {
            self.barrier.borrow_mut().get_or_insert(barrier);
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
        find_from(Start::Beneath, tree, change, path)
    }

    fn find_from(
        start: Start,
        tree: &TemporaryDirectory,
        change: impl FnOnce(&mut Fastcgi),
        path: &str,
    ) -> String {
        let mut options = Fastcgi::for_test(tree.path().join("root"));
        options.index = vec!["index.php".to_owned(), "index.html".to_owned()];
        change(&mut options);
        let search = Search {
            options: Arc::new(options),
            start,
            path: path.as_bytes().to_vec(),
        };
        match search.run(Waiting::Allowed).expect("no error").found {
            Found::Script(script) => {
                let text = |octets| String::from_utf8(octets).expect("text");
                assert_eq!(script.name, script.path, "its own name is in the path");
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
            ("/a.php/AC\0DC", "/a.php /AC\0DC"),
            ("/a.php\0b", "Nothing"),
            ("/admin\0index.php", "Nothing"),
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
            "/page/AC\0DC",
            "/a.php\0b",
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
    fn the_route_s_own_path_is_a_directory_or_the_router_s() {
        use Start::{Beneath, OnlyPath, RootWithoutSlash};
        let tree = tree();
        tree.write("root/front.php", b"<?php");
        for (start, index, fallback, expected) in [
            (RootWithoutSlash, "index.php", None, "Directory"),
            (
                RootWithoutSlash,
                "index.php",
                Some("index.php"),
                "/index.php ",
            ),
            (
                RootWithoutSlash,
                "index.php",
                Some("front.php"),
                "Directory",
            ),
            (
                RootWithoutSlash,
                "none.php",
                Some("front.php"),
                "/front.php ",
            ),
            (RootWithoutSlash, "none.php", None, "Nothing"),
            (
                RootWithoutSlash,
                "style.css",
                Some("front.php"),
                "Directory",
            ),
            (OnlyPath, "index.php", Some("front.php"), "/front.php "),
            (OnlyPath, "index.php", None, "/index.php "),
            (Beneath, "index.php", Some("front.php"), "/index.php "),
        ] {
            let change = |options: &mut Fastcgi| {
                options.index = vec![index.to_owned()];
                options.fallback = fallback.map(str::to_owned);
            };
            let found = find_from(start, &tree, change, "/");
            assert_eq!(found, expected, "{start:?} {index} {fallback:?}");
        }
    }

    #[test]
    fn a_program_that_owns_its_route_gets_the_rest_as_path_info() {
        let script = Script::owning_the_route("bin/app.fcgi", b"/a/b");
        assert_eq!(script.path, b"/bin/app.fcgi");
        assert_eq!(
            (&script.name[..], &script.path_info[..]),
            (&b""[..], &b"/a/b"[..])
        );
    }

    #[test]
    fn an_index_that_is_no_script_needs_static_files() {
        let tree = tree();
        let without = |options: &mut Fastcgi| options.static_files = false;
        assert_eq!(find(&tree, without, "/pages/"), "Nothing");
        assert_eq!(find(&tree, without, "/admin/"), "/admin/index.php ");
    }
}
