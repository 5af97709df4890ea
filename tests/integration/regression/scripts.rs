//! CGI, FastCGI and PHP: faults in how scripts are asked and how their answers are sent.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::cgi;
use crate::fastcgi::{Peer, STDERR, STDOUT, end, record};
use crate::support::{Client, Response, Server, Site, pattern, speak_plainly, until};

/// A route that asks the application server that the test plays.
fn fastcgi_site(options: &str) -> Site {
    Site::new(&format!(
        "'/' = {{ fastcgi = 'unix:php.sock', root = 'www' {options} }}"
    ))
    .file("index.php", "<?php the source")
}

fn send(client: &mut Client, method: &str, target: &str, lines: &str) {
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"
    ));
}

/// The response to GET. The client keeps its side open: one that closed it would count as gone.
fn get(server: &Server, target: &str) -> Response {
    let mut client = server.connect();
    send(&mut client, "GET", target, "");
    client.response()
}

/// More octets than all the buffers on the way hold.
const LARGE: usize = 3_000_000;

/// The output of a script that announces `length` octets of content, and gives `content`.
fn announcing(length: usize, content: &[u8]) -> Vec<u8> {
    let head = format!("Content-Type: a/b\nETag: \"7\"\nContent-Length: {length}\n\n");
    [head.as_bytes(), content].concat()
}

/// Requests for an answer with the entity tag `"7"`, and their statuses.
const WAYS: [(&str, &str, u16); 4] = [
    ("GET", "", 200),
    ("HEAD", "", 200),
    ("GET", "If-None-Match: \"7\"\r\n", 304),
    ("GET", "", 200),
];

/// Asks in all [`WAYS`] for an answer that is longer than the `length` that it announces.
fn expect_what_was_announced(server: &Server, target: &str, length: usize) {
    let mut client = server.connect();
    for (method, lines, status) in WAYS {
        send(&mut client, method, target, lines);
        let response = match method {
            "HEAD" => client.response_to_head(),
            _ => client.response(),
        };
        assert_eq!(response.status, status, "{method} {lines:?}");
        if status == 200 {
            assert_eq!(response.content_length(), Some(length), "{method}");
        }
    }
    server.wait_for_line(|line| {
        line.contains(" warning: route ") && line.contains("longer than its Content-Length says")
    });
}

/// A newline behind `?>` makes what PHP sends longer than its Content-Length. Small answers became
/// 502, and large ones lost their last block and the connection.
#[test]
fn an_answer_longer_than_announced_is_sent_as_announced() {
    for (length, content) in [
        (8, b"12345678 and fourteen more".to_vec()),
        (0, b"\n".to_vec()),
        (LARGE, [&pattern(0, LARGE)[..], b"\n"].concat()),
    ] {
        let output = announcing(length, &content);
        let site = cgi::site(&[("x", "cat answer")], "");
        site.directory().write("scripts/answer", &output);
        expect_what_was_announced(&site.start(), "/cgi-bin/x", length);
        // The last octet comes with others, or by itself.
        for last in [0, 1] {
            let (most, rest) = output.split_at(output.len() - last);
            let blocks = most.chunks(32 * 1024).chain([rest]);
            let records: Vec<u8> = blocks.flat_map(|block| record(STDOUT, block)).collect();
            let site = fastcgi_site("");
            let peer = Peer::at(&site);
            let server = site.start();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in WAYS {
                        let mut connection = peer.accept();
                        connection.request();
                        connection.send(&records);
                        connection.send(end(0));
                    }
                });
                expect_what_was_announced(&server, "/", length);
            });
        }
    }
}

