//! Many clients, and upstreams that come and go: no GET fails, and no POST arrives twice.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{get, site_with};
use crate::support::{Site, Upstream, until};

/// Answers each request with its line.
fn echo(upstream: Upstream) -> Upstream {
    upstream.run(|connection| {
        while let Some(request) = connection.next_request() {
            let line = request.line();
            let length = line.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{line}"
            ));
        }
    })
}

#[test]
fn upstreams_that_come_and_go_cost_no_get() {
    let one = echo(Upstream::listen());
    let two = echo(Upstream::listen());
    let mut three = Some(echo(Upstream::listen()));
    let address = three.as_ref().expect("it is there").address().to_owned();
    let server = {
        let three = three.as_ref().expect("it is there");
        site_with("", "", "", &[&one, &two, three]).start()
    };
    let (is_over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answered = |more: usize| {
        let goal = answers.load(Ordering::Relaxed) + more;
        until("answers go on", || {
            thread::yield_now();
            (answers.load(Ordering::Relaxed) >= goal).then_some(())
        });
    };
    let mut posts = Vec::new();
    thread::scope(|scope| {
        for client in 0..4 {
            let (server, is_over, answers) = (&server, &is_over, &answers);
            scope.spawn(move || {
                let mut connection = server.connect();
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    number += 1;
                    let target = format!("/{client}/{number}");
                    let response = connection.exchange(get(&target));
                    assert_eq!(response.text(), format!("GET {target} HTTP/1.1"));
                    // Each POST is another one.
                    let response = connection.exchange(format!(
                        "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
                    ));
                    assert!([200, 502].contains(&response.status), "{}", response.status);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..3 {
            answered(200);
            // Its connections end, whatever is on them.
            let gone = three.take().expect("it is there");
            posts.extend(gone.requests());
            drop(gone);
            answered(200);
            three = Some(echo(Upstream::listen_again_at(&address)));
        }
        answered(200);
        is_over.store(true, Ordering::Relaxed);
    });
    for upstream in [&one, &two, three.as_ref().expect("it is there")] {
        posts.extend(upstream.requests());
    }
    let mut seen = HashSet::new();
    for request in posts
        .iter()
        .filter(|request| request.line().starts_with("POST"))
    {
        assert!(seen.insert(request.line()), "{} came twice", request.line());
    }
}

/// A server that takes requests and says nothing, as one that is stopped: its GETs are answered by others.
#[test]
fn an_upstream_that_stands_still_costs_no_get() {
    let good = echo(Upstream::listen());
    let still = Upstream::start(|connection| {
        connection.rest();
    });
    let servers = format!("'{}', '{}'", good.address(), still.address());
    let server = Site::new("'/' = { proxy = 'shop', timeout = '100ms' }")
        .top(&format!("upstreams.shop = {{ servers = [{servers}] }}"))
        .start();
    let mut client = server.connect();
    for number in 0..20 {
        let target = format!("/{number}");
        let response = client.exchange(get(&target));
        assert_eq!(response.text(), format!("GET {target} HTTP/1.1"));
    }
}
