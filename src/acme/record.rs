//! The record of a certificate: the order under way, the last failure, and when the server does something
//! next.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::epoch::{moment, seconds};
use super::fault::Fault;
use super::order::{self, Begun};
use super::schedule::{self, Chance};
use super::state::{Stage, State};
use crate::tls;

/// How often a CA is asked when a certificate is to be renewed, if it does not say (RFC 9773 §4.3).
const RENEWAL_INFO: Duration = Duration::from_secs(6 * 60 * 60);

/// The shortest and the longest time that a CA may set for that.
const RENEWAL_INFO_RANGE: [Duration; 2] =
    [Duration::from_secs(60), Duration::from_secs(24 * 60 * 60)];

/// The longest time after a certificate was issued in which no other is ordered.
const LONGEST_PAUSE_ISSUED: Duration = Duration::from_secs(60 * 60);

/// The record of a certificate, as its file holds it. Moments are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) begun: Option<Begun>,
    /// Tries that have failed because the CA could not be asked.
    unanswered: u32,
    /// Tries that have failed because the CA has refused.
    pub(super) refusals: u32,
    /// Why the last one failed.
    failure: Option<String>,
    /// Nothing is tried before this.
    not_before: Option<u64>,
    /// When the present certificate is to be renewed.
    renewal: Option<u64>,
    /// When the CA is asked for that again.
    ask_renewal: Option<u64>,
}

/// A certificate in the storage.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
    /// Its identifier at the CA (RFC 9773 §4.1), if it has what that is made of.
    pub(super) identifier: Option<String>,
}

impl Standing {
    /// What is in `file`; `None` if that is no certificate for `names` with its key.
    pub(super) fn read(file: &Path, names: &[String]) -> Option<Self> {
        let issued = tls::check_issued(file, names).ok()?;
        let identifier = issued.authority_and_serial.map(|(authority, serial)| {
            let [authority, serial] = [authority, serial].map(super::jose::base64url);
            format!("{authority}.{serial}")
        });
        Some(Self {
            begins: issued.facts.not_before,
            ends: issued.facts.not_after,
            identifier,
        })
    }
}

impl Record {
    /// When something is to be done; `None`: now.
    pub(super) fn due(&self, standing: Option<&Standing>, now: SystemTime) -> Option<SystemTime> {
        let wanted = standing.map_or(now, |standing| self.renewal(standing));
        let due = wanted.max(now + self.pause(now));
        (due > now).then_some(due)
    }

    /// When the certificate in the storage is renewed.
    fn renewal(&self, standing: &Standing) -> SystemTime {
        let last = schedule::renewal(standing.begins, standing.ends, Chance::none());
        match self.renewal.map(moment) {
            // The file may be about another certificate.
            Some(renewal) if renewal < standing.ends => renewal,
            _ => last,
        }
    }

    /// The state of the certificate, where nothing is done before `next`.
    pub(super) fn state(&self, standing: Option<&Standing>, next: SystemTime) -> State {
        let stage = match (&self.failure, standing) {
            (Some(_), _) => Stage::Failed,
            (None, Some(_)) => Stage::Issued,
            (None, None) => Stage::Waiting,
        };
        State {
            stage,
            ends: standing.map(|standing| standing.ends),
            next: Some(next),
            failure: self.failure.clone(),
        }
    }

    /// A try has failed.
    pub(super) fn note_failure(&mut self, fault: &Fault, now: SystemTime) {
        let count = if fault.is_passing() {
            &mut self.unanswered
        } else {
            &mut self.refusals
        };
        *count = count.saturating_add(1);
        let pause = schedule::pause(*count, fault, Chance::random());
        self.failure = Some(fault.to_string());
        self.not_before = Some(seconds(now + pause));
        if order::is_over(fault) {
            self.begun = None;
        }
    }

    /// A certificate has been issued.
    pub(super) fn note_issued(&mut self, standing: &Standing, now: SystemTime) {
        let renewal = schedule::renewal(standing.begins, standing.ends, Chance::random());
        let lifetime = standing.ends.duration_since(standing.begins);
        // If the clock or the CA is wrong, the certificate may be old at once, and must not be ordered again
        // at once.
        let pause = match lifetime {
            Ok(lifetime) if standing.ends > now => (lifetime / 6).min(LONGEST_PAUSE_ISSUED),
            _ => LONGEST_PAUSE_ISSUED,
        };
        *self = Self {
            renewal: Some(seconds(renewal)),
            not_before: Some(seconds(now + pause)),
            ..Self::default()
        };
    }

    /// Whether the CA is to be asked when the certificate is to be renewed.
    pub(super) fn asks_renewal(&self, now: SystemTime) -> bool {
        let [_, most] = RENEWAL_INFO_RANGE;
        self.ask_renewal
            .is_none_or(|ask| left(ask, now, most).is_zero())
    }

    /// The CA was asked. `window` is what it said; `wait` is when it wants to be asked again.
    pub(super) fn note_renewal_info(
        &mut self,
        window: Option<(SystemTime, SystemTime)>,
        wait: Option<Duration>,
        now: SystemTime,
    ) {
        let [least, most] = RENEWAL_INFO_RANGE;
        let wait = wait.unwrap_or(RENEWAL_INFO).clamp(least, most);
        self.ask_renewal = Some(seconds(now + wait));
        let Some((start, end)) = window else { return };
        // A moment within the window stays the one that was chosen.
        let chosen = self.renewal.map(moment);
        if !chosen.is_some_and(|chosen| chosen >= start && chosen <= end) {
            let renewal = schedule::within(start, end, Chance::random());
            self.renewal = Some(seconds(renewal));
        }
    }

