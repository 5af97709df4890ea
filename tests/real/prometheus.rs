//! Prometheus scrapes a server under load: it takes every sample, and counts what the access log has.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::program::{Program, free_address};
use crate::support::{Client, Server, Site, speak_plainly, until};

fn site() -> Site {
    speak_plainly();
    Site::new(
        "'/' = { respond = 'hello' }\n'/files' = { files = 'www', strip_prefix = true }\n\
         'POST /echo' = { echo = true }\n'= /metrics' = { metrics = true }\n'/a%22b%5Cc' = { respond = 'q' }",
    )
    .top("workers = 2")
    .log("access = '-'\nformat = 'common'")
    .file("small", "small")
}

/// The value of the first sample that `query` selects; `None`: there is none yet.
fn query(prometheus: SocketAddr, query: &str) -> Option<f64> {
    let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let mut client = Client::try_connect(prometheus).ok()?;
    client.send(format!(
        "GET /api/v1/query?query={encoded} HTTP/1.1\r\nHost: {prometheus}\r\n\r\n"
    ));
    let response = client.response();
    // It is not ready yet.
    if response.status != 200 {
        return None;
    }
    let json = response.json();
    let value = json.pointer("/data/result/0/value/1")?;
    value.as_str()?.parse().ok()
}

/// Starts a Prometheus that scrapes `server` every half second.
fn prometheus(server: &Server) -> (Program, SocketAddr) {
    let directory = server.directory();
    directory.write(
        "prometheus.yml",
        format!(
            "global: {{ scrape_interval: 500ms }}\nscrape_configs:\n  - job_name: tidegate\n    \
             static_configs: [{{ targets: ['{}'] }}]\n",
            server.address()
        ),
    );
    let address = free_address();
    let mut command = Command::new("prometheus");
    command
        .arg(format!(
            "--config.file={}",
            directory.join("prometheus.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.join("tsdb").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    (Program::at_port(command, address), address)
}

fn load(server: &Server) {
    let url = |path: &str| format!("http://{}{path}", server.address());
    let wrk = |path: &str| {
        let mut command = Command::new("wrk");
        command.args(["-t1", "-c8", "-d3s"]).arg(url(path));
        command.stdout(Stdio::null());
        command.spawn().expect("wrk is installed")
    };
    let running = ["/", "/files/small", "/files/none"].map(wrk);
    for _ in 0..50 {
        let post = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(server.answer(post).status, 200);
        assert_eq!(server.get("/a%22b%5Cc").status, 200);
        assert_eq!(server.answer("nonsense\r\n\r\n").status, 400);
    }
    for mut child in running {
        assert!(child.wait().expect("it is our own child").success());
    }
}

/// Every exchange but the scrapes.
const COUNTED: &str = "route!=\"= /metrics\"";

#[test]
fn counts_equal_the_access_log() {
    let server = site().start();
    let (_program, prometheus) = prometheus(&server);
    until("it scrapes", || {
        (query(prometheus, "up")? == 1.0).then_some(())
    });
    load(&server);
    // No client asks any more; the server has counted all, and Prometheus has only to see it.
    let requests = || server.status()["requests"].as_f64().expect("a number");
    let scrapes = "sum(tidegate_http_requests_total{route=\"= /metrics\"})";
    let total = format!("sum(tidegate_http_requests_total{{{COUNTED}}})");
    until("it has scraped the last counts", || {
        let (counted, before) = (query(prometheus, &total)?, requests());
        let own = query(prometheus, scrapes)?;
        // One scrape or two more were counted since the last one that it has stored.
        ((0. ..=3.).contains(&(before - counted - own))).then_some(())
    });
    let sums: Vec<(usize, f64, f64)> = (2..=5)
        .map(|class| {
            let labels = format!("{{{COUNTED},code=\"{class}xx\"}}");
            let sum = |family: &str| query(prometheus, &format!("sum({family}{labels})"));
            let count = sum("tidegate_http_requests_total").unwrap_or(0.);
            let octets = sum("tidegate_http_response_content_bytes_total").unwrap_or(0.);
            let durations = sum("tidegate_http_request_duration_seconds_count").unwrap_or(0.);
            assert_eq!(count, durations);
            (class, count, octets)
        })
        .collect();
    let p99 = "histogram_quantile(0.99, sum by (le) (rate(tidegate_http_request_duration_seconds_bucket[1m])))";
    let p99 = query(prometheus, p99).expect("there was load");
    assert!(p99 > 0. && p99.is_finite(), "{p99}");
    assert_eq!(
        query(prometheus, "count(tidegate_worker_loop_delay_seconds)"),
        Some(2.)
    );
    let escaped = "tidegate_http_requests_total{route=\"/a%22b%5Cc\"}";
    assert_eq!(query(prometheus, escaped), Some(50.));
    let (_, records) = server.stop();
    for (class, count, octets) in sums {
        let (mut lines, mut sum) = (0, 0);
        for line in records
            .iter()
            .filter(|line| !line.contains("\"GET /metrics "))
        {
            let mut words = line.rsplit(' ');
            let sent = words.next().and_then(|octets| octets.parse::<u64>().ok());
            let status: usize = words.next().expect("a status").parse().expect("a number");
            if status / 100 == class {
                lines += 1;
                sum += sent.unwrap_or(0);
            }
        }
        assert_eq!((lines as f64, sum as f64), (count, octets), "{class}xx");
    }
}

/// `promtool` finds no fault: neither a mistake of the format, nor a name against the conventions.
#[test]
fn promtool_finds_no_fault() {
    let server = site().start();
    assert_eq!(server.get("/files/none").status, 404);
    let printed = server.command_line(&["metrics"]);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    let mut input = promtool.stdin.take().expect("it is piped");
    input.write_all(&printed.stdout).expect("it reads");
    drop(input);
    let done = promtool.wait_with_output().expect("it is our own child");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}");
}
