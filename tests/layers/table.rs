//! The table of ARCHITECTURE.md that says which room may import which.
//!
//! ```text
//! | room             | may import            | must not know                    |
//! |------------------|-----------------------|----------------------------------|
//! | `disk`, `upstream` | `message`, `http`   | configuration, sockets (`std::net`) |
//! ```
//!
//! Only the names in backticks count. A room is a module with what is below it, less the rooms that
//! have a row of their own; `handlers::*` is every module right below `handlers`, each a room. In the
//! second column a name is that one room, and `config::*` all rooms below `config`. In the third,
//! names are paths of other crates, or rooms again, so that a row cannot contradict itself.

/// The rows, in their order.
#[derive(Debug)]
pub(crate) struct Table {
    rules: Vec<Rule>,
}

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// `http`, `handlers::*`.
    pub(crate) rooms: Vec<String>,
    pub(crate) may_import: Vec<String>,
    pub(crate) must_not_know: Vec<String>,
    /// As it stands in the document.
    pub(crate) text: String,
}

const START: &str = "<!-- layers -->";
const END: &str = "<!-- end of layers -->";

impl Table {
    /// Reads the table between its markers.
    ///
    /// # Errors
    /// In a sentence: what is missing, or is no row.
    pub(crate) fn parse(document: &str) -> Result<Self, String> {
        let after = document.split_once(START);
        let (_, after) = after.ok_or(format!("there is no `{START}`"))?;
        let within = after.split_once(END);
        let (within, _) = within.ok_or(format!("there is no `{END}`"))?;
        // The first two rows are the title and its rule.
        let rows = within.lines().filter(|line| line.starts_with('|')).skip(2);
        let rules = rows.map(Rule::parse).collect::<Result<Vec<_>, _>>()?;
        if rules.is_empty() {
            return Err("the table has no rows".to_owned());
        }
        Ok(Self { rules })
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The room that a module is in, and its rule; `None` if the table has no room for it.
    pub(crate) fn room(&self, module: &[String]) -> Option<(String, &Rule)> {
        let mut found: Option<(usize, String, &Rule)> = None;
        for rule in &self.rules {
            for room in &rule.rooms {
                let Some(length) = covered(room, module) else {
                    continue;
                };
                // The longest name wins; of two as long, the one that is no pattern.
                let is_better = found.as_ref().is_none_or(|(longest, ..)| {
                    length > *longest || length == *longest && !room.ends_with("*")
                });
                if is_better {
                    found = Some((length, name(&module[..length]), rule));
                }
            }
        }
        found.map(|(_, room, rule)| (room, rule))
    }
}

impl Rule {
    fn parse(row: &str) -> Result<Self, String> {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').collect();
        let [rooms, may_import, must_not_know] = cells[..] else {
            return Err(format!("a row has three cells: {row}"));
        };
        let rule = Self {
            rooms: names(rooms),
            may_import: names(may_import),
            must_not_know: names(must_not_know),
            text: row.to_owned(),
        };
        if rule.rooms.is_empty() {
            return Err(format!("a row names no room in backticks: {row}"));
        }
        let mut both = rule.must_not_know.iter();
        match both.find(|name| rule.may_import.contains(name)) {
            Some(name) => Err(format!("`{name}` is allowed and forbidden: {row}")),
            None => Ok(rule),
        }
    }

    /// Whether the rooms of this row may import from `room`.
    pub(crate) fn allows(&self, room: &str) -> bool {
        self.may_import
            .iter()
            .any(|pattern| is_match(pattern, room))
    }

    /// The name that forbids a path of another crate.
    pub(crate) fn forbids(&self, path: &[String]) -> Option<&str> {
        let forbidden = self.must_not_know.iter().map(String::as_str);
        let is_start = |name: &&str| {
            let parts: Vec<&str> = name.split("::").collect();
            path.len() >= parts.len() && path.iter().zip(&parts).all(|(one, other)| one == other)
        };
        forbidden.filter(|name| !name.is_empty()).find(is_start)
    }
}

/// Whether `pattern` names `room`: `a` is `a` alone, `a::*` all below it, `*` any.
pub(crate) fn is_match(pattern: &str, room: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(above) => room.starts_with(above) && room != above,
        None => pattern == room,
    }
}

