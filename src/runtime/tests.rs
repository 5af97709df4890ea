//! Tests of the loop: its tasks wait for socket pairs, threads and programs.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::test_support::TemporaryDirectory;
use crate::test_support::unwatched::{on_own_loop, watch_no_more};

/// Returns a stream and its far end, which blocks.
fn pair() -> (Stream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a socket pair");
    near.set_nonblocking(true).expect("a socket can be set so");
    (Stream::new(OwnedFd::from(near)), far)
}

fn never() -> Tick {
    deadline_after(Duration::from_secs(3600))
}

/// Reads once. Waits first if nothing has arrived.
async fn receive(stream: &Stream) -> Vec<u8> {
    let mut buffer = [0; 64];
    loop {
        match stream.try_receive(&mut buffer) {
            Ok(count) => return buffer[..count].to_vec(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stream
                    .ready(Direction::Read, never())
                    .await
                    .expect("it is not that late");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn gives_what_main_gives() {
    assert_eq!(run(async { 42 }).expect("a loop"), 42);
}

#[test]
fn a_task_waits_for_its_socket_while_others_go_on() {
    use std::io::Write as _;
    let (stream, mut far) = pair();
    let order = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&order);
    run(async move {
        let (done, mut finished) = channel();
        let reader_order = Rc::clone(&noted);
        spawn(async move {
            let bytes = receive(&stream).await;
            reader_order
                .borrow_mut()
                .push(String::from_utf8(bytes).expect("text"));
            done.send(());
        });
        yield_now().await;
        noted.borrow_mut().push("other".to_owned());
        far.write_all(b"bytes").expect("the pair is open");
        finished.receive().await;
    })
    .expect("a loop");
    assert_eq!(*order.borrow(), ["other", "bytes"]);
}

#[test]
fn a_deadline_ends_a_wait() {
    let (stream, _far) = pair();
    let outcome = run(async move {
        stream
            .ready(Direction::Read, deadline_after(Duration::from_millis(1)))
            .await
    });
    assert_eq!(outcome.expect("a loop"), Err(Elapsed));
}

/// A caller that asks without a wait must not be early, which takes time from a peer, nor late, which would begin a
/// wait again that has failed.
#[test]
fn a_deadline_has_come_once_a_wait_for_it_fails_and_not_before() {
    let (stream, _far) = pair();
    run(async move {
        let soon = deadline_after(Duration::ZERO);
        assert!(!soon.has_come(), "it lies ahead, by up to two ticks");
        let ready = stream.ready(Direction::Read, soon).await;
        assert_eq!(ready, Err(Elapsed));
        assert!(soon.has_come());
    })
    .expect("a loop");
}

#[test]
fn the_end_of_the_peer_is_known_beside_its_last_bytes() {
    use std::io::Write as _;
    let (stream, mut far) = pair();
    run(async move {
        stream
            .ready(Direction::Read, deadline_after(Duration::ZERO))
            .await
            .expect_err("nothing yet");
        far.write_all(b"last").expect("the pair is open");
        far.shutdown(std::net::Shutdown::Write)
            .expect("it can be shut down");
        stream
            .ready(Direction::Read, never())
            .await
            .expect("it is ready");
        assert_eq!(receive(&stream).await, b"last");
        assert!(stream.is_read_closed());
        assert_eq!(receive(&stream).await, b"");
    })
    .expect("a loop");
}

/// A task that was told to read by an old report read a request that came behind octets of another socket,
/// of which the loop did not know yet: that socket was taken to be quiet.
#[test]
fn no_socket_is_quiet_when_a_task_reads_by_an_old_report() {
    let ((client, mut far_client), (kept, mut far_kept)) = (pair(), pair());
    run(async move {
        // So that the loop knows both.
        for stream in [&client, &kept] {
            let wait = stream.ready(Direction::Read, deadline_after(Duration::from_millis(1)));
            assert_eq!(wait.await, Err(Elapsed));
        }
        far_client.write_all(b"first").expect("room");
        yield_now().await;
        assert!(kept.is_quiet(), "the turn knows of all that came before it");
        assert_eq!(receive(&client).await, b"first");
        far_kept.write_all(b"unasked").expect("room");
        far_client.write_all(b"second").expect("room");
        let wait = client.ready(Direction::Read, never());
        assert_eq!(wait.await, Ok(()), "the report of the first octets");
        assert!(!kept.is_quiet(), "nothing is known of it in this turn");
        assert_eq!(receive(&client).await, b"second");
        yield_now().await;
        assert!(!kept.is_quiet(), "now its octets were reported");
        assert_eq!(receive(&kept).await, b"unasked");
        let _ = kept.ready(Direction::Read, never()).await;
        yield_now().await;
        assert!(kept.is_quiet());
        overtake_events();
        assert!(!kept.is_quiet());
        yield_now().await;
        assert!(kept.is_quiet());
    })
    .expect("a loop");
}

#[test]
fn a_full_socket_becomes_writable_again() {
    use std::io::Read as _;
    let (stream, mut far) = pair();
    run(async move {
        let block = [7; 4096];
        let mut sent = 0;
        let would_block = loop {
            match stream.try_send(&block, false) {
                Ok(count) => sent += count,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(would_block, io::ErrorKind::WouldBlock);
        let reader = std::thread::spawn(move || {
            let mut read = vec![0; sent];
            far.read_exact(&mut read).expect("all of it comes");
            far
        });
        stream
            .ready(Direction::Write, never())
            .await
            .expect("the reader makes room");
        assert!(stream.try_send(&block, false).is_ok());
        drop(reader.join().expect("the reader reads"));
    })
    .expect("a loop");
}

#[test]
fn sleepers_wake_in_order() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&order);
    run(async move {
        let (done, mut finished) = channel();
        for millis in [90, 1, 45] {
            let (noted, done) = (Rc::clone(&noted), done.clone());
            spawn(async move {
                sleep(Duration::from_millis(millis)).await;
                noted.borrow_mut().push(millis);
                done.send(());
            });
        }
        drop(done);
        while finished.receive().await.is_some() {}
    })
    .expect("a loop");
    assert_eq!(*order.borrow(), [1, 45, 90]);
}

#[test]
fn a_timeout_drops_what_was_late() {
    let outcome = run(timeout(
        Duration::from_millis(1),
        std::future::pending::<()>(),
    ));
    assert_eq!(outcome.expect("a loop"), Err(Elapsed));
    assert_eq!(
        run(timeout(Duration::from_secs(60), async { 1 })).expect("a loop"),
        Ok(1)
    );
}

#[test]
fn other_threads_can_send_to_a_task() {
    let (sender, mut receiver) = channel();
    let sending = std::thread::spawn(move || (0..100).for_each(|number| sender.send(number)));
    let received = run(async move {
        let mut received = Vec::new();
        while let Some(number) = receiver.receive().await {
            received.push(number);
        }
        received
    });
    sending.join().expect("the thread sends");
    assert!(received.expect("a loop").into_iter().eq(0..100));
}

#[test]
fn blocking_work_leaves_the_loop_free() {
    let pool = BlockingPool::new(1, 1);
    let (go, gate) = mpsc::channel::<()>();
    let (ran, result) = run(async move {
        let ran_meanwhile = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ran_meanwhile);
        spawn(async move {
            flag.set(true);
            go.send(()).expect("the job waits");
        });
        let result = pool.run(move || gate.recv().is_ok()).await;
        (ran_meanwhile.get(), result)
    })
    .expect("a loop");
    assert_eq!((ran, result), (true, Ok(true)));
}

#[test]
fn reports_a_full_queue_at_once_and_a_panic_when_it_happens() {
    let pool = BlockingPool::new(1, 0);
    let (go, gate) = mpsc::channel::<()>();
    run(async move {
        let (done, mut finished) = channel();
        let first_pool = Arc::clone(&pool);
        spawn(async move { done.send(first_pool.run(move || gate.recv().is_ok()).await) });
        yield_now().await;
        assert_eq!(pool.run(|| ()).await, Err(BlockingError::Saturated));
        go.send(()).expect("the job waits");
        assert_eq!(finished.receive().await, Some(Ok(true)));
        let panicked = pool
            .run(|| std::panic::resume_unwind(Box::new("quietly")))
            .await;
        assert_eq!(
            panicked,
            Err::<(), _>(BlockingError::Panicked("quietly".to_owned()))
        );
        assert_eq!(pool.run(|| 1).await, Ok(1));
    })
    .expect("a loop");
}

#[test]
fn a_dropped_job_never_begins_or_counts_as_lost() {
    let pool = BlockingPool::new(1, 2);
    let (go, gate) = mpsc::channel::<()>();
    let (began, beginning) = mpsc::channel::<()>();
    let (told, ended) = mpsc::channel::<&str>();
    let work = move || {
        began.send(()).expect("the test waits");
        gate.recv().expect("the test lets it go");
    };
    let running = pool.begin(work).expect("the pool is empty");
    beginning.recv().expect("it begins");
    let never = told.clone();
    let queued = pool.begin(move || never.send("unwanted").expect("it is read"));
    let state = pool.state();
    assert_eq!((state.running, state.queued, state.lost), (1, 1, 0));
    drop((running, queued));
    assert_eq!(pool.state().lost, 1);
    let last = pool.begin(move || told.send("wanted").expect("it is read"));
    go.send(()).expect("it waits");
    assert_eq!(ended.recv(), Ok("wanted"));
    assert_eq!((pool.state().lost, pool.state().refused), (0, 0));
    drop(last);
}

#[test]
fn a_pipe_holds_the_faster_end_back() {
    let (mut writer, mut reader) = pipe_to_task::<()>();
    let writing = thread::spawn(move || {
        let block = [7; 100_000];
        (0..50).try_for_each(|_| writer.write_all(&block))
    });
    let (received, most) = run(async move {
        let (mut received, mut most) = (0, 0);
        let mut block = Vec::new();
        while reader.read(&mut block).await.expect("nothing breaks") {
            (received, most) = (received + block.len(), most.max(block.len()));
            block.clear();
        }
        (received, most)
    })
    .expect("a loop");
    writing
        .join()
        .expect("no panic")
        .expect("the reader is there");
    assert_eq!(received, 5_000_000);
    assert!(most <= 256 * 1024, "{most} octets were under way");
}

#[test]
fn an_unread_pipe_takes_its_capacity_and_no_more() {
    const CAPACITY: usize = 256 * 1024;
    let (mut writer, mut reader) = pipe_to_task::<()>();
    let block = [7; 100_000];
    let taken = [(); 4].map(|()| writer.try_write(&block).expect("the reader is there"));
    assert_eq!(taken, [100_000, 100_000, CAPACITY - 200_000, 0]);
    let writing = thread::spawn(move || writer.write_all(b"more"));
    let read = run(async move {
        let mut read = Vec::new();
        while reader.read(&mut read).await.expect("nothing breaks") {}
        read
    });
    assert_eq!(read.expect("a loop").len(), CAPACITY + 4);
    writing
        .join()
        .expect("no panic")
        .expect("the reader is there");

    let (mut writer, mut reader) = pipe_to_thread::<()>();
    run(async move {
        let mut taken = 0;
        // The other future ends at once, and so before a write that has to wait.
        while let Either::First(written) =
            either(writer.write(&mut vec![7; 100_000]), async {}).await
        {
            written.expect("the reader is there");
            taken += 100_000;
        }
        assert_eq!(taken, 300_000, "up to one block more than it holds");
        let reading = thread::spawn(move || {
            let mut octets = [0; 200_000];
            reader.read(&mut octets).expect("nothing breaks")
        });
        let written = writer.write(&mut vec![7; 100_000]).await;
        assert_eq!(reading.join().expect("no panic"), 200_000);
        drop(written);
    })
    .expect("a loop");
}

#[test]
fn a_thread_reads_the_octets_and_the_end_that_a_task_writes() {
    let (mut writer, mut reader) = pipe_to_thread::<&str>();
    let reading = thread::spawn(move || {
        let mut octets = [0; 1000];
        let mut length = 0;
        loop {
            match reader.read(&mut octets) {
                Ok(count) => length += count,
                Err(Broken::Because(why)) => return (length, why),
                Err(Broken::Silently) => return (length, "silence"),
            }
        }
    });
    run(async move {
        for _ in 0..20 {
            let mut block = vec![1; 70_000];
            writer.write(&mut block).await.expect("the reader is there");
        }
        writer.break_off("the client went");
    })
    .expect("a loop");
    let outcome = reading.join().expect("no panic");
    assert_eq!(outcome, (1_400_000, "the client went"));
}

#[test]
fn either_end_of_a_pipe_learns_that_the_other_is_gone() {
    let (mut writer, reader) = pipe_to_task::<()>();
    drop(reader);
    let error = writer.write_all(b"x").expect_err("the reader is gone");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert!(writer.is_abandoned());

    let (mut writer, reader) = pipe_to_thread::<()>();
    drop(reader);
    run(async move {
        let written = writer.write(&mut vec![1]).await;
        assert!(written.is_err());
    })
    .expect("a loop");

    let (writer, mut reader) = pipe_to_task::<()>();
    let panicking = thread::spawn(move || {
        let _writer = writer;
        std::panic::resume_unwind(Box::new("quietly"));
    });
    panicking.join().expect_err("it panics");
    run(async move {
        let read = reader.read(&mut Vec::new()).await;
        assert!(matches!(read, Err(Broken::Silently)));
    })
    .expect("a loop");
}

#[test]
fn tasks_left_behind_are_dropped() {
    let (stream, _far) = pair();
    let held = Rc::new(());
    let kept = Rc::clone(&held);
    run(async move {
        spawn(async move {
            let _kept = kept;
            let _ = stream.ready(Direction::Read, never()).await;
        });
        yield_now().await;
    })
    .expect("a loop");
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn a_panic_in_a_task_unwinds_and_the_thread_can_run_another_loop() {
    let outcome = std::panic::catch_unwind(|| {
        run(async {
            spawn(async { std::panic::resume_unwind(Box::new("quietly")) });
            std::future::pending::<()>().await;
        })
    });
    assert!(outcome.is_err());
    assert_eq!(run(async { 1 }).expect("a loop"), 1);
}

/// Counts its drops.
struct Noting(Rc<Cell<u32>>);

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Ready tasks used to run while a panic unwound, and their next waits never ended: their sockets stayed
/// open for ever, and a second panic ended the process.
#[test]
fn a_panic_drops_every_task_and_runs_none() {
    let dropped = Rc::new(Cell::new(0));
    let noting = || Noting(Rc::clone(&dropped));
    let (started, has_started) = mpsc::channel();
    let (release, may_end) = mpsc::channel::<()>();
    let (socket, yielding, waiting, ready, main) =
        (noting(), noting(), noting(), noting(), noting());
    let (stream, _far) = pair();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(async move {
            let _main = main;
            spawn(async move {
                let _noting = socket;
                let _ = stream.ready(Direction::Read, never()).await;
            });
            spawn(async move {
                let _noting = yielding;
                loop {
                    yield_now().await;
                }
            });
            let pool = BlockingPool::new(1, 1);
            spawn(async move {
                let _noting = waiting;
                let job = move || {
                    started.send(()).expect("the test waits");
                    let _ = may_end.recv();
                };
                let _ = pool.run(job).await;
            });
            yield_now().await;
            // The job must have begun, because a job whose caller is gone never begins.
            has_started.recv().expect("the job begins");
            spawn(async { panic!("a test asked for it") });
            spawn(async { panic!("a test asked for it, twice") });
            spawn(async move {
                let _noting = ready;
                sleep(Duration::from_secs(3600)).await;
            });
            let (_sender, mut never) = channel::<()>();
            never.receive().await;
        })
    }));
    assert!(outcome.is_err(), "the loop ends with the first panic");
    assert_eq!(dropped.get(), 5);
    release.send(()).expect("the job waits");
}