/// An answer with less content than announced lost its last block, and was a 502 where it was small.
/// The client gets all that there is, and sees by the end of the connection that more was to come.
#[test]
fn an_answer_shorter_than_announced_is_sent_as_far_as_it_goes() {
    for content in [b"1234567".to_vec(), pattern(0, LARGE)] {
        let output = announcing(content.len() + 1, &content);
        let site = cgi::site(&[("x", "cat answer")], "");
        site.directory().write("scripts/answer", &output);
        expect_all_there_is(&site.start(), "/cgi-bin/x", &content);

        let site = fastcgi_site("");
        let peer = Peer::at(&site);
        let server = site.start();
        let blocks = output.chunks(32 * 1024);
        let mut records: Vec<u8> = blocks.flat_map(|block| record(STDOUT, block)).collect();
        records.extend(end(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut connection = peer.accept();
                connection.request();
                connection.send(&records);
            });
            expect_all_there_is(&server, "/", &content);
        });
    }
}

fn expect_all_there_is(server: &Server, target: &str, content: &[u8]) {
    let mut client = server.connect();
    send(&mut client, "GET", target, "");
    let head = client.response_head();
    assert_eq!(head.content_length(), Some(content.len() + 1));
    assert!(client.rest_before_cut() == content);
    server.wait_for_line(|line| {
        line.contains(" error: route ") && line.contains("shorter than its Content-Length says")
    });
}

/// The values of some parameters, and `-` for those that are not there.
fn told(parameters: &BTreeMap<String, String>, names: &[&str]) -> String {
    let value = |name: &&str| parameters.get(*name).map_or("-", String::as_str);
    names.iter().map(value).collect::<Vec<_>>().join(" ")
}

/// Programs that are no files (in Perl, Python, Go) had no PATH_INFO, because no name in the path was a
/// script's. With `script` the route's own path is the program's.
#[test]
fn a_program_that_is_no_file_owns_everything_beneath_its_route() {
    for (route, target, expected) in [
        ("/app", "/app", "/app - /app"),
        ("/app", "/app/", "/app / /app/"),
        (
            "/app",
            "/app/users/a%20b?x=1",
            "/app /users/a b /app/users/a%20b?x=1",
        ),
        (
            "/app",
            "/app/index.php/x",
            "/app /index.php/x /app/index.php/x",
        ),
        ("/", "/", " / /"),
        ("/", "/app.fcgi/.git", " /app.fcgi/.git /app.fcgi/.git"),
        ("= /hook", "/hook", "/hook - /hook"),
    ] {
        let site = Site::new(&format!(
            "'{route}' = {{ fastcgi = 'unix:php.sock', script = 'app.fcgi' }}"
        ))
        .file("index.php", "<?php the source");
        let peer = Peer::at(&site);
        let server = site.start();
        let mut client = server.connect();
        send(&mut client, "GET", target, "");
        let asked = peer.answer("Content-Type: a/b\r\n\r\nhello");
        assert_eq!(client.response().text(), "hello", "{route} {target}");
        let names = ["SCRIPT_NAME", "PATH_INFO", "REQUEST_URI"];
        assert_eq!(told(&asked.parameters, &names), expected, "{route}");
        let filename = &asked.parameters["SCRIPT_FILENAME"];
        assert!(filename.ends_with("/app.fcgi"), "{filename}");
    }
}

/// cgit, or Git's own server, could not be put at `/`: the first name in the path had to be a script's.
#[test]
fn a_cgi_script_owns_everything_beneath_its_route() {
    let env = "printf 'Content-Type: text/plain\\n\\n'; echo \"$SCRIPT_NAME:$PATH_INFO:$PWD\"";
    for (route, target, expected) in [
        ("/", "/", ":/:"),
        ("/", "/a.git/info/refs?service=x", ":/a.git/info/refs:"),
        ("/git", "/git", "/git::"),
        ("/git", "/git/other/x", "/git:/other/x:"),
    ] {
        let site = Site::new(&format!(
            "'{route}' = {{ cgi = 'scripts', script = 'own' }}"
        ));
        cgi::script(site.directory(), "own", env);
        cgi::script(site.directory(), "other", "printf 'Status: 500\\n\\n'");
        let server = site.start();
        let answer = get(&server, target);
        assert_eq!(answer.status, 200, "{route} {target}");
        let scripts = server.directory().join("scripts");
        let expected = format!("{expected}{}\n", scripts.display());
        assert_eq!(answer.text(), expected, "{route} {target}");
    }
}

