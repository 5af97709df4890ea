//! The TLS configuration of a server, which is exchanged when its files change.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;

use super::facts::Facts;
use super::fault::{Fault, Part};
use super::identity::Identity;
use super::pem;
use super::provider::{protocol_versions, provider};
use super::standby;
use super::tickets::{TicketKeys, Ticketer};
use super::validity::{authority_doubts, chain_doubts, date_doubt, first_end};
use crate::config::model::{ClientCertificates, HostPattern, Protocols, Tls};
use crate::disk::identity::Identity as FileIdentity;

/// The protocols that servers speak over TLS, by ALPN (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// How long after a failure files are read again that have not changed: a certificate that was not valid yet
/// may be valid, and the process may have free descriptors again.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// Has the TLS configuration of a server, made of its files. The files may be read again while the server runs;
/// sessions that have begun keep the configuration that they began with.
pub(crate) struct Terminator {
    settings: Tls,
    tickets: Arc<TicketKeys>,
    current: ArcSwap<Current>,
    seen: Mutex<Seen>,
}

/// The last time that the files were read.
struct Seen {
    /// How the files looked then.
    identities: Vec<Option<FileIdentity>>,
    /// When they are read again, even if they look as they did.
    again: Option<Instant>,
    /// Why what they held was not taken, as the operator was told.
    failure: Option<String>,
}

/// What the last read that was taken has found.
struct Current {
    config: Arc<ServerConfig>,
    client_rule: u64,
    /// `None`: ACME has not issued the certificate yet.
    facts: Option<Facts>,
    /// What the certificates behind it say.
    issuers: Vec<Facts>,
    /// What those say by which the certificates of clients are verified.
    authorities: Vec<Facts>,
    digests: Digests,
}

/// Digests of what the files hold; zeros for what there is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    /// Of the certificate and those behind it. The key needs no digest: a certificate holds its public part.
    pub(crate) certificates: [u8; 32],
    /// Of those by which the certificates of clients are verified.
    pub(crate) authorities: [u8; 32],
}

/// What reading the files has found.
struct Read {
    current: Current,
}

impl Read {
    /// Whether ACME has issued a certificate that could not be read; `identities` are those of the files.
    fn misses(&self, identities: &[Option<FileIdentity>]) -> bool {
        self.current.facts.is_none() && identities.first().is_some_and(Option::is_some)
    }

    /// Why a certificate that is valid is better.
    fn worse(&self, path: &Path, now: SystemTime) -> Option<Fault> {
        let Some(facts) = &self.current.facts else {
            let message = format!(
                "`{}` holds no certificate with its key any more",
                path.display()
            );
            return Some(Fault::new(Part::Certificate, message));
        };
        date_doubt(facts, path, now).filter(|_| !facts.is_valid(now))
    }
}

