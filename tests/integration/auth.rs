//! `auth`: passwords of a file, and another server that says who is let in. At once and waited for, with what
//! comes before, behind and meanwhile, and what handlers, scripts, upstreams and the log are told.

use rustix::process::Signal;

use crate::cgi::script;
use crate::support::{Client, Response, Server, Site, Upstream, ended_with, speak_plainly, until};

/// Of `sesame`, with bcrypt at its lowest cost; of `pw` with SHA-1.
const ALICE: &str = "alice:$2y$04$VcUh1un4epswhIFMHvIv0On0cHluqhFRf.qwMy41hYOGsLJkQChmu";
/// Of `sesame` at a cost that takes most of a second.
const SLOW: &str = "slow:$2y$13$36k6U1ftGXU9EGd94iVwNuU8F49/VIKgVwmvowH3vVpx4E70cysDG";
const BOB: &str = "bob:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=";

/// The field line of a name and a password.
fn credentials(whole: &str) -> String {
    let encoded = data_encoding::BASE64.encode(whole.as_bytes());
    format!("Authorization: Basic {encoded}\r\n")
}

/// The response to a GET with these field lines, to a client that stays.
fn get(server: &Server, target: &str, lines: &str) -> Response {
    get_on(&mut server.connect(), target, lines)
}

