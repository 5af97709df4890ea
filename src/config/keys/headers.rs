//! `headers`: fields that are set, added and removed on every answer; and `request_headers`, which does
//! the same to the requests that upstreams are sent.
//!
//! ```toml
//! headers = { set = { X-Frame-Options = "DENY" }, add = { Link = ["</a>", "</b>"] }, remove = ["Server"] }
//! headers = { X-Frame-Options = "DENY" }     # the same as `set`
//! ```

use super::level::Refinement;
use super::setting::{Kind, Setting, Table, rows, show, walk};
use super::target::warn_of_foreign;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::model::{HeaderChanges, Policy, RequestText, TextPart};
use crate::config::tree::node::Node;
use crate::config::tree::section::{Key, Section};
use crate::config::words::redirect_host::check_host;
use crate::config::words::request_text::parse_freely;
use crate::config::words::values::{parse_field_name, parse_field_value, parse_media_type};
use crate::config::words::written;
use crate::http::date::HttpDate;
use crate::http::field_roles::{FieldRole, FieldRule, Setter};
use crate::http::fields::is_token;
use crate::http::list;
use crate::http::validator::EntityTag;

const FRAMING: &str =
    "it says where a message ends (RFC 9112 §6), and a wrong one lets requests be smuggled";
const HOP: &str = "it is about the connection (RFC 9110 §7.6.1), which is the server's to manage";
const DATE: &str =
    "the server says when it answered (RFC 9110 §6.6.1), so the configuration cannot";
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
    about: "fields of every answer, of errors all but those that let caches keep it; fields alone are `set`",
    translations: &[(
        "add_header",
        "the setting is called `headers`: `headers = { X-Frame-Options = \"DENY\" }`",
    )],
    read: |node, refinement| {
        let draft = read(node, Message::Answer)?;
        let outer = &mut refinement.policy.headers;
        *outer = outer.refined_by(draft.changes);
        let given = draft.mentions.into_iter().filter(Mention::gives);
        refinement.fields = given.map(|mention| (mention.name, mention.spot)).collect();
        Some(())
    },
    show: |policy| Some(show_headers(&policy.headers)),
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`headers` and `request_headers`",
    home: |_| "`headers`".to_owned(),
    rows: || rows(SETTINGS),
};

const SETTINGS: &[Setting<Draft, HeaderChanges>] = &[
    Setting {
        key: "set",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "fields in place of what the message has of that name",
        read: |node, draft| {
            draft.changes.set = part(node, "set", draft)?;
            Some(())
        },
        show: |changes| Some(pairs(&changes.set, in_clear)),
        ..Setting::BLANK
    },
    Setting {
        key: "add",
        kind: Kind::Map(&Kind::TEXTS),
        default: "{}",
        about: "fields beside what the message has of that name",
        read: |node, draft| {
            draft.changes.add = part(node, "add", draft)?;
            Some(())
        },
        show: |changes| Some(show_added(&changes.add, in_clear)),
        ..Setting::BLANK
    },
    Setting {
        key: "remove",
        kind: Kind::TEXTS,
        default: "[]",
        about: "names of fields that are taken off",
        read: |node, draft| {
            draft.changes.remove = removed(node, draft);
            Some(())
        },
        show: |changes| Some(written::strings(&changes.remove)),
        ..Setting::BLANK
    },
];

/// The messages whose fields are changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Answer,
    /// A request to an upstream or a handler.
    Request,
}

/// The table while its keys are read.
struct Draft {
    message: Message,
    changes: HeaderChanges,
    mentions: Vec<Mention>,
}

/// A field that the table mentions, and where.
struct Mention {
    name: String,
    part: &'static str,
    spot: Spot,
}

impl Mention {
    /// Whether the message gets the field.
    fn gives(&self) -> bool {
        self.part != "remove"
    }
}

/// Reads `request_headers`. Parts with a mistake are left out.
pub(super) fn request_headers(node: Node<'_>) -> Option<HeaderChanges> {
    read(node, Message::Request).map(|draft| draft.changes)
}

/// Reads `headers` of one level, or `request_headers`. Parts with a mistake are left out.
fn read(node: Node<'_>, message: Message) -> Option<Draft> {
    let help = match message {
        Message::Answer => "write headers = { X-Frame-Options = \"DENY\" }",
        Message::Request => "write request_headers = { X-Tenant = \"a\" }",
    };
    let mut draft = Draft {
        message,
        changes: HeaderChanges::default(),
        mentions: Vec::new(),
    };
    let mut section = node.section(format!("`{}`", node.name), Some(help.to_owned()))?;
    if !SETTINGS.iter().any(|part| section.has(part.key)) {
        draft.changes.set = fields(&section, "set", &mut draft);
        return Some(draft);
    }
    walk(&mut section, SETTINGS, &mut draft);
    section.close_or(|name| {
        let is_field = parse_field_name(name).is_ok();
        is_field.then(|| format!("a field goes into `set`: set = {{ {name} = \"…\" }}"))
    });
    Some(draft)
}

