//! From a path to the script that answers for it: the first file on the way.
//!
//! ```text
//! /cgi-bin/tools/x.py/more      the route is /cgi-bin, its directory holds tools/x.py
//!         ^     ^    ^
//!         route dir  script ends here; /more is the path-info
//! ```
//!
//! It may wait for the disk, so it runs on the blocking pool.

use std::io;
use std::path::Path;

use super::meta_variables::segment_ends;
use crate::config::model::Links;
use crate::disk::absence::Absence;
use crate::disk::beneath::{Root, Waiting, is_hidden};
use crate::disk::identity::Kind;
use crate::http::path::holds_encoded_slash;

/// A script that is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundScript {
    /// Its path beneath the root, without a slash at its start.
    pub(crate) path: Vec<u8>,
    /// How many octets of the request's path below the route lead to it. The rest is the path-info.
    pub(crate) end: usize,
}

impl FoundScript {
    /// The script `name`, which answers everything beneath its route: the route's path is the
    /// script's, and all that follows is path-info.
    pub(crate) fn owning_the_route(name: &str) -> Self {
        let path = name.as_bytes().to_vec();
        Self { path, end: 0 }
    }
}

/// The first regular file that `path`, which is normal and begins with `/`, leads to or through
/// beneath the directory `root`. Files that `files` would hide count as not there.
///
/// # Errors
/// It may not be looked at, a link does not lead where `links` allows, or the disk fails.
pub(crate) fn find(root: &Path, links: &Links, path: &[u8]) -> io::Result<Option<FoundScript>> {
    let root = Root::open(root, links, Waiting::Allowed)?;
    for end in segment_ends(path) {
        if is_hidden(&path[..end]) || holds_encoded_slash(&path[..end]) {
            return Ok(None);
        }
        let beneath = &path[1..end];
        match root.find(beneath, Waiting::Allowed) {
            Ok((Kind::File, _)) => {
                let path = beneath.to_vec();
                return Ok(Some(FoundScript { path, end }));
            }
            Ok((Kind::Directory, _)) => {}
            Ok((Kind::Other, _)) => return Ok(None),
            Err(error) => match Absence::of(&error) {
                Some(Absence::Forbidden | Absence::Outside) | None => return Err(error),
                Some(Absence::NameMissing | Absence::Unusable) => return Ok(None),
            },
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn the_first_file_on_the_way_is_the_script() {
        let tree = TemporaryDirectory::new("script");
        for file in ["root/x.py", "root/tools/y.py", "root/.hidden", "outside.py"] {
            tree.write(file, b"");
        }
        for (link, target) in [("in", "tools/y.py"), ("out", "../outside.py")] {
            let link = tree.path().join("root").join(link);
            std::os::unix::fs::symlink(target, link).expect("a link");
        }
        for (path, expected) in [
            ("/x.py", Some(("x.py", ""))),
            ("/x.py/", Some(("x.py", "/"))),
            ("/x.py/more/.dots", Some(("x.py", "/more/.dots"))),
            ("/x.py/AC\0DC", Some(("x.py", "/AC\0DC"))),
            ("/tools\0y.py", None),
            ("/x.py\0more", None),
            ("/tools/y.py/x.py", Some(("tools/y.py", "/x.py"))),
            ("/in/a", Some(("in", "/a"))),
            ("/", None),
            ("/tools", None),
            ("/tools/", None),
            ("/missing/x.py", None),
            ("/.hidden", None),
        ] {
            let root = tree.path().join("root");
            let found = find(&root, &Links::Inside, path.as_bytes()).expect("no error");
            let found = found.map(|script| {
                let beneath = String::from_utf8(script.path).expect("text");
                (beneath, &path[script.end..])
            });
            let expected = expected.map(|(script, info)| (script.to_owned(), info));
            assert_eq!(found, expected, "{path}");
        }
        for (root, path) in [
            ("missing", "/x.py"),
            ("root", "/out"),
            ("root", "/out/info"),
        ] {
            let found = find(&tree.path().join(root), &Links::Inside, path.as_bytes());
            assert!(found.is_err(), "{root} {path}");
        }
    }
}
