//! Preconditions (RFC 9110 §13): whether the server should perform a request on the current
//! representation.
//!
//! ```text
//! If-Match ──────────────── no match ──→ Failed      the change of another client would be lost
//!   └ absent: If-Unmodified-Since, changed ─→ Failed
//! If-None-Match ─────────── match ─────→ NotModified  to GET and HEAD: the client has it already
//!   │                                    Failed       to any other method
//!   └ absent, GET or HEAD: If-Modified-Since, unchanged ─→ NotModified
//! otherwise Proceed; then If-Range says whether Range counts
//! ```
//!
//! The order is that of §13.2.2. A caller evaluates preconditions only if the response without them
//! would be 2xx (§13.2.1).

use super::date::HttpDate;
use super::method::Method;
use super::validator::{Comparison, EntityTag, Validators, matches_list};

/// The conditional fields of a request, each with its combined field value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions<'a> {
    pub(crate) if_match: Option<&'a [u8]>,
    pub(crate) if_none_match: Option<&'a [u8]>,
    pub(crate) if_modified_since: Option<&'a [u8]>,
    pub(crate) if_unmodified_since: Option<&'a [u8]>,
    pub(crate) if_range: Option<&'a [u8]>,
}

impl Conditions<'_> {
    /// Whether the request has no condition.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the server does with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Perform the method.
    Proceed,
    /// Answer 304.
    NotModified,
    /// Answer 412.
    Failed,
}

/// Evaluates every precondition other than `If-Range`.
///
/// `current` is `None` if the target has no current representation, as before a PUT creates it.
pub(crate) fn evaluate(
    method: Method,
    conditions: &Conditions<'_>,
    current: Option<&Validators<'_>>,
) -> Verdict {
    // §13.2.1: no condition counts for a method that neither selects nor modifies a representation.
    if conditions.is_empty() || matches!(method, Method::Connect | Method::Options | Method::Trace)
    {
        return Verdict::Proceed;
    }
    if is_lost_update(conditions, current) {
        return Verdict::Failed;
    }
    match method {
        Method::Get | Method::Head if is_held(conditions, current) => Verdict::NotModified,
        Method::Get | Method::Head => Verdict::Proceed,
        _ if if_none_match(conditions, current) == Some(true) => Verdict::Failed,
        _ => Verdict::Proceed,
    }
}

/// Whether `Range` counts: `If-Range` is absent, or names exactly the current representation
/// (§13.1.5).
///
/// Entity tags are compared strongly: a weak tag never matches. Dates match if they are the same
/// second, and that second is over at `now`: until then the representation may change once more
/// without another date, which makes the date a weak validator (§8.8.2.2).
pub(crate) fn range_applies(
    conditions: &Conditions<'_>,
    current: &Validators<'_>,
    now: impl FnOnce() -> HttpDate,
) -> bool {
    let Some(value) = conditions.if_range else {
        return true;
    };
    match EntityTag::parse(value) {
        Some(named) => current
            .entity_tag
            .is_some_and(|tag| tag.matches(named, Comparison::Strong)),
        None => HttpDate::parse(value)
            .is_some_and(|named| current.last_modified == Some(named) && named < now()),
    }
}

/// Whether the request would change a state that the client has not seen (§13.2.2 items 1 and 2).
fn is_lost_update(conditions: &Conditions<'_>, current: Option<&Validators<'_>>) -> bool {
    match conditions.if_match {
        Some(list) => !current
            .is_some_and(|current| matches_list(list, current.entity_tag, Comparison::Strong)),
        None => is_modified_since(conditions.if_unmodified_since, current) == Some(true),
    }
}

/// Whether the client of a GET or HEAD has the current state already (§13.2.2 items 3 and 4).
fn is_held(conditions: &Conditions<'_>, current: Option<&Validators<'_>>) -> bool {
    if_none_match(conditions, current)
        .unwrap_or_else(|| is_modified_since(conditions.if_modified_since, current) == Some(false))
}

