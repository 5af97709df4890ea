//! Whether a client asks too often: a request is counted at the rates of its policy, once.
//!
//! It is counted when the handler is about to be asked, and not where the route is found: an exchange may be
//! looked at on the fast path and then again on the slow one, and a local redirect is an exchange within
//! another. What the rates have said goes with the exchange.

use std::time::Duration;

use super::Exchange;
use super::route::Refusal;
use crate::log::{diagnostic, limited, secrets};
use crate::message::response::Response;
use crate::reason::Reason;
use crate::runtime;
use crate::throttle::key::Asked;
use crate::throttle::rate::{Rate, Verdict};
use crate::throttle::rates::{Counted, Rates, Standing};

/// Whether a request goes on to its handler.
pub(super) enum Gate {
    Open,
    /// It has to wait for so long.
    Held(Duration),
    /// It comes too early.
    Shut(Response<'static>),
}

impl<'g> Exchange<'g, '_> {
    /// Counts the request at `rates`, those of its policy, unless it has been counted.
    #[inline(never)]
    pub(super) fn pass_rates(&self, rates: &Rates) -> Gate {
        let counted = match self.counted.get() {
            Some(counted) => counted,
            None if !self.is_to_be_counted() => return Gate::Open,
            None => {
                let tell = |rate: &Rate, verdict| self.tell_trial(rate, verdict);
                let counted = rates.count(&self.asked(), runtime::now(), tell);
                self.counted.set(Some(counted));
                counted
            }
        };
        match counted.verdict {
            Verdict::Passes => Gate::Open,
            Verdict::Held(_) => Gate::Held(counted.verdict.wait()),
            Verdict::Refused(_) => {
                self.tell_refusal();
                Gate::Shut(Response::problem(Reason::RateLimited))
            }
        }
    }

    /// What the response says of the rates, if its request was counted.
    #[inline(always)]
    pub(in crate::server) fn standing(&self) -> Option<Standing<'g>> {
        let rates = self.policy.rates()?;
        let counted = self.counted.get()?;
        Some(Standing { rates, counted })
    }

    /// What the rates have said, if the request was counted.
    pub(in crate::server) fn counted(&self) -> Option<Counted> {
        self.counted.get()
    }

    /// Has the rates say what they would, without counting the request, which is held by none. If `are_full`,
    /// no other request has come before.
    pub(in crate::server) fn look_at_rates(&self, are_full: bool) {
        if let Some(rates) = self.policy.rates()
            && self.is_to_be_counted()
        {
            let counted = if are_full {
                Counted::PASSED
            } else {
                rates.look(&self.asked(), runtime::now())
            };
            self.counted.set(Some(counted.without_wait()));
        }
    }

    /// Whether the request counts: one that is kept out does not, nor does a preflight.
    pub(in crate::server) fn is_to_be_counted(&self) -> bool {
        self.matched.as_ref().err().is_none_or(Refusal::counts)
    }

    /// What of the request its key may be made of.
    pub(in crate::server) fn asked(&self) -> Asked<'_> {
        Asked {
            client: self.client,
            fields: &self.head.fields,
            path: self
                .path()
                .map_or(self.head.target.path, |path| path.as_bytes()),
            host: self.head.host,
        }
    }

    #[cold]
    fn tell_refusal(&self) {
        if diagnostic::may_debug(self.client) {
            let (client, request) = (self.client, secrets::in_diagnostics(self.head));
            let names = self.policy.rates().map(Rates::names).unwrap_or_default();
            let what = format_args!("{request}: refused: too many for rate {names}");
            diagnostic::debug_of(client, what);
        }
    }

    /// Tells what a rate would do that is tried out only.
    #[cold]
    fn tell_trial(&self, rate: &Rate, verdict: Verdict) {
        let (client, name) = (self.client, &rate.options.name);
        let what = match verdict {
            Verdict::Held(_) => "hold",
            _ => "refuse",
        };
        limited::warn(format_args!(
            "the rate `{name}` would {what} a request of {client}, but for dry_run = true"
        ));
    }
}
