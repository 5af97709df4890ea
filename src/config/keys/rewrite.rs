//! `rewrite`: what the handler of a route is asked for in place of what the client asked for.

use super::setting::{Kind, Setting};
use super::verb::Own;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Route, Verb};
use crate::config::tree::section::Section;
use crate::config::words::target::parse_rewrite;
use crate::config::words::written;

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
        own.rewrite = Some(node.text()?.parse(parse_rewrite)?);
        Some(())
    },
    show: |route| Some(written::string(&route.rewrite.as_ref()?.written)),
    ..Setting::BLANK
};

/// Reports `rewrite` where it has nothing to change, or says another path than the one beside it.
pub(super) fn check(section: &Section<'_>, verb: &Verb, strips_prefix: bool) {
    let Some(rewrite) = section.peek("rewrite") else {
        return;
    };
    let answers_alone = match verb {
        Verb::Respond(_) => Some("respond"),
        Verb::Redirect(_) => Some("redirect"),
        Verb::Status => Some("status"),
        Verb::Metrics => Some("metrics"),
        Verb::Ready(_) => Some("ready"),
        Verb::Live => Some("live"),
        Verb::Dashboard => Some("dashboard"),
        _ => None,
    };
    if let Some(verb) = answers_alone {
        let message = format!("`{verb}` looks at no path, so `rewrite` has nothing to change");
        let error = Diagnostic::error(message).at(rewrite.spot(), "");
        let help = match verb {
            "redirect" => "a redirect says in its target where it leads",
            _ => "leave it out",
        };
        return section.report(error.help(help.to_owned()));
    }
    if let Some(strip) = section.peek("strip_prefix").filter(|_| strips_prefix) {
        let message = "`rewrite` says the whole path, so `strip_prefix` has nothing to take off";
        let error = Diagnostic::error(message)
            .at(strip.spot(), "")
            .at(rewrite.spot(), "the path that is asked for");
        let help = "leave one of them out; `{rest}` is what the path has below the route";
        section.report(error.help(help.to_owned()));
    }
}
