//! Tests that read whole files, and look at the diagnostics and the checked model.
//!
//! The fixtures are pairs: `NAME.toml`, and in `NAME.txt` the exact text that the operator gets. For a
//! good file the text is empty. `UPDATE_FIXTURES=1 cargo test config` writes the texts anew: read
//! them.

use std::collections::BTreeSet;
use std::env::VarError;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::model::*;
use super::tell::{difference, dump, dump_with_secrets};
use super::{Loaded, Strictness, load, parse};
use crate::address::{ListenAddress, UpstreamAddress};
use crate::api::{Handlers, Request, Response};
use crate::config::tree::surroundings::Surroundings;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::test_support::TemporaryDirectory;

/// Relative, because the diagnostics contain it. Tests run in the package's directory.
pub(super) const FIXTURES: &str = "tests/fixtures/config";

pub(super) fn environment(name: &str) -> Result<String, VarError> {
    match name {
        "WEB_ROOT" => Ok("www".to_owned()),
        _ => Err(VarError::NotPresent),
    }
}

/// A program with one handler, `greet`, which takes a `greeting`.
fn handlers() -> &'static Handlers {
    static HANDLERS: LazyLock<Handlers> = LazyLock::new(|| {
        let mut handlers = Handlers::new();
        handlers.register("greet", |options| {
            options.only(&["greeting"])?;
            let greeting = options.text("greeting")?.unwrap_or("hello").to_owned();
            Ok(move |_: Request| Ok(Response::text(greeting.as_str())))
        });
        handlers
    });
    &HANDLERS
}

pub(super) fn surroundings() -> Surroundings<'static> {
    Surroundings {
        environment: &environment,
        handlers: handlers(),
        look_up: &|name, port| match name {
            "php" => vec![([192, 0, 2, 1], port).into()],
            _ => Vec::new(),
        },
    }
}

fn rendered(path: &Path) -> String {
    let mut checked = load(path, surroundings(), Strictness::Lenient);
    checked.make_handlers(|spec| handlers().make(spec).map(drop));
    match checked.finish() {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(report) => report.to_string(),
    }
}

#[test]
fn fixtures_are_diagnosed_to_the_letter() {
    let entries = std::fs::read_dir(FIXTURES).expect("the fixtures are part of the repository");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let files: BTreeSet<PathBuf> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    assert!(files.len() >= 40, "only {} fixtures", files.len());
    for file in files {
        let (found, expected) = (rendered(&file), file.with_extension("txt"));
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&expected, &found).expect("the fixtures can be written");
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(found, expected, "{}:\n{found}", file.display());
    }
}

fn fixture(name: &str) -> Config {
    load(
        &Path::new(FIXTURES).join(name),
        surroundings(),
        Strictness::Lenient,
    )
    .finish()
    .expect("a good file")
    .config
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = fixture("good_minimal.toml");
    assert_eq!(
        (config.blocking, config.grace),
        (
            Blocking {
                threads: 32,
                queue: 1024
            },
            Duration::from_secs(10)
        )
    );
    assert_eq!(
        (config.log, config.policy.limits),
        (Log::default(), Limits::default())
    );
    assert!(config.server_field && config.workers == Config::default().workers);
    let [server] = config.servers.as_slice() else {
        panic!("one server")
    };
    assert_eq!(
        server.listen,
        ["127.0.0.1:8080", "[::1]:8080"]
            .map(|address| ListenAddress::Ip(address.parse().expect("an address")))
    );
    assert!(server.hosts.is_empty());
    let [
        Route {
            verb: Verb::Files(files),
            place,
            ..
        },
    ] = server.routes.as_slice()
    else {
        panic!("one route")
    };
    assert_eq!(*files, Files::beneath(Path::new(FIXTURES).join("www")));
    assert_eq!((place.line, place.column), (5, 1));
}

#[test]
fn every_setting_arrives() {
    let config = fixture("good_everything.toml");
    assert_eq!(
        (config.workers.get(), config.blocking),
        (
            4,
            Blocking {
                threads: 8,
                queue: 64
            }
        )
    );
    assert_eq!(
        (config.grace, config.server_field),
        (Duration::from_secs(90), false)
    );
    let file = LogDestination::File(Path::new(FIXTURES).join("logs/access.log"));
    assert_eq!(
        config.log,
        Log {
            access: vec![AccessLog::at(file)],
            format: LogFormat::Json,
            level: LogLevel::Debug,
            ..Log::default()
        }
    );
    let limits = Limits {
        handshake_timeout: Duration::from_secs(7),
        head_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(120),
        body_timeout: Duration::from_millis(500),
        send_timeout: Duration::from_secs(3600),
        max_head: 32 * 1024,
        max_fields: 50,
        max_content: 1024 * 1024,
        max_connections: 500,
        connections_per_client: Some(20),
        max_rate_out: NonZeroU64::new(2 << 20),
    };
    assert_eq!(config.policy.limits, limits);
    let hosts = [
        HostPattern::Exact("example.com".into()),
        HostPattern::Below(".example.com".into()),
    ];
    assert_eq!(config.servers[0].hosts, hosts);
    assert_eq!(config.servers[1].routes.len(), 1);
}

