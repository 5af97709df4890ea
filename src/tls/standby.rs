//! What clients are shown until a CA has issued the certificate of a server.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::fault::{Fault, Part};
use super::identity::Identity;
use super::made::self_signed;
use crate::config::model::{HostPattern, Issue, UntilIssued};

/// No certificate, so that there is no session.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// What clients are shown until there is a certificate for the names of `issue` in `file`. If the names
/// have changed, it is the certificate beside it that is for most of them: where a name was added, the
/// others go on as they were.
///
/// # Errors
/// If none can be made.
pub(super) fn until_issued(
    file: &Path,
    issue: &Issue,
) -> Result<Arc<dyn ResolvesServerCert>, Fault> {
    let certified = match (best_beside(file, issue), issue.until_issued) {
        (Some(identity), _) => identity.certified,
        (None, UntilIssued::Refuse) => return Ok(Arc::new(Nothing)),
        (None, UntilIssued::SelfSigned) => self_signed(&issue.names)
            .map_err(|error| Fault::new(Part::Certificate, error.to_string()))?,
    };
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// The certificate in the directory of `file` that is for most of the names of `issue`, and for one at
/// least.
fn best_beside(file: &Path, issue: &Issue) -> Option<Identity> {
    let now = SystemTime::now();
    let files = std::fs::read_dir(file.parent()?).ok()?;
    let paths = files.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "pem"));
    let covered = |identity: &Identity| {
        let is_covered =
            |name: &&String| identity.facts.covers(&HostPattern::Exact((*name).clone()));
        issue.names.iter().filter(is_covered).count()
    };
    paths
        .filter_map(|path| Identity::read(&path, &path).ok())
        .filter(|identity| identity.facts.is_valid(now) && covered(identity) > 0)
        .max_by_key(|identity| (covered(identity), identity.facts.not_after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn issue(names: &[&str], until_issued: UntilIssued) -> Issue {
        Issue {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            until_issued,
        }
    }

    /// A file with the certificate and the key of a fixture.
    fn put(directory: &TemporaryDirectory, name: &str, fixture: &str) {
        let read = |end: &str| {
            let path = format!("tests/fixtures/tls/{fixture}.{end}");
            std::fs::read_to_string(path).expect("a fixture")
        };
        directory.write(name, (read("key") + &read("pem")).as_bytes());
    }

    #[test]
    fn a_certificate_for_some_of_the_names_is_better_than_none() {
        let directory = TemporaryDirectory::new("standby");
        let file = directory.path().join("new.pem");
        let best = |names: &[&str]| {
            let issue = issue(names, UntilIssued::Refuse);
            best_beside(&file, &issue).map(|identity| identity.facts.subject)
        };
        assert_eq!(best(&["localhost"]), None);
        directory.write("broken.pem", b"no certificate");
        put(&directory, "expired.pem", "expired");
        assert_eq!(best(&["localhost"]), None);
        put(&directory, "other.pem", "other");
        put(&directory, "localhost.pem", "localhost");
        assert_eq!(
            best(&["localhost", "new.test"]).as_deref(),
            Some("CN=localhost")
        );
        assert_eq!(
            best(&["other.test", "new.test"]).as_deref(),
            Some("CN=other.test")
        );
        let most = best(&["example.com", "localhost", "other.test"]);
        assert_eq!(most.as_deref(), Some("CN=localhost"));
        assert_eq!(best(&["new.test"]), None);
    }

    #[test]
    fn without_one_it_is_made_or_clients_are_refused() {
        let directory = TemporaryDirectory::new("standby");
        let file = directory.path().join("new.pem");
        let made = until_issued(&file, &issue(&["a.example"], UntilIssued::SelfSigned));
        assert!(made.is_ok_and(|resolver| format!("{resolver:?}") != "Nothing"));
        let none = until_issued(&file, &issue(&["a.example"], UntilIssued::Refuse));
        assert!(none.is_ok_and(|resolver| format!("{resolver:?}") == "Nothing"));
    }
}