fn get_on(client: &mut Client, target: &str, lines: &str) -> Response {
    client.exchange(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"))
}

/// A site with `routes`, and the users `alice` and `bob`.
fn site(routes: &str) -> Site {
    let site = Site::new(routes).file("a.txt", "content of a");
    let text = format!("# users\n{ALICE}\n{BOB}\n");
    site.directory().write("users", text);
    site
}

const CLOSED: &str = "auth = { basic = 'users', realm = 'Admin' }";

#[test]
fn a_password_is_asked_for_and_lets_in() {
    let server = site(&format!("'/' = {{ files = 'www', {CLOSED} }}")).start();
    let mut client = server.connect();
    let refused = get_on(&mut client, "/a.txt", "");
    assert_eq!(refused.status, 401);
    server.wait_for_reason("password_missing");
    let challenge = r#"Basic realm="Admin", charset="UTF-8""#;
    assert_eq!(refused.field("WWW-Authenticate"), Some(challenge));
    assert!(!refused.text().contains("content of a"));
    for (whole, status) in [
        ("alice:sesame", 200),
        ("alice:sesame", 200),
        ("alice:Sesame", 401),
        ("alice:", 401),
        ("bob:sesame", 401),
        ("bob:pw", 200),
        ("carol:sesame", 401),
        (":sesame", 401),
    ] {
        let response = get_on(&mut client, "/a.txt", &credentials(whole));
        assert_eq!(response.status, status, "{whole}");
        assert_eq!(response.field("WWW-Authenticate").is_some(), status == 401);
    }
    server.wait_for_reason("password_wrong");
}

#[test]
fn one_password_too_many_does_not_wait() {
    let site = site(&format!("'/' = {{ files = 'www', {CLOSED} }}"));
    site.directory().write("users", SLOW);
    let server = site.start();
    let clients: Vec<Client> = (0..150)
        .map(|nth| {
            let mut client = server.connect();
            let lines = credentials(&format!("slow:{nth}"));
            client.send(format!("GET /a.txt HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
            client
        })
        .collect();
    server.wait_for_reason("passwords_busy");
    // What clients wait for that have gone is not done.
    drop(clients);
    let mut client = server.connect();
    assert_eq!(get_on(&mut client, "/a.txt", "").status, 401);
    until("the queue is empty", || {
        let response = get(&server, "/a.txt", &credentials("slow:sesame"));
        (response.status == 200).then_some(())
    });
}

#[test]
fn credentials_that_are_malformed_are_none() {
    let site = site(&format!("'/' = {{ files = 'www', {CLOSED} }}"));
    let server = site.limits("max_head = '64 KiB'").start();
    let mut client = server.connect();
    let good = credentials("alice:sesame");
    for lines in [
        "Authorization:\r\n".to_owned(),
        "Authorization: Basic\r\n".to_owned(),
        "Authorization: Basic %%%\r\n".to_owned(),
        "Authorization: Basic YWxpY2U\r\n".to_owned(),
        "Authorization: Bearer abc\r\n".to_owned(),
        credentials("alice:ses\name"),
        credentials("alice:sesame\0"),
        format!("{good}{good}"),
        format!("{good}authorization: x\r\n"),
        credentials(&format!("alice:{}", "x".repeat(12 * 1024))),
    ] {
        let start = &lines[..lines.len().min(80)];
        assert_eq!(get_on(&mut client, "/a.txt", &lines).status, 401, "{start}");
    }
    assert_eq!(get_on(&mut client, "/a.txt", &good).status, 200);
    // In whatever case and place the field comes.
    let lines = format!(
        "X: y\r\n{}",
        good.replace("Authorization: Basic", "aUTHORIZATION:bAsIc")
    );
    assert_eq!(get_on(&mut client, "/a.txt", &lines).status, 200);
}

#[test]
fn a_route_may_be_open_below_a_closed_one() {
    let site = site(
        "'/' = { files = 'www' }\n'/open' = { respond = 'open', auth = 'none' }\n\
         '/bob' = { respond = 'b', auth = { basic = 'more', realm = 'B' } }\n\
         '/beta' = { respond = 'b', when = { query.beta = '1' } }",
    );
    site.directory().write("more", BOB);
    let server = site
        .server(&format!("listen = '127.0.0.1:0'\n{CLOSED}"))
        .start();
    let alice = credentials("alice:sesame");
    for (target, lines, status) in [
        ("/a.txt", "", 401),
        ("/a.txt", &*alice, 200),
        // What is there is told only to those who are let in.
        ("/gone", "", 401),
        ("/gone", &alice, 404),
        ("/beta", "", 401),
        ("/beta", &alice, 404),
        ("/open", "", 200),
        ("/open", &alice, 200),
        ("/bob", &alice, 401),
        ("/bob", &credentials("bob:pw"), 200),
        // What is wrong with the request itself.
        ("/a%zz", "", 400),
    ] {
        assert_eq!(
            get(&server, target, lines).status,
            status,
            "{target} {lines}"
        );
    }
    let realm = get(&server, "/bob", "")
        .field("WWW-Authenticate")
        .map(str::to_owned);
    assert!(realm.is_some_and(|realm| realm.contains("\"B\"")));
    let other_method = "POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(server.connect().exchange(other_method).status, 401);
}

#[test]
fn a_preflight_needs_no_password_and_a_denied_client_gets_none_asked() {
    let server = site(&format!(
        "'/api' = {{ files = 'www', strip_prefix = true, {CLOSED}, cors = {{ origins = ['https://a.example'], headers = ['Authorization'] }} }}\n\
         '/denied' = {{ files = 'www', {CLOSED}, deny = 'all' }}"
    ))
    .start();
    let mut client = server.connect();
    let preflight = client.exchange(
        "OPTIONS /api/a.txt HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n\
         Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n\r\n",
    );
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.field("Access-Control-Allow-Headers"),
        Some("Authorization")
    );
    let options = client.exchange("OPTIONS /api/a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(options.status, 401);
    // A script of the page may read that it was refused.
    let refused = get_on(&mut client, "/api/a.txt", "Origin: https://a.example\r\n");
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.field("Access-Control-Allow-Origin"),
        Some("https://a.example")
    );
    assert_eq!(get_on(&mut client, "/denied/a.txt", "").status, 403);
}

#[test]
fn a_rate_counts_guesses_and_comes_before_the_password() {
    let site = site(&format!(
        "'/' = {{ files = 'www', rate = 'login', {CLOSED} }}\n\
         [rates.login]\nrate = '3/h'\nburst = 3"
    ));
    let server = site.start();
    let mut client = server.connect();
    let statuses = ["", &*credentials("alice:x"), &credentials("alice:sesame")]
        .map(|lines| get_on(&mut client, "/a.txt", lines).status);
    assert_eq!(statuses, [401, 401, 200]);
    for lines in [String::new(), credentials("alice:sesame")] {
        assert_eq!(get_on(&mut client, "/a.txt", &lines).status, 429);
    }
}

#[test]
fn requests_of_one_read_are_answered_in_their_order() {
    let server = site(&format!(
        "'/' = {{ files = 'www' }}\n'/in' = {{ files = 'www', strip_prefix = true, {CLOSED} }}"
    ))
    .start();
    let request =
        |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let (right, wrong) = (credentials("alice:sesame"), credentials("alice:x"));
    let requests = [
        request("/a.txt", ""),
        request("/in/a.txt", &right),
        request("/in/a.txt", &right),
        request("/in/gone", &right),
        request("/in/a.txt", &wrong),
        request("/a.txt", ""),
        request("/in/a.txt", ""),
    ];
    let mut client = server.connect();
    client.send(requests.concat());
    let statuses: Vec<u16> = requests.iter().map(|_| client.response().status).collect();
    assert_eq!(statuses, [200, 200, 200, 404, 401, 200, 401]);
}

#[test]
fn content_is_not_invited_before_the_client_is_let_in() {
    let server = site(&format!("'/' = {{ echo = true, {CLOSED} }}")).start();
    let request = |lines: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n{lines}\r\n"
        )
    };
    for lines in [String::new(), credentials("alice:x")] {
        let mut client = server.connect();
        let response = client.exchange(request(&lines));
        assert_eq!((response.status, response.says_close()), (401, true));
    }
    for _ in 0..2 {
        let mut client = server.connect();
        assert_eq!(
            client
                .exchange(request(&credentials("alice:sesame")))
                .status,
            100
        );
        let response = client.exchange("hello");
        assert_eq!(
            (response.status, &response.json()["content"]),
            (200, &"hello".into())
        );
    }
    // Content that was sent without an invitation is read away.
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().status, 401);
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", credentials("bob:pw"));
    assert_eq!(client.exchange(request).status, 200);
}

