//! The live page in Chromium: its numbers follow the server, text of others stays text, and the console stays empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::devtools::Page;
use crate::support::{Dashboard, Directory, Server, Site, Upstream};

/// A name that would be markup if the page took it for that.
const MARKUP: &str = "<img src=x onerror=document.title=1>";

/// The key of a route with letters, and with what stays encoded.
const ROUTE: &str = "/gr%C3%BC%C3%9Fe%2Fa%0A%E2%80%AE%FF";

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const IS_LIVE: &str = "document.querySelector('#state').dataset.state === 'live'";

/// The configuration of a site with a live page, in front of `upstream`, with these further lines of its routes.
fn configuration(upstream: &str, more: &str) -> String {
    format!(
        "log.access = false\n[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = {{ respond = 'ok' }}\n\
         '/dash' = {{ dashboard = true }}\n'/shop' = {{ proxy = 'shop' }}\n{more}\n\
         [upstreams.shop]\nservers = ['{upstream}']\nfailures = {{ max = 2, pause = '1h' }}\n"
    )
}

fn page_of(server: &Server, directory: &Directory) -> Page {
    let mut page = Page::open(directory, &format!("http://{}/dash", server.address()));
    page.until(IS_LIVE);
    page
}

/// The status of a response from the upstream. The client stays until it has come: otherwise none is sent.
fn ask_upstream(server: &Server) -> u16 {
    let request = "GET /shop HTTP/1.1\r\nHost: h\r\n\r\n";
    server.connect().exchange(request).status
}

#[test]
fn chromium_shows_what_the_server_does() {
    let is_down = Arc::new(AtomicBool::new(false));
    let upstream = Upstream::start({
        let is_down = Arc::clone(&is_down);
        move |connection| {
            while !is_down.load(Ordering::Relaxed) && connection.next_request().is_some() {
                if !is_down.load(Ordering::Relaxed) {
                    connection.send(ANSWER);
                }
            }
        }
    });
    let first = configuration(upstream.address(), "");
    let server = Site::configured(&first).start();
    let files = Directory::new();
    let mut page = page_of(&server, &files);
    let state = |page: &mut Page| page.text("#upstreams tbody td");
    page.until("document.querySelector('#upstreams tbody tr')");
    assert_eq!(state(&mut page), "●up");

    // Numbers.
    for _ in 0..40 {
        assert_eq!(server.get("/").status, 200);
        assert_eq!(ask_upstream(&server), 200);
    }
    page.until("parseFloat(document.querySelector('.chart .big').textContent) > 0");
    page.until("[...document.querySelectorAll('#slowest tbody tr')].some(row => row.textContent.startsWith('/shop'))");
    let label = page.value("document.querySelectorAll('.plot')[1].getAttribute('aria-label')");
    let label = label.as_str().expect("a label");
    assert!(
        label.contains("p99 ≈") && label.contains(" µs") || label.contains(" ms"),
        "{label}"
    );

    // Reloads.
    server.configure(configuration(
        upstream.address(),
        "'/new' = { respond = 'new' }",
    ));
    assert!(server.command_line(&["reload"]).status.success());
    page.until("document.querySelector('#reloads tbody tr')?.textContent.includes('applied')");
    page.until("document.querySelectorAll('.chart .mark.tone-link').length === 4");
    server.configure(format!("{MARKUP:?} = 1\n{first}"));
    assert!(!server.command_line(&["reload"]).status.success());
    page.until("document.querySelectorAll('.chart .mark.tone-bad').length === 4");
    let told = page.text("#reloads tbody");
    assert!(told.contains(MARKUP), "{told}");
    assert_eq!(page.value("document.querySelectorAll('img').length"), 0);
    assert!(page.text("#attention").contains("reload was refused"));

    // An upstream goes.
    is_down.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(ask_upstream(&server) >= 500);
    }
    page.until("document.querySelector('#upstreams tbody td').textContent.includes('paused')");
    page.until("document.querySelector('#failures tbody tr')?.textContent.includes('/shop')");
    page.until("document.querySelector('#failing tbody tr')?.textContent.includes('/shop')");
    assert_eq!(page.complaints(), [""; 0]);

    // The route goes, so that `/` answers, and the page says so.
    server.configure(first.replace("'/dash' = { dashboard = true }", ""));
    assert!(server.command_line(&["reload"]).status.success());
    page.until(
        "document.querySelector('#state').textContent.includes('the live page is no longer here')",
    );
}

