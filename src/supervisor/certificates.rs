//! The certificates of servers, looked at while the server runs: files that were renewed are read again,
//! and the log warns of certificates that are about to expire.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::acme::State;
use crate::generation::Generation;
use crate::http::date::iso;
use crate::log::diagnostic;
use crate::tls::facts::{Facts, days};
use crate::tls::{Fault, Looked, Terminator};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// The same where the configuration's files are watched.
const LOOK_WATCHING: Duration = Duration::from_secs(1);

/// How often the log warns of a certificate that is about to expire.
const WARNING: Duration = Duration::from_secs(24 * 60 * 60);

/// When the log warns of a certificate of ACME for the first time: ACME may renew it when the server starts.
const FIRST_WARNING_ISSUED: Duration = Duration::from_secs(10 * 60);

/// When certificates are looked at next.
pub(super) struct Certificates {
    next: Instant,
    next_warning: Instant,
    /// The same for the certificates of ACME.
    next_warning_issued: Instant,
}

impl Default for Certificates {
    fn default() -> Self {
        Self::begin(Instant::now())
    }
}

impl Certificates {
    fn begin(now: Instant) -> Self {
        Self {
            next: now,
            // The report of the configuration has the first one.
            next_warning: now + WARNING,
            next_warning_issued: now + FIRST_WARNING_ISSUED,
        }
    }

    /// How long it is until they are looked at; `None`: there are none.
    pub(super) fn wait(&self, generation: &Generation, now: Instant) -> Option<Duration> {
        let files = of_files(generation).next().map(|_| self.next);
        let issued = of_acme(generation).next().map(|_| self.next_warning_issued);
        let next = files.into_iter().chain(issued).min();
        next.map(|next| next.saturating_duration_since(now))
    }

    /// Reads those again whose files have changed, and warns the operator of those that are about to expire.
    pub(super) fn look(&mut self, generation: &Generation, is_watching: bool) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + if is_watching { LOOK_WATCHING } else { LOOK };
            look_at_all(of_files(generation)).iter().for_each(Told::log);
        }
        if is_due(&mut self.next_warning, now) {
            let warnings = warnings_of_files(generation);
            warnings.for_each(|warning| diagnostic::warn(format_args!("{warning}")));
        }
        if is_due(&mut self.next_warning_issued, now) {
            let warnings = issued_warnings(generation);
            warnings.for_each(|warning| diagnostic::warn(format_args!("{warning}")));
        }
    }
}

/// Whether it is time to warn at `now`. If it is, `next` is a day later.
fn is_due(next: &mut Instant, now: Instant) -> bool {
    let is_due = now >= *next;
    if is_due {
        *next = now + WARNING;
    }
    is_due
}

/// What the operator is told of files that have changed.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Renewed(String),
    Failed(String),
}

impl Told {
    fn log(&self) {
        match self {
            Self::Renewed(text) => diagnostic::info(format_args!("{text}")),
            Self::Failed(text) => diagnostic::error(format_args!("{text}")),
        }
    }
}

/// Reads the files of `terminators` again that have changed. Returns what to tell of them, each once: several
/// terminators may be made of one file.
fn look_at_all<'a>(terminators: impl Iterator<Item = &'a Arc<Terminator>>) -> Vec<Told> {
    let mut all = Vec::new();
    for told in terminators.filter_map(look_at) {
        if !all.contains(&told) {
            all.push(told);
        }
    }
    all
}

/// Reads the files of `terminator` again if they have changed. Returns what to tell the operator.
fn look_at(terminator: &Arc<Terminator>) -> Option<Told> {
    match terminator.look() {
        Looked::Same => None,
        Looked::Renewed => {
            let facts = CertificateFacts::of(terminator);
            let described = facts.map(|facts| facts.describe()).unwrap_or_default();
            Some(Told::Renewed(format!("read again: {described}")))
        }
        Looked::Failed(Fault { message, help, .. }) => {
            let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
            Some(Told::Failed(format!(
                "{message}{help}; what was read before is served on"
            )))
        }
    }
}

