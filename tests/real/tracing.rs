//! OpenTelemetry's own definition of what a collector takes: it reads every span, and finds nothing that it
//! does not know.
//!
//! `.ci/run` installs it from PyPI. Where it is not, there is nothing to run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Site, Upstream};

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The Python that has OpenTelemetry's package, if it was installed.
fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_tidegate")).ancestors().nth(2);
    let python = target
        .expect("a directory")
        .join("opentelemetry/bin/python");
    python.exists().then_some(python)
}

/// What the program makes of `requests`, a line for each span.
fn read(python: &Path, requests: &[Vec<u8>]) -> Vec<String> {
    let mut reader = Command::new(python)
        .arg("tests/real/tracing/read.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is there");
    let mut input = reader.stdin.take().expect("it is piped");
    for request in requests {
        input.write_all(request).expect("it reads");
        input.write_all(b"\n").expect("it reads");
    }
    drop(input);
    let output = reader.wait_with_output().expect("it is our own child");
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn opentelemetry_reads_every_span() {
    let Some(python) = python() else {
        eprintln!("skipped: OpenTelemetry's package is not installed; `.ci/run test` does that");
        return;
    };
    let collector = Upstream::answering(TAKEN);
    let good = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut gone = Upstream::listen();
    let routes = format!(
        "'/' = {{ respond = 'a' }}\n'/good' = {{ proxy = '{}' }}\n'/gone' = {{ proxy = '{}' }}",
        good.url(),
        gone.url()
    );
    gone.close();
    let server = Site::new(&routes)
        .top(&format!(
            "workers = 1\nrequest_id = true\ntrusted_proxies = ['127.0.0.1']\n[tracing]\nendpoint = '{}'\nservice = 'Süd \"1\"'",
            collector.url()
        ))
        .start();
    let caller = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: a=1,b=x y\r\n");
    server.get_with("/a?b=%22\u{fc}\\", &caller);
    let get = |target: &str, lines: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        server.connect().exchange(request)
    };
    assert_eq!(get("/good", &caller).status, 200);
    assert_eq!(get("/gone", "").status, 502);
    server.stop();
    let requests = collector.requests().into_iter();
    let lines = read(
        &python,
        &requests.map(|request| request.content).collect::<Vec<_>>(),
    );
    let start = "Süd \"1\" tidegate";
    for expected in [
        format!("{start} 2 {TRACE} {CALLER} 200 0 GET /"),
        format!("{start} 2 {TRACE} {CALLER} 200 0 GET /good"),
    ] {
        assert!(lines.contains(&expected), "{expected}: {lines:#?}");
    }
    let failed = lines.iter().filter(|line| line.ends_with(" 2 GET /gone"));
    assert_eq!(failed.count(), 1, "{lines:#?}");
    let tries = lines
        .iter()
        .filter(|line| line.starts_with(&format!("{start} 3 ")));
    assert!(tries.count() >= 2, "{lines:#?}");
}