/// A page of `snapshot`, which a server other than the one of the page tells.
fn page_of_snapshot(snapshot: &Value, files: &Directory) -> (Upstream, Server, Page) {
    let told = format!("event: snapshot\ndata: {snapshot}\n\n");
    let events = Upstream::start(move |connection| {
        while connection.next_request().is_some() {
            connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            connection.send(format!("{:x}\r\n{told}\r\n", told.len()));
        }
    });
    let site = Site::configured(&format!(
        "[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'= /dash' = [{{ when = {{ query.events = true }}, \
         proxy = 'http://{}', buffer = false }}, {{ dashboard = true }}]\n",
        events.address()
    ));
    let server = site.start();
    let mut page = page_of(&server, files);
    page.until("!document.querySelector('#attention').hidden");
    (events, server, page)
}

/// Eight certificates that expired soon were eight points, and the page had room for no more: it did not tell that lines
/// of the log were lost. So it was with workers.
#[test]
fn chromium_tells_of_many_certificates_and_workers_in_one_point_each() {
    const DAY: u64 = 86_400_000;
    let now = 20_000 * DAY;
    let certificate = |days: u64| json!({ "name": format!("{days}.example"), "expires_ms": now - 2 * DAY + days * DAY });
    let worker = |id: u64, delay: Value| match delay {
        Value::Null => json!({ "id": id }),
        delay => json!({ "id": id, "delay_us": delay }),
    };
    let snapshot = json!({
        "time_ms": now,
        "log_lost": 3,
        "certificates": (0..13).map(certificate).collect::<Vec<_>>(),
        "workers": [
            worker(0, json!(200_000)), worker(1, json!(300_000)), worker(2, json!(10)),
            worker(3, Value::Null), worker(4, Value::Null),
        ],
    });
    let files = Directory::new();
    let (_events, _server, mut page) = page_of_snapshot(&snapshot, &files);
    let points =
        "[...document.querySelectorAll('#attention-list li')].map(item => item.textContent)";
    let expected = json!([
        "2 certificates have expired",
        "11 certificates expire within 14 days, the first in 0 days",
        "2 workers do not answer",
        "2 workers are late, by up to 300 ms",
        "3 lines of the log lost",
    ]);
    assert_eq!(page.value(points), expected);
    assert_eq!(page.complaints(), [""; 0]);
}

/// The page said that servers are not asked. If all are paused, one is asked all the same.
#[test]
fn chromium_tells_the_states_of_servers_and_not_what_follows() {
    let server = |state: &str| json!({ "address": format!("{state}:1"), "state": state });
    let states = ["paused", "unhealthy", "drained", "up", "rising", "trying"];
    let snapshot = json!({
        "time_ms": 1,
        "upstreams": [{ "name": "shop", "servers": states.map(server) }],
    });
    let files = Directory::new();
    let (_events, _server, mut page) = page_of_snapshot(&snapshot, &files);
    let told = page.text("#attention-list");
    assert_eq!(told, "2 servers of upstreams are paused or unhealthy");
}

#[test]
fn chromium_reaches_everything_by_keyboard_and_on_a_telephone() {
    let upstream = Upstream::answering(ANSWER);
    let server = Site::configured(&configuration(upstream.address(), "")).start();
    let files = Directory::new();
    let mut page = page_of(&server, &files);
    let focused = "document.activeElement.id || document.activeElement.getAttribute('class')";
    page.press("Tab", 9);
    assert_eq!(page.value(focused), "pause");
    let outline = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(page.value(outline), "solid");
    page.press(" ", 32);
    page.until("document.querySelector('#state').dataset.state === 'paused'");
    page.press(" ", 32);
    page.until(IS_LIVE);
    page.press("Tab", 9);
    assert_eq!(page.value(focused), "plot");
    page.until("document.querySelector('.plot').getAttribute('aria-label').includes('Now:')");
    page.press("ArrowLeft", 37);
    page.until("document.querySelector('.plot').getAttribute('aria-label').includes('At ')");
    for width in [390, 768, 2560] {
        page.resize(width, 844);
        page.until("document.querySelector('.plot').viewBox.baseVal.width > 0");
        let outside = page
            .value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(outside, 0, "{width}");
    }
    assert_eq!(page.complaints(), [""; 0]);
}