/// A router below a prefix that takes the slash off `/api/` sent clients in a circle, because `/api` was
/// always redirected to `/api/`. `= /p` ran the root's index in place of its fallback.
#[test]
fn the_route_s_own_path_is_for_the_fallback_that_it_has() {
    for (route, index, target, expected) in [
        ("/api", "index.php", "/api", Ok("/api/index.php /api?a")),
        ("/api", "index.php", "/api/", Ok("/api/index.php /api/?a")),
        ("/api", "none.php", "/api", Ok("/api/index.php /api?a")),
        ("/api", "page.html", "/api", Err("api/?a")),
        ("= /p", "page.php", "/p", Ok("/p/index.php /p?a")),
        ("= /", "page.php", "/", Ok("/index.php /?a")),
        ("/", "page.php", "/", Ok("/page.php /?a")),
    ] {
        let site = Site::new(&format!(
            "'{route}' = {{ fastcgi = 'unix:php.sock', root = 'www', index = '{index}', \
             fallback = 'index.php' }}"
        ));
        let site = site
            .file("index.php", "")
            .file("page.php", "")
            .file("page.html", "");
        let peer = Peer::at(&site);
        let server = site.start();
        let mut client = server.connect();
        send(&mut client, "GET", &format!("{target}?a"), "");
        match expected {
            Ok(expected) => {
                let asked = peer.answer("Content-Type: a/b\r\n\r\nhello");
                let names = ["SCRIPT_NAME", "REQUEST_URI"];
                assert_eq!(told(&asked.parameters, &names), expected, "{route} {index}");
                assert_eq!(client.response().status, 200);
            }
            Err(location) => {
                let response = client.response();
                assert_eq!(
                    response.field("Location"),
                    Some(location),
                    "{route} {index}"
                );
            }
        }
    }
}

/// `"= /" = { redirect = "/wiki/Main_Page" }` led to `/wiki/Main_Page/`: the slash that the route itself
/// matches was appended.
#[test]
fn a_redirect_of_one_path_appends_nothing_of_it() {
    let server = Site::new(
        "'= /' = { redirect = '/wiki/Main_Page' }\n'= /a/' = { redirect = '/b' }\n\
         '= /c' = { redirect = '/d' }\n'/e' = { redirect = '/f' }",
    )
    .start();
    for (target, location) in [
        ("/", "/wiki/Main_Page"),
        ("/?q", "/wiki/Main_Page?q"),
        ("/a/", "/b"),
        ("/c", "/d"),
        ("/e/", "/f/"),
        ("/e/x", "/f/x"),
    ] {
        assert_eq!(
            get(&server, target).field("Location"),
            Some(location),
            "{target}"
        );
    }
}

