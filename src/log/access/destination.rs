//! Where the access log goes, and how lines get there whole.
//!
//! A full disk takes a part of a line. The rest of that line is kept, and is written first as soon as
//! there is room, so that no half line is glued to another one.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use memchr::{memchr, memchr_iter};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::config::model::{AccessLog, LogDestination};

/// Why the access log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenLogError {
    #[error("cannot open the access log {path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("cannot start the thread that writes the access log")]
    Thread(#[source] io::Error),
}

impl OpenLogError {
    /// The error of the file at `path`, with what the operator can do.
    fn of_file(path: &Path, error: &io::Error) -> Self {
        let reason = match Errno::from_io_error(error) {
            Some(Errno::ISDIR) => "it is a directory; name a file in it".to_owned(),
            Some(Errno::NXIO) => {
                "it is a FIFO that no program reads from, or a socket; start the reader first"
                    .to_owned()
            }
            Some(Errno::NOENT | Errno::NOTDIR) => {
                format!("{error}; create its directory, or change log.access")
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                format!(
                    "{error}; let the user write there whom the server runs as, or change log.access"
                )
            }
            Some(Errno::ROFS) => {
                format!(
                    "{error}; change log.access, or let the server write there: under systemd, its unit needs `LogsDirectory=tidegate` for /var/log/tidegate, or `ReadWritePaths=` with the directory"
                )
            }
            _ => format!("{error}; change log.access"),
        };
        let path = path.to_owned();
        Self::File { path, reason }
    }
}

/// Lines could not be written.
pub(super) struct Incomplete {
    /// How many lines are lost.
    pub(super) lost: u64,
    pub(super) error: io::Error,
}

/// Where the access log goes.
pub(super) struct Destination {
    place: Place,
    /// The rest of a line whose beginning was written.
    torn: Vec<u8>,
}

enum Place {
    StandardOutput,
    File(PathBuf, File),
}

impl Destination {
    /// Opens it.
    ///
    /// # Errors
    /// If the file cannot be opened or created.
    pub(super) fn open(destination: &LogDestination) -> Result<Self, OpenLogError> {
        let place = match destination {
            LogDestination::StandardOutput => Place::StandardOutput,
            LogDestination::File(path) => Place::File(path.clone(), open(path)?),
        };
        Ok(Self {
            place,
            torn: Vec::new(),
        })
    }

    /// Writes `lines`, each with its LF, behind the rest of a line that is torn.
    ///
    /// # Errors
    /// How many of them are lost, and why.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Incomplete> {
        let torn = std::mem::take(&mut self.torn);
        if let Err((written, error)) = self.place.write(&torn) {
            self.torn = torn[written..].to_vec();
            let lost = count(lines);
            return Err(Incomplete { lost, error });
        }
        let Err((written, error)) = self.place.write(lines) else {
            return Ok(());
        };
        let mut rest = &lines[written..];
        let is_torn = written > 0 && lines[written - 1] != b'\n';
        if is_torn {
            let end = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            self.torn = rest[..end].to_vec();
            rest = &rest[end..];
        }
        let lost = count(rest);
        Err(Incomplete { lost, error })
    }

    /// Gives up the rest of a line, if it still cannot be written. Returns how many lines are lost so.
    pub(super) fn give_up(&mut self) -> u64 {
        let is_lost = !self.torn.is_empty() && self.write(b"").is_err();
        self.torn.clear();
        u64::from(is_lost)
    }

    /// Opens the file anew, after its name was given to another one. Returns how many lines are lost with
    /// the old one.
    ///
    /// # Errors
    /// If the file cannot be opened or created: the old one stays.
    pub(super) fn reopen(&mut self) -> Result<u64, OpenLogError> {
        let Place::File(path, _) = &self.place else {
            return Ok(0);
        };
        let (path, opened) = (path.clone(), open(path)?);
        let lost = self.give_up();
        self.place = Place::File(path, opened);
        Ok(lost)
    }
}

/// As diagnostics name it.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::StandardOutput => f.write_str("on standard output"),
            Place::File(path, _) => path.display().fmt(f),
        }
    }
}

impl Place {
    /// Writes all of `octets`.
    ///
    /// # Errors
    /// How many octets were written before the error.
    fn write(&mut self, octets: &[u8]) -> Result<(), (usize, io::Error)> {
        match self {
            Self::StandardOutput => {
                // Not through its buffer, which does not tell how much of it was written.
                let mut output = io::stdout().lock();
                let flushed = output.flush().map_err(|error| (0, error));
                flushed.and_then(|()| write_all(octets, write_to_standard_output))
            }
            Self::File(_, file) => write_all(octets, |rest| file.write(rest)),
        }
    }
}

/// Writes once to standard output. If another program has made it non-blocking, waits for room.
fn write_to_standard_output(octets: &[u8]) -> io::Result<usize> {
    let output = io::stdout();
    loop {
        match rustix::io::write(&output, octets) {
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&output, PollFlags::OUT)], None)?;
            }
            written => return Ok(written?),
        }
    }
}

