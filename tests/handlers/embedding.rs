//! Starting, reloading and stopping a server from within the program.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::support::{Client, Directory};
use super::{Embedded, configuration, get, ran_captured};
use tidegate::{Error, Handlers, Request, Response, Server, StartError};

/// Handlers that count how often they were made, and how often each has answered.
fn counting() -> (Handlers, Arc<AtomicU64>) {
    let made = Arc::new(AtomicU64::new(0));
    let mut handlers = Handlers::new();
    let makes = Arc::clone(&made);
    handlers.register("count", move |options| {
        options.only(&["start", "step"])?;
        let start = options
            .get("start")
            .and_then(|start| start.as_integer())
            .unwrap_or(0);
        if start < 0 {
            return Err(tidegate::OptionsError::at("start", "it counts from 0 or more").into());
        }
        makes.fetch_add(1, Ordering::Relaxed);
        let count = AtomicU64::new(start.unsigned_abs());
        Ok(move |_: Request| -> Result<Response, Error> {
            Ok(Response::text(
                count.fetch_add(1, Ordering::Relaxed).to_string(),
            ))
        })
    });
    (handlers, made)
}

#[test]
fn a_reload_keeps_the_instances_whose_options_did_not_change() {
    let (handlers, made) = counting();
    let routes = |start: i64, other: &str| {
        format!(
            "'/a' = {{ handler = 'count' }}\n\
             '/b' = {{ handler = 'count', options = {{ start = {start} }} }}\n{other}"
        )
    };
    let server = Embedded::start(handlers, "", &routes(10, ""));
    let mut client = server.connect();
    let count = |client: &mut Client, target| client.exchange(get(target)).text();
    assert_eq!(
        (count(&mut client, "/a"), count(&mut client, "/b")),
        ("0".into(), "10".into())
    );
    assert_eq!(made.load(Ordering::Relaxed), 2);

    let changed = routes(20, "'/new' = { respond = 'new' }");
    let told = server
        .0
        .reload_text(configuration("", &changed))
        .expect("it is good");
    assert!(told.contains("/new"), "{told}");
    assert_eq!(
        (count(&mut client, "/a"), count(&mut client, "/b")),
        ("1".into(), "20".into())
    );
    assert_eq!(made.load(Ordering::Relaxed), 3);

    let refused = server.0.reload_text(configuration("", &routes(-1, "")));
    let refused = refused.expect_err("the factory refuses").to_string();
    assert!(
        refused.contains("it counts from 0 or more") && refused.contains("start = -1"),
        "{refused}"
    );
    let unknown = server
        .0
        .reload_text(configuration("", "'/' = { handler = 'cuont' }"));
    let unknown = unknown.expect_err("it is not registered").to_string();
    assert!(unknown.contains("did you mean `count`?"), "{unknown}");
    assert_eq!(
        (count(&mut client, "/a"), count(&mut client, "/b")),
        ("2".into(), "21".into())
    );
    assert_eq!(made.load(Ordering::Relaxed), 3);
}

/// A factory may open a database, so it must not be run when no route uses what it makes.
#[test]
fn a_factory_is_called_once_for_each_name_and_options() {
    if ran_captured("embedding::a_factory_is_called_once_for_each_name_and_options") {
        return;
    }
    let (handlers, made) = counting();
    let text = |start: i64| {
        let options = format!("options = {{ start = {start} }}");
        let routes = format!(
            "'/a' = {{ handler = 'count', {options} }}\n\
             '/b' = {{ handler = 'count', {options}, timeout = '1s' }}"
        );
        let test = "[[test]]\nrequest = 'GET /a'\nexpect.route = '/a'\n";
        configuration("", &routes) + test
    };
    let calls = || made.swap(0, Ordering::Relaxed);
    let directory = Directory::new();
    let path = directory.path().join("config.toml");
    directory.write("config.toml", text(1));
    let builder = Server::builder().handlers(handlers.clone());
    let server = Embedded(builder.config_file(&path).start().expect("it is good"));
    assert_eq!(calls(), 1, "the start");
    server.0.reload().expect("it is good");
    assert_eq!(calls(), 0, "a reload of the same");
    directory.write("config.toml", text(2));
    server.0.reload().expect("it is good");
    assert_eq!(calls(), 1, "a reload of other options");
    directory.write("config.toml", text(3).replace("'/a'\n", "'/c'\n"));
    server.0.reload().expect_err("a test fails");
    assert_eq!(calls(), 1, "a reload that a test refuses");
    directory.write("config.toml", text(2));
    server.0.reload().expect("it is good");
    assert_eq!(calls(), 0, "what ran goes on");

    let run = |arguments: &[&str]| {
        let program = ["program".as_ref()].into_iter();
        let arguments = arguments.iter().map(AsRef::as_ref);
        let config = ["--config".as_ref(), path.as_os_str()];
        let all = program.chain(arguments).chain(config);
        let status = tidegate::main(all.map(OsStr::to_owned), &handlers);
        assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::SUCCESS));
    };
    run(&["check"]);
    assert_eq!(calls(), 1, "check");
    run(&["explain", "/a"]);
    assert_eq!(calls(), 1, "explain");
}

