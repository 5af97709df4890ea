//! `tidegate log`: what the running server answers, as it does, or what has failed last.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::config_file::ConfigFile;
use crate::control::client::{ClientError, Command, exchange, harmless};
use crate::control::follow::{Stream, follow};
use crate::log::diagnostic;

/// Tell what the running server answers, or what has failed last.
///
/// With --follow each exchange is a line as it ends, until Ctrl-C or the server's end; a reload or an
/// upgrade ends nothing. Without it the last exchanges that failed are printed, 50 at most: those with a
/// status of 5xx, and those whose client left or whose response was not sent to its end. No access log is
/// needed for either, and what `redact` says is left out.
///
/// A filter that is given twice, or with commas, takes any of its values; of different filters all must
/// hold.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tidegate log                                  what has failed last
  tidegate log -f --status 5xx,404              errors, as they happen
  tidegate log -f --route /api --slower 250ms   what is slow there
  tidegate log -f --json | jq .duration_us      for programs")]
pub(super) struct Log {
    /// Go on with each exchange that ends.
    #[arg(short, long)]
    follow: bool,
    /// A status or a class of them: `404`, `5xx`.
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
    /// The key of a route, as `tidegate explain` names it: `/api`. If no route has it, a path and what is
    /// below it.
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// The host of the request, without a port: `example.com`.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// The method: `POST`.
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// The client's address, or a network: `192.0.2.7`, `10.0.0.0/8`.
    #[arg(long, value_name = "ADDRESS")]
    client: Vec<String>,
    /// Why the server answered itself, or why an exchange ended badly: `tidegate reasons` lists them.
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// What took at least so long: `250ms`.
    #[arg(long, value_name = "TIME")]
    slower: Option<String>,
    /// As JSON, an object on each line.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How a line looks: `combined`, `common`, `json`, or a template, as `format` in `[log]`.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// How many of the last failures are printed; before what is followed, none unless this says so.
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<usize>,
    #[command(flatten)]
    config: ConfigFile,
}

/// How often the command checks, while no line comes, whether standard output still has a reader.
const LOOK: Duration = Duration::from_secs(1);

/// The least time between two connections, so that a server that ends each stream at once is not asked without a pause.
const PAUSE: Duration = Duration::from_millis(200);

/// Prints the last failures, or follows.
///
/// # Errors
/// The message to print.
pub(super) fn log(arguments: &Log) -> Result<(), String> {
    let config = arguments.config.path();
    let mut printer = Printer::new(arguments);
    if arguments.follow {
        return follow_on(arguments, &mut printer);
    }
    let target = arguments.target("/failures", arguments.last);
    let lines = exchange(config, command(&target)).map_err(sentence)?;
    let printed = printer.print(lines.as_bytes());
    printed.map(drop).map_err(|error| cannot_print(&error))
}

impl Log {
    /// The request-target that asks for what is wanted of `resource`, with so many of the last failures.
    fn target(&self, resource: &str, last: Option<usize>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, values) in [
            ("status", &self.status),
            ("route", &self.route),
            ("host", &self.host),
            ("method", &self.method),
            ("client", &self.client),
            ("reason", &self.reason),
        ] {
            for value in values {
                query.append_pair(name, value);
            }
        }
        let format = if self.json {
            Some("json")
        } else {
            self.format.as_deref()
        };
        for (name, value) in [("slower", self.slower.as_deref()), ("format", format)] {
            query.extend_pairs(value.map(|value| (name, value)));
        }
        query.extend_pairs(last.map(|last| ("last", last.to_string())));
        format!("{resource}?{}", query.finish())
    }

    fn is_readable(&self) -> bool {
        !self.json
            && self
                .format
                .as_deref()
                .is_none_or(|format| format == "readable")
    }
}

fn command(target: &str) -> Command<'_> {
    Command {
        method: "GET",
        target,
        accept: "*/*",
        fields: "",
    }
}

/// The message about a server that does not tell what was asked.
fn sentence(error: ClientError) -> String {
    match error {
        ClientError::Refused(text) => format!("error: {text}"),
        error => error.to_string(),
    }
}

fn cannot_print(error: &io::Error) -> String {
    format!("error: cannot write to standard output: {error}")
}

/// Why the lines of one server end.
enum End {
    /// The server ended them, or the connection to it broke.
    Server,
    /// The reader of standard output has closed it.
    Reader,
}

/// Follows the server, and any process that takes its place.
fn follow_on(arguments: &Log, printer: &mut Printer) -> Result<(), String> {
    let config = arguments.config.path();
    let target = arguments.target("/exchanges", arguments.last);
    let mut stream = follow(config, command(&target)).map_err(sentence)?;
    // The last failures are printed once.
    let target = arguments.target("/exchanges", None);
    loop {
        let (process, begun) = (stream.process(), Instant::now());
        if let End::Reader = print_all(stream, printer)? {
            return Ok(());
        }
        printer.forget_half_a_line();
        std::thread::sleep(pause_after(begun.elapsed()));
        stream = match follow(config, command(&target)) {
            Ok(stream) => stream,
            Err(ClientError::NoServer(_)) => {
                diagnostic::print("the server has ended; there is nothing more to follow\n");
                return Ok(());
            }
            Err(error) => return Err(sentence(error)),
        };
        diagnostic::print(&gone_on(process, stream.process()));
    }
}

/// How long the command waits before it connects again, after a stream that has `lasted` so long. After an upgrade the
/// successor answers already, and what it answers during a pause is not told.
fn pause_after(lasted: Duration) -> Duration {
    PAUSE.saturating_sub(lasted)
}

