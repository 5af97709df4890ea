//! Notes over HTTP, kept in SQLite.
//!
//! ```text
//! GET    /notes        the newest first; ?limit=N and ?before=ID page through them
//! POST   /notes        {"text": "…"}: 201, with Location and ETag
//! GET    /notes/{id}   one of them, with ETag
//! PUT    /notes/{id}   {"text": "…"}: replaced; If-Match guards against lost updates
//! DELETE /notes/{id}   204
//! ```
//!
//! `cargo run -p notes -- run --config examples/notes/config.toml`, then
//! `curl --json '{"text":"high water at six"}' http://localhost:8080/notes`.

mod store;

use std::error::Error as StdError;
use std::io::Read as _;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tidegate::{
    Error, Handler, Handlers, Method, Options, OptionsError, Request, Response, Status,
};

use store::{Note, Store};

/// Bytes of a note's text.
const MAX_TEXT: usize = 10_000;

/// Notes told at once, unless the client asks for fewer.
const MAX_PAGE: u32 = 100;

/// What a client sends to create or replace a note.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    text: String,
}

/// What is told of mistakes.
#[derive(Serialize)]
struct Problem<'p> {
    error: &'p str,
}

struct Notes {
    store: Store,
}

impl Notes {
    /// The factory: `options = { database = "notes.db" }`.
    fn new(options: &Options) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        options.only(&["database"])?;
        let path = options.path("database")?;
        let path = path.ok_or_else(|| OptionsError::new("`database` is missing"))?;
        let store = Store::open(&path).map_err(|error| {
            OptionsError::at(
                "database",
                format!("cannot open {}: {error}", path.display()),
            )
        })?;
        Ok(Self { store })
    }

    fn list(&self, request: &Request) -> Result<Response, Error> {
        let number = |name: &str| request.query_value(name).map(|value| value.parse::<u32>());
        let (limit, before) = match (number("limit").transpose(), number("before").transpose()) {
            (Ok(limit), Ok(before)) => (limit.unwrap_or(MAX_PAGE), before.unwrap_or(u32::MAX)),
            _ => {
                return problem(
                    Status::BAD_REQUEST,
                    "`limit` and `before` are whole numbers",
                );
            }
        };
        let notes = self.store.list(before.into(), limit.min(MAX_PAGE))?;
        Ok(Response::json(serde_json::to_string(&notes)?))
    }

    fn create(&self, request: &mut Request) -> Result<Response, Error> {
        let draft = match read_draft(request)? {
            Ok(draft) => draft,
            Err(refusal) => return Ok(refusal),
        };
        let note = self.store.create(&draft.text)?;
        let location = format!("/notes/{}", note.id);
        Ok(show(&note)?
            .status(Status::CREATED)
            .field("Location", location))
    }

    fn read(&self, id: i64) -> Result<Response, Error> {
        match self.store.read(id)? {
            Some(note) => show(&note),
            None => problem(Status::NOT_FOUND, "there is no such note"),
        }
    }

    /// `change` runs while no other request writes, with what the note is then.
    fn change(&self, request: &Request, id: i64, text: Option<&str>) -> Result<Response, Error> {
        let outcome = self.store.change(id, text, |current| {
            request.check_preconditions(Some(&tag(current)))
        })?;
        match outcome {
            None => problem(Status::NOT_FOUND, "there is no such note"),
            Some(Err(failed)) => Err(failed),
            Some(Ok(Some(note))) => show(&note),
            Some(Ok(None)) => Ok(Response::new(Status::NO_CONTENT)),
        }
    }

    fn replace(&self, request: &mut Request, id: i64) -> Result<Response, Error> {
        match read_draft(request)? {
            Ok(draft) => self.change(request, id, Some(&draft.text)),
            Err(refusal) => Ok(refusal),
        }
    }
}

impl Handler for Notes {
    fn handle(&self, mut request: Request) -> Result<Response, Error> {
        let id = request.parameter("id").map(str::parse::<i64>);
        match (request.method(), id) {
            (_, Some(Err(_))) => problem(Status::NOT_FOUND, "a note has a number"),
            (Method::Get | Method::Head, None) => self.list(&request),
            (Method::Post, None) => self.create(&mut request),
            (Method::Get | Method::Head, Some(Ok(id))) => self.read(id),
            (Method::Put, Some(Ok(id))) => self.replace(&mut request, id),
            (Method::Delete, Some(Ok(id))) => self.change(&request, id, None),
            (_, id) => {
                let methods = if id.is_some() {
                    "GET, HEAD, PUT, DELETE"
                } else {
                    "GET, HEAD, POST"
                };
                Ok(Response::new(Status::METHOD_NOT_ALLOWED).field("Allow", methods))
            }
        }
    }
}

/// The draft in a request; or what to say of it. The server itself answers a client that sends too much.
fn read_draft(request: &mut Request) -> Result<Result<Draft, Response>, Error> {
    let media_type = request.field("Content-Type").unwrap_or_default();
    if !media_type.starts_with("application/json") {
        return problem(Status::UNSUPPORTED_MEDIA_TYPE, "send application/json").map(Err);
    }
    let mut content = Vec::new();
    request.content().read_to_end(&mut content)?;
    let draft: Draft = match serde_json::from_slice(&content) {
        Ok(draft) => draft,
        Err(error) => return problem(Status::BAD_REQUEST, &error.to_string()).map(Err),
    };
    match draft.text.len() {
        1..=MAX_TEXT => Ok(Ok(draft)),
        _ => problem(Status::UNPROCESSABLE_CONTENT, "`text` has 1 to 10000 bytes").map(Err),
    }
}

fn show(note: &Note) -> Result<Response, Error> {
    Ok(Response::json(serde_json::to_string(note)?).field("ETag", tag(note)))
}

/// Changes with the note, and with nothing else.
fn tag(note: &Note) -> String {
    format!("\"{}\"", note.version)
}

fn problem(status: Status, error: &str) -> Result<Response, Error> {
    Ok(Response::json(serde_json::to_string(&Problem { error })?).status(status))
}

fn main() -> ExitCode {
    let mut handlers = Handlers::new();
    handlers.register("notes", Notes::new);
    tidegate::main(std::env::args_os(), &handlers)
}
