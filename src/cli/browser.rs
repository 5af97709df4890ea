//! Opens an address in the user's browser, without showing the address to other users.
//!
//! The arguments of every process can be read by all users of a machine, so a secret address is no argument:
//! `xdg-open` gets the name of a file that only this user can read, and the file leads to the address.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::log::diagnostic;
use crate::runtime::spawn_thread;

/// An address that a browser was asked to open. Dropping it removes the file that leads there.
pub(super) struct Opened {
    file: PathBuf,
}

impl Opened {
    /// Has the user's browser open `url`, if there is a screen. What fails is told, and the user can still open
    /// the address by hand.
    pub(super) fn in_browser(url: &str) -> Option<Self> {
        let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !has("DISPLAY") && !has("WAYLAND_DISPLAY") {
            return None;
        }
        let directory = std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
        let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
        let file = directory.join(format!("tidegate-dashboard-{}.html", std::process::id()));
        let opened = write_private(&file, url).and_then(|()| {
            let opened = Self { file };
            opened.open().map(|()| opened)
        });
        if let Err(error) = &opened {
            diagnostic::print(&format!("warning: the browser cannot be opened: {error}\n"));
        }
        opened.ok()
    }

    /// Starts `xdg-open` in a process group of its own: Ctrl-C must not end a browser that it starts.
    fn open(&self) -> io::Result<()> {
        let mut command = Command::new("xdg-open");
        command.arg(&self.file).process_group(0);
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        // It may go on for as long as the browser does; a thread takes its status.
        spawn_thread("tidegate-open", move || drop(child.wait())).map(drop)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Writes a page that leads to `url` into a new file at `path`, which this user alone can read.
fn write_private(path: &Path, url: &str) -> io::Result<()> {
    // The one of a process of the same number, which was killed.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    write!(
        file,
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"refresh\" content=\"0; url={url}\">\n\
         <title>Tidegate</title>\n<p><a href=\"{url}\">The live page</a>\n"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn the_file_leads_to_the_address_and_is_read_by_no_other_user() {
        let directory = TemporaryDirectory::new("open");
        let path = directory.path().join("a.html");
        fs::write(&path, "what a killed process left").expect("ours");
        write_private(&path, "http://127.0.0.1:1/t").expect("ours");
        let text = fs::read_to_string(&path).expect("ours");
        assert!(
            text.contains("content=\"0; url=http://127.0.0.1:1/t\""),
            "{text}"
        );
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(Opened { file: path.clone() });
        assert!(!path.exists());
    }
}