    /// The time until the next try is allowed.
    pub(super) fn pause(&self, now: SystemTime) -> Duration {
        let most = schedule::LONGEST_ASKED;
        self.not_before
            .map_or(Duration::ZERO, |until| left(until, now, most))
    }
}

/// The time from `now` to `until`. If that is more than `most`, the clock was wrong when `until` was chosen, and
/// it is over.
fn left(until: u64, now: SystemTime, most: Duration) -> Duration {
    let left = moment(until).duration_since(now).unwrap_or_default();
    if left > most { Duration::ZERO } else { left }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn standing(begins: SystemTime) -> Standing {
        Standing {
            begins,
            ends: begins + 90 * DAY,
            identifier: None,
        }
    }

    fn down() -> Fault {
        Fault::Unreachable("down".to_owned())
    }

    #[test]
    fn the_first_is_due_at_once_and_after_a_failure_later() {
        let now = UNIX_EPOCH + 20_000 * DAY;
        let mut record = Record::default();
        assert_eq!(record.due(None, now), None);
        record.note_failure(&down(), now);
        let due = record.due(None, now).expect("later");
        assert!(due >= now + Duration::from_secs(5) && due <= now + Duration::from_secs(6));
        assert_eq!(record.due(None, due), None);
        let state = record.state(None, due);
        assert_eq!(state.stage, Stage::Failed);
        assert_eq!(state.failure.as_deref(), Some("down"));
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(serde_json::from_str::<Record>(&text).ok(), Some(record));
        assert_eq!(
            serde_json::from_str::<Record>("{}").ok(),
            Some(Record::default())
        );
    }

    #[test]
    fn an_order_is_kept_while_it_can_lead_to_something() {
        let now = UNIX_EPOCH + 20_000 * DAY;
        let begun = Begun {
            url: "https://ca.example/1".to_owned(),
            key: String::new(),
            at: None,
        };
        let mut record = Record {
            begun: Some(begun),
            ..Record::default()
        };
        record.note_failure(&down(), now);
        let slow = Fault::Slow {
            what: "it is slow",
            retry_after: Some(Duration::from_secs(600)),
        };
        record.note_failure(&slow, now);
        assert!(record.begun.is_some());
        assert_eq!(record.pause(now), Duration::from_secs(600));
        let said = "no such order".to_owned();
        let kind = String::new();
        let refused = Fault::Refused {
            status: 404,
            kind,
            said,
            retry_after: None,
        };
        record.note_failure(&refused, now);
        assert!(record.begun.is_none());
        assert_eq!((record.unanswered, record.refusals), (1, 2));
    }

    #[test]
    fn one_that_is_there_is_due_when_a_third_is_left_or_the_ca_says_so() {
        let begins = UNIX_EPOCH + 20_000 * DAY;
        let standing = standing(begins);
        let mut record = Record::default();
        record.note_issued(&standing, begins);
        let due = record.due(Some(&standing), begins).expect("later");
        assert!(due >= begins + 57 * DAY && due <= begins + 60 * DAY);
        assert_eq!(record.due(Some(&standing), due), None);
        assert!(record.asks_renewal(begins));
        let window = (begins + 10 * DAY, begins + 12 * DAY);
        record.note_renewal_info(Some(window), None, begins);
        assert!(!record.asks_renewal(begins) && record.asks_renewal(begins + DAY));
        let due = record.due(Some(&standing), begins).expect("later");
        assert!(due >= window.0 && due <= window.1);
        record.note_renewal_info(Some(window), None, begins);
        assert_eq!(record.due(Some(&standing), begins), Some(due));
        // The CA has revoked it: the window is over.
        record.note_renewal_info(Some((begins - DAY, begins - DAY)), None, begins + DAY);
        assert_eq!(record.due(Some(&standing), begins + DAY), None);
    }

    #[test]
    fn one_that_is_old_at_once_is_not_ordered_again_at_once() {
        let begins = UNIX_EPOCH + 20_000 * DAY;
        let now = begins + 1000 * DAY;
        let standing = standing(begins);
        let mut record = Record::default();
        record.note_issued(&standing, now);
        assert_eq!(
            record.due(Some(&standing), now),
            Some(now + Duration::from_secs(3600))
        );
    }

    #[test]
    fn a_certificate_without_a_lifetime_is_not_ordered_again_at_once() {
        let now = UNIX_EPOCH + 20_000 * DAY;
        for ends in [now, now - DAY] {
            let standing = Standing {
                begins: now,
                ends,
                identifier: None,
            };
            let mut record = Record::default();
            record.note_issued(&standing, now);
            assert_eq!(record.pause(now), LONGEST_PAUSE_ISSUED);
        }
    }

    #[test]
    fn moments_that_a_wrong_clock_has_chosen_do_not_count() {
        let now = UNIX_EPOCH + 20_000 * DAY;
        let mut record = Record::default();
        record.note_failure(&down(), now + 400 * DAY);
        record.note_renewal_info(None, None, now + 400 * DAY);
        assert_eq!(record.due(None, now), None);
        assert!(record.asks_renewal(now));
        let slow = Fault::Slow {
            what: "it is slow",
            retry_after: Some(7 * DAY),
        };
        record.note_failure(&slow, now);
        assert_eq!(record.due(None, now), Some(now + 7 * DAY));
        // No pause is longer than that.
        assert_eq!(record.due(None, now - Duration::from_secs(1)), None);
    }

    #[test]
    fn a_damaged_file_does_no_harm() {
        let record = Record {
            not_before: Some(u64::MAX),
            renewal: Some(u64::MAX),
            ..Record::default()
        };
        let now = UNIX_EPOCH + 20_000 * DAY;
        assert_eq!(record.due(None, now), None);
        // At worst it is renewed once too early.
        assert_eq!(record.due(Some(&standing(now)), now), None);
    }
}
