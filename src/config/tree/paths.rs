//! Paths in a file: where they lead, and what is wrong with them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use crate::address::{LONGEST_SOCKET_PATH, ListenAddress};
use crate::config::complaint::diagnostic::{Diagnostic, Source};
use crate::config::tree::node::{Node, Text};

/// The path that `written` means in `source`: a relative one starts at the directory of the file.
pub(crate) fn beside(source: &Source, written: impl AsRef<Path>) -> PathBuf {
    source.path.parent().unwrap_or(Path::new("")).join(written)
}

/// The absolute path of a directory, without `.` and `..` and without a slash at its end: programs are
/// told paths beneath it, and some refuse those with `..`.
///
/// Links stay as they are written, so that an operator can let them lead elsewhere while the server
/// runs. Only what stands before a `..` is resolved, because a `..` behind a link is not the directory
/// that the link stands in.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let components: Vec<Component<'_>> = path.components().collect();
    let last_up = components
        .iter()
        .rposition(|component| *component == Component::ParentDir);
    let (resolved, rest) = components.split_at(last_up.map_or(0, |last| last + 1));
    let resolved: PathBuf = resolved.iter().collect();
    let resolved = resolved.canonicalize().unwrap_or(resolved);
    resolved.components().chain(rest.iter().copied()).collect()
}

/// The one path of a file, however `path` is written and whatever links lead to it. The file need not be
/// there yet, as long as its directory is.
fn resolved(path: &Path) -> PathBuf {
    let path = absolute(path);
    if let Ok(file) = path.canonicalize() {
        return file;
    }
    let directory = path.parent().and_then(|above| above.canonicalize().ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path,
    }
}

/// Whether both paths lead to one file, by whatever links. It need not be there yet.
pub(crate) fn is_one_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
        Some((metadata.dev(), metadata.ino()))
    };
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        _ => resolved(one) == resolved(other),
    }
}

/// The file that `text` names. It is reported if it cannot be read.
pub(crate) fn readable_file(text: &Text<'_>) -> Option<PathBuf> {
    let (path, error) = looked_at(text);
    match error {
        None => Some(path),
        Some(error) => {
            text.node.cx.report(error);
            None
        }
    }
}

/// As [`readable_file`], for a file of which the server that runs may have what it held before. If it cannot be
/// read, the error is added to `unread`, for the caller to report once that is known.
pub(crate) fn file_read_later(text: &Text<'_>, unread: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    if text.value.is_empty() {
        return readable_file(text);
    }
    let (path, error) = looked_at(text);
    unread.extend(error);
    Some(path)
}

/// The path that `text` names, and why the file there cannot be read.
fn looked_at(text: &Text<'_>) -> (PathBuf, Option<Diagnostic>) {
    let path = beside(text.node.cx.source, &text.value);
    let shown = path.display();
    // Opening a pipe would wait for a writer.
    let opened = std::fs::metadata(&path).and_then(|metadata| {
        if metadata.is_file() {
            File::open(&path)?;
        }
        Ok(metadata)
    });
    let message = match opened {
        _ if text.value.is_empty() => format!("`{}` names no file", text.node.name),
        Ok(metadata) if metadata.is_file() => return (path, None),
        Ok(_) => format!("`{shown}` is not a file"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("there is no file `{shown}`")
        }
        Err(error) => format!(
            "cannot read `{shown}`: {error}{}",
            forbidding(&path, &error)
        ),
    };
    let error = path_error(text, &path, message);
    (path, Some(error))
}

/// For a path that the system forbids, where it does: ` (may not look into the directory …)`.
pub(crate) fn forbidding(path: &Path, error: &io::Error) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let is_known = |above: &&Path| std::fs::metadata(above).is_ok();
    match path.ancestors().find(is_known) {
        Some(above) if error.kind() == io::ErrorKind::PermissionDenied && above != path => {
            format!(
                " (the server may not look into the directory `{}`)",
                above.display()
            )
        }
        _ => String::new(),
    }
}

/// Reports `message` about the path that `text` names. For a relative path it adds where that begins.
pub(crate) fn report_path(text: &Text<'_>, path: &Path, message: String) {
    text.node.cx.report(path_error(text, path, message));
}

