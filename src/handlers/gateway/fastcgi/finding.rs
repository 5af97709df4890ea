//! Finds what a path leads to: how a request becomes a [`Search`], and what the operator is told of it.

use std::io;
use std::sync::Arc;

use super::script::{Found, Script, Search, Searched, Start};
use super::{FastcgiHandler, Worker};
use crate::disk::barrier::Barrier;
use crate::disk::now_or_on_pool;
use crate::http::status::Status;
use crate::log::{diagnostic, limited};
use crate::message::request::Request;
use crate::message::response::Response;
use crate::runtime::BlockingError;

/// Why it is not known what a path leads to.
#[derive(Debug, thiserror::Error)]
pub(super) enum SearchError {
    #[error("cannot look for a script")]
    Look(#[source] io::Error),
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl FastcgiHandler {
    /// What the path leads to, by a look at the disk that may wait on the pool.
    pub(super) async fn find(
        &self,
        request: &Request<'_>,
        worker: Worker<'_>,
    ) -> Result<Searched, SearchError> {
        if let Some(name) = &self.options.script {
            let below = request.path.below();
            let script = Script::owning_the_route(name, below);
            return Ok(Searched {
                found: Found::Script(script),
                barrier: None,
            });
        }
        let start = if self.is_exact {
            Start::OnlyPath
        } else if request.path.is_route_without_slash() {
            Start::RootWithoutSlash
        } else {
            Start::Beneath
        };
        let search = Search {
            options: Arc::clone(&self.options),
            start,
            path: request.path.stripped().as_bytes().to_vec(),
        };
        let found = now_or_on_pool(worker.disk, move |waiting| search.run(waiting)).await?;
        found.map_err(SearchError::Look)
    }

    /// Tells the operator what stood in the way of a script; returns what was found.
    pub(super) fn tell_barrier(&self, searched: Searched, request: &Request<'_>) -> Found {
        let Searched { found, barrier } = searched;
        if let Some(barrier) = barrier.filter(Barrier::is_worth_a_line) {
            let outcome = match found {
                Found::Forbidden => "403",
                Found::Nothing => "404",
                _ => "a script is passed over",
            };
            let (route, request) = (&self.route, request.head.in_log());
            limited::warn(format_args!("{route}: {request}: {outcome}: {barrier}"));
        }
        found
    }

    /// The response if it is not known what the path leads to.
    pub(super) fn unsearched(
        &self,
        error: &SearchError,
        request: &Request<'_>,
    ) -> Response<'static> {
        let (request, chain) = (request.head.in_log(), diagnostic::chain(error));
        diagnostic::error_of(&self.route, format_args!("{request}: {chain}"));
        match error {
            SearchError::Blocking(BlockingError::Saturated | BlockingError::NoThread) => {
                Response::busy()
            }
            _ => Response::problem(Status::INTERNAL_SERVER_ERROR),
        }
    }
}
