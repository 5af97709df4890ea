//! What the server and its handlers exchange: a request goes in, a response comes out.
//!
//! Values and rules of HTTP semantics on them; this room knows no socket, no configuration and no
//! handler.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | the request, its path, and what its exchange is known by | [`request`], [`routed_path`], [`marks`]: [`request_id`], [`trace`] |
//! | status, field lines and content of a response | [`response`], [`content`] |
//! | who a request is from, as far as that was verified | [`identity`] |
//! | what is known of its connection over TLS | [`secured`] |
//! | redirects to a path | [`location`] |
//! | what follows a change to another protocol | [`tunnel`] |
//! | what became of an exchange at an upstream, for its record | [`upstream_note`] |
//! | which file a handler selects | [`selected`] |
//! | ranges and preconditions of a representation | [`representation`], [`conditional`] |
//! | what the operator changes of a representation | [`changes`] |
//! | whether a route is still there for its streams and tunnels | [`presence`] |
//! | the server's own words for an error, in three forms | [`problem`], [`mod@format`] |

pub(crate) mod changes;
pub(crate) mod conditional;
pub(crate) mod content;
pub(crate) mod format;
pub(crate) mod identity;
pub(crate) mod location;
pub(crate) mod marks;
pub(crate) mod presence;
pub(crate) mod problem;
pub(crate) mod representation;
pub(crate) mod request;
pub(crate) mod request_id;
pub(crate) mod response;
pub(crate) mod routed_path;
pub(crate) mod secured;
pub(crate) mod selected;
pub(crate) mod trace;
pub(crate) mod tunnel;
pub(crate) mod upstream_note;