/// While a program was being started, it had copies of our descriptors. An event of a closed descriptor
/// was taken for an event of the next connection with the same key, and ended that connection.
#[test]
fn an_event_of_a_closed_descriptor_is_not_given_to_the_next_source() {
    let (closed, its_far) = UnixStream::pair().expect("a socket pair");
    closed
        .set_nonblocking(true)
        .expect("a socket can be set so");
    let copy = closed.try_clone().expect("a copy");
    let (next, _far) = pair();
    let is_gone = run(async move {
        let closed = Stream::new(OwnedFd::from(closed));
        either(closed.peer_gone(), yield_now()).await;
        drop(closed);
        either(next.peer_gone(), yield_now()).await;
        drop(its_far);
        yield_now().await;
        drop(copy);
        next.is_read_closed()
    });
    assert!(!is_gone.expect("a loop"));
}

/// Starts a shell script. Returns it, its output, and a receiver whose sender is dropped when the
/// script's group is gone.
fn shell(script: &str) -> (Process<mpsc::Sender<()>>, PolledFd, mpsc::Receiver<()>) {
    let (held, gone) = mpsc::channel();
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", script])
        .env("PATH", "/usr/bin:/bin")
        .stdin(std::process::Stdio::null());
    let (process, output, _) = Process::start(&mut command, held).expect("there is a shell");
    let output = PolledFd::new(OwnedFd::from(output)).expect("a pipe");
    (process, output, gone)
}

