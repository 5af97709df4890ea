//! Every limit of a size or a time, and what happens when it is reached.

use crate::support::{Client, Site, pattern, speak_plainly, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const UPLOAD: &str =
    "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

fn site(limits: &str) -> Site {
    Site::new("'/' = { respond = 'ok' }\n'/echo' = { echo = true }\n'/files' = { files = 'www', strip_prefix = true }").limits(limits)
}

#[test]
fn heads_that_are_too_large() {
    let server = site("max_head = '1 KiB'").start();
    let fits = 1024 - "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
    for (request, status) in [
        (
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
                "x".repeat(fits)
            ),
            200,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
                "x".repeat(fits + 1)
            ),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(5000)),
            431,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(900)),
            200,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(2000)),
            414,
        ),
        (format!("GET /{}", "x".repeat(5000)), 414),
    ] {
        let mut client = server.connect();
        client.send(&request);
        let response = client.response();
        assert_eq!(
            (response.status, response.says_close()),
            (status, status != 200),
            "{} bytes",
            request.len()
        );
    }
}

#[test]
fn too_many_fields() {
    let server = site("max_fields = 10").start();
    for (count, status) in [(9, 200), (10, 431), (1000, 431)] {
        let response = server.answer(format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "X: y\r\n".repeat(count)
        ));
        assert_eq!(response.status, status, "Host and {count} others");
    }
}

#[test]
fn a_head_that_does_not_come_in_time() {
    let server = site("head_timeout = '200ms'").start();
    for start in [
        "G",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: ",
    ] {
        let mut client = server.connect();
        client.send(start);
        let response = client.response();
        assert_eq!(
            (response.status, response.says_close()),
            (408, true),
            "{start:?}"
        );
        client.finish_sending();
        client.expect_end();
    }
    let mut client = server.connect();
    assert_eq!(client.exchange(GET).status, 200);
    client.send("GET /");
    assert_eq!(
        client.response().status,
        408,
        "a later request has as long as the first"
    );
}

#[test]
fn a_head_that_drips_has_no_longer_than_others() {
    speak_plainly();
    let server = site("head_timeout = '300ms'").start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
    let mut dripping = client.stream().try_clone().expect("a descriptor");
    let dripper = std::thread::spawn(move || {
        use std::io::Write as _;
        // Until the server closes the connection.
        while dripping.write_all(b"x").is_ok() {
            std::thread::yield_now();
        }
    });
    let status = client.response().status;
    assert!(matches!(status, 408 | 431), "{status}");
    let _ = client.stream().shutdown(std::net::Shutdown::Both);
    dripper.join().expect("it only writes");
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = site("idle_timeout = '200ms'").start();
    let mut client = server.connect();
    assert_eq!(client.exchange(GET).status, 200);
    client.expect_end();
    // The system hands a connection that stays silent to the server after about a second.
    server.connect().expect_end();
}

#[test]
fn content_that_does_not_come_in_time() {
    let server = site("body_timeout = '200ms'").start();
    for start in [
        "Content-Length: 5\r\n\r\nhel",
        "Content-Length: 5\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let mut client = server.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: h\r\n{start}"));
        let response = client.response();
        assert_eq!(
            (response.status, response.says_close()),
            (408, true),
            "{start:?}"
        );
        client.finish_sending();
        client.expect_end();
    }
}

#[test]
fn unwanted_content_that_does_not_come_in_time_ends_the_connection() {
    let server = site("body_timeout = '200ms'").start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
    assert_eq!(client.response().status, 200);
    client.expect_end();
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let length = 64 << 20;
    let server = site("send_timeout = '200ms'")
        .log("access = '-'")
        .file("large.bin", pattern(0, length))
        .start();
    let mut client = server.connect();
    client.send("GET /files/large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    // The record of the exchange is written when the server has given up.
    let record = server.wait_for_record(|line| line.contains("/files/large.bin"));
    assert!(!record.contains(&format!(" {length} ")), "{record}");
    assert!(client.count_rest() < length as u64);
    server.wait_for_reason("send_timeout");
}

#[test]
fn one_connection_too_many_gets_an_answer() {
    speak_plainly();
    let server = site("max_connections = 2").start();
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.send(UPLOAD);
        assert_eq!(client.response().status, 100);
    }
    for _ in 0..3 {
        let mut refused = server.connect();
        refused.send(GET);
        let response = refused.last_response();
        assert_eq!((response.status, response.says_close()), (503, true));
        let after: u32 = response
            .field("Retry-After")
            .expect("a Retry-After")
            .parse()
            .expect("seconds");
        assert!(after > 0);
        assert!(response.field("Date").is_some());
    }
    let [mut leaving, mut staying] = clients;
    leaving.finish_sending();
    leaving.expect_end();
    let mut newcomer = server.connect();
    assert_eq!(newcomer.exchange(GET).status, 200, "there is room again");
    assert_eq!(staying.exchange("hello").status, 200);
}

