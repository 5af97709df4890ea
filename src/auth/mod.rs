//! Passwords of users: a file of them as Apache's `htpasswd` writes it, and what clients send.
//!
//! ```text
//! Authorization ─→ Credentials ─→ Passwords ─┬─ remembered: known at once, on the loop
//!                                            └─ verify: on the pool, for as long as a hash takes
//! ```
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | what a client sends (RFC 7617) | [`credentials`] |
//! | the file, read again when it changes | [`passwords`] |
//! | its lines, and what is wrong with one | [`htpasswd`] |
//! | the hashes that it may have, and new ones | [`hash`], [`apr1`] |
//! | who was verified a moment ago | [`remembered`] |
//!
//! A password is nowhere but in the request that carries it and in the job that verifies it. No type here
//! that holds one can be printed.

mod apr1;
mod credentials;
mod hash;
mod htpasswd;
mod passwords;
mod remembered;

pub(crate) use credentials::MAX_LENGTH;
pub(crate) use credentials::{Credentials, Decoded, basic};
pub(crate) use hash::{Algorithm, MAX_BCRYPT_PASSWORD};
pub(crate) use htpasswd::check_name;
pub(crate) use passwords::{Passwords, Unusable};