#[test]
fn the_user_is_in_the_log_and_the_password_is_not() {
    for (format, alice, stranger) in [
        ("common", "127.0.0.1 - alice [", "127.0.0.1 - - ["),
        ("json", r#""user":"alice""#, r#""status":401"#),
    ] {
        let site = site(&format!(
            "'/' = {{ files = 'www', {CLOSED} }}\n'/echo' = {{ echo = true, {CLOSED} }}"
        ));
        let server = site
            .log(&format!(
                "access = '-'\nformat = '{format}'\nlevel = 'debug'"
            ))
            .start();
        let mut client = server.connect();
        let lines = credentials("alice:sesame");
        for target in ["/a.txt?1", "/a.txt?2", "/echo?3"] {
            get_on(&mut client, target, &lines);
            let record = server.wait_for_record(|line| line.contains(target));
            assert!(record.contains(alice), "{record}");
        }
        get_on(&mut client, "/a.txt?4", &credentials("alice:guess"));
        let record = server.wait_for_record(|line| line.contains("/a.txt?4"));
        assert!(
            record.contains(stranger) && !record.contains("alice"),
            "{record}"
        );
        drop(client);
        let (diagnostics, records) = server.stop();
        let all = [diagnostics, records].concat().join("\n");
        for secret in ["sesame", "guess", "YWxpY2U"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
}

#[test]
fn a_changed_file_holds_at_once_and_a_bad_one_changes_nothing() {
    let server = site(&format!("'/' = {{ files = 'www', {CLOSED} }}")).start();
    let status = |whole: &str| get(&server, "/a.txt", &credentials(whole)).status;
    let is_let_in = |whole: &str| (status(whole) == 200).then_some(());
    let is_refused = |whole: &str| (status(whole) == 401).then_some(());
    assert_eq!((status("alice:sesame"), status("bob:pw")), (200, 200));
    server
        .directory()
        .replace("users", format!("{ALICE}\ncarol:{}\n", &BOB[4..]));
    until("bob is forgotten", || is_refused("bob:pw"));
    until("carol is known", || is_let_in("carol:pw"));
    server.wait_for_line(|line| {
        line.contains("read again: passwords in") && line.contains("2 users")
    });
    server.directory().replace("users", "alice:plain\n");
    let line = until("the server says that the file is bad", || {
        assert_eq!(status("alice:sesame"), 200);
        let lines = server.diagnostics();
        lines
            .into_iter()
            .find(|line| line.contains("users`, line 1: "))
    });
    assert!(
        line.contains("or the password itself") && line.contains("hash-password"),
        "{line}"
    );
    assert!(
        line.contains("is used on") && !line.contains("plain"),
        "{line}"
    );
    assert_eq!(status("carol:pw"), 200);
    std::fs::remove_file(server.directory().join("users")).expect("it is ours");
    until("the server says that the file is gone", || {
        assert_eq!(status("alice:sesame"), 200);
        let lines = server.diagnostics();
        lines
            .into_iter()
            .find(|line| line.contains("cannot read the passwords"))
    });
    server.directory().replace("users", BOB);
    until("bob is known again", || is_let_in("bob:pw"));
    until("alice is forgotten", || is_refused("alice:sesame"));
}

#[test]
fn a_reload_reads_the_file_and_takes_no_bad_one_where_none_was() {
    let routes = format!("'/' = {{ files = 'www', {CLOSED} }}");
    let server = site(&routes).start();
    let status = |whole: &str| get(&server, "/a.txt", &credentials(whole)).status;
    assert_eq!(status("bob:pw"), 200);
    let configured = |file: &str| {
        server.configure(format!(
            "[log]\naccess = false\n[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n\
             '/' = {{ files = 'www', auth = {{ basic = '{file}', realm = 'Admin' }} }}\n"
        ));
        server.command_line(&["reload"])
    };
    let refused = configured("missing");
    assert!(ended_with(1, &refused).contains("cannot read the passwords in"));
    server.directory().write("plain", "alice:sesame\n");
    let refused = ended_with(1, &configured("plain"));
    assert!(
        refused.contains("plain`, line 1: ") && refused.contains("hash-password"),
        "{refused}"
    );
    assert!(!refused.contains("sesame"), "{refused}");
    assert_eq!(status("bob:pw"), 200);
    server.directory().write("others", ALICE);
    let taken = ended_with(0, &configured("others"));
    assert!(taken.contains("auth"), "{taken}");
    assert_eq!((status("bob:pw"), status("alice:sesame")), (401, 200));
}

/// The variables that tell of the user, as a script sees them.
const TELL: &str = "echo 'Content-Type: text/plain'\necho\nenv | grep -E '^(REMOTE_USER|AUTH_TYPE|HTTP_AUTH|HTTP_REMOTE)' | sort\n";

/// Of `sesame` at a cost that takes some tenths of a second.
const UNHURRIED: &str = "alice:$2y$11$abcdefghijklmnopqrstuuJKhq4TnYSWnBFid3gCJ/J37EEg4.BPC";

/// A server that stops within `grace`, and a client whose password it verifies: the response to the request before
/// has come, and both were read at once.
fn verifying(grace: &str, user: &str, whole: &str) -> (Server, Client) {
    let site = site(&format!(
        "'/' = {{ files = 'www', {CLOSED} }}\n'= /open' = {{ respond = 'open' }}"
    ))
    .top(&format!("grace = '{grace}'"))
    .log("access = '-'");
    site.directory().write("users", user);
    let server = site.start();
    let mut client = server.connect();
    let lines = credentials(whole);
    let [first, second] = [("/open", ""), ("/a.txt", &lines)]
        .map(|(target, lines)| format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    client.send([first, second].concat());
    assert_eq!(client.response().text(), "open");
    (server, client)
}

/// The records of requests for the file.
fn records(server: &Server) -> Vec<String> {
    let records = server.records().into_iter();
    records.filter(|line| line.contains("/a.txt")).collect()
}

#[test]
fn a_password_that_is_verified_while_the_server_stops_lets_in() {
    let (mut server, mut client) = verifying("60s", UNHURRIED, "alice:sesame");
    server.signal(Signal::TERM);
    let response = client.response();
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "content of a")
    );
    client.expect_end();
    assert!(server.wait().expect("it is our own child").success());
    let records = records(&server);
    assert!(
        matches!(&records[..], [one] if one.contains(" 200 ")),
        "{records:?}"
    );
}

#[test]
fn a_password_that_takes_longer_than_the_server_has_holds_nothing_up() {
    let (mut server, mut client) = verifying("50ms", SLOW, "slow:wrong");
    server.signal(Signal::TERM);
    assert!(server.wait().expect("it is our own child").success());
    // The verification may have been in time.
    let rest = String::from_utf8_lossy(&client.rest().unwrap_or_default()).into_owned();
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 401 "),
        "{rest}"
    );
    assert_eq!(records(&server).len(), 1);
}

/// The verification goes by the file that it began with, the next one by the new file.
#[test]
fn a_password_that_is_verified_while_a_reload_reads_the_file_gets_its_answer() {
    let (server, mut client) = verifying("10s", UNHURRIED, "alice:sesame");
    server.directory().replace("users", format!("{BOB}\n"));
    ended_with(0, &server.command_line(&["reload"]));
    let response = client.response();
    let is_let_in = response.status == 200 && response.text() == "content of a";
    // The pool may have begun only behind the reload.
    assert!(is_let_in || response.status == 401, "{}", response.status);
    assert_eq!(
        get(&server, "/a.txt", &credentials("alice:sesame")).status,
        401
    );
    assert_eq!(get(&server, "/a.txt", &credentials("bob:pw")).status, 200);
    server.wait_for_record(|line| line.contains("/a.txt") && line.contains("bob"));
    assert_eq!(records(&server).len(), 3);
}

#[test]
fn scripts_and_upstreams_are_told_the_user() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let site = site(&format!(
        "'/cgi' = {{ cgi = 'scripts', {CLOSED} }}\n\
         '/named' = {{ cgi = 'scripts', auth = {{ basic = 'users', user_header = 'Remote-User' }} }}\n\
         '/open' = {{ cgi = 'scripts' }}\n\
         '/proxy' = {{ proxy = '{0}', auth = {{ basic = 'users', user_header = 'Remote-User' }} }}\n\
         '/without' = {{ proxy = '{0}', request_headers = {{ remove = ['Authorization'] }}, {CLOSED} }}",
        upstream.url()
    ));
    script(site.directory(), "tell", TELL);
    let server = site.start();
    let lines = credentials("alice:sesame") + "Remote-User: eve\r\nRemote_User: eve\r\n";
    let told = |target: &str, lines: &str| get(&server, target, lines).text();
    assert_eq!(
        told("/cgi/tell", &lines),
        "AUTH_TYPE=Basic\nREMOTE_USER=alice\n"
    );
    assert_eq!(
        told("/named/tell", &lines),
        "AUTH_TYPE=Basic\nHTTP_REMOTE_USER=alice\nREMOTE_USER=alice\n"
    );
    // No client may say what this server says elsewhere.
    let open = told("/open/tell", &lines);
    assert!(
        open.starts_with("HTTP_AUTHORIZATION=Basic ") && !open.contains("eve"),
        "{open}"
    );
    get(&server, "/proxy", &lines);
    get(&server, "/without", &lines);
    let heads: Vec<String> = upstream
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.head).to_lowercase())
        .collect();
    assert!(heads[0].contains("\r\nremote-user: alice\r\n"), "{heads:?}");
    // As nginx, Apache and HAProxy do.
    assert!(heads[0].contains("\r\nauthorization: basic "), "{heads:?}");
    assert!(
        !heads[1].contains("authorization") && !heads[1].contains("alice"),
        "{heads:?}"
    );
    assert!(!heads.concat().contains("eve"), "{heads:?}");
}

