//! Writes lines in few and large pieces, and tells the operator when that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::destination::{Destination, Incomplete};
use super::order::BUFFER_SIZE;
use crate::log::diagnostic;

/// How many lines of a log were lost since the start.
#[derive(Clone, Default)]
pub(crate) struct LostLines(Arc<AtomicU64>);

impl LostLines {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Ordering::Relaxed);
    }
}

pub(super) struct Output {
    destination: Destination,
    /// Lines that wait for others, to be written with them. Its memory is used again and again.
    gathered: Vec<u8>,
    lost: LostLines,
    /// How many of them the operator has read of.
    reported: u64,
    /// Whether the last write failed; the operator has read of it once.
    is_failing: bool,
}

impl Output {
    pub(super) fn new(destination: Destination, lost: LostLines) -> Self {
        Self {
            destination,
            gathered: Vec::new(),
            lost,
            reported: 0,
            is_failing: false,
        }
    }

    /// Takes `lines`, each with its LF. Many are written at once, few with those that follow.
    pub(super) fn put(&mut self, lines: &[u8]) {
        if self.gathered.len() + lines.len() > BUFFER_SIZE {
            self.flush();
        }
        if lines.len() >= BUFFER_SIZE && self.gathered.is_empty() {
            self.write(lines);
        } else {
            self.gathered.extend_from_slice(lines);
        }
    }

    /// Writes the lines that wait for others.
    pub(super) fn flush(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.gathered);
        self.write(&lines);
        lines.clear();
        self.gathered = lines;
    }

    fn write(&mut self, lines: &[u8]) {
        match self.destination.write(lines) {
            Ok(()) => self.is_failing = false,
            Err(Incomplete { lost, error }) => {
                self.lost.add(lost);
                if !std::mem::replace(&mut self.is_failing, true) {
                    diagnostic::error(format_args!(
                        "cannot write the access log {}: {error}; its lines are lost until that is mended",
                        self.destination
                    ));
                }
            }
        }
    }

    /// Closes the file and opens its path again.
    pub(super) fn reopen(&mut self) {
        match self.destination.reopen() {
            Ok(lost) => self.lost.add(lost),
            Err(error) => diagnostic::error(format_args!("{error}; writing to the old file")),
        }
        diagnostic::debug(format_args!("the access log {} is open", self.destination));
    }

    /// Gives up what cannot be written, and reports how many lines were lost.
    pub(super) fn finish(&mut self) {
        let lost = self.destination.give_up();
        self.lost.add(lost);
        self.is_failing = false;
        self.report_lost();
    }

    /// Reports how many lines were lost, if there were any. While writing fails, the operator knows.
    pub(super) fn report_lost(&mut self) {
        let lost = self.lost.count() - self.reported;
        if lost > 0 && !self.is_failing {
            self.reported += lost;
            diagnostic::warn(format_args!(
                "{lost} lines of the access log {} were lost",
                self.destination
            ));
        }
    }
}