/// The command shows the page of a server that has none, and of the one that takes its place.
#[test]
fn chromium_follows_a_server_that_is_started_again() {
    let upstream = Upstream::answering(ANSWER);
    let server = Site::configured(&configuration(upstream.address(), "")).start();
    let files = Directory::new();
    let dashboard = Dashboard::of(&server);
    let mut page = Page::open(&files, dashboard.url());
    page.until(IS_LIVE);
    let server = server.kill_and_start_again();
    page.until("document.querySelector('#state').dataset.state !== 'live'");
    page.until(IS_LIVE);
    page.until("!document.querySelector('#restarted').hidden");
    assert!(
        page.text("#facts")
            .contains(&format!("process {}", server.id()))
    );
}

/// Whatever the names are that a snapshot holds, and whatever clients have sent: none of it is markup.
#[test]
fn chromium_shows_text_of_others_as_text() {
    let server = Site::new("'/dash' = { dashboard = true }").start();
    let page = server.get("/dash");
    let policy = page
        .field("Content-Security-Policy")
        .expect("a policy")
        .to_owned();
    let (document, snapshot) = (page.text(), snapshot().to_string());
    let stand_in = Upstream::start(move |connection| {
        while let Some(request) = connection.next_request() {
            if request.line().contains("?events") {
                connection.send(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
                );
                connection.send(format!("event: snapshot\ndata: {snapshot}\n\n"));
            } else {
                let length = document.len();
                connection.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
                     Content-Security-Policy: {policy}\r\n\r\n{document}"
                ));
            }
        }
    });
    let files = Directory::new();
    let mut page = Page::open(&files, &format!("http://{}/", stand_in.address()));
    page.until(IS_LIVE);
    page.until("document.querySelector('#failures tbody tr')");
    for selector in [
        "#failures",
        "#upstreams",
        "#certificates",
        "#rates",
        "#pools",
        "#reloads",
        "#apps",
    ] {
        let shown = page.text(&format!("{selector} tbody"));
        assert!(shown.contains(MARKUP), "{selector}: {shown}");
    }
    assert_eq!(page.value("document.querySelectorAll('img').length"), 0);
    let route = page.text("#failures tbody tr");
    let expected = "route /grüße%2Fa%0A%E2%80%AE%FF";
    assert!(route.contains(expected), "{route}");
    let took = |nth: u32| format!("#failures tbody tr:nth-child({nth}) td:nth-child(5)");
    assert_eq!(page.text(&took(1)), "<1 ms");
    assert_eq!(page.text(&took(2)), "900 µs");
    // The newest are shown first, and all of them if the reader wants that.
    let rows = "document.querySelectorAll('#failures tbody tr').length";
    assert_eq!(page.value(rows), 8);
    page.value("document.querySelector('#show-all').click()");
    page.until("document.querySelectorAll('#failures tbody tr').length === 12");
    let warned = page.text("#certificates .warn");
    assert!(warned.contains("13 days"), "{warned}");
    assert_eq!(page.complaints(), [""; 0]);
}

/// A snapshot with markup in every text.
fn snapshot() -> Value {
    const DAY_MS: u64 = 86_400_000;
    let failure = |number: u64| {
        json!({
            "time_ms": 1_000 + number, "client": MARKUP, "method": MARKUP, "path": MARKUP, "host": MARKUP,
            "status": 502, "reason": MARKUP, "request_id": MARKUP, "route": if number == 0 { ROUTE } else { MARKUP }, "upstream": MARKUP,
            "duration_us": if number == 0 { 0 } else { 900 },
        })
    };
    json!({
        "time_ms": 100_000, "started_ms": 1_000, "version": MARKUP, "process_id": 1, "phase": "ready",
        "reloads": [{ "time_ms": 50_000, "outcome": MARKUP, "message": MARKUP }],
        "requests": 1,
        "upstreams": [{ "name": MARKUP, "servers": [{ "address": MARKUP, "state": MARKUP }] }],
        "apps": [{ "name": MARKUP, "instances": [{ "state": MARKUP }] }],
        "certificates": [{ "name": MARKUP, "expires_ms": 100_000 + 13 * DAY_MS + 1 }],
        "rates": [{ "name": MARKUP }],
        "pools": [{ "name": MARKUP }],
        "failures": (0..12).map(failure).collect::<Vec<_>>(),
    })
}
