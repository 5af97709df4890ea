//! The text of a file, which must be UTF-8.

use std::path::Path;
use std::string::FromUtf8Error;
use std::sync::Arc;

use crate::config::complaint::diagnostic::{Diagnostic, Source, Spot};
use crate::config::keys::secrets::hide_secrets;

/// `text` under the name of its file.
pub(super) fn source(file: &Path, text: String) -> Arc<Source> {
    Arc::new(Source::new(Arc::new(file.to_owned()), text, hide_secrets))
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
