//! A script's error stream on its way to the log: a warning for each line. Lines are bounded in
//! number and length, because a client that makes a script complain must not fill a disk.

use std::fmt;
use std::sync::Arc;

use crate::http::method::Method;
use crate::log::diagnostic;
use crate::log::program_lines::Lines;
use crate::log::secrets;
use crate::message::request::Request;

/// The name of a script's run in the log: the route that leads to it, the request, and the script,
/// whose path a client may have chosen. It is put together when it is written: nearly every script has
/// nothing to say.
#[derive(Clone, Debug)]
pub(crate) struct RunName {
    route: Arc<str>,
    method: Method,
    target: Box<str>,
    script: Box<[u8]>,
}

impl RunName {
    /// The run of `script`, to which `route` leads, for `request`.
    pub(crate) fn new(route: &Arc<str>, request: &Request<'_>, script: &[u8]) -> Self {
        Self {
            route: Arc::clone(route),
            method: request.head.method,
            target: request.head.raw_target.into(),
            script: script.into(),
        }
    }

    /// The run of a script, for tests that log nothing.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        Self {
            route: "route".into(),
            method: Method::Get,
            target: "/".into(),
            script: (*b"script").into(),
        }
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = secrets::named(&format!("{} {}", self.method, self.target));
        let script = String::from_utf8_lossy(&self.script);
        write!(
            f,
            "{}: {request}: script `{}`",
            self.route,
            script.escape_debug()
        )
    }
}

/// Lines that are logged for one request. A script with more to say has a log of its own.
const MAX_LINES: usize = 100;

/// The error stream of one request's script. Dropping it logs what is left as a line.
pub(crate) struct ScriptLog {
    /// How the log names the script.
    name: Box<dyn fmt::Display>,
    lines: Lines,
    /// How many lines have ended.
    count: usize,
}

impl ScriptLog {
    /// An error stream of the script that the log calls `name`.
    pub(crate) fn new(name: impl fmt::Display + 'static) -> Self {
        Self {
            name: Box::new(name),
            lines: Lines::default(),
            count: 0,
        }
    }

    /// Takes some octets of the stream, and logs the lines that end in them.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        let Self { name, lines, count } = self;
        lines.push(octets, |line| log(name, count, line));
    }
}

impl Drop for ScriptLog {
    fn drop(&mut self) {
        let Self { name, lines, count } = self;
        lines.end(|line| log(name, count, line));
    }
}

/// Logs a line, unless it is one too many.
fn log(name: &dyn fmt::Display, count: &mut usize, line: &str) {
    *count += 1;
    if *count <= MAX_LINES {
        diagnostic::warn(format_args!("{name}: {line}"));
    } else if *count == MAX_LINES + 1 {
        diagnostic::warn(format_args!(
            "{name}: further messages for this request are left out"
        ));
    }
}
