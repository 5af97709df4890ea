//! Spring MVC on an embedded Tomcat behind `proxy`, both as Debian packages them.

use std::process::{Command, Stdio};

use crate::program::{Program, free_address};
use crate::support::{Client, Response, Server, Site, ended_with, pattern};

const APPLICATION: &str = include_str!("spring/Tide.java");
const BEANS: &str = include_str!("spring/beans.xml");

/// Where Debian has the libraries. The names with versions lead to the same files.
const LIBRARIES: [&str; 3] = ["spring3", "tomcat9", "commons-logging"];

/// The class path: this directory, and the libraries.
pub(crate) fn class_path() -> String {
    let directory = std::fs::read_dir("/usr/share/java").expect("libraries of Java are installed");
    let paths = directory.map(|entry| entry.expect("an entry").path().display().to_string());
    let is_library = |path: &String| {
        let name = path.trim_start_matches("/usr/share/java/");
        LIBRARIES.iter().any(|library| name.starts_with(library)) && name.ends_with(".jar")
    };
    let mut parts: Vec<String> = paths.filter(is_library).collect();
    for library in LIBRARIES {
        let is_here = parts.iter().any(|path| path.contains(library));
        assert!(is_here, "{library} is not installed: see .ci/run");
    }
    parts.push(".".to_owned());
    parts.join(":")
}

/// The application behind two routes; the second one says which port the site has.
fn start(top: &str) -> (Server, Program) {
    let address = free_address();
    let site = Site::new(&format!(
        "'/' = {{ proxy = 'http://{address}', limits = {{ max_content = '64 MiB' }} }}\n\
         '/8080' = {{ proxy = 'http://{address}', strip_prefix = true, \
         request_headers = {{ X-Forwarded-Port = '8080' }} }}"
    ))
    .top(top);
    let directory = site.directory();
    directory.write("Tide.java", APPLICATION);
    directory.write("beans.xml", BEANS);
    let class_path = class_path();
    let compiled = Command::new("javac")
        .args(["-cp", &class_path, "Tide.java"])
        .current_dir(directory.path())
        .output();
    ended_with(0, &compiled.expect("default-jdk-headless is installed"));
    let mut command = Command::new("java");
    command
        .args(["-cp", &class_path, "Tide", &address.port().to_string()])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let program = Program::at_port(command, address);
    (site.start(), program)
}

/// Sends a form, and returns where its answer leads to and the cookie of the session.
fn send_form(client: &mut Client, target: &str, fields: &str) -> (String, String) {
    let answer = client.exchange(format!(
        "POST {target} HTTP/1.1\r\n{fields}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 15\r\n\r\nname=High+Water"
    ));
    assert_eq!(answer.status, 302, "{answer:?}");
    (part(&answer, "Location"), part(&answer, "Set-Cookie"))
}

/// The value of a field up to a semicolon: Tomcat puts the session behind one until it has the cookie.
fn part(response: &Response, field: &str) -> String {
    let value = response.field(field).unwrap_or_default();
    value.split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn its_pages_work() {
    let (server, _program) = start("");
    let mut client = server.connect();
    // What a client says of itself does not arrive.
    let seen = client.exchange(
        "GET /seen/a%C3%BC?q=%2F HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Proto: https\r\n\r\n",
    );
    let expected = "aü / 127.0.0.1 http://shop.example/seen/a%C3%BC plain";
    assert_eq!(seen.text(), expected);
    let (location, cookie) = send_form(&mut client, "/form", "Host: shop.example\r\n");
    assert_eq!(location, "http://shop.example/taken");
    assert!(cookie.starts_with("JSESSIONID="), "{cookie}");
    let taken = client.exchange(format!(
        "GET /taken HTTP/1.1\r\nHost: shop.example\r\nCookie: {cookie}\r\n\r\n"
    ));
    assert_eq!(taken.text(), "taken: High Water");
    let other = client.exchange("GET /taken HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(other.text(), "taken: null");
    client.send("HEAD /taken HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.response_to_head().status, 200);
    let none = client.exchange("GET /none HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(none.status, 404);
    let post = client.exchange("POST /taken HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((post.status, post.field("Allow")), (405, Some("GET")));
}

#[test]
fn it_is_told_the_address_that_clients_use() {
    let (server, _program) = start("trusted_proxies = ['127.0.0.1']");
    let mut client = server.connect();
    let fields = "Host: shop.example\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
    let seen = client.exchange(format!("GET /seen/a?q=b HTTP/1.1\r\n{fields}\r\n"));
    assert_eq!(
        seen.text(),
        "a b 192.0.2.7 https://shop.example/seen/a secure"
    );
    let (location, _) = send_form(&mut client, "/form", fields);
    assert_eq!(location, "https://shop.example/taken");
    // Tomcat takes no port from `Host` when a proxy has told it the scheme.
    let fields = "Host: shop.example:8080\r\n";
    let (location, _) = send_form(&mut client, "/8080/form", fields);
    assert_eq!(location, "http://shop.example:8080/taken");
}

#[test]
fn files_and_chunks_pass() {
    let (server, _program) = start("");
    let mut client = server.connect();
    let file = pattern(0, 10 << 20);
    let start = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nspring tide\r\n\
        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"tide.bin\"\r\n\r\n";
    let content = [start.as_bytes(), &file, b"\r\n--b--\r\n"].concat();
    let media_type = "multipart/form-data; boundary=b";
    let head = format!("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Type: {media_type}\r\n");
    client.send(format!("{head}Content-Length: {}\r\n\r\n", content.len()));
    client.send(&content);
    let uploaded = client.response();
    assert_eq!(uploaded.field("X-Note"), Some("spring tide"));
    assert_eq!(uploaded.field("X-Name"), Some("tide.bin"));
    assert!(uploaded.content == file);
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
    client.send(format!("{:x}\r\n", content.len()));
    client.send([&content[..], b"\r\n0\r\n\r\n"].concat());
    assert!(client.response().content == file);
    let large = client.exchange("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(large.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(large.text(), "high water\n".repeat(100_000));
}

/// Tomcat closes a connection behind its hundredth request.
#[test]
fn connections_that_it_closes_are_no_failures() {
    let (server, _program) = start("");
    let mut client = server.connect();
    for number in 0..350 {
        let request = format!("GET /seen/{number}?q=b HTTP/1.1\r\nHost: h\r\n\r\n");
        let seen = client.exchange(request);
        assert_eq!(seen.status, 200, "{number}");
        assert!(seen.text().starts_with(&format!("{number} b ")));
    }
}
