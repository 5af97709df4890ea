//! A file of passwords while it is used: read when the configuration is prepared, and again when it changes.
//!
//! ```text
//! a request ─→ is the file as it was? (once a second at most) ─┬─ yes: are its credentials remembered?
//!                                                              └─ no: the pool reads it, then verifies
//! ```
//!
//! A file that has become bad, or that is gone, changes nothing: what was read before holds, and the log says
//! so.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::credentials::Credentials;
use super::hash::Hash;
use super::htpasswd::{self, LineFault};
use super::remembered::Remembered;
use crate::byte_order_mark;
use crate::disk::identity::Identity as FileIdentity;
use crate::disk::read_file;
use crate::log::diagnostic;
use crate::message::identity::{Identity, VerifiedBy};

/// For how many milliseconds a file is believed to be as it was.
const BELIEVED: u64 = 1000;

/// The most octets of a file: some hundred thousand users.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// When the first file was read: times are milliseconds since then.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The users of a file, and who of them was verified a moment ago.
pub(crate) struct Passwords {
    path: PathBuf,
    current: ArcSwap<Current>,
    /// When the file was looked at.
    looked: AtomicU64,
    seen: Mutex<Seen>,
}

/// What the file held when it was read last.
struct Current {
    users: HashMap<Box<str>, User>,
    /// A hash of the algorithm and cost that most users have. The password for a user who is not there is
    /// verified against it, so that the time does not tell who is there.
    stand_in: Option<Hash>,
    remembered: Remembered,
    digest: [u8; 32],
}

struct User {
    hash: Hash,
    identity: Arc<Identity>,
}

/// How the file was found last.
#[derive(Default)]
struct Seen {
    /// `None`: it was not there.
    identity: Option<FileIdentity>,
    /// What the operator was told.
    failure: Option<String>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("cannot read the passwords in `{}`: {error}", path.display())]
    Unread { path: PathBuf, error: io::Error },
    #[error("`{}`, {fault}{}", path.display(), more(*others))]
    Line {
        path: PathBuf,
        /// The first of them.
        fault: LineFault,
        /// How many further lines are refused.
        others: usize,
    },
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => "; one more line is refused".to_owned(),
        _ => format!("; {others} more lines are refused"),
    }
}

impl Unusable {
    /// What to do about it.
    pub(crate) fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unread { error, .. } if error.kind() == io::ErrorKind::NotFound => Some(
                "make it: `tidegate hash-password --user NAME` prints a line for it, as Apache's `htpasswd -B` \
                 does",
            ),
            Self::Unread { .. } => None,
            Self::Line { fault, .. } => Some(fault.help()),
        }
    }
}

impl Passwords {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn read(path: &Path) -> Result<Self, Unusable> {
        let identity = FileIdentity::at(path).ok();
        let current = Current::read(path)?;
        Ok(Self {
            path: path.to_owned(),
            current: ArcSwap::from_pointee(current),
            looked: AtomicU64::new(now()),
            seen: Mutex::new(Seen {
                identity,
                failure: None,
            }),
        })
    }

