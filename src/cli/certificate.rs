//! `tidegate certificate`: a certificate with its key, for development.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;

use super::output::print;
use super::pair::Files;
use super::secured::{self, open_authority};
use super::starting::describe;
use super::trust;
use crate::config;
use crate::config::model::{HostPattern, file_name_of_hosts};
use crate::http::date::iso;
use crate::log::diagnostic;
use crate::tls::local::{Issued, LocalAuthority, MAX_COMMON_NAME, Subject};

/// Make a certificate and its key, for development.
///
/// A CA of yours issues it. The CA is made on first use and kept beneath $XDG_DATA_HOME or ~/.local/share. Programs
/// refuse the certificate until they trust that CA: --ca says how. It is not for the internet, where
/// `tls = "acme"` gets certificates that browsers trust.
#[derive(Args, Debug)]
pub(super) struct Certificate {
    /// The names and IP addresses that it is for, such as `app.test,*.app.test,192.0.2.1`.
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    #[arg(default_value = "localhost,127.0.0.1,::1", conflicts_with = "client")]
    #[arg(value_parser = config::parse_certificate_host)]
    hosts: Vec<HostPattern>,
    /// A certificate for a client named NAME, which servers with `client_ca` ask for.
    #[arg(long, value_name = "NAME", value_parser = parse_client)]
    client: Option<String>,
    /// The directory to write NAME.pem and NAME-key.pem to. It is made if it is not there.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
    /// Print where the CA's certificate is and how programs are told to trust it, and make no certificate.
    #[arg(long, conflicts_with_all = ["hosts", "client", "out", "force"])]
    ca: bool,
}

/// Makes a certificate, or tells of the CA.
///
/// # Errors
/// Why it cannot be made.
pub(super) fn certificate(arguments: &Certificate) -> Result<(), String> {
    if arguments.ca {
        let authority = open_authority().map_err(|error| describe(&error))?;
        let (file, ends) = (
            authority.certificate_file(),
            iso(authority.facts().not_after),
        );
        let name = authority.name();
        let ways = trust::instructions(&authority, "https://localhost:8080/");
        return print(&format!(
            "{}\n\n  {name}, until {}. To trust it:\n\n{ways}",
            file.display(),
            &ends[..10]
        ));
    }
    let subject = match &arguments.client {
        Some(name) => Subject::Client(name),
        None => Subject::Server(&arguments.hosts),
    };
    let files = Files::new(&arguments.out, &file_name(&subject))?;
    files.refuse_existing(arguments.force)?;
    let authority = open_authority().map_err(|error| describe(&error))?;
    let issued = authority.issue(&subject, SystemTime::now());
    let issued = issued.map_err(|error| describe(&error))?;
    {
        let _lock = authority.lock().map_err(|error| describe(&error))?;
        files.write(&issued, arguments.force)?;
    }
    print(&describe_files(&subject, &files, &issued, &authority))?;
    if let Subject::Server(hosts) = subject {
        secured::warn_of_wildcards(hosts);
    }
    let issuer = trust::describe_issuer(&authority, "https://localhost:8080/");
    diagnostic::print(&format!("\n{issuer}"));
    Ok(())
}

/// The files, the hosts or the client that they are for, and the lines of a configuration that use them.
fn describe_files(
    subject: &Subject<'_>,
    files: &Files,
    issued: &Issued,
    authority: &LocalAuthority,
) -> String {
    let Files { certificate, key } = files;
    let until = &iso(issued.not_after)[..10];
    let (whom, lines) = match subject {
        Subject::Server(hosts) => {
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            let (certificate, key) = (config::written_path(certificate), config::written_path(key));
            let tls = format!("tls = {{ certificate = {certificate}, key = {key} }}");
            (
                hosts.join(", "),
                format!("# in a [[server]] or [[stream]]\n{tls}"),
            )
        }
        Subject::Client(name) => {
            let authority = config::written_path(&authority.certificate_file());
            let lines = format!("# in `tls` of a server that asks for it\nclient_ca = {authority}");
            ((*name).to_owned(), lines)
        }
    };
    format!(
        "certificate  {}\nkey          {}\nfor          {whom}, until {until}\n\n{lines}\n",
        certificate.display(),
        key.display()
    )
}

/// The names of the two files, less their endings: that of the first host, and how many there are besides.
fn file_name(subject: &Subject<'_>) -> String {
    match subject {
        Subject::Server(hosts) => file_name_of_hosts(hosts),
        Subject::Client(name) => {
            let allowed = |c: char| {
                if c.is_alphanumeric() || "-_.@+".contains(c) {
                    c
                } else {
                    '_'
                }
            };
            let name: String = name.chars().map(allowed).collect();
            format!("{}-client", name.trim_start_matches(['.', '-']))
        }
    }
}

/// Reads the name of a client, which is the common name of its certificate.
fn parse_client(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("a client has a name, such as \"Ada\"".to_owned());
    }
    if name.chars().count() > MAX_COMMON_NAME {
        return Err(format!(
            "the name of a client has at most {MAX_COMMON_NAME} characters"
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_as_whom_they_are_for() {
        let read = |host: &&str| config::parse_certificate_host(host).expect("a host");
        for (hosts, expected) in [
            (&["localhost"][..], "localhost"),
            (&["localhost", "127.0.0.1", "::1"], "localhost+2"),
            (&["*.app.test", "app.test"], "_wildcard.app.test+1"),
            (&["2001:db8::1"], "2001_db8__1"),
        ] {
            let hosts: Vec<HostPattern> = hosts.iter().map(read).collect();
            assert_eq!(file_name(&Subject::Server(&hosts)), expected);
        }
        for (name, expected) in [
            ("Ada", "Ada-client"),
            ("ada@example.com", "ada@example.com-client"),
            ("../Ada Lovelace", "_Ada_Lovelace-client"),
            ("Zoë/x", "Zoë_x-client"),
        ] {
            assert_eq!(file_name(&Subject::Client(name)), expected);
        }
    }

    #[test]
    fn a_client_has_a_name_that_a_certificate_can_hold() {
        assert_eq!(parse_client(" Ada ").as_deref(), Ok("Ada"));
        for name in ["", "  ", "a\nb", &"a".repeat(65)] {
            assert!(parse_client(name).is_err(), "{name:?}");
        }
    }
}
