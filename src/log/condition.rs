//! Which exchanges an access log has: `when` of `[[log.access]]`.

use std::borrow::Cow;

use super::record::AccessRecord;
use crate::config::model::LogCondition;
use crate::http::path::NormalPath;

/// Whether all holds of a record that `when` says.
pub(super) fn holds(when: &LogCondition, record: &AccessRecord<'_>) -> bool {
    let LogCondition {
        status,
        route,
        path,
        method,
        reason,
        slower_than,
    } = when;
    let is_of_status = || status.iter().any(|range| range.contains(record.status));
    let is_of_route = || {
        record
            .route
            .is_some_and(|key| route.iter().any(|other| other == key))
    };
    let is_of_path = || is_for(record, path.iter().map(String::as_str));
    let is_of_method = || {
        method
            .iter()
            .any(|it| it.as_str().as_bytes() == record.method())
    };
    let is_of_reason = || record.reason.is_some_and(|it| reason.contains(&it));
    (status.is_empty() || is_of_status())
        && (route.is_empty() || is_of_route())
        && (path.is_empty() || is_of_path())
        && (method.is_empty() || is_of_method())
        && (reason.is_empty() || is_of_reason())
        && slower_than.is_none_or(|least| record.duration >= least)
}

/// Whether the request of `record` is for one of the paths `starts`, or for what lies below it.
///
/// Paths are compared in the form in which routes are found, so that no client gets past a log with another
/// spelling: `/%61pi`, `/x/../api`. A path that has no such form is compared as the client sent it.
pub(super) fn is_for<'s>(
    record: &AccessRecord<'_>,
    mut starts: impl Iterator<Item = &'s str>,
) -> bool {
    let path = normal(record.path());
    starts.any(|start| is_below(&path, &normal(start.as_bytes())))
}

fn normal(path: &[u8]) -> Cow<'_, [u8]> {
    NormalPath::parse(path).map_or(Cow::Borrowed(path), NormalPath::into_bytes)
}

/// Whether `path` is `start`, or lies below it.
fn is_below(path: &[u8], start: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(start) else {
        return false;
    };
    start.ends_with(b"/") || matches!(rest.first(), None | Some(b'/'))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::config::model::StatusRange;
    use crate::http::method::Method;
    use crate::http::status::Status;
    use crate::reason::Reason;

    fn record() -> AccessRecord<'static> {
        let client = IpAddr::from([127, 0, 0, 1]).into();
        AccessRecord {
            route: Some("/api"),
            reason: Some(Reason::FileMissing),
            duration: Duration::from_millis(20),
            ..AccessRecord::unreadable(client, b"GET /api/users?id=7 HTTP/1.1", Status::NOT_FOUND)
        }
    }

    #[test]
    fn all_that_is_said_must_hold() {
        let class = |first| StatusRange {
            first,
            last: first + 99,
        };
        let all = LogCondition {
            status: vec![class(400), class(500)],
            route: vec!["/api".to_owned()],
            path: vec!["/api".to_owned()],
            method: vec![Method::Get],
            reason: vec![Reason::FileMissing],
            slower_than: Some(Duration::from_millis(20)),
        };
        assert!(holds(&LogCondition::default(), &record()));
        assert!(holds(&all, &record()));
        let other: [fn(&mut LogCondition); 6] = [
            |when| when.status.remove(0).first = 0,
            |when| when.route = vec!["/".to_owned()],
            |when| when.path = vec!["/ap".to_owned()],
            |when| when.method = vec![Method::Post],
            |when| when.reason = vec![Reason::ClientGone],
            |when| when.slower_than = Some(Duration::from_millis(21)),
        ];
        for (nth, change) in other.into_iter().enumerate() {
            let mut when = all.clone();
            change(&mut when);
            assert!(!holds(&when, &record()), "{nth}");
        }
    }

    #[test]
    fn a_path_holds_however_it_is_spelled() {
        for (target, start, expected) in [
            ("/%61pi/users", "/api", true),
            ("//api", "/api", true),
            ("/./api", "/api", true),
            ("/x/../api", "/api", true),
            ("/api/../x", "/api", false),
            ("/api%2Fx", "/api", false),
            ("http://h/api?b", "/api", true),
            ("http://h", "/", true),
            ("http://h?/api", "/api", false),
            ("/%C3%BC", "/\u{fc}", true),
            ("/%c3%bc/a", "/%C3%BC", true),
            ("/%zz", "/%zz", true),
            ("*", "/", false),
        ] {
            let line = format!("GET {target} HTTP/1.1");
            let record = AccessRecord {
                request_line: line.as_bytes(),
                ..record()
            };
            assert_eq!(is_for(&record, [start].into_iter()), expected, "{target}");
        }
    }

    #[test]
    fn a_path_holds_for_itself_and_what_is_below() {
        for (start, path, expected) in [
            ("/api", "/api", true),
            ("/api", "/api/a", true),
            ("/api", "/apix", false),
            ("/api/", "/api/a", true),
            ("/api/", "/api", false),
            ("/", "/a", true),
        ] {
            let found = is_below(path.as_bytes(), start.as_bytes());
            assert_eq!(found, expected, "{start} {path}");
        }
    }
}