/// A service that lets requests with `Cookie: in` in.
fn service() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.next_request() {
            let head = String::from_utf8_lossy(&request.head).to_lowercase();
            connection.send(if head.contains("\r\ncookie: in\r\n") {
                "HTTP/1.1 200 OK\r\nRemote-User: alice\r\nRemote-Groups: a\r\nremote-groups: b\r\n\
                 Set-Cookie: s=1\r\nX-Other: x\r\nContent-Length: 2\r\n\r\nok"
            } else if head.contains("\r\ncookie: anonymous\r\n") {
                "HTTP/1.1 204 No Content\r\n\r\n"
            } else if head.contains("\r\naccept: text/html\r\n") {
                "HTTP/1.1 302 Found\r\nLocation: https://login.example/?rd=x\r\nSet-Cookie: a=1\r\n\
                 Set-Cookie: b=2\r\nContent-Length: 5\r\n\r\nlogin"
            } else {
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=x\r\nContent-Length: 6\r\n\r\nno way"
            });
        }
    })
}

#[test]
fn a_service_says_who_is_let_in() {
    // The service is told the scheme.
    speak_plainly();
    let service = service();
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\napp");
    let auth = format!(
        "auth = {{ forward = '{}/verify?x=1', copy = ['Remote-User', 'Remote-Groups'] }}",
        service.url()
    );
    let site = Site::new(&format!(
        "'/' = {{ files = 'www', {auth} }}\n'/cgi' = {{ cgi = 'scripts', {auth} }}\n\
         '/app' = {{ proxy = '{}', {auth} }}\n'/open' = {{ cgi = 'scripts', auth = 'none' }}",
        upstream.url()
    ))
    .file("a.txt", "content of a");
    script(site.directory(), "tell", TELL);
    let server = site.log("access = '-'").start();
    let mut client = server.connect();
    let spoofed = "Remote-User: eve\r\nREMOTE_USER: eve\r\nremote-groups: root\r\n";
    let lines = format!("Cookie: in\r\nAuthorization: Bearer t\r\n{spoofed}");
    let response = get_on(&mut client, "/a.txt", &lines);
    assert_eq!(
        (response.status, response.text()),
        (200, "content of a".to_owned())
    );
    assert!(response.field("Set-Cookie").is_none() && response.field("Remote-User").is_none());
    assert_eq!(
        get_on(&mut client, "/cgi/tell", &lines).text(),
        "AUTH_TYPE=forward\nHTTP_AUTHORIZATION=Bearer t\nHTTP_REMOTE_GROUPS=a, b\n\
         HTTP_REMOTE_USER=alice\nREMOTE_USER=alice\n"
    );
    let open = get_on(&mut client, "/open/tell", &lines).text();
    assert_eq!(open, "HTTP_AUTHORIZATION=Bearer t\n");
    let anonymous = format!("Cookie: anonymous\r\n{spoofed}");
    assert_eq!(get_on(&mut client, "/cgi/tell", &anonymous).text(), "");
    let post = format!(
        "POST /app?q=%20 HTTP/1.1\r\nHost: h:81\r\nContent-Length: 5\r\nIf-None-Match: x\r\n\
         Content-Type: a/b\r\nX-Forwarded-Uri: /evil\r\nX-Original-URL: /evil\r\nX_Forwarded_Method: GET\r\n\
         {lines}\r\nhello"
    );
    assert_eq!(client.exchange(post).text(), "app");
    let asked = String::from_utf8_lossy(&service.requests().last().expect("it was asked").head)
        .into_owned();
    assert!(asked.starts_with("GET /verify?x=1 HTTP/1.1\r\n"), "{asked}");
    for line in [
        "X-Forwarded-Method: POST",
        "X-Forwarded-Uri: /app?q=%20",
        "X-Forwarded-Host: h:81",
        "X-Forwarded-Proto: http",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Original-Method: POST",
        "X-Original-URL: http://h:81/app?q=%20",
        "Cookie: in",
        "Authorization: Bearer t",
        &format!("Host: {}", service.address()),
    ] {
        assert!(
            asked.contains(&format!("\r\n{line}\r\n")),
            "{line}: {asked}"
        );
    }
    for word in ["evil", "eve", "root", "ontent-", "If-None", "X_F"] {
        assert!(!asked.contains(word), "{word}: {asked}");
    }
    // The service is asked about the path that the application would be asked for.
    let climbing = "/open/%2e%2e/app/./x?q=/../";
    let at_service = || service.requests().last().map(|it| it.head.clone());
    assert_eq!(get_on(&mut client, climbing, "Cookie: in\r\n").status, 200);
    let asked = String::from_utf8(at_service().expect("it was asked")).expect("text");
    assert!(
        asked.contains("\r\nX-Forwarded-Uri: /app/x?q=/../\r\n"),
        "{asked}"
    );
    let requests = upstream.requests();
    let passed = requests[..requests.len() - 1]
        .last()
        .expect("the application was asked");
    let head = String::from_utf8_lossy(&passed.head).into_owned();
    assert!(
        head.contains("Remote-User: alice\r\n")
            && head.contains("Remote-Groups: a\r\nRemote-Groups: b\r\n"),
        "{head}"
    );
    assert!(
        !head.contains("eve") && !head.contains("X-Other") && passed.content == b"hello",
        "{head}"
    );
    let record = server.wait_for_record(|line| line.contains("POST /app"));
    assert!(record.contains(" - alice ["), "{record}");
}

