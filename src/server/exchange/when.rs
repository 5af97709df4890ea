//! Which of several routes of one path answers: the first whose `when` the request meets.

use crate::config::model::{Condition, HostPattern, Wanted, When};
use crate::generation::Route;
use crate::http::method::{Method, MethodSet};
use crate::http::request::RequestHead;
use crate::http::{cookies, query};

/// The first of `routes` that answers the request of `head`, were it of `method`.
pub(super) fn choose<'g>(
    routes: &'g [Route],
    head: &RequestHead<'_>,
    method: Method,
) -> Option<&'g Route> {
    let mut routes = routes.iter();
    routes.find(|route| unmet(&route.when, head, method).is_none())
}

/// The methods of which the request of `head` would be answered by one of `routes`.
pub(super) fn methods(routes: &[Route], head: &RequestHead<'_>) -> MethodSet {
    let all = Method::ALL.iter();
    let takes = |route: &Route, method| route.handler.methods().contains(method);
    let answered = all.filter(|method| {
        choose(routes, head, **method).is_some_and(|route| takes(route, **method))
    });
    answered.fold(MethodSet::default(), |set, method| set.with(*method))
}

/// The first condition that the request of `head`, were it of `method`, does not meet; `None`: it meets all.
pub(in crate::server) fn unmet<'w>(
    when: &'w When,
    head: &RequestHead<'_>,
    method: Method,
) -> Option<&'w Condition> {
    let mut conditions = when.0.iter();
    conditions.find(|condition| !is_met(condition, head, method))
}

fn is_met(condition: &Condition, head: &RequestHead<'_>, method: Method) -> bool {
    match condition {
        Condition::Method(methods) => methods
            .iter()
            .any(|wanted| *wanted == method || (*wanted, method) == (Method::Get, Method::Head)),
        Condition::Host(hosts) => hosts.iter().any(|host| is_host(host, head.host)),
        Condition::Header(name, wanted) => wanted.has(head.fields.values(name), true),
        Condition::Query(name, wanted) => {
            let query = head.target.query.unwrap_or_default();
            wanted.has(query::values(query, name.as_bytes()), false)
        }
        Condition::Cookie(name, wanted) => {
            wanted.has(cookies::find(&head.fields, name).into_iter(), false)
        }
    }
}

/// Whether `host`, without a port and in any case, is one that `pattern` names.
fn is_host(pattern: &HostPattern, host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    match pattern {
        HostPattern::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
        HostPattern::Below(suffix) => {
            let start = host.len().checked_sub(suffix.len());
            start.is_some_and(|start| host[start..].eq_ignore_ascii_case(suffix.as_bytes()))
        }
    }
}

/// The condition, as `explain` names it.
pub(in crate::server) fn describe(condition: &Condition) -> String {
    let wanted = |what: &str, name: &str, wanted: &Wanted| match wanted {
        Wanted::Present => format!("{what}.{name} = true"),
        Wanted::Absent => format!("{what}.{name} = false"),
        Wanted::OneOf(patterns) => {
            let patterns = patterns.iter().map(|pattern| format!("{:?}", pattern.0));
            format!(
                "{what}.{name} = {}",
                patterns.collect::<Vec<_>>().join(" or ")
            )
        }
    };
    match condition {
        Condition::Method(methods) => {
            let methods = methods.iter().map(ToString::to_string);
            format!("method = {}", methods.collect::<Vec<_>>().join(" or "))
        }
        Condition::Host(hosts) => {
            let hosts = hosts.iter().map(ToString::to_string);
            format!("host = {}", hosts.collect::<Vec<_>>().join(" or "))
        }
        Condition::Header(name, is) => wanted("header", name, is),
        Condition::Query(name, is) => wanted("query", name, is),
        Condition::Cookie(name, is) => wanted("cookie", name, is),
    }
}
