//! `rewrite`: what the handler of a route is asked for in place of what the client asked for.

use super::setting::{Kind, Setting};
use super::verb::Own;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{RequestText, Route};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::target::parse_rewrite;
use crate::config::words::written;

/// The verbs that look at the path. The others answer alone.
const TAKE_REWRITE: &[&str] = &["files", "handler", "echo", "cgi", "fastcgi", "proxy"];

pub(super) const REWRITE: Setting<Own, Route> = Setting {
    key: "rewrite",
    kind: Kind::Text,
    about: "with `files`, `handler`, `echo`, `cgi`, `fastcgi` and `proxy`: the path, and perhaps the query, \
            that is asked for: `{rest}` is what the path has below the route; also `{path}`, `{query}`, \
            `{host}`, `{scheme}`, `{method}`, `{client}` and names of the route's path",
    translations: &[(
        "RewriteRule",
        "the setting is called `rewrite`, in a route: `\"/shop/{id}\" = { proxy = \"shop\", \
             rewrite = \"/item?id={id}\" }`",
    )],
    read: |node, own| {
        own.rewrite = read(node, own.verb)?;
        Some(())
    },
    show: |route| Some(written::string(&route.rewrite.as_ref()?.written)),
    ..Setting::BLANK
};

/// Reads `rewrite` in a route whose verb is `verb`. Where it has nothing to change, that is reported, and
/// nothing else of it. `None`: it has a mistake, which is reported.
fn read(node: Node<'_>, verb: Option<&str>) -> Option<Option<RequestText>> {
    if let Some(verb) = verb.filter(|verb| !TAKE_REWRITE.contains(verb)) {
        let message = format!("`{verb}` looks at no path, so `rewrite` has nothing to change");
        let error = Diagnostic::error(message).at(node.spot(), "");
        let help = match verb {
            "redirect" => "a redirect says in its target where it leads",
            _ => "leave it out",
        };
        node.cx.report(error.help(help.to_owned()));
        return Some(None);
    }
    let parse = |text: &str| {
        parse_rewrite(text).map_err(|fault| match text {
            "{rest}" => fault.help(help_for_rest(verb)),
            _ => fault,
        })
    };
    Some(Some(node.text()?.parse(parse)?))
}

/// What to write in place of `rewrite = "{rest}"`, by which an operator asks for what is below the route.
fn help_for_rest(verb: Option<&str>) -> String {
    match verb {
        Some("files" | "proxy") => {
            "write strip_prefix = true in place of `rewrite` to ask for what is below the route"
                .to_owned()
        }
        Some(verb @ ("cgi" | "fastcgi")) => {
            format!("leave it out: `{verb}` takes what is below the route by itself")
        }
        _ => "write \"/{rest}\", which is what the path has below the route".to_owned(),
    }
}

/// Reports `strip_prefix` beside a `rewrite`, in a route that strips its prefix.
pub(super) fn refuse_strip_prefix(section: &Section<'_>) {
    if let (Some(rewrite), Some(strip)) = (section.peek("rewrite"), section.peek("strip_prefix")) {
        let message = "`rewrite` says the whole path, so `strip_prefix` has nothing to take off";
        let error = Diagnostic::error(message)
            .at(strip.spot(), "")
            .at(rewrite.spot(), "the path that is asked for");
        let help = "leave one of them out; `{rest}` is what the path has below the route";
        section.report(error.help(help.to_owned()));
    }
}
