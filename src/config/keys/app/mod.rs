//! `[apps.NAME]`: applications whose processes this server runs.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | the keys of an application | [`entry`] |
//! | the program that a command names | [`program`] |
//! | the one name space of applications and upstreams | [`upstream::Known`](super::upstream::Known) |

mod entry;
mod program;

pub(crate) use entry::show_app;
pub(super) use entry::{TABLE, app};
