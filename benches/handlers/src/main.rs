//! `tidegate` with two handlers of its own, to measure what a handler costs: one that runs on the
//! event loop, and one on the blocking pool. Both answer with as much as the small file of the other
//! workloads.

use std::process::ExitCode;

use tidegate::{Error, Handler, Handlers, Request, Response};

/// The size of the content, that of the page nginx welcomes with.
const CONTENT: usize = 612;

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
    tidegate::main(std::env::args_os(), &handlers)
}
