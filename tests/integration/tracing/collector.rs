//! Collectors that are down, slow or busy, and changes of the configuration: clients notice nothing, and what
//! becomes of the spans is counted.

use std::time::{Duration, Instant};

use super::{TAKEN, spans, value};
use crate::support::{Server, Site, Upstream, ended_with, until};

const ROUTES: &str = "'/' = { respond = 'a' }";

/// A configuration whose spans go to `endpoint`.
fn configured(endpoint: Option<&str>) -> String {
    let tracing = endpoint.map(|it| format!("[tracing]\nendpoint = '{it}'\n"));
    let tracing = tracing.unwrap_or_default();
    format!(
        "workers = 1\n{tracing}[log]\naccess = false\n[[server]]\nlisten = '127.0.0.1:0'\n\
         [server.routes]\n{ROUTES}\n"
    )
}

fn start(collector: &Upstream) -> Server {
    Site::configured(&configured(Some(&collector.url()))).start()
}

/// The value of a counter.
fn counted(server: &Server, name: &str) -> u64 {
    let text = server.control().exchange("GET", "/metrics").text();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(&format!("{name} ")));
    let value = line.and_then(|line| line.rsplit_once(' '));
    value.expect("a sample").1.parse().expect("a number")
}

/// So many exchanges, at the pace of a pipeline: spans must not be sent because they have waited.
fn exchange(server: &Server, count: usize) {
    let mut client = server.connect();
    for _ in 0..count / 64 {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(64));
        for _ in 0..64 {
            assert_eq!(client.response().status, 200);
        }
    }
}

const EXPORTED: &str = "tidegate_trace_spans_exported_total";
const DROPPED: &str = "tidegate_trace_spans_dropped_total";

fn reload(server: &Server, configuration: &str) -> String {
    server.configure(configuration);
    ended_with(0, &server.command_line(&["reload"]))
}

#[test]
fn a_whole_batch_is_sent_at_once_and_a_part_after_a_while() {
    let collector = Upstream::answering(TAKEN);
    let server = start(&collector);
    let begun = Instant::now();
    exchange(&server, 512);
    until("the batch is taken", || {
        (counted(&server, EXPORTED) >= 512).then_some(())
    });
    assert_eq!(
        spans(&collector).len() % 512,
        0,
        "nothing but whole batches"
    );
    server.get("/last");
    until("the last one is taken", || {
        (counted(&server, EXPORTED) == 513).then_some(())
    });
    assert!(
        begun.elapsed() >= Duration::from_secs(5),
        "it waited for others"
    );
    let spans = spans(&collector);
    assert_eq!(spans.len(), 513);
    assert_eq!(value(&spans[512], "url.path").as_deref(), Some("/last"));
    assert_eq!(counted(&server, DROPPED), 0);
}

#[test]
fn a_collector_that_is_down_costs_its_spans_and_few_diagnostics() {
    let mut collector = Upstream::listen();
    collector.close();
    let server = start(&collector);
    exchange(&server, 1024);
    until("the spans are dropped", || {
        (counted(&server, DROPPED) >= 1024).then_some(())
    });
    assert_eq!(
        (counted(&server, EXPORTED), counted(&server, DROPPED)),
        (0, 1024)
    );
    let (stderr, _) = server.stop();
    let told = stderr.iter().filter(|line| line.contains("tracing:"));
    let told: Vec<&String> = told.collect();
    // One within the minute, and one of the rest at the end.
    assert_eq!(told.len(), 2, "{told:?}");
    for line in told {
        assert!(line.contains("512 spans were dropped"), "{line}");
    }
}

#[test]
fn a_stop_waits_for_a_slow_collector_but_not_for_ever() {
    let collector = Upstream::start(|connection| {
        connection.next_request();
        // It takes the request, and never answers.
        connection.rest();
    });
    let server = start(&collector);
    server.get("/");
    let begun = Instant::now();
    server.stop();
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(1500),
        "it was given time: {took:?}"
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(spans(&collector).len(), 1);
}

