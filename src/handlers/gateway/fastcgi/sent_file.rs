//! `X-Sendfile` and `X-Accel-Redirect`: a script names a file. The server sends the file instead of
//! the script's content, and handles ranges and conditions.
//!
//! ```text
//! X-Sendfile: /srv/site/a.pdf        a path of the file system, beneath the root or a directory of
//!                                    send_files, with links or without
//! X-Sendfile: a.pdf                  a path beneath the root
//! X-Accel-Redirect: /app/a.pdf       on the route /app: a.pdf beneath the root
//! X-Accel-Redirect: /protected/a.pdf a.pdf beneath the directory that send_files calls /protected
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::config::model::{Fastcgi, Types};
use crate::disk::absence::Absence;
use crate::disk::beneath::{Opened, Root, Waiting};
use crate::disk::identity::Kind;
use crate::disk::now_or_on_pool;
use crate::handlers::gateway::script_response::ScriptHead;
use crate::http::media_type;
use crate::http::method::Method;
use crate::http::negotiation::ContentCoding;
use crate::http::path::NormalPath;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::representation::{Body, Metadata};
use crate::message::request::Request;
use crate::message::response::Response;
use crate::runtime::{BlockingError, BlockingPool};

/// Why the file that a script named is not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SentFileError {
    #[error("{0:?} is not beneath {1}")]
    Outside(String, &'static str, #[source] Option<io::Error>),
    #[error("{0:?} is a script by its name, and the source of a script is not sent")]
    Script(String),
    #[error("{0:?} is not there, or not a file")]
    Missing(String),
    #[error("{0:?} cannot be read")]
    Unreadable(String, #[source] io::Error),
    #[error("the disk could not be asked")]
    Blocking(#[from] BlockingError),
}

/// A file, as a script names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileName {
    /// `X-Sendfile`: a path of the file system, or a path beneath the root.
    Path(Vec<u8>),
    /// `X-Accel-Redirect`: a path of a URL, decoded and normal, and how many octets of it are the
    /// route's own path.
    Url(Vec<u8>, usize),
}

/// Takes the name of the file out of `head`, if there is one. `covered` is the path of the route.
///
/// # Errors
/// A name that is no path.
pub(super) fn take_name(
    head: &mut ScriptHead,
    covered: &[u8],
    options: &Fastcgi,
) -> Result<Option<FileName>, SentFileError> {
    let sendfile = head.take_field("X-Sendfile");
    let accel = head.take_field("X-Accel-Redirect");
    // The others tell the server how to send the file, and are not for clients either.
    head.fields.retain(|line| !is_for_the_server(&line.name));
    if let Some(path) = sendfile {
        return Ok(Some(FileName::Path(path)));
    }
    let Some(name) = accel else {
        return Ok(None);
    };
    let path = name.split(|byte| *byte == b'?').next().unwrap_or_default();
    // The file's name holds no slash, however it is written.
    let decoded = || NormalPath::parse(path).ok()?.with_slashes_decoded();
    let path = path.starts_with(b"/").then(decoded);
    match path.flatten() {
        Some(path) => {
            let path = path.as_bytes().to_vec();
            let is_of_route = beneath(&path, covered).is_some();
            let covered = if is_of_route { covered.len() } else { 0 };
            Ok(Some(FileName::Url(path, covered)))
        }
        None => Err(outside(&name, options, None)),
    }
}

/// Whether a field is one of the family of `X-Accel-Redirect`, such as `X-Accel-Buffering`.
fn is_for_the_server(name: &str) -> bool {
    const FAMILY: &[u8] = b"X-Accel-";
    let start = name.as_bytes().get(..FAMILY.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(FAMILY))
}

/// The error for a name that leads elsewhere; `barrier` says what is in the way, if that is known.
fn outside(name: &[u8], options: &Fastcgi, barrier: Option<io::Error>) -> SentFileError {
    let directories = match (options.sendfile, &options.send_files[..]) {
        (true, []) => "the root",
        (true, _) => "the root or a directory of send_files",
        (false, _) => "a directory of send_files",
    };
    SentFileError::Outside(
        String::from_utf8_lossy(name).into_owned(),
        directories,
        barrier,
    )
}

/// What follows `directory` in `path`, without the slash between them.
fn beneath<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    path.strip_prefix(directory)?.strip_prefix(b"/")
}

impl FileName {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Path(name) | Self::Url(name, _) => name,
        }
    }

    /// The paths beneath the directory at `path` that the name may mean. `is_root` says whether it is
    /// the root; `url` is how `X-Accel-Redirect` calls the directory.
    fn paths_beneath(&self, path: &Path, is_root: bool, url: Option<&str>) -> Vec<&[u8]> {
        let by_path = beneath(self.as_bytes(), path.as_os_str().as_encoded_bytes());
        match self {
            Self::Path(name) if is_root && !name.starts_with(b"/") => vec![name],
            Self::Path(_) => by_path.into_iter().collect(),
            // Below the route, or counted from the root: both have been custom.
            Self::Url(name, covered @ 1..) if is_root => vec![&name[covered + 1..], &name[1..]],
            Self::Url(name, 0) if is_root => vec![&name[1..]],
            Self::Url(name, _) => match url {
                Some(url) => beneath(name, url.as_bytes()).into_iter().collect(),
                None => by_path.into_iter().collect(),
            },
        }
    }
}

