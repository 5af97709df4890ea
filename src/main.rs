//! The `tidegate` program. The library does all of its work.

use std::process::ExitCode;

use tidegate::Handlers;

fn main() -> ExitCode {
    tidegate::main(std::env::args_os(), &Handlers::new())
}
