//! `metrics`, `ready` and `live`: what is counted equals what was done and what the access log says; forms
//! and their negotiation; what balancers and orchestrators are told.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::support::{Client, Response, Server, Site, Upstream, ended_with, speak_plainly, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// All samples of an exposition, by name and labels as they are written.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// What the control socket tells: to read it is no exchange that is counted.
fn metrics(server: &Server) -> BTreeMap<String, f64> {
    let response = server.control().exchange("GET", "/metrics");
    assert_eq!(response.status, 200);
    samples(&response.text())
}

/// The values of `family` whose labels contain `labels`.
fn of_family<'m>(
    metrics: &'m BTreeMap<String, f64>,
    family: &str,
    labels: &str,
) -> impl Iterator<Item = f64> + use<'m> {
    let (start, labels) = (format!("{family}{{"), labels.to_owned());
    let found = metrics
        .iter()
        .filter(move |(name, _)| name.starts_with(&start) && name.contains(&labels));
    found.map(|(_, value)| *value)
}

fn sum(metrics: &BTreeMap<String, f64>, family: &str, labels: &str) -> f64 {
    of_family(metrics, family, labels).sum()
}

/// Waits until so many exchanges have been counted, and returns the metrics.
fn after(server: &Server, exchanges: u32) -> BTreeMap<String, f64> {
    until("the exchanges are counted", || {
        let metrics = metrics(server);
        let count = sum(&metrics, "tidegate_http_requests_total", "");
        assert!(count <= f64::from(exchanges), "{count} of {exchanges}");
        (count == f64::from(exchanges)).then_some(metrics)
    })
}

/// The status and the octets of content of a line of the access log.
fn told(line: &str) -> (u16, u64) {
    let mut words = line.rsplit(' ');
    let octets = words.next().expect("octets").parse().unwrap_or(0);
    let status = words.next().expect("a status");
    (status.parse().expect("a number"), octets)
}

/// Stops the server, and holds `metrics` to the lines of its log.
fn hold_to_log(server: Server, metrics: &BTreeMap<String, f64>) {
    let (_, records) = server.stop();
    let told: Vec<_> = records.iter().map(|line| told(line)).collect();
    for class in 1..=5 {
        let lines = told.iter().filter(|(status, _)| status / 100 == class);
        let (count, octets) = lines.fold((0, 0), |sum, (_, octets)| (sum.0 + 1, sum.1 + octets));
        let label = format!("code=\"{class}xx\"");
        let counted = |family| sum(metrics, family, &label);
        assert_eq!(
            counted("tidegate_http_requests_total"),
            f64::from(count),
            "{records:?}"
        );
        let sent = counted("tidegate_http_response_content_bytes_total");
        assert_eq!(sent, octets as f64, "{class}: {records:?}");
        let durations = counted("tidegate_http_request_duration_seconds_count");
        assert_eq!(durations, f64::from(count));
    }
    assert_eq!(
        sum(metrics, "tidegate_http_exchanges_total", ""),
        records.len() as f64
    );
}

fn site(routes: &str) -> Site {
    Site::new(&format!("{routes}\n'= /metrics' = {{ metrics = true }}"))
        .top("workers = 2\ngrace = '50ms'")
        .log("access = '-'\nformat = 'common'")
}

