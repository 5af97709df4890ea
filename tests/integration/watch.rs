//! `tidegate run --watch`: a saved configuration is served, in whatever way an editor saves it.

use crate::support::{Server, Site};

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