/// Reads from `from` until its end, or until `enough` returns true.
async fn read(from: &PolledFd, enough: impl Fn(&[u8]) -> bool) -> String {
    let mut read = Vec::with_capacity(1024);
    while !enough(&read) {
        match from.try_read(&mut read) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => from.readable().await.expect("it can be watched"),
        }
    }
    String::from_utf8(read).expect("text")
}

#[test]
fn reads_the_output_of_a_program_and_notices_its_end() {
    for (script, expected) in [
        ("echo a; exec >&-; exit 3", Exit::Status(3)),
        ("echo a; exec >&-; kill -9 $$", Exit::Signal(9)),
    ] {
        let (process, output, gone) = shell(script);
        let (told, exit) = run(async move {
            let end = process.end().expect("the system can tell");
            let told = read(&output, |_| false).await;
            while process.exit().is_none() {
                end.readable().await.expect("it can be watched");
            }
            (told, process.exit())
        })
        .expect("a loop");
        assert_eq!((told.as_str(), exit), ("a\n", Some(expected)));
        assert!(gone.recv().is_err(), "it is reaped");
    }
}

#[test]
fn a_program_that_is_dropped_ends_with_all_it_started() {
    for script in [
        "sleep 1000 & echo go; sleep 1000",
        "trap '' TERM; sleep 1000 & echo go; sleep 1000; sleep 1000",
        "sleep 1000 & echo go",
    ] {
        let (process, output, gone) = shell(script);
        run(async move {
            let told = read(&output, |read| read.ends_with(b"\n")).await;
            assert_eq!(told, "go\n");
            drop(process);
            assert!(gone.recv().is_err(), "it is reaped");
            // The pipe ends, so every process that had it open is gone.
            assert_eq!(read(&output, |_| false).await, "");
        })
        .expect("a loop");
    }
}

