//! Warnings about the root of a route: links that lead out of it, and a root of which no file can ever
//! answer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::verb::Answer;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Fastcgi, Files, PatternSegment, RoutePattern, Verb};
use crate::config::tree::node::Node;
use crate::config::tree::paths::beside;
use crate::config::tree::section::Key;
use crate::config::tree::survey::Survey;

/// Warns of what the route `key` will not find. `value` is its table.
pub(super) fn warn_of_root(
    key: &Key<'_>,
    value: Node<'_>,
    pattern: &RoutePattern,
    answer: &Answer,
) {
    let Some(section) = value.section("", None) else {
        return;
    };
    let root_key = match &answer.verb {
        Verb::Files(_) => "files",
        Verb::Cgi(_) => "cgi",
        Verb::Fastcgi(_) => "root",
        _ => return,
    };
    let Some((node, text)) = section.peek(root_key).and_then(|it| Some((it, it.text()?))) else {
        return;
    };
    // As it is written, because that is how the operator knows it.
    let root = beside(key.cx.source, &text.value);
    let survey = key.cx.surveys.of(&root);
    let reason = why_nothing_matches(&root, &survey, pattern, answer);
    // The files of an empty root are still to come.
    if let Some((message, help)) = reason.filter(|_| !survey.is_empty) {
        let warning = Diagnostic::warning(message).at(node.spot(), "");
        key.cx.report(warning.help(help));
    }
    // An operator who has written `links` knows of them.
    if !section.has("links") {
        warn_of_links(node, &root, &survey);
    }
}

/// The reason why no file of the root can ever answer the route, and what to do.
fn why_nothing_matches(
    root: &Path,
    survey: &Survey,
    pattern: &RoutePattern,
    answer: &Answer,
) -> Option<(String, String)> {
    match &answer.verb {
        // They say themselves which files are looked for.
        Verb::Files(files) if !files.tries.is_empty() || files.fallback.is_some() => None,
        Verb::Files(_) if answer.strip_prefix => stripped(root, pattern),
        Verb::Files(files) => not_stripped(root, files, pattern),
        Verb::Cgi(cgi) if cgi.script.is_none() => no_script(root, pattern),
        Verb::Fastcgi(fastcgi) if fastcgi.script.is_none() => {
            nothing_for_fastcgi(root, survey, fastcgi)
        }
        _ => None,
    }
}

/// `"= /favicon.ico" = { files = "www", strip_prefix = true }`: nothing is left of the path.
fn stripped(root: &Path, pattern: &RoutePattern) -> Option<(String, String)> {
    if !pattern.exact || pattern.trailing_slash || pattern.segments.is_empty() {
        return None;
    }
    let root = root.display();
    let message = format!(
        "no file of `{root}` can answer this route: it matches one path alone, and `strip_prefix` \
         takes all of that off"
    );
    let help = "leave `strip_prefix` out, or take the `=` off the route".to_owned();
    Some((message, help))
}

/// `"/docs" = { files = "manual" }`: the paths lead to `manual/docs`, which is not there.
fn not_stripped(root: &Path, files: &Files, pattern: &RoutePattern) -> Option<(String, String)> {
    let names: Vec<&[u8]> = pattern.segments.iter().map_while(name).collect();
    let prefix = names.join(&b'/');
    let at = root.join(OsStr::from_bytes(&prefix));
    let prefix = String::from_utf8_lossy(&prefix);
    let page = PathBuf::from(format!("{}.html", at.display()));
    let is_page = files.clean_urls && page.exists();
    // For a single-page application `index.html` answers for every path.
    if names.is_empty() || at.exists() || is_page || files.spa {
        return None;
    }
    let root = root.display();
    let message = format!(
        "no file of `{root}` can answer this route: its paths begin with `/{prefix}`, and there is no \
         `{}`",
        at.display()
    );
    let help = if pattern.exact || names.len() < pattern.segments.len() {
        format!("put it there, or name the directory that holds `{prefix}`")
    } else {
        format!("write strip_prefix = true to have `/{prefix}/a` answered from `{root}/a`")
    };
    Some((message, help))
}

fn name(segment: &PatternSegment) -> Option<&[u8]> {
    match segment {
        PatternSegment::Static(name) => Some(name),
        PatternSegment::Parameter(..) | PatternSegment::Tail(_) => None,
    }
}

/// `"= /a" = { cgi = "scripts" }`: no name of a script follows the route's path.
fn no_script(root: &Path, pattern: &RoutePattern) -> Option<(String, String)> {
    let message = format!(
        "no script of `{}` can answer this route: it matches one path alone, and the name of a script \
         follows the route's path",
        root.display()
    );
    (pattern.exact).then(|| (message, "take the `=` off the route".to_owned()))
}

/// Files are sent unless `static_files` says no; then only scripts are left, and there may be none.
fn nothing_for_fastcgi(
    root: &Path,
    survey: &Survey,
    fastcgi: &Fastcgi,
) -> Option<(String, String)> {
    let is_script = |extension: &String| fastcgi.is_script(format!(".{extension}").as_bytes());
    // The part of a suffix before its last dot was not looked at.
    let has_long_suffix = fastcgi.scripts.iter().any(|it| it.matches('.').count() > 1);
    let may_answer = fastcgi.static_files
        || fastcgi.fallback.is_some()
        || has_long_suffix
        || !survey.is_complete
        || survey.extensions.iter().any(is_script);
    if may_answer {
        return None;
    }
    let message = format!(
        "no file in `{}` ends in {}, so this route answers 404 to every request",
        root.display(),
        fastcgi.scripts.join(", ")
    );
    let help = "name the directory that the scripts are in; `scripts` says what they end in";
    Some((message, help.to_owned()))
}

/// Warns of links beneath `root` that lead out of it: what they lead to is not found.
fn warn_of_links(node: Node<'_>, root: &Path, survey: &Survey) {
    const NAMED: usize = 3;
    let links = &survey.leading_out;
    let Some((_, first)) = links.first_key_value() else {
        return;
    };
    let shown = |(link, target): (&PathBuf, &PathBuf)| {
        format!("`{}` to `{}`", link.display(), target.display())
    };
    let mut named: Vec<String> = links.iter().take(NAMED).map(shown).collect();
    if links.len() > NAMED {
        named.push(format!("{} more", links.len() - NAMED));
    }
    let (link, leads, they_lead) = match links.len() {
        1 => ("a link", "leads", "it leads"),
        _ => ("links", "lead", "they lead"),
    };
    let message = format!(
        "{link} in `{}` {leads} out of it, and what {they_lead} to is not found: {}",
        root.display(),
        named.join(", ")
    );
    let directory = first.parent().filter(|_| !first.is_dir()).unwrap_or(first);
    let help = format!(
        "to serve it, write links = [\"{}\"] or links = \"anywhere\" in the route; if it is right so, \
         write links = \"inside\"",
        directory.display()
    );
    let warning = Diagnostic::warning(message).at(node.spot(), "");
    node.cx.report(warning.help(help));
}