#[test]
fn every_setting_of_a_rate_arrives() {
    let config = fixture("good_everything.toml");
    let [api, login] = config.rates.as_slice() else {
        panic!("two rates: {:?}", config.rates)
    };
    let bucket = Bucket {
        requests: 10,
        period: Duration::from_secs(60),
        burst: 5,
        keys: vec![
            RateKey::Client,
            RateKey::Path,
            RateKey::Host,
            RateKey::Header("X-Api-Key".to_owned()),
            RateKey::Cookie("session".to_owned()),
        ],
        max_keys: 1000,
    };
    let expected = Rate {
        name: "login".to_owned(),
        bucket,
        max_delay: Duration::from_secs(30),
        dry_run: true,
    };
    assert_eq!(*login, expected);
    let defaults = (api.bucket.burst, &*api.bucket.keys, api.max_delay.as_secs());
    assert_eq!(defaults, (5, &[RateKey::Client][..], 10));
    let server = &config.servers[0];
    let of_route = |pattern: &str| {
        let mut routes = server.routes.iter();
        let route = routes.find(|route| route.pattern.to_string() == pattern);
        route.expect("it is there").policy.rates.clone()
    };
    assert_eq!(of_route("/"), ["api"], "inherited");
    assert_eq!(of_route("/shop"), ["login", "api"]);
    assert!(of_route("/store").is_empty());
}

#[test]
fn every_verb_arrives_in_the_order_of_the_file() {
    let config = fixture("good_everything.toml");
    let verbs: Vec<&Verb> = config.servers[0]
        .routes
        .iter()
        .map(|route| &route.verb)
        .collect();
    let [
        Verb::Files(root),
        Verb::Files(app),
        Verb::Files(assets),
        Verb::Respond(health),
        Verb::Respond(user),
        Verb::Redirect(old),
        Verb::Redirect(older),
        Verb::Echo,
        Verb::Fastcgi(blog),
        Verb::Fastcgi(program),
        Verb::Cgi(cgit),
        Verb::Metrics,
        Verb::Live,
        Verb::Dashboard,
        Verb::Ready(ready),
        Verb::Ready(_),
        Verb::Proxy(_),
        Verb::Proxy(_),
        Verb::Proxy(_),
        Verb::Proxy(_),
        Verb::Fastcgi(wiki),
    ] = verbs.as_slice()
    else {
        panic!("{verbs:?}")
    };
    assert_eq!(ready.upstreams, ["http://127.0.0.1:8000"]);
    assert!(blog.peer == UpstreamAddress::Ip(([127, 0, 0, 1], 9000).into()));
    assert!(wiki.peer == UpstreamAddress::Localhost { port: 9000 });
    assert!(blog.sendfile && !blog.static_files);
    let style = blog.files();
    let fresh = |path: &[u8]| style.cache_control_of(path, "text/css");
    assert_eq!(fresh(b"a/b.css"), Some("max-age=31536000"));
    assert_eq!(fresh(b"z/b.css"), Some("no-store"));
    assert!(blog.root.is_absolute() && blog.scripts == [".php", ".phtml", ".html"]);
    assert_eq!(blog.timeout, Duration::from_secs(5));
    assert_eq!(blog.send_files[0].url.as_deref(), Some("/protected"));
    let found = "192.0.2.1:9000".parse().expect("an address");
    let php = UpstreamAddress::Name {
        name: "php".to_owned(),
        port: 9000,
        found: vec![found],
    };
    assert!(program.peer == php && program.script.as_deref() == Some("app.fcgi"));
    assert!(program.send_files[0].path.ends_with("www") && program.send_files[0].url.is_none());
    assert!(cgit.root.is_absolute() && cgit.script.as_deref() == Some("hello.sh"));
    let params = [("APP_ENV".to_owned(), "production".to_owned())];
    assert_eq!(blog.params, params);
    assert_eq!(wiki.fallback.as_deref(), Some("index.html"));
    assert!(wiki.static_files && wiki.index == ["index.php"]);
    assert!(root.listing && root.index == ["index.html", "index.htm"] && root.revalidate.is_zero());
    assert!(root.root.ends_with("www") && app.spa && app.clean_urls && !app.precompressed);
    assert!(config.servers[0].routes[1].strip_prefix && !config.servers[0].routes[0].strip_prefix);
    let patterns: Vec<&str> = assets
        .cache_control
        .iter()
        .map(|entry| entry.pattern.as_str())
        .collect();
    assert_eq!(patterns, ["z/**", "*.css"]);
    let types: Vec<_> = assets.types.iter().collect();
    let (geojson, others) = (("geojson", "application/json"), ("*", "text/plain"));
    assert_eq!(types, [others, geojson, ("tar.gz", "application/gzip")]);
    assert_eq!(blog.types, root.types);
    assert_eq!(root.types.charset.as_deref(), Some("koi8-r"));
    assert_eq!(assets.types.charset, None);
    assert_eq!(
        (&*health.content.written, &*health.content_type),
        ("ok\n", "text/plain; charset=utf-8")
    );
    assert_eq!(
        (&*user.content.written, user.status, &*user.content_type),
        ("<p>$5</p>", Status::CREATED, "text/html; charset=utf-8")
    );
    assert_eq!(
        (old.status, older.status),
        (Status::PERMANENT_REDIRECT, Status::MOVED_PERMANENTLY)
    );
}

