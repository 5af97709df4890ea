//! `X-Sendfile` and `X-Accel-Redirect`: a script names a file. The server sends the file instead of
//! the script's content, and handles ranges and conditions.

use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::model::Fastcgi;
use crate::disk::absence::Absence;
use crate::disk::beneath::{Links, Opened, Waiting, open_beneath, open_root};
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
    #[error("{0:?} is not beneath the root")]
    Outside(String),
    #[error("{0:?} is not there, or not a file")]
    Missing(String),
    #[error("{0:?} cannot be read")]
    Unreadable(String, #[source] io::Error),
    #[error("nobody could look")]
    Blocking(#[from] BlockingError),
}

/// Takes the name of the file out of `head`, if there is one, as a path beneath the root.
///
/// `X-Sendfile` holds a path of the file system, `X-Accel-Redirect` a URL path below the route.
///
/// # Errors
/// A name that leads out of the root.
pub(super) fn take_name(
    head: &mut ScriptHead,
    options: &Fastcgi,
) -> Result<Option<Vec<u8>>, SentFileError> {
    let outside = |name: &[u8]| SentFileError::Outside(String::from_utf8_lossy(name).into_owned());
    let sendfile = head.take_field("X-Sendfile");
    let accel = head.take_field("X-Accel-Redirect");
    // The others tell the server how to send the file, and are not for clients either.
    head.fields.retain(|line| !is_for_the_server(&line.name));
    if let Some(name) = sendfile {
        let root = options.root.as_os_str().as_encoded_bytes();
        let beneath = match name.strip_prefix(root) {
            Some([b'/', rest @ ..]) => Some(rest),
            _ if name.starts_with(b"/") => None,
            _ => Some(&name[..]),
        };
        return beneath
            .map(|path| Some(path.to_vec()))
            .ok_or_else(|| outside(&name));
    }
    let Some(name) = accel else {
        return Ok(None);
    };
    let path = name.split(|byte| *byte == b'?').next().unwrap_or_default();
    if !path.starts_with(b"/") {
        return Err(outside(&name));
    }
    let path = NormalPath::parse(path).map_err(|_| outside(&name))?;
    Ok(Some(path.as_bytes()[1..].to_vec()))
}

/// Whether a field is one of the family of `X-Accel-Redirect`, such as `X-Accel-Buffering`.
fn is_for_the_server(name: &str) -> bool {
    const FAMILY: &[u8] = b"X-Accel-";
    let start = name.as_bytes().get(..FAMILY.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(FAMILY))
}

/// The response of `head`, with the file at `path` beneath the root as its content.
///
/// # Errors
/// Why the file is not sent.
pub(super) async fn answer(
    head: ScriptHead,
    path: Vec<u8>,
    options: &Arc<Fastcgi>,
    request: &Request<'_>,
    disk: &BlockingPool,
) -> Result<Response<'static>, SentFileError> {
    let name = String::from_utf8_lossy(&path).into_owned();
    let open = {
        let (options, path) = (Arc::clone(options), path.clone());
        move |waiting| open(&options, &path, waiting)
    };
    match now_or_on_pool(disk, open).await? {
        Ok(opened) if opened.kind == Kind::File => Ok(with_file(head, &path, opened, request)),
        Ok(_) => Err(SentFileError::Missing(name)),
        Err(error) => Err(match Absence::of(&error) {
            Some(Absence::NameMissing | Absence::Unusable) => SentFileError::Missing(name),
            Some(Absence::Outside) => SentFileError::Outside(name),
            Some(Absence::Forbidden) | None => SentFileError::Unreadable(name, error),
        }),
    }
}

fn open(options: &Fastcgi, path: &[u8], waiting: Waiting) -> io::Result<Opened> {
    let root = open_root(&options.root, waiting)?;
    open_beneath(root.as_fd(), path, Links::Followed, waiting)
}

fn with_file(
    mut head: ScriptHead,
    path: &[u8],
    opened: Opened,
    request: &Request<'_>,
) -> Response<'static> {
    let identity = opened.identity;
    let content_type = head.take_field("Content-Type").map_or_else(
        || media_type::for_path(path).into_owned(),
        |value| String::from_utf8_lossy(&value).into_owned(),
    );
    // These describe the content that the script has not sent.
    for name in ["ETag", "Last-Modified", "Accept-Ranges"] {
        head.take_field(name);
    }
    let representation = Metadata {
        content_type,
        content_coding: None,
        entity_tag: identity.entity_tag(ContentCoding::Identity),
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
        Status::OK if is_read => representation.answer(request.head),
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
