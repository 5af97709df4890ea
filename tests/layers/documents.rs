//! The documents that sources cite: a reader of the repository must be able to open them.

use std::path::{Path, PathBuf};

use super::files_below;

/// A line that cites a document which is not in the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    /// From the root of the repository on.
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) document: String,
}

/// Gives examples of citations.
const EXAMPLES: &str = "tests/layers/documents.rs";

/// Every citation of a missing document in the sources, tests, tools and manifests below `root`.
///
/// # Errors
/// The first file that cannot be read.
pub(crate) fn missing(root: &Path) -> std::io::Result<Vec<Citation>> {
    let mut missing = Vec::new();
    for path in files_below(root)? {
        let file = path.strip_prefix(root).unwrap_or(&path);
        let ends = ["rs", "toml", "py", "md", "sh", "yml"];
        if !ends
            .iter()
            .any(|end| file.extension().is_some_and(|is| is == *end))
            || file == Path::new(EXAMPLES)
        {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        for (index, line) in text.lines().enumerate() {
            let is_there = |document: &str| {
                let beside = path.parent().unwrap_or(root).join(document);
                root.join(document).exists() || beside.exists()
            };
            let documents = cited(line)
                .into_iter()
                .filter(|document| !is_there(document));
            missing.extend(documents.map(|document| Citation {
                file: file.to_owned(),
                line: index + 1,
                document,
            }));
        }
    }
    Ok(missing)
}

/// The documents that a line cites: `NAME.md` in capitals, `docs/….md`, `NAME §3`.
fn cited(line: &str) -> Vec<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-./".contains(character);
    let words = line
        .split(|character| !is_part(character))
        .filter(|word| !word.is_empty());
    let mut documents = Vec::new();
    for word in words {
        let word = word.trim_matches('.');
        let name = word.strip_suffix(".md").unwrap_or("");
        let is_in_capitals = !name.is_empty() && name.chars().all(|part| part.is_ascii_uppercase());
        if is_in_capitals || word.starts_with("docs/") && !name.is_empty() {
            documents.push(word.to_owned());
        }
    }
    let sections = line.match_indices(" §").map(|(place, _)| &line[..place]);
    for before in sections {
        let start = before.rfind(|character: char| !character.is_ascii_alphanumeric());
        let name = &before[start.map_or(0, |start| start + 1)..];
        // A clause of an RFC is cited by its number: `RFC 9112 §6.3`.
        if name.len() > 2 && name.chars().all(|part| part.is_ascii_uppercase()) {
            documents.push(format!("{name}.md"));
        }
    }
    documents
}

mod tests {
    use super::*;

    #[test]
    fn documents_are_known_by_their_names() {
        for (line, expected) in [
            ("//! nothing (TITLE §5).", &["TITLE.md"][..]),
            (
                "# see TITLE.md, and docs/some/page.md.",
                &["TITLE.md", "docs/some/page.md"],
            ),
            ("(RFC 9112 §6.3 item 3), POSIX 2", &[]),
            ("const TITLE: &str = \"page.md\";", &[]),
            ("The §5 says", &[]),
        ] {
            assert_eq!(cited(line), expected, "{line}");
        }
    }
}
