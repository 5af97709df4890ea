//! Which exchanges an access log has: `when` of `[[log.access]]`.

use super::record::AccessRecord;
use crate::config::model::{LogCondition, PathStart};
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
    let is_of_path = || is_for(record, path);
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
pub(super) fn is_for(record: &AccessRecord<'_>, starts: &[PathStart]) -> bool {
    let path = NormalPath::in_normal_form(record.path());
    starts.iter().any(|start| start.has(&path))
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
            path: vec![PathStart::new("/api".to_owned())],
            method: vec![Method::Get],
            reason: vec![Reason::FileMissing],
            slower_than: Some(Duration::from_millis(20)),
        };
        assert!(holds(&LogCondition::default(), &record()));
        assert!(holds(&all, &record()));
        let other: [fn(&mut LogCondition); 6] = [
            |when| when.status.remove(0).first = 0,
            |when| when.route = vec!["/".to_owned()],
            |when| when.path = vec![PathStart::new("/ap".to_owned())],
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
            let starts = [PathStart::new(start.to_owned())];
            assert_eq!(is_for(&record, &starts), expected, "{target}");
        }
    }
}
