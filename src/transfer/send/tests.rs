use super::*;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::message::content::{Content, LocalFuture, Octets};
use crate::runtime::Stream;
use crate::test_support::TemporaryDirectory;
use crate::test_support::slow_peer::{PIECE, TIMEOUT, read_slowly, tcp_pair};

/// What the far end gets of a transmission, while this end waits where it has to.
fn transmit(
    transmission: impl FnOnce() -> Transmission<'static> + Send + 'static,
) -> (Vec<u8>, u64, bool) {
    let (near, mut far) = UnixStream::pair().expect("a socket pair");
    let reader = std::thread::spawn(move || {
        let mut read = Vec::new();
        far.read_to_end(&mut read).expect("the pair is open");
        read
    });
    near.set_nonblocking(true).expect("a socket can be set so");
    let (sent, complete) = runtime::run(async move {
        let stream = Transport::Plain(Stream::new(OwnedFd::from(near)));
        let pool = BlockingPool::new(1, 1);
        let mut transmission = transmission();
        let finished = transmission
            .finish(&stream, &pool, Terms::unpaced(Duration::from_secs(10)))
            .await;
        (transmission.content_sent(), finished.is_ok())
    })
    .expect("a loop");
    (reader.join().expect("the reader reads"), sent, complete)
}

#[test]
fn sends_pieces_in_order() {
    let tree = TemporaryDirectory::new("transmit");
    tree.write("f", b"0123456789");
    let path = tree.path().join("f");
    let (read, sent, complete) = transmit(move || {
        let file: Rc<OwnedFd> = Rc::new(std::fs::File::open(path).expect("just written").into());
        let piece = |octets: &[u8]| Piece::Octets(Octets::Owned(octets.to_vec()));
        let range = |start, end| {
            Piece::File(FileRange {
                file: Rc::clone(&file),
                start,
                end,
            })
        };
        let pieces = vec![
            piece(b"<"),
            range(2, 5),
            piece(b"|"),
            range(5, 5),
            range(9, 10),
            piece(b">"),
        ];
        Transmission::new(b"head ".to_vec(), Content::Pieces(pieces), false)
    });
    assert_eq!(String::from_utf8_lossy(&read), "head <234|9>");
    assert_eq!((sent, complete), (7, true));
}

#[test]
fn sends_more_than_the_socket_holds() {
    let content: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
    let expected = content.clone();
    let (read, sent, complete) = transmit(move || {
        Transmission::new(Vec::new(), Content::Octets(Octets::Owned(content)), false)
    });
    assert!(read == expected && complete);
    assert_eq!(sent, 3_000_000);
}

/// More than the sockets of both ends hold.
const LARGE: usize = 16 << 20;

fn large() -> Transmission<'static> {
    let content = Content::Octets(Octets::Owned(vec![b'x'; LARGE]));
    Transmission::new(Vec::new(), content, false)
}

/// The system reports no room for longer than `send_timeout`, because the client does not take a third of what the
/// socket holds in that time.
#[test]
fn a_client_that_reads_slowly_all_the_time_is_not_cut() {
    runtime::run(async {
        let (near, far) = tcp_pair();
        let (stream, pool) = (Transport::Plain(near), BlockingPool::new(1, 1));
        let mut transmission = large();
        let finished = transmission.finish(&stream, &pool, Terms::unpaced(TIMEOUT));
        let finished = read_slowly(&far, PIECE, finished).await;
        finished.expect("the client takes octets all the time");
        assert_eq!(transmission.content_sent(), LARGE as u64);
    })
    .expect("a loop");
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    runtime::run(async {
        let (near, _far) = tcp_pair();
        let (stream, pool) = (Transport::Plain(near), BlockingPool::new(1, 1));
        let mut transmission = large();
        let finished = transmission.finish(&stream, &pool, Terms::unpaced(TIMEOUT));
        assert!(matches!(finished.await, Err(SendError::TimedOut)));
    })
    .expect("a loop");
}

/// Gives nothing more.
struct AtItsEnd;

impl ContentSource for AtItsEnd {
    fn next<'s>(&'s mut self, _: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

#[test]
fn what_is_there_of_a_stream_goes_out_with_the_head() {
    for (is_chunked, length, expected) in [
        (false, Some(5), &["head hello"][..]),
        (false, None, &["head hello"]),
        (true, None, &["head 5\r\nhello\r\n", "0\r\n\r\n"]),
    ] {
        // Of such a pair, one end reads exactly what the other end sent in one call.
        let (near, far) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::NONBLOCK,
            None,
        )
        .expect("a socket pair");
        let sent = runtime::run(async move {
            let stream = Transport::Plain(Stream::new(near));
            let content =
                ContentStream::beginning_with(b"hello".to_vec(), length, Box::new(AtItsEnd));
            let content = Content::Stream(content);
            let mut transmission = Transmission::new(b"head ".to_vec(), content, is_chunked);
            let pool = BlockingPool::new(1, 1);
            let finished =
                transmission.finish(&stream, &pool, Terms::unpaced(Duration::from_secs(10)));
            finished.await.expect("the far end is there");
            transmission.content_sent()
        });
        assert_eq!(sent.expect("a loop"), 5);
        let far = Stream::new(far);
        let mut received = Vec::new();
        let mut block = [0; 100];
        while let Ok(count @ 1..) = far.try_receive(&mut block) {
            received.push(String::from_utf8_lossy(&block[..count]).into_owned());
        }
        assert_eq!(received, expected, "{is_chunked} {length:?}");
    }
}

