//! The response that lists a directory.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::directory;
use super::error::FilesError;
use super::listing::{Renderer, Sort};
use super::look::FilesRoute;
use super::worker_state::WorkerState;
use crate::disk::beneath;
use crate::disk::beneath::Waiting;
use crate::http::fields::Known;
use crate::http::path::NormalPath;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Blocks, Content, Octets};
use crate::message::format::Format;
use crate::message::request::Request;
use crate::message::response::Response;

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
            let root = beneath::open_root(&route.options.root, Waiting::Allowed)?;
            let entries = directory::read(root.as_fd(), &beneath)?;
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
