//! The value of a route: exactly one verb, and the options that belong to it.

use std::collections::HashMap;
use std::sync::LazyLock;

use toml::de::DeValue;

use super::foreign_names::NAMES;
use super::level::Level;
use super::own::{self, show_own};
use super::refine::{refine, settings, show_policy};
use super::rewrite;
use super::route_hints;
use super::setting::{Row, Table, rows};
use super::verb::{Answer, Own, VerbKeys};
use super::{cgi, fastcgi, files, handler, proxy, ready, redirect, respond, switch};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::suggest::nearest;
use crate::config::model::{Policy, Route, Verb};
use crate::config::tree::node::{Node, alternatives};
use crate::config::tree::section::{Key, Section};
use crate::config::words::written;

/// What a route can do.
pub(crate) const VERBS: &[&VerbKeys] = &[
    &files::VERB,
    &respond::VERB,
    &redirect::VERB,
    &handler::VERB,
    &switch::ECHO,
    &switch::STATUS,
    &switch::METRICS,
    &ready::VERB,
    &switch::LIVE,
    &switch::DASHBOARD,
    &cgi::VERB,
    &fastcgi::VERB,
    &proxy::VERB,
];

pub(super) const TABLE: Table = Table {
    title: "A route",
    home,
    rows: all_rows,
};

/// The verbs that take `key` as an option. They are collected once, because a file may have thousands
/// of routes.
fn owners(key: &str) -> &'static [&'static str] {
    static OWNERS: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
        let mut owners: HashMap<&str, Vec<&str>> = HashMap::new();
        for verb in VERBS {
            for option in (verb.rows)().into_iter().skip(1) {
                owners.entry(option.key).or_default().push(verb.key);
            }
        }
        owners
    });
    OWNERS.get(key).map_or(&[], Vec::as_slice)
}

/// Whether `key` is an option of some verb. It may also be a verb itself, as `status` is.
pub(crate) fn is_option(key: &str) -> bool {
    !owners(key).is_empty()
}

/// The rows of the verbs, of their options, and of a policy's keys. A verb that is also an option of
/// other verbs has its row among the options. An option of several verbs has one row.
fn all_rows() -> Vec<Row> {
    let of_verbs = VERBS.iter().flat_map(|verb| (verb.rows)());
    let is_verb = |row: &Row| VERBS.iter().any(|verb| verb.key == row.key) && !is_option(row.key);
    let (mut all, options): (Vec<Row>, Vec<Row>) = of_verbs.partition(is_verb);
    for verb in &mut all {
        verb.about = format!("a verb: {}", verb.about).into();
    }
    for mut option in options {
        if let [owner] = owners(option.key) {
            option.about = format!("with `{owner}`: {}", option.about).into();
        }
        if !all.iter().any(|row| row.key == option.key) {
            all.push(option);
        }
    }
    all.extend(rows(own::SETTINGS));
    all.extend(rows(settings(Level::Route)));
    all
}

/// How a hint calls the place of `key`: an example for a verb, the verbs for an option.
fn home(key: &str) -> String {
    let verb = VERBS.iter().find(|verb| verb.key == key);
    let verbs = owners(key).iter().map(|owner| format!("`{owner}`"));
    let verbs = alternatives(verbs);
    match verb {
        Some(verb) if verbs.is_empty() => format!("a route: `{}`", verb.example),
        None if !verbs.is_empty() => format!("a route with {verbs}"),
        _ => "a route".to_owned(),
    }
}

/// Reads the value of the route `key`: what it does, the keys of its own, and its policy. `outer` is the
/// policy of its server.
pub(super) fn resolve_verb(
    key: &Key<'_>,
    node: Node<'_>,
    outer: &Policy,
) -> Option<(Answer, Own, Policy)> {
    let help = node
        .value
        .get_ref()
        .as_str()
        .map(|text| format!("to serve a directory write {{ files = \"{text}\" }}"));
    let mut section = node.section(format!("route `{}`", key.name), help)?;
    let policy = refine(&mut section, Level::Route, outer);
    let its_verb = only_verb(&section).map(|verb| verb.key);
    let own = own::read(&mut section, its_verb);
    let verb = choose_verb(key, &section)?;
    let answer = (verb.read)(&mut section);
    if answer.as_ref().is_some_and(|answer| answer.strip_prefix) {
        rewrite::refuse_strip_prefix(&section);
    }
    if let Some(Answer {
        verb: Verb::Respond(respond),
        ..
    }) = &answer
    {
        respond::check_status(&section, respond, &policy);
        respond::check_variables(&section, respond, &policy);
    }
    report_unknown(&section, verb);
    Some((answer?, own?, policy))
}

