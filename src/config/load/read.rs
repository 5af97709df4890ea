//! Reading a file of the operator's as a whole, whatever stands at its path.
//!
//! A FIFO would make a start wait for a writer, for ever and without a word, and a device may never
//! end. So nothing is waited for longer than [`PATIENCE`], and nothing is read beyond [`MAX_SIZE`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::byte_order_mark;

/// How long a program may take to write into a FIFO, as in `--config <(generate)`.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most octets of a file.
const MAX_SIZE: usize = 16 * 1024 * 1024;

/// The octets of the file at `path`, which may be a FIFO that another program writes to, without a byte order mark.
///
/// # Errors
/// The system's error, or a sentence.
pub(crate) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    read_within(path, PATIENCE).map(byte_order_mark::without)
}

fn read_within(path: &Path, patience: Duration) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let mut options = OpenOptions::new();
    let mut file = options.read(true).custom_flags(flags as i32).open(path)?;
    let is_fifo = file.metadata()?.file_type().is_fifo();
    let deadline = Instant::now() + patience;
    let mut octets = Vec::new();
    loop {
        let room = (MAX_SIZE + 1 - octets.len()) as u64;
        match (&mut file).take(room).read_to_end(&mut octets) {
            Ok(_) if octets.len() > MAX_SIZE => {
                let sentence = format!("it has more than {MAX_SIZE} octets");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, sentence));
            }
            Ok(_) if is_fifo && octets.is_empty() => {
                return Err(io::Error::other("it is a FIFO that no program writes to"));
            }
            Ok(_) => return Ok(octets),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&file, deadline)?,
            Err(error) => return Err(error),
        }
    }
}

/// Waits until there is more to read.
fn wait(file: &File, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).ok();
    let mut files = [PollFd::new(file, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut files, timeout.as_ref()))?;
    if ready == 0 {
        let sentence = "it is no regular file, and what was to come from it did not come in time";
        return Err(io::Error::new(io::ErrorKind::TimedOut, sentence));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;
    use crate::test_support::TemporaryDirectory;

    /// A start hung at a FIFO, without a word.
    #[test]
    fn a_fifo_is_read_and_not_waited_for() {
        let directory = TemporaryDirectory::new("read");
        let path = directory.path().join("fifo");
        mkfifoat(CWD, &path, Mode::RWXU).expect("ours");
        let error = read_whole(&path).expect_err("no program writes");
        assert!(error.to_string().contains("no program writes"), "{error}");
        // Opened for both, so that this does not wait for the reader.
        let writer = OpenOptions::new().read(true).write(true).open(&path);
        let mut writer = writer.expect("ours");
        let error = read_within(&path, Duration::ZERO).expect_err("nothing comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        writer.write_all(b"text").expect("there is room");
        let error = read_within(&path, Duration::ZERO).expect_err("it has no end");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_never_ends_is_refused() {
        let error = read_whole(Path::new("/dev/zero")).expect_err("it has no end");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_whole(Path::new("/dev/null")).expect("empty"), b"");
        let error = read_whole(&std::env::temp_dir()).expect_err("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