#[test]
fn what_is_counted_equals_what_was_done_and_the_log() {
    let server = site(
        "'/' = { respond = 'hello' }\n'POST /echo' = { echo = true }\n'GET /users/{id}' = { respond = 'u' }\n\
         '/files' = { files = 'www', strip_prefix = true }",
    )
    .file("large", vec![b'x'; 1024 * 1024])
    .start();
    let mut client = server.connect();
    for request in [GET, GET, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        client.send(request);
    }
    client.response();
    client.response();
    client.response_to_head();
    let post = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    assert_eq!(client.exchange(post).status, 200);
    assert_eq!(client.exchange(get("/users/7")).text(), "u");
    assert_eq!(client.exchange(get("/users/8")).text(), "u");
    assert_eq!(client.exchange(get("/files/none")).status, 404);
    assert_eq!(
        client.exchange(get("/files/large")).content.len(),
        1024 * 1024
    );
    assert_eq!(server.answer("nonsense\r\n\r\n").status, 400);
    let all = after(&server, 9);
    let host = format!("server=\"{}\"", server.address());
    // The server answers for any host, so it is called by where it listens, which is port 0 in the file.
    let host = host.replace(&server.address().port().to_string(), "0");
    for (route, method, code, count, received, sent) in [
        ("/", "GET", "2xx", 2., 0., 10.),
        ("/", "HEAD", "2xx", 1., 0., 0.),
        ("GET /users/{id}", "GET", "2xx", 2., 0., 2.),
        ("/files", "GET", "2xx", 1., 0., 1_048_576.),
    ] {
        let labels = format!("{host},route=\"{route}\",method=\"{method}\",code=\"{code}\"");
        let of = |family| of_family(&all, family, &labels).collect::<Vec<_>>();
        assert_eq!(
            of("tidegate_http_requests_total"),
            [count],
            "{labels}: {all:#?}"
        );
        let in_bytes = of("tidegate_http_request_content_bytes_total");
        assert_eq!(in_bytes, [received], "{labels}");
        assert_eq!(
            of("tidegate_http_response_content_bytes_total"),
            [sent],
            "{labels}"
        );
    }
    let echo = "route=\"POST /echo\",method=\"POST\",code=\"2xx\"";
    assert_eq!(
        sum(&all, "tidegate_http_request_content_bytes_total", echo),
        7.
    );
    let unread = "server=\"-\",route=\"-\",method=\"-\",code=\"4xx\"";
    assert_eq!(sum(&all, "tidegate_http_requests_total", unread), 1.);
    hold_to_log(server, &all);
}

/// Reads the head of a response that is larger than any socket holds, and no more.
fn half_served(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(get("/files/large"));
    assert_eq!(client.response_head().status, 200);
    client
}

