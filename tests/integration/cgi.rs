//! `cgi = DIR`: what scripts are given, how they answer, and that they leave no process behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Client, Directory, Response, Server, Site, Upstream, pattern, until};

/// Writes a shell script that can be run.
pub(crate) fn script(directory: &Directory, name: &str, body: &str) {
    let path = format!("scripts/{name}");
    directory.write(&path, format!("#!/bin/sh\n{body}"));
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.join(path), mode).expect("the file is ours");
}

/// A site with `scripts` below `/cgi-bin`, and `options` of the route, each after a comma.
pub(crate) fn site(scripts: &[(&str, &str)], options: &str) -> Site {
    let site = Site::new(&format!(
        "'/cgi-bin' = {{ cgi = 'scripts'{options} }}\n'/' = {{ files = 'www' }}"
    ));
    let directory = site.directory();
    std::fs::create_dir(directory.join("scripts")).expect("the directory is new");
    for (name, body) in scripts {
        script(directory, name, body);
    }
    site
}

fn server(scripts: &[(&str, &str)], options: &str) -> Server {
    site(scripts, options).start()
}

/// The start of a script that writes down the numbers of its processes: itself, and one in the
/// background.
const WITH_PIDS: &str = "sleep 1000 & echo $! $$ > pids.draft; mv pids.draft pids\n";

/// Waits for the numbers that a script with [`WITH_PIDS`] writes down.
fn processes(server: &Server) -> Vec<u32> {
    let path = server.directory().join("scripts/pids");
    let pids = until("the script begins", || std::fs::read_to_string(&path).ok());
    let pids = pids.split_whitespace();
    let pids: Vec<u32> = pids.map(|pid| pid.parse().expect("a number")).collect();
    assert_eq!(pids.len(), 2, "{pids:?}");
    pids
}

/// Waits until a process has ended. It may stay as a zombie if another process than the server has to
/// reap it.
fn expect_gone(pids: &[u32]) {
    for pid in pids {
        until(
            &format!("process {pid} ends"),
            || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Ok(stat) => stat.contains(") Z ").then_some(()),
                Err(_) => Some(()),
            },
        );
    }
}

/// Waits until the server has no child, not even a zombie.
fn expect_no_children(server: &Server) {
    let tasks = format!("/proc/{}/task", server.id());
    until("the server has no children", || {
        let tasks = std::fs::read_dir(&tasks).expect("the server runs");
        let children = tasks.filter_map(|task| {
            std::fs::read_to_string(task.expect("it can be read").path().join("children")).ok()
        });
        children.collect::<String>().is_empty().then_some(())
    });
}

