//! A CA that belongs to one user of one machine, for development: `serve --tls`, `tidegate certificate`.
//!
//! ```text
//! $XDG_DATA_HOME/tidegate/     0700
//!   lock                       held while the other files are looked at and made
//!   ca-key.pem                 0600: the key of the CA, and its certificate
//!   ca.pem                     the certificate alone, for those that are to trust it
//!   serve/HOST-DIGEST.pem      0600: a key and its certificate, for `serve` and `proxy`
//! ```
//!
//! Every file is replaced as a whole (`disk::prepare`). Key and certificate of the CA are in one file, so
//! that a process that is killed at any step leaves no key without its certificate.
//!
//! Nothing here has any program trust the CA: the user does that, or does not.

mod directory;
mod error;
mod owner;
mod signing;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::facts::{Facts, authority_and_serial, common_name, key_of_authority};
use super::identity::Identity;
use super::pem;
use crate::config::model::{HostPattern, distinct_file_name_of_hosts};
use crate::disk::{self, Access, FileError, Lock};

use directory::Directory;
pub(crate) use directory::of_user;
pub(crate) use error::LocalError;
pub(crate) use owner::machine;
use signing::Pair;
pub(crate) use signing::{Issued, MAX_COMMON_NAME, Subject};

/// How long before its end a server's certificate is made anew.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A new certificate has to last so much longer than the one that it replaces: near the end of the CA it
/// would not.
const WORTHWHILE: Duration = Duration::from_secs(24 * 60 * 60);

/// The CA of a user.
pub(crate) struct LocalAuthority {
    directory: Directory,
    pair: Pair,
    facts: Facts,
    origin: Origin,
}

/// Where a CA comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An earlier process has made it.
    Found,
    /// This process has, because there was none.
    Made,
    /// This process has, because the one that was there has expired.
    Replaced,
}

impl LocalAuthority {
    /// The CA whose files are in the directory at `path`. It is made, and the directory too, if there is
    /// none, or if it has expired.
    ///
    /// # Errors
    /// Why it cannot be read or made.
    pub(crate) fn open(path: &Path, now: SystemTime) -> Result<Self, LocalError> {
        let directory = Directory::open(path)?;
        let _lock = directory.lock()?;
        let file = directory.authority_key();
        let found = read_authority(&file)?;
        let is_there = found.is_some();
        let valid = found.filter(|(_, facts)| facts.left(now) > Duration::ZERO);
        let (origin, (pair, facts)) = match valid {
            Some(found) => (Origin::Found, found),
            None => {
                let pair = signing::make_authority(&owner::described(), now)?;
                directory.replace(&file, &(pair.key() + &pair.certificate()), Access::Owner)?;
                let facts = pair.facts();
                let origin = if is_there {
                    Origin::Replaced
                } else {
                    Origin::Made
                };
                (origin, (pair, facts))
            }
        };
        let public = directory.authority();
        let certificate = pair.certificate();
        if std::fs::read_to_string(&public).ok().as_ref() != Some(&certificate) {
            directory.replace(&public, &certificate, Access::Everyone)?;
        }
        Ok(Self {
            directory,
            pair,
            facts,
            origin,
        })
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// The file that holds its certificate, and nothing else.
    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.directory.authority()
    }

    /// A sentence for each of its files that other users may look into, and for its directory if they may.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let places = [self.directory.path(), &self.directory.authority_key()];
        let doubts = places.into_iter().filter_map(disk::doubt_about_mode);
        doubts.collect()
    }

    /// Its name, as lists of those that are trusted show it.
    pub(crate) fn name(&self) -> String {
        common_name(self.pair.der()).unwrap_or_else(|| self.facts.subject.clone())
    }

    /// What its certificate says.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Waits until no other process of the user makes files with keys, and keeps them from it.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn lock(&self) -> Result<Lock, LocalError> {
        self.directory.lock()
    }

    /// A new certificate with its key.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn issue(
        &self,
        subject: &Subject<'_>,
        now: SystemTime,
    ) -> Result<Issued, LocalError> {
        Ok(self.pair.issue(subject, &self.facts, now)?)
    }

    /// The file with a key and a certificate for a server that clients reach by `hosts`. It is made if it is
    /// not there, cannot be used, or is about to expire.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(crate) fn server_file(
        &self,
        hosts: &[HostPattern],
        now: SystemTime,
    ) -> Result<PathBuf, LocalError> {
        let file = self
            .directory
            .server(&(distinct_file_name_of_hosts(hosts) + ".pem"));
        let _lock = self.directory.lock()?;
        if !self.is_good(&file, hosts, now) {
            let issued = self.issue(&Subject::Server(hosts), now)?;
            let text = issued.key + &issued.certificate;
            self.directory.replace(&file, &text, Access::Owner)?;
        }
        Ok(file)
    }

    /// Whether the certificate in `file` is of this CA and for `hosts`, and needs not to be made anew.
    fn is_good(&self, file: &Path, hosts: &[HostPattern], now: SystemTime) -> bool {
        let Ok(identity) = Identity::read(file, file) else {
            return false;
        };
        let facts = &identity.facts;
        let signer = authority_and_serial(&identity.certified.cert[0]).map(|(key, _)| key);
        let is_ours = signer.is_some() && signer == key_of_authority(self.pair.der());
        let is_lasting = facts.left(now) > RENEWAL || {
            let longest = signing::longest(&self.facts, now);
            longest < facts.not_after + WORTHWHILE
        };
        let is_for_all = hosts.iter().all(|host| facts.covers(host));
        is_ours && is_for_all && facts.is_valid(now) && is_lasting
    }
}

/// The CA in the file at `path`; `None` if there is no such file.
///
/// # Errors
/// Why it cannot sign.
fn read_authority(path: &Path) -> Result<Option<(Pair, Facts)>, LocalError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::new("read", path, error).into()),
        Ok(_) => {}
    }
    let broken = |why: &str| LocalError::Broken {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let identity = Identity::read(path, path).map_err(|fault| broken(&fault.message))?;
    let certificate = identity.certified.cert[0].clone();
    if key_of_authority(&certificate).is_none() {
        return Err(broken("its certificate is not that of a CA"));
    }
    let key = pem::key(path).map_err(|fault| broken(&fault.message))?;
    let pair = Pair::of(certificate, &key).map_err(|error| broken(&error.to_string()))?;
    Ok(Some((pair, identity.facts)))
}

#[cfg(test)]
mod tests;