/// Whether `If-None-Match` names the current state; `None` if the field is absent.
fn if_none_match(conditions: &Conditions<'_>, current: Option<&Validators<'_>>) -> Option<bool> {
    let list = conditions.if_none_match?;
    Some(current.is_some_and(|current| matches_list(list, current.entity_tag, Comparison::Weak)))
}

/// Whether the current state is later than the date in `value`. Returns `None` if the condition is
/// ignored (§13.1.3, §13.1.4): without the field, without a valid date in it, without a modification
/// date of the current state.
fn is_modified_since(value: Option<&[u8]>, current: Option<&Validators<'_>>) -> Option<bool> {
    Some(current?.last_modified? > HttpDate::parse(value?)?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use Verdict::{Failed, NotModified, Proceed};

    /// Long after [`AFTER`].
    const SINCE_EPOCH: Duration = Duration::from_secs(1 << 30);

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EQUAL: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";

    /// `"tag"`, modified at [`EQUAL`].
    fn current() -> Validators<'static> {
        Validators {
            entity_tag: EntityTag::parse(b"\"tag\""),
            last_modified: HttpDate::parse(EQUAL.as_bytes()),
        }
    }

    /// The conditions in `fields`, a line each; `before`, `equal` and `after` stand for the dates.
    fn conditions(fields: &str) -> Conditions<'_> {
        let mut conditions = Conditions::default();
        for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
            let field = match name {
                "If-Match" => &mut conditions.if_match,
                "If-None-Match" => &mut conditions.if_none_match,
                "If-Modified-Since" => &mut conditions.if_modified_since,
                "If-Unmodified-Since" => &mut conditions.if_unmodified_since,
                _ => &mut conditions.if_range,
            };
            let value = match value {
                "before" => BEFORE,
                "equal" => EQUAL,
                "after" => AFTER,
                other => other,
            };
            *field = Some(value.as_bytes());
        }
        conditions
    }

    #[test]
    fn each_condition_by_itself() {
        for (field, to_get, to_put) in [
            ("", Proceed, Proceed),
            ("If-Match: \"tag\"", Proceed, Proceed),
            ("If-Match: \"a\", \"tag\"", Proceed, Proceed),
            ("If-Match: *", Proceed, Proceed),
            ("If-Match: W/\"tag\"", Failed, Failed),
            ("If-Match: \"a\"", Failed, Failed),
            ("If-Match: ", Failed, Failed),
            ("If-None-Match: \"tag\"", NotModified, Failed),
            ("If-None-Match: \"a\", W/\"tag\"", NotModified, Failed),
            ("If-None-Match: *", NotModified, Failed),
            ("If-None-Match: \"a\"", Proceed, Proceed),
            ("If-None-Match: ", Proceed, Proceed),
            ("If-Modified-Since: before", Proceed, Proceed),
            ("If-Modified-Since: equal", NotModified, Proceed),
            ("If-Modified-Since: after", NotModified, Proceed),
            ("If-Modified-Since: tomorrow", Proceed, Proceed),
            ("If-Unmodified-Since: before", Failed, Failed),
            ("If-Unmodified-Since: equal", Proceed, Proceed),
            ("If-Unmodified-Since: after", Proceed, Proceed),
            ("If-Unmodified-Since: yesterday", Proceed, Proceed),
            ("If-Range: \"a\"", Proceed, Proceed),
        ] {
            let evaluate = |method| evaluate(method, &conditions(field), Some(&current()));
            assert_eq!(evaluate(Method::Get), to_get, "{field}");
            assert_eq!(evaluate(Method::Head), to_get, "{field}");
            assert_eq!(evaluate(Method::Put), to_put, "{field}");
            assert_eq!(evaluate(Method::Options), Proceed, "{field}");
        }
    }

    #[test]
    fn an_entity_tag_overrules_a_date() {
        for (fields, verdict) in [
            ("If-Match: \"tag\"\nIf-Unmodified-Since: before", Proceed),
            ("If-Match: \"a\"\nIf-Unmodified-Since: after", Failed),
            ("If-None-Match: \"a\"\nIf-Modified-Since: after", Proceed),
            (
                "If-None-Match: \"tag\"\nIf-Modified-Since: before",
                NotModified,
            ),
        ] {
            let verdict_on_get = evaluate(Method::Get, &conditions(fields), Some(&current()));
            assert_eq!(verdict_on_get, verdict, "{fields}");
        }
    }

    #[test]
    fn a_lost_update_is_looked_for_first() {
        for (fields, verdict) in [
            ("If-Match: \"a\"\nIf-None-Match: \"tag\"", Failed),
            ("If-Match: \"tag\"\nIf-None-Match: \"tag\"", NotModified),
            ("If-Match: \"tag\"\nIf-Modified-Since: equal", NotModified),
            (
                "If-Unmodified-Since: after\nIf-None-Match: \"tag\"",
                NotModified,
            ),
            (
                "If-Unmodified-Since: before\nIf-None-Match: \"tag\"",
                Failed,
            ),
        ] {
            let verdict_on_get = evaluate(Method::Get, &conditions(fields), Some(&current()));
            assert_eq!(verdict_on_get, verdict, "{fields}");
        }
    }

    #[test]
    fn a_target_without_a_representation_matches_nothing() {
        for (field, verdict) in [
            ("If-Match: *", Failed),
            ("If-None-Match: *", Proceed),
            ("If-Unmodified-Since: before", Proceed),
        ] {
            let verdict_on_put = evaluate(Method::Put, &conditions(field), None);
            assert_eq!(verdict_on_put, verdict, "{field}");
        }
    }

    #[test]
    fn dates_are_ignored_without_a_modification_date() {
        let undated = Validators {
            last_modified: None,
            ..current()
        };
        for field in ["If-Modified-Since: after", "If-Unmodified-Since: before"] {
            let verdict = evaluate(Method::Get, &conditions(field), Some(&undated));
            assert_eq!(verdict, Proceed, "{field}");
        }
    }

    #[test]
    fn if_range_takes_an_exact_strong_match() {
        let weak = Validators {
            entity_tag: EntityTag::parse(b"W/\"tag\""),
            last_modified: None,
        };
        for (field, current, applies) in [
            ("", current(), true),
            ("If-Range: \"tag\"", current(), true),
            ("If-Range: \"a\"", current(), false),
            ("If-Range: W/\"tag\"", current(), false),
            ("If-Range: W/\"tag\"", weak, false),
            ("If-Range: \"tag\"", weak, false),
            ("If-Range: \"a\", \"tag\"", current(), false),
            ("If-Range: *", current(), false),
            ("If-Range: before", current(), false),
            ("If-Range: equal", current(), true),
            ("If-Range: after", current(), false),
            ("If-Range: equal", weak, false),
            ("If-Range: ", current(), false),
        ] {
            let later = || HttpDate::from_system_time(SystemTime::UNIX_EPOCH + SINCE_EPOCH);
            let does_apply = range_applies(&conditions(field), &current, later);
            assert_eq!(does_apply, applies, "{field}");
        }
    }

    /// A file that was written in this second may be written again in this second. Parts of both
    /// would have the same date.
    #[test]
    fn a_date_is_no_strong_validator_before_its_second_is_over() {
        for (now, applies) in [(BEFORE, false), (EQUAL, false), (AFTER, true)] {
            let now = || HttpDate::parse(now.as_bytes()).expect("a date");
            let by_date = range_applies(&conditions("If-Range: equal"), &current(), now);
            assert_eq!(by_date, applies, "{}", now());
            assert!(range_applies(
                &conditions("If-Range: \"tag\""),
                &current(),
                now
            ));
        }
    }
}
