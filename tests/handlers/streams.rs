//! Content that is read and written as a stream.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex, mpsc};

use super::support::{Client, SAFETY, pattern, until};
use super::{Embedded, alone, get, ran_captured};
use tidegate::{Error, Handler, Handlers, Request, Response, StreamWriter};

/// The most memory that this process had at once, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("it is told");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

const GIBIBYTE: u64 = 1 << 30;

/// How much 2 GiB through handlers may add to the peak: some pipes, and what the allocator keeps for
/// each thread.
const MOST_ADDED_KIB: u64 = 8 * 1024;

#[test]
fn a_gibibyte_goes_up_and_another_comes_down_in_bounded_memory() {
    let name = "streams::a_gibibyte_goes_up_and_another_comes_down_in_bounded_memory";
    match alone(name) {
        None => send_both_ways(),
        Some(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            // `--nocapture` shows the figure.
            eprint!("{told}");
            assert!(output.status.success());
        }
    }
}

fn send_both_ways() {
    let mut handlers = Handlers::new();
    handlers.function("take", |mut request| {
        let mut sum = (0u64, 0u64);
        let mut block = vec![0; 64 * 1024];
        loop {
            match request.content().read(&mut block)? {
                0 => return Ok(Response::text(format!("{} {}", sum.0, sum.1))),
                count => {
                    sum.0 += count as u64;
                    sum.1 += u64::from(block[count - 1]);
                }
            }
        }
    });
    handlers.function("give", |_| {
        Ok(Response::stream(|writer| {
            let block = pattern(0, 64 * 1024);
            (0..GIBIBYTE / block.len() as u64).try_for_each(|_| writer.write_all(&block))
        }))
    });
    let routes = "'/take' = { handler = 'take', stream = true, limits.max_content = '2 GiB' }\n\
                  '/give' = { handler = 'give' }";
    let server = Embedded::start(handlers, "", routes);
    let mut client = server.connect();
    // Afterwards the buffers exist that any exchange needs.
    assert_eq!(client.exchange(get("/take")).status, 200);
    let before = peak_memory();

    client.send(format!(
        "POST /take HTTP/1.1\r\nHost: h\r\nContent-Length: {GIBIBYTE}\r\n\r\n"
    ));
    let block = vec![1; 64 * 1024];
    for _ in 0..GIBIBYTE / block.len() as u64 {
        client.send(&block);
    }
    assert!(
        client
            .response()
            .text()
            .starts_with(&format!("{GIBIBYTE} "))
    );

    let mut client = server.connect();
    client.send("GET /give HTTP/1.0\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.status, 200);
    let expected = pattern(0, 64 * 1024);
    for block in 0..GIBIBYTE / expected.len() as u64 {
        assert!(client.read(expected.len()) == expected, "in block {block}");
    }
    client.expect_end();
    let added = peak_memory() - before;
    eprintln!("2 GiB through handlers added {added} KiB to the peak of the process");
    assert!(added < MOST_ADDED_KIB, "{added} KiB");
}

#[test]
fn streamed_content_is_read_as_it_arrives() {
    let (told, heard) = mpsc::channel();
    let mut handlers = Handlers::new();
    let told = Mutex::new(told);
    handlers.function("listen", move |mut request| {
        let mut octet = [0];
        while request.content().read(&mut octet)? > 0 {
            told.lock()
                .expect("unharmed")
                .send(octet[0])
                .expect("the test listens");
        }
        Ok(Response::text("heard"))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'listen', stream = true }");
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for letter in *b"abc" {
        client.send([b"1\r\n", &[letter][..], b"\r\n"].concat());
        assert_eq!(heard.recv(), Ok(letter));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "heard");
    assert_eq!(
        client.exchange(get("/")).text(),
        "heard",
        "the connection goes on"
    );
}

#[test]
fn streamed_content_that_is_wrong_fails_the_read_with_its_status() {
    let mut handlers = Handlers::new();
    handlers.function("take", |mut request| {
        let mut content = Vec::new();
        request.content().read_to_end(&mut content)?;
        Ok(Response::text("taken"))
    });
    let route = "'/' = { handler = 'take', stream = true, limits.max_content = 10 }";
    let server = Embedded::start(handlers, "", route);
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (content, status) in [("b\r\n12345678901\r\n0\r\n\r\n", 413), ("5\r\n12345x", 400)] {
        let mut client = server.connect();
        client.send(format!("{head}{content}"));
        assert_eq!(client.response().status, status, "{content:?}");
    }
}

#[test]
fn a_handler_may_answer_before_it_has_read_everything() {
    if ran_captured("streams::a_handler_may_answer_before_it_has_read_everything") {
        return;
    }
    let mut handlers = Handlers::new();
    handlers.function("glance", |mut request| {
        let mut start = [0; 3];
        request.content().read_exact(&mut start)?;
        Ok(Response::text(String::from_utf8_lossy(&start)))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'glance', stream = true }");
    let mut client = server.connect();
    let length = 100_000;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\nabc"
    ));
    assert_eq!(client.response().text(), "abc");
    client.send(vec![b'x'; length - 3]);
    assert_eq!(
        client.exchange(get("/never")).status,
        500,
        "it has nothing to read"
    );
}

#[test]
fn a_handler_reads_on_while_its_response_is_sent() {
    let mut handlers = Handlers::new();
    handlers.function("double", |mut request| {
        Ok(Response::stream(move |writer| {
            let mut octet = [0];
            while request.content().read(&mut octet)? > 0 {
                writer.write_all(&[octet[0], octet[0]])?;
                writer.flush()?;
            }
            Ok(())
        }))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'double', stream = true }");
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    for letter in *b"abc" {
        client.send([b"1\r\n", &[letter][..], b"\r\n"].concat());
        let expected = [b"2\r\n", &[letter, letter][..], b"\r\n"].concat();
        assert_eq!(client.read(expected.len()), expected);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read(5), b"0\r\n\r\n");
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nd");
    assert_eq!(client.response().text(), "dd", "the connection goes on");
}

#[test]
fn content_is_invited_also_if_the_handler_answers_at_once() {
    let mut handlers = Handlers::new();
    handlers.function("echo", |mut request| {
        Ok(Response::stream(move |writer| {
            std::io::copy(&mut request.content(), writer).map(drop)
        }))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'echo', stream = true }");
    let mut client = server.connect();
    for round in 0..200 {
        client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        );
        assert_eq!(client.response().status, 100, "round {round}");
        client.send("ab");
        assert_eq!(client.response().text(), "ab", "round {round}");
    }
}

/// What a response has that no socket's buffers can hold.
const LENGTH: usize = 16 * 1024 * 1024;

/// A server whose one handler reads the content with `read`, and writes `LENGTH` zeros meanwhile.
/// What `read` sends arrives at the receiver.
fn reading_beside_writing<T: Send + 'static>(
    limits: &str,
    read: fn(&mut Request, mpsc::Sender<T>),
) -> (Embedded, mpsc::Receiver<T>) {
    let (told, heard) = mpsc::channel();
    let told = Mutex::new(told);
    let mut handlers = Handlers::new();
    handlers.function("both", move |mut request| {
        let told = told.lock().expect("unharmed").clone();
        std::thread::spawn(move || read(&mut request, told));
        let (mut writer, response) = Response::channel();
        std::thread::spawn(move || writer.write_all(&vec![0; LENGTH]));
        Ok(response)
    });
    let route = format!("'/' = {{ handler = 'both', stream = true, {limits} }}");
    (Embedded::start(handlers, "", &route), heard)
}

/// Content that comes is progress: it takes longer than `send_timeout` here, and no octet of the
/// response can be sent meanwhile.
#[test]
fn a_response_may_wait_as_long_as_content_comes() {
    let limits = "limits.send_timeout = '300ms'";
    let (server, heard) = reading_beside_writing(limits, |request, told| {
        let mut octet = [0];
        while request
            .content()
            .read(&mut octet)
            .is_ok_and(|count| count > 0)
        {
            told.send(()).expect("the test listens");
        }
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(1) {
        client.send("1\r\nx\r\n");
        heard.recv().expect("the octet is read");
    }
    client.send("0\r\n\r\n");
    let mut response = 0;
    while response < LENGTH {
        response += client.read(1024 * 1024).len();
    }
}

#[test]
fn content_is_read_while_the_client_takes_none_of_the_response() {
    let limits = "limits.max_content = '1 GiB'";
    let (server, heard) = reading_beside_writing(limits, |request, told| {
        let mut content = Vec::new();
        let read = request.content().read_to_end(&mut content);
        told.send(read.ok()).expect("the test listens");
    });
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.0\r\nContent-Length: {LENGTH}\r\n\r\n"
    ));
    assert_eq!(client.response_head().status, 200);
    client.send(pattern(0, LENGTH));
    assert_eq!(heard.recv(), Ok(Some(LENGTH)));
    client.expect_zeros(LENGTH as u64);
    client.expect_end();
}

/// Server-sent events: many clients, and a pool with one thread, which none of them holds.
#[test]
fn a_channel_holds_no_thread_and_hears_of_clients_that_go() {
    let subscribers: Arc<Mutex<Vec<StreamWriter>>> = Arc::default();
    let mut handlers = Handlers::new();
    let subscribe = Arc::clone(&subscribers);
    handlers.function("events", move |_| {
        let (writer, response) = Response::channel();
        subscribe.lock().expect("unharmed").push(writer);
        Ok(response.content_type("text/event-stream"))
    });
    let pool = "blocking = { threads = 1, queue = 100 }";
    let server = Embedded::start(handlers, pool, "'/' = { handler = 'events' }");
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/"));
        assert_eq!(client.response_head().status, 200);
    }
    until("the thread is free", || {
        (server.blocking("running") == 0).then_some(())
    });
    for writer in subscribers.lock().expect("unharmed").iter_mut() {
        writer
            .write_all(b"data: high water\n\n")
            .expect("all are there");
    }
    for client in &mut clients {
        let chunk = b"12\r\ndata: high water\n\n\r\n";
        assert_eq!(client.read(chunk.len()), chunk);
    }
    drop(clients.split_off(20));
    until("30 of 50 have gone", || {
        let mut subscribers = subscribers.lock().expect("unharmed");
        subscribers.retain(|writer| !writer.client_has_gone());
        (subscribers.len() == 20).then_some(())
    });
    // Dropping a writer completes its content.
    subscribers.lock().expect("unharmed").clear();
    for client in &mut clients {
        assert_eq!(client.read(5), b"0\r\n\r\n");
    }
}