#[test]
fn a_tcp_listener_tells_how_many_connections_wait() {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;

    let tree = crate::test_support::TemporaryDirectory::new("queued");
    let unix = UnixListener::bind(tree.path().join("socket")).expect("the directory is new");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    tcp.set_nonblocking(true).expect("it can be set so");
    let address = tcp.local_addr().expect("it is bound");
    let listener = Listener::new(Arc::new(OwnedFd::from(tcp)));
    assert_eq!(listener.queued(), Some(0));
    let _clients = [(); 3].map(|()| TcpStream::connect(address).expect("it listens"));
    assert_eq!(listener.queued(), Some(3));
    let _accepted = listener.try_accept().expect("one waits");
    assert_eq!(listener.queued(), Some(2));
    let listener = Listener::new(Arc::new(OwnedFd::from(unix)));
    assert_eq!(listener.queued(), None);
}

#[test]
fn connects_or_says_why_not() {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    let tree = crate::test_support::TemporaryDirectory::new("connect");
    let path = tree.path().join("socket");
    let unix = UnixListener::bind(&path).expect("the directory is new");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = tcp.local_addr().expect("it is bound");
    let refused = run(async move {
        let streams = [
            Stream::connect(address, never()).await,
            Stream::connect_unix(&path, never()).await,
        ];
        let mut far: Vec<Box<dyn io::Write>> = vec![
            Box::new(tcp.accept().expect("one waits").0),
            Box::new(unix.accept().expect("one waits").0),
        ];
        for (stream, far) in streams.iter().zip(&mut far) {
            far.write_all(b"hello").expect("it is open");
            let stream = stream.as_ref().expect("the listener is open");
            assert_eq!(receive(stream).await, b"hello");
        }
        drop((tcp, unix));
        let missing = path.with_extension("missing");
        [
            Stream::connect(address, never()).await.map(drop),
            Stream::connect_unix(&path, never()).await.map(drop),
            Stream::connect_unix(&missing, never()).await.map(drop),
        ]
    });
    let kinds = refused
        .expect("a loop")
        .map(|refused| refused.map_err(|error| error.kind()));
    let (refused, missing) = (io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound);
    assert_eq!(kinds, [Err(refused), Err(refused), Err(missing)]);
}

