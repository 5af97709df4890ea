//! `rate`: how often clients may ask. Every rate here takes so long to fill that no test sees it: what
//! passes is counted, and no clock is looked at.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cgi::script;
use crate::support::{Response, Server, Site, Upstream, ended_with, speak_plainly};
use crate::tls;

/// A rate that is asked for five requests, and for no sixth while a test runs.
const FIVE: &str = "rates.five = { rate = '5/h', burst = 5 }\n";

fn site(rates: &str, routes: &str) -> Site {
    let site = Site::new(routes).top(&format!("workers = 4\n{rates}"));
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    site
}

/// The statuses of responses to so many requests, each on a connection of its own.
fn statuses(server: &Server, count: usize, target: &str, lines: &str) -> Vec<u16> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let ask = |_| server.connect().exchange(&request).status;
    (0..count).map(ask).collect()
}

/// How many of so many requests pass.
fn passing(server: &Server, count: usize, target: &str, lines: &str) -> usize {
    let statuses = statuses(server, count, target, lines);
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 429)),
        "{statuses:?}"
    );
    statuses.iter().filter(|status| **status == 200).count()
}

/// How many of the requests pass that eight clients make at the same time, on connections that persist,
/// which the system spreads over the workers.
fn passing_of_eight(server: &Server, each: usize, target: &str) -> usize {
    let (passed, barrier) = (AtomicUsize::new(0), Barrier::new(8));
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = server.connect();
                barrier.wait();
                for _ in 0..each {
                    match client.exchange(&request).status {
                        200 => _ = passed.fetch_add(1, Ordering::Relaxed),
                        status => assert_eq!(status, 429),
                    }
                }
            });
        }
    });
    passed.into_inner()
}

fn told(response: &Response) -> [Option<&str>; 3] {
    ["RateLimit-Policy", "RateLimit", "Retry-After"].map(|name| response.field(name))
}

#[test]
fn the_sixth_of_five_is_refused_and_told_when_to_come_back() {
    let server = site(FIVE, "'/' = { respond = 'ok', rate = 'five' }").start();
    let mut client = server.connect();
    let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for left in (0..5).rev() {
        let response = client.exchange(get);
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        let [policy, state, retry] = told(&response);
        assert_eq!((policy, retry), (Some("\"five\";q=5;w=3600"), None));
        let state = state.expect("it is told");
        assert!(
            state.starts_with(&format!("\"five\";r={left};t=")),
            "{state}"
        );
    }
    for _ in 0..3 {
        let response = client.exchange(get);
        assert_eq!(response.status, 429);
        server.wait_for_reason("rate_limited");
        let [policy, state, retry] = told(&response);
        assert_eq!(policy, Some("\"five\";q=5;w=3600"));
        assert!(
            state.is_some_and(|state| state.starts_with("\"five\";r=0;t=")),
            "{state:?}"
        );
        let retry: u32 = retry.expect("it is told").parse().expect("seconds");
        assert!((600..=720).contains(&retry), "{retry}");
        assert!(
            response.text().contains("Too many requests"),
            "{}",
            response.text()
        );
    }
}

