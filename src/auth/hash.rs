//! The hash of a password: the forms that a file may have, and whether a password is the one.
//!
//! ```text
//! $2y$10$…                    bcrypt        htpasswd -B, and what `hash-password` makes
//! $argon2id$v=19$m=…$…        Argon2
//! $5$…  $6$…                  SHA-crypt     openssl passwd -5, -6
//! $apr1$…                     MD5, salted   htpasswd without an option
//! {SHA}…                      SHA-1         htpasswd -s
//! ```
//!
//! The last two are taken because many files hold them. Others are refused when the file is read: a user
//! whose hash is not understood could never log in, and the reason would be told nowhere.

use argon2::password_hash::phc::PasswordHash as PhcHash;
use argon2::{Argon2, PasswordVerifier as _};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use data_encoding::{BASE64, BASE64_NOPAD};
use sha_crypt::ShaCrypt;

use super::apr1;

/// The most octets of a password that bcrypt looks at.
pub(crate) const MAX_BCRYPT_PASSWORD: usize = 72;

/// The cost of bcrypt beyond which a verification takes many seconds.
const MAX_BCRYPT_COST: u32 = 16;

/// The cost of the hashes that are made here: some 200 milliseconds.
const BCRYPT_COST: u32 = 12;

/// The rounds of SHA-crypt beyond which a verification takes many seconds.
const MAX_ROUNDS: u32 = 5_000_000;

/// The memory of Argon2, in KiB, beyond which a few verifications at once would take all there is.
const MAX_ARGON2_MEMORY: u32 = 1024 * 1024;

/// The passes of Argon2 over its memory.
const MAX_ARGON2_PASSES: u32 = 64;

/// The hash of a password, in a form that is understood.
#[derive(Clone)]
pub(super) enum Hash {
    Bcrypt(String),
    Argon2(String),
    ShaCrypt(String),
    Apr1 { salt: String, digest: String },
    Sha1(Vec<u8>),
}

/// Why a hash is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashFault {
    #[error("it has a hash of crypt(3), which counts eight characters and is found in seconds")]
    Crypt,
    #[error("it has `$1$`, which is MD5")]
    Md5Crypt,
    #[error("it has a hash of another kind, or the password itself")]
    Unknown,
    #[error("its hash is cut off or changed")]
    Malformed,
    #[error("its hash costs more than a server can spend on a request")]
    TooDear,
}

/// What new hashes are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Bcrypt,
    Argon2id,
}

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        let has_prefix = |prefixes: &[&str]| prefixes.iter().any(|it| text.starts_with(it));
        if has_prefix(&["$2y$", "$2b$", "$2a$"]) {
            parse_bcrypt(text)
        } else if has_prefix(&["$argon2id$", "$argon2i$", "$argon2d$"]) {
            parse_argon2(text)
        } else if has_prefix(&["$5$", "$6$"]) {
            parse_sha_crypt(text)
        } else if let Some(rest) = text.strip_prefix(apr1::PREFIX) {
            parse_apr1(rest)
        } else if let Some(rest) = text.strip_prefix("{SHA}") {
            let digest = BASE64.decode(rest.as_bytes()).ok();
            let digest = digest.filter(|digest| digest.len() == digest::SHA1_OUTPUT_LEN);
            digest.map(Self::Sha1).ok_or(HashFault::Malformed)
        } else if has_prefix(&["$1$"]) {
            Err(HashFault::Md5Crypt)
        } else if text.len() == 13 && apr1::is_of_alphabet(text.as_bytes()) {
            Err(HashFault::Crypt)
        } else {
            Err(HashFault::Unknown)
        }
    }

    /// Whether `password` has this hash. It takes as long as the hash is made for, whatever the password.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2(hash) => PhcHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Self::ShaCrypt(hash) => sha_crypt::PasswordHashRef::new(hash)
                .is_ok_and(|hash| ShaCrypt::default().verify_password(password, hash).is_ok()),
            Self::Apr1 { salt, digest } => {
                let found = apr1::digest(password, salt.as_bytes());
                verify_slices_are_equal(&found, digest.as_bytes()).is_ok()
            }
            Self::Sha1(digest) => {
                let found = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
                verify_slices_are_equal(found.as_ref(), digest).is_ok()
            }
        }
    }

    /// Stands for how long a verification takes: equal for hashes of one algorithm and cost.
    pub(super) fn cost(&self) -> &str {
        match self {
            Self::Bcrypt(hash) => &hash[4..6],
            Self::Argon2(hash) => hash.rsplitn(3, '$').nth(2).unwrap_or(hash),
            Self::ShaCrypt(hash) => hash.rsplitn(3, '$').nth(2).unwrap_or(hash),
            Self::Apr1 { .. } => apr1::PREFIX,
            Self::Sha1(_) => "{SHA}",
        }
    }

    /// Whether a file of such hashes, once it is lost, gives most passwords away.
    pub(super) fn is_weak(&self) -> bool {
        matches!(self, Self::Apr1 { .. } | Self::Sha1(_))
    }
}

