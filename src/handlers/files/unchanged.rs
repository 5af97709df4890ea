//! A cheaper check than a look: whether a cached file is still what a look would find.
//!
//! What a path leads to depends on the names in one directory and on the files with these names. A
//! directory's change time moves whenever a name in it is added, removed or given to another file.
//! So while the directory is as it was before the file was looked up, no other file has taken its
//! place and no coding has appeared beside it. Only the file itself is left to compare.
//!
//! ```text
//! a look      open, fstat, close of 1.html; open of 1.html.zst, .br, .gz in vain
//! unchanged   open, fstat, close of 1.html; the directory once a period for all files in it
//! ```
//!
//! A file that is confirmed is as fresh as the look at the directory, which may be older than this
//! check.
//!
//! The check never waits. It is right only if names alone decide. Two sides make sure of that: the
//! look for the names it met ([`super::lookup::FoundFile::depends_only_on_names`]), and [`look_at`]
//! for the directory. Both resolve the whole path again beneath the root, so a directory that was
//! renamed above it is noticed.
//!
//! Rejected: `fstatat` on a kept descriptor, one call instead of three, because it waits for the
//! disk if the file's inode has left memory; `inotify`, because its watches are few and it misses
//! writes through a mapping.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant, SystemTime};

use hashbrown::HashMap;

use super::entry::{BorrowedKey, Key};
use super::load::CachedFile;
use super::lookup::coded_path;
use crate::disk::beneath::Root;
use crate::disk::identity::{Identity, Kind};

/// What the directories that are remembered may weigh, in bytes, their paths included. When it is
/// more, all are forgotten, which costs one look at each.
const CAPACITY: usize = 512 * 1024;

/// What a directory weighs without its path.
const DIRECTORY: usize = 192;

/// How long a directory must not have changed. The coarsest file systems of [`TELLING`] keep whole
/// seconds, so two changes within this time may have the same change time.
const SETTLED: Duration = Duration::from_secs(2);

/// File systems on which a directory's change time can be trusted: names change through this kernel
/// only. It cannot be trusted on network file systems, and a file system behind FUSE may keep no
/// such time at all.
const TELLING: [u32; 9] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x0102_1994, // tmpfs
    0x2fc1_2fc1, // ZFS
    0x5846_5342, // XFS
    0x794c_7630, // overlayfs
    0x8584_58f6, // ramfs
    0x9123_683e, // Btrfs
    0xca45_1a4e, // bcachefs
    0xf2f5_2010, // F2FS
];

/// The directories that a worker has looked at lately.
#[derive(Default)]
pub(super) struct Directories {
    seen: HashMap<Key, DirectoryState, foldhash::fast::RandomState>,
    weight: usize,
}

/// The state of a directory at one moment.
#[derive(Clone, Copy)]
pub(super) struct DirectoryState {
    /// `None` if the state proves nothing.
    pub(super) identity: Option<Identity>,
    pub(super) at: Instant,
}

impl Directories {
    /// The state of the directory in which `path` (which begins with `/`) names a file, not older
    /// than `period`.
    pub(super) fn of(
        &mut self,
        (handler, root): (u64, &Root),
        path: &[u8],
        now: Instant,
        period: Duration,
    ) -> DirectoryState {
        let path = directory_of(path);
        match self.seen.get(&BorrowedKey { handler, path }) {
            Some(seen) if now.duration_since(seen.at) < period => *seen,
            _ => {
                let identity = look_at(root, path, SystemTime::now()).ok().flatten();
                let seen = DirectoryState { identity, at: now };
                self.remember(Key::new(handler, path), seen);
                seen
            }
        }
    }

    fn remember(&mut self, key: Key, seen: DirectoryState) {
        let added = DIRECTORY + key.weight();
        if self.weight + added > CAPACITY {
            self.seen = HashMap::default();
            self.weight = 0;
        }
        if self.seen.insert(key, seen).is_none() {
            self.weight += added;
        }
    }
}

