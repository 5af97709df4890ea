use std::io::Read as _;
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

/// The longest that the end of a request may take to arrive.
const LONGEST: Duration = Duration::from_secs(10);

/// A dialogue that begins with `request`, with a server that listens at `path` and may take its time.
async fn dialogue_at(path: PathBuf, request: Vec<u8>) -> Dialogue<Silent> {
    let opened = Connection::open(&UpstreamAddress::Unix(path), LONG).await;
    let connection = opened.expect("a connection");
    Dialogue::new(connection, &Rc::default(), LONG, request, Silent::default())
}

/// Content that does not come in its time, and is then asked for no more.
struct Late {
    is_asked_for: bool,
}

impl ReadContent for Late {
    async fn read(&mut self, _: &mut Vec<u8>) -> Result<bool, ContentError> {
        assert!(!self.is_asked_for, "content is asked for again");
        self.is_asked_for = true;
        Err(ContentError::TimedOut)
    }

    fn poll_client_gone(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// The client was not invited to send the content, because the upstream has responded: if it sends none, the upstream
/// sees the end of the request, and the response is still waited for.
#[test]
fn content_that_may_be_lacking_ends_the_request_but_not_the_response() {
    for may_lack in [true, false] {
        let directory = TemporaryDirectory::new("lacking");
        let path = directory.path().join("socket");
        let listening = UnixListener::bind(&path).expect("a socket");
        let talk = async move {
            let mut dialogue = dialogue_at(path, b"x".to_vec()).await;
            if may_lack {
                dialogue.may_lack_content();
            }
            let mut rest = Late {
                is_asked_for: false,
            };
            let mut into = Vec::new();
            let waiting = dialogue.next(&mut rest, &mut into);
            let came = either(waiting, runtime::sleep(Duration::from_millis(10))).await;
            if !may_lack {
                let Either::First(Err(Failure::Client(ContentError::TimedOut))) = came else {
                    panic!("the response goes on");
                };
                return;
            }
            assert!(matches!(came, Either::Second(())));
            assert!(!dialogue.is_sent(), "the connection is not used again");
            let (mut upstream, _) = listening.accept().expect("a connection");
            let set = upstream.set_read_timeout(Some(LONGEST));
            set.expect("a socket");
            let mut request = Vec::new();
            upstream.read_to_end(&mut request).expect("the end");
            assert_eq!(request, b"x");
        };
        runtime::run(talk).expect("a loop");
    }
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
