//! `include = ["sites/*.toml"]`: the files that belong to a configuration beside the main one.
//!
//! All files are found before the walk begins, so that it sees them together. A name is relative to
//! the file that includes it. `*` and `?` stand for characters of one component, but not for a dot at its
//! start. The files that they match are sorted by name.

use std::collections::HashSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::checked::Inputs;
use super::read::read_whole;
use super::text::{invalid_utf8, repaired, source};
use super::wildcard::{Listing, Wildcard, has_wildcard, is_absent};
use crate::config::complaint::diagnostic::{Diagnostic, Source};
use crate::config::keys::hints::vocabulary;
use crate::config::tree::node::{Context, Text};
use crate::config::tree::paths::{beside, forbidding, report_path};
use crate::config::tree::section::Section;
use crate::config::tree::surroundings::Surroundings;
use crate::config::tree::survey::Surveys;

/// All files of a configuration, the main one first.
pub(crate) struct Files {
    pub(crate) inputs: Inputs,
    /// The identity of each file that was read.
    read: HashSet<PathBuf>,
    /// Mistakes in `include`, and files that cannot be read.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Files {
    /// Reads every file that `main`, or an included file, includes.
    pub(crate) fn read(main: Arc<Source>, surroundings: Surroundings<'_>) -> Self {
        let mut files = Self {
            inputs: Inputs::default(),
            read: HashSet::new(),
            diagnostics: Vec::new(),
        };
        let identity = identity(&main.path);
        files.read.insert(identity.clone());
        files.add(main, surroundings, &mut vec![identity]);
        files
    }

    /// Adds a file and the files that it includes. `ancestors` are the files from the main one to
    /// this one.
    fn add(
        &mut self,
        source: Arc<Source>,
        surroundings: Surroundings<'_>,
        ancestors: &mut Vec<PathBuf>,
    ) {
        let source = repaired(source);
        self.inputs.read.push(Arc::clone(&source));
        let (tree, errors) = DeTable::parse_recoverable(&source.text);
        let surveys = Surveys::default();
        let complete = errors.is_empty() && !source.is_repaired();
        let cx = Context::new(&source, surroundings, vocabulary(), complete, &surveys);
        for text in written(&cx, tree.get_ref()) {
            for path in named(&text, &mut self.inputs.listings) {
                let identity = identity(&path);
                if let Some(included) = self.open(&text, &path, &identity, ancestors) {
                    self.read.insert(identity.clone());
                    ancestors.push(identity);
                    self.add(included, surroundings, ancestors);
                    ancestors.pop();
                }
            }
        }
        self.diagnostics.extend(cx.diagnostics.take());
    }

    /// Reads the file at `path`. `None`: it is read already, or cannot be read.
    fn open(
        &mut self,
        text: &Text<'_>,
        path: &Path,
        identity: &Path,
        ancestors: &[PathBuf],
    ) -> Option<Arc<Source>> {
        let shown = path.display();
        let cx = text.node.cx;
        if ancestors.iter().any(|ancestor| ancestor == identity) {
            let message = format!("`{shown}` includes itself");
            cx.report(Diagnostic::error(message).at(text.node.spot(), "the circle closes here"));
            return None;
        }
        if self.read.contains(identity) {
            let message = format!("`{shown}` is included already");
            cx.report(Diagnostic::warning(message).at(text.node.spot(), "left out"));
            return None;
        }
        let bytes = match read_whole(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                report_unreadable(text, path, &error);
                self.inputs.missing.push(path.to_owned());
                return None;
            }
        };
        match String::from_utf8(bytes) {
            Ok(content) => Some(source(path, content)),
            Err(error) => {
                cx.report(invalid_utf8(path, &error));
                self.inputs.missing.push(path.to_owned());
                None
            }
        }
    }
}

/// The entries of `include`.
fn written<'c>(cx: &'c Context<'c>, tree: &'c DeTable<'c>) -> Vec<Text<'c>> {
    let include = Section::new(cx, "the configuration".into(), tree).take("include");
    let nodes = include.map(|node| node.one_or_more()).unwrap_or_default();
    nodes.into_iter().filter_map(|node| node.text()).collect()
}