/// How a module is called in the table: the root of the library is `lib`.
pub(crate) fn name(module: &[String]) -> String {
    if module.is_empty() {
        "lib".to_owned()
    } else {
        module.join("::")
    }
}

/// How many segments of `module` the room takes up, if it is in there.
fn covered(room: &str, module: &[String]) -> Option<usize> {
    if room == "lib" {
        return module.is_empty().then_some(0);
    }
    let parts: Vec<&str> = room.split("::").collect();
    let mut pairs = parts.iter().zip(module);
    let is_in =
        module.len() >= parts.len() && pairs.all(|(part, name)| *part == "*" || part == name);
    is_in.then_some(parts.len())
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# Title
| `not` | `the` | table |
<!-- layers -->

| room | may import | must not know |
|---|---|---|
| `http`, `runtime` | nothing of ours | files (`std::fs`) |
| `config` | `config::*`, `http` | |
| `config::model` | `http` | |
| `handlers` | `handlers::*` | |
| `handlers::*` | `http`, `config::model` | `server` |
| `handlers::a::b` | `handlers::files` | |
| `lib` | `config` | |

<!-- end of layers -->
| `nor` | `this` | |
";

    fn module(path: &str) -> Vec<String> {
        path.split("::").map(str::to_owned).collect()
    }

    fn table() -> Table {
        Table::parse(DOCUMENT).expect("it is good")
    }

    #[test]
    fn a_module_is_in_the_room_with_the_longest_name() {
        let table = table();
        for (path, expected) in [
            ("http::status", Some("http")),
            ("config::units", Some("config")),
            ("config::model::route", Some("config::model")),
            ("handlers", Some("handlers")),
            ("handlers::files::cache", Some("handlers::files")),
            ("handlers::a", Some("handlers::a")),
            ("handlers::a::b::c", Some("handlers::a::b")),
            ("not", None),
            ("nor", None),
        ] {
            let room = table.room(&module(path)).map(|(room, _)| room);
            assert_eq!(room.as_deref(), expected, "{path}");
        }
        assert_eq!(table.room(&[]).expect("lib").0, "lib");
    }

    #[test]
    fn a_rule_allows_what_it_names_and_no_more() {
        let table = table();
        for (from, to, expected) in [
            ("http", "runtime", false),
            ("config", "config::model", true),
            ("config", "http", true),
            ("config::model", "config", false),
            ("handlers", "handlers::files", true),
            ("handlers::files", "handlers", false),
            ("handlers::files", "config::model", true),
            ("handlers::files", "config", false),
            ("handlers::a::b", "handlers::files", true),
            ("handlers::a::b", "http", false),
            ("lib", "config", true),
        ] {
            let from_module = if from == "lib" {
                Vec::new()
            } else {
                module(from)
            };
            let (_, rule) = table.room(&from_module).expect("it has a row");
            assert_eq!(rule.allows(to), expected, "{from} imports {to}");
        }
    }

    #[test]
    fn a_rule_forbids_paths_of_other_crates() {
        let table = table();
        let (_, rule) = table.room(&module("http")).expect("it has a row");
        assert_eq!(rule.forbids(&module("std::fs::File")), Some("std::fs"));
        assert_eq!(rule.forbids(&module("std::fmt")), None);
        assert_eq!(rule.forbids(&module("std")), None);
    }

    #[test]
    fn mistakes_in_the_table_are_told() {
        for (document, expected) in [
            ("", "there is no `<!-- layers -->`"),
            ("<!-- layers -->", "there is no `<!-- end of layers -->`"),
            ("<!-- layers -->\n<!-- end of layers -->", "no rows"),
            (
                "<!-- layers -->\n|||\n|||\n| `a` | `b` |\n<!-- end of layers -->",
                "three cells",
            ),
            (
                "<!-- layers -->\n|||\n|||\n| a | `b` | |\n<!-- end of layers -->",
                "no room",
            ),
            (
                "<!-- layers -->\n|||\n|||\n| `a` | `b` | `b` |\n<!-- end of layers -->",
                "allowed and forbidden",
            ),
        ] {
            let error = Table::parse(document).expect_err("it is not good");
            assert!(error.contains(expected), "{error}");
        }
    }
}
