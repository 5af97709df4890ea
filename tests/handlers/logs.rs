//! What the diagnostics and the access log tell about handlers.

use std::io::Write as _;
use std::sync::{Mutex, mpsc};

use super::support::{Directory, until};
use super::{Embedded, alone, configuration, get, request};
use tidegate::{Error, Handler, Handlers, Request, Response, Server, Status};

/// A handler on the event loop that answers with a stream that breaks off.
struct Hasty;

impl Handler for Hasty {
    fn handle(&self, _request: Request) -> Result<Response, Error> {
        Ok(Response::stream(|writer| {
            writer.write_all(b"so far")?;
            Err(std::io::Error::other("the well is dry"))
        }))
    }

    fn never_waits(&self) -> bool {
        true
    }
}

/// Asks for everything that goes wrong; runs in a process of its own.
fn misbehave() {
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    let mut handlers = Handlers::new();
    handlers.register("hasty", |_| Ok(Hasty));
    handlers.function("code", move |request| match request.query() {
        Some("panic") => std::panic::resume_unwind(Box::new("out of its depth")),
        Some("forged") => Err(std::io::Error::other("a\nerror: forged\u{1b}[2J").into()),
        Some("forged-stream") => Ok(Response::stream(|_| {
            Err(std::io::Error::other("b\nerror: forged\u{1b}[2J"))
        })),
        Some("error") => Err(std::io::Error::other("no such table").into()),
        Some("split") => Ok(Response::text("").field("X-A", "a\r\nb")),
        Some("broken") => Ok(Response::stream(|_| {
            Err(std::io::Error::other("the spring is dry"))
        })),
        Some("short") => Ok(Response::reader("text/plain", &b"abc"[..], Some(4))),
        Some("late") => {
            let _ = may_go.lock().expect("unharmed").recv();
            Ok(Response::text("too late"))
        }
        _ => Err(Error::new(Status::NOT_FOUND, "nothing to worry about")),
    });
    let routes = "'/code' = { handler = 'code' }\n'/hasty' = { handler = 'hasty' }\n\
                  '/late' = { handler = 'code', timeout = '50ms' }\n\
                  '/later' = { handler = 'code', timeout = '50ms' }";
    let pool = "blocking = { threads = 1, queue = 1 }";
    let server = Embedded::start(handlers, pool, routes);
    for query in ["panic", "error", "split", "none", "forged"] {
        server.connect().exchange(get(&format!("/code?{query}")));
    }
    for target in [
        "/code?broken",
        "/code?short",
        "/hasty",
        "/code?forged-stream",
    ] {
        let mut client = server.connect();
        client.send(get(target));
        let _ = client.rest();
    }
    // The only thread is busy, then the only place in its queue is taken.
    let late = server.connect().exchange(get("/late?late"));
    let later = server.connect().exchange(get("/later?late"));
    let mut waits = server.connect();
    waits.send(get("/code?late"));
    until("it is queued", || {
        (server.blocking("queued") == 1).then_some(())
    });
    let never = server.connect().exchange(get("/code?late"));
    let statuses = [late, later, never].map(|response| response.status);
    assert_eq!(statuses, [504, 504, 503]);
    for reason in ["handler_error", "handler_answer_invalid", "handler_timeout"] {
        server.wait_for_reason(reason);
    }
    drop(go);
}

#[test]
fn what_goes_wrong_is_told_once_with_the_route_and_the_reason() {
    let name = "logs::what_goes_wrong_is_told_once_with_the_route_and_the_reason";
    let Some(output) = alone(name) else {
        return misbehave();
    };
    let told = String::from_utf8_lossy(&output.stderr);
    for (route, reason) in [
        ("/code", "the handler panicked: out of its depth"),
        ("/code", "no such table"),
        ("/code", "a\\nerror: forged\\x1b[2J"),
        ("/code", "b\\nerror: forged\\x1b[2J"),
        ("/code", "its answer cannot be sent"),
        ("/code", "the spring is dry"),
        ("/code", "shorter than its Content-Length says"),
        ("/hasty", "the well is dry"),
        ("/late", "its thread is lost until it returns"),
        ("/later", "no thread of the blocking pool was free"),
        ("/code", "the queue of the blocking pool is full"),
    ] {
        let is_it =
            |line: &&str| line.contains(reason) && line.contains(&format!("route `{route}`"));
        assert_eq!(
            told.lines().filter(is_it).count(),
            1,
            "{route} {reason}: {told}"
        );
    }
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("nothing to worry about"), "{told}");
}

#[test]
fn every_exchange_has_one_line_also_where_its_client_goes() {
    let directory = Directory::new();
    let log = directory.path().join("access.log");
    let (begins, begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let parts = Mutex::new((begins, may_go));
    let mut handlers = Handlers::new();
    handlers.function("wait", move |_| {
        let parts = parts.lock().expect("unharmed");
        parts.0.send(()).expect("the test listens");
        let _ = parts.1.recv();
        Ok(Response::text("too late"))
    });
    handlers.function("quick", |_| Ok(Response::text("quick")));
    let text = configuration(
        "",
        "'/wait' = { handler = 'wait' }\n'/quick' = { handler = 'quick' }",
    );
    let text = text.replace(
        "access = false",
        &format!("access = '{}', format = \"common\"", log.display()),
    );
    let builder = Server::builder().handlers(handlers).config_text(text);
    let server = Embedded(builder.start().expect("it is good"));
    assert_eq!(server.connect().exchange(get("/quick")).text(), "quick");
    let mut client = server.connect();
    client.send(get("/wait"));
    begun.recv().expect("it begins");
    drop(client);
    until("it counts as lost", || {
        (server.blocking("lost") == 1).then_some(())
    });
    go.send(()).expect("it waits");
    let mut client = server.connect();
    client.send(request("POST", "/quick", "Content-Length: 9\r\n") + "half");
    drop(client);
    let lines = until("three lines", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        (text.lines().count() == 3).then_some(text)
    });
    for line in [
        "\"GET /quick HTTP/1.1\" 200 5",
        "\"GET /wait HTTP/1.1\" 499 -",
        "\"POST /quick HTTP/1.1\" 499 -",
    ] {
        assert_eq!(lines.matches(line).count(), 1, "{line}: {lines}");
    }
}
