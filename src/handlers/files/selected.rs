//! What `explain` says of the file that answers, or why there is none.

use super::entry::{Entry, State};
use super::worker_state::WorkerState;
use super::{Answering, FilesHandler};
use crate::disk::beneath::is_hidden;
use crate::http::path::NormalPath;
use crate::log::diagnostic;
use crate::message::request::Request;
use crate::message::selected::Selected;

impl FilesHandler {
    /// The file that would be sent, and its coding.
    pub(crate) async fn selected(&self, request: &Request<'_>, state: &WorkerState) -> Selected {
        let Ok(path) = self.path_beneath(request) else {
            return Selected::without_slash();
        };
        let entry = match self.entry_for(&path, request, state).await {
            Ok(Answering { entry, path, .. }) => {
                self.route.with_coding(path, entry, request, state).await
            }
            Err(error) => return Selected::nothing(diagnostic::chain(&error)),
        };
        self.describe(&entry, &path, request, state).await
    }

    /// What would be sent of the entry at `path`.
    pub(super) async fn describe(
        &self,
        entry: &Entry,
        path: &NormalPath<'_>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Selected {
        let barrier = entry.barrier.as_deref().map(str::to_owned);
        match &entry.state {
            State::File(file) => {
                let (coding, path) = file.describe(request.head, &self.route.options);
                let root = &self.route.options.root;
                let mut selected = format!("{}/{path} ({coding})", root.display());
                for passed_over in file.passed_over(&self.route.options) {
                    selected.push_str(&format!("; {passed_over}"));
                }
                Selected {
                    file: Some(selected),
                    path: Some(root.join(path)),
                    barrier,
                }
            }
            State::Directory if self.route.options.listing && request.path.is_directory() => {
                self.route.selected_listing(path, state).await
            }
            State::Directory if !request.path.is_directory() => Selected::without_slash(),
            State::Page => Selected::with_slash(),
            State::Directory | State::Missing | State::Forbidden => {
                let reason = || self.why_nothing(entry, path);
                Selected::nothing(barrier.unwrap_or_else(reason))
            }
        }
    }

    /// Why no file answers for `path`, where nothing stands in the way of one.
    fn why_nothing(&self, entry: &Entry, path: &NormalPath<'_>) -> String {
        let options = &self.route.options;
        let beneath = String::from_utf8_lossy(path.as_bytes());
        let at = format!("{}{}", options.root.display(), beneath.escape_debug());
        match &entry.state {
            State::Directory => format!(
                "the directory `{at}` holds no file of `index` ({}), and `listing` is off",
                options.index.join(", ")
            ),
            _ if is_hidden(path.as_bytes()) => {
                "names that begin with a dot are not served, except /.well-known/".to_owned()
            }
            _ => format!("`{at}` is not there, or not a file"),
        }
    }
}
