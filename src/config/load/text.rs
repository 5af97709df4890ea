//! The text of a file, which must be UTF-8.

use std::ops::Range;
use std::path::Path;
use std::string::FromUtf8Error;
use std::sync::Arc;

use toml::de::DeTable;

use crate::config::complaint::diagnostic::{Diagnostic, Source, Spot};
use crate::config::complaint::unclosed;
use crate::config::keys::secrets::hide_secrets;

/// `text` under the name of its file.
pub(super) fn source(file: &Path, text: String) -> Arc<Source> {
    Arc::new(Source::new(Arc::new(file.to_owned()), text, hide_secrets))
}

/// `source`, with what closes its strings, arrays, tables and headers if that is missing.
pub(super) fn repaired(source: Arc<Source>) -> Arc<Source> {
    if errors_in(&source).is_empty() {
        return source;
    }
    let repairs = unclosed::find(&source.text);
    if repairs.is_empty() {
        return source;
    }
    let repaired = source.repaired(repairs);
    let errors = errors_in(&repaired);
    Arc::new(repaired.without_hopeless(&errors))
}

/// Where the text is not TOML.
fn errors_in(source: &Source) -> Vec<Range<usize>> {
    let (_, errors) = DeTable::parse_recoverable(&source.text);
    errors.iter().filter_map(toml::de::Error::span).collect()
}

/// The diagnostic for a file that is not UTF-8. It marks the first byte at fault.
pub(super) fn invalid_utf8(path: &Path, error: &FromUtf8Error) -> Diagnostic {
    let (bytes, valid) = (error.as_bytes(), error.utf8_error().valid_up_to());
    let source = source(path, String::from_utf8_lossy(bytes).into_owned());
    let label = format!("the byte {:#04x}", bytes[valid]);
    let span = valid..valid + char::REPLACEMENT_CHARACTER.len_utf8();
    Diagnostic::error("the file is not UTF-8")
        .at(Spot { source, span }, label)
        .help("save it as UTF-8".to_owned())
}