/// The verb of a route, its options and the keys that are not inherited, in the terms of the file.
pub(crate) fn show_answer(route: &Route) -> written::Table {
    let table = VERBS.iter().find_map(|verb| (verb.show)(route));
    let mut table = table.unwrap_or_default();
    table.extend(show_own(route));
    table
}

/// Everything that a route says, in the terms of the file.
pub(crate) fn show_route(route: &Route) -> written::Table {
    let mut table = show_answer(route);
    table.extend(show_policy(&route.policy, Level::Route));
    table
}

/// Whether `value` is a table with a verb in it, and so a route, whatever its key is.
pub(super) fn has_verb(value: Node<'_>) -> bool {
    let first = value.one_or_more().into_iter().next();
    let Some(DeValue::Table(table)) = first.as_ref().map(|first| first.value.get_ref()) else {
        return false;
    };
    let is_verb = |key: &str| VERBS.iter().any(|verb| verb.key == key && !is_option(key));
    table.keys().any(|key| is_verb(key.get_ref()))
}

/// The verb of a route; `None` if it has none or more than one.
fn only_verb(section: &Section<'_>) -> Option<&'static VerbKeys> {
    let entries = section.entries().into_iter();
    let mut verbs = entries.filter(|(key, _)| is_verb(key, section));
    let (verb, _) = verbs.next()?;
    if verbs.next().is_some() {
        return None;
    }
    VERBS.iter().copied().find(|known| known.key == verb.name)
}

/// The verb of a route. None, or more than one, is a mistake.
fn choose_verb(route: &Key<'_>, section: &Section<'_>) -> Option<&'static VerbKeys> {
    let keys: Vec<Key<'_>> = section.entries().into_iter().map(|(key, _)| key).collect();
    let verbs: Vec<&Key<'_>> = keys.iter().filter(|key| is_verb(key, section)).collect();
    match verbs.as_slice() {
        [] => report_no_verb(route, &keys, section),
        [verb] => return VERBS.iter().copied().find(|known| known.key == verb.name),
        [first, second, ..] => route.cx.report(
            Diagnostic::error(format!(
                "route `{}` has two verbs, `{}` and `{}`",
                route.name, first.name, second.name
            ))
            .at(second.spot(), "the second verb")
            .at(first.spot(), "the first verb")
            .help("a route does one thing; write a route of its own for the other".to_owned()),
        ),
    }
    None
}

/// Whether `key` is the verb of a route.
fn is_verb(key: &Key<'_>, section: &Section<'_>) -> bool {
    let Some(verb) = VERBS.iter().find(|verb| verb.key == key.name) else {
        return false;
    };
    // `status = 404` is an option of other verbs, `status = true` is a verb.
    let node = section.peek(verb.key);
    !is_option(verb.key) || node.is_some_and(|node| node.value.get_ref().is_bool())
}