#[test]
fn every_verb_is_counted_once() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let site = site(
        "",
        &format!(
            "'/files' = {{ files = 'www', strip_prefix = true, rate = 'five' }}\n\
             '/echo' = {{ echo = true, rate = 'five' }}\n\
             '/cgi' = {{ cgi = 'scripts', rate = 'five' }}\n\
             '/api' = {{ proxy = 'http://{}', rate = 'five' }}\n\
             '/moved' = {{ redirect = '/echo', rate = 'five' }}",
            upstream.address()
        ),
    )
    .file("a.txt", "a");
    script(
        site.directory(),
        "a.sh",
        "printf 'Content-Type: text/plain\\n\\nok'",
    );
    // Each key has a bucket of its own for each path.
    let server = site
        .top("workers = 2\nrates.five = { rate = '5/h', burst = 5, key = 'path' }\n")
        .start();
    for (target, passes) in [
        ("/files/a.txt", 200),
        ("/files/gone", 404),
        ("/echo/a", 200),
        ("/cgi/a.sh", 200),
        ("/api/a", 200),
        ("/moved", 308),
    ] {
        let found = statuses(&server, 7, target, "");
        assert_eq!(
            found,
            [passes, passes, passes, passes, passes, 429, 429],
            "{target}"
        );
    }
    // On one connection, where the server expects the slow path after the first request.
    let mut client = server.connect();
    let of_client = |target: &str, content: &str| {
        let length = content.len();
        format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}")
    };
    for (target, content) in [("/api/b", ""), ("/echo/b", "abc"), ("/cgi/a.sh/b", "abc")] {
        let found: Vec<u16> = (0..6)
            .map(|_| client.exchange(of_client(target, content)).status)
            .collect();
        assert_eq!(found, [200, 200, 200, 200, 200, 429], "{target}");
    }
    assert_eq!(
        upstream.requests().len(),
        10,
        "what is refused is not passed on"
    );
}

#[test]
fn pipelined_requests_are_counted_each() {
    let server = site(FIVE, "'/' = { respond = 'ok', rate = 'five' }").start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(8));
    let found: Vec<u16> = (0..8).map(|_| client.response().status).collect();
    assert_eq!(found, [200, 200, 200, 200, 200, 429, 429, 429]);
}

#[test]
fn is_exact_under_eight_clients_and_through_reloads() {
    let rates = "rates.some = { rate = '1/d', burst = 301 }\n";
    let routes =
        "'/' = { respond = 'ok', rate = 'some' }\n'/file' = { files = 'www', rate = 'some' }";
    let server = site(rates, routes).file("file", "ok").start();
    assert_eq!(passing_of_eight(&server, 25, "/"), 200);
    let configuration = std::fs::read_to_string(server.directory().join("config.toml"));
    let configuration = configuration.expect("the server was started from it");
    // A new route, and what makes no other buckets.
    let other = configuration.replace("burst = 301", "burst = 301, delay = '1ms', dry_run = false");
    for text in [
        format!("{configuration}\n'/more' = {{ respond = 'more' }}\n"),
        other,
        configuration.clone(),
    ] {
        server.configure(&text);
        ended_with(0, &server.command_line(&["reload"]));
    }
    assert_eq!(passing_of_eight(&server, 25, "/file"), 101);
    assert_eq!(passing_of_eight(&server, 5, "/"), 0);
    // Another rate is another bucket.
    server.configure(configuration.replace("burst = 301", "burst = 7"));
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(passing_of_eight(&server, 2, "/"), 7);
}

#[test]
fn a_reload_while_clients_ask_loses_no_count() {
    let rates = "rates.some = { rate = '1/d', burst = 150 }\n";
    let server = site(rates, "'/' = { respond = 'ok', rate = 'some' }").start();
    let passed = std::thread::scope(|scope| {
        let asking = scope.spawn(|| passing_of_eight(&server, 60, "/"));
        // The requests outlast one reload at least: each is a connection of its own.
        loop {
            ended_with(0, &server.command_line(&["reload"]));
            if asking.is_finished() {
                break;
            }
        }
        asking.join().expect("no panic")
    });
    assert_eq!(passed, 150);
}

