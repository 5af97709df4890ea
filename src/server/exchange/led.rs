//! The routes that local redirects have led an exchange to (RFC 3875 §6.2.2): the last of them answers, and so the
//! record, metrics and spans name it.

use std::cell::OnceCell;

use crate::generation::policy::ServingPolicy;
use crate::metrics::series::SeriesId;

/// The routes that local redirects have led to, in their order. Few exchanges have any.
///
/// Names are copied, and the list only grows: a cell that lends what belongs to the generation, or that lets what it
/// has lent be replaced, would keep an exchange from being lent for less than its own lifetime.
#[derive(Default)]
pub(super) struct LedTo(OnceCell<Box<Hop>>);

/// One route.
struct Hop {
    destination: Destination,
    further: LedTo,
}

/// Where a local redirect has led.
pub(super) struct Destination {
    /// Where the exchange is counted if it ends here.
    pub(super) series: SeriesId,
    /// The key of the route; `None` if there is no route.
    pub(super) route: Option<Box<str>>,
}

impl Destination {
    /// The route of `policy`, which answers or refuses.
    pub(super) fn of(policy: &ServingPolicy) -> Self {
        Self {
            series: policy.series,
            route: policy.route.clone(),
        }
    }
}

impl LedTo {
    /// Adds the route that a further redirect leads to.
    pub(super) fn push(&self, destination: Destination) {
        let mut end = self;
        while let Some(hop) = end.0.get() {
            end = &hop.further;
        }
        end.0.get_or_init(|| {
            Box::new(Hop {
                destination,
                further: Self::default(),
            })
        });
    }

    /// Whether no local redirect has led anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    /// The last route; `None` if no local redirect has led anywhere.
    #[inline]
    pub(super) fn last(&self) -> Option<&Destination> {
        let mut last = self.0.get()?;
        while let Some(hop) = last.further.0.get() {
            last = hop;
        }
        Some(&last.destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_route_is_the_one_that_answers() {
        let led_to = LedTo::default();
        assert!(led_to.is_empty() && led_to.last().is_none());
        for route in [Some("/a"), None, Some("/b")] {
            led_to.push(Destination {
                series: SeriesId::NONE,
                route: route.map(Box::from),
            });
            let last = led_to.last().expect("there is one");
            assert_eq!(last.route.as_deref(), route);
        }
        assert!(!led_to.is_empty());
    }
}
