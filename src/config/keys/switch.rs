//! Verbs that are only on: `echo = true`, `status = true`.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::tree::section::Section;

/// A verb that is only on: `echo = true`. Whether it is.
pub(super) fn switch(section: &mut Section<'_>, verb: &'static str) -> bool {
    let Some(node) = section.take(verb) else {
        return false;
    };
    let is_on = node.boolean();
    if is_on == Some(false) {
        let help = format!("write {verb} = true, or take the route out");
        node.cx.report(
            Diagnostic::error(format!("a route with `{verb} = false` does nothing"))
                .at(node.spot(), "")
                .help(help),
        );
    }
    is_on == Some(true)
}
