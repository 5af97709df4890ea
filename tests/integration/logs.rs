//! What of the log the operator chooses: templates, several logs, samples, redaction, diagnostics, stories.

use serde_json::Value;

use crate::support::{Server, Site, Upstream, ended_with};

fn site(log: &str) -> Site {
    Site::new("'/' = { files = 'www' }\n'/echo' = { echo = true }")
        .top("workers = 1")
        .log(log)
        .file("a.txt", "content of a")
}

/// Stops the server, and returns the lines of these log files.
fn lines_of(mut server: Server, names: &[&str]) -> Vec<Vec<String>> {
    server.control().exchange("POST", "/stop");
    assert!(server.wait().expect("it is our own child").success());
    let lines = |name: &&str| {
        server
            .directory()
            .read(name)
            .lines()
            .map(str::to_owned)
            .collect()
    };
    names.iter().map(lines).collect()
}

#[test]
fn a_template_says_how_a_line_looks() {
    let template = "{client} {method} {path} {status} {bytes} {route} {reason} \"{user_agent}\"";
    let server = site(&format!("access = '-'\nformat = '{template}'")).start();
    server.get_with("/a.txt?b=c", "User-Agent: curl 8\r\n");
    server.get("/none");
    let (_, lines) = server.stop();
    assert_eq!(lines[0], "127.0.0.1 GET /a.txt 200 12 / - \"curl 8\"");
    assert!(
        lines[1].starts_with("127.0.0.1 GET /none 404 "),
        "{lines:?}"
    );
    assert!(lines[1].ends_with(" / file_missing \"-\""), "{lines:?}");
}

#[test]
fn a_variable_that_is_not_known_is_a_mistake_of_the_file() {
    let site = site("access = '-'\nformat = '{client} {statsu}'");
    let checked = ended_with(1, &site.command_line(&["check"]));
    assert!(checked.contains("did you mean `{status}`?"), "{checked}");
}

#[test]
fn each_log_has_the_exchanges_that_it_is_for() {
    let log = "format = 'json'\n\
        [[log.access]]\npath = 'all.log'\nformat = '{method} {target} {status}'\n\
        [[log.access]]\npath = 'errors.log'\nformat = '{target} {reason}'\nwhen = { status = '4xx' }\n\
        [[log.access]]\npath = 'posts.log'\nformat = '{target}'\nwhen = { method = 'POST', path = '/echo' }\n\
        [[log.access]]\npath = 'route.log'\nwhen = { route = '/echo' }\n\
        [[log.access]]\npath = 'slow.log'\nwhen = { slower_than = '1h' }\n";
    let server = site(log).start();
    let mut client = server.connect();
    for request in [
        "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /echo/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        "POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    ] {
        client.exchange(request);
    }
    drop(client);
    let names = [
        "all.log",
        "errors.log",
        "posts.log",
        "route.log",
        "slow.log",
    ];
    let [all, errors, posts, route, slow] = &lines_of(server, &names)[..] else {
        panic!("five logs")
    };
    let expected = [
        "GET /a.txt 200",
        "GET /none 404",
        "POST /echo/x 200",
        "POST /a.txt 405",
    ];
    assert_eq!(*all, expected, "in the order of the connection");
    assert_eq!(*errors, ["/none file_missing", "/a.txt method_not_allowed"]);
    assert_eq!(*posts, ["/echo/x"]);
    assert_eq!((route.len(), slow.len()), (1, 0));
    let record: Value = serde_json::from_str(&route[0]).expect("the format of [log]");
    assert_eq!(
        (&record["route"], &record["status"]),
        (&"/echo".into(), &200.into())
    );
    assert!(record["duration_us"].is_u64(), "{record}");
}