#[test]
fn waits_for_room_in_the_queue_of_a_unix_socket() {
    use std::os::unix::net::UnixStream;

    let tree = crate::test_support::TemporaryDirectory::new("queue");
    let path = tree.path().join("socket");
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    );
    let socket = socket.expect("a socket");
    let address = rustix::net::SocketAddrUnix::new(&path).expect("a short path");
    rustix::net::bind(&socket, &address).expect("the directory is new");
    rustix::net::listen(&socket, 0).expect("it is bound");
    let first = UnixStream::connect(&path).expect("there is room for one");
    let (late, connected) = run(async move {
        let soon = deadline_after(Duration::from_millis(30));
        let late = Stream::connect_unix(&path, soon).await.map(drop);
        let waiting = Stream::connect_unix(&path, never());
        let accepting = async {
            yield_now().await;
            rustix::net::accept(&socket).expect("the first one waits")
        };
        let (_accepted, connected) = match either(waiting, accepting).await {
            Either::First(_) => panic!("there was no room"),
            Either::Second(accepted) => {
                let connected = Stream::connect_unix(&path, never()).await;
                (accepted, connected.map(drop))
            }
        };
        (late, connected)
    })
    .expect("a loop");
    assert_eq!(
        late.map_err(|error| error.kind()),
        Err(io::ErrorKind::TimedOut)
    );
    connected.expect("there is room again");
    drop(first);
}