#[test]
fn every_option_of_a_proxy_arrives() {
    let config = fixture("good_everything.toml");
    let routes = &config.servers[0].routes;
    let proxies = routes.iter().filter_map(|route| match &route.verb {
        Verb::Proxy(proxy) => Some((proxy, route.strip_prefix)),
        _ => None,
    });
    let proxies: Vec<_> = proxies.collect();
    let [(api, false), (by_id, true), ..] = proxies.as_slice() else {
        panic!("{proxies:?}")
    };
    let text = |text: &str| text.to_owned();
    let expected = Proxy {
        host: HostField::Set(text("api.example:8080")),
        request_headers: HeaderChanges {
            set: vec![(text("X-A"), RequestText::plain("1"))],
            add: vec![
                (text("X-B"), RequestText::plain("1")),
                (text("X-B"), RequestText::plain("2")),
            ],
            remove: vec![text("X-C")],
        },
        buffer: false,
        timeout: Some(Duration::from_secs(300)),
        upgrade: vec![text("websocket"), text("mqtt")],
        tunnel_timeout: Duration::from_secs(600),
        tunnel_grace: Duration::from_secs(1),
        proxy_status: true,
        ..Proxy::to(text("http://127.0.0.1:8000"))
    };
    assert_eq!(**api, expected);
    let rewritten = routes.iter().find_map(|route| route.rewrite.as_ref());
    let expected = RequestText {
        written: text("/v2{rest}?k=1"),
        parts: vec![
            TextPart::Text(text("/v2")),
            TextPart::Variable(Variable::Rest),
            TextPart::Text(text("?k=1")),
        ],
    };
    assert_eq!(rewritten, Some(&expected));
    let expected = Proxy {
        host: HostField::Upstream,
        strip_prefix: true,
        upgrade: Vec::new(),
        ..Proxy::to(text("http://localhost:8000"))
    };
    assert_eq!(**by_id, expected);
}

#[test]
fn every_setting_of_an_app_arrives() {
    let config = without_places(fixture("good_apps.toml"));
    let [app, port] = config.apps.as_slice() else {
        panic!("two apps: {:?}", config.apps)
    };
    assert_eq!((app.name(), port.name()), ("app", "port"));
    let upstreams: Vec<_> = config.apps.iter().map(|app| &app.upstream).collect();
    assert!(config.upstreams.iter().eq(upstreams));
    assert!(app.upstream.is_app() && !app.upstream.is_named());
    let filled = |app: &App| -> Vec<String> {
        let words = app.process.command.iter();
        let values = app.process.environment.iter().map(|(_, value)| value);
        words.chain(values).map(|word| word.fill("OWN")).collect()
    };
    let expected = [
        "sh",
        "-c",
        "exec serve unix:OWN $HOME",
        "www",
        "production",
        "$OWN",
    ];
    assert_eq!(filled(app), expected);
    assert_eq!(filled(port), ["scripts/hello.sh", "OWN"]);
    assert!(app.process.directory.is_absolute() && app.process.directory.ends_with("www"));
    let user = app.process.user.as_ref().map(|user| user.number);
    assert_eq!((user, app.process.endpoint), (Some(0), Endpoint::Socket));
    assert_eq!((port.process.endpoint, port.instances), (Endpoint::Port, 1));
    assert_eq!(
        (app.instances, app.ready.as_deref()),
        (3, Some("/healthz?full"))
    );
    assert_eq!(app.ready_host, "app.example");
    let times = (app.ready_timeout.as_secs(), app.stop_timeout.as_secs());
    assert_eq!(times, (5, 3));
    assert_eq!(app.upstream.balance, Balance::LeastConnections);
    assert_eq!(app.upstream.timeouts.head, Duration::from_secs(2));
    assert_eq!(
        (app.upstream.retry.tries, app.upstream.failures.max),
        (1, 1)
    );
}

