//! `tidegate run --watch`: a saved configuration is served, in whatever way an editor saves it.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Server, Site, speak_plainly};

fn configuration(text: &str) -> String {
    format!(
        "include = ['sites/*.toml']\n[log]\naccess = 'access.log'\n[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = {{ respond = '{text}' }}\n"
    )
}

/// Starts a server that watches its files, and answers `one`.
fn watching() -> Server {
    let site = Site::new("'/' = { respond = 'one' }").argument("--watch");
    site.directory().write("sites/README", "no file of ours");
    let server = site.log("access = 'access.log'").start();
    save_in_place(&server, &configuration("one"));
    wait_for_generation(&server, 2);
    server
}

fn save_in_place(server: &Server, text: &str) {
    server.directory().write("config.toml", text);
}

fn wait_for_generation(server: &Server, number: u32) {
    let sought = format!("reloaded: generation {number}");
    server.wait_for_line(|line| line.ends_with(&sought));
}

#[test]
fn a_file_that_is_written_or_replaced_is_read_again() {
    speak_plainly();
    let server = watching();
    assert_eq!(server.get("/").text(), "one");
    save_in_place(&server, &configuration("two"));
    wait_for_generation(&server, 3);
    assert_eq!(server.get("/").text(), "two");
    for (text, generation) in [("three", 4), ("four", 5)] {
        let configuration = configuration(text);
        server.directory().replace("config.toml", configuration);
        wait_for_generation(&server, generation);
        assert_eq!(server.get("/").text(), text);
    }
}

#[test]
fn a_bad_save_is_reported_and_watching_goes_on() {
    speak_plainly();
    let server = watching();
    save_in_place(&server, &configuration("two").replace("respond", "repsond"));
    server.wait_for_line(|line| line.contains("reload refused"));
    server.wait_for_line(|line| line.contains("unknown key `repsond`"));
    assert_eq!(server.get("/").text(), "one");
    save_in_place(&server, &configuration("three"));
    wait_for_generation(&server, 3);
    assert_eq!(server.get("/").text(), "three");
}

#[test]
fn a_file_that_an_include_asks_for_is_noticed_when_it_comes_changes_and_goes() {
    speak_plainly();
    let server = watching();
    let site = |text: &str| {
        format!(
            "[[server]]\nlisten = '127.0.0.1:0'\nhosts = ['new.test']\n[server.routes]\n'/' = {{ respond = '{text}' }}\n"
        )
    };
    let answer = || {
        let request = "GET / HTTP/1.1\r\nHost: new.test\r\n\r\n";
        server.answer(request).text()
    };
    let directory = server.directory();
    directory.write("sites/new.toml", site("new"));
    wait_for_generation(&server, 3);
    assert_eq!(answer(), "new");
    directory.write("sites/new.toml", site("newer"));
    wait_for_generation(&server, 4);
    assert_eq!(answer(), "newer");
    std::fs::remove_file(directory.join("sites/new.toml")).expect("it is there");
    wait_for_generation(&server, 5);
    assert_eq!(answer(), "one");
}

#[test]
fn other_files_beside_it_lead_to_no_reload() {
    speak_plainly();
    let server = watching();
    // The access log is in the same directory, and each exchange writes to it.
    assert_eq!(server.get("/").text(), "one");
    server.directory().write("sites/other.txt", "not asked for");
    save_in_place(&server, &configuration("two"));
    wait_for_generation(&server, 3);
    let lines = server.stop().0;
    let reloads = lines.iter().filter(|line| line.contains("reloaded:"));
    assert_eq!(reloads.count(), 2, "{lines:?}");
}

/// A server that watches `current/conf/config.toml`, where `current` is a link to `releases/1`.
fn watching_behind_a_link() -> Server {
    let site = Site::new("").argument("--watch");
    let directory = site.directory();
    directory.write("releases/1/conf/config.toml", configuration("one"));
    directory.write("releases/2/conf/config.toml", configuration("two"));
    symlink("releases/1", directory.join("current")).expect("the directory is ours");
    site.run_from("current/conf/config.toml").start()
}