/// A refused reload has nothing to undo, because nothing has been done yet.
#[test]
fn what_a_factory_refuses_is_told_wherever_it_stands_and_disturbs_nothing() {
    let (handlers, made) = counting();
    let server = Embedded::start(handlers, "", "'/a' = { handler = 'count' }");
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/a")).text(), "0");
    let refused = "{ handler = 'count', options = { start = -1 } }";
    let routes = format!("'/a' = {{ handler = 'count' }}\n'/b' = {refused}\n'/c' = {refused}");
    // A mistake that checking finds is reported beside those of the factory.
    for (settings, mistakes) in [("", "2 errors"), ("worker = 1", "3 errors")] {
        let told = server.0.reload_text(configuration(settings, &routes));
        let told = told.expect_err("the factory refuses").to_string();
        let places = told.matches("it counts from 0 or more").count();
        assert!(places == 2 && told.contains(mistakes), "{told}");
    }
    assert_eq!(client.exchange(get("/a")).text(), "1");
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[test]
fn a_handler_that_is_not_named_any_more_ends_on_no_loop() {
    struct Mortal(std::sync::Mutex<mpsc::Sender<String>>);
    impl tidegate::Handler for Mortal {
        fn handle(&self, _request: Request) -> Result<Response, Error> {
            Ok(Response::text("alive"))
        }
        fn never_waits(&self) -> bool {
            true
        }
    }
    impl Drop for Mortal {
        fn drop(&mut self) {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default().to_owned();
            self.0
                .lock()
                .expect("unharmed")
                .send(name)
                .expect("the test listens");
        }
    }
    let (last_words, heard) = mpsc::channel();
    let last_words = std::sync::Mutex::new(last_words);
    let mut handlers = Handlers::new();
    handlers.register("mortal", move |_| {
        let sender = last_words.lock().expect("unharmed").clone();
        Ok(Mortal(std::sync::Mutex::new(sender)))
    });
    let server = Embedded::start(
        handlers,
        "",
        "'/' = { handler = 'mortal' }\n'/b' = { handler = 'mortal' }",
    );
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).text(), "alive");
    server
        .0
        .reload_text(configuration("", "'/' = { respond = 'dead' }"))
        .expect("it is good");
    assert_eq!(client.exchange(get("/")).text(), "dead");
    assert_eq!(
        heard.recv().as_deref(),
        Ok("tidegate-end"),
        "a thread of its own"
    );
    assert!(heard.try_recv().is_err(), "there was one");
}

/// A handler that tells on which thread it is dropped, and that can be kept at work.
struct Watched {
    ends: Mutex<mpsc::Sender<String>>,
    gate: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl tidegate::Handler for Watched {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        if request.query() == Some("wait") {
            let _ = self.gate.lock().expect("unharmed").recv();
        }
        Ok(Response::text("alive"))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let name = std::thread::current().name().unwrap_or("none").to_owned();
        let ends = self.ends.lock().expect("unharmed");
        ends.send(name).expect("the test listens");
    }
}

#[test]
fn each_of_two_that_were_made_of_the_same_options_ends_on_no_loop() {
    let (ends, ended) = mpsc::channel();
    let (go, gate) = mpsc::channel();
    let (ends, gate) = (Mutex::new(ends), Arc::new(Mutex::new(gate)));
    let mut handlers = Handlers::new();
    handlers.register("watched", move |_| {
        Ok(Watched {
            ends: Mutex::new(ends.lock().expect("unharmed").clone()),
            gate: Arc::clone(&gate),
        })
    });
    let with = configuration("", "'/' = { handler = 'watched' }");
    let without = configuration("", "'/' = { respond = 'gone' }");
    let server = Embedded::start(handlers, "", "'/' = { handler = 'watched' }");
    let reload = |text: &String| server.0.reload_text(text.as_str()).expect("it is good");
    // The first is still at work when the second is made, and both are when no route names them.
    let mut sleepers = [server.connect(), server.connect()];
    for (count, sleeper) in (1..).zip(&mut sleepers) {
        sleeper.send(get("/?wait"));
        super::support::until("it is at work", || {
            (server.blocking("running") == count).then_some(())
        });
        reload(&without);
        reload(&with);
    }
    reload(&without);
    assert_eq!(
        ended.recv().as_deref(),
        Ok("tidegate-end"),
        "the third, which no request asked"
    );
    for sleeper in &mut sleepers {
        go.send(()).expect("it waits");
        assert_eq!(sleeper.response().text(), "alive");
    }
    for _ in sleepers {
        assert_eq!(ended.recv().as_deref(), Ok("tidegate-end"));
    }
}