#[test]
fn every_setting_of_an_upstream_arrives() {
    let upstreams = without_places(fixture("good_everything.toml")).upstreams;
    let names: Vec<&str> = upstreams.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(
        names,
        [
            "shop",
            "store",
            "http://127.0.0.1:4181",
            "http://127.0.0.1:8000",
            "http://localhost:8000"
        ]
    );
    let ip = |text: &str| UpstreamAddress::Ip(text.parse().expect("an address"));
    let server = UpstreamServer::at;
    let php = UpstreamAddress::Name {
        name: "php".to_owned(),
        port: 8000,
        found: vec!["192.0.2.1:8000".parse().expect("an address")],
    };
    let socket = UpstreamAddress::Unix(Path::new(FIXTURES).join("www/index.html"));
    let expected = Upstream {
        servers: vec![
            server(ip("127.0.0.1:8000")),
            UpstreamServer {
                weight: 2,
                max_connections: Some(100),
                ..server(php)
            },
            UpstreamServer {
                backup: true,
                ..server(socket)
            },
        ],
        balance: Balance::Hash(HashKey::Cookie("session".into())),
        sticky: Some(Sticky {
            cookie: "shop".into(),
            secret: Some("0123456789abcdef".into()),
        }),
        failures: Failures {
            max: 5,
            within: Duration::from_secs(20),
            pause: Duration::from_secs(1),
        },
        health: Some(HealthCheck {
            path: "/healthz?full".into(),
            host: Some("shop.example".into()),
            every: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            status: [(200, 299), (404, 404)]
                .map(|(first, last)| StatusRange { first, last })
                .into(),
            rises: 1,
            falls: 1,
        }),
        timeouts: UpstreamTimeouts {
            connect: Duration::from_secs(1),
            head: Duration::from_secs(2),
            read: Duration::from_secs(3),
        },
        retry: Retry {
            tries: 2,
            within: Duration::from_secs(4),
            statuses: vec![502, 503],
        },
        resolve: Duration::from_secs(60),
        ..upstreams[0].clone()
    };
    assert_eq!(upstreams[0], expected);
    let store = &upstreams[1];
    assert_eq!(store.servers, [server(ip("[::1]:80"))]);
    assert_eq!(store.balance, Balance::LeastConnections);
    let sticky = store.sticky.as_ref().map(|sticky| &*sticky.cookie);
    assert_eq!(sticky, Some("tidegate-store"));
    let timeout = store.health.as_ref().map(|health| health.timeout);
    assert_eq!(timeout, Some(Duration::from_secs(1)));
    let plain = Upstream::of(
        upstreams[3].name.clone(),
        vec![server(ip("127.0.0.1:8000"))],
        store.place.clone(),
    );
    assert_eq!(upstreams[3], plain);
}

#[test]
fn says_why_a_file_cannot_be_read() {
    let cases = [
        (
            "none.toml",
            "error: there is no configuration file `tests/fixtures/config/none.toml`",
        ),
        (
            "www",
            "error: `tests/fixtures/config/www` is a directory, not a configuration file",
        ),
    ];
    for (name, expected) in cases {
        let text = rendered(&Path::new(FIXTURES).join(name));
        assert!(
            text.starts_with(expected) && text.contains("\n\n1 error in "),
            "{text}"
        );
    }
}

#[test]
fn takes_windows_line_ends_and_a_byte_order_mark() {
    let text = "\u{feff}[[server]]\r\nlisten = \"localhost:80\"\r\nx = 1\r\n";
    let report = parse(text, Path::new("a.toml"), surroundings())
        .finish()
        .expect_err("an unknown key")
        .to_string();
    assert!(
        report.contains(" a.toml:3:1\n") && report.contains("3 | x = 1\n"),
        "{report}"
    );
    assert!(
        !report.contains('\r') && report.ends_with("1 error and 1 warning in a.toml\n"),
        "{report}"
    );
}

/// The mark counted as a column of the first line, and editors that asked `check --json` marked the character
/// behind the one at fault.
#[test]
fn a_byte_order_mark_is_no_column() {
    let directory = TemporaryDirectory::new("mark");
    let main = directory.path().join("a.toml");
    for (mark, include) in [("\u{feff}", ""), ("", "\u{feff}"), ("\u{feff}", "\u{feff}")] {
        directory.write(
            "a.toml",
            format!("{mark}x = 1\ninclude = 'b.toml'\n").as_bytes(),
        );
        directory.write("b.toml", format!("{include}y = 1\n").as_bytes());
        let report = rendered(&main);
        assert!(
            report.contains("a.toml:1:1\n") && report.contains("b.toml:1:1\n"),
            "{report}"
        );
        assert!(!report.contains('\u{feff}'), "{report}");
    }
    // The place of the octet at fault is in the text without the mark.
    directory.write("a.toml", b"\xef\xbb\xbfx = '\xff'\n");
    let report = rendered(&main);
    assert!(
        report.contains("a.toml:1:6\n") && report.contains("0xff"),
        "{report}"
    );
}