#[test]
fn what_is_counted_together_is_what_the_key_says() {
    let rates = "trusted_proxies = '127.0.0.0/8'\n\
        rates.client = { rate = '1/d', burst = 2 }\n\
        rates.key = { rate = '1/d', burst = 2, key = 'header X-Api-Key' }\n\
        rates.session = { rate = '1/d', burst = 2, key = ['cookie id', 'host'] }\n";
    let routes = "'/client' = { respond = 'ok', rate = 'client' }\n\
        '/key' = { respond = 'ok', rate = 'key' }\n\
        '/session' = { respond = 'ok', rate = 'session' }";
    let server = site(rates, routes).start();
    for (target, one, same, other) in [
        (
            "/client",
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-For: 6.6.6.6, 192.0.2.1",
            "X-Forwarded-For: 192.0.2.2",
        ),
        (
            "/client",
            "X-Forwarded-For: 2001:db8::1",
            "X-Forwarded-For: 2001:db8::2",
            "X-Forwarded-For: 2001:db8:0:1::1",
        ),
        ("/key", "X-Api-Key: a", "x-api-key: a", "X-Api-Key: b"),
        ("/key", "", "X-Other: a", "X-Api-Key:"),
        (
            "/session",
            "Cookie: id=1",
            "Cookie: x=2; id=1",
            "Cookie: id=2",
        ),
    ] {
        let lines = |line: &str| match line {
            "" => String::new(),
            line => format!("{line}\r\n"),
        };
        assert_eq!(
            passing(&server, 2, target, &lines(one)),
            2,
            "{target} {one}"
        );
        assert_eq!(
            passing(&server, 2, target, &lines(same)),
            0,
            "{target} {same}"
        );
        assert_eq!(
            passing(&server, 3, target, &lines(other)),
            2,
            "{target} {other}"
        );
    }
}

#[test]
fn no_client_gets_another_bucket_by_what_it_says() {
    let server = site(FIVE, "'/' = { respond = 'ok', rate = 'five' }").start();
    let ask = |nth: usize| {
        let lines = format!("X-Forwarded-For: 192.0.2.{nth}\r\nForwarded: for=192.0.2.{nth}\r\n");
        server.get_with("/", &lines).status
    };
    assert_eq!((0..20).filter(|nth| ask(*nth) == 200).count(), 5);
}

#[test]
fn what_is_refused_for_another_reason_counts_at_no_rate() {
    let cors = "cors = { origins = 'https://a.test', methods = 'PUT' }";
    let routes = format!(
        "'/' = {{ respond = 'ok', rate = 'five', deny = '192.0.2.0/24', {cors} }}\n\
         'GET /script' = {{ cgi = 'scripts', rate = 'five' }}"
    );
    let server = site(
        &format!(
            "trusted_proxies = '127.0.0.1'\n{}",
            FIVE.replace("burst = 5", "burst = 5, key = 'path'")
        ),
        &routes,
    );
    script(
        server.directory(),
        "a.sh",
        "printf 'Location: /other\\n\\n'",
    );
    let server = server
        .with_routes(&format!(
            "{routes}\n'/other' = {{ respond = 'other', rate = 'five' }}\n"
        ))
        .start();
    for _ in 0..10 {
        let denied = server.get_with("/", "X-Forwarded-For: 192.0.2.1\r\n");
        assert_eq!((denied.status, told(&denied)), (403, [None; 3]));
        let preflight = server.answer(
            "OPTIONS / HTTP/1.1\r\nHost: h\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: PUT\r\n\
             Connection: close\r\n\r\n",
        );
        assert_eq!((preflight.status, told(&preflight)), (204, [None; 3]));
    }
    assert_eq!(passing(&server, 10, "/", ""), 5);
    // A local redirect is one exchange: it counts where it began, and not where it leads.
    let found = statuses(&server, 6, "/script/a.sh", "");
    assert_eq!(found, [200, 200, 200, 200, 200, 429]);
    assert_eq!(passing(&server, 10, "/other", ""), 5);
}

#[test]
fn a_server_counts_what_no_route_answers_and_a_route_may_count_nothing() {
    let routes = "'/a' = { respond = 'a' }\n'/free' = { respond = 'free', rate = false }\n'/own' = { respond = 'own', rate = 'own' }";
    let rates = format!("{FIVE}rates.own = {{ rate = '1/d', burst = 1 }}\n");
    let server = site(&rates, routes)
        .server("listen = '127.0.0.1:0'\nrate = 'five'")
        .start();
    assert_eq!(statuses(&server, 3, "/nowhere", ""), [404; 3]);
    assert_eq!(passing(&server, 5, "/a", ""), 2);
    assert_eq!(passing(&server, 9, "/free", ""), 9);
    assert_eq!(
        passing(&server, 3, "/own", ""),
        1,
        "it replaces the server's"
    );
}