/// Makes a named pipe, `gate`, beside the scripts, by which a script can wait for the test.
pub(crate) fn gate(server: &Server) -> std::path::PathBuf {
    let gate = server.directory().join("scripts/gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made.expect("coreutils").success());
    gate
}

fn send(server: &Server, target: &str) -> Client {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
    client
}

/// The response to `request`. The client keeps its side open: one that closed it would count as gone.
fn answer(server: &Server, request: impl AsRef<[u8]>) -> Response {
    server.connect().exchange(request)
}

fn get(server: &Server, target: &str) -> Response {
    get_with(server, target, "")
}

fn get_with(server: &Server, target: &str, lines: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    answer(server, request)
}

#[test]
fn a_script_is_told_of_the_request_and_of_nothing_else() {
    let env = "printf 'Content-Type: text/plain\\n\\n'; pwd; env";
    let server = site(&[("env", env)], ", environment = { GREETING = 'hi' }")
        .environment("TIDEGATE_SECRET", "s")
        .start();
    let lines = "X-Forwarded_For: 1\r\nProxy: evil\r\nCookie: a\r\nCookie: b\r\n";
    let answer = get_with(&server, "/cgi-bin/env/more%20info/?q=%20", lines);
    let root = server.directory().join("scripts");
    let root = root.to_str().expect("text");
    let told = answer.text();
    let told: Vec<&str> = told.lines().collect();
    for expected in [
        root,
        "GATEWAY_INTERFACE=CGI/1.1",
        "SERVER_PROTOCOL=HTTP/1.1",
        "REQUEST_METHOD=GET",
        "REQUEST_URI=/cgi-bin/env/more%20info/?q=%20",
        "QUERY_STRING=q=%20",
        "SCRIPT_NAME=/cgi-bin/env",
        &format!("SCRIPT_FILENAME={root}/env"),
        &format!("DOCUMENT_ROOT={root}"),
        "PATH_INFO=/more info/",
        &format!("PATH_TRANSLATED={root}/more info/"),
        "REMOTE_ADDR=127.0.0.1",
        "HTTP_COOKIE=a; b",
        "HTTP_HOST=h",
        "GREETING=hi",
    ] {
        assert!(told.contains(&expected), "{expected} in {told:#?}");
    }
    for absent in [
        "HTTP_PROXY",
        "HTTP_X_FORWARDED",
        "TIDEGATE",
        "CONTENT_",
        "HOME=",
    ] {
        let found = told.iter().find(|line| line.starts_with(absent));
        assert_eq!(found, None);
    }
}

#[test]
fn scripts_answer_in_their_own_form() {
    let scripts = [
        (
            "status",
            "printf 'Status: 404 Nope\\r\\nContent-Type: a/b\\r\\n\\r\\nnot here'",
        ),
        (
            "length",
            "printf 'Content-Type: a/b\\nContent-Length: 2\\n\\nhi'",
        ),
        ("away", "printf 'Location: http://a.example/b\\n\\n'"),
        (
            "away-too",
            "printf 'Status: 303\\nLocation: /b\\nSet-Cookie: c\\n\\n'",
        ),
        (
            "hops",
            "printf 'Content-Type: a/b\\nTransfer-Encoding: x\\nConnection: x\\nDate: x\\n\\nhi'",
        ),
        ("none", "printf 'Status: 204\\nX-A: b\\n\\n'"),
    ];
    let server = server(&scripts, "");
    let mut client = server.connect();
    for (name, status, field, content) in [
        ("status", 404, ("Content-Type", Some("a/b")), "not here"),
        ("length", 200, ("Content-Length", Some("2")), "hi"),
        ("away", 302, ("Location", Some("http://a.example/b")), ""),
        ("away-too", 303, ("Set-Cookie", Some("c")), ""),
        ("hops", 200, ("Transfer-Encoding", Some("chunked")), "hi"),
        ("none", 204, ("X-A", Some("b")), ""),
        ("hops", 200, ("Connection", None), "hi"),
    ] {
        let answer = client.exchange(format!("GET /cgi-bin/{name} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, content),
            "{name}"
        );
        assert_eq!(answer.field(field.0), field.1, "{name}");
    }
    expect_no_children(&server);
}

#[test]
fn a_local_redirect_is_followed_but_not_in_a_circle() {
    let scripts = [
        ("file", "printf 'Location: /a.txt?b\\n\\n'"),
        ("script", "printf 'Location: /cgi-bin/env/info?q\\n\\n'"),
        (
            "env",
            "printf 'Content-Type: a/b\\n\\n'; echo $REQUEST_METHOD $PATH_INFO $QUERY_STRING $CONTENT_LENGTH",
        ),
        ("circle", "printf 'Location: /cgi-bin/circle\\n\\n'"),
    ];
    let server = site(&scripts, "").file("a.txt", "a file").start();
    assert_eq!(get(&server, "/cgi-bin/file").text(), "a file");
    let posted = "POST /cgi-bin/script HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(answer(&server, posted).text(), "GET /info q\n");
    assert_eq!(get(&server, "/cgi-bin/circle").status, 502);
    server.wait_for_line(|line| line.contains("local redirect") && line.contains("too many"));
}

/// Log, metrics and reasons named the route of the script, `/cgi`, though another one had answered or refused.
#[test]
fn where_a_local_redirect_leads_is_what_the_record_names() {
    let upstream = Upstream::listen();
    let routes = format!(
        "'/cgi' = {{ cgi = 'scripts' }}\n'/' = {{ files = 'www' }}\n\
         '/deny' = {{ respond = 'secret', deny = '127.0.0.1' }}\n\
         '/down' = {{ respond = 'closed', status = 503 }}\n\
         '/out' = {{ cgi = 'scripts', headers = {{ X-Of = 'out' }} }}\n\
         '/slow' = {{ proxy = '{}' }}",
        upstream.url()
    );
    let log = "access = '-'\nformat = '{target} {status} {reason} {route}'\ndebug_clients = ['127.0.0.1']";
    let site = Site::new(&routes).log(log).file("a.txt", "a file");
    for (name, target) in [
        ("file", "/a.txt"),
        ("deny", "/deny/x?token=hush"),
        ("down", "/down"),
        ("slow", "/slow"),
        ("twice", "/cgi/deny"),
        ("circle", "/out/circle"),
    ] {
        let directory = site.directory();
        script(
            directory,
            name,
            &format!("printf 'Location: {target}\\n\\n'"),
        );
    }
    let server = site.start();
    for (name, status, rest) in [
        ("file", 200, "- /"),
        ("deny", 403, "access_denied /deny"),
        ("down", 503, "configured /down"),
        ("twice", 403, "access_denied /deny"),
    ] {
        assert_eq!(get(&server, &format!("/cgi/{name}")).status, status);
        let line = format!("/cgi/{name} {status} {rest}");
        server.wait_for_record(|record| record == line);
    }
    // The last route answers one that leads nowhere.
    let circle = get(&server, "/cgi/circle");
    assert_eq!((circle.status, circle.field("X-Of")), (502, Some("out")));
    server.wait_for_record(|record| record == "/cgi/circle 502 local_redirect_failed /out");
    // The client leaves before there is a response.
    let mut client = server.connect();
    client.send("GET /cgi/slow HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut asked = upstream.accept();
    asked.request();
    drop(client);
    server.wait_for_record(|record| record == "/cgi/slow 499 client_gone /slow");
    drop(asked);
    let metrics = server.control().exchange("GET", "/metrics").text();
    let counted = |route: &str| {
        let is_meant = |line: &&str| {
            line.starts_with("tidegate_http_requests_total")
                && line.contains(&format!("route=\"{route}\""))
        };
        let counts = metrics.lines().filter(is_meant);
        let counts = counts.map(|line| line.rsplit(' ').next().expect("a count"));
        counts
            .map(|count| count.parse::<u32>().expect("a number"))
            .sum::<u32>()
    };
    let counts = ["/", "/cgi", "/deny", "/down", "/slow"].map(counted);
    assert_eq!(counts, [1, 0, 2, 1, 1], "{metrics}");
    let (lines, _) = server.stop();
    for step in [
        "GET /cgi/file: local redirect to /a.txt: route `/` (",
        "GET /cgi/deny: local redirect to /deny/x?token=[redacted], route `/deny`: refused: allow or deny",
        "GET /cgi/twice: local redirect to /cgi/deny: route `/cgi` (",
        "GET /cgi/twice: local redirect to /deny/x?token=[redacted], route `/deny`: refused: allow or deny",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(step)),
            "{step}: {lines:#?}"
        );
    }
}

#[test]
fn a_script_is_told_the_method_whatever_it_is() {
    let echo = "printf 'Content-Type: a/b\\n\\n'; echo $REQUEST_METHOD";
    let server = server(&[("echo", echo)], "");
    for method in ["PUT", "REPORT", "MKCALENDAR", "VERSION-CONTROL", "PURGE"] {
        let request = format!("{method} /cgi-bin/echo HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(answer(&server, &request).text(), format!("{method}\n"));
    }
}

#[test]
fn content_comes_as_standard_input_with_its_length() {
    let echo = "printf 'Content-Type: a/b\\n\\n'; printf '%s ' $CONTENT_LENGTH; cat";
    let server = server(&[("echo", echo)], "");
    let large = pattern(0, 3 * 1024 * 1024);
    for content in [&b""[..], b"small", &large] {
        let head = format!(
            "POST /cgi-bin/echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        let mut client = server.connect();
        client.send([head.as_bytes(), content].concat());
        let expected = [format!("{} ", content.len()).as_bytes(), content].concat();
        assert!(client.response().content == expected, "{}", content.len());
    }
    let chunked = "POST /cgi-bin/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let mut client = server.connect();
    assert_eq!(client.exchange(chunked).text(), "11 hello world");
}

#[test]
fn what_a_script_complains_of_is_in_the_log() {
    let complain =
        "echo 'a \x1b[31mcomplaint' >&2; printf 'Status: 200\\n\\n'; printf 'the last' >&2";
    let server = server(&[("complain", complain)], "");
    assert_eq!(get(&server, "/cgi-bin/complain").status, 200);
    for expected in ["a \u{fffd}[31mcomplaint", "the last"] {
        let line = server.wait_for_line(|line| line.contains(expected));
        let is_named =
            line.contains("warning: route `/cgi-bin` (") && line.contains("script `complain`");
        assert!(is_named, "{line}");
    }
}

#[test]
fn what_cannot_be_run_or_is_no_answer_is_502_with_its_reason() {
    let scripts = [
        ("nph-x", "printf 'Status: 200\\n\\n'"),
        ("plain", "printf 'Status: 200\\n\\n'"),
        (
            "status-line",
            "printf 'HTTP/1.1 200 OK\\nContent-Type: a/b\\n\\n'",
        ),
        ("long", "printf 'X: '; head -c 70000 /dev/zero | tr '\\0' x"),
        ("nonsense", "echo Hello, world; echo; echo more"),
        ("silent", ":"),
        ("fails", "echo 'Content-Type: a/b'; exit 7"),
        ("killed", "kill -9 $$"),
        ("split", "printf 'Status: 200\\nX: a\\rSet-Cookie: b\\n\\n'"),
    ];
    let site = site(&scripts, "");
    let directory = site.directory();
    let plain = directory.join("scripts/plain");
    std::fs::set_permissions(plain, std::fs::Permissions::from_mode(0o644)).expect("ours");
    script(directory, "no-interpreter", "");
    let path = directory.join("scripts/no-interpreter");
    std::fs::write(path, "#!/not/here\n").expect("the file is ours");
    script(directory, "no-program", "");
    std::fs::write(directory.join("scripts/no-program"), "hello\n").expect("the file is ours");
    let server = site.start();
    for (name, reason) in [
        ("nph-x", "non-parsed headers (nph-) are not run"),
        ("plain", "lacks the executable bit: chmod +x "),
        (
            "no-interpreter",
            "the program that its \"#!\" line names is not there",
        ),
        ("no-program", "no \"#!\" line says which one runs it"),
        ("status-line", "begins with a status line of HTTP"),
        ("long", "longer than 65536 bytes"),
        (
            "nonsense",
            "\"Hello, world\" in its header section is no field line",
        ),
        (
            "silent",
            "it ended with exit status 0 before its header section did",
        ),
        (
            "fails",
            "it ended with exit status 7 before its header section did",
        ),
        (
            "killed",
            "it ended with signal 9 before its header section did",
        ),
        ("split", "holds a control character"),
    ] {
        let answer = get(&server, &format!("/cgi-bin/{name}"));
        assert_eq!(
            (answer.status, answer.field("Set-Cookie")),
            (502, None),
            "{name}"
        );
        let is_it = |line: &str| line.contains(name) && line.contains(reason);
        let line = server.wait_for_line(is_it);
        assert!(line.contains("error: route `/cgi-bin` ("), "{line}");
    }
    expect_no_children(&server);
}

#[test]
fn what_is_no_script_is_not_there() {
    let server = server(&[(".hidden", ":"), ("tools/x", ":")], "");
    for path in [
        "",
        "/",
        "/missing",
        "/missing/x",
        "/.hidden",
        "/tools",
        "/tools/",
        "/tools/../../config.toml",
    ] {
        let answer = get(&server, &format!("/cgi-bin{path}"));
        assert_eq!(answer.status, 404, "{path}");
    }
    let trace = answer(
        &server,
        "TRACE /cgi-bin/tools/x HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(trace.status, 405);
}

#[test]
fn a_script_that_takes_too_long_is_ended_with_all_it_started() {
    let slow = format!("trap '' TERM\n{WITH_PIDS}sleep 1000; sleep 1000");
    let server = server(&[("slow", &slow)], ", timeout = '300ms'");
    let mut client = send(&server, "/cgi-bin/slow");
    assert_eq!(client.response().status, 504);
    expect_gone(&processes(&server));
    expect_no_children(&server);
    server.wait_for_line(|line| line.contains("did not come within the timeout"));
}

#[test]
fn a_script_that_stops_in_the_middle_is_cut_off() {
    let stuck = format!("{WITH_PIDS}printf 'Content-Type: a/b\\n\\npart'; sleep 1000");
    let server = server(&[("stuck", &stuck)], ", timeout = '300ms'");
    let mut client = send(&server, "/cgi-bin/stuck");
    assert_eq!(client.response_head().status, 200);
    assert_eq!(
        String::from_utf8_lossy(&client.rest_before_cut()),
        "4\r\npart\r\n"
    );
    expect_gone(&processes(&server));
    server.wait_for_line(|line| line.contains("it wrote nothing within the timeout"));
}

#[test]
fn a_script_is_ended_when_its_client_goes() {
    let silent = format!("{WITH_PIDS}sleep 1000");
    let begun = format!("printf 'Content-Type: a/b\\n\\npart'; {WITH_PIDS}sleep 1000");
    let endless = format!("{WITH_PIDS}printf 'Content-Type: a/b\\n\\n'; cat /dev/zero");
    for body in [silent, begun, endless] {
        let server = server(&[("waits", &body)], "");
        let client = send(&server, "/cgi-bin/waits");
        let pids = processes(&server);
        drop(client);
        expect_gone(&pids);
        expect_no_children(&server);
    }
}

#[test]
fn a_script_that_leaves_something_behind_is_answered_and_ended() {
    // In one script, the background process keeps standard output open; the other script closes its
    // own and lives on.
    let leaves = format!("{WITH_PIDS}printf 'Content-Type: a/b\\n\\nall'");
    let lingers =
        format!("{WITH_PIDS}printf 'Content-Type: a/b\\n\\nall'; exec >&-; sleep 1000 >&2");
    let lingers = lingers.replacen("sleep 1000 &", "sleep 1000 >&2 &", 1);
    for body in [leaves, lingers] {
        let server = server(&[("x", &body)], "");
        let mut client = send(&server, "/cgi-bin/x");
        assert_eq!(client.response().text(), "all");
        expect_gone(&processes(&server));
        expect_no_children(&server);
    }
}

#[test]
fn content_that_may_not_be_whole_is_cut_off() {
    let scripts = [
        ("killed", "printf 'Content-Type: a/b\\n\\npart'; kill -9 $$"),
        (
            "short",
            "printf 'Content-Type: a/b\\nContent-Length: 9\\n\\npart'",
        ),
    ];
    let server = server(&scripts, "");
    for (name, reason) in [
        ("killed", "it ended with signal 9"),
        ("short", "shorter than its Content-Length says"),
    ] {
        let mut client = send(&server, &format!("/cgi-bin/{name}"));
        assert_eq!(client.response_head().status, 200);
        let rest = client.rest_before_cut();
        assert!(
            !rest.ends_with(b"0\r\n\r\n") && rest.len() < 12,
            "{name}: {rest:?}"
        );
        server.wait_for_line(|line| line.contains(reason));
    }
}

#[test]
fn a_script_that_fails_in_the_end_has_answered() {
    let fails = "printf 'Content-Type: a/b\\n\\nall'; exit 3";
    let server = server(&[("fails", fails)], "");
    assert_eq!(get(&server, "/cgi-bin/fails").text(), "all");
    server.wait_for_line(|line| {
        line.contains("error") && line.contains("it ended with exit status 3")
    });
}

#[test]
fn more_scripts_than_may_run_are_refused_at_once() {
    let waits = format!("{WITH_PIDS}read line < gate; printf \"Content-Type: a/b\\n\\n$line\"");
    let server = server(
        &[("waits", &waits), ("quick", "printf 'Status: 200\\n\\n'")],
        ", max_processes = 1",
    );
    let gate = gate(&server);
    let mut first = send(&server, "/cgi-bin/waits");
    processes(&server);
    let refused = get(&server, "/cgi-bin/quick");
    assert_eq!(
        (refused.status, refused.field("Retry-After")),
        (503, Some("1"))
    );
    server.wait_for_reason("scripts_busy");
    let reloaded = server.command_line(&["reload"]);
    crate::support::ended_with(0, &reloaded);
    let refused = get(&server, "/cgi-bin/quick");
    assert_eq!(refused.status, 503, "a reload does not make room");
    std::fs::write(&gate, "go\n").expect("the script reads");
    assert_eq!(first.response().text(), "go");
    until("there is a place again", || {
        (get(&server, "/cgi-bin/quick").status == 200).then_some(())
    });
}

#[test]
fn a_client_that_sends_slowly_holds_no_process() {
    let server = server(
        &[("echo", "printf 'Status: 200\\n\\n'; cat")],
        ", max_processes = 1",
    );
    let mut slow = server.connect();
    slow.send("POST /cgi-bin/echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n");
    assert_eq!(slow.response().status, 100, "the content is being read");
    slow.send("half");
    until("others are answered", || {
        (get(&server, "/cgi-bin/echo").status == 200).then_some(())
    });
    expect_no_children(&server);
    slow.send("half");
    assert_eq!(slow.response().text(), "halfhalf");
}

#[test]
fn many_scripts_at_once_all_answer() {
    let server = server(&[("x", "printf 'Content-Type: a/b\\n\\nall'")], "");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..60 {
                    assert_eq!(get(&server, "/cgi-bin/x").text(), "all");
                }
            });
        }
    });
    expect_no_children(&server);
}

