//! The snapshots of a running server, as they come over its control socket; and that they do not come any more.
//!
//! ```text
//! connect ──→ Events ──→ News::Snapshot, one a second
//!    ↑          └─ it ends, or fails: News::Lost, once a second, until a connection is made again
//!    └────────────┘
//! ```

use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::snapshot::{Snapshot, clean};
use crate::control::client::{ClientError, Command};
use crate::control::follow::{Stream, follow};

/// How long the server may send nothing. It sends a snapshot a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time between two tries to connect.
const RETRY: Duration = Duration::from_secs(1);

/// Longest line that is read, in bytes: a snapshot of some ten thousand series.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// What is new of the server.
#[derive(Debug)]
pub(super) enum News {
    Snapshot(Box<Snapshot>),
    /// There is no connection, for so many seconds, and why.
    Lost {
        seconds: u64,
        why: String,
    },
}

/// Asks the server that runs from `config` for its snapshots.
///
/// # Errors
/// The operator's sentence, as other commands print it.
pub(super) fn connect(config: &Path) -> Result<BufReader<Stream>, ClientError> {
    let stream = follow(
        config,
        Command {
            method: "GET",
            target: "/live",
            accept: "text/event-stream",
            fields: "",
        },
    )?;
    // A connection that cannot have a limit has none.
    let _ = stream.set_patience(Some(PATIENCE));
    Ok(BufReader::new(stream))
}

/// The snapshots of a stream, one after the other.
pub(super) struct Events<R>(pub(super) R);

impl<R: BufRead> Events<R> {
    /// Waits for the next snapshot. Events of other kinds are skipped.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub(super) fn next(&mut self) -> Result<Snapshot, String> {
        Snapshot::parse(&self.data()?)
    }

    /// The data of the next event (the HTML standard, §9.2.6).
    fn data(&mut self) -> Result<String, String> {
        let (mut data, mut is_snapshot) = (String::new(), false);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                if is_snapshot {
                    return Ok(data);
                }
                (data, is_snapshot) = (String::new(), false);
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => is_snapshot = value == "snapshot",
                "data" => data.push_str(value),
                _ => {}
            }
        }
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let read = self.0.by_ref().take(MAX_LINE).read_line(&mut line);
        match read {
            Ok(_) if line.ends_with('\n') => {}
            Ok(_) if line.len() as u64 == MAX_LINE => return Err("a line has no end".to_owned()),
            Ok(_) => return Err("the server has ended the connection".to_owned()),
            Err(error) => return Err(describe(&error)),
        }
        Ok(line.trim_end_matches(['\n', '\r']).to_owned())
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("the server has sent nothing for {} s", PATIENCE.as_secs())
        }
        io::ErrorKind::UnexpectedEof => "the server has cut the connection".to_owned(),
        _ => error.to_string(),
    }
}

/// Hands on what comes of `stream`, and connects again whenever that ends, until `take` returns `false`.
pub(super) fn run<R: BufRead>(
    stream: R,
    mut connect: impl FnMut() -> Result<R, String>,
    mut take: impl FnMut(News) -> bool,
) {
    let mut events = Events(stream);
    loop {
        let mut is_first = true;
        let mut why = loop {
            match events.next() {
                Ok(snapshot) => {
                    is_first = false;
                    if !take(News::Snapshot(Box::new(snapshot))) {
                        return;
                    }
                }
                Err(why) => break why,
            }
        };
        let since = Instant::now();
        // A server that ends each stream before its first snapshot is not asked without a pause.
        if is_first {
            std::thread::sleep(RETRY);
        }
        events = loop {
            let seconds = since.elapsed().as_secs();
            if !take(News::Lost { seconds, why }) {
                return;
            }
            match connect() {
                Ok(stream) => break Events(stream),
                Err(sentence) => why = sentence,
            }
            std::thread::sleep(RETRY);
        };
    }
}

/// The operator's sentence as a part of a line.
pub(super) fn in_a_line(error: &ClientError) -> String {
    let sentence = error.to_string();
    let sentence = sentence.trim_end();
    let first = sentence.lines().next().unwrap_or(sentence);
    clean(first.strip_prefix("error: ").unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(requests: u64) -> String {
        format!("event: snapshot\ndata: {{\"requests\":{requests}}}\n\n")
    }

    #[test]
    fn snapshots_are_taken_out_of_the_stream() {
        let stream = format!(
            ": a comment\n\n{}event: other\ndata: {{}}\n\ndata: {{}}\n\n{}",
            event(1),
            event(2).replace('\n', "\r\n")
        );
        let mut events = Events(stream.as_bytes());
        for requests in [1, 2] {
            assert_eq!(events.next().expect("a snapshot").requests, requests);
        }
        assert_eq!(
            events.next().expect_err("the end"),
            "the server has ended the connection"
        );
    }

    #[test]
    fn an_event_that_is_cut_is_none() {
        for stream in [
            "event: snapshot\ndata: {\"requests\":1}",
            "event: snapshot\ndata: {\"requests\":1}\n",
        ] {
            Events(stream.as_bytes()).next().expect_err("it is cut");
        }
    }

    #[test]
    fn a_connection_that_is_lost_is_told_of_and_made_again() {
        let first = event(1).into_bytes();
        let second = event(2).into_bytes();
        let mut others = vec![Ok(&second[..]), Err("nobody is there".to_owned())];
        let mut told = Vec::new();
        run(
            &first[..],
            || others.pop().expect("two tries"),
            |news| {
                told.push(match news {
                    News::Snapshot(snapshot) => snapshot.requests.to_string(),
                    News::Lost { why, .. } => why,
                });
                told.len() < 5
            },
        );
        let ended = "the server has ended the connection";
        assert_eq!(told, ["1", ended, "nobody is there", "2", ended]);
    }

    #[test]
    fn a_sentence_becomes_a_part_of_a_line() {
        let error = ClientError::NoServer("error: no server runs from a\u{1b}\nnor b\n".to_owned());
        assert_eq!(in_a_line(&error), "no server runs from a\u{fffd}");
    }
}