/// Content in blocks.
struct InBlocks(VecDeque<&'static str>);

impl ContentSource for InBlocks {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        into.extend_from_slice(self.0.pop_front().unwrap_or_default().as_bytes());
        Box::pin(std::future::ready(Ok(!self.0.is_empty())))
    }
}

#[test]
fn a_stream_is_sent_as_far_as_its_length_says_and_never_less_than_there_is() {
    for (first, blocks, expected, extent) in [
        ("abc", &["d"][..], "abcd", Extent::AsAnnounced),
        ("", &["ab", "cd"], "abcd", Extent::AsAnnounced),
        ("abcd", &[], "abcd", Extent::AsAnnounced),
        ("ab", &["c"], "abc", Extent::Shorter),
        ("", &["a", "bc", ""], "abc", Extent::Shorter),
        ("a", &[], "a", Extent::Shorter),
        ("abcd\n", &["more"], "abcd", Extent::Longer),
        ("ab", &["cd\n"], "abcd", Extent::Longer),
        ("ab", &["cd", "\n", "more"], "abcd", Extent::Longer),
    ] {
        let (read, sent, complete) = transmit(move || {
            let source = InBlocks(blocks.iter().copied().collect());
            let stream = ContentStream::beginning_with(first.into(), Some(4), Box::new(source));
            Transmission::new(b"head ".to_vec(), Content::Stream(stream), false)
        });
        let case = format!("{first:?} {blocks:?}");
        assert_eq!(
            String::from_utf8_lossy(&read),
            format!("head {expected}"),
            "{case}"
        );
        assert_eq!(sent, expected.len() as u64, "{case}");
        assert_eq!(complete, extent != Extent::Shorter, "{case}");
    }
}

/// Blocks without octets, which never have to be waited for.
struct Ready(u32);

impl ContentSource for Ready {
    fn next<'s>(&'s mut self, _: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        self.0 -= 1;
        Box::pin(std::future::ready(Ok(self.0 > 0)))
    }
}

#[test]
fn a_stream_that_is_always_ready_lets_others_go_first() {
    let (near, _far) = UnixStream::pair().expect("a socket pair");
    let turns = runtime::run(async move {
        let turns = Rc::new(std::cell::Cell::new(0));
        let counted = Rc::clone(&turns);
        runtime::spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                runtime::yield_now().await;
            }
        });
        let stream = Transport::Plain(Stream::new(OwnedFd::from(near)));
        let content = Content::Stream(ContentStream::new(None, Box::new(Ready(10_000))));
        let pool = BlockingPool::new(1, 1);
        let mut transmission = Transmission::new(Vec::new(), content, false);
        let sent = transmission
            .finish(&stream, &pool, Terms::unpaced(Duration::from_secs(10)))
            .await;
        assert!(sent.is_ok());
        turns.get()
    })
    .expect("a loop");
    assert!(turns > 1, "{turns}");
}

#[test]
fn a_file_that_shrank_is_cut_short_not_padded() {
    let tree = TemporaryDirectory::new("shrunk");
    tree.write("f", b"0123456789");
    let path = tree.path().join("f");
    let (read, sent, complete) = transmit(move || {
        let file = Rc::new(std::fs::File::open(path).expect("just written").into());
        Transmission::new(
            Vec::new(),
            Content::File(FileRange {
                file,
                start: 0,
                end: 20,
            }),
            false,
        )
    });
    assert_eq!(read, b"0123456789");
    assert_eq!((sent, complete), (10, false));
}

/// Why `range` is not sent to a client that has `gone`, or reads.
fn failure_of(range: FileRange, is_gone: bool) -> SendError {
    let (near, far) = UnixStream::pair().expect("a socket pair");
    let far = (!is_gone).then_some(far);
    near.set_nonblocking(true).expect("a socket can be set so");
    let stream = Transport::Plain(Stream::new(OwnedFd::from(near)));
    let mut transmission = Transmission::new(Vec::new(), Content::File(range), false);
    let failure = transmission.advance(&stream).expect_err("it is not sent");
    drop(far);
    failure
}

/// A disk that failed in the middle of a download was logged as `client_gone`, and no diagnostic told of it.
#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_a_client_that_left() {
    let tree = TemporaryDirectory::new("unreadable");
    tree.write("f", b"0123456789");
    let range = |path: &std::path::Path| FileRange {
        file: Rc::new(std::fs::File::open(path).expect("it is there").into()),
        start: 0,
        end: 10,
    };
    // The system lets a directory be opened, and not be read as a file.
    let unreadable = failure_of(range(tree.path()), false);
    assert!(
        matches!(unreadable, SendError::FileUnreadable(_)),
        "{unreadable:?}"
    );
    assert!(unreadable.is_ours());
    let left = failure_of(range(&tree.path().join("f")), true);
    assert!(matches!(left, SendError::Broken(_)), "{left:?}");
    assert!(!left.is_ours());
}

#[test]
fn errors_of_a_disk_are_told_from_those_of_a_connection() {
    for (errno, is_of_file) in [
        (Errno::IO, true),
        (Errno::STALE, true),
        (Errno::UCLEAN, true),
        (Errno::NOMEM, true),
        (Errno::AGAIN, false),
        (Errno::PIPE, false),
        (Errno::CONNRESET, false),
        (Errno::TIMEDOUT, false),
        (Errno::HOSTUNREACH, false),
    ] {
        let error = SendError::of_file(errno.into());
        let is_told_so = matches!(error, SendError::FileUnreadable(_));
        assert_eq!(is_told_so, is_of_file, "{errno}");
    }
    let of_session = SendError::of_file(io::Error::other("a session of TLS that failed"));
    assert!(matches!(of_session, SendError::Broken(_)), "{of_session:?}");
}