#[test]
fn head_runs_the_script_to_its_end_and_leaves_the_content_out() {
    let body =
        "printf \"Content-Type: a/b\\nX-Method: $REQUEST_METHOD\\nContent-Length: 200000\\n\\n\"
        head -c 200000 /dev/zero; touch done";
    let server = server(&[("x", body)], "");
    let mut client = server.connect();
    client.send("HEAD /cgi-bin/x HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = client.response_to_head();
    assert_eq!(answer.field("X-Method"), Some("HEAD"));
    assert_eq!(answer.content_length(), Some(200_000));
    let done = server.directory().join("scripts/done");
    until("the script ends", || done.exists().then_some(()));
    client.send("GET /cgi-bin/x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        client.response().content.len(),
        200_000,
        "the connection goes on"
    );
}

/// The head of a script's response, with validators.
const VALIDATED: &str = "printf 'Content-Type: a/b\\nSet-Cookie: c\\nETag: \"7\"\\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\\n\\n'\n";

#[test]
fn a_script_that_gives_a_validator_gets_304_for_nothing() {
    let body = format!("{VALIDATED}head -c 200000 /dev/zero; touch done");
    let plain = "printf 'Content-Type: a/b\\n\\nplain'";
    let other = "printf 'Status: 203\\nETag: \"7\"\\n\\nother'";
    let scripts = [("x", &body[..]), ("plain", plain), ("other", other)];
    let server = server(&scripts, "");
    let done = server.directory().join("scripts/done");
    let mut client = server.connect();
    for (line, fields, status) in [
        ("GET /cgi-bin/x", "If-None-Match: \"7\"", 304),
        ("HEAD /cgi-bin/x", "If-None-Match: \"6\", W/\"7\"", 304),
        ("GET /cgi-bin/x", "If-None-Match: *", 304),
        (
            "GET /cgi-bin/x",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            304,
        ),
        ("GET /cgi-bin/x", "If-None-Match: \"6\"", 200),
        (
            "GET /cgi-bin/x",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            200,
        ),
        ("GET /cgi-bin/x", "If-Match: \"6\"", 412),
        ("HEAD /cgi-bin/x", "If-Match: \"6\"", 412),
        ("GET /cgi-bin/x", "If-Match: \"7\"", 200),
        ("GET /cgi-bin/x", "Range: bytes=0-1", 200),
        ("POST /cgi-bin/x", "If-None-Match: \"7\"", 200),
        ("GET /cgi-bin/plain", "If-None-Match: *", 200),
        ("GET /cgi-bin/plain", "If-Match: \"7\"", 200),
        ("GET /cgi-bin/other", "If-None-Match: \"7\"", 203),
    ] {
        let is_x = line.ends_with('x');
        client.send(format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"));
        let answer = if line.starts_with("HEAD") {
            client.response_to_head()
        } else {
            client.response()
        };
        assert_eq!(answer.status, status, "{line} {fields}");
        if status == 304 {
            let told = ["ETag", "Set-Cookie", "Content-Type", "Content-Length"]
                .map(|name| answer.field(name));
            assert_eq!(told, [Some("\"7\""), Some("c"), None, None]);
        } else if is_x && status == 200 {
            assert_eq!(answer.content.len(), 200_000, "{line} {fields}");
        }
        if is_x {
            until("the script comes to its end", || {
                done.exists().then_some(())
            });
            std::fs::remove_file(&done).expect("it is there");
        }
    }
    expect_no_children(&server);
}

/// A script was not told of the operator's conditions, and answered the `Range` beside them all the same.
#[test]
fn a_range_that_a_script_answers_counts_after_the_operators_conditions() {
    let part = "printf 'Status: 206\nContent-Type: a/b\nContent-Range: bytes 0-1/4\n\nab'";
    let none = "printf 'Status: 416\nContent-Range: bytes */4\nContent-Type: a/b\n\nno'";
    let headers = ", headers = { ETag = '\"op\"' }";
    let server = server(&[("part", part), ("none", none)], headers);
    let mut client = server.connect();
    for (script, condition, status) in [
        ("part", "If-None-Match: \"op\"", 304),
        ("part", "If-Match: \"zz\"", 412),
        ("part", "If-None-Match: \"zz\"", 206),
        ("none", "If-None-Match: \"op\"", 304),
        ("none", "If-Match: \"zz\"", 412),
        ("none", "If-Match: \"op\"", 416),
    ] {
        let response = client.exchange(format!(
            "GET /cgi-bin/{script} HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n{condition}\r\n\r\n"
        ));
        assert_eq!(response.status, status, "{script}, {condition}");
    }
    // It has evaluated this condition itself, and need not name the entity tag again.
    let dated = ", headers = { Last-Modified = 'Sun, 06 Nov 1994 08:49:37 GMT' }";
    let server = self::server(&[("part", part)], dated);
    let lines = "Range: bytes=0-1\r\nIf-Match: \"x\"\r\n";
    let response = server.get_with("/cgi-bin/part", lines);
    assert_eq!(response.status, 206);
}

#[test]
fn a_script_whose_content_is_not_wanted_has_its_time_and_no_more() {
    let body = format!("{WITH_PIDS}{VALIDATED}cat /dev/zero");
    let server = server(&[("x", &body)], ", timeout = '300ms'");
    let answer = get_with(&server, "/cgi-bin/x", "If-None-Match: \"7\"\r\n");
    assert_eq!(answer.status, 304);
    expect_gone(&processes(&server));
    expect_no_children(&server);
}

#[test]
fn a_server_that_inherits_no_interest_in_children_runs_scripts() {
    let server = site(&[("x", "printf 'Status: 200\\n\\nall'; exit 3")], "")
        .ignoring_children()
        .start();
    assert_eq!(get(&server, "/cgi-bin/x").text(), "all");
    server.wait_for_line(|line| line.contains("it ended with exit status 3"));
    expect_no_children(&server);
}

/// The most memory the server ever had, in KiB.
fn peak_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a number").parse().expect("a number")
}

/// The body of a script that answers with so many octets, all zero, and notes that it has written them.
fn large(length: u64) -> String {
    format!(
        "printf 'Content-Type: a/b\\nContent-Length: {length}\\n\\n'; head -c {length} /dev/zero; touch done"
    )
}

#[test]
fn a_script_does_not_wait_for_its_client() {
    const LENGTH: u64 = 20 * 1024 * 1024;
    let server = server(&[("x", &large(LENGTH))], "");
    let mut client = send(&server, "/cgi-bin/x");
    assert_eq!(client.response_head().status, 200);
    let done = server.directory().join("scripts/done");
    until("the script ends", || done.exists().then_some(()));
    client.expect_zeros(LENGTH);
}

#[test]
fn a_script_waits_for_its_client_if_nothing_is_kept() {
    const LENGTH: u64 = 100 * 1024 * 1024;
    let server = server(&[("x", &large(LENGTH))], ", stream = true");
    assert_eq!(get(&server, "/missing").status, 404);
    let before = peak_memory(&server);
    let mut client = send(&server, "/cgi-bin/x");
    assert_eq!(client.response_head().status, 200);
    for _ in 0..100 {
        assert_eq!(get(&server, "/missing").status, 404);
    }
    let done = server.directory().join("scripts/done");
    assert!(!done.exists(), "the script cannot have written 100 MiB");
    client.expect_zeros(LENGTH);
    until("the script ends", || done.exists().then_some(()));
    let more = peak_memory(&server) - before;
    assert!(more < 8 * 1024, "{more} KiB more than before");
}

#[test]
fn a_script_that_is_repaired_answers_again() {
    let server = server(&[("x", "exit 1")], "");
    assert_eq!(get(&server, "/cgi-bin/x").status, 502);
    script(server.directory(), "x", "printf 'Status: 200\\n\\nbetter'");
    until("it answers", || {
        (get(&server, "/cgi-bin/x").text() == "better").then_some(())
    });
}

#[test]
fn nothing_is_left_when_the_server_stops() {
    let slow = format!("trap '' TERM\n{WITH_PIDS}sleep 1000; sleep 1000");
    let server = site(&[("slow", &slow)], "").top("grace = '0s'").start();
    let _client = send(&server, "/cgi-bin/slow");
    let pids = processes(&server);
    server.stop();
    for pid in &pids[1..] {
        let process = format!("/proc/{pid}");
        assert!(
            !Path::new(&process).exists(),
            "it is gone, and reaped, before the server is"
        );
    }
    expect_gone(&pids);
}

#[test]
fn explain_tells_the_script_and_does_not_run_it() {
    let site = site(&[("x", "touch ran; printf 'Status: 200\\n\\n'")], "");
    let told = site.command_line(&["explain", "/cgi-bin/x/info"]);
    let told = crate::support::ended_with(0, &told);
    let file = site.directory().join("scripts/x");
    assert!(told.contains(file.to_str().expect("text")), "{told}");
    assert!(!site.directory().join("scripts/ran").exists());
}
