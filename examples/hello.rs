//! A program with handlers of its own, and everything that `tidegate` does beside them.
//!
//! `cargo run --example hello -- run --config examples/hello.toml`, then
//! `curl http://localhost:8080/hello/you`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate::{Error, Handler, Handlers, Request, Response};

/// Greets, and counts whom.
struct Greet {
    greeting: String,
    greeted: AtomicU64,
}

impl Handler for Greet {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        let name = request.parameter("name").unwrap_or("you");
        let count = self.greeted.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Response::text(format!(
            "{}, {name}! You are number {count}.\n",
            self.greeting
        )))
    }
}

fn main() -> ExitCode {
    let mut handlers = Handlers::new();
    handlers.register("greet", |options| {
        options.only(&["greeting"])?;
        let greeting = options.text("greeting")?.unwrap_or("Hello").to_owned();
        Ok(Greet {
            greeting,
            greeted: AtomicU64::new(0),
        })
    });
    handlers.function("time", |_request| {
        Ok(Response::text(format!(
            "{:?}\n",
            std::time::SystemTime::now()
        )))
    });
    tidegate::main(std::env::args_os(), &handlers)
}
