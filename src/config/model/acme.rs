//! `[acme]`: who issues the certificates of servers with `tls = "acme"`, and how.

use std::path::PathBuf;

use super::address::distinct_file_name_of_hosts;
use crate::http::http_url::HttpsUrl;

/// Who issues certificates, and how they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acme {
    /// `mailto:` URLs, for the CA to write to.
    pub(crate) contact: Vec<String>,
    pub(crate) directory: AcmeDirectory,
    /// A file of PEM: the CAs that may have issued the certificate of the CA's own server. `None`: the
    /// authorities that the system trusts.
    pub(crate) ca: Option<PathBuf>,
    /// The directory that holds the account, keys and certificates.
    pub(crate) storage: PathBuf,
    /// How the CA may verify that a name is ours, the preferred one first. There is one at least.
    pub(crate) challenges: Vec<Challenge>,
    pub(crate) until_issued: UntilIssued,
    pub(crate) external_account: Option<ExternalAccount>,
}

/// Where the CA says what it offers (RFC 8555 §7.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AcmeDirectory {
    /// As the operator wrote it: a word, or the URL.
    pub(crate) written: String,
    pub(crate) url: HttpsUrl,
}

/// How a CA verifies that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// By a handshake of TLS at port 443 (RFC 8737).
    TlsAlpn01,
    /// By a request to port 80 (RFC 8555 §8.3).
    Http01,
}

impl Challenge {
    /// As RFC 8555 and the file call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// What clients find before the first certificate is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum UntilIssued {
    /// A certificate that the server has made itself.
    #[default]
    SelfSigned,
    /// No session.
    Refuse,
}

/// An account that the operator has with the CA already (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExternalAccount {
    pub(crate) key_id: String,
    /// The key of an HMAC.
    pub(crate) hmac_key: Vec<u8>,
}

/// What is issued for a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Issue {
    /// The names of hosts, sorted; at least one, and no wildcard.
    pub(crate) names: Vec<String>,
    pub(crate) until_issued: UntilIssued,
}

impl Acme {
    /// The settings of a table that has `directory` alone.
    pub(crate) fn with_directory(directory: AcmeDirectory) -> Self {
        Self {
            contact: Vec::new(),
            directory,
            ca: None,
            storage: PathBuf::from("/var/lib/tidegate/acme"),
            challenges: vec![Challenge::TlsAlpn01, Challenge::Http01],
            until_issued: UntilIssued::default(),
            external_account: None,
        }
    }

    /// The settings of a table for the CA whose directory is at `url`, with `storage`.
    #[cfg(test)]
    pub(crate) fn at(url: &str, storage: PathBuf) -> Self {
        let directory = AcmeDirectory {
            written: url.to_owned(),
            url: url.parse().expect("a URL"),
        };
        Self {
            storage,
            ..Self::with_directory(directory)
        }
    }

    /// The directory of what the CA has given: another CA's certificates are others.
    pub(crate) fn directory_of_authority(&self) -> PathBuf {
        let url = self.directory.url.to_string();
        let name = url.strip_prefix("https://").unwrap_or(&url);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let name: String = name
            .chars()
            .map(|c| if plain(c) { c } else { '_' })
            .collect();
        self.storage.join(name)
    }

    /// The file of the certificate for `names` and of its key.
    pub(crate) fn certificate_file(&self, names: &[String]) -> PathBuf {
        let directory = self.directory_of_authority().join("certificates");
        directory.join(distinct_file_name_of_hosts(names) + ".pem")
    }
}
