//! The configuration: from any text to checked values, or to diagnostics that can be shown.

use std::env::VarError;
use std::path::Path;

use crate::api::Handlers;
use crate::config::{self, Surroundings};

/// A configuration: what is good can be dumped, and the dump means the same; what is not good has
/// diagnostics that can be rendered, in text, in colour and as JSON.
pub fn configuration(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    // Other files are not part of the input, and some never end.
    if text.contains("include") {
        return;
    }
    match check(text) {
        Ok(dump) => {
            let again = check(&dump).unwrap_or_else(|report| {
                panic!("{text}\nis good, but its dump is not:\n{dump}\n{report}")
            });
            assert_eq!(again, dump, "the dump of a dump");
        }
        Err(report) => assert!(report.contains("error"), "refused without a reason: {text}"),
    }
}

/// The dump of `text` if it is good.
///
/// # Errors
/// The diagnostics, as an operator sees them.
fn check(text: &str) -> Result<String, String> {
    let handlers = Handlers::new();
    let surroundings = Surroundings {
        environment: &|name| {
            if name.starts_with('A') {
                Ok("a\"value".to_owned())
            } else {
                Err(VarError::NotPresent)
            }
        },
        handlers: &handlers,
        look_up: &|name, port| vec![([127, 0, 0, name.len() as u8], port).into()],
    };
    let checked = config::parse(text, Path::new("fuzz.toml"), surroundings);
    match checked.finish() {
        Ok(loaded) => Ok(config::dump_with_secrets(&loaded.config)),
        Err(report) => {
            let (plain, coloured) = (report.render(false), report.render(true));
            assert!(coloured.len() >= plain.len());
            assert!(report.to_json().is_array() || report.to_json().is_object());
            Err(plain)
        }
    }
}