#[test]
fn several_rates_hold_together() {
    let rates = "rates.each = { rate = '1/d', burst = 2, key = 'path' }\nrates.all = { rate = '1/d', burst = 3 }\n";
    let server = site(rates, "'/' = { respond = 'ok', rate = ['all', 'each'] }").start();
    assert_eq!(passing(&server, 9, "/a", ""), 2);
    // The seven that `each` refused have taken nothing of `all`.
    let response = server.get("/b");
    let policy = "\"all\";q=1;w=86400, \"each\";q=1;w=86400";
    assert_eq!(
        (response.status, response.field("RateLimit-Policy")),
        (200, Some(policy))
    );
    assert!(
        response
            .field("RateLimit")
            .is_some_and(|state| state.starts_with("\"all\";r=0;"))
    );
    assert_eq!(passing(&server, 3, "/b", ""), 0);
}

#[test]
fn the_key_that_has_asked_least_is_forgotten_first() {
    let rates = "rates.few = { rate = '1/d', burst = 3, key = 'header K', max_keys = 4 }\n";
    let server = site(rates, "'/' = { respond = 'ok', rate = 'few' }").start();
    let ask = |count, key: &str| passing(&server, count, "/", &format!("K: {key}\r\n"));
    assert_eq!(ask(9, "busy"), 3);
    // More keys than are remembered, of which each asks once.
    for key in 0..1000 {
        assert_eq!(ask(1, &format!("new-{key}")), 1);
    }
    assert_eq!(ask(9, "busy"), 0, "it is remembered, for it has asked most");
    let json = server.status();
    let [few] = json["rates"].as_array().map(Vec::as_slice).expect("rates") else {
        panic!("one rate: {json}")
    };
    assert_eq!(
        (&few["name"], &few["refused"]),
        (&"few".into(), &15.into()),
        "{json}"
    );
    assert_eq!(few["forgotten_keys"], 997, "{json}");
}

#[test]
fn a_request_is_held_until_it_is_its_turn() {
    let rates = "rates.slow = { rate = '20/s', burst = 1, delay = '1m' }\n\
        rates.never = { rate = '1/d', burst = 1, delay = true }\n";
    let routes = "'/' = { respond = 'ok', rate = 'slow' }\n\
        '/echo' = { echo = true, rate = 'slow' }\n'/never' = { respond = 'ok', rate = 'never' }";
    let server = site(rates, routes).start();
    // A held request is answered, in the order of the connection.
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(4));
    let found: Vec<u16> = (0..4).map(|_| client.response().status).collect();
    assert_eq!(found, [200; 4]);
    let posted = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for _ in 0..2 {
        assert_eq!(client.exchange(posted).json()["content"], "abc");
    }
    assert!(
        server.status()["rates"][1]["held"]
            .as_u64()
            .is_some_and(|held| held >= 1)
    );
    // What would be held for longer than it may is refused at once.
    assert_eq!(passing(&server, 3, "/never", ""), 1);
}

#[test]
fn a_client_may_leave_while_its_request_is_held() {
    let rates = "rates.slow = { rate = '1/m', burst = 1, delay = '10m' }\n";
    let server = site(rates, "'/' = { respond = 'ok', rate = 'slow' }")
        .log("format = 'json'")
        .start();
    assert_eq!(server.get("/").status, 200);
    let mut client = server.connect();
    client.send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
    crate::support::until("it is held", || {
        (server.status()["rates"][0]["held"] == 1).then_some(())
    });
    drop(client);
    let record = server.wait_for_record(|line| line.contains("/held"));
    assert!(record.contains("499"), "{record}");
}

