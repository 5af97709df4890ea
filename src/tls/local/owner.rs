//! Whose CA it is, for people who find it in a list of those that are trusted.

use nix::unistd::{Uid, User};
use rustix::system::uname;

/// The user and the machine, as `ada@engine`.
pub(super) fn described() -> String {
    let user = Uid::current();
    let known = User::from_uid(user).ok().flatten();
    let name = known.map_or_else(|| user.to_string(), |user| user.name);
    format!("{name}@{}", machine())
}

/// The name of this machine, as the system has it.
pub(crate) fn machine() -> String {
    uname().nodename().to_string_lossy().into_owned()
}
