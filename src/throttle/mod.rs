//! What holds clients back: how many requests they may make, how many connections they may have, and how
//! fast they are sent octets.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | when a request comes too early, as arithmetic | [`gcra`] |
//! | what is counted together, and its hash | [`key`] |
//! | the buckets of all workers, in bounded memory | [`table`] |
//! | a rate of `[rates.NAME]`, with its buckets | [`rate`] |
//! | the rates of a route, one after the other | [`rates`] |
//! | the connections of each client | [`clients`] |
//! | octets a second on a connection | [`pace`] |
//!
//! Nothing here reads a clock or waits: the caller says what time it is, and does the waiting.

pub(crate) mod clients;
mod gcra;
pub(crate) mod key;
pub(crate) mod pace;
pub(crate) mod rate;
pub(crate) mod rates;
mod table;
