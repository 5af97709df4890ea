//! `tidegate top`: what the running server does, in the terminal, a second at a time.
//!
//! ```text
//! feed ── News ──→ model ←── Action ── keys
//!                    │
//!        change, tables, summary: pure, of two snapshots
//!                    │
//!                  view (screen) or plain (`--once`)
//! ```

mod action;
mod change;
mod feed;
#[cfg(test)]
mod fixture;
mod keys;
mod model;
mod plain;
mod route_name;
mod screen;
mod snapshot;
mod summary;
mod tables;
mod units;
mod view;

use std::io::{IsTerminal as _, stdout};
use std::path::Path;

use clap::Args;
use jiff::tz::TimeZone;

use super::config_file::ConfigFile;
use super::output::print;
use crate::log::diagnostic;
use feed::Events;
use model::{Link, Model};
use tables::Tab;
use view::Theme;

/// Show what the running server does, each second: requests, routes, upstreams, workers, failures.
///
/// The key `?` shows what the other keys do, `q` quits. Without colours if NO_COLOR is set.
#[derive(Args, Debug)]
pub(super) struct Top {
    #[command(flatten)]
    config: ConfigFile,
    /// Print the numbers of one second and one table as text, and end.
    #[arg(short = 'b', long)]
    once: bool,
    /// The table to begin with, or to print.
    #[arg(long, value_enum, value_name = "TAB", default_value_t = Tab::Routes)]
    tab: Tab,
}

/// Shows what the server does until the operator quits, or prints it once.
///
/// # Errors
/// If no server answers, or if there is no terminal to show it on.
pub(super) fn top(arguments: &Top) -> Result<(), String> {
    let config = arguments.config.path();
    let mut model = Model::new(arguments.tab, TimeZone::system());
    if arguments.once {
        return once(config, &mut model);
    }
    require_screen()?;
    // A server that cannot be asked is an error of the command, as of others; one that goes away is waited for.
    let stream = feed::connect(config).map_err(|error| error.to_string())?;
    let theme = Theme::of(std::env::var_os("NO_COLOR").as_deref());
    screen::run(config, stream, &mut model, theme)?;
    if let Link::Lost { seconds, why } = &model.link {
        diagnostic::print(&format!(
            "the connection to the server was lost {seconds} s ago: {why}\n"
        ));
    }
    Ok(())
}

/// Prints what happens within a second.
fn once(config: &Path, model: &mut Model) -> Result<(), String> {
    let stream = feed::connect(config).map_err(|error| error.to_string())?;
    let mut events = Events(stream);
    for _ in 0..2 {
        let snapshot = events.next();
        model.take(snapshot.map_err(|sentence| format!("error: {sentence}"))?);
    }
    print(&plain::text(model))
}

/// # Errors
/// A sentence, if standard output is no terminal, or one whose cursor cannot be moved.
fn require_screen() -> Result<(), String> {
    let term = std::env::var_os("TERM").unwrap_or_default();
    let fault = if !stdout().is_terminal() {
        "standard output is none"
    } else if term.is_empty() {
        "TERM does not say which one this is"
    } else if term == "dumb" {
        "TERM says that the cursor of this one cannot be moved"
    } else {
        return Ok(());
    };
    Err(format!(
        "error: `tidegate top` needs a terminal, and {fault}; `tidegate top --once` prints the numbers as text"
    ))
}
