use std::io::Read as _;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::task::{Context, Poll};

use super::*;
use crate::address::UpstreamAddress;
use crate::disk::replay::SpooledContent;
use crate::runtime::Stream;
use crate::test_support::TemporaryDirectory;
use crate::test_support::slow_peer::{PIECE, TIMEOUT, read_slowly};
use crate::test_support::unwatched::{on_own_loop, watch_no_more};

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
        dialogue.uptake = Some(Uptake::over());
        let waiting = dialogue.next(&mut rest, &mut into);
        let Either::First(Err(Failure::Upstream(Wrong::TimedOut))) =
            either(waiting, runtime::sleep(Duration::from_millis(100))).await
        else {
            panic!("the upstream got more time");
        };
    };
    runtime::run(talk).expect("a loop");
}

/// A dialogue whose upstream may do nothing for [`TIMEOUT`], with a request of so many octets, and the upstream's end.
async fn asked_over_tcp(length: usize) -> (Dialogue<Silent>, Stream) {
    let listening = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listening.local_addr().expect("it is bound");
    let opened = Connection::open(&UpstreamAddress::Ip(address), LONG).await;
    let connection = opened.expect("a connection");
    let (far, _) = listening.accept().expect("a connection waits");
    far.set_nonblocking(true).expect("a socket can be set so");
    let request = vec![b'x'; length];
    let buffers = Rc::default();
    let mut dialogue = Dialogue::new(connection, &buffers, TIMEOUT, request, Silent::default());
    dialogue.push_content(b"", false);
    (dialogue, Stream::new(OwnedFd::from(far)))
}

/// Requests of which the socket takes all at once, and a part.
const LENGTHS: [usize; 2] = [2 << 20, 16 << 20];

/// The system reports no room for longer than the timeout, because the upstream does not take a third of what the
/// socket holds in that time.
#[test]
fn an_upstream_that_takes_its_request_slowly_is_waited_for() {
    for length in LENGTHS {
        let talk = async move {
            let (mut dialogue, far) = asked_over_tcp(length).await;
            let (mut rest, mut into) = (SpooledContent::nothing(), Vec::new());
            let next = read_slowly(&far, PIECE, dialogue.next(&mut rest, &mut into)).await;
            // It has taken everything, and says nothing.
            assert!(matches!(next, Err(Failure::Upstream(Wrong::TimedOut))));
            assert!(dialogue.is_sent());
        };
        runtime::run(talk).expect("a loop");
    }
}

#[test]
fn an_upstream_that_takes_nothing_of_its_request_is_given_up() {
    for length in LENGTHS {
        let talk = async move {
            let (mut dialogue, _far) = asked_over_tcp(length).await;
            let (mut rest, mut into) = (SpooledContent::nothing(), Vec::new());
            let next = dialogue.next(&mut rest, &mut into).await;
            assert!(matches!(next, Err(Failure::Upstream(Wrong::TimedOut))));
        };
        runtime::run(talk).expect("a loop");
    }
}

/// The loop tried again and again, and did nothing else.
#[test]
fn an_upstream_that_the_system_does_not_watch_is_not_fed() {
    on_own_loop(|| async {
        let directory = TemporaryDirectory::new("dialogue");
        let path = directory.path().join("socket");
        let _listening = UnixListener::bind(&path).expect("a socket");
        let mut dialogue = dialogue_at(path, vec![b'x'; 16 * 1024 * 1024]).await;
        watch_no_more();
        let mut rest = SpooledContent::nothing();
        let fed = either(dialogue.feed(&mut rest), runtime::yield_now()).await;
        assert!(matches!(fed, Either::Second(())));
        let mut into = Vec::new();
        let next = dialogue.next(&mut rest, &mut into).await;
        assert!(matches!(next, Err(Failure::Upstream(Wrong::TimedOut))));
    });
}
