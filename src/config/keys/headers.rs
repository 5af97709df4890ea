//! `headers`: fields that are set, added and removed on every answer.
//!
//! ```toml
//! headers = { set = { X-Frame-Options = "DENY" }, add = { Link = ["</a>", "</b>"] }, remove = ["Server"] }
//! headers = { X-Frame-Options = "DENY" }     # the same as `set`
//! ```

use super::level::Refinement;
use super::setting::{Kind, Setting, Table, rows, show, walk};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::model::{HeaderChanges, Policy};
use crate::config::tree::node::Node;
use crate::config::tree::section::{Key, Section};
use crate::config::words::values::{parse_field_name, parse_field_value};
use crate::config::words::written;
use crate::http::field_roles::{FieldRole, FieldRule, Setter};

const FRAMING: &str =
    "it says where a message ends (RFC 9112 §6), and a wrong one lets requests be smuggled";
const HOP: &str = "it is about the connection (RFC 9110 §7.6.1), which is the server's to manage";
const DATE: &str = "the server says when it answered (RFC 9110 §6.6.1), so nobody else can";
const RANGE: &str = "it says which part of the content an answer is, and only the server knows";

/// As [`FURTHER_IN`], for the top, which inherits none.
pub(super) const AT_TOP: Setting<Refinement, Policy> = Setting {
    default: "{}",
    ..FURTHER_IN
};

/// For the fields that a level does not mention, the inherited changes hold.
pub(super) const FURTHER_IN: Setting<Refinement, Policy> = Setting {
    key: "headers",
    kind: Kind::Either(&[Kind::Table(&TABLE), Kind::TEXT_MAP]),
    about: "fields of every answer, error answers included; fields alone are `set`",
    translations: &[(
        "add_header",
        "the setting is called `headers`: `headers = { X-Frame-Options = \"DENY\" }`",
    )],
    read: |node, refinement| {
        let outer = &mut refinement.policy.headers;
        *outer = outer.refined_by(headers(node)?);
        Some(())
    },
    show: |policy| Some(written::inline(show(SETTINGS, &policy.headers))),
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`headers`",
    home: |_| "`headers`".to_owned(),
    rows: || rows(SETTINGS),
};

const SETTINGS: &[Setting<Draft, HeaderChanges>] = &[
    Setting {
        key: "set",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "fields in place of what the answer has of that name",
        read: |node, draft| {
            draft.changes.set = part(node, "set", &mut draft.mentions)?;
            Some(())
        },
        show: |changes| Some(written::pairs(&changes.set)),
        ..Setting::BLANK
    },
    Setting {
        key: "add",
        kind: Kind::Map(&Kind::TEXTS),
        default: "{}",
        about: "fields beside what the answer has of that name",
        read: |node, draft| {
            draft.changes.add = part(node, "add", &mut draft.mentions)?;
            Some(())
        },
        show: |changes| Some(show_added(&changes.add)),
        ..Setting::BLANK
    },
    Setting {
        key: "remove",
        kind: Kind::TEXTS,
        default: "[]",
        about: "names of fields that are taken off",
        read: |node, draft| {
            draft.changes.remove = removed(node, &mut draft.mentions);
            Some(())
        },
        show: |changes| Some(written::strings(&changes.remove)),
        ..Setting::BLANK
    },
];

/// The table while its keys are read.
#[derive(Default)]
struct Draft {
    changes: HeaderChanges,
    mentions: Vec<Mention>,
}

/// A field that the table mentions, and where.
struct Mention {
    name: String,
    part: &'static str,
    spot: Spot,
}

/// Reads `headers` of one level. Parts with a mistake are left out.
fn headers(node: Node<'_>) -> Option<HeaderChanges> {
    let help = "write headers = { X-Frame-Options = \"DENY\" }".to_owned();
    let mut draft = Draft::default();
    let mut section = node.section("`headers`", Some(help))?;
    if !SETTINGS.iter().any(|part| section.has(part.key)) {
        draft.changes.set = fields(&section, "set", &mut draft.mentions);
        return Some(draft.changes);
    }
    walk(&mut section, SETTINGS, &mut draft);
    section.close_with(|name| {
        let is_field = parse_field_name(name).is_ok();
        is_field.then(|| format!("a field goes into `set`: set = {{ {name} = \"…\" }}"))
    });
    Some(draft.changes)
}

/// Reads the table `name`, which is `set` or `add`.
fn part(
    node: Node<'_>,
    name: &'static str,
    mentions: &mut Vec<Mention>,
) -> Option<Vec<(String, String)>> {
    let help = format!("write {name} = {{ X-Frame-Options = \"DENY\" }}");
    let section = node.section(format!("`{name}`"), Some(help))?;
    Some(fields(&section, name, mentions))
}