async fn ready_any(stream: &Stream, deadline: Tick) -> Result<(), Elapsed> {
    std::future::poll_fn(|context| stream.poll_ready_any(context, deadline)).await
}

#[test]
fn waits_for_either_direction() {
    use std::io::Write as _;
    let (stream, mut far) = pair();
    run(async move {
        // On the heap: a build without optimization moves the task several times over the stack.
        let mut buffer = vec![0; 64 * 1024];
        let fill = || while stream.try_send(&[0; 4096], false).is_ok() {};
        // The first report of the system may be older than the last send.
        while ready_any(&stream, deadline_after(Duration::ZERO))
            .await
            .is_ok()
        {
            fill();
        }
        far.write_all(b"x").expect("the pair is open");
        ready_any(&stream, never()).await.expect("it is readable");
        assert_eq!(stream.try_receive(&mut buffer).expect("it is there"), 1);
        std::io::Read::read(&mut far, &mut buffer).expect("the pair is open");
        while std::io::Read::read(&mut far, &mut buffer).expect("the pair is open") == buffer.len()
        {
        }
        ready_any(&stream, never()).await.expect("it is writable");
        stream.try_send(b"y", false).expect("there is room");
    })
    .expect("a loop");
}

/// Sends until the socket takes no more.
fn fill(stream: &Stream) {
    while stream.try_send(&[0; 4096], false).is_ok() {}
}