/// A request that was refused had no route in the log, and one in the metrics. A log for the refused requests of a
/// route had none of them.
#[test]
fn a_request_that_a_route_refuses_is_logged_at_that_route() {
    let log = "[[log.access]]\npath = 'all.log'\nformat = '{method} {target} {status} {route}'\n\
        [[log.access]]\npath = 'route.log'\nformat = '{target} {status}'\nwhen = { route = ['/admin', '/read'], status = [401, 403, 405] }\n";
    let routes = "'/admin' = { respond = 'ok', auth = { basic = 'users', realm = 'A' } }\n\
        '/read' = { respond = 'ok' }\n'/kept-out' = { respond = 'ok', deny = '127.0.0.1' }";
    let site = Site::new(routes).top("workers = 1").log(log);
    let alice = "alice:$2y$04$VcUh1un4epswhIFMHvIv0On0cHluqhFRf.qwMy41hYOGsLJkQChmu\n";
    site.directory().write("users", alice);
    let server = site.start();
    let mut client = server.connect();
    let mut ask = |request: &str, status| {
        let request = format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.exchange(&request).status, status, "{request}");
    };
    ask("GET /admin", 401);
    ask("POST /read", 405);
    ask("GET /kept-out", 403);
    ask("GET /none", 404);
    let lines = lines_of(server, &["all.log", "route.log"]);
    let all = [
        "GET /admin 401 /admin",
        "POST /read 405 /read",
        "GET /kept-out 403 /kept-out",
        "GET /none 404 -",
    ];
    assert_eq!(lines[0], all);
    assert_eq!(lines[1], ["/admin 401", "/read 405"]);
}

/// A log for a path had no line where a client spelled the path in another way, and one for a route whose key is
/// not in ASCII had no line at all.
#[test]
fn a_log_for_a_path_or_a_route_has_every_spelling_of_it() {
    let log = "[[log.access]]\npath = 'path.log'\nformat = '{path}'\nwhen = { path = '/api' }\n\
        [[log.access]]\npath = 'umlaut.log'\nformat = '{route}'\nwhen = { path = '/\u{fc}' }\n\
        [[log.access]]\npath = 'key.log'\nformat = '{target}'\nwhen = { route = ['/%61pi', '/\u{fc}'] }\n";
    let routes = "'/api' = { respond = 'ok' }\n'/\u{fc}' = { respond = 'ok' }";
    let site = Site::new(routes).top("workers = 1").log(log);
    let checked = ended_with(0, &site.command_line(&["check"]));
    assert!(!checked.contains("there is no route"), "{checked}");
    let server = site.start();
    let targets = [
        "/%61pi",
        "//api",
        "/./api",
        "/x/../api",
        "http://h/api?b",
        "/%c3%bc",
    ];
    let mut client = server.connect();
    for target in targets {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.exchange(&request).status, 200, "{target}");
    }
    let lines = lines_of(server, &["path.log", "umlaut.log", "key.log"]);
    let paths = ["/%61pi", "//api", "/./api", "/x/../api", "/api"];
    assert_eq!(lines[0], paths);
    assert_eq!(lines[1], ["/%C3%BC"]);
    assert_eq!(lines[2], targets);
}

#[test]
fn a_sample_has_its_part_exactly() {
    let log = "access = [{ path = 'all.log' }, { path = 'some.log', sample = 0.25 }]";
    let server = site(log).start();
    let mut client = server.connect();
    for _ in 0..100 {
        client.exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    drop(client);
    let logs = lines_of(server, &["all.log", "some.log"]);
    assert_eq!((logs[0].len(), logs[1].len()), (100, 25));
}

#[test]
fn secrets_do_not_get_into_any_format() {
    for format in [
        "combined",
        "json",
        "{client} {target} {referer} \"{user_agent}\"",
    ] {
        let log = format!("access = '-'\nformat = '{format}'\nredact.fields = ['user_agent']");
        let server = site(&log).start();
        let fields = "Referer: http://r/?code=hush\r\nUser-Agent: hush\r\n";
        server.get_with("/a.txt?b=1&token=hush", fields);
        let (_, lines) = server.stop();
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].contains("hush"), "{}", lines[0]);
        assert!(
            lines[0].contains("/a.txt?b=1&token=[redacted]"),
            "{}",
            lines[0]
        );
    }
}

/// The line that says why there is a 502 once had the whole target, with what the access log left out.
#[test]
fn secrets_do_not_get_into_diagnostics() {
    let log = "access = false\ndebug_clients = ['127.0.0.1']";
    let routes = "'/' = { proxy = 'http://127.0.0.1:1' }";
    let server = Site::new(routes).log(log).start();
    assert_eq!(server.get("/a?b=1&token=hush").status, 502);
    server
        .connect()
        .exchange("BREW /?code=hush HTTP/1.1\r\nHost: h\r\n\r\n");
    server.wait_for_line(|line| line.contains("the request could not be read"));
    let (lines, _) = server.stop();
    for start in ["error: route `/`", "debug: 127.0.0.1: GET /a"] {
        let mut lines = lines.iter().filter(|line| line.contains(start));
        assert!(lines.any(|line| line.contains("/a?b=1&token=[redacted]")));
    }
    assert!(!lines.concat().contains("hush"), "{lines:#?}");
}