impl Terminator {
    /// Reads the files of `settings`.
    ///
    /// # Errors
    /// Why they cannot be served with.
    pub(crate) fn new(settings: &Tls, tickets: &Arc<TicketKeys>) -> Result<Self, Fault> {
        let identities = identities(settings);
        let read = read(settings, tickets)?;
        let seen = Seen {
            again: read.misses(&identities).then(|| Instant::now() + AGAIN),
            identities,
            failure: None,
        };
        Ok(Self {
            settings: settings.clone(),
            tickets: Arc::clone(tickets),
            current: ArcSwap::from_pointee(read.current),
            seen: Mutex::new(seen),
        })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// Why the server cannot use them, or that they are worse than what was read last. Then handshakes use
    /// what was read last.
    pub(crate) fn renew(&self) -> Result<(), Fault> {
        self.renew_at(Instant::now(), SystemTime::now())
    }

    /// [`renew`](Self::renew) at `now`, at which the clock shows `date`.
    fn renew_at(&self, now: Instant, date: SystemTime) -> Result<(), Fault> {
        // Before the files are read: the next look sees a change that happens meanwhile.
        let identities = identities(&self.settings);
        let read = self.read_better(date);
        let misses = read.as_ref().map_or(true, |read| read.misses(&identities));
        let failure = read.as_ref().err().map(|fault| fault.message.clone());
        *self.lock_seen() = Seen {
            identities,
            again: misses.then(|| now + AGAIN),
            failure,
        };
        self.current.store(Arc::new(read?.current));
        Ok(())
    }

    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be served with, or are worse at `date` than what was read last.
    fn read_better(&self, date: SystemTime) -> Result<Read, Fault> {
        let read = read(&self.settings, &self.tickets)?;
        let is_valid = |facts: &Facts| facts.left(date) > Duration::ZERO;
        let is_last_valid = self.current.load().facts.as_ref().is_some_and(is_valid);
        let worse = read.worse(&self.settings.certificate, date);
        worse.filter(|_| is_last_valid).map_or(Ok(read), Err)
    }

    /// Reads the files again if one has changed since they were read last, or if what they held could not
    /// be used then, some time ago.
    pub(crate) fn look(&self) -> Looked {
        self.look_at(Instant::now(), SystemTime::now())
    }

    /// [`look`](Self::look) at `now`, at which the clock shows `date`.
    fn look_at(&self, now: Instant, date: SystemTime) -> Looked {
        let told = {
            let seen = self.lock_seen();
            let is_changed = seen.identities != identities(&self.settings);
            if !is_changed && seen.again.is_none_or(|again| now < again) {
                return Looked::Same;
            }
            seen.failure.clone().filter(|_| !is_changed)
        };
        match self.renew_at(now, date) {
            Ok(()) => Looked::Renewed,
            Err(fault) if told.as_ref() == Some(&fault.message) => Looked::Same,
            Err(fault) => Looked::Failed(fault),
        }
    }

    fn lock_seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with the dates of its certificate.
    pub(crate) fn date_doubt(&self) -> Option<Fault> {
        let facts = self.facts()?;
        let date = SystemTime::now();
        let may_wait = self.settings.issue.is_some() && is_renewed_later(&facts, date);
        let doubt = date_doubt(&facts, &self.settings.certificate, date);
        doubt.filter(|_| !may_wait)
    }

    /// What is wrong with the dates of its certificate and of those behind it.
    pub(crate) fn doubts_by_date(&self) -> Vec<Fault> {
        let (current, path) = (self.current.load(), &self.settings.certificate);
        let own = current.facts.iter();
        own.flat_map(|own| chain_doubts(own, &current.issuers, path, SystemTime::now()))
            .collect()
    }

    /// What is wrong at `now` with the authorities of clients.
    pub(crate) fn authority_doubts(&self, now: SystemTime) -> Vec<Fault> {
        let Some(clients) = &self.settings.clients else {
            return Vec::new();
        };
        authority_doubts(&self.current.load().authorities, &clients.authorities, now)
    }

    /// When its certificate ends, or one behind it that ends before; `None`: none is issued yet.
    pub(crate) fn ends(&self) -> Option<SystemTime> {
        let current = self.current.load();
        let own = current.facts.as_ref()?;
        Some(first_end(own, &current.issuers))
    }

    /// What its certificate says; `None`: none is issued yet.
    pub(crate) fn facts(&self) -> Option<Facts> {
        self.current.load().facts.clone()
    }

    /// Digests of what its files held when they were taken last.
    pub(crate) fn digests(&self) -> Digests {
        self.current.load().digests
    }

    pub(crate) fn settings(&self) -> &Tls {
        &self.settings
    }

    /// What in the files clients will mind, for a server that answers for `hosts`.
    pub(crate) fn doubts(&self, hosts: &[HostPattern]) -> Vec<Fault> {
        let Tls {
            certificate, key, ..
        } = &self.settings;
        let now = SystemTime::now();
        let mut doubts = if self.settings.issue.is_some() {
            // ACME orders it for these hosts, and the supervisor warns if ACME does not renew it in time.
            Vec::new()
        } else {
            match Identity::read(certificate, key) {
                Ok(identity) => identity.doubts(certificate, hosts, now),
                Err(fault) => vec![fault],
            }
        };
        doubts.extend(self.authority_doubts(now));
        doubts
    }

    /// The configuration of a handshake that begins now.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Stands for what is asked of a client's certificate: equal where the same is asked.
    pub(crate) fn client_rule(&self) -> u64 {
        self.current.load().client_rule
    }
}

/// Whether a certificate of ACME need not have been renewed at `date`. ACME renews when a third of the
/// lifetime is left; a CA may issue for some days alone.
fn is_renewed_later(facts: &Facts, date: SystemTime) -> bool {
    let lifetime = facts.not_after.duration_since(facts.not_before);
    facts.is_valid(date) && facts.left(date) >= lifetime.unwrap_or_default() / 6
}

/// What a look at the files has found.
pub(crate) enum Looked {
    /// They are as they were, or are refused for the same reason as before.
    Same,
    /// They were taken: handshakes use them now.
    Renewed,
    /// They were not taken: handshakes use what was read before.
    Failed(Fault),
}

/// How the files of `settings` look; `None` for one that is not there.
fn identities(settings: &Tls) -> Vec<Option<FileIdentity>> {
    let authorities = settings
        .clients
        .as_ref()
        .map(|clients| &clients.authorities);
    let files = [&settings.certificate, &settings.key]
        .into_iter()
        .chain(authorities);
    files.map(|file| FileIdentity::at(file).ok()).collect()
}

/// Reads the files of `settings`.
fn read(settings: &Tls, tickets: &Arc<TicketKeys>) -> Result<Read, Fault> {
    let provider = provider();
    let (identity, resolver) = identity(settings)?;
    let verified = settings.clients.as_ref();
    let verified = verified.map(|clients| verified_by(clients, &provider));
    let mut digests = Digests::default();
    let (verifier, client_rule, authorities) = match verified.transpose()? {
        Some(by) => {
            digests.authorities = by.digest;
            (Some(by.verifier), by.rule, by.authorities)
        }
        None => (None, 0, Vec::new()),
    };
    if let Some(identity) = &identity {
        digests.certificates = pem::digest(&identity.certified.cert);
    }
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&protocol_versions(settings.versions))
        .expect("checking has left one version at least");
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = match &settings.protocols {
        Protocols::Http => PROTOCOLS.map(<[u8]>::to_vec).into(),
        Protocols::Any => Vec::new(),
        Protocols::Only(protocols) => protocols.iter().map(|one| one.clone().into()).collect(),
    };
    // Tickets alone: a client that comes back may reach another worker.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(Ticketer {
        keys: Arc::clone(tickets),
        scope: client_rule,
    });
    let (facts, issuers) = identity
        .map(|identity| (identity.facts, identity.issuers))
        .unzip();
    Ok(Read {
        current: Current {
            config: Arc::new(config),
            client_rule,
            facts,
            issuers: issuers.unwrap_or_default(),
            authorities,
            digests,
        },
    })
}