#[test]
fn what_the_service_answers_otherwise_goes_to_the_client() {
    let service = service();
    let upstream = Upstream::listen();
    let server = Site::new(&format!(
        "'/' = {{ proxy = '{}', auth = {{ forward = 'auth/verify', copy = 'Remote-User' }} }}\n\
         [upstreams.auth]\nservers = ['{}']",
        upstream.url(),
        service.address()
    ))
    .start();
    let mut client = server.connect();
    let login = get_on(&mut client, "/", "Accept: text/html\r\n");
    assert_eq!((login.status, login.text()), (302, "login".to_owned()));
    assert_eq!(login.field("Location"), Some("https://login.example/?rd=x"));
    let cookies = login.fields.iter().filter(|(name, _)| name == "Set-Cookie");
    assert_eq!(cookies.count(), 2);
    let refused = get_on(&mut client, "/", "Remote-User: alice\r\n");
    assert_eq!((refused.status, refused.text()), (401, "no way".to_owned()));
    assert_eq!(refused.field("WWW-Authenticate"), Some("Bearer realm=x"));
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n");
    assert_eq!(client.response_to_head().status, 302);
    let expecting =
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(client.exchange(expecting).status, 401);
    upstream.expect_no_connection();
    let asked = String::from_utf8_lossy(&service.requests()[0].head).into_owned();
    assert!(asked.starts_with("GET /verify HTTP/1.1\r\n"), "{asked}");
}