#[test]
fn exchanges_that_do_not_end_well_are_counted_where_they_belong() {
    let server =
        site("'/' = { respond = 'ok' }\n'/files' = { files = 'www', strip_prefix = true }")
            .limits("head_timeout = '10ms'")
            .environment("TIDEGATE_TEST_HOOKS", "panic")
            .file("large", vec![b'x'; 64 * 1024 * 1024])
            .start();
    drop(half_served(&server));
    let mut late = server.connect();
    late.send("GET /late HTTP/1.1\r\nHo");
    assert_eq!(late.last_response().status, 408);
    let mut panics = server.connect();
    panics.send(get("/.tidegate-test/panic-connection"));
    panics.count_rest();
    assert_eq!(
        server
            .answer("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
            .status,
        204
    );
    let all = after(&server, 4);
    for (end, count) in [
        ("answered", 1.),
        ("broken_off", 1.),
        ("timed_out", 1.),
        ("cut", 1.),
        ("client_left", 0.),
        ("refused", 0.),
        ("turned_away", 0.),
    ] {
        let label = format!("end=\"{end}\"");
        assert_eq!(
            sum(&all, "tidegate_http_exchanges_total", &label),
            count,
            "{end}"
        );
    }
    for (labels, count) in [
        ("route=\"/files\",method=\"GET\",code=\"2xx\"", 1.),
        ("route=\"/\",method=\"GET\",code=\"5xx\"", 1.),
        ("route=\"-\",method=\"GET\",code=\"4xx\"", 1.),
        ("route=\"-\",method=\"OPTIONS\",code=\"2xx\"", 1.),
    ] {
        assert_eq!(
            sum(&all, "tidegate_http_requests_total", labels),
            count,
            "{all:#?}"
        );
    }
    hold_to_log(server, &all);
}

#[test]
fn no_count_goes_back_or_is_lost_with_a_reload_or_a_worker() {
    let text = |workers: u32, routes: &str| {
        format!(
            "workers = {workers}\n[log]\naccess = '-'\nformat = 'common'\n[[server]]\nlisten = '127.0.0.1:0'\n\
             hosts = ['h']\n[server.routes]\n{routes}"
        )
    };
    let [a, b] = ["'/a' = { respond = 'a' }\n", "'/b' = { respond = 'b' }\n"];
    let server = Site::configured(&text(4, &format!("{a}{b}"))).start();
    let reload = |text: String| {
        server.configure(text);
        ended_with(0, &server.command_line(&["reload"]));
    };
    let ask = |target| {
        // A connection for each, so that every worker gets some.
        let codes: Vec<u16> = (0..20).map(|_| server.get(target).status).collect();
        codes
    };
    assert_eq!((ask("/a"), ask("/b")), (vec![200; 20], vec![200; 20]));
    reload(text(1, &format!("{a}'/c' = {{ respond = 'c' }}\n")));
    assert_eq!((ask("/a"), ask("/b")), (vec![200; 20], vec![404; 20]));
    reload(text(3, &format!("{b}{a}")));
    assert_eq!((ask("/a"), ask("/b")), (vec![200; 20], vec![200; 20]));
    server.configure("workers = 'none'");
    ended_with(1, &server.command_line(&["reload"]));
    let all = after(&server, 120);
    for (labels, count) in [
        ("server=\"h\",route=\"/a\",method=\"GET\",code=\"2xx\"", 60.),
        ("server=\"h\",route=\"/b\",method=\"GET\",code=\"2xx\"", 40.),
        ("server=\"h\",route=\"-\",method=\"GET\",code=\"4xx\"", 20.),
    ] {
        assert_eq!(
            sum(&all, "tidegate_http_requests_total", labels),
            count,
            "{all:#?}"
        );
    }
    assert_eq!(
        sum(&all, "tidegate_config_reloads_total", "outcome=\"applied\""),
        2.
    );
    assert_eq!(
        sum(&all, "tidegate_config_reloads_total", "outcome=\"refused\""),
        1.
    );
    assert_eq!(all["tidegate_config_last_reload_successful"], 0.);
    assert_eq!(all["tidegate_config_generation"], 3.);
    assert_eq!(all["tidegate_workers"], 3.);
    assert_eq!(server.status()["requests"], 120);
    hold_to_log(server, &all);
}

#[test]
fn the_form_is_what_the_client_prefers() {
    let server = site("'/' = { respond = 'ok' }").start();
    let ask = |accept: &str| server.get_with("/metrics", accept);
    let plain = ask("");
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(plain.field("Content-Type"), Some(content_type));
    assert_eq!(plain.field("Cache-Control"), Some("no-store"));
    assert!(
        plain
            .text()
            .contains("# TYPE tidegate_http_requests_total counter\n")
    );
    assert!(!plain.text().contains("# EOF"));
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n";
    let open = ask(prometheus);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.field("Content-Type"), Some(content_type));
    assert!(
        open.text()
            .contains("# TYPE tidegate_http_requests counter\n")
    );
    assert!(open.text().ends_with("\n# EOF\n"));
    let head = "HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut client = server.connect();
    client.send(head);
    assert_eq!(client.response_to_head().status, 200);
    let post = server.answer("POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (post.status, post.field("Allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    let printed = ended_with(0, &server.command_line(&["metrics"]));
    assert!(
        printed.contains("tidegate_build_info{version="),
        "{printed}"
    );
    let printed = ended_with(0, &server.command_line(&["metrics", "--openmetrics"]));
    assert!(printed.ends_with("# EOF\n"), "{printed}");
}

#[test]
fn labels_are_escaped() {
    let server = site("'/a%22b%5Cc' = { respond = 'ok' }\n'/{name}' = { respond = 'n' }").start();
    assert_eq!(server.get("/a%22b%5Cc").status, 200);
    assert_eq!(server.get("/%22%0A").status, 200);
    let all = after(&server, 2);
    for route in ["route=\"/a%22b%5Cc\"", "route=\"/{name}\""] {
        assert_eq!(
            sum(&all, "tidegate_http_requests_total", route),
            1.,
            "{all:#?}"
        );
    }
}

#[test]
fn connections_are_counted_by_their_state() {
    let server = site("'/' = { respond = 'ok' }").start();
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).status, 200);
    }
    let all = after(&server, 3);
    assert_eq!(sum(&all, "tidegate_connections", "state=\"http\""), 3.);
    assert_eq!(all["tidegate_connections_accepted_total"], 3.);
    assert_eq!(
        of_family(&all, "tidegate_worker_loop_delay_seconds", "").count(),
        2
    );
    drop(clients);
    until("the ends are noticed", || {
        (sum(&metrics(&server), "tidegate_connections", "") == 0.).then_some(())
    });
}

