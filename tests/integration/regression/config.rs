//! Configuration: `check`, `explain`, `[[test]]` and what a server does with the same file.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::{Site, ended_with, speak_plainly};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const SERVER: &str = "[[server]]\nlisten = '127.0.0.1:0'\n";

/// The output of `check` for these routes and a test of `GET /a` that expects `expect`.
fn check_expectation(code: i32, routes: &str, expect: &str) -> String {
    let test = format!("[[test]]\nrequest = 'GET /a'\nexpect = {{ {expect} }}\n");
    let text = format!("{SERVER}[server.routes]\n{routes}\n{test}");
    ended_with(code, &Site::configured(&text).command_line(&["check"]))
}

/// Tests looked at the fields of the handler alone: `header.Server = false` was met although the field was
/// sent, and the length, which was sent, could not be expected.
#[test]
fn a_test_expects_of_the_head_that_is_sent() {
    let routes = "'/' = { respond = 'twelve octets' }";
    for expect in [
        "header.Server = 'tidegate'",
        "header.Content-Length = '13'",
        "header.X-None = false",
        "header.Transfer-Encoding = false",
    ] {
        check_expectation(0, routes, expect);
    }
    for (expect, complaint) in [
        (
            "header.Server = false",
            "expected Server no such field, got \"tidegate\"",
        ),
        (
            "header.Content-Length = '12'",
            "expected Content-Length \"12\", got \"13\"",
        ),
        ("header.Date = false", "expected Date no such field"),
        (
            "header.X-None = 'a'",
            "expected X-None \"a\", got no such field",
        ),
    ] {
        let text = check_expectation(1, routes, expect);
        assert!(text.contains(complaint), "{complaint} in {text}");
    }
    let without = "'/' = { respond = 'ok', headers = { remove = ['Server'] } }";
    check_expectation(0, without, "header.Server = false");
}

/// Only the first line of a repeated field counted.
#[test]
fn a_test_expects_any_line_of_a_repeated_field_or_all() {
    let routes = "'/' = { respond = 'ok', headers = { add = { Link = ['<a>', '<b>'] } } }";
    for expected in ["<a>", "<b>", "<a>, <b>"] {
        check_expectation(0, routes, &format!("header.Link = '{expected}'"));
    }
    check_expectation(1, routes, "header.Link = '<c>'");
}

/// A test that asked a `status` route was told 503, which no client is.
#[test]
fn a_status_route_is_told_as_it_is_served() {
    check_expectation(
        0,
        "'/a' = { status = true }",
        "status = 200, header.Content-Type = 'text/plain; charset=utf-8', header.Content-Length = false",
    );
}

const TWO_LISTENERS: &str = "\
[[server]]
listen = ['127.0.0.1:8061', 'unix:site.sock']
[server.routes]
'/' = { respond = 'first' }
[[server]]
listen = '127.0.0.1:8062'
hosts = ['b.example']
[server.routes]
'/' = { respond = 'second', status = 404 }
";

/// Every request of a test arrived at the first listener.
#[test]
fn a_test_reaches_every_listener() {
    for (keys, status) in [
        ("host = 'localhost:8061'", 200),
        ("host = 'b.example:8061'", 200),
        ("host = 'b.example:8062'", 404),
        // A server names it.
        ("host = 'b.example'", 404),
        ("host = 'b.example'\nlisten = 'unix:site.sock'", 200),
        ("host = 'b.example'\nlisten = '127.0.0.1:8062'", 404),
        ("host = 'other.example'\nlisten = '127.0.0.1:8062'", 421),
    ] {
        let test = format!("[[test]]\nrequest = 'GET /'\n{keys}\nexpect.status = {status}\n");
        let site = Site::configured(&format!("{TWO_LISTENERS}{test}"));
        ended_with(0, &site.command_line(&["check"]));
    }
    for (keys, complaint) in [
        (
            "host = 'localhost:1'",
            "nothing listens at port 1; the configuration listens at 127.0.0.1:8061",
        ),
        ("listen = '127.0.0.1:1'", "no server listens there"),
    ] {
        let test = format!("[[test]]\nrequest = 'GET /'\n{keys}\nexpect.status = 200\n");
        let site = Site::configured(&format!("{TWO_LISTENERS}{test}"));
        let text = ended_with(1, &site.command_line(&["check"]));
        assert!(text.contains(complaint), "{complaint} in {text}");
    }
}

/// `explain` answered for a listener that is not there.
#[test]
fn explain_refuses_a_listener_that_is_not_there() {
    speak_plainly();
    let site = Site::configured(TWO_LISTENERS);
    for (url, complaint) in [
        ("http://b.example:1/", "nothing listens at port 1"),
        (
            "https://b.example/",
            "nothing listens at an address with TLS",
        ),
        ("ftp://b.example/", "nothing listens for ftp"),
        ("http://b.example:99999/", "is no host"),
    ] {
        let text = ended_with(1, &site.command_line(&["explain", url]));
        assert!(text.contains(complaint), "{complaint} in {text}");
    }
    for (arguments, listener) in [
        (&["http://b.example:8062/"][..], "127.0.0.1:8062"),
        (&["http://b.example/"], "127.0.0.1:8062"),
        (&["http://b.example?a=b"], "127.0.0.1:8062"),
        (&["/"], "127.0.0.1:8061"),
        (&["--listener", "127.0.0.1:8062", "/"], "127.0.0.1:8062"),
    ] {
        let text = ended_with(0, &site.command_line(&[&["explain"], arguments].concat()));
        assert!(text.contains(&format!("listener  {listener}\n")), "{text}");
    }
}

