//! The archives of a directory, as tar, unzip and Python read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::{Directory, Server, Site, ended_with, pattern};

/// When the files were changed last, in seconds since 1970: an even number, as zip has it.
const CHANGED: u64 = 1_795_391_650;

/// Files whose names and sizes are what archives stumble over, and their contents.
fn files() -> BTreeMap<String, Vec<u8>> {
    let long = "d".repeat(200);
    [
        ("plain.txt".to_owned(), b"plain".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
        (
            "gr\u{fc}n \u{6f6e}/\u{1f30a}.txt".to_owned(),
            b"tide".to_vec(),
        ),
        (
            format!("{long}/{long}/{}", "f".repeat(250)),
            b"deep".to_vec(),
        ),
        ("a..b/c.tar.gz".to_owned(), pattern(1, 700_000)),
        ("large.bin".to_owned(), pattern(7, 3_000_000)),
        ("512.bin".to_owned(), pattern(3, 512)),
    ]
    .into()
}

fn server() -> Server {
    let mut site = Site::new("'/' = { files = 'www', listing = true, archive = true }");
    for (name, content) in files() {
        site = site.file(&name, content);
        let path = site.directory().join("www").join(&name);
        let file = std::fs::File::options().append(true).open(path);
        let changed = UNIX_EPOCH + Duration::from_secs(CHANGED);
        file.and_then(|file| file.set_modified(changed))
            .expect("it is ours");
    }
    std::fs::create_dir(site.directory().join("www/nothing")).expect("it is new");
    site.start()
}

/// Has curl load the archive of that form into the server's directory.
fn load(server: &Server, form: &str) {
    let url = format!("http://{}/?archive={form}", server.address());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "-OJ", &url])
        .current_dir(server.directory().path());
    ended_with(0, &curl.output().expect("curl is installed"));
}

/// Runs a command in the server's directory. Returns what it says.
fn run(server: &Server, command: &str) -> String {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env("LC_ALL", "C.UTF-8")
        .current_dir(server.directory().path());
    ended_with(0, &shell.output().expect("a shell"))
}

/// Holds what was unpacked to what was packed.
fn hold(directory: &Directory, unpacked: &str) {
    let root = directory.join(unpacked);
    for (name, content) in files() {
        let path = root.join("files").join(&name);
        assert!(
            std::fs::read(&path).expect("it was unpacked") == content,
            "{name}"
        );
        assert_eq!(changed(&path), CHANGED, "{name}");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &path.metadata().expect("it is there").permissions(),
        );
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }
    assert!(root.join("files/nothing").is_dir());
}

fn changed(path: &Path) -> u64 {
    let changed = path
        .metadata()
        .and_then(|it| it.modified())
        .expect("it is there");
    changed
        .duration_since(UNIX_EPOCH)
        .expect("it is later")
        .as_secs()
}

#[test]
fn tar_unpacks_what_was_packed() {
    let server = server();
    load(&server, "tar.gz");
    let listed = run(&server, "tar -tzf files.tar.gz");
    assert!(
        listed.contains("files/gr\u{fc}n \u{6f6e}/\u{1f30a}.txt") || listed.contains("files/gr\\"),
        "{listed}"
    );
    run(&server, "mkdir out && tar -xzf files.tar.gz -C out");
    hold(server.directory(), "out");
    let names = "import tarfile; t = tarfile.open('files.tar.gz'); print(sorted(m.name for m in t if m.isfile()))";
    let names = run(&server, &format!("python3 -c \"{names}\""));
    for name in files().keys() {
        assert!(
            names.contains(&format!("'files/{name}'")),
            "{name}: {names}"
        );
    }
}

#[test]
fn unzip_and_python_unpack_what_was_packed() {
    let server = server();
    load(&server, "zip");
    run(&server, "unzip -tq files.zip");
    run(&server, "mkdir out && TZ=UTC unzip -q files.zip -d out");
    hold(server.directory(), "out");
    let test = "import zipfile; z = zipfile.ZipFile('files.zip'); print(z.testzip(), sorted(z.namelist()))";
    let told = run(&server, &format!("python3 -c \"{test}\""));
    assert!(told.starts_with("None "), "{told}");
    for name in files().keys() {
        assert!(told.contains(&format!("'files/{name}'")), "{name}: {told}");
    }
}