#[test]
fn a_rate_is_tried_out_without_harm() {
    let rates = FIVE.replace("burst = 5", "burst = 5, dry_run = true");
    let server = site(&rates, "'/' = { respond = 'ok', rate = 'five' }").start();
    assert_eq!(passing(&server, 5, "/", ""), 5);
    let sixth = server.get("/");
    assert_eq!((sixth.status, told(&sixth)), (200, [None; 3]));
    server
        .wait_for_line(|line| line.contains("the rate `five` would refuse a request of 127.0.0.1"));
}

#[test]
fn over_tls_and_plain_a_client_has_one_bucket() {
    speak_plainly();
    let configuration = format!(
        "workers = 2\nlog.access = false\n{FIVE}[[server]]\nlisten = '127.0.0.2:0'\nrate = 'five'\n\
         routes.'/' = {{ respond = 'ok' }}\n{}",
        tls::server("", "localhost", "", "secret")
            .replace("[[server]]", "[[server]]\nrate = 'five'")
    );
    let server = Site::configured(&configuration).start();
    for scheme_and_host in ["http://127.0.0.2:", "https://127.0.0.1:"] {
        server.wait_for_line(|line| line.contains(scheme_and_host));
    }
    let [plain, secured] =
        ["127.0.0.2:", "127.0.0.1:"].map(|prefix| server.addresses_at(prefix)[0]);
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut plain = crate::support::Client::connect(plain);
    let mut secured =
        crate::support::Client::secured(secured, &tls::anyone(), "localhost").expect("TLS");
    let found: Vec<u16> = (0..4)
        .flat_map(|_| [plain.exchange(get).status, secured.exchange(get).status])
        .collect();
    assert_eq!(found, [200, 200, 200, 200, 200, 429, 429, 429]);
}

#[test]
fn the_operator_has_the_last_word_on_the_fields() {
    let routes = "'/' = { respond = 'ok', rate = 'five', headers = { remove = ['RateLimit-Policy'], set = { RateLimit = 'mine' } } }";
    let server = site(FIVE, routes).start();
    let response = server.get("/");
    assert_eq!(told(&response), [None, Some("mine"), None]);
    assert_eq!(passing(&server, 5, "/", ""), 4);
    let refused = server.get("/");
    assert!(refused.status == 429 && refused.field("Retry-After").is_some());
}

#[test]
fn explain_says_what_the_rates_would_do_and_counts_nothing() {
    let tests = "[[test]]\nrequest = 'GET /'\nexpect = { rate = ['five'], status = 200 }\n\
        [[test]]\nrequest = 'GET /free'\nexpect = { rate = false }\n";
    let routes = format!(
        "'/' = {{ respond = 'ok', rate = 'five' }}\n'/free' = {{ respond = 'free' }}\n{tests}"
    );
    let server = site(FIVE, &routes).start();
    let explained = || ended_with(0, &server.command_line(&["explain", "--live", "/"]));
    for _ in 0..10 {
        let text = explained();
        assert!(
            text.contains(
                "five (5 in 3600s, burst 5, by client): passes, 4 more may follow at once"
            ),
            "{text}"
        );
        assert!(text.contains("RateLimit: \"five\";r=4;t="), "{text}");
    }
    assert_eq!(passing(&server, 6, "/", ""), 5);
    let text = explained();
    assert!(
        text.contains("is answered 429; after ") && text.contains("429 Too Many Requests"),
        "{text}"
    );
    // A test of the file does not depend on what clients have done.
    ended_with(0, &server.command_line(&["reload"]));
    let wrong =
        std::fs::read_to_string(server.directory().join("config.toml")).expect("it is there");
    server.configure(wrong.replace("rate = false", "rate = 'five'"));
    let refused = ended_with(1, &server.command_line(&["reload"]));
    assert!(
        refused.contains("GET /free: expected rate five, got none"),
        "{refused}"
    );
}