/// The warnings of certificates of ACME that were not renewed in time.
fn issued_warnings(generation: &Generation) -> impl Iterator<Item = String> {
    let terminators = of_acme(generation);
    // Servers that ask different things of clients show the same certificate.
    let by_file: BTreeMap<&Path, &Arc<Terminator>> = terminators
        .map(|terminator| (terminator.settings().certificate.as_path(), terminator))
        .collect();
    by_file.into_iter().filter_map(|(file, terminator)| {
        let doubt = terminator.date_doubt()?;
        let state = generation.acme().map(|plan| plan.state(file));
        Some(issued_warning(&doubt, &state.unwrap_or_default()))
    })
}

/// The warning of a certificate of ACME that `doubt` is about and that ACME describes as `state`.
fn issued_warning(doubt: &Fault, state: &State) -> String {
    let why = match &state.failure {
        Some(failure) => format!("the last try to renew it failed: {failure}"),
        None => format!("ACME has not renewed it: {}", state.stage.describe()),
    };
    format!("{}; {why}", doubt.message)
}

/// What an operator is told of a certificate.
#[derive(PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    path: String,
    facts: Facts,
    /// When it ends, or one behind it in its file that ends before.
    ends: SystemTime,
}

/// The certificates of a generation, as they are now, each once.
pub(crate) fn facts(generation: &Generation) -> Vec<CertificateFacts> {
    facts_of(of_files(generation))
}

/// The certificates of `terminators`. One that several show is there once; two are there of a file that some of them
/// have read before it was renewed.
fn facts_of<'a>(terminators: impl Iterator<Item = &'a Arc<Terminator>>) -> Vec<CertificateFacts> {
    let mut all = Vec::new();
    for facts in terminators.filter_map(CertificateFacts::of) {
        if !all.contains(&facts) {
            all.push(facts);
        }
    }
    all
}

/// What an operator is told of the certificate in `file`, if servers of `generation` show it.
pub(super) fn describe(generation: &Generation, file: &Path) -> Option<String> {
    let mut terminators = generation.terminators();
    let found = terminators.find(|terminator| terminator.settings().certificate == file)?;
    Some(CertificateFacts::of(found)?.describe())
}

/// When the certificates of servers expire, by their first names: of several for one name, the one that
/// expires first.
pub(super) fn expiries(generation: &Generation) -> BTreeMap<String, SystemTime> {
    let mut expiries = BTreeMap::new();
    for (facts, ends) in generation
        .terminators()
        .filter_map(|terminator| terminator.facts().zip(terminator.ends()))
    {
        let name = facts.names.into_iter().next().unwrap_or(facts.subject);
        let expiry = expiries.entry(name).or_insert(ends);
        *expiry = ends.min(*expiry);
    }
    expiries
}

/// What to warn of in files of the operator, each once: certificates, and the authorities of clients, which servers
/// with certificates of ACME have as well.
fn warnings_of_files(generation: &Generation) -> impl Iterator<Item = String> {
    let own = of_files(generation).flat_map(|terminator| terminator.doubts_by_date());
    let now = SystemTime::now();
    let of_clients = generation.terminators();
    let of_clients = of_clients.flat_map(move |terminator| terminator.authority_doubts(now));
    let warnings = own.chain(of_clients).map(|doubt| doubt.message);
    warnings.collect::<BTreeSet<String>>().into_iter()
}

/// The certificates that the operator puts into files. ACME looks at the files of the others itself.
fn of_files(generation: &Generation) -> impl Iterator<Item = &Arc<Terminator>> {
    let terminators = generation.terminators();
    terminators.filter(|terminator| terminator.settings().issue.is_none())
}

