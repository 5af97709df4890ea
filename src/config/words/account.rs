//! Reads the permissions and owners of a file: `"0660"`, `"www-data"`, `"33"`.

use nix::unistd::{Group, User};

use crate::config::complaint::fault::Fault;
use crate::config::model::Account;

/// Reads permission bits in octal.
pub(crate) fn parse_mode(text: &str) -> Result<u32, Fault> {
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok();
    let mode = mode.filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| {
        Fault::new(
            0..text.len(),
            format!("`{text}` is no permissions of a file"),
        )
        .help("three octal digits for owner, group and others: \"0660\", \"0666\"")
    })
}

/// Reads a user: its name or its number.
pub(crate) fn parse_user(text: &str) -> Result<Account, Fault> {
    let by_name = |name: &str| User::from_name(name).map(|user| user.map(|user| user.uid.as_raw()));
    account(text, "user", "passwd", by_name)
}

/// Reads a group: its name or its number.
pub(crate) fn parse_group(text: &str) -> Result<Account, Fault> {
    let by_name =
        |name: &str| Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()));
    account(text, "group", "group", by_name)
}

fn account(
    text: &str,
    kind: &str,
    database: &str,
    by_name: impl Fn(&str) -> nix::Result<Option<u32>>,
) -> Result<Account, Fault> {
    let number = match text.parse() {
        Ok(number) => number,
        Err(_) => by_name(text)
            .map_err(|error| {
                let message = format!("cannot look the {kind} `{text}` up: {error}");
                Fault::new(0..text.len(), message)
            })?
            .ok_or_else(|| {
                let message = format!("this machine has no {kind} `{text}`");
                let help = format!("`getent {database}` lists those there are");
                Fault::new(0..text.len(), message).help(help)
            })?,
    };
    Ok(Account {
        written: text.to_owned(),
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_and_have_three_digits() {
        for (text, mode) in [("0660", Some(0o660)), ("777", Some(0o777)), ("0", Some(0))] {
            assert_eq!(parse_mode(text).ok(), mode, "{text}");
        }
        for text in ["", "0888", "1777", "rw", "+660", "-1"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn accounts_have_a_name_or_a_number() {
        let number = |account: Result<Account, Fault>| account.ok().map(|account| account.number);
        assert_eq!(number(parse_user("root")), Some(0));
        assert_eq!(number(parse_group("root")), Some(0));
        assert_eq!(number(parse_user("4711")), Some(4711));
        assert!(parse_user("no such user").is_err() && parse_group("").is_err());
    }
}
