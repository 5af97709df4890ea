//! `handler = NAME` and its `options`: from a name in the file to an instance of a handler.

use toml::de::DeValue;

use crate::api::{NoInstance, Options, OptionsError};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::suggest::nearest;
use crate::config::model::{DEFAULT_CODE_TIMEOUT, PluginRoute};
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
    let made = cx
        .surroundings
        .plugins
        .instance(&name.value, Options::new(table, directory));
    match made {
        Ok(instance) => Some(PluginRoute {
            instance,
            timeout: timeout.unwrap_or(DEFAULT_CODE_TIMEOUT),
            stream,
        }),
        Err(NoInstance::Unknown) => report_unknown(&name),
        Err(NoInstance::Refused(error)) => report_refused(&name, options, &error),
    }
}

fn report_unknown<T>(name: &Text<'_>) -> Option<T> {
    let cx = name.node.cx;
    let names: Vec<&str> = cx.surroundings.plugins.names().collect();
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

fn report_refused<T>(
    name: &Text<'_>,
    options: Option<Node<'_>>,
    error: &OptionsError,
) -> Option<T> {
    let message = format!(
        "the handler `{}` refuses its options: {}",
        name.value, error.message
    );
    let spot = spot_of(options, error).unwrap_or_else(|| name.node.spot());
    name.node.cx.report(Diagnostic::error(message).at(spot, ""));
    None
}

/// Where the refused option stands, if the error says which it is.
fn spot_of(options: Option<Node<'_>>, error: &OptionsError) -> Option<Spot> {
    let node = options?;
    let DeValue::Table(table) = node.value.get_ref() else {
        return None;
    };
    let key = error.key.as_deref().and_then(|key| table.get(key));
    let value = key.map(|value| node.cx.spot(value.span()));
    Some(value.unwrap_or_else(|| node.spot()))
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
