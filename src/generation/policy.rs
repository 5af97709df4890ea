//! The policy of a server or a route, prepared: field changes and error pages are encoded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error_pages::{ErrorPage, PageFiles};
use crate::config::model::{Access, ErrorPages, HeaderChanges, Limits, Policy};
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Content, DuplexContent, Octets};
use crate::message::response::{DuplexResponse, Response};

/// A policy, ready to be applied.
#[derive(Debug)]
pub(crate) struct ServingPolicy {
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    changes: FieldChanges,
    pages: ErrorPages,
    /// The files of `pages`, but those that could not be read.
    loaded: Vec<(PathBuf, Arc<ErrorPage>)>,
}

/// The changes to make to the field lines of every answer.
#[derive(Debug, Default)]
struct FieldChanges {
    /// Names of fields to drop, in any case: those to remove, and those to set.
    dropped: Vec<String>,
    /// Encoded lines to append to every answer.
    appended: FieldLines,
}

impl ServingPolicy {
    /// Prepares `policy`; its error pages are read through `files`.
    pub(super) fn new(policy: &Policy, files: &mut PageFiles) -> Self {
        let read = |(_, path): (_, &Path)| Some((path.to_owned(), files.read(path)?));
        Self {
            limits: policy.limits.clone(),
            access: policy.access.clone(),
            changes: FieldChanges::new(&policy.headers),
            pages: policy.error_pages.clone(),
            loaded: policy.error_pages.iter().filter_map(read).collect(),
        }
    }

    /// Whether an answer may carry the server's own line with this name.
    pub(crate) fn leaves(&self, name: &str) -> bool {
        !self.changes.drops(name.as_bytes())
    }

    /// If `response` leaves its content to the server and the operator has an error page for the
    /// status: the response with that page. Else the response as it is.
    pub(crate) fn with_error_page<'a, 'c>(
        &'a self,
        response: DuplexResponse<'a, 'c>,
    ) -> DuplexResponse<'a, 'c> {
        match self.page(response.status) {
            Some(page) if matches!(response.content, DuplexContent::Problem) => Response {
                status: response.status,
                fields: joined(response.fields, &page.fields),
                content: Content::Octets(Octets::Lent(&page.content)),
            },
            _ => response,
        }
    }

    /// Returns `fields` with the operator's changes.
    pub(crate) fn change_fields<'a>(&self, fields: Octets<'a>) -> Octets<'a> {
        if self.changes.dropped.is_empty() && self.changes.appended.as_bytes().is_empty() {
            return fields;
        }
        let mut changed = FieldLines::new();
        for line in fields.split_inclusive(|byte| *byte == b'\n') {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if !self.changes.drops(name) {
                changed.extend(line);
            }
        }
        changed.extend(self.changes.appended.as_bytes());
        changed.into()
    }

    fn page(&self, status: Status) -> Option<&ErrorPage> {
        if self.loaded.is_empty() || !status.is_error() {
            return None;
        }
        let wanted = self.pages.find(status)?;
        self.loaded
            .iter()
            .find(|(path, _)| path == wanted)
            .map(|(_, page)| &**page)
    }
}

impl FieldChanges {
    fn new(headers: &HeaderChanges) -> Self {
        let names = headers
            .set
            .iter()
            .map(|(name, _)| name)
            .chain(&headers.remove);
        let mut appended = FieldLines::new();
        for (name, value) in headers.set.iter().chain(&headers.add) {
            appended.push(name, value);
        }
        Self {
            dropped: names.cloned().collect(),
            appended,
        }
    }

    fn drops(&self, name: &[u8]) -> bool {
        self.dropped
            .iter()
            .any(|dropped| dropped.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Returns `fields`, followed by `more`.
pub(crate) fn joined<'a>(fields: Octets<'a>, more: &'a FieldLines) -> Octets<'a> {
    if fields.is_empty() {
        return Octets::Lent(more.as_bytes());
    }
    let mut joined = FieldLines::new();
    joined.extend(&fields);
    joined.extend(more.as_bytes());
    joined.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_fields_without_regard_to_case() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = HeaderChanges {
            set: vec![pair("Cache-Control", "no-store")],
            add: vec![pair("Link", "<a>")],
            remove: vec!["etag".to_owned(), "Server".to_owned()],
        };
        let policy = Policy {
            headers,
            ..Policy::default()
        };
        let policy = ServingPolicy::new(&policy, &mut PageFiles::default());
        let fields = Octets::Lent(b"ETag: \"1\"\r\ncache-control: private\r\nLink: <b>\r\n");
        let changed = policy.change_fields(fields);
        assert_eq!(
            &*changed,
            b"Link: <b>\r\nCache-Control: no-store\r\nLink: <a>\r\n"
        );
        assert!(!policy.leaves("Server") && policy.leaves("Date"));
    }
}