impl DirectoryState {
    /// Whether another look would have found `file` at that moment.
    pub(super) fn confirms(&self, root: &Root, file: &CachedFile) -> bool {
        let is_as_it_was = |(coding, identity)| {
            let path = coded_path(file.path(), coding);
            let state = root.place(&path).and_then(|it| Ok(rustix::fs::fstat(it)?));
            state.is_ok_and(|state| {
                Kind::of(&state) == Kind::File && Identity::of(&state) == identity
            })
        };
        self.identity.is_some()
            && self.identity == file.directory()
            && file.identities().all(is_as_it_was)
    }
}

/// The path beneath the root of the directory that holds the file: `a` for `/a/b`, and `a/b` for
/// `/a/b/`, where its index file is.
fn directory_of(path: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'/', path).unwrap_or(0);
    path.get(1..end).unwrap_or_default()
}

/// Looks at a directory; `None` if its change time will not show all changes to come.
fn look_at(root: &Root, path: &[u8], now: SystemTime) -> io::Result<Option<Identity>> {
    let directory = root.place(path)?;
    let identity = Identity::of_open(directory.as_fd())?;
    let file_system = rustix::fs::fstatfs(&directory)?.f_type;
    let tells = TELLING.contains(&(file_system as u32)) && is_settled(identity, now);
    Ok(tells.then_some(identity))
}

