//! Which server of an upstream is asked, and what the operator is told of it and can do about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{Server, Site, Upstream, ended_with, until};

/// A site whose every path leads to `shop`, with these servers; `settings` of its table begin with a
/// comma.
fn configuration(servers: &[&str], settings: &str) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("'{server}'")).collect();
    format!(
        "log.access = false\n\
         upstreams.shop = {{ servers = [{}] {settings} }}\n\
         [[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ proxy = 'shop' }}\n",
        servers.join(", ")
    )
}

fn site(upstreams: &[&Upstream], settings: &str) -> Site {
    let servers: Vec<&str> = upstreams
        .iter()
        .map(|upstream| upstream.address())
        .collect();
    Site::configured(&configuration(&servers, settings))
}

/// Answers every request with `name`.
fn named(name: &str) -> Upstream {
    let length = name.len();
    Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}"
    ))
}

/// Which upstreams answer `times` requests, without repetitions.
fn answers(server: &Server, fields: &str, times: usize) -> Vec<String> {
    let mut client = server.connect();
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut names: Vec<String> = (0..times)
        .map(|_| client.exchange(&request).text())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What status tells of the first upstream's server at `nth`.
fn told(server: &Server, nth: usize) -> Value {
    server.status()["upstreams"][0]["servers"][nth].clone()
}

fn wait_for_state(server: &Server, nth: usize, state: &str) {
    until(state, || {
        (told(server, nth)["state"] == state).then_some(())
    });
}

#[test]
fn status_lists_upstreams_and_their_servers() {
    let (a, b) = (named("a"), named("b"));
    let site = Site::configured(&format!(
        "log.access = false\n\
         upstreams.shop.servers = ['{}', {{ address = '{}', weight = 3, backup = true }}]\n\
         [[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ proxy = 'shop' }}\n",
        a.address(),
        b.address()
    ));
    let server = site.start();
    assert_eq!(answers(&server, "", 3), ["a"]);
    let upstream = server.status()["upstreams"][0].clone();
    assert_eq!(upstream["name"], "shop");
    let expected = serde_json::json!({
        "address": b.address(), "state": "up", "in_flight": 0, "requests": 0, "failures": 0, "weight": 3, "backup": true,
    });
    assert_eq!(upstream["servers"][1], expected);
    let text = ended_with(0, &server.command_line(&["status"]));
    let line = format!(
        "  {}  up: 0 in flight, 0 failures, weight 3, backup\n",
        b.address()
    );
    assert!(
        text.contains("upstream     shop\n") && text.contains(&line),
        "{text}"
    );
}

#[test]
fn a_server_that_fails_is_paused_and_told_of() {
    let mut down = Upstream::listen();
    let up = named("up");
    down.close();
    let failures = ", failures = { max = 2, within = '60s', pause = '10m' }";
    let server = site(&[&down, &up], failures).start();
    assert_eq!(answers(&server, "", 20), ["up"]);
    let paused = told(&server, 0);
    assert_eq!(
        (&paused["state"], &paused["failures"]),
        (&"paused".into(), &2.into())
    );
    assert!(
        paused["seconds_left"]
            .as_u64()
            .is_some_and(|left| (590..=600).contains(&left))
    );
    let line = format!(
        "upstream shop: {} has failed 2 times within 60s: it is not asked for 600s",
        down.address()
    );
    server.wait_for_line(|written| written.contains(&line));
    // It is known after a reload, too.
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(told(&server, 0)["state"], "paused");
}

/// A server that answered every POST with 503 was taken for well, and its failures were none: only responses after
/// which another server was asked were counted.
#[test]
fn a_listed_status_is_a_failure_also_where_nothing_is_repeated() {
    let unavailable = Upstream::answering("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
    let settings = ", failures = { max = 3 }, retry = { statuses = [503] }";
    for method in ["POST", "GET"] {
        let server = site(&[&unavailable], settings).start();
        let asked = format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(server.connect().exchange(asked).status, 503);
        assert_eq!(told(&server, 0)["failures"], 1, "{method}");
    }
}

#[test]
fn a_server_that_says_it_is_not_well_gets_no_requests_until_it_is() {
    let (is_well, checks) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (well, count) = (Arc::clone(&is_well), Arc::clone(&checks));
    let a = Upstream::start(move |connection| {
        while let Some(request) = connection.next_request() {
            let is_check = request.line() == "GET /healthz HTTP/1.1";
            count.fetch_add(usize::from(is_check), Ordering::SeqCst);
            let status = if is_check && !well.load(Ordering::SeqCst) {
                503
            } else {
                200
            };
            connection.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\na"));
        }
    });
    let b = named("b");
    let health = ", health = { path = '/healthz', every = '300ms', timeout = '300ms', rises = 2, falls = 3 }";
    let server = site(&[&a, &b], health).start();
    assert_eq!(answers(&server, "", 4), ["a", "b"]);
    is_well.store(false, Ordering::SeqCst);
    wait_for_state(&server, 0, "unhealthy");
    assert_eq!(answers(&server, "", 6), ["b"]);
    let line = format!(
        "upstream shop: {} is unhealthy, and not asked until it is well again: GET /healthz: its status is 503",
        a.address()
    );
    server.wait_for_line(|written| written.contains(&line));
    is_well.store(true, Ordering::SeqCst);
    until("asked again", || {
        answers(&server, "", 40)
            .contains(&"a".to_owned())
            .then_some(())
    });
    assert!(checks.load(Ordering::SeqCst) >= 5);
}

/// The thread that asks begins with the reload that brings `health`, and ends with the one that takes it
/// away.
#[test]
fn health_follows_a_reload() {
    let a = named("a");
    let threads = |server: &Server| {
        let tasks = format!("/proc/{}/task", server.id());
        let names = std::fs::read_dir(tasks).expect("it runs").flatten();
        let names = names.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.trim() == "tidegate-house").count()
    };
    let server = site(&[&a], "").start();
    assert_eq!(threads(&server), 0);
    server.configure(configuration(
        &[a.address()],
        ", health = { path = '/well' }",
    ));
    ended_with(0, &server.command_line(&["reload"]));
    until("a check", || {
        let requests = a.requests();
        requests
            .iter()
            .any(|request| request.line() == "GET /well HTTP/1.1")
            .then_some(())
    });
    assert_eq!(threads(&server), 1);
    server.configure(configuration(&[a.address()], ""));
    ended_with(0, &server.command_line(&["reload"]));
    until("the end of the thread", || {
        (threads(&server) == 0).then_some(())
    });
    server.stop();
}

#[test]
fn a_drained_server_gets_nothing_until_it_is_enabled_or_the_next_reload() {
    let (a, b) = (named("a"), named("b"));
    let server = site(&[&a, &b], "").start();
    let name = format!("shop/{}", a.address());
    let drain = || ended_with(0, &server.command_line(&["upstream", "drain", &name]));
    let text = drain();
    assert!(text.starts_with(&format!("{name} is drained")), "{text}");
    assert!(text.contains("the next reload takes it back in"), "{text}");
    assert_eq!(told(&server, 0)["state"], "drained");
    assert_eq!(answers(&server, "", 6), ["b"]);
    ended_with(0, &server.command_line(&["upstream", "enable", &name]));
    assert_eq!(answers(&server, "", 6), ["a", "b"]);
    drain();
    assert_eq!(answers(&server, "", 6), ["b"]);
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(answers(&server, "", 6), ["a", "b"]);
}

#[test]
fn the_last_server_can_be_drained_with_a_warning() {
    let a = named("a");
    let server = site(&[&a], "").start();
    let name = format!("shop/{}", a.address());
    let text = ended_with(0, &server.command_line(&["upstream", "drain", &name]));
    assert!(
        text.contains("warning: no server of upstream `shop` is left"),
        "{text}"
    );
    // It was one line of level info, with the two characters `\n` in it.
    server.wait_for_line(|line| {
        line.contains("warning: `tidegate upstream`: no server of upstream `shop` is left")
    });
    let told = server.diagnostics();
    assert!(!told.iter().any(|line| line.contains("\\n")), "{told:?}");
    let response = server.answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(response.status, 503);
}

#[test]
fn a_server_that_is_not_there_is_named_with_those_that_are() {
    let a = named("a");
    let server = site(&[&a], "").start();
    for wrong in ["shop/127.0.0.1:1", "shop", "shop/", "other/x"] {
        let text = ended_with(1, &server.command_line(&["upstream", "drain", wrong]));
        let known = format!("shop/{}", a.address());
        assert!(text.contains(wrong) && text.contains(&known), "{text}");
    }
    assert_eq!(told(&server, 0)["state"], "up");
}

#[test]
fn a_cookie_keeps_a_client_at_its_server() {
    let (a, b) = (named("a"), named("b"));
    let server = site(&[&a, &b], ", sticky = 'cookie'").start();
    let mut client = server.connect();
    let first = client.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let field = first.field("Set-Cookie").expect("a cookie").to_owned();
    let (pair, attributes) = field.split_once("; ").expect("attributes");
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
    assert!(!pair.contains("127"), "{pair}");
    let with_cookie = format!("Cookie: x=1; {pair}\r\n");
    assert_eq!(answers(&server, &with_cookie, 6), [first.text()]);
    let again = client.exchange(format!("GET / HTTP/1.1\r\nHost: h\r\n{with_cookie}\r\n"));
    assert_eq!(again.field("Set-Cookie"), None);
    // A reload keeps the key, and a drained server keeps its clients.
    ended_with(0, &server.command_line(&["reload"]));
    let name = format!(
        "shop/{}",
        if first.text() == "a" {
            a.address()
        } else {
            b.address()
        }
    );
    ended_with(0, &server.command_line(&["upstream", "drain", &name]));
    assert_eq!(answers(&server, &with_cookie, 6), [first.text()]);
    assert_eq!(answers(&server, "", 6).len(), 1);
    // One that a client made up is replaced.
    let (cookie, _) = pair.split_once('=').expect("a value");
    let forged = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nCookie: {cookie}={}\r\n\r\n",
        "0".repeat(32)
    );
    assert!(client.exchange(forged).field("Set-Cookie").is_some());
}
