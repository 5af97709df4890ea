//! Who waits for whom, and who is told when the other side goes.

use super::{HELLO, get, site, start};
use crate::support::{SAFETY, Site, Upstream, pattern, until};

/// Larger than the buffers of two sockets and of the server.
const LARGE: usize = 16 << 20;

/// The application is done with a response long before a slow client has it.
#[test]
fn a_slow_client_does_not_hold_the_upstream() {
    let (done, is_done) = std::sync::mpsc::channel();
    let upstream = Upstream::start(move |connection| {
        while let Some(request) = connection.next_request() {
            if request.line().contains("large") {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
                connection.send([head.as_bytes(), &pattern(0, LARGE)].concat());
                done.send(()).expect("the test waits");
            } else {
                connection.send(HELLO);
            }
        }
    });
    let address = upstream.address();
    let server = Site::new("'/' = { proxy = 'shop' }")
        .top(&format!(
            "upstreams.shop.servers = [{{ address = '{address}', max_connections = 1 }}]"
        ))
        .start();
    // It reads nothing for now.
    let mut slow = server.connect();
    slow.send(get("/large"));
    is_done.recv_timeout(SAFETY).expect("all of it is taken");
    // The one connection that the upstream may have is free for others.
    let mut client = server.connect();
    until("the upstream is free", || {
        (client.exchange(get("/next")).status == 200).then_some(())
    });
    assert!(slow.response().content == pattern(0, LARGE));
}

/// The application gets a request when all of it is there.
#[test]
fn a_slow_upload_does_not_hold_the_upstream() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let (server, upstream) = start("");
        let mut slow = server.connect();
        let is_chunked = framing.starts_with('T');
        let (first, second) = if is_chunked {
            ("5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n")
        } else {
            ("hello", "world")
        };
        slow.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{first}"
        ));
        // Whatever the server does at once, it has done.
        assert_eq!(server.get("/here").text(), "here");
        upstream.expect_no_connection();
        slow.send(second);
        let (_connection, request) = upstream.answer(HELLO);
        assert_eq!(request.content, b"helloworld");
        assert_eq!(slow.response().text(), "hello");
    }
}

/// Without `buffer`, a response is taken from the upstream no faster than the client takes it.
#[test]
fn a_slow_client_slows_the_upstream_if_it_is_told_to() {
    let (server, upstream) = start(", buffer = false");
    let mut slow = server.connect();
    slow.send(get("/large"));
    let mut connection = upstream.accept();
    connection.request();
    connection.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        8 * LARGE
    ));
    let sent = connection.send_until_it_stops(&vec![0; 8 * LARGE]);
    assert!(sent < 8 * LARGE, "all of it was taken");
    assert_eq!(slow.response_head().status, 200);
    let writer = std::thread::spawn(move || {
        connection.send(vec![0; 8 * LARGE - sent]);
        connection
    });
    slow.expect_zeros(8 * LARGE as u64);
    drop(writer.join().expect("it sends"));
}

#[test]
fn a_client_that_goes_while_it_waits_ends_the_exchange() {
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        for request in [get("/"), super::POST.to_owned()] {
            let mut client = server.connect();
            client.send(request);
            let mut connection = upstream.accept();
            connection.request();
            drop(client);
            connection.expect_end();
        }
    }
}

#[test]
fn a_client_that_goes_while_content_streams_ends_the_exchange() {
    for option in ["", ", buffer = false"] {
        for head in [
            "Content-Length: 1000000000\r\n",
            "Transfer-Encoding: chunked\r\n",
            "",
        ] {
            let (server, upstream) = start(option);
            let mut client = server.connect();
            client.send(get("/"));
            let mut connection = upstream.accept();
            connection.request();
            connection.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n5\r\nhello\r\n"));
            assert_eq!(client.response_head().status, 200);
            drop(client);
            connection.expect_end();
        }
    }
}

#[test]
fn a_client_that_goes_while_it_sends_ends_the_exchange() {
    let (server, upstream) = start(", buffer = false");
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n5\r\nhello\r\n"
        ));
        let mut connection = upstream.accept();
        connection.head();
        drop(client);
        connection.rest();
    }
}

#[test]
fn large_content_arrives_whole_in_both_directions() {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.next_request() {
            let length = request.content.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            ));
            connection.send(request.content);
        }
    });
    for option in ["", ", buffer = false"] {
        let option = format!("{option}, limits = {{ max_content = '1 GiB' }}");
        let server = site(&option, &upstream).start();
        let mut client = server.connect();
        let content = pattern(0, LARGE);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n"
        ));
        client.send(&content);
        assert!(client.response().content == content);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for block in content.chunks(1_000_000) {
            client.send([format!("{:x}\r\n", block.len()).as_bytes(), block, b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        assert!(client.response().content == content);
    }
}

/// Both directions at once, each larger than all buffers on the way: neither waits for the other's end.
#[test]
fn an_echo_without_buffers_does_not_stand_still() {
    let upstream = Upstream::start(|connection| {
        let request = connection.head();
        assert!(request.field("Transfer-Encoding").is_some());
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(octets) = connection.some() {
            connection.send(octets);
        }
    });
    let option = ", buffer = false, limits = { max_content = '1 GiB' }";
    let server = site(option, &upstream).start();
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut sender = client.another();
    let sending = std::thread::spawn(move || {
        for block in pattern(0, LARGE).chunks(1 << 16) {
            sender.send([&b"10000\r\n"[..], block, b"\r\n"].concat());
        }
        sender.send("0\r\n\r\n");
    });
    assert!(client.response().content == pattern(0, LARGE));
    sending.join().expect("it sends");
}

/// A client may send all of its content before it takes any of the response.
#[test]
fn content_goes_on_while_the_client_takes_nothing() {
    let upstream = Upstream::start(|connection| {
        let head = connection.head();
        connection.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"
        ));
        let content = pattern(0, LARGE);
        let sent = connection.send_until_it_stops(&content);
        assert!(sent < LARGE, "the client takes something");
        let request = connection.content_of(&head).expect("all of the content");
        assert!(request.content == content);
        connection.send(&content[sent..]);
    });
    let option = ", buffer = false, limits = { max_content = '1 GiB' }";
    let server = site(option, &upstream).start();
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n"
    ));
    client.send(pattern(0, LARGE));
    assert!(client.response().content == pattern(0, LARGE));
}

/// What a route holds back is gone when its client is: nothing is left open.
#[test]
fn nothing_is_left_open() {
    let upstream = Upstream::start(|connection| {
        if connection.next_request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\n\r\n");
            connection.rest();
        }
    });
    let server = site("", &upstream).start();
    let open = || {
        let directory = format!("/proc/{}/fd", server.id());
        std::fs::read_dir(directory).expect("it runs").count()
    };
    assert_eq!(server.get("/here").text(), "here");
    let before = open();
    for _ in 0..50 {
        let mut client = server.connect();
        client.send(get("/"));
        assert_eq!(client.response_head().status, 200);
    }
    until("every connection is closed", || {
        (open() <= before).then_some(())
    });
}