/// Changes of fields in the terms of the file.
pub(super) fn show_headers(changes: &HeaderChanges) -> String {
    written::inline(show(SETTINGS, changes))
}

/// As [`show_headers`], for requests: what an upstream is told may be a password or a token. Only what comes
/// from the client's request alone, such as `{path}`, is none.
pub(super) fn show_request_headers(changes: &HeaderChanges) -> String {
    let value = |value: &RequestText| {
        let is_text = |part: &TextPart| matches!(part, TextPart::Text(_));
        if value.parts.iter().any(is_text) {
            written::secret(&value.written)
        } else {
            written::string(&value.written)
        }
    };
    written::inline([
        ("set", pairs(&changes.set, value)),
        ("add", show_added(&changes.add, value)),
        ("remove", written::strings(&changes.remove)),
    ])
}

/// A value that clients see anyway.
fn in_clear(value: &RequestText) -> String {
    written::string(&value.written)
}

/// Reads the table `name`, which is `set` or `add`.
fn part(
    node: Node<'_>,
    name: &'static str,
    draft: &mut Draft,
) -> Option<Vec<(String, RequestText)>> {
    let help = format!("write {name} = {{ X-Frame-Options = \"DENY\" }}");
    let section = node.section(format!("`{name}`"), Some(help))?;
    Some(fields(&section, name, draft))
}

/// Fields with one value each.
fn pairs(fields: &[(String, RequestText)], shown: fn(&RequestText) -> String) -> String {
    let field = |(name, value): &(String, RequestText)| (name.clone(), shown(value));
    written::inline(fields.iter().map(field))
}

