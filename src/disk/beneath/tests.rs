use std::path::Path;

use super::*;
use crate::disk::absence::Absence;
use crate::disk::barrier::Barrier;
use crate::test_support::TemporaryDirectory;

/// A tree with links of every kind in `root`. `TREE` in a target stands for the path of the tree.
fn tree(name: &str) -> TemporaryDirectory {
    let tree = TemporaryDirectory::new(name);
    tree.write("outside.txt", b"secret");
    tree.write("shared/dir/s.txt", b"s");
    tree.write("root/a/b.txt", b"b");
    for (link, target) in [
        ("root/in", "a/b.txt"),
        ("root/dir", "a"),
        ("root/up", "a/../a/b.txt"),
        ("root/slash", "a/"),
        ("root/file-slash", "a/b.txt/"),
        ("root/absolute", "TREE/root/a/b.txt"),
        ("root/absolute-dir", "TREE/root/a"),
        ("root/around", "../root/a/b.txt"),
        ("root/through-alias", "TREE/alias/a/b.txt"),
        ("root/self", "TREE/root"),
        ("root/chain", "absolute-dir/b.txt"),
        ("root/out", "../outside.txt"),
        ("root/out-absolute", "/etc/passwd"),
        ("root/out-dir", ".."),
        ("root/slash-alone", "/"),
        ("root/shared", "../shared"),
        ("root/shared-absolute", "TREE/shared/dir"),
        ("root/sibling", "../rootless"),
        ("root/circle", "circle"),
        ("root/dangling", "nowhere"),
        ("root/dangling-absolute", "TREE/root/nowhere"),
        ("root/magic", "/proc/self/root/etc/passwd"),
        ("alias", "root"),
    ] {
        let target = target.replace("TREE", &tree.path().display().to_string());
        std::os::unix::fs::symlink(target, tree.path().join(link)).expect("a link");
    }
    tree.write("rootless/x.txt", b"x");
    tree
}

fn root(tree: &TemporaryDirectory, links: &Links) -> Root {
    Root::open(&tree.path().join("root"), links, Waiting::Allowed).expect("the root is there")
}

/// Opens `path` in one call where the kernel can, and by a walk alone. Both must agree.
fn opens(root: &Root, path: &str) -> bool {
    let path = path.as_bytes();
    let opened = root.open_beneath(path, Waiting::Allowed);
    let walked = walk::open(root, path, OFlags::RDONLY | OFlags::NONBLOCK);
    assert_eq!(
        opened.as_ref().map(|it| it.through_link).ok(),
        walked.as_ref().map(|(_, through_link)| *through_link).ok(),
        "{path:?}: {opened:?} {walked:?}"
    );
    opened.is_ok()
}

