//! Handlers that sleep, panic, or answer too late: other clients are served all the same.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use super::support::{Directory, until};
use super::{Embedded, get, ran_captured};
use tidegate::{Handlers, Response};

/// A handler that waits until the test lets it go on. It tells when it has begun, and whether its client
/// had gone when it ended.
struct Gate {
    begun: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
    ended: mpsc::Receiver<bool>,
}

fn gated(handlers: &mut Handlers) -> Gate {
    let (begins, begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let (ends, ended) = mpsc::channel();
    let parts = Mutex::new((begins, ends));
    let may_go = Mutex::new(may_go);
    handlers.function("wait", move |request| {
        let (begins, ends) = parts.lock().expect("unharmed").clone();
        begins.send(()).expect("the test listens");
        let _ = may_go.lock().expect("unharmed").recv();
        let _ = ends.send(request.client_has_gone());
        Ok(Response::text("at last"))
    });
    Gate { begun, go, ended }
}

const ONE_THREAD: &str = "blocking = { threads = 1, queue = 1 }";

#[test]
fn a_late_handler_is_answered_for_and_its_thread_counts_as_lost() {
    if ran_captured("misbehaviour::a_late_handler_is_answered_for_and_its_thread_counts_as_lost") {
        return;
    }
    let mut handlers = Handlers::new();
    let gate = gated(&mut handlers);
    let route = "'/' = { handler = 'wait', timeout = '100ms' }\n'/health' = { respond = 'ok' }\n\
                 '/status' = { status = true }";
    let server = Embedded::start(handlers, ONE_THREAD, route);
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).status, 504);
    gate.begun.recv().expect("it has begun");
    assert_eq!(
        (server.blocking("lost"), server.blocking("running")),
        (1, 1)
    );
    assert_eq!(
        client.exchange(get("/health")).text(),
        "ok",
        "the connection goes on"
    );
    let status = client.exchange(get("/status")).text();
    assert!(status.contains("1 running (1 lost)"), "{status}");
    // A request that waits for the lost thread is not begun after its own time is up.
    assert_eq!(client.exchange(get("/")).status, 504);
    gate.go.send(()).expect("it waits");
    assert_eq!(gate.ended.recv(), Ok(true), "it could know");
    until("the thread is back", || {
        (server.blocking("lost") == 0).then_some(())
    });
    until("the queue is empty", || {
        (server.blocking("queued") == 0).then_some(())
    });
    assert!(
        gate.begun.try_recv().is_err(),
        "no client waited for the second"
    );
}

/// The time of a handler ends if content is still to come, and if it has been given everything.
#[test]
fn a_late_handler_that_is_given_content_as_it_arrives_is_answered_for() {
    if ran_captured(
        "misbehaviour::a_late_handler_that_is_given_content_as_it_arrives_is_answered_for",
    ) {
        return;
    }
    for length in [4, 16 << 20] {
        let mut handlers = Handlers::new();
        let gate = gated(&mut handlers);
        let route = "'/' = { handler = 'wait', timeout = '100ms', stream = true }";
        let server = Embedded::start(handlers, ONE_THREAD, route);
        let mut client = server.connect();
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        client.send(head + &"x".repeat(length.min(512 * 1024)));
        assert_eq!(client.response().status, 504, "{length}");
        assert_eq!(server.blocking("lost"), 1);
        gate.go.send(()).expect("it waits");
        assert_eq!(gate.ended.recv(), Ok(true));
    }
}

#[test]
fn a_client_that_goes_behind_its_upload_is_told_to_the_handler() {
    let mut handlers = Handlers::new();
    let gate = gated(&mut handlers);
    let route = "'/' = { handler = 'wait', stream = true }";
    let server = Embedded::start(handlers, ONE_THREAD, route);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd");
    gate.begun.recv().expect("it begins");
    drop(client);
    until("it counts as lost", || {
        (server.blocking("lost") == 1).then_some(())
    });
    gate.go.send(()).expect("it waits");
    assert_eq!(gate.ended.recv(), Ok(true));
}

