//! Requests that wait because every server has as many as it may have.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::{HELLO, get};
use crate::support::{Client, SAFETY, Server, Site, Upstream, ended_with, until};

/// An upstream that answers one request for each value that is sent to it.
fn gated() -> (Upstream, Sender<()>) {
    let (open, gate) = channel();
    let gate: Mutex<Receiver<()>> = Mutex::new(gate);
    let upstream = Upstream::start(move |connection| {
        while connection.next_request().is_some() {
            let opened = gate.lock().expect("no panic holds it").recv_timeout(SAFETY);
            if opened.is_err() {
                return;
            }
            connection.send(HELLO);
        }
    });
    (upstream, open)
}

/// A site whose every path leads to a server that has one request at a time.
fn start(upstream: &Upstream, queue: &str) -> Server {
    let address = upstream.address();
    Site::new("'/' = { proxy = 'shop', proxy_status = true }\n'= /here' = { respond = 'here' }")
        .top(&format!(
            "workers = 2\n\
             upstreams.shop = {{ servers = [{{ address = '{address}', max_connections = 1 }}] {queue} }}"
        ))
        .log("format = 'json'")
        .start()
}

/// A client whose request the upstream has.
fn asking(server: &Server, upstream: &Upstream) -> Client {
    let before = upstream.requests().len();
    let mut client = server.connect();
    client.send(get("/first"));
    until("the request", || {
        (upstream.requests().len() > before).then_some(())
    });
    client
}

/// A client whose request for `target` waits; `nth` do so then.
fn waiting(server: &Server, target: &str, nth: usize) -> Client {
    let mut client = server.connect();
    client.send(get(target));
    wait_for(server, nth);
    client
}

/// Waits until so many requests wait.
fn wait_for(server: &Server, count: usize) {
    until("the queue", || {
        (server.status()["upstreams"][0]["waiting"] == count).then_some(())
    });
}

fn targets(upstream: &Upstream) -> Vec<String> {
    let requests = upstream.requests();
    let target = |line: String| line.split(' ').nth(1).map(str::to_owned);
    let lines = requests.iter().map(|request| request.line());
    lines.filter_map(target).collect()
}

