//! What the handshakes of a server go on with.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;

use super::facts::Facts;
use super::fault::{Fault, Part};
use super::identity::{Identity, date_doubt};
use super::pem;
use super::provider::{protocol_versions, provider};
use super::standby;
use super::tickets::{TicketKeys, Ticketer};
use crate::config::model::{ClientCertificates, HostPattern, Protocols, Tls};
use crate::disk::identity::Identity as FileIdentity;

/// The protocols that servers speak over TLS, by ALPN (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// What the handshakes of a server go on with. The files may be read again while it serves; sessions that
/// have begun go on as they are.
pub(crate) struct Terminator {
    settings: Tls,
    tickets: Arc<TicketKeys>,
    current: ArcSwap<Current>,
    /// How the files looked when they were read last, for good or not.
    seen: Mutex<Vec<Option<FileIdentity>>>,
}

/// What was read last, and is good.
struct Current {
    config: Arc<ServerConfig>,
    client_rule: u64,
    /// `None`: ACME has not issued the certificate yet.
    facts: Option<Facts>,
}

/// What reading the files has found.
struct Read {
    current: Current,
}

impl Read {
    /// Why it is worse than a certificate that is valid.
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
        let seen = Mutex::new(identities(settings));
        let read = read(settings, tickets)?;
        Ok(Self {
            settings: settings.clone(),
            tickets: Arc::clone(tickets),
            current: ArcSwap::from_pointee(read.current),
            seen,
        })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// Why they cannot be served with, or are worse than what was read last. Then that is still what
    /// handshakes go on with.
    pub(crate) fn renew(&self) -> Result<(), Fault> {
        *self.lock_seen() = identities(&self.settings);
        let read = read(&self.settings, &self.tickets)?;
        let now = SystemTime::now();
        let is_valid = |facts: &Facts| facts.left(now) > Duration::ZERO;
        let is_last_valid = self.current.load().facts.as_ref().is_some_and(is_valid);
        if is_last_valid && let Some(fault) = read.worse(&self.settings.certificate, now) {
            return Err(fault);
        }
        self.current.store(Arc::new(read.current));
        Ok(())
    }

    /// Reads the files again if one has changed since they were read last.
    pub(crate) fn look(&self) -> Looked {
        if *self.lock_seen() == identities(&self.settings) {
            return Looked::Same;
        }
        match self.renew() {
            Ok(()) => Looked::Renewed,
            Err(fault) => Looked::Failed(fault),
        }
    }

    fn lock_seen(&self) -> MutexGuard<'_, Vec<Option<FileIdentity>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with the dates of its certificate.
    pub(crate) fn date_doubt(&self) -> Option<Fault> {
        let facts = self.facts()?;
        date_doubt(&facts, &self.settings.certificate, SystemTime::now())
    }

    /// What its certificate says; `None`: none is issued yet.
    pub(crate) fn facts(&self) -> Option<Facts> {
        self.current.load().facts.clone()
    }

    pub(crate) fn settings(&self) -> &Tls {
        &self.settings
    }

    /// What in the files clients will mind, for a server that answers for `hosts`.
    pub(crate) fn doubts(&self, hosts: &[HostPattern]) -> Vec<Fault> {
        let Tls {
            certificate, key, ..
        } = &self.settings;
        if self.settings.issue.is_some() {
            // It is for them, and it is renewed in time.
            return Vec::new();
        }
        match Identity::read(certificate, key) {
            Ok(identity) => identity.doubts(certificate, hosts, SystemTime::now()),
            Err(fault) => vec![fault],
        }
    }

    /// What a handshake that begins now goes on with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Stands for what is asked of a client's certificate: equal where the same is asked.
    pub(crate) fn client_rule(&self) -> u64 {
        self.current.load().client_rule
    }
}

/// What a look at the files has found.
pub(crate) enum Looked {
    /// They are as they were.
    Same,
    /// They have changed, and are what handshakes go on with now.
    Renewed,
    /// They have changed, and are no good: what was read before is what handshakes go on with.
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
    let (verifier, client_rule) = match &settings.clients {
        Some(clients) => {
            let (verifier, rule) = verifier(clients, &provider)?;
            (Some(verifier), rule)
        }
        None => (None, 0),
    };
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
    // Tickets alone: a client that comes back may come to another worker.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(Ticketer {
        keys: Arc::clone(tickets),
        scope: client_rule,
    });
    let facts = identity.as_ref().map(|identity| identity.facts.clone());
    Ok(Read {
        current: Current {
            config: Arc::new(config),
            client_rule,
            facts,
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

/// What verifies the certificates of clients, and the number that stands for its rule.
fn verifier(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<(Arc<dyn ClientCertVerifier>, u64), Fault> {
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
    Ok((verifier, rule))
}

/// A number for the rule; not 0, which is the rule of servers that ask for no certificate.
fn rule(clients: &ClientCertificates, authorities: &[CertificateDer<'static>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    clients.is_required.hash(&mut hasher);
    authorities.hash(&mut hasher);
    hasher.finish().max(1)
}
