//! The `tidegate` program; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate::main(std::env::args_os())
}
