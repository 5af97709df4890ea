//! From a file to a checked [`Config`], or to a [`Report`] of all that is wrong with it.
//!
//! As written → as checked: `include` finds the files, `toml` gives the tree with the place of every token, `syntax` says what
//! is no TOML, `resolve` takes the tree apart.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::include::{Files, Wildcard};
use super::text::{invalid_utf8, source};
use crate::config::complaint::diagnostic::{Diagnostic, Report, Source, Spot};
use crate::config::complaint::syntax;
use crate::config::keys::top::resolve;
use crate::config::model::Config;
use crate::config::tree::node::Context;
use crate::config::tree::surroundings::Surroundings;

/// A configuration that can be served, and what is doubtful about it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Holds no error.
    pub(crate) warnings: Report,
    /// Every file that was read, the main one first.
    pub(crate) files: Vec<PathBuf>,
    /// Where wildcards of `include` looked for more.
    pub(crate) wildcards: Vec<Wildcard>,
}

/// What warnings do to a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// It is taken as it is.
    Lenient,
    /// It is refused: they count as errors.
    Strict,
}

/// Reads and checks the file at `path`, and what it includes.
///
/// # Errors
/// Every mistake in it; or the one reason why it cannot be read.
pub(crate) fn load(
    path: &Path,
    surroundings: Surroundings<'_>,
    strictness: Strictness,
) -> Result<Loaded, Report> {
    let is_strict = strictness == Strictness::Strict;
    match read(path, surroundings) {
        Err(report) if is_strict => Err(report.into_strict()),
        Ok(loaded) if is_strict && !loaded.warnings.is_empty() => {
            Err(loaded.warnings.into_strict())
        }
        outcome => outcome,
    }
}

fn read(path: &Path, surroundings: Surroundings<'_>) -> Result<Loaded, Report> {
    let refused = |diagnostic| Report::new(path.to_owned(), vec![diagnostic], &[]);
    let bytes = std::fs::read(path).map_err(|error| refused(unreadable(path, &error)))?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(text, path, surroundings),
        Err(error) => Err(refused(invalid_utf8(path, &error))),
    }
}

/// Checks `text`, and reads and checks what it includes. `file` is what the text is called in
/// diagnostics; relative paths in the text are relative to the directory of `file`.
///
/// # Errors
/// Every mistake in it, warnings included.
pub(crate) fn parse(
    text: impl Into<String>,
    file: &Path,
    surroundings: Surroundings<'_>,
) -> Result<Loaded, Report> {
    let files = Files::read(source(file, text.into()), surroundings);
    let trees: Vec<_> = files
        .sources
        .iter()
        .map(|source| DeTable::parse_recoverable(&source.text))
        .collect();
    // A file that could not be read may hold what seems to be missing.
    let complete =
        files.diagnostics.is_empty() && trees.iter().all(|(_, errors)| errors.is_empty());
    let contexts: Vec<Context<'_>> = files
        .sources
        .iter()
        .map(|source| Context {
            source,
            surroundings,
            complete,
            diagnostics: RefCell::default(),
        })
        .collect();
    let parts = contexts
        .iter()
        .zip(trees.iter().map(|(tree, _)| tree.get_ref()));
    let config = resolve(parts.collect());
    let mut diagnostics = files.diagnostics;
    for (context, (tree, errors)) in contexts.iter().zip(&trees) {
        let faults = syntax::explain(context.source, tree.get_ref(), errors);
        let mut found = context.diagnostics.take();
        found.retain(|diagnostic| !is_shadowed(diagnostic, &faults));
        diagnostics.extend(found);
        diagnostics.extend(faults.diagnostics);
    }
    let report = Report::new(file.to_owned(), diagnostics, &files.sources);
    match report.has_errors() {
        false => Ok(Loaded {
            config,
            warnings: report,
            files: paths(&files.sources),
            wildcards: files.wildcards,
        }),
        true => Err(report),
    }
}

fn paths(sources: &[Arc<Source>]) -> Vec<PathBuf> {
    let paths = sources.iter().map(|source| source.path.to_path_buf());
    paths.collect()
}

/// Whether a mistake in the syntax explains the diagnostic.
fn is_shadowed(diagnostic: &Diagnostic, faults: &syntax::SyntaxFaults<'_>) -> bool {
    let Some(Spot { span, .. }) = diagnostic.spot() else {
        return false;
    };
    faults
        .shadows
        .iter()
        .any(|shadow| span.start <= shadow.end && shadow.start <= span.end)
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    let help = match error.kind() {
        io::ErrorKind::NotFound => {
            "name one with `--config FILE`; `tidegate serve DIR` serves a directory without any"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "the user who starts the server must be allowed to read it".to_owned()
        }
        io::ErrorKind::IsADirectory => format!(
            "name the file in it: {}",
            path.join("config.toml").display()
        ),
        _ => return Diagnostic::error(format!("cannot read `{shown}`: {error}")),
    };
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no configuration file `{shown}`"),
        io::ErrorKind::IsADirectory => {
            format!("`{shown}` is a directory, not a configuration file")
        }
        _ => format!("may not read `{shown}`"),
    };
    Diagnostic::error(message).help(help)
}