#[test]
fn a_full_queue_is_503_at_once() {
    if ran_captured("misbehaviour::a_full_queue_is_503_at_once") {
        return;
    }
    let mut handlers = Handlers::new();
    let gate = gated(&mut handlers);
    let server = Embedded::start(handlers, ONE_THREAD, "'/' = { handler = 'wait' }");
    let (mut first, mut second) = (server.connect(), server.connect());
    first.send(get("/"));
    gate.begun.recv().expect("it begins");
    second.send(get("/"));
    until("it is queued", || {
        (server.blocking("queued") == 1).then_some(())
    });
    let refused = server.connect().exchange(get("/"));
    assert_eq!(
        (refused.status, refused.field("Retry-After")),
        (503, Some("1"))
    );
    assert_eq!(server.blocking("refused"), 1);
    server.expect_reason("threads_busy", 1);
    gate.go.send(()).expect("it waits");
    gate.go.send(()).expect("it waits");
    assert_eq!(first.response().text(), "at last");
    assert_eq!(second.response().text(), "at last");
}

#[test]
fn a_client_that_goes_is_told_to_the_handler_and_frees_its_place_in_the_queue() {
    let mut handlers = Handlers::new();
    let gate = gated(&mut handlers);
    let server = Embedded::start(handlers, ONE_THREAD, "'/' = { handler = 'wait' }");
    let (mut first, mut second) = (server.connect(), server.connect());
    first.send(get("/"));
    gate.begun.recv().expect("it begins");
    second.send(get("/"));
    until("it is queued", || {
        (server.blocking("queued") == 1).then_some(())
    });
    drop((first, second));
    until("both are gone", || (server.open() == 0).then_some(()));
    assert_eq!((server.blocking("lost"), server.blocking("queued")), (1, 0));
    // The only place in the queue is free for others, although the thread is still busy.
    let mut third = server.connect();
    third.send(get("/"));
    until("it is queued", || {
        (server.blocking("queued") == 1).then_some(())
    });
    gate.go.send(()).expect("it waits");
    assert_eq!(gate.ended.recv(), Ok(true));
    gate.begun.recv().expect("the third begins");
    gate.go.send(()).expect("it waits");
    assert_eq!(third.response().text(), "at last");
    assert!(
        gate.begun.try_recv().is_err(),
        "no client waited for the second"
    );
}

#[test]
fn a_client_that_goes_in_the_middle_of_an_upload_is_told_to_a_handler_that_does_not_read() {
    let mut handlers = Handlers::new();
    let gate = gated(&mut handlers);
    let route = "'/' = { handler = 'wait', stream = true }";
    let server = Embedded::start(handlers, ONE_THREAD, route);
    let mut client = server.connect();
    let length = 16 << 20;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
    ));
    gate.begun.recv().expect("it begins");
    // More than the pipe holds, so that the server waits for the handler; but little enough for the
    // sockets to hold the rest, so that the server sees the end of the connection.
    client.send(vec![b'x'; 300 * 1024]);
    drop(client);
    until("it counts as lost", || {
        (server.blocking("lost") == 1).then_some(())
    });
    gate.go.send(()).expect("it waits");
    assert_eq!(gate.ended.recv(), Ok(true));
}

#[test]
fn a_stream_nobody_reads_ends() {
    let (ends, ended) = mpsc::channel();
    let mut handlers = Handlers::new();
    let ends = Mutex::new(ends);
    handlers.function("endless", move |_| {
        let ends = ends.lock().expect("unharmed").clone();
        Ok(Response::stream(move |writer| {
            let written = loop {
                if let Err(error) = writer.write_all(&[b'x'; 4096]) {
                    break error.kind();
                }
            };
            let _ = ends.send(written);
            Ok(())
        }))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'endless' }");
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(client.response_head().status, 200);
    // The server makes no content until the client has begun to read.
    client.read(1);
    drop(client);
    assert_eq!(ended.recv(), Ok(std::io::ErrorKind::BrokenPipe));
    until("the thread is free", || {
        (server.blocking("running") == 0).then_some(())
    });
}

#[test]
fn a_slow_client_holds_no_thread() {
    let mut handlers = Handlers::new();
    handlers.function("take", |mut request| {
        let mut content = String::new();
        request.content().read_to_string(&mut content)?;
        Ok(Response::text(content))
    });
    let pool = "blocking = { threads = 1, queue = 1 }";
    let server = Embedded::start(handlers, pool, "'/' = { handler = 'take' }");
    let mut slow: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    }
    assert_eq!(server.connect().exchange(get("/")).status, 200);
    until("the thread is free", || {
        (server.blocking("running") == 0).then_some(())
    });
    for client in &mut slow {
        client.send("cd");
        assert_eq!(client.response().text(), "abcd");
    }
}

