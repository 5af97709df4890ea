//! What the diagnostics and the access log tell of handlers.

use std::io::Write as _;
use std::process::Command;

use super::{Embedded, get};
use tidegate::{Error, Handler, Handlers, Request, Response, Status};

/// Set in the process of which the diagnostics are read.
const CHILD: &str = "TIDEGATE_TEST_CHILD";

/// Answers with a stream that breaks off, from the loop.
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

/// Asks for everything that goes wrong, in a process of its own.
fn misbehave() {
    let mut handlers = Handlers::new();
    handlers.register("hasty", |_| Ok(Hasty));
    handlers.function("code", |request| match request.query() {
        Some("panic") => std::panic::resume_unwind(Box::new("out of its depth")),
        Some("error") => Err(std::io::Error::other("no such table").into()),
        Some("split") => Ok(Response::text("").field("X-A", "a\r\nb")),
        Some("broken") => Ok(Response::stream(|_| {
            Err(std::io::Error::other("the spring is dry"))
        })),
        Some("short") => Ok(Response::reader("text/plain", &b"abc"[..], Some(4))),
        _ => Err(Error::new(Status::NOT_FOUND, "nothing to worry about")),
    });
    let routes = "'/code' = { handler = 'code' }\n'/hasty' = { handler = 'hasty' }";
    let server = Embedded::start(handlers, "", routes);
    for query in ["panic", "error", "split", "none"] {
        server.connect().exchange(get(&format!("/code?{query}")));
    }
    for target in ["/code?broken", "/code?short", "/hasty"] {
        let mut client = server.connect();
        client.send(get(target));
        let _ = client.rest();
    }
}

#[test]
fn what_goes_wrong_is_told_once_with_the_route_and_the_reason() {
    if std::env::var_os(CHILD).is_some() {
        return misbehave();
    }
    let name = "logs::what_goes_wrong_is_told_once_with_the_route_and_the_reason";
    let test = std::env::current_exe().expect("the test has a path");
    let output = Command::new(test)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it can be run again");
    let told = String::from_utf8_lossy(&output.stderr);
    for (route, reason) in [
        ("/code", "the handler panicked: out of its depth"),
        ("/code", "no such table"),
        ("/code", "its answer cannot be sent"),
        ("/code", "the spring is dry"),
        ("/code", "the content is not as long as was said"),
        ("/hasty", "the well is dry"),
    ] {
        let is_it =
            |line: &&str| line.contains(reason) && line.contains(&format!("route `{route}`"));
        assert_eq!(
            told.lines().filter(is_it).count(),
            1,
            "{route} {reason}: {told}"
        );
    }
    assert!(!told.contains("nothing to worry about"), "{told}");
}