/// Whichever worker a client is connected to.
#[test]
fn requests_wait_and_are_answered_in_the_order_in_which_they_came() {
    let (upstream, open) = gated();
    let server = start(&upstream, "");
    let first = asking(&server, &upstream);
    let names: Vec<String> = (1..9).map(|number| format!("/{number}")).collect();
    let mut clients = vec![first];
    for (nth, name) in names.iter().enumerate() {
        clients.push(waiting(&server, name, nth + 1));
    }
    let text = ended_with(0, &server.command_line(&["status"]));
    assert!(text.contains("  8 wait for a server with room\n"), "{text}");
    for mut client in clients {
        open.send(()).expect("the upstream waits");
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(targets(&upstream)[1..], names);
    wait_for(&server, 0);
}

#[test]
fn one_more_than_may_wait_is_refused_at_once() {
    let (upstream, open) = gated();
    let server = start(&upstream, ", queue = { max = 1 }");
    let mut first = asking(&server, &upstream);
    let mut second = waiting(&server, "/second", 1);
    let refused = server.get("/third");
    assert_eq!(refused.status, 503);
    let told = "tidegate; error=connection_limit_reached";
    assert_eq!(refused.field("Proxy-Status"), Some(told));
    server.wait_for_line(|line| line.contains("as many wait for one as `queue` lets wait"));
    server.wait_for_reason("upstream_queue_full");
    for client in [&mut first, &mut second] {
        open.send(()).expect("the upstream waits");
        assert_eq!(client.response().text(), "hello");
    }
}

#[test]
fn a_request_that_has_waited_long_enough_is_refused() {
    let (upstream, open) = gated();
    let server = start(&upstream, ", queue = { within = '150ms' }");
    let mut first = asking(&server, &upstream);
    assert_eq!(server.connect().exchange(get("/second")).status, 503);
    server.wait_for_line(|line| line.contains("for as long as `queue` lets a request wait"));
    server.wait_for_reason("upstream_queue_timeout");
    wait_for(&server, 0);
    open.send(()).expect("the upstream waits");
    assert_eq!(first.response().text(), "hello");
    assert_eq!(targets(&upstream), ["/first"]);
}

#[test]
fn a_client_that_leaves_gives_its_place_up() {
    let (upstream, open) = gated();
    let server = start(&upstream, "");
    let mut first = asking(&server, &upstream);
    let second = waiting(&server, "/second", 1);
    let mut third = waiting(&server, "/third", 2);
    drop(second);
    wait_for(&server, 1);
    for client in [&mut first, &mut third] {
        open.send(()).expect("the upstream waits");
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(targets(&upstream), ["/first", "/third"]);
}

/// Requests of both generations stand in one line.
#[test]
fn a_reload_loses_nobody_who_waits() {
    let (upstream, open) = gated();
    let server = start(&upstream, "");
    let mut first = asking(&server, &upstream);
    let mut second = waiting(&server, "/second", 1);
    let before = server.directory().read("config.toml");
    server.configure(before.replace("'here'", "'there'"));
    ended_with(0, &server.command_line(&["reload"]));
    let mut third = waiting(&server, "/third", 2);
    for client in [&mut first, &mut second, &mut third] {
        open.send(()).expect("the upstream waits");
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(targets(&upstream), ["/first", "/second", "/third"]);
}

/// Requests that waited had the servers of their own generation alone: each got 503 when its time was up, while
/// those that came after the reload were answered.
#[test]
fn the_room_that_a_reload_makes_is_for_those_who_wait() {
    let (upstream, open) = gated();
    let server = start(&upstream, "");
    let mut clients = vec![asking(&server, &upstream)];
    for (nth, name) in ["/second", "/third"].iter().enumerate() {
        clients.push(waiting(&server, name, nth + 1));
    }
    let before = server.directory().read("config.toml");
    server.configure(before.replace("max_connections = 1", "max_connections = 3"));
    ended_with(0, &server.command_line(&["reload"]));
    wait_for(&server, 0);
    // The upstream has all three now, and which of them it answers first is left open.
    for _ in &clients {
        open.send(()).expect("the upstream waits");
    }
    for mut client in clients {
        assert_eq!(client.response().text(), "hello");
    }
}

/// The same where the reload replaces the server.
#[test]
fn those_who_wait_get_the_server_that_a_reload_has_brought() {
    let ((upstream, open), (other, open_other)) = (gated(), gated());
    let server = start(&upstream, "");
    let mut first = asking(&server, &upstream);
    let mut second = waiting(&server, "/second", 1);
    let before = server.directory().read("config.toml");
    server.configure(before.replace(upstream.address(), other.address()));
    ended_with(0, &server.command_line(&["reload"]));
    open_other.send(()).expect("the upstream waits");
    assert_eq!(second.response().text(), "hello");
    assert_eq!(targets(&other), ["/second"]);
    open.send(()).expect("the upstream waits");
    assert_eq!(first.response().text(), "hello");
    assert_eq!(targets(&upstream), ["/first"]);
}

/// A server that is taken out gets none of those who wait; they go on waiting until it is back.
#[test]
fn a_drained_server_loses_nobody_who_waits() {
    a_drained_server_loses_nobody(false);
}

/// A request of the generation before got the server all the same.
#[test]
fn a_server_that_is_drained_after_a_reload_loses_nobody_who_waits() {
    a_drained_server_loses_nobody(true);
}

fn a_drained_server_loses_nobody(is_reloaded: bool) {
    let (upstream, open) = gated();
    let server = start(&upstream, "");
    let mut first = asking(&server, &upstream);
    let mut second = waiting(&server, "/second", 1);
    if is_reloaded {
        ended_with(0, &server.command_line(&["reload"]));
    }
    let name = format!("shop/{}", upstream.address());
    ended_with(0, &server.command_line(&["upstream", "drain", &name]));
    open.send(()).expect("the upstream waits");
    assert_eq!(first.response().text(), "hello");
    wait_for(&server, 1);
    assert_eq!(targets(&upstream), ["/first"]);
    ended_with(0, &server.command_line(&["upstream", "enable", &name]));
    open.send(()).expect("the upstream waits");
    assert_eq!(second.response().text(), "hello");
}
