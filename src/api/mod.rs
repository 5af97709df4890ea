//! What other people's code sees: a request, a response, and the trait between them.
//!
//! All values are owned and may move between threads. Nothing here knows sockets, the event loop or
//! the configuration. `config` holds the name and the options of a handler, `generation` has the
//! factory make an instance of them, and `handlers::plugin` calls the instance.

mod content;
mod ending;
mod ends;
mod error;
mod handler;
mod later;
mod made;
mod options;
mod query;
mod registry;
mod request;
mod response;
mod stream;
mod tls;
mod trial;

pub use content::Content;
pub(crate) use content::{ContentSource, Unreadable};
pub use ending::{EndReason, Ending};
pub(crate) use ending::{Life, RouteLife};
pub use error::Error;
pub use handler::Handler;
pub use later::Reply;
pub(crate) use later::{Later, UNDECIDED};
pub(crate) use made::{Body, Made, MadeHead, Refused};
pub use options::{Options, OptionsError};
pub use registry::Handlers;
pub(crate) use registry::{HandlerSpec, Instance};
pub(crate) use request::Received;
pub use request::Request;
pub use response::Response;
pub(crate) use stream::Pump;
pub use stream::StreamWriter;
pub use tls::{ClientCertificate, Tls};