/// X-Sendfile with a path beneath the root was refused where the root was written with a slash at its
/// end or is a link, since PHP names files without links; X-Accel-Redirect, where the route is not `/`.
/// PHP-FPM refuses a SCRIPT_FILENAME with `..`. And nothing outside of the root could be sent.
#[test]
fn files_are_named_beneath_roots_of_every_form_and_further_directories() {
    for (root, options, field) in [
        ("www/", "sendfile = true", "X-Sendfile: {here}/www/a.txt"),
        ("./www//", "sendfile = true", "X-Sendfile: {here}/www/a.txt"),
        ("link", "sendfile = true", "X-Sendfile: {here}/link/a.txt"),
        ("link", "sendfile = true", "X-Sendfile: {here}/www/a.txt"),
        (
            "other/../www",
            "sendfile = true",
            "X-Sendfile: {here}/www/a.txt",
        ),
        ("www", "sendfile = true", "X-Accel-Redirect: /app/a.txt"),
        ("www", "sendfile = true", "X-Accel-Redirect: /a.txt"),
        (
            "www",
            "send_files = 'media/'",
            "X-Sendfile: {here}/media/a.txt",
        ),
        (
            "www",
            "send_files = ['other', 'linked']",
            "X-Sendfile: {here}/linked/a.txt",
        ),
        (
            "www",
            "send_files = ['other', 'linked']",
            "X-Sendfile: {here}/media/a.txt",
        ),
        (
            "www",
            "send_files = ['media']",
            "X-Accel-Redirect: {here}/media/a.txt",
        ),
        (
            "www",
            "sendfile = true, send_files = { '/protected' = 'media' }",
            "X-Accel-Redirect: /protected/a.txt",
        ),
        (
            "www",
            "sendfile = true, send_files = { '/protected' = 'media' }",
            "X-Sendfile: a.txt",
        ),
    ] {
        let (server, peer, field) = sending_site(root, options, field);
        let mut client = server.connect();
        send(&mut client, "GET", "/app/", "Range: bytes=2-4\r\n");
        let asked = peer.answer(&format!("Content-Type: x/y\r\n{field}\r\n\r\n"));
        let response = client.response();
        let case = format!("{root} {options} {field}: {:?}", server.diagnostics());
        assert_eq!(
            (response.status, response.text().as_str()),
            (206, "234"),
            "{case}"
        );
        let filename = &asked.parameters["SCRIPT_FILENAME"];
        assert!(
            !filename.contains("..") && !filename.contains("//"),
            "{filename}"
        );
    }
    for (options, field) in [
        ("sendfile = true", "X-Sendfile: {here}/media/a.txt"),
        ("sendfile = true", "X-Sendfile: {here}/www/../media/a.txt"),
        ("sendfile = true", "X-Sendfile: {here}/wwwroot/a.txt"),
        ("send_files = ['media']", "X-Sendfile: {here}/www/a.txt"),
        ("send_files = ['media']", "X-Sendfile: a.txt"),
        ("send_files = ['media']", "X-Accel-Redirect: /app/a.txt"),
        ("send_files = ['media']", "X-Sendfile: {here}/media/out"),
        (
            "send_files = { '/protected' = 'media' }",
            "X-Accel-Redirect: /protectedly/a.txt",
        ),
    ] {
        let (server, peer, field) = sending_site("www", options, field);
        let mut client = server.connect();
        send(&mut client, "GET", "/app/", "");
        peer.answer(&format!("Content-Type: x/y\r\n{field}\r\n\r\n"));
        assert_eq!(client.response().status, 502, "{options} {field}");
        server.wait_for_line(|line| line.contains(" error: ") && line.contains("is not "));
    }
}

/// A server with files in several places, its application server, and `field` with their directory.
fn sending_site(root: &str, options: &str, field: &str) -> (Server, Peer, String) {
    let site = Site::new(&format!(
        "'/app' = {{ fastcgi = 'unix:php.sock', root = '{root}', {options} }}"
    ))
    .file("index.php", "")
    .file("a.txt", "0123456789");
    let directory = site.directory();
    for file in ["media/a.txt", "other/b.txt", "wwwroot/a.txt"] {
        directory.write(file, "0123456789");
    }
    for (target, link) in [
        ("www", "link"),
        ("media", "linked"),
        ("../www/a.txt", "media/out"),
    ] {
        std::os::unix::fs::symlink(target, directory.join(link)).expect("the directory is ours");
    }
    let here = directory.path().canonicalize().expect("it is there");
    let field = field.replace("{here}", here.to_str().expect("text"));
    let peer = Peer::at(&site);
    (site.start(), peer, field)
}

