//! What one level of the file changes of the [`Policy`] that it inherits.

use super::access::refine_access;
use super::error_pages::refine_error_pages;
use super::headers::refine_headers;
use super::level::Level;
use super::limits::refine_limits;
use crate::config::model::Policy;
use crate::config::tree::section::Section;

/// The policy of the level that `section` describes, inside one where `outer` holds.
pub(super) fn refine(section: &mut Section<'_>, level: Level, outer: &Policy) -> Policy {
    Policy {
        headers: refine_headers(section, &outer.headers),
        limits: refine_limits(section, level, &outer.limits),
        error_pages: refine_error_pages(section, &outer.error_pages),
        access: refine_access(section, level, &outer.access),
    }
}
