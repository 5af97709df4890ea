//! Which errors of opening a path mean "not there", and which mean that the disk failed.

use std::io;

use rustix::io::Errno;

use super::barrier::errno;

/// Why nothing that can be served was opened at a path, although the disk works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// No file has the name.
    NameMissing,
    /// A link leads out of where it may lead, or in a circle, or is not followed at all.
    Outside,
    /// The path leads through a file, is no name that the file system knows, or leads to a socket, a
    /// pipe or a device.
    Unusable,
    /// The system does not let us look.
    Forbidden,
}

impl Absence {
    /// The absence that `error` stands for. `None` for a failure: a disk that fails, descriptors
    /// that ran out, `WouldBlock`.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match errno(error)? {
            Errno::NOENT => Some(Self::NameMissing),
            Errno::XDEV | Errno::LOOP => Some(Self::Outside),
            // NXIO: a socket, or a pipe without a reader. OPNOTSUPP and NODEV: a device.
            Errno::NOTDIR
            | Errno::NAMETOOLONG
            | Errno::INVAL
            | Errno::NXIO
            | Errno::NODEV
            | Errno::OPNOTSUPP => Some(Self::Unusable),
            Errno::ACCESS | Errno::PERM => Some(Self::Forbidden),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_no_absence() {
        for (errno, expected) in [
            (Errno::NOENT, Some(Absence::NameMissing)),
            (Errno::NOTDIR, Some(Absence::Unusable)),
            (Errno::XDEV, Some(Absence::Outside)),
            (Errno::PERM, Some(Absence::Forbidden)),
            (Errno::AGAIN, None),
            (Errno::IO, None),
            (Errno::MFILE, None),
        ] {
            assert_eq!(Absence::of(&errno.into()), expected, "{errno:?}");
        }
        assert_eq!(Absence::of(&io::ErrorKind::NotFound.into()), None);
    }
}