#[test]
fn every_second_request_panics_and_every_other_is_answered() {
    if ran_captured("misbehaviour::every_second_request_panics_and_every_other_is_answered") {
        return;
    }
    let calls = AtomicU64::new(0);
    let mut handlers = Handlers::new();
    handlers.function("flaky", move |_| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        // Without the hook, which would fill the screen.
        if call % 2 == 1 {
            std::panic::resume_unwind(Box::new(format!("call {call}")));
        }
        Ok(Response::text("well"))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'flaky' }");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                let statuses = (0..50).map(|_| client.exchange(get("/")).status);
                statuses.filter(|status| *status == 200).count()
            })
        })
        .collect();
    let good: usize = clients
        .into_iter()
        .map(|client| client.join().expect("every answer is one"))
        .sum();
    assert_eq!(good, 200, "of 400");
}

/// All handlers share the threads of `blocking`, so that one slow route starved every other.
#[test]
fn a_route_with_threads_of_its_own_holds_up_no_other() {
    if ran_captured("misbehaviour::a_route_with_threads_of_its_own_holds_up_no_other") {
        return;
    }
    let mut handlers = Handlers::new();
    let gate = gated(&mut handlers);
    handlers.function("quick", |_| Ok(Response::text("quick")));
    let routes = "'/wait' = { handler = 'wait', threads = 1 }\n'/quick' = { handler = 'quick' }";
    let server = Embedded::start(handlers, ONE_THREAD, routes);
    let mut slow = [server.connect(), server.connect()];
    for client in &mut slow {
        client.send(get("/wait"));
    }
    gate.begun.recv().expect("the first begins");
    until("the second is queued", || {
        (server.blocking("queued") == 1).then_some(())
    });
    // The queue before the route's threads has an end as well.
    assert_eq!(server.connect().exchange(get("/wait")).status, 503);
    assert_eq!(server.connect().exchange(get("/quick")).text(), "quick");
    let same = super::configuration(ONE_THREAD, routes);
    let reloaded = server.0.reload_text(same);
    reloaded.expect("it is good");
    assert_eq!(server.blocking("running"), 1, "a reload keeps the threads");
    for _ in &slow {
        gate.go.send(()).expect("it waits");
    }
    for client in &mut slow {
        assert_eq!(client.response().text(), "at last");
    }
}

/// A file that is not in the cache is read by a thread of another pool than the handlers'.
#[test]
fn files_are_served_while_every_thread_of_the_pool_sleeps() {
    let mut handlers = Handlers::new();
    let gate = gated(&mut handlers);
    let directory = Directory::new();
    directory.write("first.txt", "first");
    let root = directory.path().display();
    let routes =
        format!("'/' = {{ files = '{root}', listing = true }}\n'/wait' = {{ handler = 'wait' }}");
    let pool = "blocking = { threads = 4, queue = 100 }";
    let server = Embedded::start(handlers, pool, &routes);
    let mut sleepers: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for sleeper in &mut sleepers {
        sleeper.send(get("/wait"));
    }
    for _ in 0..4 {
        gate.begun.recv().expect("it begins");
    }
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/first.txt")).text(), "first");
    for index in 0..50 {
        let name = format!("new-{index}.txt");
        directory.write(&name, &name);
        assert_eq!(client.exchange(get(&format!("/{name}"))).text(), name);
        assert_eq!(client.exchange(get("/")).status, 200);
    }
    for _ in 0..6 {
        gate.go.send(()).expect("it waits");
    }
    for sleeper in &mut sleepers {
        assert_eq!(sleeper.response().text(), "at last");
    }
}

#[test]
fn a_shared_handler_answers_from_many_threads_at_once() {
    let most = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let counted = Arc::clone(&most);
    let barrier = std::sync::Barrier::new(4);
    let mut handlers = Handlers::new();
    handlers.function("together", move |_| {
        let now = counted.0.fetch_add(1, Ordering::SeqCst) + 1;
        counted.1.fetch_max(now, Ordering::SeqCst);
        barrier.wait();
        counted.0.fetch_sub(1, Ordering::SeqCst);
        Ok(Response::text("done"))
    });
    let pool = "blocking = { threads = 4, queue = 100 }";
    let server = Embedded::start(handlers, pool, "'/' = { handler = 'together' }");
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "done");
    }
    assert_eq!(most.1.load(Ordering::SeqCst), 4);
}