/// Says that what is followed now is a process of that number.
fn gone_on(before: Option<i32>, now: Option<i32>) -> String {
    let event = match (before, now) {
        (Some(before), Some(now)) if before != now => {
            format!("process {now} has taken the place of process {before}, and is followed")
        }
        _ => "the connection to the server ended; it is followed again".to_owned(),
    };
    format!("{event}; exchanges that ended meanwhile may be missing here\n")
}

/// Prints the lines of `stream` until one side ends.
fn print_all(mut stream: Stream, printer: &mut Printer) -> Result<End, String> {
    let set = stream.set_patience(Some(LOOK));
    set.map_err(|error| format!("error: cannot wait for the server: {error}"))?;
    let mut block = vec![0; 64 * 1024];
    loop {
        let read = match stream.read(&mut block) {
            Ok(0) => return Ok(End::Server),
            Ok(count) => printer.print(&block[..count]),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(printer.is_read()),
                io::ErrorKind::Interrupted => Ok(true),
                _ => return Ok(End::Server),
            },
        };
        if !read.map_err(|error| cannot_print(&error))? {
            return Ok(End::Reader);
        }
    }
}

/// Writes lines to standard output.
struct Printer {
    /// Whether the status of a line has a colour.
    is_coloured: bool,
    /// The beginning of a line whose end has not come.
    half: Vec<u8>,
}

impl Printer {
    fn new(arguments: &Log) -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_coloured: arguments.is_readable() && !is_unwanted && io::stdout().is_terminal(),
            half: Vec::new(),
        }
    }

    /// Prints the lines that end in `octets`. Returns `false` if the reader of standard output has closed it.
    ///
    /// # Errors
    /// Why they cannot be written.
    fn print(&mut self, octets: &[u8]) -> io::Result<bool> {
        let Some(end) = memchr::memrchr(b'\n', octets) else {
            self.half.extend_from_slice(octets);
            return Ok(true);
        };
        self.half.extend_from_slice(&octets[..=end]);
        let text = shown(&self.half, self.is_coloured);
        self.half.clear();
        self.half.extend_from_slice(&octets[end + 1..]);
        let mut output = io::stdout().lock();
        let written = output.write_all(text.as_bytes());
        match written.and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }

    /// Whether standard output still has a reader. The system knows that of a pipe alone; a file or a terminal
    /// always counts as read.
    fn is_read(&self) -> bool {
        let output = io::stdout();
        let mut polled = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::empty())];
        let at_once = Timespec::default();
        let looked = poll(&mut polled, Some(&at_once));
        looked.is_err() || !polled[0].revents().contains(PollFlags::ERR)
    }

    /// A connection that broke may have left the beginning of a line.
    fn forget_half_a_line(&mut self) {
        self.half.clear();
    }
}

/// Lines as they are shown. The server may be another user's, and they go to a terminal.
fn shown(lines: &[u8], is_coloured: bool) -> String {
    let text = harmless(lines);
    if !is_coloured {
        return text;
    }
    text.split_inclusive('\n').map(coloured).collect()
}

/// A readable line with its status in a colour.
fn coloured(line: &str) -> String {
    /// `Nov 22 23:54:16.007 ` is before it.
    const STATUS: std::ops::Range<usize> = 20..23;
    let parts = (
        line.get(..STATUS.start),
        line.get(STATUS),
        line.get(STATUS.end..),
    );
    let (Some(before), Some(status), Some(after)) = parts else {
        return line.to_owned();
    };
    let colour = match status.as_bytes() {
        [b'5', ..] => "31",
        [b'4', ..] => "33",
        [b'3', ..] => "36",
        [b'1' | b'2', ..] => "32",
        _ => return line.to_owned(),
    };
    if !status.bytes().all(|octet| octet.is_ascii_digit()) {
        return line.to_owned();
    }
    format!("{before}\x1b[{colour}m{status}\x1b[0m{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        log: Log,
    }

    fn target(arguments: &[&str]) -> String {
        let arguments = [&["log"], arguments].concat();
        let cli = <Cli as clap::Parser>::try_parse_from(arguments);
        let log = cli.expect("valid").log;
        log.target("/exchanges", log.last)
    }

    #[test]
    fn arguments_become_a_query() {
        for (arguments, expected) in [
            (&[][..], "/exchanges?"),
            (
                &["-f", "--status", "5xx", "--status", "404"],
                "/exchanges?status=5xx&status=404",
            ),
            (
                &["--route", "= /a b", "-n", "3"],
                "/exchanges?route=%3D+%2Fa+b&last=3",
            ),
            (
                &["--json", "--slower", "1s"],
                "/exchanges?slower=1s&format=json",
            ),
            (&["--format", "{path}"], "/exchanges?format=%7Bpath%7D"),
        ] {
            assert_eq!(target(arguments), expected, "{arguments:?}");
        }
    }

    /// It paused before each connection, so that it missed what a successor answered in its first 200 ms.
    #[test]
    fn only_a_stream_that_ends_at_once_is_followed_by_a_pause() {
        assert_eq!(pause_after(Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(pause_after(PAUSE), Duration::ZERO);
        assert_eq!(pause_after(Duration::ZERO), PAUSE);
    }

    #[test]
    fn a_status_has_its_colour_and_no_line_harms_the_terminal() {
        let line = "Nov 22 23:54:16.007 502 GET h/a <1ms 0B 192.0.2.7\n";
        let lost = "… 3 records lost: they came faster than they were read …\n";
        let all = format!("{line}{lost}\u{9b}2J\x1b\u{202e}\n");
        assert_eq!(
            shown(all.as_bytes(), true),
            format!(
                "{}{lost}\u{fffd}2J\u{fffd}\u{fffd}\n",
                line.replace("502", "\x1b[31m502\x1b[0m")
            )
        );
        assert_eq!(shown(line.as_bytes(), false), line);
    }
}