/// The response of `head`, with the file that it called `name` as its content.
///
/// # Errors
/// Why the file is not sent.
pub(super) async fn answer(
    head: ScriptHead,
    name: FileName,
    options: &Arc<Fastcgi>,
    request: &Request<'_>,
    disk: &BlockingPool,
) -> Result<Response<'static>, SentFileError> {
    let shown = String::from_utf8_lossy(name.as_bytes()).into_owned();
    // In a directory of `send_files` too: it may hold the root, or be beneath it.
    if !options.may_be_sent(name.as_bytes()) {
        return Err(SentFileError::Script(shown));
    }
    let open = {
        let (options, name) = (Arc::clone(options), name.clone());
        move |waiting| open(&options, &name, waiting)
    };
    match now_or_on_pool(disk, open).await? {
        Ok(Some(opened)) if opened.kind == Kind::File => Ok(with_file(
            head,
            name.as_bytes(),
            opened,
            request,
            &options.types,
        )),
        Ok(Some(_)) => Err(SentFileError::Missing(shown)),
        Ok(None) => Err(outside(name.as_bytes(), options, None)),
        Err(error) => Err(match Absence::of(&error) {
            Some(Absence::NameMissing | Absence::Unusable) => SentFileError::Missing(shown),
            Some(Absence::Outside) => outside(name.as_bytes(), options, Some(error)),
            Some(Absence::Forbidden) | None => SentFileError::Unreadable(shown, error),
        }),
    }
}

/// Opens the file called `name` beneath the first directory that has it. `None` if the name leads
/// beneath none of them.
fn open(options: &Fastcgi, name: &FileName, waiting: Waiting) -> io::Result<Option<Opened>> {
    let root = options.sendfile.then_some((&options.root, true, None));
    let further = options.send_files.iter();
    let further = further.map(|further| (&further.path, false, further.url.as_deref()));
    let mut missing = None;
    for (path, is_root, url) in root.into_iter().chain(further) {
        let directory = Root::open(path, &options.links, waiting)?;
        let mut paths = name.paths_beneath(path, is_root, url);
        // Code that asks where it is gets a path without links (PHP's `__DIR__`).
        let resolved = resolved(path, waiting);
        if let (true, Some(resolved)) = (paths.is_empty(), &resolved) {
            paths = name.paths_beneath(resolved, is_root, url);
        }
        for path in paths {
            match directory.open_beneath(path, waiting) {
                Ok(opened) => return Ok(Some(opened)),
                Err(error) => match Absence::of(&error) {
                    Some(Absence::NameMissing) => missing = missing.or(Some(error)),
                    _ => return Err(error),
                },
            }
        }
    }
    match (missing, waiting) {
        // The directories have not been resolved.
        (_, Waiting::Never) => Err(io::ErrorKind::WouldBlock.into()),
        (Some(error), Waiting::Allowed) => Err(error),
        (None, Waiting::Allowed) => Ok(None),
    }
}

/// The path of a directory without links, where that may be waited for.
fn resolved(path: &Path, waiting: Waiting) -> Option<PathBuf> {
    match waiting {
        Waiting::Never => None,
        Waiting::Allowed => path.canonicalize().ok(),
    }
}

fn with_file(
    mut head: ScriptHead,
    path: &[u8],
    opened: Opened,
    request: &Request<'_>,
    types: &Types,
) -> Response<'static> {
    let identity = opened.identity;
    let content_type = head.take_field("Content-Type").map_or_else(
        || types.for_path(path).into_owned(),
        |value| String::from_utf8_lossy(&value).into_owned(),
    );
    let coding = media_type::coding_of(path);
    // These describe the content that the script has not sent.
    for name in ["ETag", "Last-Modified", "Accept-Ranges"] {
        head.take_field(name);
    }
    let representation = Metadata {
        content_type,
        content_coding: coding.filter(|_| !head.fields.has("Content-Encoding")),
        entity_tag: identity.entity_tag(ContentCoding::Identity),
        is_made: false,
        last_modified: identity.last_modified(),
        cache_control: None,
        varies: false,
    }
    .encode(Body::File {
        file: Rc::new(opened.fd),
        length: identity.size,
    });
    let is_read = matches!(request.head.method, Method::Get | Method::Head);
    let answer = match head.status {
        Status::OK if is_read => representation.answer(request.head, request.changes),
        // Ranges and conditions are for a 200 to GET or HEAD.
        status => Response {
            status,
            ..representation.whole()
        },
    };
    let mut fields = FieldLines::new();
    fields.extend(&answer.fields);
    fields.extend(head.field_lines().as_bytes());
    Response {
        fields: fields.into(),
        ..answer
    }
}