/// The fields of `add`, with the values of one name in one array.
fn show_added(added: &[(String, RequestText)], shown: fn(&RequestText) -> String) -> String {
    let mut fields: Vec<(&String, Vec<String>)> = Vec::new();
    for (name, value) in added {
        let value = shown(value);
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
    draft: &mut Draft,
) -> Vec<(String, RequestText)> {
    let mut fields = Vec::new();
    for (key, node) in section.entries() {
        let name = key.parse(|name| match part {
            "add" => check_added_name(name, draft.message),
            _ => check_name(name, draft.message),
        });
        let values = match part {
            "add" => node.one_or_more(),
            _ => vec![node],
        };
        let value = |node: Node<'_>| {
            let text = node.text()?;
            warn_of_foreign(&text);
            text.parse(|value| parse_value(key.name, value, draft.message))
        };
        let values: Vec<RequestText> = values.into_iter().filter_map(value).collect();
        let Some(name) = name.filter(|name| is_new(&key, name, part, &mut draft.mentions)) else {
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
fn removed(node: Node<'_>, draft: &mut Draft) -> Vec<String> {
    let mentions = &mut draft.mentions;
    let mut names: Vec<String> = Vec::new();
    for node in node.one_or_more() {
        let Some(name) = node
            .text()
            .and_then(|text| text.parse(|name| check_name(name, draft.message)))
        else {
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

/// Reads the name of a field that the operator may change. With `_` for `-` it is the same field: see
/// [`is_same_variable`](crate::http::fields::is_same_variable).
pub(super) fn check_name(name: &str, message: Message) -> Result<String, Fault> {
    let rule = FieldRule::of(&name.replace('_', "-"));
    let fault = |name: &str| Fault::new(0..name.len(), format!("`{name}` cannot be changed"));
    match message {
        Message::Answer if !rule.may_be_set_by(Setter::Configuration) => {
            Err(fault(rule.name).help(reason(rule.role)))
        }
        Message::Request if matches!(rule.role, FieldRole::Framing | FieldRole::Connection) => {
            Err(fault(rule.name).help(reason(rule.role)))
        }
        Message::Request if name.eq_ignore_ascii_case("Host") => Err(fault("Host").help(
            "the setting is called `host`, beside `proxy`: host = \"keep\", \"upstream\" or a name",
        )),
        Message::Request if name.eq_ignore_ascii_case("Expect") => {
            Err(fault("Expect").help("the client says whether it waits before it sends content"))
        }
        _ => parse_field_name(name),
    }
}

/// Reads the name of a field that is added to those of the same name.
fn check_added_name(name: &str, message: Message) -> Result<String, Fault> {
    let rule = FieldRule::of(name);
    if rule.is_single && rule.may_be_set_by(Setter::Configuration) {
        let text = format!("a message has one `{}`, so none can be added", rule.name);
        let help = "write it in `set`, which takes the place of the message's own";
        return Err(Fault::new(0..name.len(), text).help(help));
    }
    check_name(name, message)
}

/// Reads the value of the field `name`. A value in an answer that the server itself goes by must have its
/// form.
fn parse_value(name: &str, value: &str, message: Message) -> Result<RequestText, Fault> {
    let parsed = parse_freely(&parse_field_value(value)?)?;
    if message == Message::Request {
        return Ok(parsed);
    }
    let fault = |message: &str| Fault::new(0..value.len(), message);
    if name.eq_ignore_ascii_case("Location") && parsed.as_plain().is_none() {
        check_host(&parsed)?;
    }
    let name = FieldRule::of(name).name;
    let is_read_here = matches!(name, "Content-Type" | "ETag" | "Last-Modified" | "Vary");
    if is_read_here && parsed.as_plain().is_none() {
        let message = format!("`{name}` has no variables, because the server itself goes by it");
        return Err(fault(&message).help("write the value as it is"));
    }
    match name {
        "Content-Type" => parse_media_type(value).map(RequestText::plain),
        "ETag" if EntityTag::parse(value.as_bytes()).is_none() => Err(fault(
            "an entity tag stands between quotes of its own (RFC 9110 §8.8.3)",
        )
        .help(format!("write '\"{}\"'", value.replace('"', "")))),
        "Last-Modified" if HttpDate::parse(value.as_bytes()).is_none() => {
            Err(fault("this is no date of HTTP (RFC 9110 §5.6.7)")
                .help("write it like \"Sun, 06 Nov 1994 08:49:37 GMT\""))
        }
        "Vary" if !list::elements(value.as_bytes()).all(is_token) => {
            Err(fault("`Vary` lists names of fields (RFC 9110 §12.5.5)")
                .help("write \"Origin, Accept-Language\""))
        }
        _ => Ok(parsed),
    }
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
    fn a_client_does_not_say_where_a_location_leads() {
        for (name, value, is_taken) in [
            ("Location", "https://{id}/", false),
            ("location", "//{rest}", false),
            ("Location", "{query}", false),
            ("Location", "https://{id}.example.com/", true),
            ("Location", "{path}/{query}", true),
            ("Location", "https://{host}{path}", true),
            ("Location", "app:", true),
            ("Content-Location", "{query}", true),
        ] {
            let found = parse_value(name, value, Message::Answer);
            assert_eq!(found.is_ok(), is_taken, "{name}: {value}");
        }
    }

    #[test]
    fn a_value_that_the_server_goes_by_has_its_form() {
        for (name, value, is_taken) in [
            ("ETag", "\"v1\"", true),
            ("etag", "W/\"v1\"", true),
            ("ETag", "v1", false),
            ("ETag", "\"a b\"", false),
            ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Last-Modified", "yesterday", false),
            ("Content-Type", "text/x; a=b", true),
            ("Content-Type", "text", false),
            ("Vary", "Origin, Accept", true),
            ("Vary", "*", true),
            ("Vary", "Origin Accept", false),
            ("X", "v1", true),
        ] {
            assert_eq!(
                parse_value(name, value, Message::Answer).is_ok(),
                is_taken,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn a_field_that_stands_once_is_set_and_not_added() {
        for name in ["ETag", "last-modified", "Content-Type", "Location", "Date"] {
            assert!(check_added_name(name, Message::Answer).is_err(), "{name}");
        }
        for name in ["Link", "Vary", "Set-Cookie", "X"] {
            assert!(check_added_name(name, Message::Answer).is_ok(), "{name}");
        }
    }

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
            ("Content_Length", FRAMING),
            ("transfer_encoding", FRAMING),
        ] {
            let fault = check_name(name, Message::Answer).expect_err(name);
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
            assert_eq!(check_name(name, Message::Answer).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_request_keeps_the_fields_that_frame_it_or_are_of_its_connection() {
        for name in [
            "Connection",
            "keep-alive",
            "TE",
            "Upgrade",
            "Transfer-Encoding",
            "content-length",
            "Trailer",
            "Proxy-Connection",
            "Proxy-Authorization",
            "host",
            "Expect",
            // CGI and WSGI make the same variable of these as of the names with hyphens.
            "Transfer_Encoding",
            "content_length",
            "Proxy_Connection",
        ] {
            assert!(check_name(name, Message::Request).is_err(), "{name}");
        }
        for name in [
            "X-Tenant",
            "Authorization",
            "Date",
            "Range",
            "Content-Type",
            "X-Forwarded-Proto",
        ] {
            assert_eq!(check_name(name, Message::Request).as_deref(), Ok(name));
        }
        assert!(parse_value("ETag", "v1", Message::Request).is_ok());
    }
}