/// What PHP complained of stood in the log without the request and the script that it was about.
#[test]
fn lines_about_an_application_server_name_the_request_and_the_script() {
    let site = fastcgi_site(", fallback = 'index.php'");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    send(&mut client, "GET", "/a/b?c", "");
    let mut connection = peer.accept();
    connection.request();
    connection.send(record(STDERR, "PHP Warning: oh\n"));
    connection.send(record(STDOUT, "no field line\r\n\r\n"));
    drop(connection);
    assert_eq!(client.response().status, 502);
    for text in ["PHP Warning: oh", "no field line"] {
        let line = server.wait_for_line(|line| line.contains(text));
        assert!(
            line.contains("): GET /a/b?c: script `index.php`: "),
            "{line}"
        );
    }
    send(&mut client, "GET", "/long", "");
    peer.answer("Content-Type: a/b\r\nContent-Length: 9\r\n\r\nshort");
    let line = server.wait_for_line(|line| line.contains("shorter than"));
    assert!(line.contains("): GET /long: "), "{line}");
    let mut client = server.connect();
    send(&mut client, "GET", "/broken", "");
    let mut connection = peer.accept();
    connection.request();
    connection.send(record(STDOUT, "Content-Type: a/b\r\n\r\nhello"));
    assert_eq!(client.response_head().status, 200);
    drop(connection);
    let line = server.wait_for_line(|line| line.contains("broke off"));
    let is_named = line.contains("): GET /broken: ") && line.contains(": script `index.php`: ");
    assert!(is_named, "{line}");
}

/// Scripts were not told the server's address and the client's port, and never that the client came to
/// a proxy over TLS.
#[test]
fn scripts_are_told_of_both_ends_and_of_tls() {
    speak_plainly();
    const NAMES: [&str; 6] = [
        "SERVER_ADDR",
        "REMOTE_PORT",
        "HTTPS",
        "REQUEST_SCHEME",
        "SERVER_PORT",
        "REMOTE_ADDR",
    ];
    for (trusted, lines, expected) in [
        ("", "", "127.0.0.1 PORT - http LISTENER 127.0.0.1"),
        (
            "",
            "X-Forwarded-Proto: https\r\n",
            "127.0.0.1 PORT - http LISTENER 127.0.0.1",
        ),
        (
            "127.0.0.1",
            "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n",
            "127.0.0.1 - on https 443 192.0.2.7",
        ),
        (
            "127.0.0.1",
            "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.7\r\n",
            "127.0.0.1 - - http LISTENER 192.0.2.7",
        ),
    ] {
        let site = fastcgi_site("").top(&format!("trusted_proxies = ['{trusted}']"));
        let site = match trusted {
            "" => fastcgi_site(""),
            _ => site,
        };
        let peer = Peer::at(&site);
        let server = site.start();
        let mut client = server.connect();
        let port = client
            .stream()
            .local_addr()
            .expect("it is connected")
            .port();
        send(&mut client, "GET", "/", lines);
        let asked = peer.answer("Content-Type: a/b\r\n\r\nhello");
        assert_eq!(client.response().status, 200);
        let found = told(&asked.parameters, &NAMES);
        let expected = expected.replace("PORT", &port.to_string());
        let expected = expected.replace("LISTENER", "80");
        assert_eq!(found, expected, "{trusted:?} {lines:?}");
    }
}

/// `php:9000`, as containers are named, was refused. Every address of the name is tried.
#[test]
fn an_application_server_is_found_by_its_name() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    // In small letters this name is an address, which is not looked up.
    let site = Site::new(&format!(
        "'/' = {{ fastcgi = 'LocalHost:{port}', root = 'www' }}"
    ));
    let server = site.file("index.php", "").start();
    let mut client = server.connect();
    send(&mut client, "GET", "/", "");
    let (mut stream, _) = listener.accept().expect("one waits");
    let output = [record(STDOUT, "Content-Type: a/b\r\n\r\nhello"), end(0)].concat();
    stream.write_all(&output).expect("the server reads");
    assert_eq!(client.response().text(), "hello");
}

