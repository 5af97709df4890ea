use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::task::{Context, Poll};

use super::*;
use crate::address::UpstreamAddress;
use crate::disk::replay::SpooledContent;
use crate::test_support::TemporaryDirectory;

/// A protocol whose upstream says nothing.
#[derive(Default)]
struct Silent(Vec<u8>);

#[derive(Debug)]
enum Wrong {
    TimedOut,
    Other,
}

impl Fault for Wrong {
    fn timed_out() -> Self {
        Self::TimedOut
    }

    fn broken(_: io::Error) -> Self {
        Self::Other
    }

    fn no_head() -> Self {
        Self::Other
    }
}

impl Protocol for Silent {
    type Fault = Wrong;

    fn push_content(&mut self, _: &[u8], _: bool, _: &mut Vec<u8>) {}

    fn receive(&mut self, _: &[u8]) -> Result<(), Wrong> {
        Err(Wrong::Other)
    }

    fn content(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    fn is_full(&self) -> bool {
        false
    }

    fn is_in_content(&self) -> bool {
        true
    }

    fn is_ended(&self) -> bool {
        false
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// A dialogue that begins with `request`, with a server that listens at `path` and may take its time.
async fn dialogue_at(path: PathBuf, request: Vec<u8>) -> Dialogue<Silent> {
    let opened = Connection::open(&UpstreamAddress::Unix(path), LONG).await;
    let connection = opened.expect("a connection");
    Dialogue::new(connection, &Rc::default(), LONG, request, Silent::default())
}

/// Content of a request. The test fails if the dialogue reads it.
struct Unasked;

impl ReadContent for Unasked {
    async fn read(&mut self, _: &mut Vec<u8>) -> Result<bool, ContentError> {
        panic!("content is asked for")
    }

    fn poll_client_gone(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// The upstream refused content that the client had not begun to send: the server went on to wait for it,
/// and cut the response when it had not come in time.
#[test]
fn a_request_that_is_stopped_asks_for_no_content() {
    let directory = TemporaryDirectory::new("stopped");
    let path = directory.path().join("socket");
    let _listening = UnixListener::bind(&path).expect("a socket");
    let talk = async move {
        let mut dialogue = dialogue_at(path, b"x".to_vec()).await;
        dialogue.stop_sending();
        let (mut rest, mut into) = (Unasked, Vec::new());
        let waiting = dialogue.next(&mut rest, &mut into);
        assert!(matches!(
            either(waiting, runtime::yield_now()).await,
            Either::Second(())
        ));
        assert!(!dialogue.is_sent());
    };
    runtime::run(talk).expect("a loop");
}

/// A wait for content is dropped whenever the client takes something, and the next one gave the
/// upstream its timeout anew: a client that read slowly kept a process that did nothing.
#[test]
fn a_wait_that_is_dropped_gives_the_upstream_no_more_time() {
    let directory = TemporaryDirectory::new("dialogue");
    let path = directory.path().join("socket");
    let _listening = UnixListener::bind(&path).expect("a socket");
    let talk = async move {
        let mut dialogue = dialogue_at(path, Vec::new()).await;
        dialogue.push_content(b"", false);
        let mut rest = SpooledContent::nothing();
        let mut into = Vec::new();
        let waiting = dialogue.next(&mut rest, &mut into);
        assert!(matches!(
            either(waiting, runtime::yield_now()).await,
            Either::Second(())
        ));
        // Time passes.
        dialogue.deadline = Some(runtime::deadline_after(Duration::ZERO));
        let waiting = dialogue.next(&mut rest, &mut into);
        let Either::First(Err(Failure::Upstream(Wrong::TimedOut))) =
            either(waiting, runtime::sleep(Duration::from_millis(100))).await
        else {
            panic!("the upstream got more time");
        };
    };
    runtime::run(talk).expect("a loop");
}