    /// A digest of the file as it was read last.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.current.load().digest
    }

    /// How many users there are.
    pub(crate) fn users(&self) -> usize {
        self.current.load().users.len()
    }

    /// How many of them have a hash that gives the password away once the file is lost.
    pub(crate) fn weak(&self) -> usize {
        let current = self.current.load();
        let users = current.users.values();
        users.filter(|user| user.hash.is_weak()).count()
    }

    /// Where they are read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The user of `credentials`, if they are remembered. It waits for nothing but, once a second, for a look
    /// at the file.
    pub(crate) fn remembered(&self, credentials: &Credentials<'_>) -> Option<Arc<Identity>> {
        let now = now();
        if !self.is_fresh(now) {
            return None;
        }
        let current = self.current.load();
        if !current.remembered.has(credentials.whole, now) {
            return None;
        }
        let user = current.users.get(credentials.user)?;
        Some(Arc::clone(&user.identity))
    }

    /// The user whose name and password are in `whole`, a colon between them; `None` if it is not the password
    /// of that user. It takes as long as the user's hash does; for a user who is not there, as long as a hash of
    /// the algorithm and cost that most users have.
    pub(crate) fn verify(&self, whole: &[u8]) -> Option<Arc<Identity>> {
        if !self.is_fresh(now()) {
            self.read_again();
        }
        let current = self.current.load_full();
        let colon = memchr::memchr(b':', whole)?;
        let (name, password) = (str::from_utf8(&whole[..colon]).ok()?, &whole[colon + 1..]);
        let user = current.users.get(name);
        // Several requests of one page may have come at once: the first of them has verified it.
        if let Some(user) = user.filter(|_| current.remembered.has(whole, now())) {
            return Some(Arc::clone(&user.identity));
        }
        let hash = user.map(|user| &user.hash).or(current.stand_in.as_ref())?;
        let is_right = hash.matches(password);
        let user = user.filter(|_| is_right)?;
        current.remembered.add(whole, now());
        Some(Arc::clone(&user.identity))
    }

    /// Reads the file again, whether it has changed or not.
    ///
    /// # Errors
    /// Why it cannot be used. What was read before holds.
    pub(crate) fn renew(&self) -> Result<(), Unusable> {
        let identity = FileIdentity::at(&self.path).ok();
        // Without the lock: event loops take it, and a disk may hang.
        let read = Current::read(&self.path);
        let mut seen = self.lock_seen();
        seen.identity = identity;
        seen.failure = read.as_ref().err().map(ToString::to_string);
        self.looked.store(now(), Ordering::Release);
        let read = read?;
        // A file that was only touched forgets no users.
        if read.digest != self.digest() {
            self.current.store(Arc::new(read));
        }
        Ok(())
    }

    /// Reads the file again because it has changed, and tells the operator.
    fn read_again(&self) {
        let told = self.lock_seen().failure.clone();
        let path = self.path.display();
        match self.renew() {
            Ok(()) => {
                let users = self.users();
                diagnostic::info(format_args!(
                    "read again: passwords in {path}: {users} users"
                ));
            }
            Err(why) if told.as_ref() == Some(&why.to_string()) => {}
            Err(why) => {
                let help = why.help().map(|help| format!(" ({help})"));
                let help = help.unwrap_or_default();
                diagnostic::error(format_args!("{why}{help}; what was read before is used on"));
            }
        }
    }

    /// Whether the file is as it was when it was read. One of the callers looks at it, once a second.
    fn is_fresh(&self, now: u64) -> bool {
        let looked = self.looked.load(Ordering::Acquire);
        if now.saturating_sub(looked) < BELIEVED {
            return true;
        }
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let claimed = self.looked.compare_exchange(looked, now, success, failure);
        if claimed.is_err() {
            // Another thread looks.
            return true;
        }
        let is_same = self.is_as_seen();
        if !is_same {
            // The next caller finds that it is not fresh, too, until a thread of the pool has read it.
            self.looked.store(0, Ordering::Release);
        }
        is_same
    }

    fn is_as_seen(&self) -> bool {
        let identity = FileIdentity::at(&self.path).ok();
        self.lock_seen().identity == identity
    }

    fn lock_seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the first file was read.
fn now() -> u64 {
    // 0 stands for "never".
    START.elapsed().as_millis() as u64 + BELIEVED
}

impl Current {
    fn read(path: &Path) -> Result<Self, Unusable> {
        let unread = |error| Unusable::Unread {
            path: path.to_owned(),
            error,
        };
        let octets = byte_order_mark::without(read_file(path, MAX_SIZE).map_err(unread)?);
        let users = htpasswd::parse(&octets).map_err(|faults| {
            let others = faults.len() - 1;
            let [fault, ..] = &faults[..] else {
                unreachable!("it is refused for a reason")
            };
            Unusable::Line {
                path: path.to_owned(),
                fault: fault.clone(),
                others,
            }
        })?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &octets);
        let remembered = Remembered::new(users.len());
        let remembered = remembered.map_err(|_| unread(io::Error::other("no random octets")))?;
        Ok(Self {
            stand_in: most_usual(users.values()).cloned(),
            users: users
                .into_iter()
                .map(|(name, hash)| User::new(name, hash))
                .collect(),
            remembered,
            digest: digest.as_ref().try_into().unwrap_or_default(),
        })
    }
}

impl User {
    fn new(name: Box<str>, hash: Hash) -> (Box<str>, Self) {
        let identity = Arc::new(Identity {
            user: Some(name.clone()),
            by: VerifiedBy::Password,
            fields: Vec::new(),
        });
        (name, Self { hash, identity })
    }
}

/// A hash of the algorithm and cost that most have.
fn most_usual<'h>(hashes: impl Iterator<Item = &'h Hash>) -> Option<&'h Hash> {
    let mut counts: HashMap<&str, (usize, &Hash)> = HashMap::new();
    for hash in hashes {
        counts.entry(hash.cost()).or_insert((0, hash)).0 += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|(cost, (count, _))| (*count, *cost));
    most.map(|(_, (_, hash))| hash)
}

