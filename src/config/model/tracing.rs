//! `[tracing]`: which traces are recorded, and who gets them.

use std::fmt;
use std::path::PathBuf;

use crate::http::http_url::HttpUrl;

/// Which traces are recorded, and who gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tracing {
    /// Where the collector takes spans.
    pub(crate) endpoint: HttpUrl,
    /// A file of PEM: the CAs that may have issued the certificate of the collector. `None`: the authorities
    /// that the system trusts.
    pub(crate) ca: Option<PathBuf>,
    /// How many of a million traces that begin here are recorded.
    pub(crate) sample: u32,
    pub(crate) parent: Followed,
    /// What the collector is told that this server is.
    pub(crate) service: String,
    /// Fields that the collector is sent.
    pub(crate) headers: Vec<(String, Secret)>,
}

impl Tracing {
    /// Spans of all traces for `endpoint`.
    pub(crate) fn to(endpoint: HttpUrl) -> Self {
        Self {
            endpoint,
            ca: None,
            sample: WHOLE_TRACES,
            parent: Followed::default(),
            service: "tidegate".to_owned(),
            headers: Vec::new(),
        }
    }

    /// The part of traces that is recorded, as a percentage.
    pub(crate) fn shown_sample(&self) -> String {
        let digits = format!("{:.4}", f64::from(self.sample) / 10_000.0);
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        format!("{digits}%")
    }
}

/// All traces are recorded.
pub(crate) const WHOLE_TRACES: u32 = 1_000_000;

/// Whose traces go on here. All others begin anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Those of peers whose word about the client is believed.
    #[default]
    Trusted,
    /// Those of all clients.
    Always,
    Never,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl Secret {
    /// What stands in its place.
    pub(crate) const IN_PLACE: &str = "[redacted]";
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::IN_PLACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_shown_as_a_percentage() {
        for (sample, expected) in [
            (0, "0%"),
            (1, "0.0001%"),
            (70_000, "7%"),
            (125_000, "12.5%"),
            (WHOLE_TRACES, "100%"),
        ] {
            let endpoint = "http://127.0.0.1:4318".parse().expect("a URL");
            let tracing = Tracing {
                sample,
                ..Tracing::to(endpoint)
            };
            assert_eq!(tracing.shown_sample(), expected);
        }
    }
}
