//! Finds what a path leads to: how a request becomes a [`Search`], and what the operator is told of it.

use std::io;
use std::sync::Arc;

use super::script::{Found, Script, Search, Searched, Start};
use super::{FastcgiHandler, Worker};
use crate::disk::barrier::{Barrier, is_of_lack};
use crate::disk::now_or_on_pool;
use crate::http::status::Status;
use crate::log::{diagnostic, limited, secrets};
use crate::message::request::Request;
use crate::message::response::Response;
use crate::reason::Reason;
use crate::runtime::{self, BlockingError};

/// Why it is not known what a path leads to.
#[derive(Debug, thiserror::Error)]
pub(super) enum SearchError {
    #[error("cannot look for a script")]
    Look(#[source] io::Error),
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl FastcgiHandler {
    /// What the path leads to: a script that was found a moment ago, or by a look at the disk that
    /// may wait on the pool.
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
        let (path, now) = (request.path.stripped(), runtime::now());
        let path = path.as_bytes();
        let known = match start {
            Start::Beneath => worker.scripts.borrow().find(self.id, path, now),
            Start::RootWithoutSlash | Start::OnlyPath => None,
        };
        if let Some(script) = known {
            return Ok(Searched {
                found: Found::Script(script),
                barrier: None,
            });
        }
        let search = Search {
            options: Arc::clone(&self.options),
            start,
            path: path.to_vec(),
        };
        let searched = now_or_on_pool(worker.disk, move |waiting| search.run(waiting)).await?;
        let searched = searched.map_err(SearchError::Look)?;
        // What stands in the way is told each time.
        if let (Found::Script(script), None) = (&searched.found, &searched.barrier)
            && start == Start::Beneath
        {
            let mut scripts = worker.scripts.borrow_mut();
            scripts.remember(self.id, path, script, now);
        }
        Ok(searched)
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
            let (route, request) = (&self.route, secrets::in_diagnostics(request.head));
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
        let (request, chain) = (
            secrets::in_diagnostics(request.head),
            diagnostic::chain(error),
        );
        diagnostic::error_of(&self.route, format_args!("{request}: {chain}"));
        match error {
            SearchError::Blocking(BlockingError::Saturated | BlockingError::NoThread) => {
                Response::busy(Reason::ThreadsBusy)
            }
            SearchError::Look(error) if is_of_lack(error) => Response::busy(Reason::SystemShortage),
            _ => Response::problem_of(Status::INTERNAL_SERVER_ERROR, Reason::ScriptUnreadable),
        }
    }
}
