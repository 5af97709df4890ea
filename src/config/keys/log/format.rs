//! `format`: how a line of an access log looks.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::keys::setting::Kind;
use crate::config::model::LogFormat;
use crate::config::tree::node::Node;
use crate::config::words::log_format::{parse_template, show_template};
use crate::config::words::written;

pub(super) const KIND: Kind = Kind::Either(&[Kind::Word(names), Kind::Text]);

pub(super) const ABOUT: &str = "how a line looks: \"combined\", \"common\", \"json\", or a template: \
                                \"{client} {method} {path} {status} {duration_us} {reason}\"";

/// The formats that have names.
const NAMES: [(&str, LogFormat); 3] = [
    ("combined", LogFormat::Combined),
    ("common", LogFormat::Common),
    ("json", LogFormat::Json),
];

fn names() -> Vec<&'static str> {
    NAMES.iter().map(|(name, _)| *name).collect()
}

/// Reads a name, or a template, which has a variable.
pub(super) fn read(node: Node<'_>) -> Option<LogFormat> {
    let text = node.text()?;
    if let Some((_, format)) = NAMES.into_iter().find(|(name, _)| *name == text.value) {
        return Some(format);
    }
    if text.value.contains('{') {
        return text.parse(parse_template).map(LogFormat::Template);
    }
    let meant = nearest(&text.value, names());
    let label = meant.map_or(String::new(), |name| format!("did you mean \"{name}\"?"));
    let message =
        "`format` must be \"combined\", \"common\", \"json\", or a template with variables";
    let help = "a template is a text such as \"{client} {method} {path} {status} {duration_us}\"";
    node.cx.report(
        Diagnostic::error(message)
            .at(node.spot(), label)
            .help(help.to_owned()),
    );
    None
}

/// Reads a format in another place than the file.
///
/// # Errors
/// It is no name of a format, and no template.
pub(crate) fn parse_format(text: &str) -> Result<LogFormat, Fault> {
    if let Some((_, format)) = NAMES.into_iter().find(|(name, _)| *name == text) {
        return Ok(format);
    }
    if text.contains('{') {
        return parse_template(text).map(LogFormat::Template);
    }
    let message = format!("`{}` is no format", text.escape_debug());
    let help = "the formats are combined, common, json, and templates such as \"{client} {path} {status}\"";
    Err(Fault::new(0..text.len(), message).help(help))
}

pub(super) fn show(format: &LogFormat) -> String {
    match format {
        LogFormat::Template(parts) => written::string(&show_template(parts)),
        named => {
            let mut names = NAMES.iter();
            let name = names.find(|(_, format)| format == named);
            written::string(name.map_or("", |(name, _)| name))
        }
    }
}
