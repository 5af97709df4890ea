//! `request_id = true`: one id for an exchange, in the log, the response, on pages, and behind the server.

use serde_json::Value;

use crate::cgi::script;
use crate::support::{Server, Site, Upstream};

fn site(routes: &str) -> Site {
    Site::new(routes)
        .top("workers = 1\nrequest_id = true")
        .log("access = '-'\nformat = 'json'")
}

/// The record of the exchange whose target holds `target`.
fn record(server: &Server, target: &str) -> Value {
    let line = server.wait_for_record(|line| line.contains(target));
    serde_json::from_str(&line).expect("JSON")
}

/// A UUID of version 7 (RFC 9562 §5.7).
fn is_made(id: &str) -> bool {
    let parts: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts[2].starts_with('7')
}

#[test]
fn response_log_and_page_have_the_same_id() {
    let server = site("'/' = { files = 'www' }").file("a.txt", "a").start();
    let found = server.get("/a.txt");
    let first = found.field("X-Request-Id").expect("an id").to_owned();
    assert!(is_made(&first), "{first}");
    assert_eq!(record(&server, "/a.txt")["request_id"], first);
    let missing = server.get_with("/none", "Accept: application/json\r\n");
    let second = missing.field("X-Request-Id").expect("an id").to_owned();
    assert_ne!(first, second);
    assert_eq!(missing.json()["request_id"], second);
    assert_eq!(missing.json()["reason"], "file_missing");
    assert_eq!(record(&server, "/none")["request_id"], second);
    let refused = server.answer("nonsense\r\n\r\n");
    let third = refused.field("X-Request-Id").expect("an id").to_owned();
    assert!(refused.text().contains(&third), "{}", refused.text());
    assert_eq!(record(&server, "nonsense")["request_id"], third);
}

#[test]
fn without_it_there_is_no_id() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .log("access = '-'\nformat = 'json'")
        .start();
    let response = server.get_with("/plain", "X-Request-Id: mine\r\n");
    assert_eq!(response.field("X-Request-Id"), None);
    assert!(record(&server, "/plain")["request_id"].is_null());
}

#[test]
fn a_route_may_have_none_where_its_server_has_one() {
    let routes = "'/' = { respond = 'ok' }\n'/quiet' = { respond = 'ok', request_id = false }";
    let server = site(routes).start();
    assert!(server.get("/").field("X-Request-Id").is_some());
    assert_eq!(server.get("/quiet").field("X-Request-Id"), None);
}

/// A client behind no proxy would choose what the log says of it.
#[test]
fn only_a_trusted_proxy_names_the_id() {
    for (trusted, sent, is_taken) in [
        ("trusted_proxies = ['127.0.0.1']", "edge-1:77", true),
        ("trusted_proxies = ['127.0.0.1']", "no \"id\"", false),
        ("trusted_proxies = ['10.0.0.1']", "edge-1:77", false),
    ] {
        let top = format!("workers = 1\nrequest_id = true\n{trusted}");
        let server = site("'/' = { respond = 'ok' }").top(&top).start();
        let response = server.get_with("/asked", &format!("X-Request-Id: {sent}\r\n"));
        let id = response.field("X-Request-Id").expect("an id");
        assert_eq!(id == sent, is_taken, "{trusted}: {sent}");
        assert_eq!(is_made(id), !is_taken, "{id}");
        assert_eq!(record(&server, "/asked")["request_id"], id);
    }
}

#[test]
fn upstreams_and_scripts_are_told_it_in_place_of_what_the_client_says() {
    let upstream = Upstream::listen();
    let routes = format!(
        "'/' = {{ proxy = 'http://{}' }}\n'/cgi' = {{ cgi = 'scripts' }}",
        upstream.address()
    );
    let site = site(&routes);
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    let body = "printf 'Content-Type: text/plain\\n\\n'; echo $REQUEST_ID $HTTP_X_REQUEST_ID\n";
    script(site.directory(), "told", body);
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /shop HTTP/1.1\r\nHost: h\r\nX-Request-Id: forged\r\n\r\n");
    let (_connection, asked) = upstream
        .answer("HTTP/1.1 200 OK\r\nX-Request-Id: of the upstream\r\nContent-Length: 0\r\n\r\n");
    let response = client.response();
    let id = response.field("X-Request-Id").expect("an id");
    let lines = response.fields.iter();
    let lines = lines.filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
    assert_eq!(lines.count(), 1);
    assert!(is_made(id), "{id}");
    assert_eq!(asked.values("X-Request-Id"), [id]);
    let told = server
        .connect()
        .exchange("GET /cgi/told HTTP/1.1\r\nHost: h\r\nX-Request-Id: forged\r\n\r\n");
    let id = told.field("X-Request-Id").expect("an id");
    assert_eq!(told.text().trim(), format!("{id} {id}"));
}
