//! HTTP semantics and messages (RFC 9110, RFC 9112) as pure values and functions.
//!
//! Bytes in, values out: this room knows no socket, no file, no clock, no configuration. A table of
//! bytes beside the code tests everything in it.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | the request line and the header section | [`request`], [`target`], [`path`], [`raw_path`], [`query`], [`fields`], [`method`], [`version`], [`error`] |
//! | where a message ends, what its content is | [`framing`], [`content`], [`chunked`] |
//! | the head of a response | [`status`], [`response`]; of an upstream's, [`received_response`] |
//! | field lines that are changed before they are sent | [`field_list`] |
//! | who may set which field | [`field_roles`] |
//! | what `Proxy-Status` says | [`proxy_status`] |
//! | text with variables that a request fills | [`template`] |
//! | which representation, and how much of it | [`negotiation`], [`precondition`], [`range`], [`validator`] |
//! | whether content is compressed for the client | [`compression`] |
//! | what a field value is made of | [`date`], [`list`], [`media_type`], [`multipart`], [`cookies`], [`forwarded`], [`trace_context`] |
//! | the address of a peer as text | [`address_text`] |
//! | a URL that this server asks itself | [`http_url`] |

pub(crate) mod address_text;
pub(crate) mod chunked;
pub(crate) mod compression;
pub(crate) mod content;
pub(crate) mod cookies;
pub(crate) mod date;
pub(crate) mod error;
pub(crate) mod field_list;
pub(crate) mod field_roles;
pub(crate) mod fields;
pub(crate) mod forwarded;
pub(crate) mod framing;
pub(crate) mod http_url;
pub(crate) mod list;
pub(crate) mod media_type;
pub(crate) mod method;
pub(crate) mod multipart;
pub(crate) mod negotiation;
pub(crate) mod path;
pub(crate) mod precondition;
pub(crate) mod proxy_status;
pub(crate) mod query;
pub(crate) mod range;
pub(crate) mod raw_path;
pub(crate) mod received_response;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod status;
pub(crate) mod target;
pub(crate) mod template;
pub(crate) mod trace_context;
pub(crate) mod validator;
pub(crate) mod version;