/// What to write in place of another server's name of a verb.
fn translated(key: &Key<'_>) -> Option<&'static str> {
    let is_verb = |name: &str| VERBS.iter().any(|verb| verb.key == name);
    let further = NAMES.iter().filter(|(_, meant, _)| is_verb(meant));
    let further = further.map(|(name, _, text)| (*name, *text));
    let verbs = VERBS
        .iter()
        .filter_map(|verb| (verb.rows)().into_iter().next());
    let translations = verbs.flat_map(|verb| verb.translations).copied();
    let found = translations
        .chain(further)
        .find(|(name, _)| *name == key.name);
    found.map(|(_, text)| text)
}

/// Whether `key` is the `root` of another server, the directory of the files, and not an option of `fastcgi`.
fn is_root_of_files(key: &Key<'_>, section: &Section<'_>) -> bool {
    let of_fastcgi = [
        "script",
        "scripts",
        "params",
        "static_files",
        "sendfile",
        "send_files",
    ];
    key.name == "root" && !of_fastcgi.iter().any(|option| section.has(option))
}

fn report_no_verb(route: &Key<'_>, keys: &[Key<'_>], section: &Section<'_>) {
    let mut others = keys.iter().filter(|key| !is_option(key.name));
    let mut roots = keys.iter().filter(|key| is_root_of_files(key, section));
    let verb_like = |key: &Key<'_>| nearest(key.name, VERBS.iter().map(|verb| verb.key));
    let foreign = others.clone().find_map(|key| Some((key, translated(key)?)));
    let misspelt = others.find_map(|key| Some((key, verb_like(key)?)));
    // `root` may be an option of the verb that is misspelt.
    let root = roots.find_map(|key| Some((key, translated(key)?)));
    let foreign = foreign.or(root.filter(|_| misspelt.is_none()));
    let unknown = |key: &Key<'_>| {
        let message = format!("unknown key `{}` in route `{}`", key.name, route.name);
        Diagnostic::error(message)
    };
    let reported = match (foreign, misspelt) {
        (Some((key, text)), _) => {
            let error = unknown(key).at(key.spot(), "");
            route.cx.report(error.help(text.to_owned()));
            Some(key.name)
        }
        (None, Some((key, verb))) => {
            let label = format!("did you mean `{verb}`?");
            route.cx.report(unknown(key).at(key.spot(), label));
            Some(key.name)
        }
        (None, None) => {
            report_absent_verb(route, section);
            None
        }
    };
    // What other servers call our keys is told even though nothing says which of them the route takes.
    let unknown = section
        .unknown()
        .into_iter()
        .filter(|key| !is_option(key.name));
    for key in unknown.filter(|key| Some(key.name) != reported) {
        if has_translation(&key) {
            section.report_unknown(&key, None);
        }
    }
}

/// Whether there is something to say about a key that is none of ours.
fn has_translation(key: &Key<'_>) -> bool {
    key.cx.vocabulary.explain(key.name).is_some()
}

/// Reports that nothing in a route is a verb, or looks like one.
fn report_absent_verb(route: &Key<'_>, section: &Section<'_>) {
    // Verbs that take a value come first: it is more likely that one of them is meant.
    let (switches, valued): (Vec<&VerbKeys>, Vec<&VerbKeys>) =
        VERBS.iter().copied().partition(|verb| verb.is_switch());
    let usages = valued.iter().chain(&switches).map(|verb| verb.usage);
    let help = format!("add one of {}", usages.collect::<Vec<_>>().join(", "));
    let message = format!(
        "route `{}` has no verb, so nothing says what it does",
        route.name
    );
    let mut error = Diagnostic::error(message).at(route.spot(), "");
    let unknown = section.unknown().into_iter();
    for key in unknown.filter(|key| !is_option(key.name) && !has_translation(key)) {
        error = error.at(key.spot(), "unknown key");
    }
    route.cx.report_absence(error.help(help));
}

/// Reports the keys that do not belong to the verb: options of other verbs, and unknown keys.
fn report_unknown(section: &Section<'_>, verb: &VerbKeys) {
    for key in section.unknown() {
        let owners = owners(key.name);
        let hint = route_hints::hint(verb.key, key.name).map(str::to_owned);
        if owners.is_empty() {
            section.report_unknown(&key, hint);
            continue;
        }
        let owners = alternatives(owners.iter().map(|owner| format!("`{owner}`")));
        let message = format!(
            "`{}` belongs to {owners}, and this route has `{}`",
            key.name, verb.key
        );
        key.cx
            .report(Diagnostic::error(message).at(key.spot(), "").help(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_say_the_same_of_a_key_that_they_share() {
        let rows = || VERBS.iter().flat_map(|verb| (verb.rows)());
        for row in rows() {
            for other in rows().filter(|other| other.key == row.key) {
                assert_eq!(row.about, other.about, "{}", row.key);
                assert_eq!(row.default, other.default, "{}", row.key);
            }
        }
    }

    #[test]
    fn a_verb_comes_first_in_its_own_table() {
        for verb in VERBS {
            let first = (verb.rows)().into_iter().next();
            assert_eq!(first.map(|row| row.key), Some(verb.key));
        }
    }
}