#[test]
fn a_service_that_is_down_or_slow_or_speaks_no_http_lets_nobody_in() {
    let mut down = Upstream::listen();
    down.close();
    let silent = Upstream::start(|connection| while connection.next_request().is_some() {});
    let nonsense = Upstream::answering("200 OK\r\n\r\n");
    let cut = Upstream::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nRemote-User: alice\r\n");
    });
    let failing = Upstream::answering("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    let route = |name: &str, upstream: &Upstream, timeout: &str| {
        let url = upstream.url();
        format!(
            "'/{name}' = {{ files = 'www', auth = {{ forward = '{url}', timeout = '{timeout}' }} }}\n"
        )
    };
    let routes = [
        route("down", &down, "1m"),
        route("silent", &silent, "100ms"),
        route("nonsense", &nonsense, "1m"),
        route("cut", &cut, "1m"),
        route("failing", &failing, "1m"),
    ];
    let server = Site::new(&routes.concat())
        .file("a.txt", "content of a")
        .start();
    for (name, status) in [
        ("down", 502),
        ("silent", 504),
        ("nonsense", 502),
        ("cut", 502),
        ("failing", 500),
    ] {
        let response = get(&server, &format!("/{name}/a.txt"), "");
        assert_eq!(response.status, status, "{name}");
        assert!(!response.text().contains("content of a"));
    }
    server.wait_for_line(|line| line.contains("`auth` by http://"));
}