#[test]
fn what_links_lead_to_depends_on_the_route() {
    let tree = tree("links");
    let shared = tree.path().join("shared");
    let policies = [
        Links::None,
        Links::Inside,
        Links::Also(vec![shared, tree.path().join("missing")]),
        Links::Anywhere,
    ];
    let roots = policies.map(|links| root(&tree, &links));
    for (path, expected) in [
        // none, inside, also, anywhere
        ("a/b.txt", [true, true, true, true]),
        ("", [true, true, true, true]),
        ("in", [false, true, true, true]),
        ("dir/b.txt", [false, true, true, true]),
        ("up", [false, true, true, true]),
        ("slash", [false, true, true, true]),
        ("slash/b.txt", [false, true, true, true]),
        ("absolute", [false, true, true, true]),
        ("absolute-dir/b.txt", [false, true, true, true]),
        ("around", [false, true, true, true]),
        ("through-alias", [false, true, true, true]),
        ("self", [false, true, true, true]),
        ("self/self/a/b.txt", [false, true, true, true]),
        ("chain", [false, true, true, true]),
        ("shared", [false, false, true, true]),
        ("shared/dir/s.txt", [false, false, true, true]),
        ("shared-absolute/s.txt", [false, false, true, true]),
        ("out", [false, false, false, true]),
        ("out-absolute", [false, false, false, true]),
        ("out-dir", [false, false, false, true]),
        ("out-dir/root/a/b.txt", [false, false, false, true]),
        ("slash-alone", [false, false, false, true]),
        ("sibling/x.txt", [false, false, false, true]),
        ("circle", [false; 4]),
        ("dangling", [false; 4]),
        ("file-slash", [false; 4]),
        ("in/x", [false; 4]),
        ("../outside.txt", [false; 4]),
        ("a/../../outside.txt", [false; 4]),
        ("missing", [false; 4]),
        ("a/b.txt/", [false; 4]),
        ("nul\0", [false; 4]),
    ] {
        let found = roots.each_ref().map(|root| opens(root, path));
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn a_swapped_root_and_a_root_that_is_a_link() {
    let tree = tree("swapped");
    let alias = Root::open(&tree.path().join("alias"), &Links::Inside, Waiting::Allowed)
        .expect("links on the way to a root are followed");
    for path in ["a/b.txt", "absolute", "around", "through-alias"] {
        assert!(opens(&alias, path), "{path}");
    }
    assert!(!opens(&alias, "out"));
}

#[test]
fn says_which_component_stands_in_the_way() {
    let tree = tree("barriers");
    let at = |path: &str| format!("`{}`", tree.path().join(path).display());
    for (links, path, component, words, absence) in [
        (
            Links::Inside,
            "out-absolute",
            "root/out-absolute",
            "leads out",
            Absence::Outside,
        ),
        (
            Links::Inside,
            "shared/dir/s.txt",
            "root/shared",
            "leads out",
            Absence::Outside,
        ),
        (
            Links::Inside,
            "self/out-dir/x",
            "root/self/out-dir",
            "leads out",
            Absence::Outside,
        ),
        (
            Links::Inside,
            "dangling",
            "root/dangling",
            "not there",
            Absence::NameMissing,
        ),
        (
            Links::Inside,
            "dangling-absolute",
            "root/dangling-absolute",
            "not there",
            Absence::NameMissing,
        ),
        (
            Links::None,
            "dir/b.txt",
            "root/dir",
            "none is followed",
            Absence::Outside,
        ),
    ] {
        let error = root(&tree, &links).open_beneath(path.as_bytes(), Waiting::Allowed);
        let error = error.expect_err(path);
        assert_eq!(Absence::of(&error), Some(absence), "{path}");
        let text = Barrier::of(&error).expect(path).to_string();
        assert!(
            text.contains(&at(component)) && text.contains(words),
            "{path}: {text}"
        );
    }
}

/// Names change while they are walked: a link turns, and a directory is a link to elsewhere for a moment.
/// Whatever is opened, it is the file beneath the root.
#[test]
fn nothing_outside_is_opened_while_names_change() {
    let tree = TemporaryDirectory::new("races");
    tree.write("outside/b.txt", b"secret");
    tree.write("root/a/b.txt", b"b");
    let at = |name: &str| tree.path().join(name);
    let root = root(&tree, &Links::Inside);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let turn = |name: &str, target: &Path| {
        std::os::unix::fs::symlink(target, at("next")).expect("a link");
        std::fs::rename(at("next"), at(name)).expect("it takes its place");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                turn("root/link", &at("root/a"));
                turn("root/link", &at("outside"));
                std::fs::rename(at("root/a"), at("root/moved")).expect("it is ours");
                turn("root/a", &at("outside"));
                std::fs::remove_file(at("root/a")).expect("it is a link");
                std::fs::rename(at("root/moved"), at("root/a")).expect("it is ours");
            }
        });
        let mut opened = 0;
        while opened < 2_000 {
            for path in ["link/b.txt", "a/b.txt"] {
                if let Ok((fd, _)) = walk::open(&root, path.as_bytes(), OFlags::RDONLY) {
                    let content = std::io::read_to_string(std::fs::File::from(fd));
                    assert_eq!(content.expect("text"), "b", "{path}");
                    opened += 1;
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_walk_is_never_made_on_the_loop() {
    let tree = tree("waiting");
    let root = root(&tree, &Links::Inside);
    for path in ["absolute", "out", "circle"] {
        let error = root.open_beneath(path.as_bytes(), Waiting::Never);
        let kind = error.expect_err(path).kind();
        assert_eq!(kind, io::ErrorKind::WouldBlock, "{path}");
    }
}

#[test]
fn a_place_is_found_without_links() {
    let tree = tree("places");
    let root = root(&tree, &Links::Anywhere);
    for (path, found) in [
        ("a/b.txt", None),
        ("", None),
        ("in", Some(Errno::LOOP)),
        ("dir/b.txt", Some(Errno::LOOP)),
        ("missing", Some(Errno::NOENT)),
    ] {
        // What the kernel has just been asked for is in memory.
        let _ = root.find(path.as_bytes(), Waiting::Allowed);
        let error = root.place(path.as_bytes()).err();
        assert_eq!(
            error.and_then(|error| Errno::from_io_error(&error)),
            found,
            "{path}"
        );
    }
}

#[test]
fn dotfiles_are_hidden() {
    for (path, hidden) in [
        ("/", false),
        ("/a.b", false),
        ("/.git/config", true),
        ("/a/.env", true),
        ("/.well-known", false),
        ("/.well-known/acme", false),
        ("/.well-known/.secret", true),
        ("/.well-knownish", true),
        ("/a/.well-known/b", true),
    ] {
        assert_eq!(is_hidden(path.as_bytes()), hidden, "{path}");
    }
}

#[test]
fn tells_what_it_opened() {
    let tree = tree("kinds");
    let root = root(&tree, &Links::Inside);
    let open = |path: &[u8]| {
        root.open_beneath(path, Waiting::Allowed)
            .expect("it is there")
    };
    let file = open(b"a/b.txt");
    assert_eq!((file.kind, file.identity.size), (Kind::File, 1));
    assert_eq!(open(b"a").kind, Kind::Directory);
    assert_eq!(
        root.find(b"dir", Waiting::Allowed).expect("a link").0,
        Kind::Directory
    );
    tree.write("root/a/b.txt", b"changed");
    assert_ne!(open(b"a/b.txt").identity, file.identity);
}
