//! When a certificate is renewed, and how long after a failure the next try is.

use std::time::{Duration, SystemTime};

use super::fault::Fault;

/// The first pause after a failure that passes, such as a CA that is down; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The same after a refusal: CAs limit refused tries, Let's Encrypt to five an hour.
const FIRST_PAUSE_REFUSED: Duration = Duration::from_secs(60);
const LONGEST_PAUSE_REFUSED: Duration = Duration::from_secs(12 * 60 * 60);

/// The least pause after a limit of the CA, if the CA says nothing of time.
const PAUSE_AT_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The longest pause that a CA can ask for.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A number from 0 to 1, so that many servers that were started together do not ask together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(f64);

impl Chance {
    pub(super) fn random() -> Self {
        let mut octets = [0; 4];
        aws_lc_rs::rand::fill(&mut octets).expect("the system has random octets");
        Self(f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX))
    }

    pub(super) fn none() -> Self {
        Self(0.0)
    }

    fn of(self, time: Duration) -> Duration {
        time.mul_f64(self.0)
    }
}

/// When a certificate is renewed that is valid from `begins` to `ends`: when a third of that is left, or
/// earlier by up to a thirtieth.
pub(super) fn renewal(begins: SystemTime, ends: SystemTime, chance: Chance) -> SystemTime {
    let lifetime = ends.duration_since(begins).unwrap_or_default();
    begins + lifetime * 2 / 3 - chance.of(lifetime / 30)
}

/// When a certificate is renewed that the CA wants to be renewed within a window (RFC 9773 §4.2).
pub(super) fn within(start: SystemTime, end: SystemTime, chance: Chance) -> SystemTime {
    start + chance.of(end.duration_since(start).unwrap_or_default())
}

/// The time to the next try, after `failures` of one kind, of which `fault` is the last.
pub(super) fn pause(failures: u32, fault: &Fault, chance: Chance) -> Duration {
    let (first, longest) = if fault.is_passing() {
        (FIRST_PAUSE, LONGEST_PAUSE)
    } else {
        (FIRST_PAUSE_REFUSED, LONGEST_PAUSE_REFUSED)
    };
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let pause = first.saturating_mul(doubled).min(longest);
    let pause = pause + chance.of(pause / 5);
    let at_limit = fault.is_limit().then_some(PAUSE_AT_LIMIT);
    let asked = fault.retry_after().or(at_limit).unwrap_or_default();
    pause.max(asked.min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::storage::StorageError;
    use super::*;

    fn refused(status: u16, kind: &str, retry_after: Option<u64>) -> Fault {
        Fault::Refused {
            status,
            kind: kind.to_owned(),
            said: "no".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_is_left() {
        let day = Duration::from_secs(24 * 60 * 60);
        let begins = SystemTime::UNIX_EPOCH + day * 100;
        for (lifetime, latest) in [(90, 60), (6, 4)] {
            let renewed = |chance| renewal(begins, begins + day * lifetime, Chance(chance));
            assert_eq!(renewed(0.0), begins + day * latest);
            assert_eq!(renewed(1.0), begins + day * latest - day * lifetime / 30);
        }
        // A clock or a CA that is wrong must not stop the server.
        assert_eq!(renewal(begins, begins - day, Chance(1.0)), begins);
        assert_eq!(within(begins, begins + day, Chance(0.5)), begins + day / 2);
        assert_eq!(within(begins, begins - day, Chance(0.5)), begins);
    }

    #[test]
    fn pauses_grow_and_the_ca_is_obeyed() {
        let down = Fault::Unreachable("down".to_owned());
        let unverified = Fault::Unverified {
            name: "a.example".to_owned(),
            challenge: "http-01".to_owned(),
            said: "no".to_owned(),
        };
        let full = Fault::Storage(StorageError::unread(Path::new("a.pem")));
        for (failures, fault, expected) in [
            (40, &full, 3600),
            (1, &down, 5),
            (2, &down, 10),
            (5, &down, 80),
            (40, &down, 3600),
            (1, &unverified, 60),
            (4, &unverified, 480),
            (40, &unverified, 12 * 3600),
            (1, &refused(503, "", None), 5),
            (1, &refused(503, "", Some(120)), 120),
            (1, &refused(403, "unauthorized", None), 60),
            (1, &refused(429, "rateLimited", None), 3600),
            (1, &refused(429, "rateLimited", Some(7200)), 7200),
            (
                1,
                &refused(429, "rateLimited", Some(u64::MAX)),
                7 * 24 * 3600,
            ),
            (3, &refused(429, "rateLimited", Some(1)), 240),
            (1, &refused(403, "rateLimited", None), 3600),
            (1, &refused(429, "", None), 3600),
        ] {
            let at_least = pause(failures, fault, Chance(0.0));
            assert_eq!(
                at_least,
                Duration::from_secs(expected),
                "{failures} {fault}"
            );
            let most = pause(failures, fault, Chance(1.0));
            assert!(most >= at_least && most <= at_least * 6 / 5);
        }
    }
}
