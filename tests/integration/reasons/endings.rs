//! Upstreams and scripts that fail, and responses that do not reach their end.

use super::{expect, site};
use crate::cgi::script;
use crate::support::{Site, Upstream};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A site whose every path leads to the server at `url`.
fn proxy(url: &str, settings: &str) -> Site {
    site("'/' = { proxy = 'shop', proxy_status = true }").top(&format!(
        "workers = 1\nupstreams.shop = {{ servers = ['{url}'], failures = {{ max = 0 }}{settings} }}"
    ))
}

/// Expects the answer to a request to be for that reason, and `Proxy-Status` to say so.
fn refused(site: Site, status: u16, reason: &str) {
    let server = site.start();
    let response = server.connect().exchange(get("/"));
    assert_eq!(response.status, status, "{reason}");
    let listed = super::reasons();
    let entry = listed.iter().find(|entry| entry["id"] == reason);
    let error = &entry.expect("it is listed")["proxy_error"];
    let told = response.field("Proxy-Status").expect("the route has it");
    let meant = format!("tidegate; error={}", error.as_str().expect("a type"));
    assert!(
        told == meant || told.starts_with(&format!("{meant};")),
        "{told}"
    );
    expect(&server, reason, status);
}

#[test]
fn scripts() {
    let site = site("'/' = { cgi = 'scripts' }\n'/slow' = { cgi = 'scripts', timeout = '300ms' }");
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    for (name, body) in [
        ("wordless", "echo no field line\n"),
        ("ends", "exit 3\n"),
        ("waits", "exec sleep 1000\n"),
        ("circle", "printf 'Location: /circle\\n\\n'\n"),
        (
            "short",
            "printf 'Content-Type: a/b\\nContent-Length: 9\\n\\nshort'\n",
        ),
        (
            "breaks",
            "printf 'Content-Type: a/b\\n\\nsome'; exec 1>&-; kill -9 $$\n",
        ),
    ] {
        script(site.directory(), name, body);
    }
    script(site.directory(), "lost", "");
    let lost = site.directory().join("scripts/lost");
    std::fs::write(lost, "#!/nonexistent\n").expect("it is ours");
    let closed = site.directory().join("scripts/closed");
    std::fs::create_dir(&closed).expect("the directory is new");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(closed, mode).expect("it is ours");
    let server = site.obeying_permissions().start();
    for (target, status, reason) in [
        ("/none", 404, "script_missing"),
        ("/lost", 502, "script_not_started"),
        ("/wordless", 502, "script_output"),
        ("/ends", 502, "script_ended"),
        ("/slow/waits", 504, "script_timeout"),
        ("/circle", 502, "local_redirect_failed"),
        ("/short", 200, "content_too_short"),
        ("/breaks", 200, "content_broke_off"),
        ("/closed/script", 403, "script_permission"),
    ] {
        let mut client = server.connect();
        client.send(get(target));
        assert_eq!(client.response_head().status, status, "{target}");
        expect(&server, reason, status);
    }
}

#[test]
fn upstreams_that_take_no_connection() {
    let mut closed = Upstream::listen();
    closed.close();
    refused(proxy(closed.address(), ""), 502, "upstream_connect_refused");
    let nowhere = proxy("unix:/nonexistent/app.sock", "");
    refused(nowhere, 502, "upstream_connect_failed");
    let full = Upstream::full();
    let short = ", timeouts = { connect = '50ms' }, retry = { tries = 1 }";
    refused(
        proxy(full.address(), short),
        504,
        "upstream_connect_timeout",
    );
    let unknown = proxy("http://nowhere.invalid:80", "");
    refused(unknown, 502, "upstream_unknown");
}

#[test]
fn upstreams_that_break_the_rules() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for (octets, reason) in [
        ("", "upstream_closed_early"),
        ("hello, world\r\n\r\n", "upstream_response_invalid"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n",
            "upstream_chunks_invalid",
        ),
        (long.as_str(), "upstream_head_too_large"),
        (
            "HTTP/1.1 101 Over\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "upstream_upgrade_failed",
        ),
    ] {
        let octets = octets.to_owned();
        let upstream = Upstream::start(move |connection| {
            connection.request();
            connection.send_until_it_stops(octets.as_bytes());
            connection.finish_sending();
        });
        refused(
            proxy(upstream.address(), ", retry = { tries = 1 }"),
            502,
            reason,
        );
    }
    let breaking = Upstream::listen();
    let server = proxy(breaking.address(), ", retry = { tries = 1 }").start();
    let mut client = server.connect();
    client.send(get("/"));
    let mut connection = breaking.accept();
    connection.request();
    connection.reset();
    assert_eq!(client.response().status, 502);
    expect(&server, "upstream_broken", 502);
    let mut client = server.connect();
    client.send(get("/"));
    let (connection, _) = breaking.answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    drop(connection);
    client.count_rest();
    expect(&server, "upstream_incomplete", 200);
    let silent = Upstream::start(|connection| {
        connection.request();
        connection.rest();
    });
    let late = ", timeouts = { head = '50ms' }, retry = { tries = 1 }";
    refused(proxy(silent.address(), late), 504, "upstream_timeout");
}

#[test]
fn upstreams_that_cannot_be_asked() {
    let upstream = Upstream::listen();
    let address = upstream.address();
    let server = Site::new("'/' = { proxy = 'shop', proxy_status = true }")
        .top(&format!(
            "workers = 1\nupstreams.shop = {{ queue.max = 0, \
             servers = [{{ address = '{address}', max_connections = 1 }}] }}"
        ))
        .log("access = '-'\nformat = 'json'")
        .start();
    let mut first = server.connect();
    first.send(get("/first"));
    let mut connection = upstream.accept();
    connection.request();
    assert_eq!(server.connect().exchange(get("/")).status, 503);
    expect(&server, "upstream_busy", 503);
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(first.response().status, 200);
    let drained = server.command_line(&["upstream", "drain", &format!("shop/{address}")]);
    crate::support::ended_with(0, &drained);
    assert_eq!(server.connect().exchange(get("/")).status, 503);
    expect(&server, "upstream_all_failed", 503);
    let looped = server.get_with("/", &"Via: 1.1 tidegate\r\n".repeat(20));
    assert_eq!(
        (looped.status, looped.field("Proxy-Status").is_some()),
        (508, true)
    );
    expect(&server, "proxy_loop", 508);
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_sent() {
    let server = site("'/' = { files = 'www' }")
        .file("large", vec![b'x'; 64 << 20])
        .start();
    let mut client = server.connect();
    client.send(get("/large"));
    assert_eq!(client.response_head().status, 200);
    server.directory().write("www/large", "short");
    client.count_rest();
    expect(&server, "file_shrank", 200);
}

#[test]
fn what_is_cut_by_the_end_of_grace() {
    let upstream = Upstream::listen();
    let settings = format!(
        "grace = '50ms'\nupstreams.shop.servers = '{}'",
        upstream.address()
    );
    let server = site("'/' = { proxy = 'shop' }").top(&settings).start();
    let mut waiting = server.connect();
    waiting.send(get("/"));
    let mut connection = upstream.accept();
    connection.request();
    let (_, records) = server.stop();
    let record = records.first().expect("a record");
    let record: serde_json::Value = serde_json::from_str(record).expect("JSON");
    assert_eq!(
        (&record["status"], &record["reason"]),
        (&503.into(), &"stopped".into())
    );
    // It named no server before the upstream had answered.
    let server = upstream.address().to_string();
    assert_eq!(
        (&record["upstream"], &record["upstream_tries"]),
        (&server.into(), &1.into())
    );
}
