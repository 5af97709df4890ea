//! Diagnostics on standard error: what went wrong or has changed, and what the operator can do.
//!
//! Standard error may be a pipe that is not read, or a terminal that is held. No worker waits for that,
//! nor does the supervisor: while a server runs, a thread of its own writes the lines ([`start`]), and
//! what does not fit into its queue is lost and counted. Before that, lines are written at once.
//!
//! Each message becomes one line, whatever text of others it holds; what the server itself says in several
//! lines goes through [`report`].
//!
//! The story of an exchange, or of a connection of a stream, is told step by step at level debug, and for the
//! clients that `log.debug_clients` names at any level: [`debug_of`].

use std::fmt::{Arguments, Display};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::line::{self, line, lines};
use super::queue::Queue;
use super::secrets;
use crate::address::ClientAddress;
use crate::config::model::{Cidr, Log, LogLevel};
use crate::runtime::spawn_thread;

/// The least severe level that is written, and [`STORIES`]. The process has only one.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Info as u8);

/// Set in [`LEVEL`] if the stories of some clients are told whatever the level is. So one look says whether
/// there is anything to tell.
const STORIES: u8 = 0x80;

/// The clients whose stories are told.
static CLIENTS: RwLock<Vec<Cidr>> = RwLock::new(Vec::new());

/// The lines that wait to be written. The process has one standard error, and so one queue.
static QUEUE: Queue = Queue::new();

/// How long the end of a program waits until standard error has taken the last lines.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Has diagnostics be written as `log` says from now on.
pub(crate) fn configure(log: &Log) {
    let mut clients = CLIENTS.write().unwrap_or_else(PoisonError::into_inner);
    clients.clone_from(&log.debug_clients);
    drop(clients);
    let stories = if log.debug_clients.is_empty() {
        0
    } else {
        STORIES
    };
    line::set_form(log.diagnostics);
    secrets::configure(&log.redact);
    LEVEL.store(log.level as u8 | stories, Ordering::Relaxed);
}

/// Has a thread write the diagnostics from now on, until the process ends.
///
/// # Errors
/// If the system has no more threads.
pub(crate) fn start() -> io::Result<()> {
    if QUEUE.begin() {
        let started = spawn_thread("tidegate-stderr", || {
            QUEUE.write_all(write_out);
        });
        if let Err(error) = started {
            QUEUE.end();
            return Err(error);
        }
    }
    Ok(())
}

/// Waits until every line is written, but not for ever. To be called before the process ends.
pub(crate) fn finish() {
    QUEUE.wait_until_empty(FINISH_TIMEOUT);
}

/// How many lines were lost since the start, because standard error was not read.
pub(crate) fn lost() -> u64 {
    QUEUE.lost_ever()
}

/// Reports that something failed.
pub(crate) fn error(message: Arguments<'_>) {
    write(LogLevel::Error, message);
}

/// Reports that something may not be as the operator wants it.
pub(crate) fn warn(message: Arguments<'_>) {
    write(LogLevel::Warn, message);
}

/// Reports that something changed.
pub(crate) fn info(message: Arguments<'_>) {
    write(LogLevel::Info, message);
}

/// Reports a detail, for the search for a fault.
pub(crate) fn debug(message: Arguments<'_>) {
    write(LogLevel::Debug, message);
}

/// Reports a step of an exchange or a connection of `client`. The caller has asked [`may_debug`] before.
#[cold]
pub(crate) fn debug_of(client: ClientAddress, message: Arguments<'_>) {
    put(line(LogLevel::Debug, format_args!("{client}: {message}")));
}

/// Whether the stories of `client` are told whatever the level is.
fn is_chosen(client: ClientAddress) -> bool {
    let clients = CLIENTS.read().unwrap_or_else(PoisonError::into_inner);
    let address = client.ip();
    address.is_some_and(|address| clients.iter().any(|network| network.contains(address)))
}

/// Whether the story of `client` is told. Asked before anything is put into words for it.
#[inline]
pub(crate) fn may_debug(client: ClientAddress) -> bool {
    LEVEL.load(Ordering::Relaxed) >= LogLevel::Debug as u8 && is_told(client)
}

/// As [`may_debug`], where stories are told of some clients at least.
#[cold]
fn is_told(client: ClientAddress) -> bool {
    is_written(LogLevel::Debug) || is_chosen(client)
}

/// [`error`] about `subject`, such as a route. Every request may bring another, so only some are
/// written of many in a short time; the others are counted.
pub(crate) fn error_of(subject: impl Display, message: Arguments<'_>) {
    error_limited(&subject, format_args!("{subject}: {message}"));
}

/// [`error`], limited as [`error_of`] is, whose message names `subject` itself.
pub(crate) fn error_limited(subject: impl Display, message: Arguments<'_>) {
    write_limited(LogLevel::Error, &subject, message);
}

/// [`warn`], limited as [`error_limited`] is.
pub(crate) fn warn_limited(subject: impl Display, message: Arguments<'_>) {
    write_limited(LogLevel::Warn, &subject, message);
}

/// Whether programs read standard error: it leads to the journal, or lines are JSON. What a command would
/// [print](fn@print) for a person is then [reported](report()).
pub(crate) fn is_for_programs() -> bool {
    line::is_for_programs()
}

/// Writes `text`, which has its line ends, as it is: for a person who started the program.
pub(crate) fn print(text: &str) {
    put(text.to_owned());
}

/// Writes a message of several lines at once, the second and later ones indented.
pub(crate) fn report(level: LogLevel, message: &str) {
    if is_written(level) {
        put(lines(level, message));
    }
}

fn write(level: LogLevel, message: Arguments<'_>) {
    if is_written(level) {
        put(line(level, message));
    }
}

fn write_limited(level: LogLevel, subject: &dyn Display, message: Arguments<'_>) {
    if is_written(level) && QUEUE.admit(&subject.to_string(), Instant::now()) {
        put(line(level, message));
    }
}

/// Whether messages of `level` are written. A caller asks if it must do something to have a message.
#[inline]
pub(crate) fn is_written(level: LogLevel) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed) & !STORIES
}

fn put(line: String) {
    if let Some(line) = QUEUE.push(line) {
        write_out(&line);
    }
}

/// Writes a line with one call, so that lines of several processes do not mix. If that fails, there is
/// no other place to report it.
fn write_out(line: &str) {
    if cfg!(test) {
        // The test harness keeps what is printed so, and shows it if the test fails.
        eprint!("{line}");
        return;
    }
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Joins an error and its causes: `cannot read x: permission denied`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