/// The fields of `add`, with the values of one name in one array.
fn show_added(added: &[(String, String)]) -> String {
    let mut fields: Vec<(&String, Vec<String>)> = Vec::new();
    for (name, value) in added {
        let value = written::string(value);
        match fields.iter_mut().find(|(other, _)| *other == name) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        }
    }
    let field = |(name, values)| (name, written::array(values));
    written::inline(fields.into_iter().map(field))
}

/// The fields of `set` or `add`. In `add` a field may have several values.
fn fields(
    section: &Section<'_>,
    part: &'static str,
    mentions: &mut Vec<Mention>,
) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (key, node) in section.entries() {
        let name = key.parse(check_name);
        let values = match part {
            "add" => node.one_or_more(),
            _ => vec![node],
        };
        let value = |node: Node<'_>| node.text()?.parse(parse_field_value);
        let values: Vec<String> = values.into_iter().filter_map(value).collect();
        let Some(name) = name.filter(|name| is_new(&key, name, part, mentions)) else {
            continue;
        };
        fields.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    fields
}

/// Whether `part` does not mention the field yet. It warns of one that it does: the first one counts.
fn is_new(key: &Key<'_>, name: &str, part: &'static str, mentions: &mut Vec<Mention>) -> bool {
    let same = |mention: &&Mention| mention.part == part && mention.name.eq_ignore_ascii_case(name);
    let first = mentions.iter().find(same).map(|first| first.spot.clone());
    let is_new = first.is_none();
    if let Some(first) = first {
        let message = format!("the field `{name}` stands twice in `{part}`");
        let help = "the case of a field's name means nothing (RFC 9110 §5.1)".to_owned();
        key.cx.report(
            Diagnostic::warning(message)
                .at(key.spot(), "left out")
                .at(first, "this one counts")
                .help(help),
        );
    }
    mentions.push(Mention {
        name: name.to_owned(),
        part,
        spot: key.spot(),
    });
    is_new
}

/// Reads the names of `remove`. It warns of a name that is mentioned already, and leaves it out.
fn removed(node: Node<'_>, mentions: &mut Vec<Mention>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for node in node.one_or_more() {
        let Some(name) = node.text().and_then(|text| text.parse(check_name)) else {
            continue;
        };
        let mentioned = mentions
            .iter()
            .find(|mention| mention.name.eq_ignore_ascii_case(&name));
        let message = match mentioned {
            Some(Mention { part: "set", .. }) => {
                format!("`{name}` need not be removed: `set` replaces it anyway")
            }
            Some(Mention { part: "remove", .. }) => {
                format!("the field `{name}` stands twice in `remove`")
            }
            _ => String::new(),
        };
        if let Some(mention) = mentioned.filter(|_| !message.is_empty()) {
            node.cx.report(
                Diagnostic::warning(message)
                    .at(node.spot(), "")
                    .at(mention.spot.clone(), "mentioned here"),
            );
            continue;
        }
        mentions.push(Mention {
            name: name.clone(),
            part: "remove",
            spot: node.spot(),
        });
        names.push(name);
    }
    names
}

/// Reads the name of a field that the operator may change.
fn check_name(name: &str) -> Result<String, Fault> {
    let rule = FieldRule::of(name);
    if rule.may_be_set_by(Setter::Configuration) {
        return parse_field_name(name);
    }
    let message = format!("`{}` cannot be changed", rule.name);
    Err(Fault::new(0..name.len(), message).help(reason(rule.role)))
}

/// Why the operator may not change a field of that role.
fn reason(role: FieldRole) -> &'static str {
    match role {
        FieldRole::Framing => FRAMING,
        FieldRole::Connection => HOP,
        FieldRole::Server => DATE,
        FieldRole::Representation | FieldRole::Other => RANGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_fields_that_are_the_servers_and_says_why() {
        for (name, expected) in [
            ("content-length", FRAMING),
            ("Transfer-Encoding", FRAMING),
            ("Trailer", FRAMING),
            ("Connection", HOP),
            ("Keep-Alive", HOP),
            ("Upgrade", HOP),
            ("TE", HOP),
            ("Proxy-Connection", HOP),
            ("Proxy-Authenticate", HOP),
            ("Date", DATE),
            ("Content-Range", RANGE),
        ] {
            let fault = check_name(name).expect_err(name);
            assert_eq!(fault.help.as_deref(), Some(expected), "{name}");
        }
        for name in [
            "Server",
            "Content-Type",
            "ETag",
            "Vary",
            "Proxy-Status",
            "X-A",
        ] {
            assert_eq!(check_name(name).as_deref(), Ok(name));
        }
    }
}
