//! Why no file or listing can be sent, and what the client hears of it.

use std::io;

use super::listings::NoRoom;
use super::look::FilesRoute;
use super::worker_state::WorkerState;
use crate::disk::absence::Absence;
use crate::disk::barrier::is_of_lack;
use crate::log::limited;
use crate::message::response::Response;
use crate::reason::Reason;
use crate::runtime::BlockingError;

/// Why no file or listing can be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    #[error("cannot read {path:?} beneath {root}")]
    Read {
        path: String,
        root: String,
        source: io::Error,
    },
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error("as many archives are being sent as may be at once")]
    ArchivesBusy,
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl FilesError {
    /// The error of reading what `path` leads to beneath the root of `route`.
    pub(super) fn reading(route: &FilesRoute, path: &[u8], source: io::Error) -> Self {
        Self::Read {
            path: String::from_utf8_lossy(path).into_owned(),
            root: route.options.root.display().to_string(),
            source,
        }
    }

    /// The response for an error. The client hears only whether the system forbids it, 403, or whether
    /// it may try again: 503, otherwise 500.
    pub(super) fn into_response(self, state: &WorkerState) -> Response<'static> {
        if let Self::Read { path, source, .. } = &self
            && Absence::of(source) == Some(Absence::Forbidden)
        {
            limited::warn(format_args!("403 for {path:?}: {source}"));
            return Response::problem(Reason::FilePermission);
        }
        state.complain(&self);
        match &self {
            Self::Blocking(BlockingError::Saturated | BlockingError::NoThread) => {
                Response::busy(Reason::ThreadsBusy)
            }
            Self::NoRoom(_) => Response::busy(Reason::ListingNoRoom),
            Self::ArchivesBusy => Response::busy(Reason::ArchivesBusy),
            Self::Read { source, .. } if is_of_lack(source) => {
                Response::busy(Reason::SystemShortage)
            }
            Self::Blocking(BlockingError::Panicked(_)) | Self::Read { .. } => {
                Response::problem(Reason::FileUnreadable)
            }
        }
    }
}
