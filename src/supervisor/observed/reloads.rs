//! How reloads ended: how many, and the last ones with what the operator was told.

use std::collections::VecDeque;
use std::time::SystemTime;

/// How many reloads are remembered.
const REMEMBERED: usize = 32;

/// The most octets that are kept of a message: its first line names the mistake, and may quote the file.
const MAX_MESSAGE: usize = 500;

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    /// The configuration that ran goes on.
    Refused,
}

impl Outcome {
    pub(super) const ALL: [Self; 2] = [Self::Applied, Self::Refused];

    /// The word for it in labels and in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// How the last reload has left the configuration that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As that reload said, or as the process began.
    #[default]
    Applied,
    /// The reload was refused.
    Refused,
    /// It was on trial, and was not confirmed.
    TakenBack,
}

impl Standing {
    /// The word for it in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::TakenBack => "taken back",
        }
    }
}

/// A change of the configuration that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reload {
    pub(super) time: SystemTime,
    pub(super) outcome: Outcome,
    /// The number of the generation that ran afterwards.
    pub(super) generation: u64,
    /// The first line of what the operator was told.
    pub(super) message: String,
}

impl Reload {
    /// A reload that has ended just now; `told` is all that the operator was told.
    pub(super) fn now(outcome: Outcome, generation: u64, told: &str) -> Self {
        let mut message = told.lines().next().unwrap_or_default().to_owned();
        let mut ends = (0..=MAX_MESSAGE.min(message.len())).rev();
        let end = ends.find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or_default());
        Self {
            time: SystemTime::now(),
            outcome,
            generation,
            message,
        }
    }
}

/// The reloads of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Reloads {
    applied: u64,
    refused: u64,
    was_refused: bool,
    standing: Standing,
    last: VecDeque<Reload>,
}

impl Reloads {
    /// Counts a reload and remembers it.
    pub(super) fn count(&mut self, reload: Reload) {
        self.standing = match reload.outcome {
            Outcome::Applied => {
                self.applied += 1;
                Standing::Applied
            }
            Outcome::Refused => {
                self.refused += 1;
                Standing::Refused
            }
        };
        self.was_refused = reload.outcome == Outcome::Refused;
        self.remember(reload);
    }

    /// Remembers how it ended that a reload was to be taken back, which no reload has asked for.
    pub(super) fn take_back(&mut self, reload: Reload) {
        if reload.outcome == Outcome::Applied {
            self.standing = Standing::TakenBack;
        }
        self.remember(reload);
    }

    fn remember(&mut self, reload: Reload) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(reload);
    }

    /// How many reloads have ended so.
    pub(super) fn total(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Applied => self.applied,
            Outcome::Refused => self.refused,
        }
    }

    /// Whether the last reload was refused.
    pub(super) fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// How the last reload has left the configuration that runs.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// The last ones, the oldest first.
    pub(super) fn last(&self) -> impl Iterator<Item = &Reload> {
        self.last.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_last_are_remembered() {
        let mut reloads = Reloads::default();
        for generation in 2..42 {
            reloads.count(Reload::now(Outcome::Applied, generation, "reloaded\nmore"));
        }
        reloads.count(Reload::now(Outcome::Refused, 41, "error: no\n --> x"));
        assert_eq!(reloads.total(Outcome::Applied), 40);
        assert_eq!(reloads.total(Outcome::Refused), 1);
        assert!(reloads.was_refused());
        let last: Vec<_> = reloads.last().collect();
        assert_eq!(last.len(), REMEMBERED);
        assert_eq!((last[0].generation, &*last[0].message), (11, "reloaded"));
        assert_eq!(&*last[REMEMBERED - 1].message, "error: no");
    }

    #[test]
    fn what_no_reload_has_made_is_remembered_and_not_counted() {
        let mut reloads = Reloads::default();
        reloads.count(Reload::now(Outcome::Refused, 1, "no"));
        reloads.take_back(Reload::now(Outcome::Applied, 2, "back"));
        assert_eq!(reloads.total(Outcome::Applied), 0);
        assert!(reloads.was_refused());
        assert_eq!(reloads.last().count(), 2);
    }

    /// `status` said nothing of it when the file was not what ran.
    #[test]
    fn the_last_one_tells_whether_the_file_is_what_runs() {
        let mut reloads = Reloads::default();
        assert_eq!(reloads.standing(), Standing::Applied);
        reloads.count(Reload::now(Outcome::Refused, 1, "no"));
        assert_eq!(reloads.standing(), Standing::Refused);
        reloads.count(Reload::now(Outcome::Applied, 2, "on trial"));
        assert_eq!(reloads.standing(), Standing::Applied);
        reloads.take_back(Reload::now(Outcome::Refused, 2, "cannot run again"));
        assert_eq!(reloads.standing(), Standing::Applied, "the trial goes on");
        reloads.take_back(Reload::now(Outcome::Applied, 3, "back"));
        assert_eq!(reloads.standing(), Standing::TakenBack);
        reloads.count(Reload::now(Outcome::Applied, 4, "yes"));
        assert_eq!(reloads.standing(), Standing::Applied);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let reload = Reload::now(Outcome::Refused, 1, &"é".repeat(MAX_MESSAGE));
        assert_eq!(reload.message, "é".repeat(MAX_MESSAGE / 2));
    }
}