/// The error `message` about the path that `text` names, as [`report_path`] reports it. Takes note of the path if
/// nothing is there.
fn path_error(text: &Text<'_>, path: &Path, message: String) -> Diagnostic {
    text.node.cx.note_if_missing(path);
    let is_relative = path.is_relative() && !text.value.is_empty();
    let help =
        is_relative.then(|| "a relative path starts at the directory of this file".to_owned());
    let error = Diagnostic::error(message).at(text.node.spot(), "");
    error.help(help)
}

/// The directory that `text` names. It is reported if there is none.
pub(crate) fn directory(text: &Text<'_>) -> Option<PathBuf> {
    let path = beside(text.node.cx.source, &text.value);
    let shown = path.display();
    let message = match std::fs::metadata(&path) {
        _ if text.value.is_empty() => format!("`{}` names no directory", text.node.name),
        Ok(metadata) if metadata.is_dir() => return Some(path),
        Ok(_) => format!("`{shown}` is not a directory"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("there is no directory `{shown}`")
        }
        Err(error) => format!(
            "cannot look at `{shown}`: {error}{}",
            forbidding(&path, &error)
        ),
    };
    report_path(text, &path, message);
    None
}

/// The program that `name` means to a process in `directory`: a file that may be executed. A name without
/// a slash is looked for in the directories of `path`.
pub(crate) fn find_program(name: &str, directory: &Path, path: &str) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| {
        let state = std::fs::metadata(file);
        state.is_ok_and(|state| state.is_file() && state.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(directory.join(name)).filter(is_program);
    }
    let mut files = path
        .split(':')
        .map(|place| directory.join(place).join(name));
    files.find(is_program)
}

/// The Unix socket at the path `written`. A path that is too long for the system is reported.
pub(crate) fn unix(node: Node<'_>, written: &Path) -> Option<ListenAddress> {
    let path = beside(node.cx.source, written);
    if path.as_os_str().len() <= LONGEST_SOCKET_PATH {
        return Some(ListenAddress::Unix(path.into()));
    }
    let message = format!("the path of a socket has at most {LONGEST_SOCKET_PATH} bytes");
    let help = format!("this one is {}", path.display());
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), "").help(help));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn a_root_is_told_in_one_form() {
        let tree = TemporaryDirectory::new("paths");
        tree.write("releases/7/index.php", b"");
        tree.write("etc/config.toml", b"");
        let link = tree.path().join("current");
        std::os::unix::fs::symlink("releases/7", link).expect("the directory is ours");
        let here = tree.path().canonicalize().expect("it is there");
        for (written, expected) in [
            ("releases/7", "releases/7"),
            ("releases/7/", "releases/7"),
            ("releases/./7//", "releases/7"),
            ("etc/../releases/7", "releases/7"),
            ("etc/../current/", "current"),
            ("current/../7", "releases/7"),
            ("current", "current"),
        ] {
            assert_eq!(
                absolute(&here.join(written)),
                here.join(expected),
                "{written}"
            );
        }
        assert_eq!(absolute(Path::new("/")), Path::new("/"));
    }

    #[test]
    fn a_file_has_one_path_also_before_it_is_there() {
        let tree = TemporaryDirectory::new("resolved");
        tree.write("logs/old.log", b"");
        let here = tree.path().canonicalize().expect("it is there");
        for (link, to) in [("linked", "logs"), ("logs/link.log", "old.log")] {
            std::os::unix::fs::symlink(to, here.join(link)).expect("the directory is ours");
        }
        std::fs::hard_link(here.join("logs/old.log"), here.join("hard.log")).expect("it is ours");
        for (written, expected) in [
            ("logs/new.log", "logs/new.log"),
            ("linked/new.log", "logs/new.log"),
            ("linked/../logs/new.log", "logs/new.log"),
            ("linked/link.log", "logs/old.log"),
            ("absent/new.log", "absent/new.log"),
        ] {
            let found = resolved(&here.join(written));
            assert_eq!(found, here.join(expected), "{written}");
        }
        for (one, other, expected) in [
            ("linked/new.log", "logs/new.log", true),
            ("linked/link.log", "hard.log", true),
            ("logs/new.log", "hard.log", false),
            ("logs/new.log", "logs/newer.log", false),
        ] {
            let found = is_one_file(&here.join(one), &here.join(other));
            assert_eq!(found, expected, "{one} {other}");
        }
    }
}
