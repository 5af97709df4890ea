//! `handler = NAME` and its `options`: code that is part of the program.
//!
//! Whether there is a handler of the name is checked here. It is made later, when the configuration is
//! prepared; what its factory refuses is then reported at the places that are noted here.

use toml::de::DeValue;

use crate::api::{HandlerSpec, Options};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::suggest::nearest;
use crate::config::model::{DEFAULT_CODE_TIMEOUT, PluginRoute};
use crate::config::tree::named_handler::NamedHandler;
use crate::config::tree::node::{Node, Text};
use crate::config::tree::section::Section;
use crate::config::words::units::WAIT;

/// The handler of a route.
pub(crate) fn plugin(section: &mut Section<'_>) -> Option<PluginRoute> {
    let name = section.take("handler").and_then(Node::text);
    let options = section.take("options");
    let timeout = section.duration("timeout", WAIT);
    let stream = section.boolean("stream").unwrap_or(false);
    let name = name?;
    let table = match options {
        Some(node) => table(node)?,
        None => toml::Table::new(),
    };
    let cx = name.node.cx;
    let directory = cx.source.path.parent().unwrap_or("".as_ref()).to_owned();
    let spec = HandlerSpec {
        name: name.value.clone(),
        options: Options::new(table, directory),
    };
    if !cx.surroundings.handlers.has(&spec.name) {
        return report_unknown(&name);
    }
    let named = NamedHandler::new(spec.clone(), name.node, options);
    cx.handlers.borrow_mut().push(named);
    Some(PluginRoute {
        handler: spec,
        timeout: timeout.unwrap_or(DEFAULT_CODE_TIMEOUT),
        stream,
    })
}

fn report_unknown<T>(name: &Text<'_>) -> Option<T> {
    let cx = name.node.cx;
    let names: Vec<&str> = cx.surroundings.handlers.names().collect();
    let meant = nearest(&name.value, names.iter().copied());
    let label = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`?"));
    let help = match names.as_slice() {
        [] => "handlers are named by the program that is built with tidegate as a library; \
               this program names none"
            .to_owned(),
        names => format!("this program has `{}`", names.join("`, `")),
    };
    let message = format!("no handler is called `{}`", name.value);
    cx.report(
        Diagnostic::error(message)
            .at(name.node.spot(), label)
            .help(help),
    );
    None
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
                let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
                let name = key.get_ref();
                Some((name.clone().into_owned(), value(inner(name, element))?))
            };
            toml::Value::Table(table.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}