/// Fills the socket and waits for both directions, for `wait` each. Returns the direction that became
/// ready first. If a report of room was old, fills the socket and waits again.
async fn read_or_write(stream: &Stream, wait: Duration) -> Result<Direction, Elapsed> {
    loop {
        fill(stream);
        let reading = stream.ready(Direction::Read, deadline_after(wait));
        let writing = stream.ready(Direction::Write, deadline_after(wait));
        match either(reading, writing).await {
            Either::First(ready) => return ready.map(|()| Direction::Read),
            Either::Second(Ok(())) if stream.try_send(b"x", false).is_ok() => {}
            Either::Second(Ok(())) => return Ok(Direction::Write),
            Either::Second(Err(Elapsed)) => return Err(Elapsed),
        }
    }
}

/// The wait to write replaced the wait to read: a byte that arrived after 0.1 s was noticed at the
/// deadline.
#[test]
fn a_byte_ends_a_wait_for_both_directions_before_the_deadline() {
    const WAIT: Duration = Duration::from_secs(5);
    let (stream, far) = pair();
    let mut writer = far.try_clone().expect("a copy");
    let took = run(async move {
        let started = now();
        spawn(async move {
            // The main task begins both waits meanwhile.
            yield_now().await;
            yield_now().await;
            writer.write_all(b"x").expect("the pair is open");
        });
        let ready = read_or_write(&stream, WAIT).await;
        assert_eq!(ready, Ok(Direction::Read));
        now().duration_since(started)
    });
    assert!(took.expect("a loop") < WAIT);
    drop(far);
}

#[test]
fn two_tasks_wait_for_a_stream_each_until_its_own_time() {
    let (stream, mut far) = pair();
    let stream = Rc::new(stream);
    run(async move {
        let (sender, mut ended) = channel();
        let wait = |direction, deadline| {
            let (stream, sender) = (Rc::clone(&stream), sender.clone());
            spawn(async move { sender.send((direction, stream.ready(direction, deadline).await)) });
        };
        let soon = || deadline_after(Duration::from_millis(20));
        fill(&stream);
        // A deadline wakes only the task of its own direction.
        wait(Direction::Read, never());
        wait(Direction::Write, soon());
        assert_eq!(
            ended.receive().await,
            Some((Direction::Write, Err(Elapsed)))
        );
        wait(Direction::Write, never());
        yield_now().await;
        far.write_all(b"x").expect("the pair is open");
        assert_eq!(ended.receive().await, Some((Direction::Read, Ok(()))));
        assert_eq!(receive(&stream).await, b"x");
        wait(Direction::Read, soon());
        assert_eq!(ended.receive().await, Some((Direction::Read, Err(Elapsed))));
        wait(Direction::Read, never());
        let reader = thread::spawn(move || {
            io::copy(&mut far, &mut io::sink()).expect("the pair is open");
        });
        assert_eq!(ended.receive().await, Some((Direction::Write, Ok(()))));
        stream.shut_down_write();
        // The reader thread closes the far end when it ends.
        assert_eq!(ended.receive().await, Some((Direction::Read, Ok(()))));
        reader.join().expect("no panic");
    })
    .expect("a loop");
}

