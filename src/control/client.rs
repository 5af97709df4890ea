//! The client of the control protocol: one exchange with a running server, HTTP over a Unix socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::socket::socket_path;
use crate::log::diagnostic;

/// Asks the server that runs from the configuration file `config`. Returns the content of its
/// response. `fields` are further field lines of the request, each with its CRLF.
///
/// # Errors
/// The content of a response that is not 2xx, or why there is none.
pub(crate) fn exchange(
    config: &Path,
    method: &str,
    target: &str,
    accept: &str,
    fields: &str,
) -> Result<String, String> {
    let (status, content) = match ask(config, method, target, accept, fields)? {
        // That server is ending and has done nothing; a successor may have taken its place.
        (503, _) => ask(config, method, target, accept, fields)?,
        answer => answer,
    };
    match status {
        200..300 => Ok(content),
        _ => Err(content),
    }
}

/// Sends the request, and returns the status and the content of the response.
///
/// # Errors
/// Why there is no response, as the operator reads it.
fn ask(
    config: &Path,
    method: &str,
    target: &str,
    accept: &str,
    fields: &str,
) -> Result<(u16, String), String> {
    let socket =
        socket_path(config).map_err(|error| format!("error: {}", diagnostic::chain(&error)))?;
    let mut stream = UnixStream::connect(&socket).map_err(|error| {
        format!(
            "error: no server runs from {} ({}: {error}); start one with `tidegate run --config {}`",
            config.display(),
            socket.display(),
            config.display()
        )
    })?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: tidegate\r\nAccept: {accept}\r\n{fields}Connection: close\r\n\r\n"
    );
    let broken = |error: std::io::Error| format!("error: the server did not answer: {error}");
    stream.write_all(request.as_bytes()).map_err(broken)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(broken)?;
    Ok(parse(&answer).ok_or("error: the server's answer was cut off")?)
}

/// Takes a response apart: its status and its content. `None` if it is incomplete.
fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(answer).ok()? {
        httparse::Status::Complete(length) => Some((
            response.code?,
            String::from_utf8_lossy(&answer[length..]).into_owned(),
        )),
        httparse::Status::Partial => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn takes_an_answer_apart() {
        let answer = b"HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 3\r\n\r\nno\n";
        assert_eq!(parse(answer), Some((422, "no\n".to_owned())));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nConte"), None);
    }
}
