//! What the server keeps of files, and for how long: descriptors, content, validators.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::cgi::script;
use crate::fastcgi::{HELLO, Peer};
use crate::support::{Client, Server, Site, Upstream, until};

/// Larger than what the cache keeps in memory.
const LARGE: usize = 70_000;

/// A site in which `count` names lead to one large file.
fn many_large_files(site: Site, count: usize) -> Site {
    let site = site.file("0.bin", vec![b'x'; LARGE]);
    let www = site.directory().join("www");
    for number in 1..count {
        let name = www.join(format!("{number}.bin"));
        fs::hard_link(www.join("0.bin"), name).expect("the name is free");
    }
    site
}

/// How many descriptors of the server lead to a path that ends in `name`.
fn open_files(server: &Server, name: &str) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fd", server.id())).expect("the server runs");
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let is_it = |target: &std::path::PathBuf| {
        let target = target.to_string_lossy();
        target.trim_end_matches(" (deleted)").ends_with(name)
    };
    targets.filter(is_it).count()
}

fn get(client: &mut Client, target: &str) -> u16 {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    client.exchange(request).status
}

/// One client that fetched more large files than the server may have descriptors was answered 503 from
/// then on, like all other clients, and no reload was possible, until the server was started again:
/// the cache kept every file open.
#[test]
fn large_files_leave_descriptors_for_everything_else() {
    let site = Site::new("'/' = { files = 'www' }");
    let site = site.top("workers = 2").descriptors(128);
    let server = many_large_files(site, 300).start();
    let mut client = server.connect();
    for number in 0..300 {
        assert_eq!(get(&mut client, &format!("/{number}.bin")), 200, "{number}");
    }
    assert!(open_files(&server, ".bin") <= 32, "a quarter of the limit");
    let reloaded = server.command_line(&["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
}

/// When connections take the descriptors, the files that the cache keeps open go at once.
#[test]
fn a_shortage_of_descriptors_closes_what_is_only_kept() {
    let site = Site::new("'/' = { files = 'www', revalidate = '1h' }");
    let site = site.top("workers = 1").descriptors(64);
    let server = many_large_files(site, 20).start();
    let mut client = server.connect();
    for number in 0..12 {
        assert_eq!(get(&mut client, &format!("/{number}.bin")), 200, "{number}");
    }
    assert_eq!(open_files(&server, ".bin"), 12);
    let mut clients = Vec::new();
    until("as many connections as fit", || {
        let mut next = server.connect();
        next.send("GET /0.bin HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(next.response().status, 200);
        clients.push(next);
        (open_files(&server, ".bin") < 12).then_some(())
    });
    assert_eq!(get(&mut client, "/15.bin"), 200);
}

/// A script, a directory and an upstream got 503 until the cache had been told, a second later.
#[test]
fn files_that_are_kept_open_give_way_to_whatever_needs_a_descriptor() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let site = Site::new(&format!(
        "'/' = {{ files = 'www', revalidate = '1h' }}\n\
         '/list' = {{ files = 'www', strip_prefix = true, listing = true, archive = 'zip' }}\n\
         '/php' = {{ fastcgi = 'unix:php.sock', root = 'php' }}\n\
         '/cgi' = {{ cgi = 'scripts' }}\n\
         '/app' = {{ proxy = 'http://{}' }}",
        upstream.address()
    ));
    script(
        site.directory(),
        "hello",
        "echo 'Content-Type: text/plain'; echo; echo hello",
    );
    site.directory().write("php/a.php", "the source");
    let peer = Peer::at(&site);
    let server = many_large_files(site.top("workers = 1"), 8).start();
    let mut client = server.connect();
    thread::scope(|scope| {
        let answers = scope.spawn(|| peer.answer(HELLO));
        for target in [
            "/list/",
            "/list/?archive=zip",
            "/php/a.php",
            "/cgi/hello",
            "/app",
        ] {
            for number in 0..8 {
                assert_eq!(get(&mut client, &format!("/{number}.bin")), 200);
            }
            let restore = server.allow_no_more_files();
            assert_eq!(get(&mut client, target), 200, "{target}");
            restore();
        }
        answers.join().expect("the application server was asked");
    });
}

/// A large file that was deleted stayed open, and its octets on the disk, as long as the server ran.
#[test]
fn a_deleted_file_is_closed() {
    let site = Site::new("'/' = { files = 'www', revalidate = '1h' }");
    let server = many_large_files(site, 1).start();
    assert_eq!(server.get("/0.bin").status, 200);
    assert_eq!(open_files(&server, "0.bin"), 1);
    fs::remove_file(server.directory().join("www/0.bin")).expect("it is ours");
    until("the file is closed", || {
        server.status();
        (open_files(&server, "0.bin") == 0).then_some(())
    });
}

/// A large file that was overwritten in place was sent, for as long as `revalidate`, with the old
/// length and the old entity tag but its new octets, and browsers kept the broken script.
#[test]
fn a_large_file_that_is_overwritten_in_place_is_sent_in_one_state() {
    let site = Site::new("'/' = { files = 'www', revalidate = '1h' }");
    let server = site.file("a.js", vec![b'a'; 300_000]).start();
    let old = server.get("/a.js");
    let old_tag = old.field("ETag").expect("a file has one").to_owned();
    let path = server.directory().join("www/a.js");
    for (octet, length) in [(b'b', 200_000), (b'c', 200_000), (b'd', 400_000)] {
        fs::write(&path, vec![octet; length]).expect("it is ours");
        let new = server.get("/a.js");
        assert!(new.content.iter().all(|found| *found == octet));
        assert_eq!(new.content.len(), length);
        let tag = new.field("ETag").expect("a file has one").to_owned();
        assert_ne!(tag, old_tag);
        fs::write(&path, vec![octet + 100; 300_000]).expect("it is ours");
        let part = server.get_with("/a.js", "Range: bytes=5-9\r\n");
        assert_eq!(part.field("Content-Range"), Some("bytes 5-9/300000"));
        assert_eq!(part.content, vec![octet + 100; 5]);
        fs::write(&path, vec![octet + 50; length * 2]).expect("it is ours");
        let request = format!("GET /a.js HTTP/1.1\r\nHost: h\r\nIf-None-Match: {tag}\r\n\r\n");
        assert_eq!(server.answer(request).status, 200);
        fs::write(&path, vec![octet + 51; 250_000]).expect("it is ours");
        let mut client = server.connect();
        client.send("HEAD /a.js HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response_to_head().content_length(), Some(250_000));
    }
}

/// Images of Nix, Bazel and reproducible builds give every file the same time. After a deployment, a
/// client with a file of the same size was told that it still had it, and a download that was resumed
/// put old and new content together.
#[test]
fn files_of_one_time_and_one_size_are_told_apart() {
    let server = Site::of_files().file("a.js", "old").start();
    let path = server.directory().join("www/a.js");
    for seconds in [0, 1, 315_532_800, 1_700_000_000] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let deploy = |content: &str| {
            server.directory().replace("www/a.js", content);
            let file = fs::File::options().write(true).open(&path);
            let set = file.and_then(|file| file.set_modified(time));
            set.expect("it is ours");
        };
        deploy("old");
        let old = server.get("/a.js");
        assert_eq!(old.text(), "old", "{seconds}");
        let tag = old.field("ETag").expect("a file has one").to_owned();
        let date = old.field("Last-Modified").map(str::to_owned);
        assert_eq!(date.is_some(), seconds > 315_532_800, "{seconds}");
        let again = server.get_with("/a.js", &format!("If-None-Match: {tag}\r\n"));
        assert_eq!(again.status, 304, "{seconds}");
        deploy("new");
        let new = server.get_with("/a.js", &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((new.status, &*new.text()), (200, "new"), "{seconds}");
        for validator in [Some(tag), date].into_iter().flatten() {
            let lines = format!("Range: bytes=1-\r\nIf-Range: {validator}\r\n");
            let resumed = server.get_with("/a.js", &lines);
            assert_eq!(
                (resumed.status, &*resumed.text()),
                (200, "new"),
                "{validator}"
            );
        }
    }
}