/// `check` called a file good that `run` refused, because it had not tried the access log.
#[test]
fn check_tries_the_access_log_and_creates_nothing() {
    for (access, complaint) in [
        ("gone/access.log", "No such file or directory"),
        ("www", "it is a directory"),
        ("config.toml/access.log", "Not a directory"),
    ] {
        let text = format!(
            "log.access = '{access}'\n{SERVER}[server.routes]\n'/' = {{ respond = 'a' }}\n"
        );
        let site = Site::configured(&text).file("a.txt", "");
        let told = ended_with(1, &site.command_line(&["check"]));
        assert!(told.contains("cannot open the access log"), "{told}");
        assert!(told.contains(complaint), "{complaint} in {told}");
    }
    let text =
        format!("log.access = 'access.log'\n{SERVER}[server.routes]\n'/' = {{ respond = 'a' }}\n");
    let site = Site::configured(&text);
    ended_with(0, &site.command_line(&["check"]));
    assert!(!site.directory().join("access.log").exists());
}

/// A directory for sites that holds none yet was a warning at every command, and `--strict` refused it.
#[test]
fn an_include_that_matches_nothing_is_good() {
    let text =
        format!("include = 'sites/*.toml'\n{SERVER}[server.routes]\n'/' = {{ respond = 'a' }}\n");
    let site = Site::configured(&text);
    site.directory().write("sites/README", "");
    let told = ended_with(0, &site.command_line(&["check", "--strict"]));
    assert!(!told.contains("warning"), "{told}");
    let text = text.replace("sites/", "gone/");
    let told = ended_with(
        1,
        &Site::configured(&text).command_line(&["check", "--strict"]),
    );
    assert!(told.contains("there is no directory"), "{told}");
}

/// `{id}`, `{host}` and `$host` in the target of a redirect were sent to the client as they stood.
#[test]
fn a_redirect_replaces_variables() {
    let server = Site::new(
        "'/' = { redirect = 'https://{host}{path}' }\n\
         '/n/{id}' = { redirect = '/item/{id}?from=n' }\n\
         '/q' = { redirect = '/search?q=({query})' }\n\
         '/old' = { redirect = 'https://{host}/v2{rest}/index' }\n\
         '/all' = { redirect = 'https://{host}:8443{path}?{query}' }",
    )
    .start();
    for (target, location) in [
        ("/a/b%20c?x=y", "https://h/a/b%20c?x=y"),
        ("/n/a%2Fb", "/item/a%2Fb?from=n"),
        ("/n/7/more?x", "/item/7/more?from=n&x"),
        // Amid a parameter the query is one value: what a client sends ends no parameter.
        ("/q?a=b", "/search?q=(a%3Db)"),
        ("/old/a%2Fb?x", "https://h/v2/a%2Fb/index?x"),
        ("/old", "https://h/v2/index"),
        ("/all", "https://h:8443/all"),
        ("/all/x?a", "https://h:8443/all/x?a"),
        ("//evil.example/", "https://h/evil.example/"),
    ] {
        let response = server.get(target);
        assert_eq!(response.field("Location"), Some(location), "{target}");
    }
    let nowhere = server.answer("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!((nowhere.status, nowhere.field("Location")), (400, None));
}

/// Eight rates of 170 MB each passed `check`. A server that could not have so much memory was aborted by the
/// reload, and its connections were lost.
#[test]
fn a_reload_without_memory_for_its_rates_is_refused() {
    let routes = "'/' = { respond = 'ok' }";
    let server = Site::new(routes).top("workers = 1").start();
    let mut kept = server.connect();
    assert_eq!(kept.exchange(GET).text(), "ok");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("the system says so");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size = size.and_then(|size| size.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let size = size.expect("a number of KiB") * 1024;
    let limit = Rlimit {
        current: Some(size + 500_000_000),
        maximum: None,
    };
    let process = Pid::from_raw(server.id() as i32);
    prlimit(process, Resource::As, limit).expect("it is our own child");
    let rate = |number| format!("rates.r{number} = {{ rate = '5/h', max_keys = 10000000 }}\n");
    let rates: String = (0..8).map(rate).collect();
    let names = (0..8).map(|number| format!("'r{number}'"));
    let names = names.collect::<Vec<_>>().join(", ");
    let text = server.directory().read("config.toml");
    let wanted = format!("'/' = {{ respond = 'new', rate = [{names}] }}");
    server.configure(format!("{rates}{}", text.replace(routes, &wanted)));
    let said = ended_with(1, &server.command_line(&["reload"]));
    let lack = "the system does not give the 170 MB of memory for the keys of the rate `r";
    assert!(said.contains(lack), "{said}");
    assert_eq!(kept.exchange(GET).text(), "ok");
    server.configure(text);
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(kept.exchange(GET).text(), "ok");
}