/// A deployment puts a link further up in the place of another, and names no file: nothing was noticed,
/// and edits below the new link were missed as well.
#[test]
fn a_link_further_up_is_followed_when_it_is_replaced() {
    let server = watching_behind_a_link();
    assert_eq!(server.get("/").text(), "one");
    let directory = server.directory();
    symlink("releases/2", directory.join("next")).expect("the directory is ours");
    std::fs::rename(directory.join("next"), directory.join("current")).expect("both are there");
    wait_for_generation(&server, 2);
    assert_eq!(server.get("/").text(), "two");
    directory.write("releases/2/conf/config.toml", configuration("three"));
    wait_for_generation(&server, 3);
    assert_eq!(server.get("/").text(), "three");
    // Nothing depends on the first release any longer.
    directory.write("releases/1/conf/config.toml", configuration("four"));
    directory.write("current/conf/config.toml", configuration("five"));
    wait_for_generation(&server, 4);
    assert_eq!(server.get("/").text(), "five");
}

/// The directory of the configuration is renamed, then removed, and each time made again: later edits
/// were missed, because the system went on reporting the old one.
#[test]
fn a_directory_that_is_made_again_is_watched_again() {
    let server = watching_behind_a_link();
    let directory = server.directory();
    let conf = directory.join("releases/1/conf");
    let gone = |line: &str| line.contains("there is no configuration file");
    std::fs::rename(&conf, directory.join("releases/1/old")).expect("it is there");
    server.wait_for_line(gone);
    directory.write("releases/1/conf/config.toml", configuration("two"));
    wait_for_generation(&server, 2);
    std::fs::remove_dir_all(&conf).expect("it is there");
    directory.write("releases/1/conf/config.toml", configuration("three"));
    wait_for_generation(&server, 3);
    directory.write("releases/1/conf/config.toml", configuration("four"));
    wait_for_generation(&server, 4);
    assert_eq!(server.get("/").text(), "four");
}

/// A refused reload left the files watched that were watched before: the one that was named for the first
/// time could be mended or made, and the server did not notice.
#[test]
fn a_file_that_was_named_in_a_refused_reload_is_watched() {
    speak_plainly();
    let server = watching();
    let included = configuration("two").replace("['sites/*.toml']", "['new.toml']");
    save_in_place(&server, &included);
    server.wait_for_line(|line| line.contains("there is no file"));
    let directory = server.directory();
    directory.write("new.toml", "nonsense");
    server.wait_for_line(|line| line.contains("1 | nonsense"));
    directory.write("new.toml", "# nothing\n");
    wait_for_generation(&server, 3);
    assert_eq!(server.get("/").text(), "two");
}

/// A deployment may save the configuration before what it names: the reload was refused, and not tried again.
#[test]
fn a_refused_reload_is_tried_again_when_what_was_missing_comes() {
    speak_plainly();
    let server = watching();
    let further = "'/d' = { files = 'd' }\n'/e' = { echo = true, auth = { basic = 'users' } }\n";
    save_in_place(&server, &(configuration("two") + further));
    server.wait_for_line(|line| line.contains("there is no directory"));
    let directory = server.directory();
    std::fs::create_dir(directory.join("d")).expect("the directory is ours");
    server.wait_for_line(|line| line.contains("cannot read the passwords"));
    directory.write(
        "users",
        "a:$5$abcdefgh$ijtOJ//yvc/9bq1g0llFn9dB688BwBDRD90DlKKSKE1\n",
    );
    wait_for_generation(&server, 3);
    assert_eq!(server.get("/").text(), "two");
}

/// A log in the directory of the configuration that was written to without pause put the reload off for
/// ever: each report began the wait for quiet anew.
#[test]
fn a_busy_file_beside_it_does_not_put_the_reload_off() {
    speak_plainly();
    let server = watching();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (path, is_over) = (server.directory().join("busy.log"), &is_over);
        scope.spawn(move || {
            let mut log = std::fs::File::create(path).expect("the directory is ours");
            while !is_over.load(Ordering::Relaxed) {
                log.write_all(b"x").expect("there is room");
                log.set_len(0).expect("it is ours");
            }
        });
        save_in_place(&server, &configuration("two"));
        let generation = std::panic::catch_unwind(AssertUnwindSafe(|| {
            wait_for_generation(&server, 3);
        }));
        is_over.store(true, Ordering::Relaxed);
        generation.expect("the reload comes");
    });
    assert_eq!(server.get("/").text(), "two");
}
