//! What `check` tells of compressed files that are never sent.

use std::collections::HashSet;

use crate::config::model::{Config, Files, Verb};
use crate::handlers::passed_over_beneath;

/// Returns a line for each compressed file beside a file of a route that is never sent in its place.
pub(crate) fn passed_over_siblings(config: &Config) -> Vec<String> {
    let routes = config.servers.iter().flat_map(|server| &server.routes);
    let files = routes.filter_map(|route| match &route.verb {
        Verb::Files(files) => Some(files.clone()),
        Verb::Fastcgi(fastcgi) if fastcgi.static_files => Some(fastcgi.files()),
        _ => None,
    });
    let mut seen = HashSet::new();
    let is_new = |files: &Files| seen.insert((files.root.clone(), files.types.clone()));
    let mut lines: Vec<String> = files
        .filter(Files::sends_siblings)
        .filter(is_new)
        .flat_map(|files| passed_over_beneath(&files))
        .map(|passed_over| passed_over.to_string())
        .collect();
    lines.sort();
    lines.dedup();
    lines
}
