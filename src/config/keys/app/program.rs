//! The program that a command names: what is said if it is nowhere.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{AppProcess, DEFAULT_PATH};
use crate::config::tree::node::Node;
use crate::config::tree::paths::find_program;

/// Reports that there is no program that the command of `process`, which stands at `node`, could start.
/// Returns whether there is one.
pub(super) fn report_missing_program(node: Node<'_>, process: &AppProcess) -> bool {
    let own_path = process.environment.iter().find(|(name, _)| name == "PATH");
    let path = match own_path {
        Some((_, path)) => path.fill(""),
        None => {
            (node.cx.surroundings.environment)("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned())
        }
    };
    let program = process.command[0].fill("");
    let is_named_by_instance = process.command[0].endpoints().next().is_some();
    if is_named_by_instance || find_program(&program, &process.directory, &path).is_some() {
        return true;
    }
    let is_there = process.directory.join(&program).exists();
    let shown = program.escape_debug();
    let (message, help) = if program.contains('/') && is_there {
        let help = format!("chmod +x {shown}, in the directory of the app");
        (format!("`{shown}` is no program that can be run"), help)
    } else if program.contains('/') {
        let help = "a relative path starts at the `directory` of the app".to_owned();
        (format!("there is no program `{shown}`"), help)
    } else {
        let message = format!("there is no program `{shown}` in PATH");
        let local = [format!("./{program}"), format!("venv/bin/{program}")];
        let local = local
            .into_iter()
            .find(|local| process.directory.join(local).exists());
        let help = match local {
            Some(local) => format!("write \"{local}\", which stands in the directory of the app"),
            None => format!("install it, or write its whole path; PATH is {path}"),
        };
        (message, help)
    };
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), "").help(help));
    false
}
