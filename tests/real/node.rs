//! Node behind `proxy`: Express, and WebSockets with `ws`, both as Debian packages them.

use std::process::Command;

use crate::program::Program;
use crate::support::{Server, Site, ended_with, pattern};
use crate::websocket::WebSocket;

const APPLICATION: &str = r#"
const express = require('express');
const http = require('http');
const { WebSocketServer } = require('ws');

const application = express();
application.set('trust proxy', () => true);
application.get(/^\/seen\//, (request, response) => {
  response.cookie('first', '1').cookie('second', '2');
  response.json({ ip: request.ip, protocol: request.protocol, host: request.get('host'),
                  url: request.originalUrl, query: request.query });
});
// Both ways at once.
application.post('/echo', (request, response) => request.pipe(response));
application.post('/form', express.urlencoded({ extended: false }), (request, response) => {
  response.send('taken: ' + request.body.name);
});
let listeners = [];
application.get('/events', (request, response) => {
  response.type('text/event-stream').flushHeaders();
  listeners.push(response);
  request.on('close', () => { listeners = listeners.filter((other) => other !== response); });
});
application.post('/tell', express.text(), (request, response) => {
  for (const listener of listeners) listener.write(`data: ${request.body}\n\n`);
  response.json({ listeners: listeners.length });
});
application.use('/files', express.static('public'));

const server = http.createServer(application);
const sockets = new WebSocketServer({ server, path: '/socket' });
sockets.on('connection', (socket) => {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
});
server.listen('app.sock');
"#;

fn start() -> (Server, Program) {
    let routes = "'/' = { proxy = 'node', limits = { max_content = '1 GiB' } }\n\
        '/direct' = { proxy = 'node', strip_prefix = true, buffer = false, \
        limits = { max_content = '1 GiB' } }";
    let site = Site::new(routes).top("upstreams.node = { servers = ['unix:app.sock'] }");
    site.directory().write("application.js", APPLICATION);
    site.directory()
        .write("public/tide.txt", "high water at noon\n");
    let mut command = Command::new("node");
    command
        .arg("application.js")
        .env("NODE_PATH", "/usr/share/nodejs")
        .current_dir(site.directory().path());
    let program = Program::at_socket(command, &site.directory().join("app.sock"));
    (site.start(), program)
}

#[test]
fn an_express_application_works() {
    let (server, _program) = start();
    let mut client = server.connect();
    let response = client.exchange(
        "GET /seen/a%2Fb?x=1&y=%2F HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Proto: https\r\n\r\n",
    );
    let cookies = response
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"));
    let cookies: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["first=1; Path=/", "second=2; Path=/"]);
    let expected = serde_json::json!({
        "ip": "127.0.0.1", "protocol": "http", "host": "shop.example",
        "url": "/seen/a%2Fb?x=1&y=%2F", "query": { "x": "1", "y": "/" },
    });
    assert_eq!(response.json(), expected);
    let form = client.exchange(
        "POST /form HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 15\r\n\r\nname=High+Water",
    );
    assert_eq!(form.text(), "taken: High Water");
    // Validators and ranges are the application's.
    let file = client.exchange("GET /files/tide.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(file.text(), "high water at noon\n");
    let tag = file.field("ETag").expect("Express makes one");
    let again = format!("GET /files/tide.txt HTTP/1.1\r\nHost: h\r\nIf-None-Match: {tag}\r\n\r\n");
    assert_eq!(client.exchange(again).status, 304);
    let part =
        client.exchange("GET /files/tide.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=5-9\r\n\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "water"));
    client.send("HEAD /files/tide.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_to_head().content_length(), Some(19));
}

#[test]
fn content_streams_through_it() {
    const LENGTH: usize = 20 << 20;
    let (server, _program) = start();
    for target in ["/echo", "/direct/echo"] {
        let mut client = server.connect();
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n"
        ));
        let mut sender = client.another();
        let sending = std::thread::spawn(move || sender.send(pattern(0, LENGTH)));
        assert!(client.response().content == pattern(0, LENGTH), "{target}");
        sending.join().expect("it sends");
    }
}

#[test]
fn its_events_arrive_one_by_one() {
    let (server, _program) = start();
    let mut listener = server.connect();
    listener.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(listener.response_head().status, 200);
    let mut teller = server.connect();
    let mut tell = |text: &str| {
        let length = text.len();
        let head = "POST /tell HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain";
        teller
            .exchange(format!("{head}\r\nContent-Length: {length}\r\n\r\n{text}"))
            .json()
    };
    for number in 0..50 {
        let text = format!("tide {number:02}");
        assert_eq!(tell(&text)["listeners"], 1);
        let expected = format!("data: {text}\n\n");
        let chunk = format!("{:x}\r\n{expected}\r\n", expected.len());
        assert_eq!(listener.read(chunk.len()), chunk.as_bytes());
    }
    // The application learns that the listener has gone.
    drop(listener);
    crate::support::until("the listener is gone", || {
        (tell("x")["listeners"] == 0).then_some(())
    });
}

#[test]
fn its_web_sockets_live_through_reloads() {
    let (server, _program) = start();
    let mut socket = WebSocket::open(&server, "/socket", "first");
    let mut other = WebSocket::open(&server, "/direct/socket", "other");
    for number in 0..50 {
        server.configure(format!(
            "# {number}\n{}",
            server.directory().read("config.toml")
        ));
        ended_with(0, &server.command_line(&["reload"]));
        socket.echo(&format!("after reload {number}"));
        other.echo(&format!("after reload {number}"));
    }
    for length in [0, 125, 126, 65535, 65536, 8 << 20] {
        socket.echo_binary(&vec![7; length]);
    }
    socket.close();
    other.close();
}