#[cfg(test)]
mod tests {
    use super::super::credentials::{Decoded, basic};
    use super::*;
    use crate::test_support::TemporaryDirectory;

    /// `pw` and `other`.
    const PW: &str = "$2y$04$RGvcrkJALvtIf5Ci.3dmxuwvU7l80eIZwLOumqPn8faQD4lB1hmC.";
    const SHA: &str = "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=";

    struct Kept {
        directory: TemporaryDirectory,
        passwords: Passwords,
    }

    impl Kept {
        fn new(name: &str, text: &str) -> Self {
            let directory = TemporaryDirectory::new(name);
            directory.write("users", text.as_bytes());
            let passwords = Passwords::read(&directory.path().join("users"));
            let passwords = passwords.unwrap_or_else(|why| panic!("{why}"));
            Self {
                directory,
                passwords,
            }
        }

        /// Writes the file, and lets the next one who asks look at it.
        fn write(&self, text: &str) {
            self.directory.write("users", text.as_bytes());
            self.passwords.looked.store(0, Ordering::Relaxed);
        }

        fn verifies(&self, whole: &str) -> bool {
            self.passwords.verify(whole.as_bytes()).is_some()
        }

        fn remembers(&self, whole: &str) -> bool {
            let value = format!("Basic {}", data_encoding::BASE64.encode(whole.as_bytes()));
            let mut decoded = Decoded::new();
            let credentials = basic(value.as_bytes(), &mut decoded).expect("credentials");
            let found = self.passwords.remembered(&credentials);
            found.is_some_and(|identity| identity.user.as_deref() == Some(credentials.user))
        }
    }

    #[test]
    fn remembers_who_was_verified_and_no_others() {
        let kept = Kept::new("passwords", &format!("alice:{PW}\nbob:{SHA}\n"));
        assert!(!kept.remembers("alice:pw"));
        assert!(kept.verifies("alice:pw") && kept.remembers("alice:pw"));
        for wrong in ["alice:pW", "carol:pw", ":pw", "Alice:pw", "alice:"] {
            assert!(!kept.verifies(wrong) && !kept.remembers(wrong), "{wrong}");
        }
        assert!(!kept.remembers("bob:pw"), "it is another user");
        assert!(!Kept::new("none", "# nothing").verifies("alice:pw"));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        let kept = Kept::new("marked", &format!("\u{feff}alice:{PW}\n"));
        assert!(kept.verifies("alice:pw"));
    }

    #[test]
    fn a_changed_file_is_read_and_forgets_who_was_verified() {
        let kept = Kept::new("changed", &format!("alice:{PW}\nbob:{PW}\n"));
        assert!(kept.verifies("alice:pw") && kept.verifies("bob:pw"));
        kept.write(&format!("alice:{PW}\n# gone\n"));
        assert!(!kept.remembers("bob:pw"), "the file has to be read first");
        assert!(!kept.remembers("alice:pw"));
        assert!(!kept.verifies("bob:pw") && kept.verifies("alice:pw"));
        assert!(kept.remembers("alice:pw"));
        // Written again with the same content.
        kept.write(&format!("alice:{PW}\n# gone\n"));
        kept.passwords.renew().expect("it is good");
        assert!(kept.remembers("alice:pw"));
    }

    #[test]
    fn a_bad_file_leaves_what_was_read_before() {
        let kept = Kept::new("bad", &format!("alice:{PW}\n"));
        for text in ["alice:pw\n", "alice"] {
            kept.write(text);
            assert!(kept.verifies("alice:pw"), "{text}");
            assert!(kept.remembers("alice:pw"), "{text}");
        }
        let why = kept.passwords.renew().expect_err("it is bad");
        assert!(
            why.to_string()
                .ends_with("users`, line 1: there is no colon between a name and a hash")
        );
        std::fs::remove_file(kept.directory.path().join("users")).expect("ours");
        kept.passwords.looked.store(0, Ordering::Relaxed);
        assert!(kept.verifies("alice:pw"));
        let why = kept.passwords.renew().expect_err("it is gone");
        assert!(why.help().expect("a remedy").contains("hash-password"));
    }

    #[test]
    fn a_user_who_is_not_there_is_verified_like_most_others() {
        let kept = Kept::new("stand-in", &format!("a:{SHA}\nb:{PW}\nc:{PW}\n"));
        let current = kept.passwords.current.load();
        let stand_in = current.stand_in.as_ref().expect("a hash");
        assert!(matches!(stand_in, Hash::Bcrypt(_)));
        assert_eq!((kept.passwords.users(), kept.passwords.weak()), (3, 1));
    }
}
