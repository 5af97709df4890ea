//! `[upstreams.NAME]`: the servers that routes with `proxy` ask, and how one of them is chosen.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | the keys of an upstream | [`entry`] |
//! | an entry of `servers` | [`server`] |
//! | which upstreams there are, and who asks them | [`known`] |

mod entry;
mod known;
mod server;

pub(super) use entry::TABLE;
pub(crate) use entry::show_upstream;
pub(super) use known::Known;
pub(super) use server::{ABSENT, TABLE as SERVER_TABLE};