#[test]
fn accepting_goes_on_by_itself_when_descriptors_are_there_again() {
    let server = site("").top("workers = 2").descriptors(40).start();
    let mut survivor = server.connect();
    assert_eq!(survivor.exchange(GET).status, 200);
    let greedy = server.take_all_descriptors();
    assert_eq!(
        survivor.exchange(GET).status,
        200,
        "who is connected is served"
    );
    drop(greedy);
    for _ in 0..20 {
        assert_eq!(server.answer(GET).status, 200);
    }
    let complaints = server
        .diagnostics()
        .iter()
        .filter(|line| line.contains("cannot accept"))
        .count();
    assert!(
        complaints <= 10,
        "{complaints} complaints about one shortage"
    );
}

#[test]
fn a_shortage_of_descriptors_spares_what_needs_none() {
    speak_plainly();
    let server = site("")
        .top("workers = 1")
        .descriptors(40)
        .file("a.txt", "content of a")
        .start();
    let mut client = server.connect();
    assert_eq!(client.exchange(GET).status, 200);
    let greedy = server.take_all_descriptors();
    assert_eq!(client.exchange(GET).status, 200);
    let file = "GET /files/a.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    let response = client.exchange(file);
    assert_eq!(response.status, 503, "a file cannot be opened now");
    assert!(response.field("Retry-After").is_some());
    drop(greedy);
    until("the file", || {
        (client.exchange(file).text() == "content of a").then_some(())
    });
    server.wait_for_reason("system_shortage");
}

/// `head_timeout` was counted from an earlier head: from the last request that the server had to wait
/// for, or from the first pipelined request that arrived in two reads.
#[test]
fn every_head_has_a_time_of_its_own() {
    let server = site("head_timeout = '600ms'").top("workers = 1").start();
    let mut other = server.connect();
    let mut client = server.connect();
    let post = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
    let (start, end) = post.split_at(7);
    client.send(start);
    assert_eq!(other.exchange(GET).status, 200, "the worker has read that");
    assert_eq!(client.exchange(end).status, 200);
    let mut timed_out = server.connect();
    timed_out.send("G");
    assert_eq!(
        timed_out.response().status,
        408,
        "an earlier head's is over"
    );
    client.send("GET / HTTP/1.1\r\n");
    // The worker has read that, and looks at its deadlines between any two of these.
    for _ in 0..3 {
        assert_eq!(other.exchange(GET).status, 200);
    }
    assert_eq!(client.exchange("Host: h\r\n\r\n").status, 200);

    let (start, end) = GET.split_at(7);
    client.send(start);
    let mut timed_out = server.connect();
    timed_out.send("G");
    let stream = timed_out.stream();
    stream
        .set_nonblocking(true)
        .expect("a socket can be set so");
    while stream.peek(&mut [0]).is_err() {
        assert_eq!(client.exchange([end, start].concat()).status, 200);
    }
    assert_eq!(client.exchange([end, start].concat()).status, 200);
    assert_eq!(
        client.last_response().status,
        408,
        "of the last, which never ends"
    );
}

/// The buffer that content had been read into stayed with the connection: 64 KiB for each.
#[test]
fn an_idle_connection_holds_no_buffer_after_content() {
    let server = site("").start();
    let resident = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
        let status = status.expect("the server runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        kibibytes
            .and_then(|number| number.parse().ok())
            .expect("Linux tells")
    };
    let post = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";
    let connect = || {
        let mut client = server.connect();
        client.send(post);
        client.send([b'x'; 60_000]);
        assert_eq!(client.response().status, 200);
        client
    };
    let _first = connect();
    let before = resident();
    let _clients: Vec<_> = (0..300).map(|_| connect()).collect();
    let grown = resident().saturating_sub(before);
    assert!(grown < 300 * 16, "{grown} KiB for 300 idle connections");
}

/// Ten clients that did nothing kept everyone else out.
#[test]
fn at_max_connections_the_oldest_idle_one_is_given_up() {
    for workers in [1, 3] {
        let top = format!("workers = {workers}");
        let server = site("max_connections = 10").top(&top).start();
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..10 {
            let mut client = server.connect();
            assert_eq!(client.exchange(GET).status, 200);
            clients.push(client);
            server.wait_for_idle(clients.len());
        }
        // The first is used once more: the second is the one that has been idle longest.
        assert_eq!(clients[0].exchange(GET).status, 200);
        server.wait_for_idle(10);
        let mut further = server.connect();
        assert_eq!(further.exchange(GET).status, 200);
        server.wait_for_idle(10);
        clients.remove(1).expect_end();
        let mut another = server.connect();
        assert_eq!(another.exchange(GET).status, 200);
        clients.remove(1).expect_end();
        clients.extend([further, another]);
        for client in &mut clients {
            assert_eq!(client.exchange(GET).status, 200);
        }
        until("ten are open", || {
            (server.status()["connections"]["open"] == 10).then_some(())
        });
    }
}

#[test]
fn at_max_connections_those_in_use_are_kept() {
    speak_plainly();
    let server = site("max_connections = 3").top("workers = 2").start();
    let mut busy = [(); 3].map(|()| server.connect());
    for client in &mut busy {
        client.send(UPLOAD);
        assert_eq!(client.response().status, 100);
    }
    assert_eq!(server.get("/").status, 503);
    for client in &mut busy {
        assert_eq!(client.exchange("hello").status, 200);
    }
    assert_eq!(server.get("/").status, 200);
}