#[test]
fn upstreams_have_metrics() {
    speak_plainly();
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let server = site("'/' = { proxy = 'shop' }")
        .top(&format!(
            "workers = 2\nupstreams.shop.servers = ['{}', '127.0.0.1:1']",
            upstream.address()
        ))
        .start();
    let mut client = server.connect();
    for _ in 0..6 {
        assert_eq!(client.exchange(GET).status, 200);
    }
    let all = after(&server, 6);
    let of = |server: &str| format!("upstream=\"shop\",server=\"{server}\"");
    let (good, bad) = (of(upstream.address()), of("127.0.0.1:1"));
    let value = |family, labels: &str| sum(&all, family, labels);
    assert_eq!(value("tidegate_upstream_server_requests_total", &good), 6.);
    let failures = value("tidegate_upstream_server_failures_total", &bad);
    assert!(failures >= 1., "{all:#?}");
    assert_eq!(
        value("tidegate_upstream_server_requests_total", &bad),
        failures
    );
    assert_eq!(
        value("tidegate_upstream_retries_total", "upstream=\"shop\""),
        failures
    );
    assert_eq!(value("tidegate_upstream_server_up", &good), 1.);
    assert_eq!(value("tidegate_upstream_server_in_flight_requests", ""), 0.);
    ended_with(
        0,
        &server.command_line(&["upstream", "drain", &format!("shop/{}", upstream.address())]),
    );
    let drained = metrics(&server);
    assert_eq!(sum(&drained, "tidegate_upstream_server_up", &good), 0.);
}

fn probes() -> Site {
    Site::new(
        "'= /ready' = { ready = true }\n'= /live' = { live = true }\n'/' = { respond = 'ok' }",
    )
}

#[test]
fn ready_and_live_say_so() {
    let server = probes().start();
    for target in ["/ready", "/live"] {
        let response = server.get(target);
        assert_eq!(
            (response.status, response.text()),
            (200, format!("{}\n", &target[1..]))
        );
        assert_eq!(response.field("Cache-Control"), Some("no-store"));
    }
}

/// One of two event loops hangs, in code that never returns. The other says so.
#[test]
fn a_loop_that_does_not_turn_is_told_of() {
    let site = probes()
        .top("workers = 2")
        .environment("TIDEGATE_TEST_HOOKS", "block");
    let fifo = site.directory().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).expect("ours");
    let server = site.start();
    // So many that each worker has some.
    let mut clients: Vec<Client> = (0..24).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).status, 200);
    }
    let mut blocking = clients.pop().expect("there are some");
    blocking.send(get("/.tidegate-test/block-worker"));
    // It opens only when the worker waits at the other end.
    let release = std::fs::File::options().write(true).open(&fifo);
    until("one loop is late, and the other is not", || {
        let delays = metrics(&server);
        let delays = of_family(&delays, "tidegate_worker_loop_delay_seconds", "");
        (delays.filter(|delay| *delay == 0.25).count() == 1).then_some(())
    });
    let (answers, answered) = std::sync::mpsc::channel();
    for mut client in clients {
        let answers = answers.clone();
        client.send(get("/live"));
        std::thread::spawn(move || {
            let response = client.response();
            answers.send((response.status, response.text())).ok();
        });
    }
    let first = answered.recv().expect("one loop turns");
    assert_eq!(first, (503, "1 of 2 event loops do not turn\n".to_owned()));
    drop(release);
    assert_eq!(blocking.response().status, 200);
    assert_eq!(server.get("/live").status, 200);
    server.wait_for_reason("not_live");
}

fn assert_stopping(response: &Response) {
    assert_eq!(
        (response.status, response.text().as_str()),
        (503, "stopping\n")
    );
}

