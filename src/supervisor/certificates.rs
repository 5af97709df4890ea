//! The certificates of servers, looked at while the server runs: files that were renewed are read again,
//! and one that is about to expire is warned of.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::generation::Generation;
use crate::http::date::iso;
use crate::log::diagnostic;
use crate::tls::facts::{Facts, days};
use crate::tls::{Fault, Looked, Terminator};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// The same where the configuration's files are watched.
const LOOK_WATCHING: Duration = Duration::from_secs(1);

/// How often a certificate is warned of that is about to expire.
const WARNING: Duration = Duration::from_secs(24 * 60 * 60);

/// When certificates are looked at next.
pub(super) struct Certificates {
    next: Instant,
    next_warning: Instant,
}

impl Default for Certificates {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            next: now,
            // The report of the configuration has the first one.
            next_warning: now + WARNING,
        }
    }
}

impl Certificates {
    /// How long it is until they are looked at; `None`: there are none.
    pub(super) fn wait(&self, generation: &Generation, now: Instant) -> Option<Duration> {
        let has_some = of_files(generation).next().is_some();
        has_some.then(|| self.next.saturating_duration_since(now))
    }

    /// Reads those again whose files have changed, and tells the operator.
    pub(super) fn look(&mut self, generation: &Generation, is_watching: bool) {
        let now = Instant::now();
        self.next = now + if is_watching { LOOK_WATCHING } else { LOOK };
        let has_to_warn = now >= self.next_warning;
        if has_to_warn {
            self.next_warning = now + WARNING;
        }
        for terminator in of_files(generation) {
            match terminator.look() {
                Looked::Same => {}
                Looked::Renewed => {
                    let facts = CertificateFacts::of(terminator);
                    let described = facts.map(|facts| facts.describe()).unwrap_or_default();
                    diagnostic::info(format_args!(
                        "read again, because it has changed: {described}"
                    ));
                }
                Looked::Failed(Fault { message, help, .. }) => {
                    let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
                    diagnostic::error(format_args!(
                        "{message}{help}; what was read before is served on"
                    ));
                }
            }
            if let Some(doubt) = terminator.date_doubt().filter(|_| has_to_warn) {
                diagnostic::warn(format_args!("{}", doubt.message));
            }
        }
    }
}

/// What an operator is told of a certificate.
pub(crate) struct CertificateFacts {
    path: String,
    facts: Facts,
}

/// The certificates of a generation, as they are now.
pub(crate) fn facts(generation: &Generation) -> Vec<CertificateFacts> {
    of_files(generation)
        .filter_map(CertificateFacts::of)
        .collect()
}

/// The certificates that the operator puts into files. ACME looks after the others itself.
fn of_files(generation: &Generation) -> impl Iterator<Item = &Arc<Terminator>> {
    let terminators = generation.terminators();
    terminators.filter(|terminator| terminator.settings().issue.is_none())
}

impl CertificateFacts {
    fn of(terminator: &Arc<Terminator>) -> Option<Self> {
        Some(Self {
            path: terminator.settings().certificate.display().to_string(),
            facts: terminator.facts()?,
        })
    }

    /// Whole days that are left; 0 if it has expired.
    fn days(&self) -> u64 {
        days(self.facts.left(SystemTime::now()))
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "certificate": self.path,
            "names": self.facts.names,
            "issuer": self.facts.issuer,
            "expires": iso(self.facts.not_after),
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
