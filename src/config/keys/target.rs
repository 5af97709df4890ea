//! Checks the variables in the target of a redirect or a rewrite against the path of their route.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{PatternSegment, RedirectTarget, RoutePattern, TargetPart, Verb};
use crate::config::tree::node::Node;

/// The key that holds the target of a route's verb, and the target; `None` if the verb has none.
fn target(verb: &Verb) -> Option<(&'static str, &RedirectTarget)> {
    match verb {
        Verb::Redirect(redirect) => Some(("redirect", &redirect.target)),
        Verb::Proxy(proxy) => Some(("rewrite", proxy.rewrite.as_ref()?)),
        _ => None,
    }
}

/// Reports parameters in the target that the path of the route does not have, and a parameter that is
/// called as a variable. `route` is the route's table.
pub(super) fn check_parameters(route: Node<'_>, pattern: &RoutePattern, verb: &Verb) {
    let Some((key, target)) = target(verb) else {
        return;
    };
    let has = |name: &str| {
        let parameter = PatternSegment::Parameter(name.to_owned());
        pattern.segments.contains(&parameter)
    };
    for part in &target.parts {
        match part {
            TargetPart::Parameter(name) if !has(name) => report(
                route,
                key,
                format!("the path of this route has no `{{{name}}}`"),
                "write `{path}`, `{rest}`, `{query}`, or a name that stands in the route's path",
            ),
            TargetPart::Rest if has("rest") => report(
                route,
                key,
                "`{rest}` is what the path has below the route, not the parameter of that name"
                    .to_owned(),
                "give the parameter in the route's path another name",
            ),
            _ => {}
        }
    }
}

fn report(route: Node<'_>, key: &'static str, message: String, help: &str) {
    let section = route.section("", None);
    let target = section.and_then(|section| section.peek(key));
    let error = Diagnostic::error(message).at(target.unwrap_or(route).spot(), "");
    route.cx.report(error.help(help.to_owned()));
}
