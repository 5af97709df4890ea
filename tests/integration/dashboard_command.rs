//! `tidegate dashboard`: the live page at an address of this machine, for who knows the token.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Dashboard, Directory, Site, dashboard_command, until};

fn site() -> Site {
    Site::new("'/' = { respond = 'ok' }")
}

fn get(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// A server whose configuration has no page.
#[test]
fn the_page_and_its_events_come_from_the_server_that_runs() {
    let server = site().start();
    let dashboard = Dashboard::of(&server);
    let (address, path) = dashboard.parts();
    assert!(address.ip().is_loopback());
    let page = dashboard
        .connect()
        .exchange(get(path, &address.to_string()));
    assert_eq!(page.status, 200);
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    let policy = page.field("Content-Security-Policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let mut client = dashboard.connect();
    client.send(get(&format!("{path}?events"), "localhost:1"));
    let (_, mut events) = client.events();
    let first = events.next().expect("an event");
    assert_eq!(first["process_id"], server.id());
    assert_eq!(first["requests"], 0);
    assert_eq!(server.get("/").status, 200);
    events.until("the request", |now| now["requests"] == 1);
}

#[test]
fn nothing_is_told_to_another_host_or_without_the_token() {
    let server = site().start();
    let dashboard = Dashboard::of(&server);
    let (address, path) = dashboard.parts();
    let path = path.to_owned();
    let events = format!("{path}?events");
    for (target, host, status) in [
        (path.as_str(), "127.0.0.1", 200),
        (&path, "localhost", 200),
        (&path, "[::1]:80", 200),
        // A page of this name would lead the browser here by an address of the name that changes.
        (&path, "rebound.example.com", 421),
        (&events, "rebound.example.com", 421),
        (&path, "127.0.0.1.example.com", 421),
        ("/", "127.0.0.1", 404),
        ("/?events", "127.0.0.1", 404),
        ("/live", "127.0.0.1", 404),
        ("/status", "127.0.0.1", 404),
        (&format!("{path}0"), "127.0.0.1", 404),
        (&format!("{path}/live"), "127.0.0.1", 404),
    ] {
        let response = dashboard.connect().exchange(get(target, host));
        assert_eq!(response.status, status, "{target} of {host}");
    }
    for method in ["POST", "DELETE"] {
        let request =
            format!("{method} {events} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            dashboard.connect().exchange(request).status,
            405,
            "{method}"
        );
    }
    assert_eq!(server.status()["generation"]["number"], 1);
    // A warning told to add the host to the hosts of a server.
    let told = dashboard.interrupted();
    assert!(
        !told.iter().any(|line| line.contains("warning")),
        "{told:?}"
    );
}

#[test]
fn ctrl_c_ends_it_while_a_page_is_open() {
    let server = site().start();
    let dashboard = Dashboard::of(&server);
    let (address, path) = dashboard.parts();
    let mut client = dashboard.connect();
    client.send(get(&format!("{path}?events"), &address.to_string()));
    let (_, mut events) = client.events();
    events.next().expect("an event");
    assert_eq!(dashboard.interrupt().expect("it ends").code(), Some(0));
    // The server goes on.
    assert_eq!(server.get("/").status, 200);
}

/// The address is a secret, and arguments of processes are none: every user can read them.
#[test]
fn the_browser_gets_a_file_that_leads_to_the_page() {
    let server = site().start();
    let programs = Directory::new();
    let got = programs.join("got");
    let script = format!(
        "#!/bin/sh\ncp -p \"$1\" {0}.new; mv {0}.new {0}\n",
        got.display()
    );
    programs.write("xdg-open", script);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(programs.join("xdg-open"), mode).expect("ours");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = dashboard_command(&server);
    command.env("PATH", format!("{}:{path}", programs.path().display()));
    command
        .env("DISPLAY", ":0")
        .env("XDG_RUNTIME_DIR", programs.path());
    let dashboard = Dashboard::start(&mut command);
    let text = until("the browser is opened", || {
        std::fs::read_to_string(&got).ok()
    });
    assert!(
        text.contains(&format!("url={}\"", dashboard.url())),
        "{text}"
    );
    let mode = std::fs::metadata(&got).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(dashboard.interrupt().expect("it ends").code(), Some(0));
    let left = std::fs::read_dir(programs.path()).expect("ours");
    let left = left.filter(|entry| {
        let name = entry.as_ref().expect("it can be read").file_name();
        name.to_string_lossy().ends_with(".html")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn without_a_server_it_says_what_other_commands_say() {
    let site = site();
    site.directory().write(
        "config.toml",
        "[[server]]\nlisten = ':0'\nroutes.'/' = { respond = 'a' }",
    );
    let said = |verb| {
        let finished = site.command_line(&[verb]);
        assert_eq!(finished.status.code(), Some(1), "{verb}");
        String::from_utf8(finished.stderr).expect("text")
    };
    let expected = said("status");
    assert!(expected.contains("no server runs from"), "{expected}");
    assert_eq!(said("dashboard"), expected);
}

/// What its own server counts is not what it shows.
#[test]
fn it_shows_the_server_that_takes_the_place_of_another() {
    let server = site().start();
    let dashboard = Dashboard::of(&server);
    let (address, path) = dashboard.parts();
    let ask = get(&format!("{path}?events"), &address.to_string());
    let id = |value: Value| value["process_id"].as_u64();
    let mut client = dashboard.connect();
    client.send(&ask);
    let first = client.events().1.next().and_then(id);
    assert_eq!(first, Some(server.id().into()));
    let server = server.kill_and_start_again();
    until("the new server is asked", || {
        let mut client = dashboard.connect();
        client.send(&ask);
        (client.response_head().status == 200).then_some(())
    });
    let mut client = dashboard.connect();
    client.send(&ask);
    assert_eq!(
        client.events().1.next().and_then(id),
        Some(server.id().into())
    );
}
