//! Holds the sources to the table of ARCHITECTURE.md that says which room may import which.
//!
//! A test that fails names the line, the room it is in, what it imports, and the rule. What remains
//! to be done (exceptions, circles between files), and what the table allows in vain, is printed:
//! `cargo test --test layers -- --nocapture`.

// What one file says: its `use` lines, and the paths in its code.
#[path = "layers/source.rs"]
mod source;
// Where a path leads.
#[path = "layers/modules.rs"]
mod modules;
// The table.
#[path = "layers/table.rs"]
mod table;
// Files that import each other.
#[path = "layers/circles.rs"]
mod circles;
// Documents that sources cite.
#[path = "layers/documents.rs"]
mod documents;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use circles::{Graph, circles};
use modules::{Import, Modules, Target};
use table::{Table, is_match, name};

/// An import that the table forbids and that stands for now.
struct Exception {
    /// Rooms, as in the table: `handlers::*`, `*` for all.
    from: &'static str,
    to: &'static str,
    reason: &'static str,
}

/// Each has to go: one that nothing needs any more fails the test.
const EXCEPTIONS: &[Exception] = &[];

/// Rooms of the table that have no file yet.
const AWAITED: &[&str] = &[];

/// A circle that is good as it is.
struct Defended {
    files: &'static [&'static str],
    reason: &'static str,
}

const DEFENDED: &[Defended] = &[
    Defended {
        files: &[
            "supervisor",
            "supervisor::ending",
            "supervisor::occasion",
            "supervisor::reload",
            "supervisor::status",
            "supervisor::upgrade",
        ],
        reason: "what a supervisor does about an event stands in a file of its own, and changes what it holds",
    },
    Defended {
        files: &["server::connection", "server::connection::pending"],
        reason: "a turn may end in a pending response, which the connection then sends",
    },
    Defended {
        files: &["api::later", "api::made", "api::response"],
        reason: "a response may be decided later, and what decides it is a response",
    },
];

/// Files that still cite documents which the repository does not have.
const CITING: &[&str] = &[];