/// The paths that an entry of `include` stands for. What it matched on the way to them is added to
/// `listings`.
fn named(text: &Text<'_>, listings: &mut Vec<Listing>) -> Vec<PathBuf> {
    let source = text.node.cx.source;
    if !has_wildcard(&text.value) {
        return vec![beside(source, &text.value)];
    }
    let directory = source.path.parent().unwrap_or(Path::new(""));
    match expand(directory, Path::new(&text.value), listings) {
        Ok(paths) => {
            // A directory for sites that holds none yet is a common state; one that is not there is a
            // slip.
            let listed = literal_part(directory, Path::new(&text.value));
            // An empty path is the current directory.
            if paths.is_empty() && !Path::new(".").join(&listed).is_dir() {
                let message = format!("there is no directory `{}`", listed.display());
                let diagnostic = Diagnostic::warning(message).at(text.node.spot(), "");
                text.node.cx.report(diagnostic);
            }
            paths
        }
        Err((path, error)) => {
            report_unreadable(text, &path, &error);
            Vec::new()
        }
    }
}

/// The directory that `pattern`, relative to `directory`, names before its first wildcard.
fn literal_part(directory: &Path, pattern: &Path) -> PathBuf {
    let is_literal =
        |component: &Component<'_>| !has_wildcard(&component.as_os_str().to_string_lossy());
    let literal: PathBuf = pattern.components().take_while(is_literal).collect();
    directory.join(literal)
}

/// The paths that match `pattern`, which is relative to `directory`. They are sorted. What each component
/// matched on the way is added to `listings`.
fn expand(
    directory: &Path,
    pattern: &Path,
    listings: &mut Vec<Listing>,
) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut paths = vec![directory.to_owned()];
    let mut components = pattern.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else {
            paths.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        let mut deeper = Vec::new();
        for directory in paths {
            let wildcard = Wildcard {
                directory: directory.clone(),
                pattern: name.to_string_lossy().into_owned(),
                is_last: components.peek().is_none(),
            };
            let listing = match wildcard.names() {
                Ok(names) => Listing { wildcard, names },
                Err(error) => return Err((directory, error)),
            };
            // A directory that is named without wildcards may come later.
            if has_wildcard(&listing.wildcard.pattern) {
                deeper.extend(listing.paths());
            } else {
                deeper.push(directory.join(name));
            }
            listings.push(listing);
        }
        paths = deeper;
        if components.peek().is_some() {
            paths.iter().try_for_each(|path| refuse_dangling(path))?;
        }
    }
    // A link that leads nowhere stays: reading it reports that.
    paths.retain(|path| !is_absent(path));
    Ok(paths)
}

/// A path that is the same for all paths to one file.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Refuses a directory that is a link that leads nowhere: files below it are missing.
fn refuse_dangling(path: &Path) -> Result<(), (PathBuf, io::Error)> {
    match path.metadata() {
        Err(error) if !is_absent(path) => Err((path.to_owned(), error)),
        _ => Ok(()),
    }
}

/// Reports that `path`, which `text` stands for, cannot be read.
fn report_unreadable(text: &Text<'_>, path: &Path, error: &io::Error) {
    let shown = path.display();
    let message = match error.kind() {
        io::ErrorKind::NotFound => match path.read_link() {
            Ok(target) => return report_link(text, path, &target),
            Err(_) => format!("there is no file `{shown}`"),
        },
        io::ErrorKind::IsADirectory => {
            format!("`{shown}` is a directory; write \"{shown}/*.toml\"")
        }
        _ => format!("cannot read `{shown}`: {error}{}", forbidding(path, error)),
    };
    report_path(text, path, message);
}

/// Reports the link at `path`, which leads to `target`, where nothing stands.
fn report_link(text: &Text<'_>, path: &Path, target: &Path) {
    let (shown, target) = (path.display(), target.display());
    let message = format!("the link `{shown}` leads to `{target}`, and nothing is there");
    let error = Diagnostic::error(message).at(text.node.spot(), "");
    let help = "remove the link, or let it lead to what is to be included".to_owned();
    text.node.cx.report(error.help(help));
}
