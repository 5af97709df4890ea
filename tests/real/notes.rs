//! `examples/notes`, a REST API over SQLite, under many writers at once.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::{Client, Directory, bound_address};

const WRITERS: usize = 50;
const NOTES_EACH: usize = 20;

/// The example, which is stopped at the end of the test.
struct Notes {
    child: std::process::Child,
    address: std::net::SocketAddr,
    _directory: Directory,
}

impl Notes {
    fn start() -> Self {
        let directory = Directory::new();
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/notes/config.toml");
        let mut child = Command::new(program())
            .args(["run", "--config", config])
            .env("NOTES_LISTEN", "127.0.0.1:0")
            .env("NOTES_DATABASE", directory.join("notes.db"))
            .env("TIDEGATE_RUNTIME_DIR", directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`cargo build -p notes` comes first");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| bound_address(&line))
            .expect("it says where it listens");
        // Its further output is read, because a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            _directory: directory,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of the example, which cargo builds beside this test's.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/real-…");
    profile.join("notes")
}

fn send(client: &mut Client, method: &str, target: &str, lines: &str, text: &str) -> (u16, Value) {
    let content = json!({ "text": text }).to_string();
    let length = content.len();
    let fields =
        format!("Host: h\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    let response = client.exchange(format!(
        "{method} {target} HTTP/1.1\r\n{fields}{lines}\r\n{content}"
    ));
    let json = serde_json::from_str(&response.text()).unwrap_or_default();
    (response.status, json)
}

fn get(client: &mut Client, target: &str) -> Value {
    client
        .exchange(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .json()
}

/// Reads all notes, page by page.
fn all_notes(client: &mut Client) -> Vec<(i64, String)> {
    let (mut notes, mut before) = (Vec::new(), i64::from(u32::MAX));
    loop {
        let page = get(client, &format!("/notes?limit=100&before={before}"));
        let page = page.as_array().expect("a list");
        let Some(last) = page.last() else {
            return notes;
        };
        before = last["id"].as_i64().expect("a number");
        notes.extend(page.iter().map(|note| {
            let text = note["text"].as_str().expect("a text").to_owned();
            (note["id"].as_i64().expect("a number"), text)
        }));
    }
}

#[test]
fn fifty_writers_at_once_lose_nothing() {
    let notes = Notes::start();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut client = notes.connect();
            std::thread::spawn(move || {
                let write = |note| {
                    let text = format!("writer {writer} note {note}");
                    let (status, created) = send(&mut client, "POST", "/notes", "", &text);
                    assert_eq!(
                        (status, created["text"].as_str()),
                        (201, Some(text.as_str()))
                    );
                    (created["id"].as_i64().expect("a number"), text)
                };
                (0..NOTES_EACH).map(write).collect::<Vec<_>>()
            })
        })
        .collect();
    let written: BTreeSet<(i64, String)> = writers
        .into_iter()
        .flat_map(|writer| writer.join().expect("every write is answered"))
        .collect();
    assert_eq!(written.len(), WRITERS * NOTES_EACH);
    let found: BTreeSet<_> = all_notes(&mut notes.connect()).into_iter().collect();
    assert!(
        found == written,
        "{} of {} are there",
        found.len(),
        written.len()
    );
}

/// Several clients add one to a number in one note, each until it has succeeded: the sum would be too
/// small if an update were lost.
#[test]
fn an_update_that_would_be_lost_is_refused() {
    let notes = Notes::start();
    let (_, note) = send(&mut notes.connect(), "POST", "/notes", "", "0");
    let target = format!("/notes/{}", note["id"]);
    let adders: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (mut client, target) = (notes.connect(), target.clone());
            std::thread::spawn(move || {
                let mut refused = 0;
                loop {
                    let current = get(&mut client, &target);
                    let number: u64 = current["text"]
                        .as_str()
                        .expect("a text")
                        .parse()
                        .expect("a number");
                    let condition = format!("If-Match: \"{}\"\r\n", current["version"]);
                    let text = (number + 1).to_string();
                    match send(&mut client, "PUT", &target, &condition, &text).0 {
                        200 => return refused,
                        412 => refused += 1,
                        other => panic!("status {other}"),
                    }
                }
            })
        })
        .collect();
    let refused: usize = adders
        .into_iter()
        .map(|adder| adder.join().expect("it adds"))
        .sum();
    let note = get(&mut notes.connect(), &target);
    assert_eq!(
        note["text"],
        WRITERS.to_string(),
        "{refused} tries were refused"
    );
}

#[test]
fn what_is_no_note_is_refused_and_what_is_deleted_is_gone() {
    let notes = Notes::start();
    let mut client = notes.connect();
    let long = "x".repeat(10_001);
    assert_eq!(send(&mut client, "POST", "/notes", "", &long).0, 422);
    assert_eq!(send(&mut client, "POST", "/notes", "", "").0, 422);
    let unknown = client.exchange(
        "POST /notes HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    );
    assert_eq!(unknown.status, 400);
    let (status, note) = send(&mut client, "POST", "/notes", "", "short-lived");
    assert_eq!(status, 201);
    let target = format!("/notes/{}", note["id"]);
    let delete = format!("DELETE {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.exchange(&delete).status, 204);
    assert_eq!(client.exchange(&delete).status, 404);
    let patch = client.exchange("PATCH /notes HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        (patch.status, patch.field("Allow")),
        (405, Some("GET, HEAD, POST"))
    );
}
