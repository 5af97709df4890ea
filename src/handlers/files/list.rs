//! The response that lists a directory.

use std::io;
use std::sync::Arc;

use super::directory;
use super::error::FilesError;
use super::listing::{Entry, Renderer, Sort};
use super::look::FilesRoute;
use super::worker_state::WorkerState;
use crate::disk::beneath::{Root, Waiting};
use crate::http::fields::Known;
use crate::http::path::NormalPath;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::content::{Blocks, Content, Octets};
use crate::message::format::Format;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::message::selected::Selected;

impl FilesRoute {
    /// The listing of the directory at `path`, in the form the client prefers.
    pub(super) async fn list(
        self: &Arc<Self>,
        path: &NormalPath<'_>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Response<'static>, FilesError> {
        let accept = request.head.fields.combined(Known::Accept);
        let format = Format::preferred(accept.as_deref());
        let sort = Sort::from_query(request.head.target.query.unwrap_or_default());
        let (shown, beneath) = (request.path.as_bytes().to_vec(), path.as_bytes().to_vec());
        let route = Arc::clone(self);
        let rendered = state.disk.run(move || {
            let entries = route.entries(&beneath)?;
            let mut listing = Renderer::new(format, shown, sort, entries);
            let mut first = Vec::new();
            let is_longer = listing.next_block(&mut first);
            Ok((first, is_longer.then_some(listing)))
        });
        let (first, rest) = rendered
            .await?
            .map_err(|source| FilesError::reading(self, path.as_bytes(), source))?;
        let fields = FieldLines::new()
            .with("Content-Type", format.content_type())
            .with("Vary", "Accept")
            .with("X-Content-Type-Options", "nosniff");
        let content = match rest {
            None => Content::Octets(Octets::Owned(first)),
            Some(listing) => Content::Blocks(Box::new(ListingBlocks { first, listing })),
        };
        Ok(Response {
            status: Status::OK,
            fields: fields.into(),
            content,
        })
    }

    /// What stands in the way of a listing of the directory at `path`, if anything does.
    pub(super) async fn selected_listing(
        self: &Arc<Self>,
        path: &NormalPath<'_>,
        state: &WorkerState,
    ) -> Selected {
        let (route, path) = (Arc::clone(self), path.as_bytes().to_vec());
        match state.disk.run(move || route.entries(&path)).await {
            Ok(Ok(_)) => Selected::default(),
            Ok(Err(error)) => Selected::nothing(error.to_string()),
            Err(error) => Selected::nothing(diagnostic::chain(&error)),
        }
    }

    /// The entries of the directory at `path`. It may wait for the disk.
    fn entries(&self, path: &[u8]) -> io::Result<Vec<Entry>> {
        let root = Root::open(&self.options.root, &self.options.links, Waiting::Allowed)?;
        directory::read(&root, path)
    }
}

/// The content of a listing that is longer than one block.
struct ListingBlocks {
    /// The first block, which the blocking pool rendered after it read the directory.
    first: Vec<u8>,
    listing: Renderer,
}

impl Blocks for ListingBlocks {
    fn next_block(&mut self, out: &mut Vec<u8>) -> bool {
        if self.first.is_empty() {
            return self.listing.next_block(out);
        }
        out.append(&mut self.first);
        true
    }
}