/// A link in the sites that leads nowhere was left out, and a reload took its site down.
#[test]
fn a_link_that_an_include_matches_leads_to_a_file() {
    let server = "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = 'a' }\n";
    for (link, entry) in [
        ("sites/a.toml", "sites/*.toml"),
        ("sites/a.toml", "sites/a.toml"),
        ("sites/a", "sites/*/site.toml"),
        ("sites/a", "sites/*/*.toml"),
    ] {
        let directory = TemporaryDirectory::new("link");
        let main = directory.path().join("main.toml");
        directory.write(
            "main.toml",
            format!("include = '{entry}'\n{server}").as_bytes(),
        );
        directory.write("sites/README", b"");
        let link = directory.path().join(link);
        std::os::unix::fs::symlink("gone/here", &link).expect("the directory is ours");
        let report = rendered(&main);
        for words in [
            "main.toml:1:11",
            "leads to `gone/here`",
            "remove the link",
            &format!("`{}`", link.display()),
        ] {
            assert!(report.contains(words), "{entry}: {words} in {report}");
        }
        assert!(report.contains("1 error in"), "{entry}: {report}");
    }
}

/// `*.inc` was beside the file in a directory without a name, of which there is none.
#[test]
fn an_include_that_matches_nothing_beside_the_file_is_good() {
    let report = |entry: &str| {
        let text = format!(
            "include = '{entry}'\n[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = 'a' }}\n"
        );
        let checked = parse(text, Path::new("a.toml"), surroundings());
        checked.finish().expect(entry).warnings.to_string()
    };
    for entry in ["*.inc", "./*.inc", "src/*.inc", "./src/../*.inc"] {
        assert_eq!(report(entry), "", "{entry}");
    }
    let warning = report("gone/*.inc");
    assert!(
        warning.contains("there is no directory `gone`"),
        "{warning}"
    );
}

#[test]
fn no_damage_to_a_file_stops_the_diagnosis() {
    let name = Path::new(FIXTURES).join("good_everything.toml");
    let text = std::fs::read_to_string(&name).expect("a fixture");
    for (at, c) in text.char_indices() {
        let without = [&text[..at], &text[at + c.len_utf8()..]].concat();
        for damaged in [
            text[..at].to_owned(),
            without,
            [&text[..at], "\u{e9}", &text[at..]].concat(),
        ] {
            if let Err(report) = parse(damaged, &name, surroundings()).finish() {
                assert!(report.to_string().contains("error: "));
            }
        }
    }
}

#[test]
fn a_directory_is_served_without_a_file() {
    let listen = vec![SocketAddr::from(([127, 0, 0, 1], 8080))];
    let config = Config::for_directory("site".into(), listen.clone(), true, false);
    let listening = config.servers[0].listen.iter();
    assert!(listening.filter_map(ListenAddress::ip).eq(listen));
    let Verb::Files(files) = &config.servers[0].routes[0].verb else {
        panic!("files")
    };
    assert!(
        files.listing
            && !files.spa
            && files.revalidate.is_zero()
            && files.root == Path::new("site")
    );
}

#[test]
fn limits_are_inherited() {
    let (top, server, routes) = policies();
    assert_eq!(
        (top.limits.max_content, top.limits.max_head),
        (1000, 16 << 10)
    );
    assert_eq!(
        (server.limits.max_content, server.limits.max_head),
        (1000, 8 << 10)
    );
    assert_eq!(routes[0].limits, server.limits);
    let upload = Limits {
        max_content: 1 << 30,
        body_timeout: Duration::from_secs(300),
        ..server.limits
    };
    assert_eq!(routes[1].limits, upload);
}

#[test]
fn error_pages_are_inherited() {
    let (_, server, routes) = policies();
    let page = |policy: &Policy, status| {
        let page = policy.error_pages.find(status)?.strip_prefix(FIXTURES);
        Some(page.expect("a fixture").display().to_string())
    };
    let (plain, own) = (Some("www/index.html".into()), Some("www/oops.html".into()));
    assert_eq!(page(&server, Status::NOT_FOUND), plain);
    assert_eq!(page(&routes[1], Status::NOT_FOUND), own);
    assert_eq!(page(&routes[1], Status::FORBIDDEN), None);
    assert_eq!(page(&routes[1], Status::BAD_GATEWAY), own);
}

