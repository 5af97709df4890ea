//! Keys of `cache_control` and `expires` in the syntax of other servers and tools: lists, braces and regular
//! expressions. As a pattern over paths none of them matches a file.
//!
//! ```text
//! css,js   css|js   *.{css,js}   ~*\.(css|js)$   \.css$
//! ```

use crate::config::complaint::fault::Fault;
use crate::http::media_type;

/// Refuses a key in another syntax.
pub(crate) fn refuse_other_syntax(key: &str) -> Result<(), Fault> {
    let extensions = extensions(key);
    // A name may have a blank.
    let are_known = || extensions.iter().all(|end| is_known_extension(end));
    let is_list = extensions.len() > 1 && (key.contains(',') || key.contains(' ') && are_known());
    let is_expression = key.contains(['|', '\\'])
        || key.starts_with("~*")
        || key.starts_with("~ ")
        || key.starts_with('^')
        || key.ends_with('$');
    let has_braces = key.contains('{') && key.contains(',');
    if !is_list && !is_expression && !has_braces {
        return Ok(());
    }
    let message = format!(
        "`{}` is no pattern over files, which has `*`, `**` and `?` alone",
        key.escape_debug()
    );
    let patterns: Vec<String> = extensions
        .iter()
        .map(|end| format!("\"*.{end}\""))
        .collect();
    let help = match &patterns[..] {
        [] => "write a key for each kind of files: \"*.css\", \"*.js\"".to_owned(),
        [pattern] => format!("write {pattern}"),
        _ => format!("write a key for each: {}", patterns.join(", ")),
    };
    Err(Fault::new(0..key.len(), message).help(help))
}

/// Whether names of files end so: the server knows a media type for it.
pub(crate) fn is_known_extension(end: &str) -> bool {
    !media_type::is_unknown(media_type::bare_for_path(format!("a.{end}").as_bytes()))
}

/// The extensions that the key seems to mean; none, if it is not made of extensions alone.
fn extensions(key: &str) -> Vec<&str> {
    let between = |open, close| {
        let (_, rest) = key.split_once(open)?;
        Some(rest.split_once(close)?.0)
    };
    let inner = between('{', '}').or_else(|| between('(', ')'));
    let inner = inner.unwrap_or_else(|| key.trim_end_matches('$'));
    let is_sign = |c: char| matches!(c, '~' | '*' | '^' | '\\' | '.' | '?' | ':' | ' ' | '(');
    let parts = inner
        .split([',', '|', ' '])
        .map(|part| part.trim_start_matches(is_sign));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let is_extension =
        |part: &&str| part.len() <= 12 && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if parts.iter().all(is_extension) {
        return parts;
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_syntaxes_have_their_remedy() {
        for (key, remedy) in [
            ("css,js", "write a key for each: \"*.css\", \"*.js\""),
            ("css, js", "write a key for each: \"*.css\", \"*.js\""),
            ("css js", "write a key for each: \"*.css\", \"*.js\""),
            ("*.css *.js", "write a key for each: \"*.css\", \"*.js\""),
            ("css|js", "write a key for each: \"*.css\", \"*.js\""),
            ("*.{css,js}", "write a key for each: \"*.css\", \"*.js\""),
            ("**/*.{css,js}", "write a key for each: \"*.css\", \"*.js\""),
            (
                "~* \\.(css|js)$",
                "write a key for each: \"*.css\", \"*.js\"",
            ),
            (
                "\\.(?:css|js)$",
                "write a key for each: \"*.css\", \"*.js\"",
            ),
            ("~*\\.css$", "write \"*.css\""),
            ("\\.css$", "write \"*.css\""),
            (
                "^/assets/",
                "write a key for each kind of files: \"*.css\", \"*.js\"",
            ),
        ] {
            let fault = refuse_other_syntax(key).expect_err(key);
            assert_eq!(fault.help.as_deref(), Some(remedy), "{key}");
        }
        for key in [
            "*.css",
            "css",
            "a, b and-more.txt",
            "[id](x)+.js",
            "{id}.js",
            "~user",
            "a$b",
            "read-me file",
        ] {
            assert_eq!(refuse_other_syntax(key), Ok(()), "{key}");
        }
    }
}