/// A handler that panics where it is told to, without the hook, which would fill the screen.
struct Clumsy {
    at: &'static str,
    ends: Mutex<mpsc::Sender<()>>,
}

impl tidegate::Handler for Clumsy {
    fn handle(&self, _request: Request) -> Result<Response, Error> {
        Ok(Response::text("well"))
    }

    fn never_waits(&self) -> bool {
        if self.at == "never_waits" {
            std::panic::resume_unwind(Box::new("undecided"));
        }
        false
    }
}

impl Drop for Clumsy {
    fn drop(&mut self) {
        let _ = self.ends.lock().expect("unharmed").send(());
        if self.at == "drop" {
            std::panic::resume_unwind(Box::new("not going"));
        }
    }
}

#[test]
fn a_handler_that_panics_where_it_is_made_or_ends_harms_nobody() {
    let (ends, ended) = mpsc::channel();
    let ends = Mutex::new(ends);
    let mut handlers = Handlers::new();
    handlers.register("clumsy", move |options| {
        let at = match options.text("at")? {
            Some("factory") => std::panic::resume_unwind(Box::new("all thumbs")),
            Some("never_waits") => "never_waits",
            _ => "drop",
        };
        let ends = Mutex::new(ends.lock().expect("unharmed").clone());
        Ok(Clumsy { at, ends })
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'clumsy' }");
    assert_eq!(server.connect().exchange(get("/")).text(), "well");
    for (at, message) in [("factory", "all thumbs"), ("never_waits", "undecided")] {
        let route = format!("'/' = {{ handler = 'clumsy', options.at = '{at}' }}");
        let refused = server.0.reload_text(configuration("", &route));
        let refused = refused.expect_err("it panics").to_string();
        assert!(refused.contains(message), "{refused}");
    }
    ended.recv().expect("the undecided one ends");
    let without = configuration("", "'/' = { respond = 'gone' }");
    server.0.reload_text(without).expect("it is good");
    ended.recv().expect("the first ends");
    assert!(server.0.status().is_some(), "a supervisor still answers");
    assert_eq!(server.connect().exchange(get("/")).text(), "gone");
}

#[test]
fn a_file_is_read_again() {
    let (handlers, _) = counting();
    let directory = Directory::new();
    directory.write(
        "config.toml",
        configuration("", "'/' = { respond = 'old' }"),
    );
    let builder = Server::builder().handlers(handlers);
    let path = directory.path().join("config.toml");
    let server = Embedded(builder.config_file(&path).start().expect("it is good"));
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).text(), "old");
    directory.write(
        "config.toml",
        configuration("", "'/' = { handler = 'count' }"),
    );
    server.0.reload().expect("it is good");
    assert_eq!(client.exchange(get("/")).text(), "0");
}

#[test]
fn a_configuration_may_be_a_value() {
    let value: toml::Table = configuration("", "'/' = { respond = 'a value' }")
        .parse()
        .expect("TOML");
    let server = Embedded(
        Server::builder()
            .config_value(&value)
            .start()
            .expect("it is good"),
    );
    assert_eq!(server.connect().exchange(get("/")).text(), "a value");
}

#[test]
fn mistakes_are_told_all_at_once() {
    let bad = configuration("worker = 1", "'/' = { handler = 'nobody' }");
    let refused = Server::builder()
        .config_text(bad)
        .start()
        .expect_err("two mistakes");
    let StartError::Configuration(text) = refused else {
        panic!("{refused}")
    };
    assert!(
        text.contains("`worker`") && text.contains("`nobody`"),
        "{text}"
    );
    let nothing = Server::builder().start().expect_err("no configuration");
    assert!(nothing.to_string().contains("there is no configuration"));
}