#[test]
fn access_is_inherited_kind_by_kind() {
    let (top, server, routes) = policies();
    let shown = |networks: &[Cidr]| {
        let shown: Vec<String> = networks.iter().map(Cidr::to_string).collect();
        shown.join(" ")
    };
    assert_eq!(top.access, Access::default());
    assert_eq!(shown(&server.access.allow), "10.0.0.0/8 ::1");
    assert_eq!(shown(&server.access.deny), "10.0.0.66");
    assert_eq!(routes[0].access, server.access);
    assert_eq!(shown(&routes[1].access.allow), "0.0.0.0/0 ::/0");
    assert_eq!(routes[1].access.deny, []);
    assert_eq!(
        shown(&fixture("good_policy.toml").proxies.trusted),
        "127.0.0.1"
    );
}

#[test]
fn whether_a_certificate_is_needed_is_inherited() {
    let config = fixture("good_tls.toml");
    let needs = |server: &Server| {
        let of_route = |route: &Route| route.policy.needs_certificate;
        let routes: Vec<bool> = server.routes.iter().map(of_route).collect();
        (server.policy.needs_certificate, routes)
    };
    let needs: Vec<_> = config.servers.iter().map(needs).collect();
    assert_eq!(
        needs,
        [
            (false, vec![false; 3]),
            // The companion that leads to it.
            (false, vec![false]),
            (true, vec![true, false, true]),
        ]
    );
    let Verb::Proxy(proxy) = &config.servers[2].routes[2].verb else {
        panic!("the third is a proxy")
    };
    let facts = proxy.client_certificate.iter();
    let facts: Vec<String> = facts
        .map(|(name, fact)| format!("{name} {fact:?}"))
        .collect();
    assert_eq!(facts[0], "X-Client-Verified Verified");
    assert_eq!(facts[6], "Client-Cert-Chain Chain");
}

#[test]
fn included_files_are_read_in_order_and_relative_to_themselves() {
    let main = Path::new(FIXTURES).join("good_include.toml");
    let checked = load(&main, surroundings(), Strictness::Lenient);
    let relative = |path: &Path| path.strip_prefix(FIXTURES).expect("a fixture").to_owned();
    let read = checked.inputs().read.iter();
    let files: Vec<PathBuf> = read.map(|source| relative(&source.path)).collect();
    let loaded = checked.finish().expect("a good file");
    let expected = [
        "good_include.toml",
        "sites/a.toml",
        "sites/b.toml",
        "sites/deep/c.toml",
    ];
    assert_eq!(files, expected.map(PathBuf::from));
    let roots = loaded.config.servers.iter().map(|server| {
        let route = &server.routes[0];
        assert_eq!(route.policy.headers.set.len(), 1);
        match &route.verb {
            Verb::Files(files) => relative(&files.root),
            verb => panic!("{verb:?}"),
        }
    });
    let expected = [
        "www",
        "sites/../www",
        "sites/../www",
        "sites/deep/../../www",
    ];
    assert!(roots.eq(expected.map(PathBuf::from)));
}

#[test]
fn strictness_refuses_what_is_doubtful() {
    for (name, is_taken) in [("shadowed_route.toml", false), ("good_minimal.toml", true)] {
        let path = Path::new(FIXTURES).join(name);
        assert!(
            load(&path, surroundings(), Strictness::Lenient)
                .finish()
                .is_ok()
        );
        match load(&path, surroundings(), Strictness::Strict).finish() {
            Ok(_) => assert!(is_taken, "{name}"),
            Err(report) => assert!(!is_taken && !report.to_string().contains("warning")),
        }
    }
}

#[test]
fn tests_of_routes_arrive() {
    let config = fixture("good_tests.toml");
    let [first, second] = config.tests.as_slice() else {
        panic!("two tests: {:?}", config.tests)
    };
    assert_eq!(
        (first.method, first.target.as_str()),
        (Method::Get, "/api?q=1")
    );
    assert_eq!(first.host.as_deref(), Some("example.com:8080"));
    assert_eq!(
        first.fields,
        [("Accept".to_owned(), "text/html".to_owned())]
    );
    assert_eq!(first.expect.status, Some(Status::OK));
    assert_eq!(
        first.expect.route.as_ref(),
        Some(&config.servers[0].routes[1].pattern)
    );
    let fields = [("Cache-Control", Some("no-store")), ("Server", None)];
    let owned = fields.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
    assert_eq!(first.expect.fields, owned);
    assert_eq!(
        (second.place.line, second.expect.route.is_none()),
        (14, true)
    );
    assert!(!first.has_certificate && second.has_certificate);
}

/// The good fixtures and the `config.toml` of the repository, loaded by absolute paths, without the
/// places of their routes and tests.
pub(super) fn good_configurations() -> Vec<(PathBuf, Config)> {
    let entries = std::fs::read_dir(FIXTURES).expect("the fixtures are part of the repository");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let is_good = |path: &PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy();
        name.starts_with("good_") && name.ends_with(".toml")
    };
    let paths = paths.filter(is_good).chain([PathBuf::from("config.toml")]);
    let load = |path: PathBuf| {
        let path = std::path::absolute(path).expect("there is a working directory");
        let loaded = load(&path, surroundings(), Strictness::Lenient)
            .finish()
            .expect("a good file");
        (path, without_places(loaded.config))
    };
    paths.map(load).collect()
}

