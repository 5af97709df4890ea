//! Checks the variables in texts that requests fill against the path of their route.

use super::level::Level;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::model::{
    Capture, HeaderChanges, Policy, RequestText, Route, RoutePattern, Variable, Verb,
};
use crate::config::tree::node::{Node, Text};
use crate::config::tree::section::Section;
use crate::config::words::request_text::{VARIABLES, find_foreign_in_free_text, translated};
use crate::http::method::Method;

/// The texts of a route that requests fill, each with the key that holds it.
fn texts(route: &Route) -> Vec<(&'static str, &RequestText)> {
    let mut texts: Vec<_> = route.rewrite.iter().map(|text| ("rewrite", text)).collect();
    match &route.verb {
        Verb::Redirect(redirect) => texts.push(("redirect", &redirect.target)),
        Verb::Respond(respond) => texts.push(("respond", &respond.content)),
        Verb::Files(files) => texts.extend(files.tries.iter().map(|text| ("try", text))),
        Verb::Proxy(proxy) => texts.extend(of_fields("request_headers", &proxy.request_headers)),
        Verb::Echo
        | Verb::Status
        | Verb::Metrics
        | Verb::Ready(_)
        | Verb::Live
        | Verb::Dashboard
        | Verb::Handler(_)
        | Verb::Cgi(_)
        | Verb::Fastcgi(_) => {}
    }
    texts.extend(of_fields("headers", &route.policy.headers));
    texts
}

fn of_fields<'h>(
    key: &'static str,
    headers: &'h HeaderChanges,
) -> impl Iterator<Item = (&'static str, &'h RequestText)> {
    let fields = headers.set.iter().chain(&headers.add);
    fields.map(move |(_, value)| (key, value))
}

/// Reports parameters that the path of the route does not have, and a parameter that is called as a
/// variable. `node` is the route's table.
pub(super) fn check_parameters(node: Node<'_>, route: &Route) {
    let Some(section) = node.section("", None) else {
        return;
    };
    warn_of_circle(&section, route);
    for (key, text) in texts(route) {
        // What an outer level says has been checked there.
        let Some(value) = section.peek(key) else {
            continue;
        };
        for variable in text.variables() {
            let Some((message, help)) = fault_of(variable, &route.pattern) else {
                continue;
            };
            // In these, every brace belongs to a variable.
            let is_strict = matches!(key, "rewrite" | "redirect" | "try");
            let help = match variable {
                Variable::Name(name) if !is_strict && help == VARIABLES => {
                    format!("{help}; the text itself is `{{{{{name}}}}}`")
                }
                _ => help,
            };
            report(value, text, variable, (message, help));
        }
    }
}

/// Warns of a redirect to the path that was asked for. After a POST that makes sense, for a GET follows.
fn warn_of_circle(section: &Section<'_>, route: &Route) {
    let Some(value) = section.peek("redirect").filter(|_| is_back(route)) else {
        return;
    };
    let message = "this redirect leads to the path that was asked for, in a circle";
    let help = "name another path, or a host: \"https://example.com{path}\"";
    let warning = Diagnostic::warning(message).at(value.spot(), "");
    value.cx.report(warning.help(help.to_owned()));
}

/// Whether the route redirects a GET to the path that was asked for.
pub(super) fn is_back(route: &Route) -> bool {
    let Verb::Redirect(redirect) = &route.verb else {
        return false;
    };
    let path = RoutePattern {
        method: None,
        exact: false,
        ..route.pattern.clone()
    };
    let target = redirect.target.written.as_str();
    let is_back =
        target == "{path}" || target.strip_suffix("{rest}").unwrap_or(target) == path.to_string();
    is_back && (route.methods().is_empty() || route.methods().contains(&Method::Get))
}

/// The message and the remedy for a variable that a route of that pattern cannot have.
fn fault_of(variable: &Variable, pattern: &RoutePattern) -> Option<(String, String)> {
    match variable {
        Variable::Name(name) if pattern.parameter(name).is_none() => Some((
            format!("the path of this route has no `{{{name}}}`"),
            help(name, pattern),
        )),
        Variable::Rest if matches!(pattern.parameter("rest"), Some(Capture::Segment(_))) => Some((
            "`{rest}` is what the path has below the route, not the parameter of that name"
                .to_owned(),
            "give the parameter in the route's path another name".to_owned(),
        )),
        _ => None,
    }
}

/// What to write in place of an unknown name.
fn help(name: &str, pattern: &RoutePattern) -> String {
    if let Some(ours) = translated(name) {
        return format!("write `{ours}`");
    }
    let known = Variable::OF_EVERY_REQUEST.iter().map(|(known, _)| *known);
    let own = pattern.parameters().map(|(own, _)| own);
    match nearest(name, known.chain(own)) {
        Some(meant) => format!("did you mean `{{{meant}}}`?"),
        None => VARIABLES.to_owned(),
    }
}

/// Reports a variable in `text`, at its place if `value` is that text.
fn report(
    value: Node<'_>,
    text: &RequestText,
    variable: &Variable,
    (message, help): (String, String),
) {
    let written = match variable {
        Variable::Name(name) => format!("{{{name}}}"),
        _ => "{rest}".to_owned(),
    };
    let elements = value.one_or_more().into_iter();
    let strings = elements.filter(|node| node.value.get_ref().as_str().is_some());
    let mut texts = strings.filter_map(Node::text);
    let Some(place) = texts.find(|other| other.value == text.written) else {
        let error = Diagnostic::error(message).at(value.spot(), "");
        return value.cx.report(error.help(help));
    };
    place.parse(|text| {
        let at = text.find(&written).unwrap_or_default();
        let range = at..(at + written.len()).min(text.len());
        Err::<(), Fault>(Fault::new(range, message).help(help))
    });
}

/// Warns of a variable of another server in content or in the value of a field, where other braces and a `$` may
/// stand: in content of several lines they are those of a script or of another file.
pub(super) fn warn_of_foreign(text: &Text<'_>) {
    if text.value.trim_end().contains('\n') {
        return;
    }
    if let Some((range, ours)) = find_foreign_in_free_text(&text.value) {
        let foreign = &text.value[range.clone()];
        let message =
            format!("`{foreign}` is sent as it stands: it is a variable of another server");
        text.warn(range, message, format!("write `{ours}`"));
    }
}

/// Reports names of a route's path in the `headers` of a level that has no path, and takes those fields out
/// of `policy`.
pub(super) fn refuse_names(section: &Section<'_>, level: Level, policy: &mut Policy) {
    let Some(node) = section.peek("headers").filter(|_| level != Level::Route) else {
        return;
    };
    let is_sound = |(_, text): &(String, RequestText)| {
        let mut names = text.variables().filter_map(|variable| match variable {
            Variable::Name(name) => Some(name),
            _ => None,
        });
        let Some(name) = names.next() else {
            return true;
        };
        let message = format!("`{{{name}}}` is a name of a route's path, and this is no route");
        let error = Diagnostic::error(message).at(node.spot(), "");
        node.cx
            .report(error.help(help(name, &RoutePattern::everything())));
        false
    };
    policy.headers.set.retain(is_sound);
    policy.headers.add.retain(is_sound);
}
