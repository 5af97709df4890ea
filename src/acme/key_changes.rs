//! Changes of the account's key: those that the operator asks for, and those that a crash or a CA that does not
//! answer has interrupted.

use std::time::{Duration, Instant};

use super::command::{KeyOutcome, KeyRequest};
use super::fault::Fault;
use super::registration::{KeyChange, Registration};
use super::schedule::{self, Chance};
use crate::log::diagnostic;

/// When the task resumes a change that was interrupted.
pub(super) struct KeyChanges {
    /// `None`: no change is interrupted.
    next: Option<Instant>,
    failures: u32,
}

impl Default for KeyChanges {
    fn default() -> Self {
        Self {
            // A process that has ended may have begun one.
            next: Some(Instant::now()),
            failures: 0,
        }
    }
}

impl KeyChanges {
    /// Changes the key if there are `requests` for that, or if it is time to resume a change. Returns after which
    /// time it is; `None`: there is nothing to resume.
    pub(super) async fn step(
        &mut self,
        registration: Registration<'_>,
        requests: Vec<KeyRequest>,
    ) -> Option<Duration> {
        let now = Instant::now();
        let change = match self.next {
            _ if !requests.is_empty() => registration.change_key().await,
            Some(next) if next <= now => registration.resume_key_change().await,
            next => return Some(next?.duration_since(now)),
        };
        let said = self.note(change, Instant::now());
        if let Some(said) = said {
            requests
                .into_iter()
                .for_each(|request| request.answer(said.clone()));
        }
        Some(self.next?.saturating_duration_since(Instant::now()))
    }

    /// Takes note of the result of a change at `now`, and tells the operator. `None`: there was no change.
    fn note(&mut self, change: Result<KeyChange, Fault>, now: Instant) -> Option<KeyOutcome> {
        self.next = None;
        let fault = match change {
            Ok(ended) => {
                self.failures = 0;
                return ended.tell();
            }
            Err(fault) => fault,
        };
        self.failures = self.failures.saturating_add(1);
        let pause = schedule::pause(self.failures, &fault, Chance::random());
        self.next = Some(now + pause);
        let seconds = pause.as_secs_f64().ceil();
        let said = format!(
            "the key of the account is not changed yet: {fault}; the next try is in {seconds} seconds"
        );
        diagnostic::error(format_args!("acme: {said}"));
        Some(KeyOutcome::Failed(said))
    }
}

impl KeyChange {
    /// Tells the operator. `None`: there was no change.
    pub(super) fn tell(&self) -> Option<KeyOutcome> {
        match self {
            Self::Nothing => None,
            Self::Changed => {
                diagnostic::info(format_args!("acme: the account has a new key"));
                Some(KeyOutcome::Changed)
            }
            Self::Kept(fault) => {
                let said = format!("the account keeps its key: {fault}");
                diagnostic::error(format_args!("acme: {said}"));
                Some(KeyOutcome::Failed(said))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> Fault {
        Fault::Unreachable("down".to_owned())
    }

    #[test]
    fn a_change_that_is_pending_is_resumed_after_pauses_that_grow() {
        let now = Instant::now();
        let mut changes = KeyChanges::default();
        let pause = |changes: &KeyChanges| {
            let next = changes.next.expect("a next try");
            next.duration_since(now).as_secs()
        };
        let said = changes.note(Err(down()), now);
        assert!(
            matches!(&said, Some(KeyOutcome::Failed(said)) if said.contains("not changed yet: down"))
        );
        assert!((5..=6).contains(&pause(&changes)));
        changes.note(Err(down()), now);
        assert!((10..=12).contains(&pause(&changes)));
        let said = changes.note(Ok(KeyChange::Changed), now);
        assert_eq!((said, changes.next), (Some(KeyOutcome::Changed), None));
        changes.note(Err(down()), now);
        assert!((5..=6).contains(&pause(&changes)));
        let said = changes.note(Ok(KeyChange::Kept(down())), now);
        let expected = "the account keeps its key: down".to_owned();
        assert_eq!(said, Some(KeyOutcome::Failed(expected)));
        assert_eq!(changes.note(Ok(KeyChange::Nothing), now), None);
        assert_eq!(changes.next, None);
    }
}
