//! `tidegate` with two handlers of its own, to measure what a handler costs: one that runs on the
//! event loop, and one on the blocking pool, which answer with as much as the small file of the other
//! workloads; and two that misbehave: one sleeps, one panics every second time.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate::{Error, Handler, Handlers, Request, Response};

/// The size of the content, that of the page nginx welcomes with.
const CONTENT: usize = 612;

/// How long `sleep` holds its thread: longer than a round of measuring.
const NAP: Duration = Duration::from_secs(10);

/// Answers with a fixed content.
struct Fixed {
    never_waits: bool,
}

impl Handler for Fixed {
    fn handle(&self, _request: Request) -> Result<Response, Error> {
        Ok(Response::bytes("text/html; charset=utf-8", [b'x'; CONTENT]))
    }

    fn never_waits(&self) -> bool {
        self.never_waits
    }
}

fn main() -> ExitCode {
    let mut handlers = Handlers::new();
    handlers.register("loop", |_options| Ok(Fixed { never_waits: true }));
    handlers.register("pool", |_options| Ok(Fixed { never_waits: false }));
    handlers.function("sleep", |_request| {
        std::thread::sleep(NAP);
        Ok(Response::text("awake\n"))
    });
    let calls = AtomicU64::new(0);
    handlers.function("flaky", move |_request| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        assert!(call.is_multiple_of(2), "every second call fails");
        Ok(Response::text("well\n"))
    });
    tidegate::main(std::env::args_os(), &handlers)
}
