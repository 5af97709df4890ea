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
            of_files(generation).for_each(look_at);
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

/// Reads the files of `terminator` again if they have changed, and tells the operator.
fn look_at(terminator: &Arc<Terminator>) {
    match terminator.look() {
        Looked::Same => {}
        Looked::Renewed => {
            let facts = CertificateFacts::of(terminator);
            let described = facts.map(|facts| facts.describe()).unwrap_or_default();
            diagnostic::info(format_args!("read again: {described}"));
        }
        Looked::Failed(Fault { message, help, .. }) => {
            let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
            diagnostic::error(format_args!(
                "{message}{help}; what was read before is served on"
            ));
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
pub(crate) struct CertificateFacts {
    path: String,
    facts: Facts,
    /// When it ends, or one behind it in its file that ends before.
    ends: SystemTime,
}

/// The certificates of a generation, as they are now.
pub(crate) fn facts(generation: &Generation) -> Vec<CertificateFacts> {
    of_files(generation)
        .filter_map(CertificateFacts::of)
        .collect()
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
    use crate::tls::Part;

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