/// Gives each response's writer to the test, from the loop itself.
struct Subscribing(Mutex<mpsc::Sender<StreamWriter>>);

impl Handler for Subscribing {
    fn handle(&self, _: Request) -> Result<Response, Error> {
        let (writer, response) = Response::channel();
        let writers = self.0.lock().expect("unharmed");
        writers.send(writer).expect("the test listens");
        Ok(response)
    }

    fn never_waits(&self) -> bool {
        true
    }
}

/// While the server waits for a stream's next octets, it also waits for the client to go. That wait
/// used up the readiness that reported the next request: the request was never read, and the connection
/// was reset at `idle_timeout`.
#[test]
fn a_request_that_comes_while_a_response_is_streamed_is_answered() {
    let (sender, writers) = mpsc::channel();
    let mut handlers = Handlers::new();
    let sender = Mutex::new(sender);
    handlers.register("events", move |_options| {
        let sender = sender.lock().expect("unharmed").clone();
        Ok(Subscribing(Mutex::new(sender)))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'events' }");
    let mut client = server.connect();
    client.send(get("/"));
    let mut first = writers.recv().expect("the first request is answered");
    assert_eq!(client.response_head().status, 200);
    client.send(get("/"));
    // The loop takes a turn to send each of these, and the system reports the request with the first one.
    // So by the second one the server has stored that report, and waits for the client to go.
    for _ in 0..2 {
        first.write_all(b"data\n").expect("the client is there");
        assert_eq!(client.read(10), b"5\r\ndata\n\r\n");
    }
    drop(first);
    assert_eq!(client.read(5), b"0\r\n\r\n");
    let second = writers.recv_timeout(SAFETY);
    drop(second.expect("the second request is read"));
    assert_eq!(client.response().status, 200);
}
