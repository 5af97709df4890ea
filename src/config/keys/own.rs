//! The keys of a route that belong to no verb and are not inherited.

use super::rewrite;
use super::setting::{Setting, show, walk};
use super::verb::Own;
use super::when;
use crate::config::model::Route;
use crate::config::tree::section::Section;
use crate::config::words::written;

pub(super) const SETTINGS: &[Setting<Own, Route>] = &[when::WHEN, rewrite::REWRITE];

/// Reads them from the table of a route with the verb `verb`. `None`: one has a mistake, which is reported.
pub(super) fn read(section: &mut Section<'_>, verb: Option<&'static str>) -> Option<Own> {
    let mut own = Own {
        verb,
        ..Own::default()
    };
    let walked = walk(section, SETTINGS, &mut own);
    walked.is_sound().then_some(own)
}

/// Those of a route, in the terms of the file.
pub(super) fn show_own(route: &Route) -> written::Table {
    show(SETTINGS, route)
}

/// The `when` of a route, in the terms of the file.
pub(crate) fn show_condition(route: &Route) -> Option<String> {
    (when::WHEN.show)(route)
}