/// A log has its own condition after a reload, wherever it stands in the file, and one that the file no longer
/// has takes no other's.
#[test]
fn a_log_keeps_its_own_condition_when_others_come_before_it() {
    let all = "[[log.access]]\npath = 'all.log'\nformat = '{target}'\n";
    let errors =
        "[[log.access]]\npath = 'errors.log'\nformat = '{target}'\nwhen = { status = '4xx' }\n";
    for (before, after) in [
        (all.to_owned(), format!("{errors}{all}")),
        (format!("{all}{errors}"), errors.to_owned()),
    ] {
        let server = site(&before).start();
        let text = server.directory().read("config.toml");
        assert!(text.contains(&before), "{text}");
        server.configure(text.replace(&before, &after));
        ended_with(0, &server.command_line(&["reload"]));
        assert_eq!(server.get("/a.txt").status, 200);
        let lines = &lines_of(server, &["all.log"])[0];
        assert!(lines.len() == 1 && lines[0].contains("/a.txt"), "{lines:?}");
    }
}

/// What keeps a server from starting, and what is doubtful about its file: a site of it, its priority, its level.
fn startup_faults(log: &str) -> Vec<(Site, &'static str, &'static str, &'static str)> {
    let log_of = |more: &str| format!("access = false\n{log}\n{more}");
    let unused = "[upstreams.unused]\nservers = ['http://127.0.0.1:9']";
    let test = "workers = 1\n[[test]]\nrequest = 'GET /a.txt'\nexpect = { status = 404 }";
    vec![
        (
            site(&log_of("acess = 'a'")),
            "3",
            "error",
            "unknown key `acess`",
        ),
        (
            site(log).log(&format!("access = 'none/a.log'\n{log}")),
            "3",
            "error",
            "cannot open the access log",
        ),
        (site(&log_of("")).top(test), "3", "error", "GET /a.txt"),
        // The warning comes before the error of the address, which is no address of this machine.
        (
            site(&log_of(""))
                .top(unused)
                .server("listen = '192.0.2.1:80'"),
            "4",
            "warning",
            "nothing asks the upstream `unused`",
        ),
    ]
}

/// A shell that tells the server that its standard error is the journal's.
const OF_JOURNAL: &str = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); exec";

/// Until the server listened, it wrote to the journal and to readers of JSON as to a person at a terminal.
#[test]
fn what_keeps_a_server_from_starting_has_its_priority_in_the_journal() {
    for (site, priority, level, message) in startup_faults("") {
        let said = ended_with(1, &site.started_by(OF_JOURNAL).run());
        let start = format!("<{priority}>{level}: ");
        let is_meant = |line: &&str| line.starts_with(&start) && line.contains(message);
        assert!(said.lines().any(|line| is_meant(&line)), "{said}");
        let has_priority = |line: &str| line.starts_with("<3>") || line.starts_with("<4>");
        assert!(said.lines().all(has_priority), "{said}");
    }
    let nowhere = Site::new("").run_from("none.toml").started_by(OF_JOURNAL);
    let said = ended_with(1, &nowhere.run());
    assert!(said.starts_with("<3>error: there is no"), "{said}");
}

#[test]
fn what_keeps_a_server_from_starting_is_json_where_diagnostics_are() {
    for (site, _, level, message) in startup_faults("diagnostics = 'json'") {
        let said = ended_with(1, &site.run());
        let objects = said.lines().map(serde_json::from_str::<Value>);
        let objects: Vec<Value> = objects.map(|it| it.expect(&said)).collect();
        let is_meant = |it: &Value| {
            let text = it["message"].as_str().expect("a text");
            it["level"] == level && text.contains(message) && !text.starts_with(level)
        };
        assert!(objects.iter().any(is_meant), "{said}");
    }
}

