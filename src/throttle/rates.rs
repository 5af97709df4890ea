//! The rates that hold for a route, and what its responses say of them.
//!
//! The fields are those of draft-ietf-httpapi-ratelimit-headers-10:
//!
//! ```text
//! RateLimit-Policy: "login";q=10;w=60     10 requests in 60 seconds
//! RateLimit: "login";r=5;t=30             5 are left; in 30 seconds it is as if none had been made
//! Retry-After: 6                          with 429: a request then would pass
//! ```
//!
//! They stand on responses to requests that pass, too, so that a client can slow down before it is
//! refused (§4: whatever the status). Of several rates, `RateLimit` tells of the one with the least left.

use std::sync::Arc;
use std::time::Instant;

use super::key::Asked;
use super::rate::{Rate, Taken, Verdict};
use crate::http::response::push_decimal;

/// The rates of a server or a route, in the order of the file.
#[derive(Debug)]
pub(crate) struct Rates {
    pub(crate) rates: Vec<Arc<Rate>>,
    /// The line of `RateLimit-Policy`; empty if the operator takes the field off.
    policy_line: Vec<u8>,
    /// The beginning of the line `RateLimit` for each rate; none if the operator takes the field off.
    standing_lines: Vec<Vec<u8>>,
}

/// What the rates have said to a request. It refers to none of them, so that it can be kept while the
/// request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) verdict: Verdict,
    /// Which rate has the least left, and how much. `None`: all of them are tried out only.
    least: Option<Least>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Least {
    nth: u8,
    left: u32,
    /// Seconds.
    full_after: u32,
}

/// What a response says of the rates.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'g> {
    pub(crate) rates: &'g Rates,
    pub(crate) counted: Counted,
}

impl Counted {
    /// No rate has anything to say.
    pub(crate) const PASSED: Self = Self {
        verdict: Verdict::Passes,
        least: None,
    };

    /// The same, for a request that is not held.
    pub(crate) fn without_wait(self) -> Self {
        match self.verdict {
            Verdict::Held(_) => Self {
                verdict: Verdict::Passes,
                ..self
            },
            _ => self,
        }
    }

    /// Adds what one more rate has said.
    fn add(&mut self, nth: usize, taken: Taken) {
        let least = Least {
            nth: u8::try_from(nth).unwrap_or(u8::MAX),
            left: taken.left,
            full_after: taken.full_after,
        };
        let is_less = self.least.is_none_or(|known| taken.left < known.left);
        match (taken.verdict, self.verdict) {
            (Verdict::Refused(_), _) => (self.verdict, self.least) = (taken.verdict, Some(least)),
            (Verdict::Held(wait), Verdict::Held(known)) => {
                self.verdict = Verdict::Held(wait.max(known));
            }
            (Verdict::Held(_), _) => self.verdict = taken.verdict,
            (Verdict::Passes, _) => {}
        }
        if is_less {
            self.least = Some(least);
        }
    }
}

impl Rates {
    /// The rates, in the order of the file; `leaves` says which fields the operator leaves on responses.
    pub(crate) fn new(rates: Vec<Arc<Rate>>, leaves: impl Fn(&str) -> bool) -> Self {
        let mut policy_line = Vec::new();
        let told = rates.iter().filter(|rate| !rate.options.dry_run);
        for rate in told.filter(|_| leaves("RateLimit-Policy")) {
            let bucket = &rate.options.bucket;
            let before: &[u8] = if policy_line.is_empty() {
                b"RateLimit-Policy: \""
            } else {
                b", \""
            };
            policy_line.extend_from_slice(before);
            policy_line.extend_from_slice(rate.options.name.as_bytes());
            policy_line.extend_from_slice(b"\";q=");
            push_decimal(bucket.requests.into(), &mut policy_line);
            policy_line.extend_from_slice(b";w=");
            push_decimal(bucket.period.as_secs(), &mut policy_line);
        }
        if !policy_line.is_empty() {
            policy_line.extend_from_slice(b"\r\n");
        }
        let standing_line =
            |rate: &Arc<Rate>| format!("RateLimit: \"{}\";r=", rate.options.name).into_bytes();
        let standing_lines = if leaves("RateLimit") {
            rates.iter().map(standing_line).collect()
        } else {
            Vec::new()
        };
        Self {
            rates,
            policy_line,
            standing_lines,
        }
    }

