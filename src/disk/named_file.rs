//! Reading a file that the configuration names, as a whole, on a thread that must not stand still.
//!
//! What stands at its path may have changed since the configuration was checked: a FIFO would be waited for until
//! a program writes to it, and a device may never end.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// The octets of the regular file at `path`, to which links may lead, and which has `most` at most.
///
/// # Errors
/// The system's error; or a sentence, if it is no regular file or is larger.
pub(crate) fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // A FIFO is opened without its writer, and a terminal does not become that of the process.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut octets = Vec::new();
    file.take(most + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > most {
        let sentence = format!("it has more than {} MiB", most / (1024 * 1024));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, sentence));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;
    use crate::test_support::TemporaryDirectory;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = TemporaryDirectory::new("named-file");
        let fifo = directory.path().join("fifo");
        mkfifoat(CWD, &fifo, Mode::RWXU).expect("ours");
        let endless = directory.path().join("endless");
        std::os::unix::fs::symlink("/dev/zero", &endless).expect("ours");
        for path in [&*fifo, &*endless, directory.path()] {
            let error = read_file(path, MIB).expect_err("it is no file");
            assert_eq!(error.to_string(), "it is no file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_may_be_as_large_as_was_said() {
        let directory = TemporaryDirectory::new("named-file");
        let path = directory.path().join("f");
        directory.write("f", &vec![b'a'; MIB as usize]);
        let octets = read_file(&path, MIB).expect("a file");
        assert_eq!(octets.len() as u64, MIB);
        directory.write("f", &vec![b'a'; MIB as usize + 1]);
        let error = read_file(&path, MIB).expect_err("it is larger");
        assert_eq!(error.to_string(), "it has more than 1 MiB");
    }
}
