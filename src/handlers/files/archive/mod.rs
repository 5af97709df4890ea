//! `?archive=tar.gz`: a directory that is listed, as one file, made while it is sent.
//!
//! ```text
//! request ─ the directory is opened ─ a thread walks the tree ─ puts it into a form ─ pipe ─→ connection
//!           disk pool                 archives' pool: [`tree`]  [`tar`], [`zip`]             as the client takes it
//! ```
//!
//! The archive holds what listings show and what the route serves: [`tree`] decides. Its length is not known
//! before it is made, so it is sent in chunks; one that cannot be completed is broken off, and the client sees
//! that. A client that takes nothing has the thread wait; one that goes has it end with its next write.

mod names;
mod tar;
mod tree;
mod zip;

use std::cell::Cell;
use std::io::{self, BufWriter, Write};
use std::rc::Rc;
use std::sync::Arc;

use super::FilesHandler;
use super::error::FilesError;
use super::worker_state::WorkerState;
use crate::config::model::ArchiveForm;
use crate::disk::on_pool;
use crate::http::path::NormalPath;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::content::{BrokenOff, Content, ContentSource, ContentStream, LocalFuture};
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};
use crate::runtime::{BlockingError, Broken, Job, PipeWriter, TaskReader, pipe_to_task};

pub(crate) use tree::OwnPaths;
use tree::{Items, Tree, Wanted};

/// How much is collected before it goes into the pipe, in octets: headers are small.
const BUFFER: usize = 64 * 1024;

impl FilesHandler {
    /// The form of archive that `request` asks for, if the route makes it.
    pub(super) fn archive_form(&self, request: &Request<'_>) -> Option<ArchiveForm> {
        let query = request.head.target.query?;
        let parameters = query.split(|octet| *octet == b'&');
        let mut wanted = parameters.filter_map(|parameter| parameter.strip_prefix(b"archive="));
        let wanted = wanted.next_back()?;
        let mut forms = self.route.options.archives.iter().copied();
        forms.find(|form| form.as_str().as_bytes() == wanted)
    }

    /// The directory at `path` beneath the root, in `form`.
    ///
    /// # Errors
    /// As those of its listing; [`FilesError::ArchivesBusy`] if too many are being sent.
    pub(super) async fn archive(
        &self,
        form: ArchiveForm,
        path: &NormalPath<'_>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Response<'static>, FilesError> {
        let name = names::of_directory(request.path.as_bytes());
        let route = Arc::clone(&self.route);
        let wanted = Wanted {
            own_paths: self.own_paths.clone(),
            beneath: path.as_bytes().to_vec(),
            shown: request.path.as_bytes().to_vec(),
            name: name.clone(),
            form,
        };
        let open = move || Tree::open(Arc::clone(&route), wanted.clone());
        let opened = on_pool(&state.disk, open).await?;
        let tree =
            opened.map_err(|source| FilesError::reading(&self.route, path.as_bytes(), source))?;
        let content = if request.head.is_head() {
            ContentStream::unsent(None)
        } else {
            stream(tree, form, state)?
        };
        let file = format!("{name}.{}", form.as_str());
        let fields = FieldLines::new()
            .with("Content-Type", form.media_type())
            .with("Content-Disposition", names::attachment(&file))
            .with("X-Content-Type-Options", "nosniff");
        Ok(Response {
            status: Status::OK,
            fields: fields.into(),
            content: Content::Stream(content),
            common: CommonFields::DateAndServer,
        })
    }
}

/// Has a thread make the archive.
fn stream(
    tree: Tree,
    form: ArchiveForm,
    state: &WorkerState,
) -> Result<ContentStream<'static>, FilesError> {
    let (writer, reader) = pipe_to_task();
    let work = move || write(tree, form, writer);
    let job = state.archives.begin(work).map_err(|error| match error {
        BlockingError::Saturated => FilesError::ArchivesBusy,
        error => error.into(),
    })?;
    let source = ArchiveSource {
        reader,
        job: Some(job),
    };
    Ok(ContentStream::new(None, Box::new(source)))
}

/// Writes the archive of `tree` into `pipe`, once the connection wants some of it.
fn write(tree: Tree, form: ArchiveForm, mut pipe: PipeWriter<String>) {
    if !pipe.is_wanted() {
        return;
    }
    let is_faulty = Rc::new(Cell::new(false));
    let items = Items::new(tree, Rc::clone(&is_faulty));
    let gate = Gate {
        pipe: &mut pipe,
        is_faulty,
    };
    let out = BufWriter::with_capacity(BUFFER, gate);
    let written = match form {
        ArchiveForm::TarGz => tar::write(items, out),
        ArchiveForm::Zip => zip::write(items, out),
    };
    match written {
        Ok(()) => {}
        // The client has gone: nothing to report.
        Err(_) if pipe.is_abandoned() => {}
        Err(error) => pipe.break_off(diagnostic::chain(&error)),
    }
}

/// The pipe, until the archive cannot be completed. What writers of archives write when they are dropped, the
/// end of a whole archive, must not be sent then.
struct Gate<'p> {
    pipe: &'p mut PipeWriter<String>,
    is_faulty: Rc<Cell<bool>>,
}

impl Write for Gate<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.is_faulty.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.pipe.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An archive on its way.
struct ArchiveSource {
    reader: TaskReader<String>,
    /// What makes it, until it is made.
    job: Option<Job>,
}

impl ContentSource for ArchiveSource {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async move {
            let read = self.reader.read(into).await;
            if !matches!(read, Ok(true))
                && let Some(job) = self.job.take()
            {
                job.detach();
            }
            read.map_err(|broken| {
                BrokenOff::Maker(match broken {
                    Broken::Because(why) => format!("the archive could not be completed: {why}"),
                    Broken::Silently => "the thread that made the archive panicked".to_owned(),
                })
            })
        })
    }
}