fn without_places(mut config: Config) -> Config {
    let nowhere = Place {
        file: Arc::new(PathBuf::new()),
        line: 0,
        column: 0,
    };
    let routes = config
        .servers
        .iter_mut()
        .flat_map(|server| &mut server.routes);
    routes.for_each(|route| route.place = nowhere.clone());
    let upstreams = config.upstreams.iter_mut();
    upstreams.for_each(|upstream| upstream.place = nowhere.clone());
    let apps = config.apps.iter_mut();
    apps.for_each(|app| app.upstream.place = nowhere.clone());
    let tests = config.tests.iter_mut();
    tests.for_each(|test| test.place = nowhere.clone());
    config
}

#[test]
fn a_dump_reads_back_to_the_same_configuration() {
    let configurations = good_configurations();
    assert!(configurations.len() >= 6);
    for (path, config) in configurations {
        let text = dump_with_secrets(&config);
        // In the same directory: paths in a handler's options are not made absolute.
        let beside = path.with_file_name("dump.toml");
        let read = parse(text.as_str(), &beside, surroundings()).finish();
        let read = without_places(read.unwrap_or_else(|report| panic!("{report}")).config);
        assert_eq!(read, config, "{}:\n{text}", path.display());
        assert_eq!(dump_with_secrets(&read), text);
    }
}

/// Wherever the command runs, and however it is told the file, the paths of a dump are absolute.
#[test]
fn a_dump_does_not_depend_on_the_working_directory() {
    for (path, config) in good_configurations() {
        let here = std::env::current_dir().expect("there is a working directory");
        let relative = path.strip_prefix(here).expect("a file of the package");
        let read = load(relative, surroundings(), Strictness::Lenient).finish();
        let read = read.unwrap_or_else(|report| panic!("{report}")).config;
        let (found, expected) = (dump_with_secrets(&read), dump_with_secrets(&config));
        assert_eq!(found, expected, "{}", relative.display());
    }
}

/// A dump is sent to others, with a report of a fault for instance.
#[test]
fn a_dump_shows_no_secret() {
    let text = |secret: &str| {
        format!(
            r#"
[acme]
contact = ["mailto:a@example.com"]
agree = true
external_account = {{ key_id = "kid", hmac_key = "{secret}" }}
[tracing]
endpoint = "http://127.0.0.1:4318"
headers = {{ Authorization = "Bearer {secret}" }}
[[server]]
listen = "127.0.0.1:1"
[server.routes]
"/" = {{ proxy = "u", request_headers = {{ set = {{ X-Key = "{secret}", X-Path = "{{path}}" }}, add.X-Two = "a{secret}" }} }}
"/f" = {{ fastcgi = "127.0.0.1:9000", root = "/", params = {{ PARAM = "{secret}" }} }}
[upstreams.u]
servers = ["127.0.0.1:2"]
sticky = {{ cookie = "a", secret = "{secret}" }}
[apps.a]
command = ["/bin/sh"]
environment = {{ VARIABLE = "{secret}$$", BIND = "{secret}:${{PORT}}" }}
[[test]]
request = "GET /"
headers = {{ Authorization = "Bearer {secret}", Accept = "*/*" }}
expect = {{ proxy = "u" }}
"#
        )
    };
    let read = |secret| {
        let checked = parse(text(secret).as_str(), Path::new("a.toml"), surroundings());
        checked
            .finish()
            .unwrap_or_else(|report| panic!("{report}"))
            .config
    };
    let (old, new) = (read("c2VjcmV0LW9mLW91cnM"), read("YW5vdGhlci1vZi1vdXJz"));
    let dumped = dump(&old);
    assert!(!dumped.contains("c2VjcmV0"), "{dumped}");
    for shown in [
        "hmac_key = \"[redacted]\"",
        "X-Key = \"[redacted]\", X-Path = \"{path}\"",
        "X-Two = [\"[redacted]\"]",
        "PARAM = \"[redacted]\"",
        "cookie = \"a\", secret = \"[redacted]\"",
        "VARIABLE = \"[redacted]\", BIND = \"[redacted]${PORT}\"",
        "Authorization = \"[redacted]\", Accept = \"*/*\"",
    ] {
        assert!(dumped.contains(shown), "{shown} in\n{dumped}");
    }
    // A reload tells of the change all the same.
    let changes: Vec<String> = difference(&old, &new)
        .iter()
        .map(ToString::to_string)
        .collect();
    for change in [
        "acme.external_account changed",
        "tracing.headers changed",
        "route /: request_headers changed",
        "route /f: params changed",
        "upstream u: sticky changed",
        "app a: environment changed",
    ] {
        assert!(
            changes.iter().any(|it| it == change),
            "{change} in {changes:?}"
        );
    }
}