/// A route that runs one script at a time answered each local redirect to another of its scripts with
/// 503, because the first script had not given its place back.
#[test]
fn a_local_redirect_within_a_route_of_one_process_is_followed() {
    let scripts = [
        ("from", "printf 'Location: /cgi-bin/to\\n\\n'; echo more"),
        ("to", "printf 'Content-Type: a/b\\n\\nthere'"),
    ];
    let server = cgi::site(&scripts, ", max_processes = 1").start();
    for _ in 0..10 {
        let answer = get(&server, "/cgi-bin/from");
        assert_eq!((answer.status, answer.text().as_str()), (200, "there"));
    }
}

/// Control characters in a script's field went out to the client, where terminals and logs obey them.
#[test]
fn control_characters_in_a_script_s_field_are_refused() {
    let output = "Content-Type: a/b\r\nX-A: \x1b[2Jb\r\n\r\nhello";
    let site = cgi::site(&[("x", "cat answer")], "");
    site.directory().write("scripts/answer", output);
    let server = site.start();
    assert_eq!(get(&server, "/cgi-bin/x").status, 502);
    server.wait_for_line(|line| line.contains("`x`: the value of its field X-A holds a control"));
    let site = fastcgi_site("");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    send(&mut client, "GET", "/", "");
    peer.answer(output);
    assert_eq!(client.response().status, 502);
}

/// Scripts had the server's raised limit of open files, which some programs go through one by one, and
/// every descriptor that the server had been started with. The process of an upgrade starts as the first
/// one did.
#[test]
fn a_script_has_its_own_files_and_the_usual_limit() {
    let body = "printf 'Content-Type: text/plain\\n\\n'; ulimit -Sn; ls /proc/$$/fd";
    let server = cgi::site(&[("x", body)], "")
        .started_by("ulimit -Sn 300; exec 7</dev/null; exec")
        .start();
    for is_upgraded in [false, true] {
        if is_upgraded {
            let upgraded = server.command_line(&["upgrade"]);
            crate::support::ended_with(0, &upgraded);
        }
        let answer = get(&server, "/cgi-bin/x");
        let told = answer.text();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "300", "{is_upgraded}");
        // A shell has its script open at 10 or 255.
        let usual = ["0", "1", "2", "10", "255"];
        let others = lines[1..].iter().filter(|number| !usual.contains(number));
        assert!(lines.contains(&"0") && others.count() == 0, "{lines:?}");
    }
    crate::upgrade::stop(server);
}

/// In a container the server is the first process, and is given what scripts leave behind in sessions of
/// their own. It never reaped them.
#[test]
fn orphans_are_reaped_where_the_server_is_the_first_process() {
    // The substitution ends when the orphan has closed its output, in its own session.
    let leaves = "begun=$(setsid sh -c 'exec >&-; read line < gate' 2>/dev/null </dev/null &)\n\
                  printf 'Content-Type: a/b\\n\\nall'";
    let slow = "mkfifo ../slow; read line < ../slow; printf 'Content-Type: a/b\\n\\nslow'";
    let mut server = cgi::site(&[("x", leaves), ("slow", slow)], "")
        .started_by("exec unshare --user --map-root-user --pid --fork --mount-proc")
        .start();
    let gate = cgi::gate(&server);
    let first = children(server.id());
    assert_eq!(get(&server, "/cgi-bin/x").text(), "all");
    let orphan = until("the script leaves something behind", || {
        children(first[0]).first().copied()
    });
    std::fs::write(&gate, "go\n").expect("the orphan reads");
    until("the orphan is reaped", || {
        (!Path::new(&format!("/proc/{orphan}")).exists()).then_some(())
    });
    // Scripts themselves are waited for as before.
    assert_eq!(get(&server, "/cgi-bin/x").text(), "all");
    let orphan = until("it leaves something behind again", || {
        children(first[0]).first().copied()
    });
    // The successor would end with its predecessor, as everything in the container.
    let told = crate::support::ended_with(1, &server.command_line(&["upgrade"]));
    assert!(told.contains("first process of its container"), "{told}");
    let first = i32::try_from(first[0]).expect("a process number");
    let first = rustix::process::Pid::from_raw(first).expect("a process");
    let mut client = server.connect();
    client.send("GET /cgi-bin/slow HTTP/1.1\r\nHost: h\r\n\r\n");
    let waits = server.directory().join("slow");
    until("the script runs", || waits.exists().then_some(()));
    rustix::process::kill_process(first, rustix::process::Signal::TERM).expect("it runs");
    server.wait_for_line(|line| line.contains("in flight have"));
    // The end of an orphan was taken for a second signal, and cut what was in flight.
    std::fs::write(&gate, "go\n").expect("the orphan reads");
    until("the orphan is reaped", || {
        (!Path::new(&format!("/proc/{orphan}")).exists()).then_some(())
    });
    // Without a wait, which would last for ever if no script reads.
    let mut writing = std::fs::OpenOptions::new();
    let without_wait = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    writing.write(true).custom_flags(without_wait);
    let mut script = until("the script reads", || writing.open(&waits).ok());
    script.write_all(b"go\n").expect("there is room");
    drop(script);
    assert_eq!(client.response().text(), "slow");
    assert!(server.wait().expect("it is our own child").success());
}