#[test]
fn before_it_stops_the_server_goes_on_and_says_that_it_is_not_ready() {
    let mut server = probes().top("drain_delay = '1h'\ngrace = '1h'").start();
    server.signal(Signal::TERM);
    server.wait_for_line(|line| line.contains("stopping in 3600s"));
    assert_stopping(&server.get("/ready"));
    assert_eq!(server.get("/live").status, 200);
    assert_eq!(server.get("/").text(), "ok");
    assert_eq!(metrics(&server)["tidegate_ready"], 0.);
    // Nothing takes the stop back.
    let refused = ended_with(1, &server.command_line(&["upgrade"]));
    assert!(refused.contains("it is stopping"), "{refused}");
    ended_with(0, &server.command_line(&["reload"]));
    assert_stopping(&server.get("/ready"));
    // The second signal ends the delay.
    server.signal(Signal::TERM);
    assert!(server.wait().expect("it is our own child").success());
}

#[test]
fn the_delay_ends_by_itself() {
    let mut server = probes().top("drain_delay = '10ms'").start();
    let answer = ended_with(0, &server.command_line(&["stop"]));
    assert!(answer.contains("stopping in 10ms"), "{answer}");
    assert!(server.wait().expect("it is our own child").success());
}

#[test]
fn a_server_is_not_ready_without_a_server_of_an_upstream() {
    speak_plainly();
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let server =
        Site::new("'= /ready' = { ready = { upstreams = 'shop' } }\n'/' = { proxy = 'shop' }")
            .top(&format!(
                "upstreams.shop.servers = '{}'",
                upstream.address()
            ))
            .start();
    assert_eq!(server.get("/ready").status, 200);
    let name = format!("shop/{}", upstream.address());
    ended_with(0, &server.command_line(&["upstream", "drain", &name]));
    let response = server.get("/ready");
    let text = "upstream shop has no server left\n";
    assert_eq!((response.status, response.text().as_str()), (503, text));
    server.wait_for_reason("not_ready");
    ended_with(0, &server.command_line(&["upstream", "enable", &name]));
    assert_eq!(server.get("/ready").status, 200);
}

/// How often the caches of files had an answer, and how often they had none.
fn looks(metrics: &BTreeMap<String, f64>) -> [f64; 2] {
    ["hit", "miss"].map(|result| {
        let label = format!("result=\"{result}\"");
        sum(metrics, "tidegate_file_cache_lookups_total", &label)
    })
}

#[test]
fn what_caches_of_files_hold_is_told_and_how_often_they_have_an_answer() {
    let routes = "'/' = { files = 'www', revalidate = '1h', compress = true }";
    let server = site(routes)
        .file("small.txt", "x".repeat(5000))
        .file("large.bin", vec![b'x'; 1024 * 1024])
        .start();
    let held = |all: &BTreeMap<String, f64>, kind: &str| {
        ["tidegate_file_cache_entries", "tidegate_file_cache_bytes"]
            .map(|family| sum(all, family, &format!("kind=\"{kind}\"")))
    };
    let before = metrics(&server);
    assert_eq!(looks(&before), [0., 0.]);
    assert_eq!(before["tidegate_compressed_files"], 0.);
    // One connection, so that one worker answers all.
    let mut client = server.connect();
    for (target, status) in [
        ("/small.txt", 200),
        ("/small.txt", 200),
        ("/none", 404),
        ("/small.txt", 200),
        ("/large.bin", 200),
        ("/none", 404),
    ] {
        assert_eq!(client.exchange(get(target)).status, status, "{target}");
    }
    let all = metrics(&server);
    assert_eq!(looks(&all), [3., 3.], "{all:#?}");
    let [content, of_content] = held(&all, "content");
    assert_eq!(content, 1.);
    assert!((5000. ..10_000.).contains(&of_content), "{of_content}");
    let [open, of_open] = held(&all, "open");
    assert_eq!(open, 1.);
    assert!(of_open < 10_000., "its content is not in memory: {of_open}");
    assert_eq!(held(&all, "no_file")[0], 1.);
    let coded =
        client.exchange("GET /small.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(coded.field("Content-Encoding"), Some("gzip"));
    let all = metrics(&server);
    assert_eq!(all["tidegate_compressed_files"], 1.);
    let octets = all["tidegate_compressed_files_bytes"];
    assert_eq!(octets, coded.content.len() as f64);
    assert_eq!(all["tidegate_diagnostics_lost_lines_total"], 0.);
    drop(client);
    let counted = looks(&all);
    for workers in [1, 2, 1] {
        let text = server.directory().read("config.toml");
        let text = text.replace("workers = 2", &format!("workers = {workers}"));
        server.configure(text.replace("workers = 1", &format!("workers = {workers}")));
        ended_with(0, &server.command_line(&["reload"]));
        assert_eq!(looks(&metrics(&server)), counted, "{workers} workers");
    }
}

#[test]
fn a_worker_that_has_ended_holds_no_files() {
    let server = site("'/' = { files = 'www', revalidate = '1h' }")
        .file("a.txt", "a")
        .start();
    // So many that each worker has some.
    let mut clients: Vec<Client> = (0..24).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(get("/a.txt")).status, 200);
    }
    drop(clients);
    let has = |entries: f64| {
        let family = "tidegate_file_cache_entries";
        let held = sum(&metrics(&server), family, "kind=\"content\"");
        (held == entries).then_some(())
    };
    until("both have the file", || has(2.));
    let text = server.directory().read("config.toml");
    server.configure(text.replace("workers = 2", "workers = 1"));
    ended_with(0, &server.command_line(&["reload"]));
    until("one has it", || has(1.));
}