#[test]
fn a_busy_collector_gets_the_same_spans_later() {
    let collector = Upstream::listen();
    let server = start(&collector);
    exchange(&server, 512);
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let (_first, refused) = collector.answer(busy);
    let begun = Instant::now();
    assert_eq!(counted(&server, DROPPED), 0);
    let (_second, taken) = collector.answer(TAKEN);
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "it said when"
    );
    assert_eq!(refused.content, taken.content);
    until("they are taken", || {
        (counted(&server, EXPORTED) == 512).then_some(())
    });
    assert_eq!(counted(&server, DROPPED), 0);
}

#[test]
fn spans_that_the_collector_refuses_are_dropped() {
    let text = "{\"partialSuccess\":{\"rejectedSpans\":\"500\",\"errorMessage\":\"too old\"}}";
    let partial = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    for (answer, exported, why) in [
        (&*partial, 12, "the collector refuses a part: too old"),
        (
            "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
            0,
            "the collector answers 401",
        ),
        ("SSH-2.0-x\r\n\r\n", 0, "it sent no response"),
    ] {
        let collector = Upstream::listen();
        let server = start(&collector);
        exchange(&server, 512);
        let _connection = collector.answer(answer);
        let dropped = 512 - exported;
        server.wait_for_line(|line| {
            line.contains(&format!("{dropped} spans were dropped")) && line.contains(why)
        });
        let counts = (counted(&server, EXPORTED), counted(&server, DROPPED));
        assert_eq!(counts, (exported, dropped), "{answer}");
    }
}

#[test]
fn what_does_not_fit_into_the_queue_is_dropped() {
    let collector = Upstream::listen();
    let server = start(&collector);
    let mut client = server.connect();
    // A batch is under way, and 4096 spans wait.
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(16);
    let mut sent = 0;
    let dropped = until("the queue is full", || {
        client.send(&request);
        for _ in 0..16 {
            assert_eq!(client.response().status, 200);
        }
        sent += 16;
        Some(counted(&server, DROPPED)).filter(|dropped| *dropped > 0)
    });
    assert!(sent >= 4096 + dropped, "{sent} {dropped}");
    assert!(sent <= 4096 + 512 + dropped, "{sent} {dropped}");
    drop(collector);
}

#[test]
fn a_reload_sends_what_waits_to_the_next_collector() {
    let (before, after) = (Upstream::answering(TAKEN), Upstream::answering(TAKEN));
    let server = start(&before);
    server.get("/first");
    let said = reload(&server, &configured(Some(&after.url())));
    assert!(said.contains("tracing.endpoint"), "{said}");
    server.get("/second");
    server.stop();
    let all: Vec<_> = [spans(&before), spans(&after)].concat();
    let paths: Vec<_> = all
        .iter()
        .filter_map(|span| value(span, "url.path"))
        .collect();
    assert_eq!(paths, ["/first", "/second"]);
    let last = spans(&after);
    assert!(
        last.iter()
            .any(|span| value(span, "url.path").as_deref() == Some("/second"))
    );
}

#[test]
fn a_reload_may_begin_and_end_it() {
    let collector = Upstream::answering(TAKEN);
    let with = configured(Some(&collector.url()));
    let server = Site::configured(&configured(None)).start();
    server.get("/none");
    reload(&server, &with);
    server.get("/first");
    reload(&server, &configured(None));
    // What waited is sent, although nothing is recorded any more.
    until("it is sent", || {
        (counted(&server, EXPORTED) == 1).then_some(())
    });
    server.get("/none");
    reload(&server, &with);
    server.get("/second");
    server.stop();
    let spans = spans(&collector);
    let paths: Vec<_> = spans
        .iter()
        .filter_map(|span| value(span, "url.path"))
        .collect();
    assert_eq!(paths, ["/first", "/second"]);
}

#[test]
fn check_warns_of_a_name_that_is_not_found() {
    let text = configured(Some("http://collector.invalid:4318"));
    let said = ended_with(0, &Site::configured(&text).command_line(&["check"]));
    let expected = "the name `collector.invalid` is not found; until it is, spans are dropped";
    assert!(said.contains(expected), "{said}");
}
