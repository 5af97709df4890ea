//! `tidegate hash-password`: makes a line of a file of passwords.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::{Args, ValueEnum};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::output::print;
use crate::auth::{Algorithm, MAX_BCRYPT_PASSWORD, MAX_LENGTH, check_name};

/// The most octets of a password: those that a request may carry.
const MAX_PASSWORD: usize = 1000;

/// Make a hash of a password, for a file of `auth`.
///
/// The password is read from the terminal, without being shown, or is the first line of the standard input.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tidegate hash-password --user alice >> users.htpasswd
  echo sesame | tidegate hash-password --user alice")]
pub(super) struct HashPassword {
    /// The user, for a whole line: `NAME:HASH`.
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,
    /// How it is hashed: so that Apache and nginx can use the file, too, or for this server alone.
    #[arg(short, long, value_name = "ALGORITHM", default_value = "bcrypt")]
    algorithm: Name,
}

/// An algorithm as the command line names it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    Bcrypt,
    Argon2id,
}

/// Prints the line.
///
/// # Errors
/// The message to print.
pub(super) fn hash_password(arguments: &HashPassword) -> Result<(), String> {
    if let Some(user) = &arguments.user {
        check_name(user).map_err(|_| {
            "error: the name of a user is not empty, does not begin with `#`, and has no colon, no space before it \
             and no control characters"
                .to_owned()
        })?;
    }
    let password = read_password()?;
    check(&password, arguments.algorithm)?;
    let user = arguments.user.as_deref().unwrap_or_default();
    if user.len() + 1 + password.len() > MAX_LENGTH {
        return Err(format!(
            "error: name and password have more than {MAX_LENGTH} octets together, and no request may carry them"
        ));
    }
    let algorithm = match arguments.algorithm {
        Name::Bcrypt => Algorithm::Bcrypt,
        Name::Argon2id => Algorithm::Argon2id,
    };
    let hash = algorithm.hash(&password);
    let hash = hash.map_err(|why| format!("error: the password cannot be hashed: {why}"))?;
    match &arguments.user {
        Some(user) => print(&format!("{user}:{hash}\n")),
        None => print(&format!("{hash}\n")),
    }
}

/// Refuses a password that no client could log in with, or of which only a part would count.
fn check(password: &[u8], algorithm: Name) -> Result<(), String> {
    if password.is_empty() {
        return Err("error: the password is empty".to_owned());
    }
    if password.iter().any(u8::is_ascii_control) {
        return Err(
            "error: the password has a control character, which no client can send".to_owned(),
        );
    }
    if password.len() > MAX_PASSWORD {
        return Err(format!(
            "error: the password has more than {MAX_PASSWORD} octets"
        ));
    }
    if matches!(algorithm, Name::Bcrypt) && password.len() > MAX_BCRYPT_PASSWORD {
        return Err(format!(
            "error: bcrypt looks at the first {MAX_BCRYPT_PASSWORD} octets of a password alone; write \
             --algorithm argon2id"
        ));
    }
    Ok(())
}

/// The password, from the terminal, twice, or from the standard input.
fn read_password() -> Result<Vec<u8>, String> {
    if !io::stdin().is_terminal() {
        return read_line(&mut io::stdin().lock()).map_err(unreadable);
    }
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let mut terminal = Hidden::new(terminal.map_err(unreadable)?).map_err(unreadable)?;
    let first = terminal.ask("Password: ")?;
    let second = terminal.ask("Again: ")?;
    if first == second {
        Ok(first)
    } else {
        Err("error: the two are not the same".to_owned())
    }
}

fn unreadable(error: io::Error) -> String {
    format!("error: cannot read the password: {error}")
}

/// The first line, without its end.
fn read_line(input: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    // More than is taken, so that a longer one is refused and not cut.
    let mut input = input.take(MAX_PASSWORD as u64 + 3);
    input.read_until(b'\n', &mut line)?;
    let end = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(end.strip_suffix(b"\r").unwrap_or(end).to_vec())
}

/// A terminal that shows nothing of what is typed, until this is dropped. It gives single keys, also
/// that for an interruption: a signal would end the process before the terminal is as it was.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut hidden = before.clone();
        let modes = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        hidden.local_modes.remove(modes);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self { terminal, before })
    }

    /// Writes `prompt` and reads a line.
    fn ask(&mut self, prompt: &str) -> Result<Vec<u8>, String> {
        self.terminal
            .write_all(prompt.as_bytes())
            .map_err(unreadable)?;
        let typed = Typed::read(&self.terminal);
        self.terminal.write_all(b"\n").map_err(unreadable)?;
        typed
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// What has been typed of a line.
#[derive(Default)]
struct Typed(Vec<u8>);

impl Typed {
    fn read(mut keys: impl io::Read) -> Result<Vec<u8>, String> {
        let mut typed = Self::default();
        let mut key = [0];
        loop {
            keys.read_exact(&mut key).map_err(unreadable)?;
            match key[0] {
                b'\r' | b'\n' => return Ok(typed.0),
                // Ctrl-C, Ctrl-D, Ctrl-Z, Ctrl-\.
                0x03 | 0x04 | 0x1a | 0x1c => return Err("error: interrupted".to_owned()),
                // Backspace, Delete.
                0x08 | 0x7f => typed.remove_last(),
                // Ctrl-U.
                0x15 => typed.0.clear(),
                octet => typed.0.push(octet),
            }
        }
    }

    /// Removes the last character, which may be several octets.
    fn remove_last(&mut self) {
        while let Some(octet) = self.0.pop() {
            if octet & 0xc0 != 0x80 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        for (keys, expected) in [
            (&b"sesame\r"[..], Some("sesame")),
            (b"sesane\x7f\x7fme\n", Some("sesame")),
            ("aß\x08b\n".as_bytes(), Some("ab")),
            (b"\x7fa\n", Some("a")),
            (b"wrong\x15right\n", Some("right")),
            (b"abc\x03", None),
            (b"abc\x04", None),
            (b"abc", None),
        ] {
            let typed = Typed::read(keys).ok();
            assert_eq!(typed.as_deref(), expected.map(str::as_bytes), "{keys:?}");
        }
    }

    #[test]
    fn a_line_ends_where_it_ends() {
        for (text, expected) in [
            ("sesame\nmore\n", "sesame"),
            ("sesame\r\n", "sesame"),
            ("sesame", "sesame"),
            ("", ""),
        ] {
            let line = read_line(&mut text.as_bytes()).expect("it can be read");
            assert_eq!(line, expected.as_bytes());
        }
        let long = vec![b'x'; 5000];
        let line = read_line(&mut &long[..]).expect("it can be read");
        assert!(check(&line, Name::Argon2id).is_err());
    }

    #[test]
    fn refuses_what_no_client_could_log_in_with() {
        for (password, algorithm, is_taken) in [
            (&b"sesame"[..], Name::Bcrypt, true),
            (b"", Name::Bcrypt, false),
            (b"a\tb", Name::Argon2id, false),
            (&[b'x'; 72], Name::Bcrypt, true),
            (&[b'x'; 73], Name::Bcrypt, false),
            (&[b'x'; 1000], Name::Argon2id, true),
            (&[b'x'; 1001], Name::Argon2id, false),
        ] {
            let checked = check(password, algorithm);
            assert_eq!(checked.is_ok(), is_taken, "{}", password.len());
        }
    }
}