#[test]
fn connections_without_a_request_are_told_as_idle() {
    let server = site("'/' = { respond = 'ok' }").start();
    let idle = |count: f64| {
        until("so many are idle", || {
            let all = metrics(&server);
            let open = sum(&all, "tidegate_connections", "state=\"http\"");
            (all["tidegate_idle_connections"] == count).then_some(open)
        })
    };
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).status, 200);
    }
    assert_eq!(idle(3.), 3.);
    clients[0].send("GET / HT");
    assert_eq!(idle(2.), 3., "a request has begun");
    clients[0].send("TP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(clients[0].response().status, 200);
    assert_eq!(idle(3.), 3.);
    clients.pop();
    assert_eq!(idle(2.), 2.);
}

/// What was read of such a request is told in both.
#[test]
fn log_and_metrics_agree_about_requests_without_a_route() {
    speak_plainly();
    let server = Site::new("'/' = { respond = 'hello' }")
        .top("workers = 1")
        .limits("connections_per_client = 1")
        .log("access = '-'\nformat = 'json'")
        .start();
    let unknown = "POST /expects HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8\r\n\
                   Accept: application/json\r\nExpect: foo\r\n\r\n";
    let refused = server.answer(unknown);
    assert_eq!(refused.status, 417);
    assert_eq!(refused.json()["reason"], "expectation_unknown");
    let record = |target: &str| {
        let line = server.wait_for_record(|line| line.contains(target));
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON")
    };
    let told = record("/expects");
    assert_eq!(told["host"], "shop.example");
    assert_eq!(told["user_agent"], "curl/8");
    let mut first = until("the place is free", || {
        let mut client = server.connect();
        client.send(GET);
        (client.response().status == 200).then_some(client)
    });
    let mut second = server.connect();
    second.send("PUT /many HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(second.last_response().status, 429);
    // It may have been answered before its request came.
    let told =
        server.wait_for_record(|line| line.contains("\"status\":429") && !line.contains("GET"));
    let all = metrics(&server);
    let counted = |labels: &str| sum(&all, "tidegate_http_requests_total", labels);
    let unrouted = "server=\"-\",route=\"-\",method=";
    assert_eq!(counted(&format!("{unrouted}\"POST\",code=\"4xx\"")), 1.);
    let has_come = told.contains("\"method\":\"PUT\"");
    assert_eq!(
        has_come,
        told.contains("\"host\":\"shop.example\""),
        "{told}"
    );
    let put = counted(&format!("{unrouted}\"PUT\",code=\"4xx\""));
    assert_eq!(put, f64::from(u8::from(has_come)), "{told}");
    assert_eq!(first.exchange(GET).status, 200);
}
