//! `tidegate reasons`: the list of reasons that the log, error pages and metrics name.

use clap::Args;

use super::output::print;
use crate::reason;

/// Print the reasons that the log, error pages and metrics name, each with what to do.
///
/// A reason says why a response is the server's own, or why an exchange ended badly.
#[derive(Args, Debug)]
pub(super) struct Reasons {
    /// Print this one alone.
    #[arg(conflicts_with = "json")]
    id: Option<String>,
    /// Print an array of objects instead.
    #[arg(long)]
    json: bool,
}

/// Prints the list.
///
/// # Errors
/// If no reason is called as the one that is asked for.
pub(super) fn reasons(arguments: &Reasons) -> Result<(), String> {
    print(&if arguments.json {
        format!("{:#}\n", reason::to_json())
    } else {
        reason::to_text(arguments.id.as_deref())?
    })
}
