//! `tidegate check`: finds everything that is wrong with a configuration without serving it.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::{Value, json};

use super::config_file::ConfigFile;
use super::output::print;
use super::remote;
use crate::api::Handlers;
use crate::config::{self, Strictness, Surroundings};
use crate::generation::prepare::{Prepared, prepare};
use crate::log::diagnostic;
use crate::server::Mismatch;
use crate::{server, supervisor};

/// Check a configuration file, without running it.
///
/// Reads and checks it as `run` would, runs its tests, and tries the access log, the storage of
/// `[acme]`, and the addresses that are not bound already by the server that runs from it. Exit status 0
/// if it is good, 1 if not.
#[derive(Args, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Count warnings as errors.
    #[arg(long)]
    strict: bool,
    /// The diagnostics as JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Print the effective configuration, with every default filled in.
    #[arg(long, conflicts_with = "json")]
    dump: bool,
}

/// Checks and prepares the configuration, runs its tests, and tries its addresses and its access log.
///
/// # Errors
/// If the file is not good; the message is empty, because every mistake has been printed.
pub(super) fn check(arguments: &Check, handlers: &Handlers) -> Result<(), String> {
    let strictness = if arguments.strict {
        Strictness::Strict
    } else {
        Strictness::Lenient
    };
    let surroundings = Surroundings::of_process(handlers);
    let checked = config::load(arguments.config.path(), surroundings, strictness);
    let mut certificates = String::new();
    let (report, config, mismatches, mut failures, mut doubts) =
        match prepare(checked, handlers, None) {
            Ok(Prepared { loaded, generation }) => {
                let facts = supervisor::certificates::facts(&generation).into_iter();
                certificates = facts.map(|facts| facts.describe() + "\n").collect();
                let mismatches = server::mismatches_of_tests(&loaded.config, &generation);
                let mut failures = Vec::new();
                match remote::listeners(arguments.config.path()) {
                    Ok(bound) => failures.extend(supervisor::try_addresses(&loaded.config, &bound)),
                    Err(sentence) => failures.push(format!(
                        "{}; which addresses it has is not known, so none was tried",
                        sentence.trim_start_matches("error: ")
                    )),
                }
                failures.extend(supervisor::try_log(&loaded.config));
                failures.extend(supervisor::try_storage(&generation));
                let mut doubts = first_of(server::passed_over_siblings(&loaded.config));
                doubts.extend(server::exposed_files(
                    &loaded.config,
                    &loaded.files,
                    &generation,
                ));
                let config = Some(loaded.config);
                (loaded.warnings, config, mismatches, failures, doubts)
            }
            Err(report) => (report, None, Vec::new(), Vec::new(), Vec::new()),
        };
    if arguments.strict {
        failures.append(&mut doubts);
    }
    if arguments.json {
        let diagnostics = to_json(report.to_json(), &mismatches, &failures, &doubts);
        print(&format!("{diagnostics:#}\n"))?;
    } else {
        diagnostic::print(&report.render(std::io::stderr().is_terminal()));
        doubts
            .iter()
            .for_each(|doubt| diagnostic::print(&format!("warning: {doubt}\n")));
        mismatches
            .iter()
            .for_each(|mismatch| diagnostic::print(&format!("error: {mismatch}\n")));
        failures
            .iter()
            .for_each(|failure| diagnostic::print(&format!("error: {failure}\n")));
    }
    match config {
        Some(config) if mismatches.is_empty() && failures.is_empty() => {
            if arguments.dump {
                print(&config::dump(&config))?;
            } else if !arguments.json {
                print(&format!("{} is good\n", arguments.config.path().display()))?;
                print(&certificates)?;
            }
            Ok(())
        }
        _ => Err(String::new()),
    }
}

/// Returns the first of `lines`, and how many more there are.
fn first_of(mut lines: Vec<String>) -> Vec<String> {
    const MOST: usize = 10;
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("{more} more compressed files are not served"));
    }
    lines
}

/// Returns `diagnostics`, followed by an object for each of `mismatches`, `failures` and `doubts`.
fn to_json(
    diagnostics: Value,
    mismatches: &[Mismatch],
    failures: &[String],
    doubts: &[String],
) -> Value {
    let mismatch = |Mismatch { place, message }: &Mismatch| {
        let place = place.as_ref();
        json!({
            "severity": "error",
            "message": message,
            "file": place.map(|place| place.file.to_string_lossy()),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
        })
    };
    let object = |severity, message| json!({ "severity": severity, "message": message });
    let mismatches = mismatches.iter().map(mismatch);
    let failures = failures.iter().map(|failure| object("error", failure));
    let doubts = doubts.iter().map(|doubt| object("warning", doubt));
    match diagnostics {
        Value::Array(all) => all
            .into_iter()
            .chain(mismatches)
            .chain(failures)
            .chain(doubts)
            .collect(),
        other => other,
    }
}
