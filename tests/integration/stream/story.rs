//! What diagnostics tell, step by step, of the connections of clients that `log.debug_clients` names.

use std::io::Write as _;

use super::tls::{certificate, over_tls};
use super::*;

/// A server whose `[[stream]]` has the lines `stream`, and which tells the story of `clients`.
fn telling(clients: &str, top: &str, stream: &str) -> Server {
    let text = configuration(top, stream);
    let log = format!("[log]\ndebug_clients = ['{clients}']\n");
    Site::configured(&text.replace("[log]\n", &log)).start()
}

/// The lines at level debug of a server that is stopped, once it has told an end of a connection.
fn story(server: Server) -> Vec<String> {
    server.wait_for_line(|line| line.contains(" debug: ") && line.contains(" ended ("));
    let (lines, _) = server.stop();
    let is_debug = |line: &String| line.contains(" debug: ");
    lines.into_iter().filter(is_debug).collect()
}

/// Checks that `story` has these steps, in this order, and no others.
fn expect_steps(story: &[String], steps: &[&str]) {
    assert_eq!(story.len(), steps.len(), "{story:#?}");
    for (line, step) in story.iter().zip(steps) {
        assert!(line.contains(step), "{step}: {story:#?}");
    }
}

#[test]
fn each_step_of_a_connection_is_told() {
    let ((listener, there), nowhere) = (upstream(), nowhere());
    let stream = format!(
        "proxy = 'db'\n{}\n[upstreams.db]\n\
         servers = ['{nowhere}', {{ address = '{there}', backup = true }}]",
        certificate("")
    );
    let server = telling("127.0.0.1", "", &stream);
    let address = stream_address(&server);
    let socket = connect(address);
    let port = socket.local_addr().expect("it is bound").port();
    let mut client = over_tls(socket, &[]);
    client.write_all(b"hello").expect("the server takes it");
    let mut upstream = accept(&listener);
    assert_eq!(read(&upstream, 5), b"hello");
    upstream.write_all(b"hi").expect("it is open");
    drop(upstream);
    client.conn.send_close_notify();
    client.flush().expect("the server takes it");
    let story = story(server);
    let of = format!("127.0.0.1: stream at {address}, port {port}: ");
    expect_steps(
        &story,
        &[
            &format!("127.0.0.1: connects to {address} from port {port}, worker "),
            &format!("{of}let in, for upstream db"),
            &format!("{of}the handshake is complete: TLSv1.3 with "),
            &format!("{of}{nowhere} is asked, try 1"),
            &format!("{of}{nowhere} takes no connection: Connection refused"),
            &format!("{of}{there} is asked, try 2"),
            &format!("{of}{there} takes the connection after "),
            &format!(
                "{of}ended (complete): both sides have ended it; 5 octets from the client, 2 to it, in "
            ),
        ],
    );
}

#[test]
fn a_connection_that_is_refused_is_told_with_the_reason() {
    let server = telling(
        "127.0.0.0/8",
        "",
        &format!("proxy = '{}'\ndeny = '127.0.0.1'", nowhere()),
    );
    expect_reset(&connect(stream_address(&server)));
    let refused = "ended (denied): refused: `allow` and `deny` keep the client out; 0 octets";
    expect_steps(&story(server), &["127.0.0.1: connects to ", refused]);
}

/// The peer is a proxy, and the operator has named the client behind it.
#[test]
fn a_client_is_told_of_by_the_address_that_its_proxy_names() {
    let stream = format!("proxy = '{}'\naccept_proxy_protocol = true", nowhere());
    let server = telling("192.0.2.7", "trusted_proxies = '127.0.0.1'", &stream);
    let address = stream_address(&server);
    let mut client = connect(address);
    client
        .write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n")
        .expect("it is open");
    expect_reset(&client);
    let of = format!("192.0.2.7: stream at {address}, port 51234: ");
    let proxy = "the PROXY header of 127.0.0.1 says that it has connected to 198.51.100.1:443";
    expect_steps(
        &story(server),
        &[
            &format!("{of}{proxy}"),
            &format!("{of}let in, for upstream "),
            "is asked, try 1",
            "takes no connection: ",
            &format!("{of}ended (connect_failed): no server that was asked took the connection"),
        ],
    );
}

#[test]
fn nothing_is_told_of_other_clients() {
    let server = telling("192.0.2.7", "", &format!("proxy = '{}'", nowhere()));
    expect_reset(&connect(stream_address(&server)));
    record(&server, "connect_failed");
    let (lines, _) = server.stop();
    assert!(!lines.concat().contains(" debug: "), "{lines:#?}");
}
