//! What other people's code sees: a request, a response, and the trait between them.
//!
//! All values are owned and may move between threads. Nothing here knows sockets, the event loop or
//! the configuration. `config` holds the name and the options of a handler, `generation` has the
//! factory make an instance of them, and `handlers::plugin` calls the instance.

mod content;
mod error;
mod handler;
mod options;
mod query;
mod registry;
mod request;
mod response;
mod stream;

pub use content::Content;
pub(crate) use content::{ContentSource, Unreadable};
pub use error::Error;
pub use handler::Handler;
pub use options::{Options, OptionsError};
pub use registry::Handlers;
pub(crate) use registry::{HandlerSpec, Instance};
pub use request::Request;
pub(crate) use request::{Gone, Received};
pub use response::Response;
pub(crate) use response::{Body, Made, MadeHead, Pump, Refused};
pub use stream::StreamWriter;