fn parse_bcrypt(text: &str) -> Result<Hash, HashFault> {
    // `$2y$`, two digits, `$`, 22 characters of salt and 31 of the digest.
    let is_whole = text.len() == 60
        && text.as_bytes()[6] == b'$'
        && apr1::is_of_alphabet(&text.as_bytes()[7..]);
    let cost: u32 = text
        .get(4..6)
        .filter(|cost| cost.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|cost| cost.parse().ok())
        .filter(|cost| is_whole && *cost >= 4)
        .ok_or(HashFault::Malformed)?;
    if cost > MAX_BCRYPT_COST {
        return Err(HashFault::TooDear);
    }
    Ok(Hash::Bcrypt(text.to_owned()))
}

fn parse_argon2(text: &str) -> Result<Hash, HashFault> {
    let malformed = HashFault::Malformed;
    let hash = PhcHash::new(text).map_err(|_| malformed)?;
    let has_digest = hash.salt.is_some() && hash.hash.is_some();
    let params = argon2::Params::try_from(&hash).map_err(|_| malformed)?;
    if !has_digest {
        return Err(malformed);
    }
    if params.m_cost() > MAX_ARGON2_MEMORY || params.t_cost() > MAX_ARGON2_PASSES {
        return Err(HashFault::TooDear);
    }
    Ok(Hash::Argon2(text.to_owned()))
}

/// Reads `$5$rounds=5000$SALT$DIGEST`, in which the rounds may be missing.
fn parse_sha_crypt(text: &str) -> Result<Hash, HashFault> {
    let is_short = text.starts_with("$5$");
    let mut parts = text[3..].split('$');
    let mut part = parts.next();
    if let Some(rounds) = part.and_then(|part| part.strip_prefix("rounds=")) {
        let rounds: u32 = rounds.parse().map_err(|_| HashFault::Malformed)?;
        if rounds > MAX_ROUNDS {
            return Err(HashFault::TooDear);
        }
        part = parts.next();
    }
    let (salt, digest) = (part, parts.next());
    let length = if is_short { 43 } else { 86 };
    let is_whole = parts.next().is_none()
        && salt.is_some_and(|salt| !salt.is_empty() && salt.len() <= 16)
        && digest.is_some_and(|digest| {
            digest.len() == length && apr1::is_of_alphabet(digest.as_bytes())
        })
        && sha_crypt::PasswordHashRef::new(text).is_ok();
    is_whole
        .then(|| Hash::ShaCrypt(text.to_owned()))
        .ok_or(HashFault::Malformed)
}

fn parse_apr1(rest: &str) -> Result<Hash, HashFault> {
    let (salt, digest) = rest.split_once('$').ok_or(HashFault::Malformed)?;
    let is_whole = digest.len() == apr1::DIGEST_LENGTH && apr1::is_of_alphabet(digest.as_bytes());
    is_whole
        .then(|| Hash::Apr1 {
            salt: salt.to_owned(),
            digest: digest.to_owned(),
        })
        .ok_or(HashFault::Malformed)
}

