//! A client of WebSockets (RFC 6455), as far as tests need one: whole messages, and pongs to no pings.

use std::net::SocketAddr;

use crate::support::{Client, Server};

/// An open WebSocket.
pub(crate) struct WebSocket(Client);

/// What a frame holds (RFC 6455 §11.8).
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

impl WebSocket {
    /// Opens a WebSocket at this server, and sends `first` right behind the handshake, before its answer has come.
    pub(crate) fn open(server: &Server, target: &str, first: &str) -> Self {
        let first_frame = frame(TEXT, first.as_bytes());
        let mut socket = Self::begin(server.connect(), server.address(), target, &first_frame);
        assert_eq!(socket.message(), (TEXT, first.as_bytes().to_vec()));
        socket
    }

    /// Opens a WebSocket at another server.
    pub(crate) fn connect(address: SocketAddr, target: &str) -> Self {
        Self::begin(Client::connect(address), address, target, &[])
    }

    /// Sends the handshake, `behind` right behind it, and takes the answer.
    fn begin(mut client: Client, address: SocketAddr, target: &str, behind: &[u8]) -> Self {
        let handshake = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: keep-alive, Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.send([handshake.as_bytes(), behind].concat());
        let response = client.response_head();
        assert_eq!(response.status, 101, "{response:?}");
        let accepted = response.field("Sec-WebSocket-Accept");
        // The answer to that key (RFC 6455 §1.3).
        assert_eq!(accepted, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Self(client)
    }

    /// Sends text.
    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(frame(TEXT, text.as_bytes()));
    }

    /// Reads a message, which must be text.
    pub(crate) fn text(&mut self) -> String {
        let (kind, message) = self.message();
        assert_eq!(kind, TEXT);
        String::from_utf8(message).expect("text is UTF-8")
    }

    /// Sends text, which must come back.
    pub(crate) fn echo(&mut self, text: &str) {
        self.send(text);
        assert_eq!(self.message(), (TEXT, text.as_bytes().to_vec()));
    }

    /// Sends octets, which must come back.
    pub(crate) fn echo_binary(&mut self, octets: &[u8]) {
        self.0.send(frame(BINARY, octets));
        let (kind, message) = self.message();
        assert!(
            kind == BINARY && message == octets,
            "{} octets",
            octets.len()
        );
    }

    /// Closes in good order (RFC 6455 §7.1.1), and waits for the end of the connection.
    pub(crate) fn close(mut self) {
        self.0.send(frame(CLOSE, &[3, 232]));
        let (kind, message) = self.message();
        assert_eq!((kind, &message[..2]), (CLOSE, &[3, 232][..]));
        self.0.expect_end();
    }

    /// Reads a message, which may come in several frames.
    fn message(&mut self) -> (u8, Vec<u8>) {
        let (mut kind, mut message) = (0, Vec::new());
        loop {
            let head = self.0.read(2);
            let length = match head[1] {
                126 => u64::from(u16::from_be_bytes(self.0.read(2).try_into().expect("two"))),
                127 => u64::from_be_bytes(self.0.read(8).try_into().expect("eight")),
                short => u64::from(short),
            };
            message.extend(self.0.read(usize::try_from(length).expect("it fits")));
            kind |= head[0] & 15;
            if head[0] & 128 != 0 {
                return (kind, message);
            }
        }
    }
}

/// A frame of a client, which is masked; the mask does not matter here.
fn frame(kind: u8, octets: &[u8]) -> Vec<u8> {
    let mut frame = vec![128 | kind];
    match octets.len() {
        length @ ..126 => frame.push(128 | length as u8),
        length @ ..65536 => {
            frame.push(128 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(128 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    let masked = octets.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(octet, mask)| octet ^ mask));
    frame
}
