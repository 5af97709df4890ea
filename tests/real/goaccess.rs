//! goaccess reads the access log: it counts the lines that it cannot take as invalid.

use std::process::Command;

use crate::support::{Server, Site};

/// Clients of every kind, and requests that cannot be read.
fn visit(server: &Server) -> usize {
    let clients = ["192.0.2.7", "2001:db8::7", "unknown", "fe80::1%eth0", "\""];
    for client in clients {
        let line = format!("X-Forwarded-For: {client}\r\n");
        assert_eq!(server.get_with("/", &line).status, 200);
    }
    let long = "a".repeat(20_000);
    let requests = [
        "GET /\"quoted\" HTTP/1.1\r\nHost: h\r\nUser-Agent: \"\\\t\u{e9}\r\n\r\n".to_owned(),
        "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\n"),
        format!("GET /{} HTTP/1.1\r\n", long.replace('a', "\u{e9}")),
        format!("GET / HTTP/1.1\r\nX: {long}\r\n"),
    ];
    for request in &requests {
        let mut client = server.connect();
        client.send(request);
        client.response_head();
    }
    clients.len() + requests.len()
}

#[test]
fn every_line_is_valid() {
    for format in ["combined", "common"] {
        let server = Site::new("'/' = { respond = 'ok' }")
            .top("trusted_proxies = '127.0.0.1'")
            .log(&format!("access = '-'\nformat = '{format}'"))
            .start();
        let visits = visit(&server);
        let (_, lines) = server.stop();
        let site = Site::of_files();
        site.directory()
            .write("access.log", lines.join("\n") + "\n");
        let done = Command::new("goaccess")
            .arg(site.directory().join("access.log"))
            .arg(format!("--log-format={}", format.to_uppercase()))
            .arg("--no-global-config")
            .arg("--output")
            .arg(site.directory().join("report.json"))
            .output()
            .expect("goaccess is installed");
        assert!(done.status.success(), "{done:?}");
        let report = site.directory().read("report.json");
        let report: serde_json::Value = serde_json::from_str(&report).expect("it writes JSON");
        assert_eq!(report["general"]["failed_requests"], 0, "{lines:#?}");
        assert_eq!(report["general"]["valid_requests"], visits, "{lines:#?}");
    }
}
