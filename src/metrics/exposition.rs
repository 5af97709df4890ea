//! The text in which monitoring systems read metrics: the Prometheus text format 0.0.4, and OpenMetrics 1.0.
//!
//! ```text
//! # HELP tidegate_http_requests_total Requests whose exchange has ended.
//! # TYPE tidegate_http_requests_total counter            OpenMetrics: without the `_total`
//! tidegate_http_requests_total{server="a.example",route="/",method="GET",code="2xx"} 7
//! # EOF                                                   OpenMetrics alone
//! ```

use std::fmt::{Display, Write as _};

use super::exchanges::{BOUNDS, ExchangeSum};
use super::families::{Family, Type};
use crate::http::negotiation;

/// A form of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Prometheus,
    OpenMetrics,
}

impl Form {
    /// The form that `Accept` prefers; that of Prometheus where it does not say.
    pub(crate) fn preferred(accept: Option<&[u8]>) -> Self {
        let accept = accept.map(without_versions);
        match negotiation::prefer(accept.as_deref(), &["text/plain", OPEN_METRICS]) {
            OPEN_METRICS => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// `Accept` without the parameters by which clients name versions of the forms: `;version=1.0.0`. Clients that
/// name others than ours read ours as well.
fn without_versions(accept: &[u8]) -> Vec<u8> {
    let is_kept = |parameter: &&[u8]| {
        let parameter = parameter.trim_ascii_start();
        let has = |name: &[u8]| {
            let start = parameter.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        !has(b"version=") && !has(b"escaping=")
    };
    let element = |element: &[u8]| {
        let parameters = element.split(|octet| *octet == b';').filter(is_kept);
        parameters.collect::<Vec<_>>().join(&b';')
    };
    let elements = accept.split(|octet| *octet == b',').map(element);
    elements.collect::<Vec<_>>().join(&b',')
}

const OPEN_METRICS: &str = "application/openmetrics-text";

/// The labels of a sample, in their order.
pub(crate) type Labels<'l> = &'l [(&'l str, &'l str)];

/// Labels as the exposition writes them, for several samples.
pub(crate) struct Written(String);

impl Written {
    pub(crate) fn of(labels: Labels<'_>) -> Self {
        let mut written = String::new();
        write_labels(labels, &mut written);
        Self(written)
    }
}

/// An exposition that is being written.
pub(crate) struct Exposition {
    text: String,
    form: Form,
}

impl Exposition {
    pub(crate) fn new(form: Form) -> Self {
        let text = String::new();
        Self { text, form }
    }

    /// Begins the samples of `family`.
    pub(crate) fn begin(&mut self, family: &Family) {
        let name = family.name;
        let name = match (self.form, family.kind) {
            (Form::OpenMetrics, Type::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let kind = family.kind.word();
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        escape(family.help, false, &mut self.text);
        self.line(format_args!("\n# TYPE {name} {kind}"));
    }

    /// Writes a sample of `family`, which was begun.
    pub(crate) fn sample(&mut self, family: &Family, labels: Labels<'_>, value: impl Display) {
        self.sample_of(family, &Written::of(labels), value);
    }

    /// [`sample`](Self::sample), with labels that are written already.
    pub(crate) fn sample_of(&mut self, family: &Family, labels: &Written, value: impl Display) {
        let Written(labels) = labels;
        self.text.push_str(family.name);
        if !labels.is_empty() {
            self.text.push('{');
            self.text.push_str(labels);
            self.text.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    /// Writes a family that has one sample, without labels.
    pub(crate) fn single(&mut self, family: &Family, value: impl Display) {
        self.begin(family);
        self.sample(family, &[], value);
    }

    /// Writes the samples of a histogram of `family`, which was begun.
    pub(crate) fn histogram(&mut self, family: &Family, labels: &Written, sum: &ExchangeSum) {
        let Written(written) = labels;
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
        for (bound, bucket) in bounds.zip(sum.buckets) {
            count += bucket;
            let name = family.name;
            for part in [name, "_bucket{", written, ",le=\"", bound, "\"} "] {
                self.text.push_str(part);
            }
            self.line(format_args!("{count}"));
        }
        let (name, seconds) = (family.name, Seconds(sum.nanoseconds));
        self.line(format_args!("{name}_sum{{{written}}} {seconds}"));
        self.line(format_args!("{name}_count{{{written}}} {count}"));
    }

    /// The exposition, complete.
    pub(crate) fn end(mut self) -> String {
        if self.form == Form::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, end: std::fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = self.text.write_fmt(end);
        self.text.push('\n');
    }
}

/// Nanoseconds, written as seconds.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NANOSECONDS: u64 = 1_000_000_000;
        let (whole, rest) = (self.0 / NANOSECONDS, self.0 % NANOSECONDS);
        if rest == 0 {
            write!(f, "{whole}.0")
        } else {
            write!(f, "{whole}.{rest:09}")
        }
    }
}

fn write_labels(labels: Labels<'_>, out: &mut String) {
    for (nth, (name, value)) in labels.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        escape(value, true, out);
        out.push('"');
    }
}

/// Writes `text` so that it stays on its line, and, if it `is_quoted`, within its quotes.
fn escape(text: &str, is_quoted: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if is_quoted => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: Family = Family {
        name: "a_requests_total",
        kind: Type::Counter,
        help: "Requests\nof \\ \"all\".",
    };

    const DURATION: Family = Family {
        name: "a_seconds",
        kind: Type::Histogram,
        help: "Durations.",
    };

    fn written(form: Form) -> String {
        let mut exposition = Exposition::new(form);
        exposition.begin(&REQUESTS);
        let route = "/\"a\"\\b\nc";
        exposition.sample(&REQUESTS, &[("route", route), ("code", "2xx")], 7);
        exposition.end()
    }

    #[test]
    fn both_forms_escape_and_name_counters_as_they_have_to() {
        let sample = "a_requests_total{route=\"/\\\"a\\\"\\\\b\\nc\",code=\"2xx\"} 7\n";
        assert_eq!(
            written(Form::Prometheus),
            format!(
                "# HELP a_requests_total Requests\\nof \\\\ \"all\".\n# TYPE a_requests_total counter\n{sample}"
            )
        );
        assert_eq!(
            written(Form::OpenMetrics),
            format!(
                "# HELP a_requests Requests\\nof \\\\ \"all\".\n# TYPE a_requests counter\n{sample}# EOF\n"
            )
        );
    }

    #[test]
    fn buckets_add_up() {
        let mut sum = ExchangeSum {
            nanoseconds: 2_500_000_001,
            ..ExchangeSum::default()
        };
        (sum.buckets[0], sum.buckets[1], sum.buckets[15]) = (3, 2, 1);
        let mut exposition = Exposition::new(Form::Prometheus);
        exposition.histogram(&DURATION, &Written::of(&[("route", "/")]), &sum);
        let text = exposition.end();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 18);
        for (nth, line) in [
            (0, "a_seconds_bucket{route=\"/\",le=\"0.0005\"} 3"),
            (1, "a_seconds_bucket{route=\"/\",le=\"0.001\"} 5"),
            (14, "a_seconds_bucket{route=\"/\",le=\"30.0\"} 5"),
            (15, "a_seconds_bucket{route=\"/\",le=\"+Inf\"} 6"),
            (16, "a_seconds_sum{route=\"/\"} 2.500000001"),
            (17, "a_seconds_count{route=\"/\"} 6"),
        ] {
            assert_eq!(lines[nth], line);
        }
    }

    #[test]
    fn the_form_is_negotiated() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
            version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, form) in [
            (None, Form::Prometheus),
            (Some("*/*"), Form::Prometheus),
            (Some("text/html,*/*;q=0.8"), Form::Prometheus),
            (Some("application/openmetrics-text"), Form::OpenMetrics),
            (Some(prometheus), Form::OpenMetrics),
            (
                Some("application/openmetrics-text;q=0.1, text/plain"),
                Form::Prometheus,
            ),
            (Some("image/png"), Form::Prometheus),
            (
                Some(
                    "application/openmetrics-text; Version=1.0.0; escaping=underscores;q=0.6,*/*;q=0.1",
                ),
                Form::OpenMetrics,
            ),
        ] {
            assert_eq!(
                Form::preferred(accept.map(str::as_bytes)),
                form,
                "{accept:?}"
            );
        }
    }

    #[test]
    fn seconds_are_exact() {
        for (nanoseconds, written) in [(0, "0.0"), (1, "0.000000001"), (3_000_000_000, "3.0")] {
            assert_eq!(Seconds(nanoseconds).to_string(), written);
        }
    }
}