#[test]
fn every_room_imports_only_what_the_table_allows() {
    let (table, modules) = (table(), modules());
    let mut faults: Vec<String> = Vec::new();
    let mut needed = BTreeSet::new();
    for (module, file) in modules.files() {
        if table.room(module).is_none() {
            let file = file.display();
            faults.push(format!(
                "{file} is in no room: give `{}` a row",
                name(module)
            ));
        }
    }
    for import in modules.imports() {
        match check(&table, &import) {
            Ok(None) => {}
            Ok(Some(exception)) => drop(needed.insert(exception)),
            Err(fault) => faults.push(fault),
        }
    }
    for unused in unused(&table, &modules.imports()) {
        eprintln!("allowed, but nothing does it: {unused}");
    }
    for (index, Exception { from, to, reason }) in EXCEPTIONS.iter().enumerate() {
        eprintln!("exception: {from} imports {to}: {reason}");
        if !needed.contains(&index) {
            faults.push(format!(
                "no {from} imports {to} any more: take that exception out"
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Whether an import may stand: `Some` if an exception, told by its index, has to allow it.
///
/// # Errors
/// What is wrong with it.
fn check(table: &Table, import: &Import) -> Result<Option<usize>, String> {
    // A module in no room is told of once, not by each of its imports.
    let Some((from, rule)) = table.room(&import.from) else {
        return Ok(None);
    };
    let fault = |fault: &str, of: &str| {
        let (at, row) = (import.at(), &rule.text);
        Err(format!(
            "{at}: room `{from}` must not {fault} `{of}`:\n    {row}"
        ))
    };
    match &import.target {
        Target::Foreign(path) => match rule.forbids(path) {
            Some(name) => fault("know", name),
            None => Ok(None),
        },
        Target::Module { module, door, .. } => {
            let Some((to, _)) = table.room(module) else {
                return Ok(None);
            };
            // What a room hands on from the rooms within it is as good as its own.
            let door = door.as_ref().and_then(|door| table.room(door));
            let is_allowed = |room: &str| from == room || rule.allows(room);
            if is_allowed(&to) || door.is_some_and(|(door, _)| is_allowed(&door)) {
                return Ok(None);
            }
            let is_excepted = |one: &Exception| is_match(one.from, &from) && is_match(one.to, &to);
            match EXCEPTIONS.iter().position(is_excepted) {
                Some(index) => Ok(Some(index)),
                None => fault("import from", &to),
            }
        }
    }
}

/// What the table allows and no import needs.
fn unused(table: &Table, imports: &[Import]) -> Vec<String> {
    let mut needed: BTreeSet<(&str, String)> = BTreeSet::new();
    for import in imports {
        let Target::Module { module, door, .. } = &import.target else {
            continue;
        };
        if let Some((_, rule)) = table.room(&import.from) {
            let ends = [Some(module), door.as_ref()].into_iter().flatten();
            let rooms = ends.filter_map(|end| table.room(end));
            needed.extend(rooms.map(|(room, _)| (&*rule.text, room)));
        }
    }
    let mut unused = Vec::new();
    for rule in table.rules() {
        for allowed in &rule.may_import {
            let is_need =
                |(row, room): &(&str, String)| *row == rule.text && is_match(allowed, room);
            if !needed.iter().any(is_need) {
                unused.push(format!("{} imports {allowed}", rule.rooms.join(", ")));
            }
        }
    }
    unused
}

#[test]
fn every_row_of_the_table_is_of_a_room_that_exists() {
    let (table, modules) = (table(), modules());
    let rooms: BTreeSet<String> = modules
        .files()
        .filter_map(|(module, _)| table.room(module).map(|(room, _)| room))
        .collect();
    let exists = |row: &str| rooms.iter().any(|room| is_match(row, room));
    let rows = table.rules().iter().flat_map(|rule| &rule.rooms);
    let missing: Vec<&str> = rows
        .map(String::as_str)
        .filter(|row| !exists(row) && !AWAITED.contains(row))
        .collect();
    assert!(missing.is_empty(), "rooms without a file: {missing:?}");
    let built: Vec<&&str> = AWAITED.iter().filter(|room| exists(room)).collect();
    eprintln!("awaited no longer: {built:?}");
}

#[test]
fn few_files_import_each_other_in_circles() {
    let imports = modules().imports();
    let circles = circles(&graph(&imports));
    for circle in &circles {
        eprintln!("{}", describe(circle, &imports));
    }
    for defended in DEFENDED {
        let files = defended.files;
        let is_there = circles.iter().any(|circle| circle == files);
        assert!(is_there, "a circle no longer, take it out: {files:?}");
    }
    let others = circles.iter().filter(|circle| defence(circle).is_none());
    let files: usize = others.clone().map(Vec::len).sum();
    let shown: Vec<String> = others.map(|circle| describe(circle, &imports)).collect();
    assert!(
        files == 0,
        "{files} files import each other in circles that [`DEFENDED`] does not name:\n{}",
        shown.join("\n")
    );
}

/// Why a circle is good as it is, if the table gives a reason.
fn defence(circle: &[String]) -> Option<&'static str> {
    let found = DEFENDED.iter().find(|defended| circle == defended.files);
    found.map(|defended| defended.reason)
}

/// The files of a circle, and the lines that tie them.
fn describe(circle: &[String], imports: &[Import]) -> String {
    let mut text = format!("circle of {}: {}", circle.len(), circle.join(", "));
    if let Some(reason) = defence(circle) {
        text.push_str(&format!("\n  defended: {reason}"));
    }
    for import in imports.iter().filter(|import| !import.is_re_export) {
        let Target::Module { module, .. } = &import.target else {
            continue;
        };
        let ends = [name(&import.from), name(module)];
        if ends.iter().all(|end| circle.contains(end)) {
            text.push_str(&format!("\n  {}: -> {}", import.at(), ends[1]));
        }
    }
    text
}

/// Which file imports from which. A name that is only handed on (`pub use`) ties nothing: a file
/// that imports it is tied to the file that defines it.
fn graph(imports: &[Import]) -> Graph<String> {
    let mut graph = Graph::new();
    for import in imports.iter().filter(|import| !import.is_re_export) {
        if let Target::Module { module, .. } = &import.target {
            let targets: &mut BTreeSet<String> = graph.entry(name(&import.from)).or_default();
            targets.insert(name(module));
        }
    }
    graph
}

#[test]
fn sources_cite_documents_of_the_repository() {
    let citations = documents::missing(root()).expect("the repository can be read");
    let (known, new): (Vec<_>, Vec<_>) = citations
        .iter()
        .partition(|citation| CITING.iter().any(|file| citation.file == Path::new(file)));
    for citation in known {
        let (file, line) = (citation.file.display(), citation.line);
        eprintln!("exception: {file}:{line} cites {}", citation.document);
    }
    assert!(new.is_empty(), "documents that are not there: {new:#?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn modules() -> Modules {
    Modules::read(root()).expect("the sources can be read")
}

fn table() -> Table {
    let path = root().join("ARCHITECTURE.md");
    let document = std::fs::read_to_string(path).expect("ARCHITECTURE.md is there");
    Table::parse(&document).unwrap_or_else(|error| panic!("ARCHITECTURE.md: {error}"))
}

/// Every file below a directory, sorted; what is built, and what a tool hides, is passed over.
///
/// # Errors
/// The first directory that cannot be read.
fn files_below(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_passed_over = name.starts_with('.') && name != ".ci" || name == "target";
        if path.is_dir() && !is_passed_over {
            files.extend(files_below(&path)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}