/// A person who starts a server gets what `check` prints.
#[test]
fn what_keeps_a_server_from_starting_is_as_check_prints_it_elsewhere() {
    for (site, _, level, message) in startup_faults("") {
        let said = ended_with(1, &site.run());
        assert!(
            said.contains(&format!("{level}: ")) && said.contains(message),
            "{said}"
        );
        let is_plain = |line: &str| !line.starts_with(['<', '{']);
        assert!(said.lines().all(is_plain), "{said}");
    }
}

/// Warnings stood in the report of what had changed, whose level is info.
/// The line of an exchange that was under way went by the new configuration: it stood in the log of no route, and
/// with the secret that the old one left out.
#[test]
fn a_line_is_written_as_the_configuration_says_that_its_exchange_began_with() {
    let upstream = Upstream::listen();
    let log = "format = '/old {target}'\nredact = { query = ['secret'] }\n\
        [[log.access]]\npath = 'access.log'\nwhen = { route = '/old' }";
    let routes = format!("'/old' = {{ proxy = '{}' }}", upstream.url());
    let server = Site::new(&routes).top("workers = 1").log(log).start();
    let mut client = server.connect();
    client.send("GET /old?secret=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut asked = upstream.accept();
    asked.request();
    let text = server.directory().read("config.toml");
    server.configure(text.replace("/old", "/new").replace("'secret'", "'other'"));
    ended_with(0, &server.command_line(&["reload"]));
    asked.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response().status, 204);
    let lines = lines_of(server, &["access.log"]);
    assert_eq!(lines, [["/old /old?secret=[redacted]"]]);
}

#[test]
fn warnings_of_a_reload_are_written_as_warnings() {
    let server = site("access = false").start();
    let text = server.directory().read("config.toml");
    let text = text.replace("access = false", "access = false\nlevel = 'warn'");
    server.configure(&text);
    ended_with(0, &server.command_line(&["reload"]));
    server.configure(format!(
        "{text}\n[upstreams.unused]\nservers = ['http://127.0.0.1:9']\n"
    ));
    let told = ended_with(0, &server.command_line(&["reload"]));
    assert!(told.contains("reloaded: generation 3"), "{told}");
    assert!(
        told.contains("warning: nothing asks the upstream"),
        "{told}"
    );
    server.wait_for_line(|line| line.contains(" warning: nothing asks the upstream `unused`"));
    let said = server.diagnostics().join("\n");
    assert!(!said.contains("reloaded: generation"), "{said}");
}

#[test]
fn diagnostics_can_be_json_from_a_reload_on() {
    let server = site("access = false").start();
    let text = server.directory().read("config.toml");
    server.configure(text.replace("access = false", "access = false\ndiagnostics = 'json'"));
    ended_with(0, &server.command_line(&["reload"]));
    let line = server.wait_for_line(|line| line.contains("reloaded: generation 2"));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["level"], "info");
    assert!(
        line["time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
}

#[test]
fn the_story_of_an_exchange_is_told_for_the_clients_that_are_named() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let routes = format!("'/' = {{ proxy = 'http://{}' }}", upstream.address());
    for (named, is_told) in [("127.0.0.0/8", true), ("192.0.2.1", false)] {
        let log = format!("access = false\ndebug_clients = ['{named}']");
        let server = Site::new(&routes).top("workers = 1").log(&log).start();
        assert_eq!(
            server
                .connect()
                .exchange("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
                .status,
            200
        );
        server
            .connect()
            .exchange("BREW / HTTP/1.1\r\nHost: h\r\n\r\n");
        if is_told {
            server.wait_for_line(|line| line.contains("the request could not be read"));
        }
        let address = server.address();
        let (lines, _) = server.stop();
        let story: Vec<&String> = lines
            .iter()
            .filter(|line| line.contains(" debug: "))
            .collect();
        let steps = [
            &format!("127.0.0.1: GET /a for \"h\" at {address}: route `/`"),
            "is asked, try 1",
            "responds 200 OK, connected in ",
            "200 OK: it was answered, 2 octets of content",
            "is refused: an unknown method",
            "the request could not be read (method_unknown)",
        ];
        if !is_told {
            assert!(story.is_empty(), "{story:?}");
            continue;
        }
        let mut rest = story.iter();
        for step in steps {
            assert!(rest.any(|line| line.contains(step)), "{step}: {story:?}");
        }
        assert!(
            !story.iter().any(|line| line.contains("worker 0 has begun")),
            "{story:?}"
        );
    }
}