#[test]
fn two_deadlines_of_a_stream_are_met_in_their_order() {
    for (read, write, expected) in [
        (20, 60, [Direction::Read, Direction::Write]),
        (60, 20, [Direction::Write, Direction::Read]),
    ] {
        let (stream, _far) = pair();
        let order = run(async move {
            fill(&stream);
            let (sender, mut ended) = channel();
            let stream = Rc::new(stream);
            for (direction, millis) in [(Direction::Read, read), (Direction::Write, write)] {
                let (stream, sender) = (Rc::clone(&stream), sender.clone());
                let deadline = deadline_after(Duration::from_millis(millis));
                spawn(async move {
                    assert_eq!(stream.ready(direction, deadline).await, Err(Elapsed));
                    sender.send(direction);
                });
            }
            [ended.receive().await, ended.receive().await]
        });
        assert_eq!(order.expect("a loop"), expected.map(Some), "{read} {write}");
    }
}

/// A request that arrived while a response was awaited was never read: the wait for the client to go had
/// used up its readiness.
#[test]
fn a_wait_for_the_peer_to_go_uses_no_readiness_up() {
    let (stream, mut far) = pair();
    run(async move {
        // A wait that is dropped.
        far.write_all(b"x").expect("the pair is open");
        let waiting = either(stream.peer_gone(), sleep(Duration::from_millis(20)));
        assert!(matches!(waiting.await, Either::Second(())));
        let ready = stream.ready(Direction::Read, deadline_after(Duration::from_secs(5)));
        assert_eq!(ready.await, Ok(()));
        assert_eq!(receive(&stream).await, b"x");

        // A wait that ends.
        let waiting = async {
            yield_now().await;
            far.write_all(b"y").expect("the pair is open");
            yield_now().await;
            drop(far);
            std::future::pending::<()>().await;
        };
        assert!(matches!(
            either(stream.peer_gone(), waiting).await,
            Either::First(())
        ));
        let ready = stream.ready(Direction::Read, deadline_after(Duration::from_secs(5)));
        assert_eq!(ready.await, Ok(()));
        assert_eq!(receive(&stream).await, b"y");
        assert_eq!(receive(&stream).await, b"");
    })
    .expect("a loop");
}

/// It was told as the server's timeout, for which the server was given a pause.
#[test]
fn a_server_is_not_late_where_the_system_watches_no_connection() {
    on_own_loop(|| async {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let directory = TemporaryDirectory::new("unwatched");
        let path = directory.path().join("socket");
        let _unix = std::os::unix::net::UnixListener::bind(&path).expect("ours");
        watch_no_more();
        let deadline = deadline_after(Duration::from_secs(20));
        let address = tcp.local_addr().expect("it is bound");
        for connected in [
            Stream::connect(address, deadline).await,
            Stream::connect_unix(&path, deadline).await,
        ] {
            let error = connected.expect_err("it cannot be waited for");
            assert!(super::descriptors::is_shortage(&error), "{error}");
        }
    });
}

/// The exchange was cut as if its client had gone.
#[test]
fn a_peer_counts_as_there_where_the_system_does_not_watch_the_connection() {
    on_own_loop(|| async {
        let (stream, _far) = pair();
        watch_no_more();
        let waited = either(stream.peer_gone(), yield_now()).await;
        assert!(matches!(waited, Either::Second(())));
    });
}

#[test]
fn one_task_reads_and_waits_for_the_peer_to_go_at_once() {
    let (stream, mut far) = pair();
    run(async move {
        let writing = async {
            for _ in 0..3 {
                yield_now().await;
                far.write_all(b"x").expect("the pair is open");
                yield_now().await;
            }
            drop(far);
            std::future::pending::<()>().await;
        };
        let reading = async {
            let mut count = 0;
            while count < 3 {
                count += receive(&stream).await.len();
            }
            std::future::pending::<()>().await;
        };
        let both = either(reading, stream.peer_gone());
        let gone = either(both, writing).await;
        assert!(matches!(gone, Either::First(Either::Second(()))));
    })
    .expect("a loop");
}
