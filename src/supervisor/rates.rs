//! Describes rates, for `tidegate status`.

use serde_json::{Value, json};

use crate::generation::Generation;
use crate::throttle::rate::RateCounts;

/// What has become of requests at a rate since its buckets were made.
pub(super) struct RateFacts {
    pub(super) name: String,
    pub(super) counts: RateCounts,
}

/// Those of `generation`, by name.
pub(super) fn facts(generation: &Generation) -> Vec<RateFacts> {
    let rates = generation.rates().into_iter();
    rates
        .map(|rate| RateFacts {
            name: rate.options.name.clone(),
            counts: rate.counts(),
        })
        .collect()
}

impl RateFacts {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "refused": self.counts.refused,
            "held": self.counts.held,
            "forgotten_keys": self.counts.evicted,
        })
    }

    /// `rate login: 3 refused, 0 held, 0 keys forgotten`.
    pub(super) fn to_line(&self) -> String {
        let RateCounts {
            refused,
            held,
            evicted,
        } = self.counts;
        let name = &self.name;
        format!(
            "{:<12} {name}: {refused} refused, {held} held, {evicted} keys forgotten\n",
            "rate"
        )
    }
}