#[test]
fn draining_lets_an_exchange_finish_and_stopping_cuts_it() {
    for is_drained in [true, false] {
        let (begins, begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let parts = std::sync::Mutex::new((begins, may_go));
        let mut handlers = Handlers::new();
        handlers.function("wait", move |_| {
            let parts = parts.lock().expect("unharmed");
            parts.0.send(()).expect("the test listens");
            let _ = parts.1.recv();
            Ok(Response::text("finished"))
        });
        // A server that waited for all of this `grace` would outlast the test.
        let server = Embedded::start(handlers, "grace = '1h'", "'/' = { handler = 'wait' }").0;
        let address = server.addresses()[0];
        let mut client = Client::connect(address);
        client.send(get("/"));
        begun.recv().expect("it begins");
        if is_drained {
            let draining = std::thread::spawn(move || server.drain(Duration::MAX));
            go.send(()).expect("it waits");
            assert_eq!(client.response().text(), "finished");
            draining.join().expect("no panic").expect("an orderly end");
        } else {
            server.stop().expect("an orderly end");
            assert_eq!(client.rest().unwrap_or_default(), b"");
            drop(go);
        }
        assert!(
            Client::try_connect(address).is_err(),
            "no server listens any more"
        );
    }
}

#[test]
fn a_server_that_is_dropped_has_stopped() {
    let server = Embedded::start(Handlers::new(), "", "'/' = { respond = 'here' }");
    let address = server.address();
    drop(server);
    assert!(Client::try_connect(address).is_err());
}

/// Tests and `explain` do not run a handler: it may do more than answer.
#[test]
fn tests_of_the_configuration_are_held_against_the_routes_that_handlers_have() {
    let (handlers, _) = counting();
    let test = |route: &str| {
        let routes = "'/a' = { handler = 'count' }\n'/b' = { respond = 'b' }";
        let test = format!("[[test]]\nrequest = 'GET /a'\nexpect.route = '{route}'\n");
        configuration("", routes) + &test
    };
    let start = |text| {
        let builder = Server::builder().handlers(handlers.clone());
        builder.config_text(text).start()
    };
    let refused = start(test("/b")).expect_err("it is another route");
    assert!(
        refused.to_string().contains("expected route /b"),
        "{refused}"
    );
    let server = Embedded(start(test("/a")).expect("it is good"));
    assert_eq!(server.connect().exchange(get("/a")).text(), "0");
    let refused = server.0.reload_text(test("/b")).expect_err("as before");
    assert!(
        refused.to_string().contains("expected route /b"),
        "{refused}"
    );
}

#[test]
fn two_servers_live_in_one_process() {
    let servers = ["one", "two"].map(|name| {
        Embedded::start(
            Handlers::new(),
            "",
            &format!("'/' = {{ respond = '{name}' }}"),
        )
    });
    let texts = servers
        .each_ref()
        .map(|server| server.connect().exchange(get("/")).text());
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn a_route_shows_the_counters() {
    let server = Embedded::start(Handlers::new(), "", "'/status' = { status = true }");
    let mut client = server.connect();
    let json = super::request("GET", "/status", "Accept: application/json\r\n");
    let status = client.exchange(json).json();
    assert_eq!(status["connections"]["open"], 1);
    assert_eq!(status["blocking"]["lost"], 0);
    assert_eq!(
        status.get("file"),
        None,
        "nothing tells where anything lies"
    );
    let text = client.exchange(get("/status")).text();
    assert!(text.contains("requests     1"), "{text}");
}

/// The limits of the process are its program's. The server raised that of open files.
#[test]
fn the_limit_of_open_files_is_left_as_it_is() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let lower = before.current.map(|current| current - 1);
    let set = Rlimit {
        current: lower,
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, set).expect("it may be lowered");
    let server = Embedded::start(Handlers::new(), "", "'/' = { respond = 'ok' }");
    assert_eq!(server.connect().exchange(get("/")).text(), "ok");
    assert_eq!(getrlimit(Resource::Nofile).current, lower);
}

/// A program may leave SIGPIPE at its default, which ends the process. A client that left while its
/// response was sent ended the whole program.
#[test]
fn no_thread_of_the_server_is_ended_by_a_broken_pipe() {
    let server = Embedded::start(Handlers::new(), "", "'/' = { respond = 'ok' }");
    assert_eq!(server.connect().exchange(get("/")).text(), "ok");
    // A thread of another test may have begun a moment ago, or end meanwhile.
    super::support::until("every thread blocks SIGPIPE", || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux has it");
        let paths = tasks.map(|task| task.expect("it can be read").path());
        let blocked: Vec<bool> = paths.filter_map(|path| blocks_broken_pipe(&path)).collect();
        // Two workers, and the thread that writes diagnostics.
        (blocked.len() >= 3 && blocked.iter().all(|is_blocked| *is_blocked)).then_some(())
    });
}

/// Whether the thread blocks SIGPIPE, if it is one of a server.
fn blocks_broken_pipe(task: &Path) -> Option<bool> {
    let name = std::fs::read_to_string(task.join("comm")).ok()?;
    let status = std::fs::read_to_string(task.join("status")).ok()?;
    let blocked = status
        .lines()
        .find_map(|line| line.strip_prefix("SigBlk:"))?;
    let blocked = u64::from_str_radix(blocked.trim(), 16).ok()?;
    name.starts_with("tidegate")
        .then_some(blocked & (1 << (13 - 1)) != 0)
}
