//! Faults that were found by use, each with its story: a test here failed on the version that had it.
//!
//! A fault whose neighbours have a module of their own (ranges, listings, reloads, …) may be tested
//! there instead, with its story as a comment.

// The process: what it deletes, what kills it, what keeps it from stopping; reload, upgrade, watch.
mod process;
// Framing, fields, paths and answers of HTTP itself.
mod http;
// Files: validators, links, types, caches.
mod files;
// What is kept of files, and for how long.
mod caches;
// What is sent of files: types, codings, listings, error pages.
mod representations;
// CGI, FastCGI and PHP.
mod scripts;
// `check`, `explain` and `[[test]]`: what is told is what happens.
mod config;
// The access log and the diagnostics.
mod log;
