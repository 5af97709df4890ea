//! What the machine does not do: a read that fails, a thread and a descriptor that it does not give, room that
//! is taken.

use std::process::Command;

use rustix::io::Errno;
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::{expect, site};
use crate::cgi::script;
use crate::support::{Site, refuse, speak_plainly};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// The driver of the loopback device has no speed: the system opens the file that would tell it, says that it
/// has 4096 octets, and fails to read it.
#[test]
fn a_file_whose_read_fails() {
    let device = "/sys/class/net/lo";
    assert!(
        std::fs::read(format!("{device}/speed")).is_err(),
        "this system reads the file, or has none"
    );
    let server = site(&format!("'/' = {{ files = '{device}' }}")).start();
    let response = server.answer(get("/speed"));
    assert_eq!(response.status, 500);
    assert!(!response.text().contains(device), "clients see no path");
    expect(&server, "file_unreadable", 500);
    server.wait_for_line(|line| line.contains("/speed") && line.contains("Invalid argument"));
}

/// Has the system count the server's threads under a user of their own, so that their number can be limited;
/// root's never is. The server may read what root may.
fn as_a_user_of_its_own(site: Site) -> Site {
    if !rustix::process::geteuid().is_root() {
        return site;
    }
    let kept = "-all,+dac_override,+dac_read_search";
    site.started_by(&format!(
        "exec setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps={kept} --ambient-caps={kept} \
         --bounding-set={kept}"
    ))
}

/// Has the system give the process no further thread. A user may lower the limits of its own processes; root may
/// lower those of others only with a capability that containers take away.
fn allow_no_more_threads(process: u32) {
    let (is_root, id) = (rustix::process::geteuid().is_root(), process.to_string());
    let as_its_user = [
        "setpriv",
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
    ];
    let lower = ["prlimit", "--nproc=1:1", "--pid", &id];
    let words = if is_root {
        [&as_its_user[..], &lower].concat()
    } else {
        lower.to_vec()
    };
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(status.expect("util-linux is there").success());
}

/// The content is too large for memory, and the system gives the server no thread that could write it to the
/// disk. A queue that is full is the same to the client.
#[test]
fn content_for_which_there_is_no_thread() {
    let site = site("'/' = { cgi = 'scripts', script = 'script' }").file("x", "");
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    script(
        site.directory(),
        "script",
        "printf 'Content-Type: a/b\\n\\nok'\n",
    );
    let server = as_a_user_of_its_own(site).start();
    allow_no_more_threads(server.id());
    let length = 64 * 1024;
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{}",
        "x".repeat(length)
    ));
    let response = client.response();
    assert_eq!(response.status, 503);
    assert!(response.field("Retry-After").is_some());
    expect(&server, "content_queue_full", 503);
    server.wait_for_line(|line| line.contains("the system gives it none"));
}

/// To look for a script, to start it, to keep its content and to ask another server take descriptors, and
/// connections have taken them all. The lack is of this server, and passes: 503.
#[test]
fn scripts_that_no_descriptor_is_left_for() {
    // Without a descriptor there is no handshake either, and a client whose handshake fails gives its own back.
    speak_plainly();
    let site = site(
        "'/' = { cgi = 'scripts' }\n'= /' = { respond = 'ok' }\n\
         '/started' = { cgi = 'scripts', script = 'script' }\n\
         '/kept' = { cgi = 'scripts', script = 'script' }\n\
         '/searched' = { fastcgi = '127.0.0.1:9', root = 'www' }\n\
         '/asked' = { fastcgi = '127.0.0.1:9', root = 'www', script = 'x' }",
    );
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    script(
        site.directory(),
        "script",
        "printf 'Content-Type: a/b\\n\\nok'\n",
    );
    let server = site.file("a.php", "").descriptors(40).start();
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).status, 200);
    let greedy = server.take_all_descriptors();
    for (target, content, reason) in [
        ("/script", 0, "system_shortage"),
        ("/started", 0, "system_shortage"),
        // Too large for memory.
        ("/kept", 64 * 1024, "system_shortage"),
        ("/searched/a.php", 0, "system_shortage"),
        ("/asked", 0, "upstream_no_descriptor"),
    ] {
        let content = "x".repeat(content);
        let response = client.exchange(format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        ));
        assert_eq!(response.status, 503, "{target}");
        assert_eq!(response.field("Retry-After"), Some("1"), "{target}");
        let of_target = format!("\"target\":\"{target}\"");
        let record = server.wait_for_record(|record| record.contains(&of_target));
        assert!(record.contains(reason), "{target}: {record}");
    }
    drop(greedy);
}

/// The disk fails: here, in the look at each component of a path, which the server takes where it has no
/// `openat2`.
#[test]
fn a_script_that_cannot_be_looked_for() {
    let start = || {
        let flags = (libc::O_PATH | libc::O_NOFOLLOW) as u64;
        let (word, is_look) = (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flags));
        let look = SeccompCondition::new(2, word, is_look, flags).expect("a condition");
        let looks = vec![SeccompRule::new(vec![look]).expect("a rule")];
        refuse(libc::SYS_openat2, Vec::new(), Errno::NOSYS);
        refuse(libc::SYS_openat, looks, Errno::IO);
        let site = site("'/' = { cgi = 'scripts' }");
        std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
        script(
            site.directory(),
            "script",
            "printf 'Content-Type: a/b\\n\\nok'\n",
        );
        site.start()
    };
    // What is refused is refused to this thread and to what it starts.
    let server = std::thread::spawn(start).join().expect("the server starts");
    assert_eq!(server.get("/script").status, 502);
    expect(&server, "script_unreadable", 502);
}

/// Clients that read nothing hold as much of listings as there is room for: 256 MiB.
#[test]
fn a_listing_for_which_there_is_no_room() {
    let server = site("'/' = { files = 'www', listing = true }").start();
    // Each octet of a name takes nine in the page: `%22` in the link, and `&quot;`.
    let name = "\"".repeat(248);
    for number in 0..12_000 {
        let path = server.directory().join(format!("www/{number:07}{name}"));
        std::fs::File::create(path).expect("there is room for empty files");
    }
    // More than that, with the rest of each row: so fewer fit.
    let least = 12_000 * 9 * 248;
    let most = 256 * 1024 * 1024 / least;
    let mut readers = Vec::new();
    let refused = loop {
        let mut client = server.connect();
        // Another view each, or they would share one file.
        client.send(format!(
            "GET /?filter={} HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n",
            "%22".repeat(readers.len() + 1)
        ));
        let response = client.response_head();
        if response.status != 200 {
            break response;
        }
        readers.push(client);
        assert!(readers.len() <= most, "{most} of {least} octets fit");
    };
    assert_eq!(refused.status, 503);
    assert!(refused.field("Retry-After").is_some());
    assert!(readers.len() > most / 2, "{} fit", readers.len());
    expect(&server, "listing_no_room", 503);
}
