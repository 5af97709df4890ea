//! Warns of scripts whose source a route sends: a `files` route beneath the root of a `fastcgi` route.
//!
//! The route of a site's style sheets alone, `"/wp-content" = { files = "wordpress" }`, is longer than that of the
//! scripts, and so it answers for the scripts in that directory as well.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::suspect::{SendingRoute, Suspect, Use};
use crate::config::model::{Config, Fastcgi, Route, Verb};

/// The most names that are looked at, for all routes together.
const MAX_NAMES: usize = 50_000;

/// The most scripts of one route that are asked for.
const MAX_SCRIPTS: usize = 50;

/// The scripts of the configuration, while they are looked for.
pub(super) struct SentScripts<'c> {
    /// The routes that run scripts, with the one path of each root.
    running: Vec<(PathBuf, &'c Route, &'c Fastcgi)>,
    names_left: usize,
}

impl<'c> SentScripts<'c> {
    /// What `config` has run, whatever the server.
    pub(super) fn of(config: &'c Config) -> Self {
        let routes = config.servers.iter().flat_map(|server| &server.routes);
        let running = routes.filter_map(|route| match &route.verb {
            Verb::Fastcgi(fastcgi) if fastcgi.script.is_none() => {
                Some((fastcgi.root.canonicalize().ok()?, route, fastcgi))
            }
            _ => None,
        });
        Self {
            running: running.collect(),
            names_left: MAX_NAMES,
        }
    }

    /// The scripts among the files that `site` may send.
    pub(super) fn suspects<'s>(&mut self, site: &SendingRoute<'s>) -> Vec<Suspect<'s>> {
        let start = site.start();
        let overlaps = |root: &PathBuf| root.starts_with(&start) || start.starts_with(root);
        // The files of another root need no look. What a `fastcgi` route sends is not known without asking its server.
        let is_of_files = matches!(site.route.verb, Verb::Files(_));
        if !is_of_files || !self.running.iter().any(|(root, ..)| overlaps(root)) {
            return Vec::new();
        }
        let mut scripts = Vec::new();
        let mut left = VecDeque::from([start]);
        while let Some(path) = left.pop_front() {
            if path.is_dir() {
                left.extend(self.names_in(&path));
            } else if self.runner(&path).is_some() {
                scripts.extend(site.suspect(&path, Use::Script));
            }
            if scripts.len() == MAX_SCRIPTS {
                break;
            }
        }
        scripts
    }

    /// The files and directories in `directory` that may be asked for, in the order of their names. Links are left
    /// out, because they could lead in a circle.
    fn names_in(&mut self, directory: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let entries = entries.take(self.names_left);
        let mut names: Vec<PathBuf> = Vec::new();
        for entry in entries {
            self.names_left -= 1;
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !is_link && !entry.file_name().as_encoded_bytes().starts_with(b".") {
                names.push(entry.path());
            }
        }
        names.sort();
        names
    }

    /// The route that runs the file.
    fn runner(&self, file: &Path) -> Option<&'c Route> {
        let name = file.as_os_str().as_encoded_bytes();
        let mut running = self.running.iter();
        let runs = |(root, _, fastcgi): &&(PathBuf, &Route, &Fastcgi)| {
            file.starts_with(root) && fastcgi.is_script(name)
        };
        running.find(runs).map(|(_, route, _)| *route)
    }

    /// A warning for each route that sends some of the scripts `sent`.
    pub(super) fn warnings(&self, sent: &[&Suspect<'_>]) -> Vec<String> {
        let by_route = sent.chunk_by(|one, other| std::ptr::eq(one.route, other.route));
        by_route
            .filter_map(|scripts| {
                let first = scripts.first()?;
                let runner = self.runner(&first.file)?;
                Some(warning(first, runner, scripts.len()))
            })
            .collect()
    }
}

/// The warning of `count` scripts, of which `first` is one.
fn warning(first: &Suspect<'_>, runner: &Route, count: usize) -> String {
    let (route, target) = (first.route, &first.question.target);
    let others = match count {
        1 => String::new(),
        MAX_SCRIPTS.. => format!(" and at least {} more", MAX_SCRIPTS - 1),
        _ => format!(" and {} more", count - 1),
    };
    format!(
        "{route} sends the source of `{}`{others} as text, as to a client that asks for {target}, and {runner} runs \
         them as scripts; leave the first route out, for `fastcgi` sends the files beside its scripts itself \
         (`expires` and `cache_control` may stand there), or give it a root without scripts",
        first.shown()
    )
}
