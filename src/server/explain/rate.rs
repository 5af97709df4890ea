//! Says for `explain` at which rates a request counts, and what they would do now.

use std::fmt;

use serde_json::{Value, json};

use crate::config::model::Bucket;
use crate::runtime;
use crate::server::exchange::Exchange;
use crate::throttle::rate::{Rate, Verdict};

/// What a rate makes of a request.
#[derive(Debug)]
pub(crate) struct RateOutlook {
    pub(crate) name: String,
    /// The rate in words.
    rule: String,
    verdict: String,
}

/// As a row of `explain` has it.
impl fmt::Display for RateOutlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            rule,
            verdict,
        } = self;
        write!(f, "{name} ({rule}): {verdict}")
    }
}

impl RateOutlook {
    pub(super) fn to_json(&self) -> Value {
        json!({ "name": self.name, "rule": self.rule, "verdict": self.verdict })
    }
}

/// What each rate makes of the request, in the order in which they are asked; none if it counts at none.
pub(super) fn rates_of(exchange: &Exchange<'_, '_>) -> Vec<RateOutlook> {
    let rates = exchange.policy.rates();
    let rates = rates.filter(|_| exchange.is_to_be_counted());
    let rates = rates.map_or(&[][..], |rates| &rates.rates);
    let outlook = |rate| outlook_of(rate, exchange);
    rates.iter().map(|rate| outlook(rate)).collect()
}

fn outlook_of(rate: &Rate, exchange: &Exchange<'_, '_>) -> RateOutlook {
    let taken = rate.look(&exchange.asked(), runtime::now());
    let wait = taken.verdict.wait();
    let mut verdict = match taken.verdict {
        Verdict::Passes => format!("passes, {} more may follow at once", taken.left),
        Verdict::Held(_) => format!("is held for {wait:.1?}"),
        Verdict::Refused(_) => format!("is answered 429; after {wait:.1?} it would pass"),
    };
    if rate.options.dry_run {
        verdict.push_str(" (dry_run: it passes, whatever stands here)");
    }
    RateOutlook {
        name: rate.options.name.clone(),
        rule: rule_of(&rate.options.bucket),
        verdict,
    }
}

fn rule_of(bucket: &Bucket) -> String {
    let keys: Vec<String> = bucket.keys.iter().map(ToString::to_string).collect();
    let Bucket {
        requests,
        period,
        burst,
        ..
    } = bucket;
    let keys = keys.join(", ");
    format!("{requests} in {period:?}, burst {burst}, by {keys}")
}
