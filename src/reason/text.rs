//! The list as people and programs read it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::list::{Entry, GROUPS, Reason};

/// The list for a person; only the reason of that `id`, if one is named.
///
/// # Errors
/// If no reason has that id: what to ask for.
pub(crate) fn to_text(id: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    for group in GROUPS {
        let wanted = |entry: &&Entry| id.is_none_or(|id| id == entry.id);
        let mut entries = group.entries.iter().filter(wanted).peekable();
        if id.is_none() && entries.peek().is_some() {
            let _ = writeln!(text, "{}\n", group.title);
        }
        for entry in entries {
            let status = entry.status.map(|status| format!(" ({status})"));
            let Entry {
                id,
                meaning,
                remedy,
                ..
            } = entry;
            let status = status.unwrap_or_default();
            let _ = writeln!(text, "  {id}{status}\n    {meaning}\n    {remedy}\n");
        }
    }
    match id {
        Some(id) if text.is_empty() => Err(format!(
            "error: no reason is called {id:?}; `tidegate reasons` lists them all"
        )),
        _ => Ok(text),
    }
}

/// What has happened if a reason of that id is named, as a sentence; `None` if no reason has it.
pub(crate) fn meaning_of(id: &str) -> Option<&'static str> {
    let mut entries = GROUPS.iter().flat_map(|group| group.entries);
    let found = entries.find(|entry| entry.id == id);
    found.map(|entry| entry.meaning)
}

/// The list for a program.
pub(crate) fn to_json() -> Value {
    let entries = GROUPS.iter().flat_map(|group| {
        let with_group = |entry| (group.title, entry);
        group.entries.iter().map(with_group)
    });
    let described = entries.map(|(group, entry)| {
        json!({
            "id": entry.id,
            "group": group,
            "status": entry.status.map(|status| status.code()),
            "proxy_error": entry.proxy_error,
            "meaning": entry.meaning,
            "remedy": entry.remedy,
        })
    });
    Value::Array(described.collect())
}

/// The list as docs/what-happened.md has it.
#[cfg(test)]
fn to_markdown() -> String {
    let mut text = String::new();
    for group in GROUPS {
        let _ = writeln!(text, "### {}\n", group.title);
        text.push_str("| `reason` | Status | What has happened | What to do |\n");
        text.push_str("|---|---|---|---|\n");
        for entry in group.entries {
            let status = entry.status.map(|status| status.code().to_string());
            let status = status.unwrap_or_default();
            let Entry {
                id,
                meaning,
                remedy,
                ..
            } = entry;
            let _ = writeln!(text, "| `{id}` | {status} | {meaning} | {remedy} |");
        }
        text.push('\n');
    }
    text
}

/// As the log writes it.
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const START: &str = "<!-- reasons -->\n\n";
    const END: &str = "<!-- end of reasons -->";

    /// `UPDATE_FIXTURES=1` writes the list into the document.
    #[test]
    fn the_document_has_the_list() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/what-happened.md");
        let document = std::fs::read_to_string(&path).expect("docs/what-happened.md");
        let (before, rest) = document.split_once(START).expect("the start of the list");
        let (list, after) = rest.split_once(END).expect("the end of the list");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            let updated = format!("{before}{START}{}{END}{after}", to_markdown());
            std::fs::write(&path, updated).expect("the document can be written");
        } else {
            assert_eq!(list, to_markdown(), "run the test with UPDATE_FIXTURES=1");
        }
    }

    #[test]
    fn one_reason_can_be_asked_for() {
        let text = to_text(Some("no_route")).expect("it is one");
        assert!(
            text.starts_with("  no_route (404 Not Found)\n    "),
            "{text}"
        );
        assert_eq!(text.lines().count(), 4);
        let error = to_text(Some("nonsense")).expect_err("it is none");
        assert!(error.contains("\"nonsense\""), "{error}");
    }
}
