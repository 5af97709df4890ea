//! How programs are told to trust the CA of a developer: commands to copy. None of them is run.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::tls::local::{LocalAuthority, Origin};

/// Says that `authority` has issued a certificate and, if the CA is new, how to trust it, with a server at `url`.
pub(super) fn describe_issuer(authority: &LocalAuthority, url: &str) -> String {
    let issued = format!("\"{}\" has issued it", authority.name());
    let reason = match authority.origin() {
        Origin::Found => {
            return format!("{issued}. How to trust that CA: tidegate certificate --ca\n");
        }
        Origin::Made => "",
        Origin::Replaced => " because the one before has expired",
    };
    let ways = instructions(authority, url);
    format!(
        "{issued}. That CA was made just now{reason}. Clients refuse the certificate until you trust the CA:\n\n\
         {ways}"
    )
}

/// Ways to trust `authority`, one a line, the first with a server at `url`.
pub(super) fn instructions(authority: &LocalAuthority, url: &str) -> String {
    let file = authority.certificate_file();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let name = authority.name();
    let database = chromium_database(home.as_deref(), &file);
    let (file, name) = (quoted_path(&file), quoted(&name));
    let copy = "/usr/local/share/ca-certificates/tidegate-development-ca.crt";
    let keychain = "/Library/Keychains/System.keychain";
    let import = format!("-A -t C,, -n {name} -i {file}");
    let rows = [
        ("curl", format!("curl --cacert {file} {url}")),
        (
            "Debian, Ubuntu",
            format!("sudo cp {file} {copy} && sudo update-ca-certificates"),
        ),
        ("Fedora, Arch", format!("sudo trust anchor {file}")),
        ("macOS", format!("copy {file} to it, and there run")),
        (
            "",
            format!("sudo security add-trusted-cert -d -r trustRoot -k {keychain} ca.pem"),
        ),
        (
            "Chromium",
            format!("mkdir -p {database} && certutil -d sql:{database} {import}"),
        ),
        ("Firefox", format!("certutil -d sql:PROFILE {import}")),
        (
            "",
            "or Settings, Privacy & Security, View Certificates, Authorities, Import".to_owned(),
        ),
        ("Node", format!("NODE_EXTRA_CA_CERTS={file}")),
    ];
    let rows = rows.map(|(program, command)| format!("    {program:<16}{command}\n"));
    rows.concat()
        + "\n  certutil is in Debian's libnss3-tools; about:profiles in Firefox names the directory \
           PROFILE\n"
}

/// The directory in which Chromium keeps the CAs that it trusts: `~/.pki` if that is there, otherwise
/// beside the directory of the CA, whose certificate is in `file`.
fn chromium_database(home: Option<&Path>, file: &Path) -> String {
    let old = home.map(|home| home.join(".pki/nssdb"));
    let data = file.parent().and_then(Path::parent);
    let new = data.map(|data| data.join("pki/nssdb")).unwrap_or_default();
    quoted_path(&old.filter(|old| old.is_dir()).unwrap_or(new))
}

/// A path as a word of a shell's command line.
pub(super) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy()).into_owned()
}

/// `text` as a word of a shell's command line.
fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"/._-+@:=".contains(&octet);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chromium_is_told_where_it_looks() {
        let home = tempfile::tempdir().expect("a directory");
        let file = Path::new("/home/ada/.local/share/tidegate/ca.pem");
        let found = || chromium_database(Some(home.path()), file);
        assert_eq!(found(), "/home/ada/.local/share/pki/nssdb");
        let old = home.path().join(".pki/nssdb");
        std::fs::create_dir_all(&old).expect("it can be made");
        assert_eq!(found(), quoted_path(&old));
    }

    #[test]
    fn a_word_stays_one_word() {
        for (text, expected) in [
            ("/home/ada/ca.pem", "/home/ada/ca.pem"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$HOME", "'$HOME'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
