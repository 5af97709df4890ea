//! What a parser of words reports: what is wrong, and where in its text.

use std::ops::Range;

/// What is wrong with a piece of text. The parser does not know where the text stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The bytes at fault, within the piece.
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            range,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// This fault, with `help` if it has none yet.
    pub(crate) fn or_help(self, help: &str) -> Self {
        if self.help.is_some() {
            return self;
        }
        self.help(help)
    }
}

/// Asserts that `parser` refuses each text of `cases`, at that range, with a message that has those
/// words.
#[cfg(test)]
pub(crate) fn assert_faults<T: std::fmt::Debug>(
    parser: impl Fn(&str) -> Result<T, Fault>,
    cases: &[(&str, Range<usize>, &str)],
) {
    for (text, range, words) in cases {
        let fault = parser(text).expect_err(text);
        assert_eq!(fault.range, *range, "{text:?}");
        assert!(fault.message.contains(words), "{text:?}: {}", fault.message);
    }
}