    /// Their names, for the log.
    pub(crate) fn names(&self) -> String {
        let names = self.rates.iter().map(|rate| rate.options.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }

    /// Counts a request at the rates in their order. Where one refuses it, those behind that are not asked, and
    /// those before it take back what they have counted: other workers may see the count until then. A rate that
    /// is tried out only (`dry_run`) refuses nothing and keeps its count; `tell` is told if it would have held or
    /// refused the request.
    pub(crate) fn count(
        &self,
        asked: &Asked<'_>,
        now: Instant,
        tell: impl Fn(&Rate, Verdict),
    ) -> Counted {
        let mut counted = Counted::PASSED;
        for (nth, rate) in self.rates.iter().enumerate() {
            let taken = rate.take(asked, now);
            if rate.options.dry_run {
                if taken.verdict != Verdict::Passes {
                    tell(rate, taken.verdict);
                }
                continue;
            }
            counted.add(nth, taken);
            if let Verdict::Refused(_) = taken.verdict {
                let before = self.rates[..nth].iter();
                let before = before.filter(|rate| !rate.options.dry_run);
                before.for_each(|rate| rate.give_back(asked, now));
                break;
            }
        }
        counted
    }

    /// What [`count`](Self::count) would say; nothing is counted.
    pub(crate) fn look(&self, asked: &Asked<'_>, now: Instant) -> Counted {
        let mut counted = Counted::PASSED;
        for (nth, rate) in self.rates.iter().enumerate() {
            if !rate.options.dry_run {
                counted.add(nth, rate.look(asked, now));
            }
        }
        counted
    }
}

impl Standing<'_> {
    /// Appends the field lines to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Some(least) = self.counted.least else {
            return;
        };
        out.extend_from_slice(&self.rates.policy_line);
        let lines = &self.rates.standing_lines;
        if let Some(line) = lines.get(usize::from(least.nth)) {
            out.extend_from_slice(line);
            push_decimal(least.left.into(), out);
            out.extend_from_slice(b";t=");
            push_decimal(least.full_after.into(), out);
            out.extend_from_slice(b"\r\n");
        }
        if let Verdict::Refused(milliseconds) = self.counted.verdict {
            out.extend_from_slice(b"Retry-After: ");
            push_decimal(milliseconds.div_ceil(1000).max(1).into(), out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::address::ClientAddress;
    use crate::config::model::{self, RateKey};
    use crate::http::fields::Fields;
    use crate::throttle::rate::Buckets;

    fn rate(name: &str, requests: u32, burst: u32) -> model::Rate {
        model::Rate {
            name: name.to_owned(),
            bucket: model::Bucket {
                requests,
                period: Duration::from_secs(60),
                burst,
                keys: vec![RateKey::Client],
                max_keys: 16,
            },
            max_delay: Duration::ZERO,
            dry_run: false,
        }
    }

    fn rates(options: &[model::Rate], epoch: Instant) -> Rates {
        let made = |options: &model::Rate| {
            let buckets = Buckets::new(&options.bucket, epoch).expect("there is memory");
            Arc::new(Rate::new(options, Arc::new(buckets)))
        };
        Rates::new(options.iter().map(made).collect(), |_| true)
    }

    fn told(rates: &Rates, counted: Counted) -> String {
        let mut out = Vec::new();
        Standing { rates, counted }.encode(&mut out);
        String::from_utf8_lossy(&out).replace("\r\n", "|")
    }

    /// The request of some client, at so many seconds.
    fn count(rates: &Rates, epoch: Instant, second: u64) -> Counted {
        let asked = Asked {
            client: ClientAddress::Unix,
            fields: &Fields::new(&[]),
            path: b"/",
            host: b"h",
        };
        rates.count(&asked, epoch + Duration::from_secs(second), |_, _| {})
    }

    #[test]
    fn responses_say_what_is_left_and_when_to_come_back() {
        let epoch = Instant::now();
        let rates = rates(&[rate("login", 10, 2)], epoch);
        let policy = "RateLimit-Policy: \"login\";q=10;w=60|RateLimit: \"login\";";
        for (second, expected) in [
            (0, "r=1;t=6|"),
            (0, "r=0;t=12|"),
            (0, "r=0;t=12|Retry-After: 6|"),
            (5, "r=0;t=7|Retry-After: 1|"),
            (6, "r=0;t=12|"),
            (600, "r=1;t=6|"),
        ] {
            let counted = count(&rates, epoch, second);
            assert_eq!(
                told(&rates, counted),
                format!("{policy}{expected}"),
                "{second}"
            );
        }
    }

    #[test]
    fn a_request_that_one_rate_refuses_counts_at_none() {
        let epoch = Instant::now();
        let rates = rates(&[rate("wide", 60, 5), rate("narrow", 1, 1)], epoch);
        assert_eq!(count(&rates, epoch, 0).verdict, Verdict::Passes);
        for _ in 0..20 {
            let refused = count(&rates, epoch, 0);
            assert!(matches!(refused.verdict, Verdict::Refused(_)));
            assert!(
                told(&rates, refused).contains("RateLimit: \"narrow\";r=0;t=60|Retry-After: 60|")
            );
        }
        let wide = Standing {
            rates: &rates,
            counted: count(&rates, epoch, 60),
        };
        assert_eq!(wide.counted.verdict, Verdict::Passes);
        let lines = told(&rates, wide.counted);
        assert!(
            lines.starts_with("RateLimit-Policy: \"wide\";q=60;w=60, \"narrow\";q=1;w=60|"),
            "{lines}"
        );
    }

    #[test]
    fn a_rate_that_is_tried_out_refuses_nothing_and_says_nothing() {
        let epoch = Instant::now();
        let tried = model::Rate {
            dry_run: true,
            ..rate("tried", 1, 1)
        };
        let rates = rates(&[tried], epoch);
        let asked = Asked {
            client: ClientAddress::Unix,
            fields: &Fields::new(&[]),
            path: b"/",
            host: b"h",
        };
        let heard = std::cell::RefCell::new(Vec::new());
        for _ in 0..3 {
            let tell = |_: &Rate, verdict| heard.borrow_mut().push(verdict);
            let counted = rates.count(&asked, epoch, tell);
            assert_eq!(
                (counted, told(&rates, counted).as_str()),
                (Counted::PASSED, "")
            );
        }
        assert_eq!(*heard.borrow(), [Verdict::Refused(60_000); 2]);
    }

    #[test]
    fn the_longest_wait_of_several_rates_holds() {
        let epoch = Instant::now();
        let patient = |name, requests| model::Rate {
            max_delay: Duration::from_secs(60),
            ..rate(name, requests, 1)
        };
        let rates = rates(
            &[patient("a", 10), patient("b", 5), patient("c", 60)],
            epoch,
        );
        assert_eq!(count(&rates, epoch, 0).verdict, Verdict::Passes);
        let second = count(&rates, epoch, 0).verdict;
        assert_eq!(second, Verdict::Held(12_000));
    }
}
