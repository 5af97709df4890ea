//! `handler = NAME`, and the options beside it: code that is part of the program.
//!
//! The check is only whether a handler of that name exists. The handler is made later, when the
//! configuration is prepared. A fault that its factory reports is then shown at the places that are
//! noted here.

use std::borrow::Cow;
use std::time::Duration;

use toml::de::DeValue;

use super::blocking::THREADS;
use super::setting::{Kind, Setting, rows, set, show, walk};
use super::verb::{Answer, VerbKeys};
use crate::api::{HandlerSpec, Options};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::suggest::nearest;
use crate::config::model::{DEFAULT_CODE_TIMEOUT, PluginRoute, Route, Verb};
use crate::config::tree::named_handler::NamedHandler;
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::units::WAIT;
use crate::config::words::written;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "handler",
    usage: "handler = \"NAME\"",
    example: "\"/hello\" = { handler = \"hello\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

/// The verb and its options while they are read.
struct Draft {
    name: String,
    options: toml::Table,
    timeout: Duration,
    stream: bool,
    decompress: bool,
    threads: Option<usize>,
}

const SETTINGS: &[Setting<Draft, PluginRoute>] = &[
    Setting {
        key: "handler",
        kind: Kind::Text,
        about: "code of the program's own, by the name it was registered under",
        read: |node, draft| set(&mut draft.name, node.text().map(|text| text.value)),
        show: |route| Some(written::string(&route.handler.name)),
        ..Setting::BLANK
    },
    Setting {
        key: "options",
        kind: Kind::Map(&Kind::Any),
        default: "{}",
        about: "what its factory takes",
        read: |node, draft| set(&mut draft.options, table(node)),
        show: |route| Some(written::secret_table(route.handler.options.table())),
        ..Setting::BLANK
    },
    Setting {
        read: |node, draft| set(&mut draft.timeout, node.duration(WAIT)),
        show: |route| Some(written::duration(route.timeout)),
        ..Setting::TIMEOUT
    },
    Setting {
        read: |node, draft| set(&mut draft.stream, node.boolean()),
        show: |route| Some(route.stream.to_string()),
        ..Setting::STREAM
    },
    Setting {
        key: "decompress",
        kind: Kind::Boolean,
        default: "false",
        about: "content in gzip, br or zstd is decoded before the handler gets it, within `max_content`",
        read: |node, draft| set(&mut draft.decompress, node.boolean()),
        show: |route| Some(route.decompress.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "threads",
        kind: Kind::integer(&THREADS),
        about: "threads of the route's own, in the place of those of `blocking`: however slow the \
                handler is, it holds up no other route",
        read: |node, draft| set(&mut draft.threads, node.count(THREADS).map(Some)),
        show: |route| route.threads.map(|threads| threads.to_string()),
        ..Setting::BLANK
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut draft = Draft {
        name: String::new(),
        options: toml::Table::new(),
        timeout: DEFAULT_CODE_TIMEOUT,
        stream: false,
        decompress: false,
        threads: None,
    };
    let walked = walk(section, SETTINGS, &mut draft);
    let options = section.peek("options");
    if !walked.took("handler") || options.is_some() && !walked.took("options") {
        return None;
    }
    let node = section.peek("handler")?;
    let Draft {
        name,
        options: table,
        timeout,
        stream,
        decompress,
        threads,
    } = draft;
    let cx = node.cx;
    if !cx.surroundings.handlers.has(&name) {
        report_unknown(node, &name);
        return None;
    }
    let directory = cx.source.path.parent().unwrap_or("".as_ref());
    let spec = HandlerSpec {
        name,
        options: Options::new(table, directory.to_owned()),
    };
    cx.handlers.borrow_mut().push(NamedHandler {
        spec: spec.clone(),
        name: node.spot(),
        options: options.map(|node| node.spot()),
        values: options.map(spots_of_values).unwrap_or_default(),
    });
    let route = PluginRoute {
        handler: spec,
        timeout,
        stream,
        decompress,
        threads,
    };
    Some(Verb::Handler(route).into())
}

/// Where the value of each option stands.
fn spots_of_values(options: Node<'_>) -> Vec<(String, Spot)> {
    let DeValue::Table(table) = options.value.get_ref() else {
        return Vec::new();
    };
    let values = table.iter();
    let spot = |(key, value): (&toml::Spanned<Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        (key.get_ref().to_string(), options.cx.spot(value.span()))
    };
    values.map(spot).collect()
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Handler(route) = &route.verb else {
        return None;
    };
    Some(show(SETTINGS, route))
}

fn report_unknown(node: Node<'_>, name: &str) {
    let cx = node.cx;
    let names: Vec<&str> = cx.surroundings.handlers.names().collect();
    let meant = nearest(name, names.iter().copied());
    let label = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`?"));
    let help = match names.as_slice() {
        [] => "handlers are named by the program that is built with tidegate as a library; \
               this program names none"
            .to_owned(),
        names => format!("this program has `{}`", names.join("`, `")),
    };
    let message = format!("no handler is called `{name}`");
    cx.report(Diagnostic::error(message).at(node.spot(), label).help(help));
}

/// The options, with the variables of their strings replaced.
fn table(node: Node<'_>) -> Option<toml::Table> {
    let DeValue::Table(_) = node.value.get_ref() else {
        let help = Some("write options = { greeting = \"hi\" }".to_owned());
        return node.refuse_type("a table", help);
    };
    match value(node)? {
        toml::Value::Table(table) => Some(table),
        _ => None,
    }
}

fn value(node: Node<'_>) -> Option<toml::Value> {
    let inner = |name, value| Node {
        cx: node.cx,
        name,
        value,
    };
    Some(match node.value.get_ref() {
        DeValue::String(_) => toml::Value::String(node.text()?.value),
        DeValue::Integer(_) => {
            let number = node.number().and_then(|number| i64::try_from(number).ok());
            toml::Value::Integer(node.within(number, i64::MIN..=i64::MAX, |n| n.to_string())?)
        }
        DeValue::Float(float) => toml::Value::Float(float.as_str().replace('_', "").parse().ok()?),
        DeValue::Boolean(boolean) => toml::Value::Boolean(*boolean),
        DeValue::Datetime(datetime) => toml::Value::Datetime(*datetime),
        DeValue::Array(array) => {
            let values = array.iter().map(|element| value(inner(node.name, element)));
            toml::Value::Array(values.collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(key, element)| {
                let key: &toml::Spanned<Cow<'_, str>> = key;
                let name = key.get_ref();
                Some((name.clone().into_owned(), value(inner(name, element))?))
            };
            toml::Value::Table(table.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}
