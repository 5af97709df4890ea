//! CGI, FastCGI and PHP: faults in how scripts are asked and how their answers are sent.

use crate::cgi;
use crate::fastcgi::{Peer, STDOUT, end, record};
use crate::support::{Client, Server, Site, pattern};

/// A route that asks the application server that the test plays.
fn fastcgi_site(options: &str) -> Site {
    Site::new(&format!(
        "'/' = {{ fastcgi = 'unix:php.sock', root = 'www' {options} }}"
    ))
    .file("index.php", "<?php the source")
}

fn send(client: &mut Client, method: &str, target: &str, lines: &str) {
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"
    ));
}

/// More octets than all the buffers on the way hold.
const LARGE: usize = 3_000_000;

/// The output of a script that announces `length` octets of content, and gives `content`.
fn announcing(length: usize, content: &[u8]) -> Vec<u8> {
    let head = format!("Content-Type: a/b\nETag: \"7\"\nContent-Length: {length}\n\n");
    [head.as_bytes(), content].concat()
}

/// Requests for an answer with the entity tag `"7"`, and their statuses.
const WAYS: [(&str, &str, u16); 4] = [
    ("GET", "", 200),
    ("HEAD", "", 200),
    ("GET", "If-None-Match: \"7\"\r\n", 304),
    ("GET", "", 200),
];

/// Asks in all [`WAYS`] for an answer that is longer than the `length` that it announces.
fn expect_what_was_announced(server: &Server, target: &str, length: usize) {
    let mut client = server.connect();
    for (method, lines, status) in WAYS {
        send(&mut client, method, target, lines);
        let response = match method {
            "HEAD" => client.response_to_head(),
            _ => client.response(),
        };
        assert_eq!(response.status, status, "{method} {lines:?}");
        if status == 200 {
            assert_eq!(response.content_length(), Some(length), "{method}");
        }
    }
    server.wait_for_line(|line| {
        line.contains(" warning: route ") && line.contains("longer than its Content-Length says")
    });
}

/// A newline behind `?>` makes what PHP sends longer than its Content-Length. Small answers became
/// 502, and large ones lost their last block and the connection.
#[test]
fn an_answer_longer_than_announced_is_sent_as_announced() {
    for (length, content) in [
        (8, b"12345678 and fourteen more".to_vec()),
        (0, b"\n".to_vec()),
        (LARGE, [&pattern(0, LARGE)[..], b"\n"].concat()),
    ] {
        let output = announcing(length, &content);
        let site = cgi::site(&[("x", "cat answer")], "");
        site.directory().write("scripts/answer", &output);
        expect_what_was_announced(&site.start(), "/cgi-bin/x", length);
        // The last octet comes with others, or by itself.
        for last in [0, 1] {
            let (most, rest) = output.split_at(output.len() - last);
            let blocks = most.chunks(32 * 1024).chain([rest]);
            let records: Vec<u8> = blocks.flat_map(|block| record(STDOUT, block)).collect();
            let site = fastcgi_site("");
            let peer = Peer::at(&site);
            let server = site.start();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in WAYS {
                        let mut connection = peer.accept();
                        connection.request();
                        connection.send(&records);
                        connection.send(end(0));
                    }
                });
                expect_what_was_announced(&server, "/", length);
            });
        }
    }
}

/// An answer with less content than announced lost its last block, and was a 502 where it was small.
/// The client gets all that there is, and sees by the end of the connection that more was to come.
#[test]
fn an_answer_shorter_than_announced_is_sent_as_far_as_it_goes() {
    for content in [b"1234567".to_vec(), pattern(0, LARGE)] {
        let output = announcing(content.len() + 1, &content);
        let site = cgi::site(&[("x", "cat answer")], "");
        site.directory().write("scripts/answer", &output);
        expect_all_there_is(&site.start(), "/cgi-bin/x", &content);

        let site = fastcgi_site("");
        let peer = Peer::at(&site);
        let server = site.start();
        let blocks = output.chunks(32 * 1024);
        let mut records: Vec<u8> = blocks.flat_map(|block| record(STDOUT, block)).collect();
        records.extend(end(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut connection = peer.accept();
                connection.request();
                connection.send(&records);
            });
            expect_all_there_is(&server, "/", &content);
        });
    }
}

fn expect_all_there_is(server: &Server, target: &str, content: &[u8]) {
    let mut client = server.connect();
    send(&mut client, "GET", target, "");
    let head = client.response_head();
    assert_eq!(head.content_length(), Some(content.len() + 1));
    assert!(client.rest().expect("an end in good order") == content);
    server.wait_for_line(|line| {
        line.contains(" error: route ") && line.contains("shorter than its Content-Length says")
    });
}
