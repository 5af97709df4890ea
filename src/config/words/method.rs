//! The name of a method (RFC 9110 §9.1), as it stands in a request line: case matters.

use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::http::method::Method;

/// Reads the name of a method that the server knows.
///
/// # Errors
/// It is none; the fault names the method that is meant, if there is one like it.
pub(crate) fn parse_method(text: &str) -> Result<Method, Fault> {
    if let Some(method) = Method::from_bytes(text.as_bytes()) {
        return Ok(method);
    }
    let message = format!("`{}` is not a method", text.escape_debug());
    let fault = Fault::new(0..text.len(), message);
    let meant = nearest(text, Method::ALL.iter().map(|method| method.as_str()));
    Err(match meant {
        Some(method) => fault.help(format!("did you mean `{method}`?")),
        None => fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_method_that_is_meant() {
        assert_eq!(parse_method("PATCH"), Ok(Method::Patch));
        for (text, help) in [
            ("patch", Some("did you mean `PATCH`?")),
            ("GTE", Some("did you mean `GET`?")),
            ("BREW", None),
            ("", None),
        ] {
            let fault = parse_method(text).expect_err(text);
            assert_eq!(fault.help.as_deref(), help, "{text}");
        }
    }
}