/// The numbers of the processes whose parent is `process`.
fn children(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let children = tasks.filter_map(|task| {
        std::fs::read_to_string(task.expect("it can be read").path().join("children")).ok()
    });
    let numbers = children.collect::<String>();
    let numbers = numbers.split_whitespace();
    numbers
        .map(|number| number.parse().expect("a number"))
        .collect()
}

/// A fallback written as `./x.php` or `../x.php`, with a dot at its start, or as a link to where links may
/// not lead passed the check, and each request for it was answered 404.
#[test]
fn a_fallback_that_can_never_answer_is_refused() {
    for (fallback, options, reason) in [
        ("./index.php", "", "is not the path of a script"),
        ("../outside.php", "", "is not the path of a script"),
        ("sub//index.php", "", "is not the path of a script"),
        (".index.php", "", "would never answer"),
        (".sub/index.php", "", "would never answer"),
        ("out.php", "", "would never answer"),
        ("out.php", ", links = ['www']", "would never answer"),
        ("out.php", ", links = ['.']", ""),
        ("out.php", ", links = 'anywhere'", ""),
        ("in.php", "", ""),
        ("in.php", ", links = 'none'", "would never answer"),
        ("index.php", ", links = 'none'", ""),
        (".well-known/index.php", "", ""),
    ] {
        let site = fastcgi_site(&format!(", fallback = '{fallback}'{options}"));
        let directory = site.directory();
        for file in [
            "outside.php",
            "www/.index.php",
            "www/.sub/index.php",
            "www/.well-known/index.php",
            "www/sub/index.php",
        ] {
            directory.write(file, "");
        }
        for (target, link) in [("../outside.php", "out.php"), ("sub/index.php", "in.php")] {
            let link = directory.join("www").join(link);
            std::os::unix::fs::symlink(target, link).expect("the directory is ours");
        }
        let checked = site.command_line(&["check"]);
        let code = i32::from(!reason.is_empty());
        let told = crate::support::ended_with(code, &checked);
        assert!(told.contains(reason), "{fallback}{options}: {told}");
    }
}

/// Beneath the root `/`, a script's SCRIPT_FILENAME began with two slashes.
#[test]
fn a_script_beneath_the_root_of_the_system_has_its_usual_path() {
    let site = Site::new("'/' = { fastcgi = 'unix:php.sock', root = '/' }").file("a.php", "");
    let script = site.directory().path().canonicalize().expect("it is there");
    let script = script.join("www/a.php");
    let script = script.to_str().expect("text");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    send(&mut client, "GET", script, "");
    let asked = peer.answer("Content-Type: a/b\r\n\r\nhello");
    assert_eq!(client.response().text(), "hello");
    let names = ["SCRIPT_FILENAME", "SCRIPT_NAME", "DOCUMENT_ROOT"];
    assert_eq!(
        told(&asked.parameters, &names),
        format!("{script} {script} /")
    );
}