/// What is in the files of `settings`, and what clients are shown.
fn identity(settings: &Tls) -> Result<(Option<Identity>, Arc<dyn ResolvesServerCert>), Fault> {
    match Identity::read(&settings.certificate, &settings.key) {
        Ok(identity) => {
            let certified = identity.certified.clone();
            let resolver = Arc::new(SingleCertAndKey::from(certified));
            Ok((Some(identity), resolver))
        }
        Err(fault) => {
            let issue = settings.issue.as_ref().ok_or(fault)?;
            Ok((None, standby::until_issued(&settings.certificate, issue)?))
        }
    }
}

/// What the certificates of clients are verified by.
struct VerifiedBy {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Stands for what is asked.
    rule: u64,
    /// What the authorities say, as far as they can be read.
    authorities: Vec<Facts>,
    digest: [u8; 32],
}

/// What verifies the certificates of clients as `clients` says.
fn verified_by(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<VerifiedBy, Fault> {
    let path = &clients.authorities;
    let authorities = pem::certificates(Part::ClientCa, path)?;
    let rule = rule(clients, &authorities);
    let roots = pem::roots(Part::ClientCa, path, &authorities)?;
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients.is_required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let verifier = builder.build().map_err(|error| {
        let message = format!("`{}` cannot be used: {error}", path.display());
        Fault::new(Part::ClientCa, message)
    })?;
    let facts = authorities.iter().filter_map(|one| Facts::of(one).ok());
    Ok(VerifiedBy {
        verifier,
        rule,
        authorities: facts.collect(),
        digest: pem::digest(&authorities),
    })
}

/// A number for the rule; not 0, which is the rule of servers that ask for no certificate.
fn rule(clients: &ClientCertificates, authorities: &[CertificateDer<'static>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    clients.is_required.hash(&mut hasher);
    authorities.hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::config::model::{Issue, UntilIssued};
    use crate::test_support::TemporaryDirectory;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    fn year(year: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + YEAR * (year - 1970) + YEAR / 2
    }

    /// Writes a certificate that is valid in the years from `first` to `last`, and its key.
    fn write(directory: &TemporaryDirectory, first: i32, last: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(["a.example".to_owned()]).expect("a name");
        parameters.not_before = date_time_ymd(first, 1, 1);
        parameters.not_after = date_time_ymd(last, 12, 31);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let text = pem::block("CERTIFICATE", certificate.der())
            + &pem::block("PRIVATE KEY", key.serialized_der());
        directory.write("a.pem", text.as_bytes());
    }

    fn settings(directory: &TemporaryDirectory) -> Tls {
        let file = directory.path().join("a.pem");
        Tls {
            certificate: file.clone(),
            key: file,
            ..Tls::default()
        }
    }

    fn terminator(settings: &Tls) -> Terminator {
        Terminator::new(settings, &Arc::default()).expect("files that can be served with")
    }

    fn begins(terminator: &Terminator) -> SystemTime {
        terminator.facts().expect("a certificate").not_before
    }

    #[test]
    fn a_certificate_that_is_not_valid_yet_is_read_again_when_it_may_be() {
        let directory = TemporaryDirectory::new("terminator");
        write(&directory, 2020, 2040);
        let terminator = terminator(&settings(&directory));
        let first = begins(&terminator);
        let now = Instant::now();
        write(&directory, 2030, 2050);
        let looked = terminator.look_at(now, year(2029));
        assert!(matches!(looked, Looked::Failed(fault) if fault.message.contains("not valid yet")));
        // The files have not changed, and it is too early to read them for another reason.
        let early = now + AGAIN - Duration::from_secs(1);
        assert!(matches!(
            terminator.look_at(early, year(2031)),
            Looked::Same
        ));
        assert_eq!(begins(&terminator), first);
        let looked = terminator.look_at(now + AGAIN, year(2031));
        assert!(matches!(looked, Looked::Renewed));
        assert!(begins(&terminator) > first);
        let looked = terminator.look_at(now + AGAIN * 9, year(2031));
        assert!(matches!(looked, Looked::Same));
    }

    #[test]
    fn a_certificate_that_lasts_for_days_is_doubted_when_it_should_have_been_renewed() {
        let directory = TemporaryDirectory::new("terminator");
        write(&directory, 2020, 2040);
        let mut facts = terminator(&settings(&directory)).facts().expect("some");
        let day = Duration::from_secs(24 * 60 * 60);
        facts.not_after = facts.not_before + day * 6;
        let ends = facts.not_after;
        assert!(is_renewed_later(&facts, ends - day * 2));
        assert!(is_renewed_later(&facts, ends - day));
        assert!(!is_renewed_later(&facts, ends - day / 2));
        assert!(!is_renewed_later(&facts, ends) && !is_renewed_later(&facts, ends + day));
        assert!(!is_renewed_later(&facts, facts.not_before - day));
    }

    #[test]
    fn the_same_failure_is_told_once() {
        let directory = TemporaryDirectory::new("terminator");
        write(&directory, 2020, 2040);
        let terminator = terminator(&settings(&directory));
        let now = Instant::now();
        let fails = |after: u32| {
            let looked = terminator.look_at(now + AGAIN * after, year(2029));
            matches!(looked, Looked::Failed(_))
        };
        directory.write("a.pem", b"no certificate");
        assert!(fails(0));
        assert!(!fails(1) && !fails(2));
        directory.write("a.pem", b"no certificate either");
        assert!(fails(3));
        write(&directory, 2021, 2040);
        assert!(matches!(terminator.look(), Looked::Renewed));
    }

    #[test]
    fn a_certificate_of_acme_that_could_not_be_read_is_read_again() {
        let directory = TemporaryDirectory::new("terminator");
        let mut settings = settings(&directory);
        settings.issue = Some(Issue {
            names: vec!["a.example".to_owned()],
            until_issued: UntilIssued::SelfSigned,
        });
        let now = Instant::now();
        let waits = terminator(&settings);
        // No certificate was issued yet, so that there is nothing to be read again.
        assert!(matches!(
            waits.look_at(now + AGAIN * 2, year(2029)),
            Looked::Same
        ));
        directory.write("a.pem", b"what the process cannot read");
        let misses = terminator(&settings);
        let looked = misses.look_at(now + AGAIN * 2, year(2029));
        assert!(matches!(looked, Looked::Renewed));
        let looked = misses.look_at(now + AGAIN * 2, year(2029));
        assert!(matches!(looked, Looked::Same));
        let looked = misses.look_at(now + AGAIN * 3, year(2029));
        assert!(matches!(looked, Looked::Renewed));
    }
}