/// The certificates that ACME puts into its storage.
fn of_acme(generation: &Generation) -> impl Iterator<Item = &Arc<Terminator>> {
    let terminators = generation.terminators();
    terminators.filter(|terminator| terminator.settings().issue.is_some())
}

impl CertificateFacts {
    fn of(terminator: &Arc<Terminator>) -> Option<Self> {
        Some(Self {
            path: terminator.settings().certificate.display().to_string(),
            facts: terminator.facts()?,
            ends: terminator.ends()?,
        })
    }

    /// Whole days that are left; 0 if it has expired.
    fn days(&self) -> u64 {
        let left = self.ends.duration_since(SystemTime::now());
        days(left.unwrap_or_default())
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "certificate": self.path,
            "names": self.facts.names,
            "issuer": self.facts.issuer,
            "expires": iso(self.ends),
            "days_left": self.days(),
        })
    }

    /// `certificate a.pem for a.example, *.a.example: 63 days left`.
    pub(crate) fn describe(&self) -> String {
        let names = self.facts.names.join(", ");
        format!(
            "certificate {} for {names}: {} days left",
            self.path,
            self.days()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::Stage;
    use crate::config::model::{Tls, TlsVersions};
    use crate::test_support::TemporaryDirectory;
    use crate::tls::Part;

    /// Each terminator of the file told of it: four identical lines.
    #[test]
    fn a_file_of_several_terminators_is_told_once() {
        let directory = TemporaryDirectory::new("certificates");
        let fixture = |name: &str| std::fs::read(format!("tests/fixtures/tls/{name}")).expect("it");
        let write = |name: &str| {
            directory.write("a.pem", &fixture(&format!("{name}.pem")));
            directory.write("a.key", &fixture(&format!("{name}.key")));
        };
        write("localhost");
        let settings = |tls12| Tls {
            certificate: directory.path().join("a.pem"),
            key: directory.path().join("a.key"),
            versions: TlsVersions { tls12, tls13: true },
            ..Tls::default()
        };
        let terminator = |tls12| Terminator::new(&settings(tls12), &Arc::default());
        let all = [false, true].map(|tls12| Arc::new(terminator(tls12).expect("sound files")));
        assert_eq!(facts_of(all.iter()).len(), 1);
        assert_eq!(look_at_all(all.iter()), []);
        directory.write("a.pem", b"garbage");
        let told = look_at_all(all.iter());
        assert!(matches!(told.as_slice(), [Told::Failed(_)]), "{told:?}");
        write("other");
        let told = look_at_all(all.iter());
        assert!(matches!(told.as_slice(), [Told::Renewed(_)]), "{told:?}");
        assert_eq!(facts_of(all.iter()).len(), 1);
    }

    #[test]
    fn a_warning_is_due_once_a_day() {
        let now = Instant::now();
        let mut next = now + FIRST_WARNING_ISSUED;
        assert!(!is_due(&mut next, now));
        assert!(is_due(&mut next, now + FIRST_WARNING_ISSUED));
        assert!(!is_due(&mut next, now + WARNING));
        assert!(is_due(&mut next, now + WARNING * 2));
    }

    #[test]
    fn a_warning_of_a_certificate_of_acme_says_why_it_was_not_renewed() {
        let doubt = Fault {
            part: Part::Certificate,
            message: "the certificate in `a.pem` expires in 5 days".to_owned(),
            help: None,
        };
        let failed = State {
            stage: Stage::Failed,
            failure: Some("the CA refused (403): no".to_owned()),
            ..State::default()
        };
        assert_eq!(
            issued_warning(&doubt, &failed),
            "the certificate in `a.pem` expires in 5 days; the last try to renew it failed: \
             the CA refused (403): no"
        );
        let elsewhere = State {
            stage: Stage::Elsewhere,
            ..State::default()
        };
        assert_eq!(
            issued_warning(&doubt, &elsewhere),
            "the certificate in `a.pem` expires in 5 days; ACME has not renewed it: left to another process"
        );
    }
}
