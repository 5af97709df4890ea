//! Changes of the account's key: those that the operator asks for, and those that a crash or a CA that does not
//! answer has interrupted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::command::{KeyAnswer, Wish};
use super::fault::Fault;
use super::registration::{KeyChange, Registration};
use super::schedule::{self, Chance};
use crate::log::diagnostic;

/// When the task goes on with a change that was interrupted.
pub(super) struct KeyChanges {
    /// `None`: no change is interrupted.
    next: Option<SystemTime>,
    failures: u32,
}

impl Default for KeyChanges {
    fn default() -> Self {
        Self {
            // A process that has ended may have begun one.
            next: Some(UNIX_EPOCH),
            failures: 0,
        }
    }
}

impl KeyChanges {
    /// Changes the key if there are `wishes` for that, or if it is time to go on with a change. Returns after
    /// which time it is; `None`: there is nothing to go on with.
    pub(super) async fn step(
        &mut self,
        registration: Registration<'_>,
        wishes: Vec<Wish>,
    ) -> Option<Duration> {
        let now = SystemTime::now();
        let change = match self.next {
            _ if !wishes.is_empty() => registration.change_key().await,
            Some(next) if next <= now => registration.resume_key_change().await,
            next => return Some(next?.duration_since(now).unwrap_or_default()),
        };
        let said = self.note(change, SystemTime::now());
        if let Some(said) = said {
            wishes
                .into_iter()
                .for_each(|wish| wish.answer(said.clone()));
        }
        let next = self.next?.duration_since(SystemTime::now());
        Some(next.unwrap_or_default())
    }

    /// Takes note of what became of a change at `now`, and tells the operator. `None`: there was no change.
    fn note(&mut self, change: KeyChange, now: SystemTime) -> Option<KeyAnswer> {
        self.next = None;
        let fault = match change {
            KeyChange::Pending(fault) => fault,
            ended => {
                self.failures = 0;
                return ended.tell();
            }
        };
        self.failures = self.failures.saturating_add(1);
        let pause = schedule::pause(self.failures, &fault, Chance::random());
        self.next = Some(now + pause);
        let seconds = pause.as_secs_f64().ceil();
        let said = format!(
            "the key of the account is not changed yet: {fault}; the next try is in {seconds} seconds"
        );
        diagnostic::error(format_args!("acme: {said}"));
        Some(KeyAnswer::Failed(said))
    }
}

impl KeyChange {
    /// Tells the operator of a change that is not pending. `None`: there was none.
    pub(super) fn tell(&self) -> Option<KeyAnswer> {
        match self {
            Self::Nothing => None,
            Self::Changed => {
                diagnostic::info(format_args!("acme: the account has a new key"));
                Some(KeyAnswer::Changed)
            }
            Self::Kept(fault) | Self::Pending(fault) => Some(tell_kept(fault)),
        }
    }
}

fn tell_kept(fault: &Fault) -> KeyAnswer {
    let said = format!("the account keeps its key: {fault}");
    diagnostic::error(format_args!("acme: {said}"));
    KeyAnswer::Failed(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> Fault {
        Fault::Unreachable("down".to_owned())
    }

    #[test]
    fn a_change_that_is_pending_is_gone_on_with_after_pauses_that_grow() {
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let mut changes = KeyChanges::default();
        let pause = |changes: &KeyChanges| {
            let next = changes.next.expect("a next try");
            next.duration_since(now).expect("a later one").as_secs()
        };
        let said = changes.note(KeyChange::Pending(down()), now);
        assert!(
            matches!(&said, Some(KeyAnswer::Failed(said)) if said.contains("not changed yet: down"))
        );
        assert!((5..=6).contains(&pause(&changes)));
        changes.note(KeyChange::Pending(down()), now);
        assert!((10..=12).contains(&pause(&changes)));
        let said = changes.note(KeyChange::Changed, now);
        assert_eq!((said, changes.next), (Some(KeyAnswer::Changed), None));
        changes.note(KeyChange::Pending(down()), now);
        assert!((5..=6).contains(&pause(&changes)));
        let said = changes.note(KeyChange::Kept(down()), now);
        let expected = "the account keeps its key: down".to_owned();
        assert_eq!(said, Some(KeyAnswer::Failed(expected)));
        assert_eq!(changes.note(KeyChange::Nothing, now), None);
        assert_eq!(changes.next, None);
    }
}