#[test]
fn a_client_that_goes_takes_its_question_with_it() {
    let service = Upstream::listen();
    let server = Site::new(&format!(
        "'/' = {{ files = 'www', auth = {{ forward = '{}' }} }}",
        service.url()
    ))
    .log("access = '-'")
    .start();
    let mut client = server.connect();
    client.send("GET /gone HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut asked = service.accept();
    asked.request();
    drop(client);
    assert!(asked.next_request().is_none(), "the connection has ended");
    server.wait_for_record(|line| line.contains("GET /gone") && line.contains(" 499 "));
}

#[test]
fn a_local_redirect_is_asked_about_once() {
    let service = service();
    let auth = format!(
        "auth = {{ forward = '{}', copy = 'Remote-User' }}",
        service.url()
    );
    let site = Site::new(&format!(
        "'/cgi' = {{ cgi = 'scripts', {auth} }}\n'/same' = {{ files = 'www', strip_prefix = true, {auth} }}\n\
         '/other' = {{ files = 'www', strip_prefix = true, {CLOSED} }}\n'/open' = {{ files = 'www', strip_prefix = true }}\n\
         '/from' = {{ cgi = 'scripts' }}"
    ))
    .file("a.txt", "content of a");
    site.directory().write("users", ALICE);
    for name in ["same", "other", "open"] {
        script(
            site.directory(),
            name,
            &format!("echo 'Location: /{name}/a.txt'\necho\n"),
        );
    }
    let server = site.log("access = '-'").start();
    let mut client = server.connect();
    for (target, lines, status, questions) in [
        ("/cgi/same", "Cookie: in\r\n", 200, 1),
        ("/cgi/open", "Cookie: in\r\n", 200, 1),
        ("/cgi/other", "Cookie: in\r\n", 401, 1),
        ("/from/same", "", 401, 1),
        ("/from/same", "Cookie: in\r\n", 200, 1),
        ("/from/other", "", 401, 0),
        ("/from/other", &credentials("alice:sesame"), 200, 0),
        ("/from/open", "", 200, 0),
    ] {
        let before = service.requests().len();
        assert_eq!(
            get_on(&mut client, target, lines).status,
            status,
            "{target} {lines}"
        );
        assert_eq!(
            service.requests().len() - before,
            questions,
            "{target} {lines}"
        );
    }
    let record =
        server.wait_for_record(|line| line.contains("/from/other") && line.contains(" 200 "));
    assert!(record.contains(" - alice ["), "{record}");
}

#[test]
fn explain_and_tests_know_who_is_let_in() {
    let site = site(&format!(
        "'/' = {{ files = 'www', {CLOSED} }}\n\
         '/app' = {{ proxy = 'http://127.0.0.1:9', {CLOSED} }}\n\
         '/sso' = {{ files = 'www', auth = {{ forward = 'http://127.0.0.1:9/verify', copy = 'Remote-User' }} }}\n\
         '/open' = {{ files = 'www', strip_prefix = true, auth = 'none' }}\n\
         [[test]]\nrequest = 'GET /a.txt'\nexpect = {{ status = 401 }}\n\
         [[test]]\nrequest = 'GET /a.txt'\nheaders = {{ Authorization = 'Basic YWxpY2U6c2VzYW1l' }}\nexpect = {{ status = 200 }}\n\
         [[test]]\nrequest = 'GET /app'\nexpect = {{ status = 401 }}\n\
         [[test]]\nrequest = 'GET /sso/a.txt'\nexpect = {{ route = '/sso' }}"
    ));
    ended_with(0, &site.command_line(&["check"]));
    let explain = |arguments: &[&str]| {
        let arguments = [&["explain"], arguments].concat();
        let text = ended_with(0, &site.command_line(&arguments));
        assert!(
            !text.contains("sesame") && !text.contains("YWxpY2U6"),
            "{text}"
        );
        text
    };
    let right = "Authorization: Basic YWxpY2U6c2VzYW1l";
    let wrong = "Authorization: Basic YWxpY2U6d3Jvbmc=";
    for (arguments, auth, status) in [
        (&["/a.txt"][..], "2 users in", "401"),
        (&["/a.txt"], "refused: the request has no password", "401"),
        (
            &["/a.txt", "-H", wrong],
            "refused: the request has no password",
            "401",
        ),
        (&["/a.txt", "-H", right], "let in as alice", "200"),
        (&["/app"], "refused", "401"),
        (
            &["/app", "-H", right],
            "let in as alice",
            "up to the upstream",
        ),
        (
            &["/sso/a.txt"],
            "http://127.0.0.1:9/verify would be asked",
            "up to the service",
        ),
        (
            &["/open/a.txt"],
            "none; Remote-User of the client is not passed on",
            "200",
        ),
    ] {
        let text = explain(arguments);
        let row = |name: &str| {
            let mut lines = text.lines();
            let line = lines.find(|line| line.trim_start().starts_with(name));
            line.unwrap_or_default().to_owned()
        };
        assert!(row("auth").contains(auth), "{arguments:?}: {text}");
        assert!(row("status").contains(status), "{arguments:?}: {text}");
    }
}

#[test]
fn a_line_is_made_that_lets_in() {
    let site = site(&format!("'/' = {{ files = 'www', {CLOSED} }}"));
    let make = |arguments: &[&str], input: &str| {
        use std::io::Write as _;
        use std::process::Stdio;
        let arguments = [&["hash-password"], arguments].concat();
        let mut command = site.command_for(&arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program is there");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that refuses its arguments reads nothing.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("it ends")
    };
    let mut lines = String::new();
    for (arguments, start) in [
        (&["--user", "dora"][..], "dora:$2y$12$"),
        (
            &["--user", "emil", "--algorithm", "argon2id"],
            "emil:$argon2id$v=19$m=19456,t=2,p=1$",
        ),
    ] {
        let output = make(arguments, "open sesame\n");
        let line = String::from_utf8(output.stdout).expect("it is text");
        assert!(line.starts_with(start) && line.ends_with('\n'), "{line}");
        lines.push_str(&line);
    }
    assert!(make(&[], "x\n").stdout.starts_with(b"$2y$12$"));
    for (arguments, input, expected) in [
        (&[][..], "", "the password is empty"),
        (&["--user", "a:b"], "x\n", "has no colon"),
        (&["--user", "#bob"], "x\n", "does not begin with `#`"),
        (&["--user", " bob"], "x\n", "no space before it"),
        (
            &["--user", &"b".repeat(30), "--algorithm", "argon2id"],
            &"x".repeat(1000),
            "no request may carry them",
        ),
        (&["--algorithm", "md5"], "x\n", "argon2id"),
    ] {
        let output = make(arguments, input);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && message.contains(expected),
            "{message}"
        );
    }
    site.directory().write("users", lines);
    let server = site.start();
    for (whole, status) in [
        ("dora:open sesame", 200),
        ("emil:open sesame", 200),
        ("dora:sesame", 401),
        ("emil:", 401),
    ] {
        assert_eq!(
            get(&server, "/a.txt", &credentials(whole)).status,
            status,
            "{whole}"
        );
    }
}
