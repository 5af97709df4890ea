//! `tidegate check`: its exit status tells whether a configuration would run; the output is for people or
//! for programs.

use std::process::Output;

use crate::support::{Site, ended_with, speak_plainly, tls_fixture};

const GOOD: &str = "[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = { files = 'www' }\n";
/// A configuration with a warning: of two fields with the same name, the second has no effect.
const DOUBTFUL: &str = "[[server]]\nlisten = '127.0.0.1:0'\nheaders = { X-A = '1', x-a = '2' }\n[server.routes]\n'/' = { files = 'www' }\n";
/// A configuration with three mistakes, on the lines 2, 5 and 6.
const BAD: &str = "[[server]]\nlisten = 'nowhere'\n\n[server.routes]\n'/' = { files = 'gone' }\n'/a' = { fiels = 'www' }\n";

fn check(configuration: &str, arguments: &[&str]) -> Output {
    Site::configured(configuration).command_line(&[&["check"], arguments].concat())
}

fn json(finished: &Output) -> Vec<serde_json::Value> {
    // The output is one JSON document, and nothing else.
    let text = [&finished.stdout[..], &finished.stderr].concat();
    serde_json::from_slice(&text).expect("an array")
}

#[test]
fn the_exit_status_says_whether_it_would_run() {
    for (configuration, arguments, code) in [
        (GOOD, &[][..], 0),
        (GOOD, &["--strict"], 0),
        (GOOD, &["--json"], 0),
        (DOUBTFUL, &[], 0),
        (DOUBTFUL, &["--json"], 0),
        (DOUBTFUL, &["--strict"], 1),
        (DOUBTFUL, &["--strict", "--json"], 1),
        (BAD, &[], 1),
        (BAD, &["--json"], 1),
        ("nonsense", &[], 1),
        (GOOD, &["--nonsense"], 2),
    ] {
        ended_with(code, &check(configuration, arguments));
    }
}

#[test]
fn every_mistake_is_shown_in_its_place() {
    speak_plainly();
    let text = ended_with(1, &check(BAD, &[]));
    for part in [
        "config.toml:2:",
        "config.toml:5:",
        "config.toml:6:",
        "did you mean `files`?",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("3 errors"), "{text}");
}

#[test]
fn a_warning_is_shown_and_does_not_refuse() {
    speak_plainly();
    let finished = check(DOUBTFUL, &[]);
    let text = ended_with(0, &finished);
    for part in ["warning", "config.toml:3:", "is good"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let strict = ended_with(1, &check(DOUBTFUL, &["--strict"]));
    assert!(!strict.contains("is good"), "{strict}");
}

#[test]
fn a_good_file_is_said_to_be_good() {
    let finished = check(GOOD, &[]);
    assert!(ended_with(0, &finished).contains("is good"));
    assert!(finished.stderr.is_empty(), "nothing went wrong");
}

#[test]
fn programs_get_json() {
    speak_plainly();
    assert_eq!(
        json(&check(GOOD, &["--json"])),
        Vec::<serde_json::Value>::new()
    );
    let mut lines: Vec<_> = json(&check(BAD, &["--json"]))
        .iter()
        .map(|diagnostic| {
            assert_eq!(diagnostic["severity"], "error");
            assert!(diagnostic["message"].is_string() && diagnostic["column"].is_u64());
            diagnostic["line"].as_u64()
        })
        .collect();
    lines.sort();
    assert_eq!(lines, [Some(2), Some(5), Some(6)]);
    let [warning] = &json(&check(DOUBTFUL, &["--json"]))[..] else {
        panic!("one warning")
    };
    assert_eq!(
        (&warning["severity"], &warning["line"]),
        (&"warning".into(), &3.into())
    );
}

#[test]
fn programs_get_the_place_of_a_test_that_fails() {
    let tested =
        format!("[[test]]\nrequest = 'GET /'\nexpect.route = '/'\nexpect.status = 418\n{GOOD}");
    let found = json(&check(&tested, &["--json"]));
    let [failure] = &found[..] else {
        panic!("one failure: {found:?}")
    };
    let file = failure["file"].as_str().expect("the name of the file");
    assert!(file.ends_with("config.toml"), "{failure}");
    assert_eq!(
        (failure["line"].as_u64(), failure["column"].as_u64()),
        (Some(1), Some(1))
    );
    let message = failure["message"].as_str().expect("a text");
    assert!(
        message.starts_with("GET /: expected status 418"),
        "{message}"
    );
    let text = String::from_utf8(check(&tested, &[]).stderr).expect("UTF-8");
    assert!(
        text.contains(&format!("config.toml:1: {message}")),
        "{text}"
    );
}

#[test]
fn json_goes_to_standard_output_whatever_it_says() {
    for configuration in [GOOD, DOUBTFUL, BAD] {
        let finished = check(configuration, &["--json"]);
        assert!(
            !finished.stdout.is_empty() && finished.stderr.is_empty(),
            "{finished:?}"
        );
    }
}

#[test]
fn an_address_in_use_refuses() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = held.local_addr().expect("it is bound").to_string();
    let text = ended_with(1, &check(&GOOD.replace("127.0.0.1:0", &taken), &[]));
    assert!(text.contains(&taken), "{text}");
}

