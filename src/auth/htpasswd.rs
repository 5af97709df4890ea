//! The lines of a file of passwords.
//!
//! ```text
//! # a comment
//! alice:$2y$12$…
//! bob:$apr1$…       the rest of the line, up to a further colon, is the hash
//! ```

use std::collections::HashMap;
use std::fmt;

use super::hash::{Hash, HashFault};

/// The users of a file.
pub(super) type Users = HashMap<Box<str>, Hash>;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineFault {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) why: Why,
}

/// Why a line is refused. What is said of it never repeats the line, because that may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    NoColon,
    NoName,
    Name,
    NotUtf8,
    Twice { first: usize },
    Hash(HashFault),
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.why {
            Why::NoColon => f.write_str("there is no colon between a name and a hash"),
            Why::NoName => f.write_str("there is no name before the colon"),
            Why::Name => f.write_str("the name has a control character"),
            Why::NotUtf8 => f.write_str("it is not UTF-8"),
            Why::Twice { first } => write!(f, "the user stands in line {first} already"),
            Why::Hash(fault) => write!(f, "{fault}"),
        }
    }
}

impl LineFault {
    /// What to do about it.
    pub(crate) fn help(&self) -> &'static str {
        match &self.why {
            Why::Hash(_) => {
                "make the line anew: `tidegate hash-password --user NAME`; bcrypt, Argon2, SHA-crypt ($5$, \
                 $6$), $apr1$ and {SHA} are understood"
            }
            Why::NoColon | Why::NoName | Why::Name | Why::NotUtf8 => {
                "a line is NAME:HASH, as `tidegate hash-password --user NAME` prints it"
            }
            Why::Twice { .. } => "leave one line for each user",
        }
    }
}

/// Reads a file, of which the caller has taken a byte order mark away.
///
/// # Errors
/// Every line that is refused.
pub(super) fn parse(octets: &[u8]) -> Result<Users, Vec<LineFault>> {
    let mut users = Users::new();
    let mut lines: HashMap<&str, usize> = HashMap::new();
    let mut faults = Vec::new();
    for (index, octets) in octets.split(|octet| *octet == b'\n').enumerate() {
        let line = index + 1;
        match parse_line(octets) {
            Ok(None) => {}
            Ok(Some((name, hash))) => {
                if let Some(first) = lines.insert(name, line) {
                    let why = Why::Twice { first };
                    faults.push(LineFault { line, why });
                }
                users.insert(name.into(), hash);
            }
            Err(why) => faults.push(LineFault { line, why }),
        }
    }
    if faults.is_empty() {
        Ok(users)
    } else {
        Err(faults)
    }
}

/// Reads a line; `None` if it is empty or a comment.
fn parse_line(octets: &[u8]) -> Result<Option<(&str, Hash)>, Why> {
    let octets = octets.trim_ascii();
    if octets.is_empty() || octets.starts_with(b"#") {
        return Ok(None);
    }
    let line = str::from_utf8(octets).map_err(|_| Why::NotUtf8)?;
    let (name, rest) = line.split_once(':').ok_or(Why::NoColon)?;
    check_name(name)?;
    // Some tools append fields behind further colons.
    let hash = rest.split(':').next().unwrap_or(rest);
    let hash = Hash::parse(hash).map_err(Why::Hash)?;
    Ok(Some((name, hash)))
}

/// Whether a user may be called `name` (RFC 7617 §2). In a file, a line that begins with `#` is a comment, and
/// the space around a line does not count.
///
/// # Errors
/// Why not.
pub(crate) fn check_name(name: &str) -> Result<(), Why> {
    if name.is_empty() {
        Err(Why::NoName)
    } else if name.starts_with('#')
        || name.trim_start() != name
        || name.contains(':')
        || name.chars().any(char::is_control)
    {
        Err(Why::Name)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=";

    #[test]
    fn reads_lines_and_passes_over_comments() {
        let text = format!("# users\n\nalice:{SHA}\r\n  \nßob b:{SHA}:x\ncarol:{SHA}");
        let users = parse(text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut names: Vec<&str> = users.keys().map(|name| &**name).collect();
        names.sort_unstable();
        assert_eq!(names, ["alice", "carol", "ßob b"]);
        assert!(parse(b"").is_ok_and(|users| users.is_empty()));
    }

    #[test]
    fn names_every_line_that_is_refused_and_repeats_none() {
        let text = format!(
            "alice:{SHA}\nsecret\n:{SHA}\na\x07:{SHA}\nalice:{SHA}\nbob:sbRGyTxhY5hpk\nbob:secret\n"
        );
        let faults = [text.as_bytes(), b"\xff:x\n"].concat();
        let faults = parse(&faults).err().expect("faults");
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 2: there is no colon between a name and a hash",
                "line 3: there is no name before the colon",
                "line 4: the name has a control character",
                "line 5: the user stands in line 1 already",
                "line 6: it has a hash of crypt(3), which counts eight characters and is found in seconds",
                "line 7: it has a hash of another kind, or the password itself",
                "line 8: it is not UTF-8",
            ]
        );
        assert!(faults[4].help().contains("tidegate hash-password"));
    }
}