/// With port 0 the system chooses the port, and a Unix socket has none.
#[test]
fn the_redirect_to_https_leads_to_a_port_that_the_file_names() {
    for (listen, expected) in [
        ("'127.0.0.1:443'", "https://{host}{path}"),
        (
            "['127.0.0.1:0', '127.0.0.1:8443']",
            "https://{host}:8443{path}",
        ),
        (
            "['unix:/tmp/a', '127.0.0.1:8443']",
            "https://{host}:8443{path}",
        ),
        ("'127.0.0.1:0'", "https://{host}{path}"),
        ("'unix:/tmp/a'", "https://{host}{path}"),
    ] {
        let text = format!(
            "[[server]]\nlisten = {listen}\nhosts = 'localhost'\nhttp_redirect = '127.0.0.1:80'\n\
             tls = {{ certificate = '../tls/localhost.pem', key = '../tls/localhost.key' }}\n\
             routes.'/' = {{ respond = 'a' }}"
        );
        let file = Path::new(FIXTURES).join("redirect.toml");
        let loaded = parse(text, &file, surroundings()).finish();
        let Loaded {
            config, warnings, ..
        } = loaded.unwrap_or_else(|report| panic!("{report}"));
        let Verb::Redirect(redirect) = &config.servers[1].routes[0].verb else {
            panic!("{listen}: the second server leads to the first one");
        };
        assert_eq!(redirect.target.written, expected, "{listen}");
        let names_port = listen.contains("43");
        assert_eq!(warnings.to_string().is_empty(), names_port, "{listen}");
    }
}

/// The policies of `good_policy.toml`: of the top, of the server, and of its routes in order.
fn policies() -> (Policy, Policy, Vec<Policy>) {
    let config = fixture("good_policy.toml");
    let server = &config.servers[0];
    let routes = server.routes.iter().map(|route| route.policy.clone());
    (
        config.policy.clone(),
        server.policy.clone(),
        routes.collect(),
    )
}

#[test]
fn headers_merge_downward() {
    let (top, server, routes) = policies();
    let names = |pairs: &[(String, RequestText)]| {
        let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.join(" ")
    };
    assert_eq!(names(&top.headers.set), "X-Frame-Options X-Top");
    assert_eq!(names(&server.headers.set), "X-Frame-Options X-Top");
    assert_eq!(names(&server.headers.add), "Link Link");
    assert_eq!(routes[0], server);
    let framed = &routes[1].headers;
    assert_eq!(names(&framed.set), "X-Top Link");
    assert_eq!(
        (framed.add.len(), framed.remove.join(" ")),
        (0, "Server x-frame-options".into())
    );
}

#[test]
fn the_innermost_level_that_says_something_of_cors_says_all_of_it() {
    let (top, server, routes) = policies();
    assert_eq!(top.cors, None);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let expected = Cors {
        origins: vec![
            OriginPattern::Exact("https://example.com".into()),
            OriginPattern::Below {
                start: "https://".into(),
                end: ".example.com:8443".into(),
            },
        ],
        methods: texts(&["GET", "HEAD", "POST"]),
        headers: Vec::new(),
        expose: Vec::new(),
        credentials: true,
        max_age: Some(Duration::from_secs(3600)),
    };
    assert_eq!(server.cors, Some(expected));
    assert_eq!(routes[0].cors, server.cors);
    let own = Cors {
        origins: vec![OriginPattern::Any],
        methods: texts(&["GET", "PUT"]),
        headers: texts(&["X-A"]),
        expose: texts(&["ETag"]),
        credentials: false,
        max_age: None,
    };
    assert_eq!((&routes[2].cors, &routes[3].cors), (&Some(own), &None));
}

#[test]
fn compress_is_inherited_whole_and_true_leaves_it_as_it_is() {
    use crate::http::compression::{Compression, TypePattern};
    use crate::http::negotiation::ContentCoding::{Gzip, Zstd};
    let (top, server, routes) = policies();
    assert_eq!(top.compress, None);
    let of_server = Some(Compression {
        min_size: 2048,
        codings: vec![Zstd, Gzip],
        ..Compression::default()
    });
    let of_last = Some(Compression {
        types: vec![
            TypePattern::Under("text/".into()),
            TypePattern::EndingWith("+json".into()),
            TypePattern::Exactly("font/ttf".into()),
        ],
        ..Compression::default()
    });
    let found: Vec<_> = routes.iter().map(|route| &route.compress).collect();
    let inherited = &of_server;
    let default = Some(Compression::default());
    let expected = [
        inherited, inherited, inherited, &None, inherited, &default, &of_last,
    ];
    assert_eq!((&server.compress, &found[..]), (&of_server, &expected[..]));
}
