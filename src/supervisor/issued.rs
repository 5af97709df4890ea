//! Describes the certificates of ACME, for `tidegate status`.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::acme::State;
use crate::generation::Generation;
use crate::http::date::iso;
use crate::tls::facts::days;

/// How it stands with a certificate of ACME.
pub(super) struct IssuedFacts {
    names: Vec<String>,
    state: State,
    now: SystemTime,
}

/// Those that `generation` needs.
pub(super) fn facts(generation: &Generation) -> Vec<IssuedFacts> {
    let states = generation.acme().into_iter().flat_map(|plan| plan.states());
    let now = SystemTime::now();
    states
        .map(|(names, state)| IssuedFacts {
            names: names.to_vec(),
            state,
            now,
        })
        .collect()
}

impl IssuedFacts {
    fn left(&self, time: SystemTime) -> Duration {
        time.duration_since(self.now).unwrap_or_default()
    }

    fn days(&self) -> Option<u64> {
        let ends = self.state.ends?;
        Some(days(self.left(ends)))
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "names": self.names,
            "state": self.state.stage.describe(),
            "expires": self.state.ends.map(iso),
            "days_left": self.days(),
            "next_try": self.state.next.map(iso),
            "failure": self.state.failure,
        })
    }

    /// `acme a.example, b.example: issued, 60 days left; next try 2026-08-01T…`.
    pub(super) fn to_line(&self) -> String {
        let names = self.names.join(", ");
        let mut line = format!("{:<12} {names}: {}", "acme", self.state.stage.describe());
        if let Some(days) = self.days() {
            line.push_str(&format!(", {days} days left"));
        }
        if let Some(next) = self.state.next {
            line.push_str(&format!("; next try {}", iso(next)));
        }
        if let Some(failure) = &self.state.failure {
            line.push_str(&format!("; the last one failed: {failure}"));
        }
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::Stage;

    #[test]
    fn a_certificate_is_one_line_with_the_words_of_the_ca() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let facts = IssuedFacts {
            names: vec!["a.example".to_owned(), "b.example".to_owned()],
            state: State {
                stage: Stage::Failed,
                ends: Some(now + Duration::from_secs(3 * 24 * 60 * 60 + 5)),
                next: Some(now + Duration::from_secs(60)),
                failure: Some("the CA refused (429): too many".to_owned()),
            },
            now,
        };
        assert_eq!(
            facts.to_line(),
            "acme         a.example, b.example: failed, 3 days left; next try 2026-09-21T14:14:20Z; \
             the last one failed: the CA refused (429): too many\n"
        );
        let json = facts.to_json();
        assert_eq!(
            (&json["days_left"], &json["state"]),
            (&json!(3), &json!("failed"))
        );
    }
}
