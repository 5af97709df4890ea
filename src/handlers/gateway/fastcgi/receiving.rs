//! A response on its way from the application server: from octets to a header section and content.
//!
//! No I/O: it takes octets in pieces of any size. The states follow one another, and no state is
//! entered twice:
//!
//! ```text
//! HeaderSection ─→ Content ─→ Ended
//!      └──────────────────────→ ↑     everything came at once, or there is no whole head
//! ```

use super::error::UpstreamError;
use super::record::{self, Decoder, ProtocolStatus, RecordError, Step};
use crate::handlers::gateway::script_log::ScriptLog;
use crate::handlers::gateway::script_response::{HeaderSection, ScriptAnswer, ScriptError};
use crate::upstream::Protocol;

/// Octets of output that may wait to be taken.
const MAX_OUTPUT: usize = 64 * 1024;

/// A response on its way.
pub(super) struct Receiving {
    decoder: Decoder,
    /// Octets of the script's output that have not been taken.
    output: Vec<u8>,
    /// What the script writes to its error stream.
    log: ScriptLog,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The end of the header section has not come.
    HeaderSection,
    /// The header section is complete. From here on any octet shows that the script goes on.
    Content,
    /// The application server has said that the request is done. Octets behind that belong to no
    /// response, and are dropped.
    Ended,
}

impl Receiving {
    /// A response of which nothing has come; the script's messages go to `log`.
    pub(super) fn new(log: ScriptLog) -> Self {
        Self {
            decoder: Decoder::default(),
            output: Vec::new(),
            log,
            state: State::HeaderSection,
        }
    }

    /// Takes `input` apart; how the request ended, if it did.
    fn decode(&mut self, mut input: &[u8]) -> Result<Option<ProtocolStatus>, RecordError> {
        loop {
            match self.decoder.step(&mut input)? {
                Step::NeedMore => return Ok(None),
                Step::Output(octets) => self.output.extend_from_slice(octets),
                Step::Messages(octets) => self.log.push(octets),
                Step::End { protocol, .. } => return Ok(Some(protocol)),
            }
        }
    }

    /// Moves the output to `section`; the head of the response once it is complete. Content that came
    /// with it stays here.
    ///
    /// # Errors
    /// Output that is no response.
    pub(super) fn head(
        &mut self,
        section: &mut HeaderSection,
    ) -> Result<Option<ScriptAnswer>, ScriptError> {
        let mut answer = section.push(&std::mem::take(&mut self.output))?;
        if answer.is_some() && !self.is_ended() {
            self.state = State::Content;
        }
        if let Some(ScriptAnswer::Response(head)) = &mut answer {
            self.output = std::mem::take(&mut head.content);
        }
        Ok(answer)
    }
}

impl Protocol for Receiving {
    type Fault = UpstreamError;

    fn push_content(&mut self, block: &[u8], goes_on: bool, out: &mut Vec<u8>) {
        record::push_content(block, out);
        if !goes_on {
            record::push_end_of_content(out);
        }
    }

    fn receive(&mut self, octets: &[u8]) -> Result<(), UpstreamError> {
        if octets.is_empty() {
            return Err(UpstreamError::ClosedEarly);
        }
        match self.decode(octets)? {
            Some(ProtocolStatus::Complete) => self.state = State::Ended,
            Some(ProtocolStatus::Overloaded) => return Err(UpstreamError::Overloaded),
            Some(ProtocolStatus::CannotMultiplex) => return Err(UpstreamError::CannotMultiplex),
            Some(ProtocolStatus::UnknownRole) => return Err(UpstreamError::UnknownRole),
            None => {}
        }
        Ok(())
    }

    fn content(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn is_full(&self) -> bool {
        self.output.len() >= MAX_OUTPUT
    }

    fn is_in_content(&self) -> bool {
        self.state == State::Content
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STDOUT: u8 = 6;
    const END: u8 = 3;

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len() as u8;
        [&[1, kind, 0, 1, 0, length, 0, 0][..], content].concat()
    }

    fn end(protocol: u8) -> Vec<u8> {
        record(END, &[0, 0, 0, 0, protocol, 0, 0, 0])
    }

    fn receiving() -> Receiving {
        Receiving::new(ScriptLog::new("test"))
    }

    fn take(receiving: &mut Receiving) -> Vec<u8> {
        std::mem::take(receiving.content())
    }

    #[test]
    fn passes_from_nothing_to_the_end() {
        let (mut receiving, mut section) = (receiving(), HeaderSection::default());
        receiving
            .receive(&record(STDOUT, b"Status: 20"))
            .expect("output");
        assert!(!receiving.is_in_content());
        assert_eq!(receiving.head(&mut section), Ok(None));
        receiving
            .receive(&record(STDOUT, b"1\n\nab"))
            .expect("output");
        assert!(matches!(
            receiving.head(&mut section),
            Ok(Some(ScriptAnswer::Response(_)))
        ));
        assert!(receiving.is_in_content() && !receiving.is_ended());
        assert_eq!(take(&mut receiving), b"ab");
        receiving
            .receive(&[record(STDOUT, b"c"), end(0)].concat())
            .expect("the end");
        assert_eq!(take(&mut receiving), b"c");
        assert!(receiving.is_ended());
    }

    #[test]
    fn everything_may_come_at_once() {
        let (mut receiving, mut section) = (receiving(), HeaderSection::default());
        receiving
            .receive(&[record(STDOUT, b"Status: 200\n\nab"), end(0)].concat())
            .expect("the end");
        assert!(matches!(receiving.head(&mut section), Ok(Some(_))));
        assert!(receiving.is_ended(), "a head does not take the end back");
        assert_eq!(take(&mut receiving), b"ab");
    }

    #[test]
    fn what_comes_behind_the_end_is_dropped() {
        let mut receiving = receiving();
        let input = [end(0), record(STDOUT, b"x")].concat();
        receiving.receive(&input).expect("the end");
        assert!(receiving.is_ended() && take(&mut receiving).is_empty());
    }

    #[test]
    fn errors_say_what_happened() {
        for (input, expected) in [
            (Vec::new(), "it closed the connection"),
            (vec![2; 8], "it sent what is no FastCGI"),
            (end(1), "it refused the request, as one that would share"),
            (end(2), "it is overloaded"),
            (end(3), "it refused the request, for it is no responder"),
        ] {
            let error = receiving().receive(&input).expect_err(expected);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn stops_where_the_output_is_not_taken() {
        let mut receiving = receiving();
        let block = record(STDOUT, &[b'x'; 255]);
        for _ in 0..MAX_OUTPUT / 255 {
            assert!(!receiving.is_full());
            receiving.receive(&block).expect("output");
        }
        receiving.receive(&block).expect("output");
        assert!(receiving.is_full());
    }
}