#[test]
fn the_address_of_the_server_that_runs_from_it_is_no_mistake() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = held.local_addr().expect("it is bound").to_string();
    drop(held);
    let server = Site::configured(&GOOD.replace("127.0.0.1:0", &address)).start();
    ended_with(0, &server.command_line(&["check"]));
    assert_eq!(server.get("/").status, 404, "and it was not disturbed");
}

#[test]
fn a_missing_file_is_named() {
    let site = Site::configured(GOOD);
    let server = site.start();
    let file = server.directory().join("config.toml");
    std::fs::remove_file(file).expect("it is there");
    let text = ended_with(1, &server.command_line(&["check"]));
    assert!(text.contains("config.toml"), "{text}");
}

/// Which CAs a server is verified by that this one asks is known before it is asked.
#[test]
fn a_file_of_authorities_that_holds_none_is_shown_in_its_place() {
    let ca = tls_fixture("localhost.key");
    for table in [
        "[tracing]\nendpoint = 'https://127.0.0.1:4318'",
        "[acme]\ncontact = 'mailto:ops@example.com'\nagree = true\ndirectory = 'https://localhost:1/dir'\nstorage = 'acme'",
    ] {
        let site = Site::configured(&format!("{GOOD}{table}\nca = {ca:?}\n"));
        let text = ended_with(1, &site.command_line(&["check"]));
        assert!(text.contains("holds no certificate"), "{text}");
        assert!(text.contains("ca = "), "{text}");
    }
}

/// `check` called such a file good, and `run` refused it.
#[test]
fn places_that_cannot_be_written_to_are_named() {
    let acme = "[acme]\ncontact = 'mailto:ops@example.com'\nagree = true\ndirectory = 'https://localhost:1/dir'\n\
        challenge = 'http-01'\nstorage = 'www/a.txt'\n\
        [[server]]\nlisten = '127.0.0.1:0'\nhosts = 'www.example.com'\ntls = 'acme'\n[server.routes]\n'/' = { files = 'www' }\n";
    let log = |path: &str| format!("[log]\naccess = '{path}'\n{GOOD}");
    for (text, expected) in [
        (acme.to_owned(), "www/a.txt"),
        (log("www"), "it is a directory; name a file in it"),
        (log("none/a.log"), "create its directory"),
        (log("www/socket"), "or a socket"),
    ] {
        let site = Site::configured(&text).file("a.txt", "");
        let socket = site.directory().join("www/socket");
        let _socket = std::os::unix::net::UnixListener::bind(socket).expect("ours");
        let checked = ended_with(1, &site.command_line(&["check"]));
        assert!(checked.contains(expected), "{checked}");
        let finished = site.run();
        let said = String::from_utf8_lossy(&finished.stderr);
        assert_eq!(said.matches(expected).count(), 1, "{said}");
    }
}