/// Whether any change from `now` on will show in the change time.
fn is_settled(identity: Identity, now: SystemTime) -> bool {
    now.duration_since(identity.changed_time())
        .is_ok_and(|rested| rested >= SETTLED)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::model::{Files, Links};
    use crate::disk::beneath::Waiting;
    use crate::handlers::files::look::{FilesRoute, Look, Outcome};
    use crate::test_support::TemporaryDirectory;

    /// A time long after any change.
    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(3600)
    }

    fn open_root(path: &Path) -> Root {
        Root::open(path, &Links::Inside, Waiting::Allowed).expect("it is there")
    }

    fn state(root: &Root, directory: &[u8]) -> DirectoryState {
        let identity = look_at(root, directory, later()).ok().flatten();
        DirectoryState {
            identity,
            at: Instant::now(),
        }
    }

    fn load(tree: &TemporaryDirectory, root: &Arc<Root>, path: &str) -> CachedFile {
        let options = Files::beneath(tree.path().to_owned());
        let look = Look {
            route: Arc::new(FilesRoute::new(&options)),
            root: Some(Arc::clone(root)),
            path: path.as_bytes().to_vec(),
            directory: state(root, directory_of(path.as_bytes())).identity,
            known: Vec::new(),
        };
        match look.run(Waiting::Allowed).expect("no error").outcome {
            Outcome::File(loaded) => loaded.into_cached(&options),
            _ => panic!("{path} is no file"),
        }
    }

    /// Waits until a change would have another time than the last one.
    fn wait_for_the_clock(tree: &TemporaryDirectory) {
        let changed = || {
            tree.write("elsewhere/clock", b"x");
            let metadata = fs::metadata(tree.path().join("elsewhere/clock"));
            metadata
                .map(|it| (it.ctime(), it.ctime_nsec()))
                .expect("just written")
        };
        let before = changed();
        while changed() == before {}
    }

    #[test]
    fn any_change_that_could_matter_is_noticed() {
        type Change = fn(&Path) -> io::Result<()>;
        let rows: [(&str, bool, Change); 12] = [
            ("nothing", true, |_| Ok(())),
            ("a change elsewhere", true, |at| {
                fs::write(at.join("a/new"), "")
            }),
            ("another file in the directory", false, |at| {
                fs::write(at.join("a/b/new"), "")
            }),
            ("the file, in place", false, |at| {
                fs::write(at.join("a/b/f.css"), "y")
            }),
            ("its permissions", false, |at| {
                fs::set_permissions(at.join("a/b/f.css"), fs::Permissions::from_mode(0o600))
            }),
            ("the file, replaced", false, |at| {
                fs::rename(at.join("a/g.css"), at.join("a/b/f.css"))
            }),
            ("the file, removed", false, |at| {
                fs::remove_file(at.join("a/b/f.css"))
            }),
            ("a coding, in place", false, |at| {
                fs::write(at.join("a/b/f.css.gz"), "y")
            }),
            ("a coding, removed", false, |at| {
                fs::remove_file(at.join("a/b/f.css.gz"))
            }),
            ("a coding that appears", false, |at| {
                fs::write(at.join("a/b/f.css.br"), "y")
            }),
            ("the directory, swapped", false, |at| {
                fs::rename(at.join("a/b"), at.join("a/c"))?;
                fs::create_dir(at.join("a/b"))?;
                fs::hard_link(at.join("a/c/f.css"), at.join("a/b/f.css"))
            }),
            ("a directory above, now a link", false, |at| {
                fs::rename(at.join("a"), at.join("c"))?;
                symlink("c", at.join("a"))
            }),
        ];
        for (title, unchanged, change) in rows {
            let tree = TemporaryDirectory::new("unchanged");
            for file in ["a/g.css", "a/b/f.css", "a/b/f.css.gz"] {
                tree.write(file, b"x");
            }
            let root = Arc::new(open_root(tree.path()));
            let file = load(&tree, &root, "/a/b/f.css");
            wait_for_the_clock(&tree);
            change(tree.path()).expect(title);
            let confirms = state(&root, b"a/b").confirms(&root, &file);
            assert_eq!(confirms, unchanged, "{title}");
        }
    }

    #[test]
    fn confirms_only_where_names_decide() {
        let tree = TemporaryDirectory::new("names");
        for file in [
            "f.css",
            "d/index.html",
            "i.png",
            "g.css",
            "h.css",
            "target",
            "h.css.br/x",
        ] {
            tree.write(file, b"x");
        }
        for (link, target) in [("l.css", "target"), ("g.css.br", "nowhere"), ("e", "d")] {
            symlink(target, tree.path().join(link)).expect("a link");
        }
        let root = Arc::new(open_root(tree.path()));
        for (path, confirms, why) in [
            ("/f.css", true, "plain"),
            ("/d/", true, "an index file"),
            (
                "/i.png",
                false,
                "no other name was looked at: a look costs as little",
            ),
            ("/l.css", false, "a link"),
            (
                "/g.css",
                false,
                "a coding that is a link to what may appear elsewhere",
            ),
            ("/h.css", false, "a coding that is something else"),
            ("/e/", false, "a directory that is a link"),
        ] {
            let file = load(&tree, &root, path);
            let seen = state(&root, directory_of(path.as_bytes()));
            assert_eq!(seen.confirms(&root, &file), confirms, "{path}: {why}");
        }
    }

    #[test]
    fn a_directory_has_to_rest() {
        let identity = |changed| Identity {
            device: 1,
            inode: 1,
            size: 1,
            modified: (0, 0),
            changed,
        };
        for (changed, now, settled) in [
            ((100, 0), 100, false),
            ((100, 0), 101, false),
            ((100, 0), 102, true),
            ((100, 1), 102, false),
            ((100, 0), 99, false),
        ] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            assert_eq!(
                is_settled(identity(changed), now),
                settled,
                "{changed:?} {now:?}"
            );
        }
    }

    #[test]
    fn a_look_at_a_directory_lasts_a_period() {
        let tree = TemporaryDirectory::new("looks");
        let root = open_root(tree.path());
        let (mut directories, now) = (Directories::default(), Instant::now());
        let second = Duration::from_secs(1);
        let mut at = |now| directories.of((1, &root), b"/f", now, second).at;
        assert_eq!(at(now), now);
        assert_eq!(at(now + second / 2), now);
        assert_eq!(at(now + second), now + second);
    }

    #[test]
    fn remembers_no_more_than_fits() {
        let tree = TemporaryDirectory::new("bounded");
        let root = open_root(tree.path());
        let mut directories = Directories::default();
        let long = "x".repeat(2000);
        for number in 0..1000 {
            let path = format!("/{number}{long}/f");
            let (now, period) = (Instant::now(), Duration::from_secs(1));
            directories.of((1, &root), path.as_bytes(), now, period);
            assert!(directories.seen.len() * long.len() <= CAPACITY);
        }
    }

    #[test]
    fn a_path_names_a_file_in_a_directory() {
        for (path, directory) in [
            ("/", ""),
            ("/f", ""),
            ("/a/", "a"),
            ("/a/f", "a"),
            ("/a/b/", "a/b"),
            ("/a/b/f", "a/b"),
        ] {
            assert_eq!(
                directory_of(path.as_bytes()),
                directory.as_bytes(),
                "{path}"
            );
        }
    }
}
