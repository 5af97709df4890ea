//! The `tidegate` program; everything it does is in the library.

use std::process::ExitCode;

use tidegate::Handlers;

fn main() -> ExitCode {
    tidegate::main(std::env::args_os(), &Handlers::new())
}