/// Calls `write` until all of `octets` are written.
///
/// # Errors
/// How many octets were written before the error.
fn write_all(
    octets: &[u8],
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < octets.len() {
        match write(&octets[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// How many lines end in `lines`.
pub(super) fn count(lines: &[u8]) -> u64 {
    memchr_iter(b'\n', lines).count() as u64
}

/// Looks whether the access logs could be opened. Creates nothing. It does not open a FIFO: a reader that waits for
/// the server would see it end.
///
/// # Errors
/// The first that could not: its directory is not there, it is a directory itself, or it must not be
/// written.
pub(crate) fn check(logs: &[AccessLog]) -> Result<(), OpenLogError> {
    let mut files = logs.iter().filter_map(|log| match &log.destination {
        LogDestination::StandardOutput => None,
        LogDestination::File(path) => Some(path),
    });
    files.try_for_each(|path| check_file(path))
}

fn check_file(path: &Path) -> Result<(), OpenLogError> {
    let outcome = match path.metadata() {
        Ok(state) if state.is_dir() => Err(Errno::ISDIR),
        Ok(state) if state.file_type().is_socket() => Err(Errno::NXIO),
        Ok(_) => rustix::fs::access(path, Access::WRITE_OK),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(OpenLogError::of_file(path, &error));
        }
        Err(_) => return check_new(&end_of_links(path)),
    };
    outcome.map_err(|error| OpenLogError::of_file(path, &error.into()))
}

/// Looks whether the file at `path`, which is not there and is no link, could be made.
fn check_new(path: &Path) -> Result<(), OpenLogError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let outcome = match parent.metadata() {
        Ok(state) if !state.is_dir() => Err(Errno::NOTDIR),
        _ => rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK),
    };
    outcome.map_err(|error| OpenLogError::of_file(path, &error.into()))
}

/// Where a file is made if `path` is opened and no file is there: symbolic links are followed. The kernel has
/// found an end of them already; the bound is for links that change at this moment.
fn end_of_links(path: &Path) -> PathBuf {
    let mut end = path.to_owned();
    for _ in 0..40 {
        let Ok(target) = end.read_link() else {
            break;
        };
        end = end.parent().unwrap_or(Path::new("")).join(target);
    }
    end
}

/// Opens the log at `path` to append to it, or makes it. It may be a FIFO; then another program must read
/// from it. If a server that was killed left half a line in a file, ends that line.
fn open(path: &Path) -> Result<File, OpenLogError> {
    let mut file = open_at_once(path).map_err(|error| OpenLogError::of_file(path, &error))?;
    if ends_in_half_a_line(path, &file) {
        // If there is no room for it, the first line reports that.
        let _ = file.write(b"\n");
    }
    Ok(file)
}

/// Opens the file without waiting: opening a FIFO would wait until a program reads from it. Writing may
/// wait, as the thread of the log does.
fn open_at_once(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    let file = options.open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Whether a regular file that was opened from `path` ends in something else than LF. A file that may not
/// be read counts as whole.
fn ends_in_half_a_line(path: &Path, opened: &File) -> bool {
    let last = || -> io::Result<u8> {
        if !opened.metadata()?.is_file() {
            return Ok(b'\n');
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;
    use std::os::unix::fs::symlink;

    /// Only the directory of the link was looked at, so that `check` passed what `run` refused.
    #[test]
    fn a_link_is_checked_where_it_leads() {
        let tree = TemporaryDirectory::new("log-links");
        let links = [
            ("dangling", "nowhere/x"),
            ("again", "dangling"),
            ("loop", "loop"),
            ("new", "x.log"),
        ];
        for (name, target) in links {
            symlink(target, tree.path().join(name)).expect("a new name");
            let checked = check_file(&tree.path().join(name));
            assert_eq!(checked.is_ok(), name == "new", "{name}");
            let error = checked.err().map(|error| error.to_string());
            let names_target =
                error.is_none_or(|error| error.contains("nowhere/x") || name == "loop");
            assert!(names_target, "{name}");
        }
    }

    /// Whose the directory is does not matter where the whole file system is read-only.
    #[test]
    fn a_read_only_file_system_is_told_with_its_remedy() {
        let error = OpenLogError::of_file(Path::new("/srv/a.log"), &Errno::ROFS.into());
        let error = error.to_string();
        assert!(error.contains("`ReadWritePaths=`"), "{error}");
        assert!(!error.contains("user"), "{error}");
    }

    /// Takes so many octets, then no more.
    struct Disk {
        content: Vec<u8>,
        room: usize,
    }

    impl Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let count = octets.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.content.extend_from_slice(&octets[..count]);
            self.room -= count;
            Ok(count)
        }
    }

    #[test]
    fn what_was_written_before_an_error_is_known() {
        for (room, expected) in [(0, Some(0)), (3, Some(3)), (6, None), (7, None)] {
            let mut disk = Disk {
                content: Vec::new(),
                room,
            };
            let outcome = write_all(b"abcdef", |rest| disk.write(rest));
            assert_eq!(outcome.err().map(|(written, _)| written), expected);
            assert_eq!(disk.content, &b"abcdef"[..room.min(6)]);
        }
    }

    #[test]
    fn half_a_line_of_a_killed_server_is_ended() {
        let directory = crate::test_support::TemporaryDirectory::new("access");
        for (name, before, after) in [
            ("half", "a\nb", "a\nb\nc\n"),
            ("whole", "a\n", "a\nc\n"),
            ("empty", "", "c\n"),
        ] {
            directory.write(name, before.as_bytes());
            let path = directory.path().join(name);
            let file = LogDestination::File(path.clone());
            let mut destination = Destination::open(&file).expect("ours");
            assert!(destination.write(b"c\n").is_ok());
            assert_eq!(std::fs::read_to_string(path).expect("ours"), after);
        }
    }
}
