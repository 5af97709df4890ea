//! From a file to the result of checking it, [`Checked`].
//!
//! `include` finds the files, `toml` makes the trees with the place of every token, `syntax` explains
//! what is not TOML, `resolve` reads the trees.

use std::io;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::checked::{Checked, Inputs, Strictness};
use super::include::Files;
use super::read::read_whole;
use super::text::{invalid_utf8, source};
use crate::config::complaint::diagnostic::{Diagnostic, Source, Spot};
use crate::config::complaint::syntax;
use crate::config::keys::hints::vocabulary;
use crate::config::keys::top::resolve;
use crate::config::tree::node::Context;
use crate::config::tree::surroundings::Surroundings;
use crate::config::tree::survey::Surveys;

/// Reads and checks the file at `path`, and what it includes.
pub(crate) fn load(path: &Path, surroundings: Surroundings<'_>, strictness: Strictness) -> Checked {
    let unreadable = |diagnostic| Checked::unreadable(path, diagnostic);
    let checked = match read_whole(path).map(String::from_utf8) {
        Ok(Ok(text)) => parse(text, path, surroundings),
        Ok(Err(error)) => unreadable(invalid_utf8(path, &error)),
        Err(error) => unreadable(explain_unreadable(path, &error)),
    };
    Checked {
        strictness,
        ..checked
    }
}

/// Checks `text`, and reads and checks what it includes. `file` is what the text is called in
/// diagnostics; relative paths in the text are relative to the directory of `file`.
pub(crate) fn parse(
    text: impl Into<String>,
    file: &Path,
    surroundings: Surroundings<'_>,
) -> Checked {
    let files = Files::read(source(file, text.into()), surroundings);
    let trees: Vec<_> = files
        .inputs
        .read
        .iter()
        .map(|source| DeTable::parse_recoverable(&source.text))
        .collect();
    // What seems to be missing may be in a file that could not be read.
    let is_sound = |source: &Arc<Source>| !source.is_repaired();
    let complete = files.diagnostics.is_empty()
        && files.inputs.read.iter().all(is_sound)
        && trees.iter().all(|(_, errors)| errors.is_empty());
    let surveys = Surveys::default();
    let context = |source| Context::new(source, surroundings, vocabulary(), complete, &surveys);
    let contexts: Vec<Context<'_>> = files.inputs.read.iter().map(context).collect();
    let parts = contexts
        .iter()
        .zip(trees.iter().map(|(tree, _)| tree.get_ref()));
    let config = resolve(parts.collect());
    let mut checked = Checked {
        file: file.to_owned(),
        config: Some(config),
        diagnostics: files.diagnostics,
        handlers: Vec::new(),
        certificates: Vec::new(),
        connectors: Vec::new(),
        passwords: Vec::new(),
        buckets: Vec::new(),
        inputs: Inputs::default(),
        strictness: Strictness::Lenient,
    };
    let mut missing = Vec::new();
    for (context, (tree, errors)) in contexts.iter().zip(&trees) {
        let faults = syntax::explain(context.source, tree.get_ref(), errors);
        take_found(context, faults, &mut checked);
        missing.append(&mut context.missing.borrow_mut());
    }
    drop(contexts);
    checked.inputs = files.inputs;
    checked.inputs.missing.append(&mut missing);
    checked
}

/// Adds to `checked` what reading the tree of `context` has found, less what stands where a mistake in the
/// syntax is; then adds the mistakes in the syntax.
fn take_found(context: &Context<'_>, faults: syntax::SyntaxFaults<'_>, checked: &mut Checked) {
    let is_good = |spot: &Spot| !is_shadowed(spot, &faults);
    let mut diagnostics = context.diagnostics.take();
    diagnostics.retain(|diagnostic| diagnostic.spots().all(is_good));
    let mut handlers = context.handlers.take();
    handlers.retain(|handler| handler.spots().all(is_good));
    let mut certificates = context.certificates.take();
    certificates.retain(|certificate| certificate.spots().all(is_good));
    let mut connectors = context.connectors.take();
    connectors.retain(|connector| connector.spots().all(is_good));
    let mut passwords = context.passwords.take();
    passwords.retain(|passwords| is_good(&passwords.spot));
    let mut buckets = context.buckets.take();
    buckets.retain(|buckets| is_good(&buckets.spot));
    checked.diagnostics.extend(diagnostics);
    checked.diagnostics.extend(faults.diagnostics);
    checked.handlers.extend(handlers);
    checked.certificates.extend(certificates);
    checked.connectors.extend(connectors);
    checked.passwords.extend(passwords);
    checked.buckets.extend(buckets);
}

/// Whether a mistake in the syntax explains the mistake at `spot`.
fn is_shadowed(spot: &Spot, faults: &syntax::SyntaxFaults<'_>) -> bool {
    let span = &spot.span;
    // `toml` gives a value that it made up no place.
    if *span == (0..0) && !faults.diagnostics.is_empty() {
        return true;
    }
    faults
        .shadows
        .iter()
        .any(|shadow| span.start <= shadow.end && shadow.start <= span.end)
}

fn explain_unreadable(path: &Path, error: &io::Error) -> Diagnostic {
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