impl Algorithm {
    /// A new hash of `password`, as it stands in a file behind the name.
    ///
    /// # Errors
    /// A sentence: the system gives no random octets, or the password cannot be hashed so.
    pub(crate) fn hash(self, password: &[u8]) -> Result<String, String> {
        let mut salt = [0; 16];
        let filled = aws_lc_rs::rand::fill(&mut salt);
        filled.map_err(|_| "the system gives no random octets".to_owned())?;
        match self {
            Self::Bcrypt => {
                let made = bcrypt::hash_with_salt(password, BCRYPT_COST, salt);
                let parts = made.map_err(|error| error.to_string())?;
                Ok(parts.format_for_version(bcrypt::Version::TwoY))
            }
            Self::Argon2id => {
                // The parameters that OWASP names first; the crate's default.
                let argon2 = Argon2::default();
                let mut digest = [0; 32];
                let made = argon2.hash_password_into(password, &salt, &mut digest);
                made.map_err(|error| error.to_string())?;
                let params = argon2.params();
                Ok(format!(
                    "$argon2id$v=19$m={},t={},p={}${}${}",
                    params.m_cost(),
                    params.t_cost(),
                    params.p_cost(),
                    BASE64_NOPAD.encode(&salt),
                    BASE64_NOPAD.encode(&digest)
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the password `pw`, made by other programs.
    const HASHES: [&str; 7] = [
        "$2y$04$RGvcrkJALvtIf5Ci.3dmxuwvU7l80eIZwLOumqPn8faQD4lB1hmC.",
        "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=",
        "$apr1$X3kwYrI5$72muuqIZGf92FNn0jDuFV/",
        "$5$abc$/LKlXd6vuvdFX3oWbf2vGk3DgflzzsvOtMZsiOxqqY5",
        "$6$abc$MtSdWSZbhct2oe.SOqOUM2M/GA/uj5.vyVtJgRHgKi9uqXuWuJqOYE7H/YlsYGVg/YYzDV0xt3fEIwYt580.5.",
        "$6$rounds=1000$abcdefgh$XqwJcW6OI747PCzoKGoK/1tWSlKoh2vkjEp0I.CpQYUGXuxtpSzAi0rXpF1oWR/3/HfvxKLb7xwD0vymBsSv8/",
        "$5$yk/aeJ1iP51mksnN$4g6ErOnOcDfAEOZlBhrDpse2iKDA9CWtsUZ.FvIlzL9",
    ];

    fn parse(text: &str) -> Hash {
        Hash::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn a_password_has_the_hash_that_other_programs_made_of_it() {
        for text in HASHES {
            let hash = parse(text);
            assert!(hash.matches(b"pw"), "{text}");
            for wrong in [&b"pW"[..], b"pw ", b"", b"\xff"] {
                assert!(!hash.matches(wrong), "{text}");
            }
        }
    }

    #[test]
    fn a_password_has_the_hash_that_was_made_here() {
        for algorithm in [Algorithm::Bcrypt, Algorithm::Argon2id] {
            let [first, second] = [(); 2].map(|()| algorithm.hash(b"pw").expect("a hash"));
            assert_ne!(first, second, "the salt is another one");
            let hash = parse(&first);
            assert!(hash.matches(b"pw") && !hash.matches(b"pw1"), "{first}");
            assert_eq!(hash.cost(), parse(&second).cost());
        }
    }

    #[test]
    fn refuses_what_it_cannot_verify() {
        let cut = |text: &str| text[..text.len() - 1].to_owned();
        for text in HASHES {
            let fault = Hash::parse(&cut(text)).err();
            assert_eq!(fault, Some(HashFault::Malformed), "{text}");
        }
        for (text, expected) in [
            ("sbRGyTxhY5hpk", HashFault::Crypt),
            ("$1$abcdefgh$irWbblnpmw.5z7wgBnprh0", HashFault::Md5Crypt),
            ("", HashFault::Unknown),
            ("pw", HashFault::Unknown),
            ("{SSHA}GpHWL3ymc5liWkNopqtdSjuqYHM=", HashFault::Unknown),
            ("{PLAIN}pw", HashFault::Unknown),
            ("$7$abc$def", HashFault::Unknown),
            (
                "$2y$31$RGvcrkJALvtIf5Ci.3dmxuwvU7l80eIZwLOumqPn8faQD4lB1hmC.",
                HashFault::TooDear,
            ),
            (
                "$2y$03$RGvcrkJALvtIf5Ci.3dmxuwvU7l80eIZwLOumqPn8faQD4lB1hmC.",
                HashFault::Malformed,
            ),
            (
                "$2y$+4$RGvcrkJALvtIf5Ci.3dmxuwvU7l80eIZwLOumqPn8faQD4lB1hmC.",
                HashFault::Malformed,
            ),
            (
                "$5$rounds=999999999$abc$/LKlXd6vuvdFX3oWbf2vGk3DgflzzsvOtMZsiOxqqY5",
                HashFault::TooDear,
            ),
            (
                "$5$rounds=x$abc$/LKlXd6vuvdFX3oWbf2vGk3DgflzzsvOtMZsiOxqqY5",
                HashFault::Malformed,
            ),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
                HashFault::Malformed,
            ),
            (
                "$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE",
                HashFault::TooDear,
            ),
            ("{SHA}AAAA", HashFault::Malformed),
        ] {
            assert_eq!(Hash::parse(text).err(), Some(expected), "{text}");
        }
    }
}
