//! The response that lists a directory.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use super::directory;
use super::error::FilesError;
use super::listing::{Entry, Renderer, View};
use super::listings::ListingKey;
use super::look::FilesRoute;
use super::worker_state::WorkerState;
use crate::disk::beneath::{Root, Waiting};
use crate::disk::on_pool;
use crate::http::fields::Known;
use crate::http::path::NormalPath;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::content::{Content, FileRange, Octets};
use crate::message::format::Format;
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};
use crate::message::selected::Selected;
use crate::runtime;

/// Octets of a listing that are kept in memory until the client has taken them.
const MAX_IN_MEMORY: usize = 64 * 1024;

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
        let key = ListingKey {
            route: self.id,
            shown: request.path.as_bytes().to_vec(),
            format,
            view: View::from_query(request.head.target.query.unwrap_or_default()),
        };
        let asked = runtime::now();
        let period = self.options.revalidate;
        let shared = state.listings.borrow().find(&key, (asked, asked), period);
        let content = match shared {
            Some((file, length)) => of_file(file, length),
            None => match self.render(path, &key, state).await? {
                Page::Memory(page) => Content::Octets(Octets::Owned(page)),
                Page::File { file, length } => {
                    let now = runtime::now();
                    let mut listings = state.listings.borrow_mut();
                    // Other requests may have had the same listing rendered meanwhile.
                    match listings.find(&key, (asked, now), period) {
                        Some((file, length)) => of_file(file, length),
                        None => of_file(listings.add(key, file, length, now)?, length),
                    }
                }
            },
        };
        let fields = FieldLines::new()
            .with("Content-Type", format.content_type())
            .with("Vary", "Accept")
            .with("X-Content-Type-Options", "nosniff");
        Ok(Response {
            status: Status::OK,
            fields: fields.into(),
            content,
            common: CommonFields::DateAndServer,
        })
    }

    /// Has the pool read the directory and render its listing.
    async fn render(
        self: &Arc<Self>,
        path: &NormalPath<'_>,
        key: &ListingKey,
        state: &WorkerState,
    ) -> Result<Page, FilesError> {
        let (route, key) = (Arc::clone(self), key.clone());
        let beneath = path.as_bytes().to_vec();
        let rendered = on_pool(&state.disk, move || render(&route, key.clone(), &beneath)).await?;
        rendered.map_err(|source| FilesError::reading(self, path.as_bytes(), source))
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

/// A listing, rendered.
enum Page {
    Memory(Vec<u8>),
    /// In a temporary file without a name.
    File {
        file: OwnedFd,
        length: u64,
    },
}

/// Reads the directory at `path` beneath the root and renders its listing. It may wait for the disk.
fn render(route: &FilesRoute, key: ListingKey, path: &[u8]) -> io::Result<Page> {
    let entries = route.entries(path)?;
    let archives = &route.options.archives;
    let listing = Renderer::new(key.format, key.shown, key.view, entries);
    let mut listing = listing.offering(archives);
    let mut page = Vec::new();
    while page.len() < MAX_IN_MEMORY {
        if !listing.next_block(&mut page) {
            return Ok(Page::Memory(page));
        }
    }
    let Ok(mut file) = tempfile::tempfile() else {
        // Without a directory for temporary files, as in an empty container, memory must do.
        while listing.next_block(&mut page) {}
        return Ok(Page::Memory(page));
    };
    let length = write(&mut file, page, &mut listing)?;
    let file = file.into();
    Ok(Page::File { file, length })
}

/// Writes `page` and what follows it of `listing`; how many octets that is.
fn write(file: &mut File, mut page: Vec<u8>, listing: &mut Renderer) -> io::Result<u64> {
    let mut length = 0;
    loop {
        file.write_all(&page)?;
        length += page.len() as u64;
        page.clear();
        if !listing.next_block(&mut page) && page.is_empty() {
            return Ok(length);
        }
    }
}

fn of_file(file: Rc<OwnedFd>, length: u64) -> Content<'static> {
    Content::File(FileRange {
        file,
        start: 0,
        end: length,
    })
}
