//! Which server gets a connection, and who gets none.

use std::io::{Read as _, Write as _};

use super::*;
use crate::support::{ended_with, until};

#[test]
fn another_server_is_tried_if_one_takes_no_connection() {
    let (listener, there) = upstream();
    let nowhere = nowhere();
    let top = format!("[upstreams.db]\nservers = ['{nowhere}', '{there}']\nfailures.max = 1\n");
    let text = configuration("", "proxy = 'db'") + &top;
    let server = Site::configured(&text).start();
    let address = stream_address(&server);
    for _ in 0..4 {
        let client = connect(address);
        let mut upstream = accept(&listener);
        upstream.write_all(b"hello").expect("it is open");
        assert_eq!(read(&client, 5), b"hello");
    }
    let record = record(&server, "complete");
    assert_eq!(record["upstream"], "db");
    assert_eq!(record["server"], there.to_string());
    // It was told once: the server is not asked any more.
    let told = server.wait_for_line(|line| line.contains("no connection: "));
    assert!(told.contains(&format!("upstream db: {nowhere}")), "{told}");
    server.wait_for_line(|line| line.contains(&format!("{nowhere} has failed")));
}

/// `{upstream_tries}` was 1 where two servers were asked, and 0 where none took the connection; that one was missing
/// from `tidegate log`, and had no `{upstream}`.
#[test]
fn every_server_that_was_asked_counts_as_a_try() {
    let (listener, there) = upstream();
    let (first, second) = (nowhere(), nowhere());
    let top = format!(
        "[upstreams.some]\nservers = ['{first}', {{ address = '{there}', backup = true }}]\n\
         [upstreams.none]\nservers = ['{first}', {{ address = '{second}', backup = true }}]\n\
         [[stream]]\nlisten = '127.0.0.3:0'\nproxy = 'none'\n"
    );
    let format = "format = '{status} {upstream} {upstream_tries}'";
    let text = configuration("", "proxy = 'some'") + &top;
    let server = Site::configured(&text.replace("format = 'json'", format)).start();
    let at = |host: &str| {
        let line = server.wait_for_line(|line| line.contains(&format!("listening at {host}:")));
        let (_, address) = line.split_once("listening at ").expect("it says where");
        let (address, _) = address.split_once(',').expect("and for what");
        connect(address.parse().expect("an address"))
    };
    let client = at("127.0.0.2");
    drop((accept(&listener), client));
    server.wait_for_record(|line| line == format!("200 {there} 2"));
    expect_reset(&at("127.0.0.3"));
    server.wait_for_record(|line| line == format!("502 {second} 2"));
    let told = ended_with(0, &server.command_line(&["log"]));
    assert!(told.contains(&format!("via {second}")), "{told}");
}

#[test]
fn where_no_server_takes_one_the_client_sees_a_reset() {
    let server = start("", &format!("proxy = '{}'", nowhere()));
    expect_reset(&connect(stream_address(&server)));
    let record = record(&server, "connect_failed");
    assert_eq!(record["status"], 502);
    assert!(record["server"].is_null());
}

#[test]
fn connections_are_shared_out_by_how_many_each_server_has() {
    let ((one, first), (other, second)) = (upstream(), upstream());
    let text = configuration("", "proxy = 'db'")
        + &format!(
            "[upstreams.db]\nservers = ['{first}', '{second}']\nbalance = 'least_connections'\n"
        );
    let server = Site::configured(&text).start();
    let address = stream_address(&server);
    let clients: Vec<_> = (0..6).map(|_| connect(address)).collect();
    let held: Vec<_> = (0..3)
        .flat_map(|_| [accept(&one), accept(&other)])
        .collect();
    assert_eq!((clients.len(), held.len()), (6, 6));
}

#[test]
fn a_stream_has_so_many_connections_and_no_more() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\nmax_connections = 2"));
    let address = stream_address(&server);
    let mut open: Vec<_> = (0..2)
        .map(|_| (connect(address), accept(&listener)))
        .collect();
    expect_reset(&connect(address));
    assert_eq!(record(&server, "too_many")["status"], 503);
    open.pop();
    // The place is free when the end has been seen on both sides.
    until("a free place", || {
        let mut client = connect(address);
        client.write_all(b"x").ok()?;
        listener.set_nonblocking(true).expect("it can be set so");
        let accepted = until("an end or a connection", || {
            let mut octet = [0];
            match listener.accept() {
                Ok((upstream, _)) => Some(Some(upstream)),
                Err(_) => {
                    client.set_nonblocking(true).expect("it can be set so");
                    match client.peek(&mut octet) {
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
                        _ => Some(None),
                    }
                }
            }
        });
        accepted.map(drop)
    });
}

#[test]
fn clients_are_kept_out_by_their_address() {
    let (_listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\nallow = '10.0.0.0/8'"));
    expect_reset(&connect(stream_address(&server)));
    let record = record(&server, "denied");
    assert_eq!(record["status"], 403);
    assert_eq!(record["bytes_received"], 0);
}

/// Connections of streams count among those of the process; an idle HTTP connection makes room for one,
/// a connection of a stream is in use.
#[test]
fn the_limit_of_the_process_holds_for_streams_as_well() {
    let (listener, there) = upstream();
    let server = start("limits.max_connections = 2", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    let mut idle = server.connect();
    assert_eq!(
        idle.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n").text(),
        "ok"
    );
    server.wait_for_idle(1);
    let first = (connect(address), accept(&listener));
    let second = (connect(address), accept(&listener));
    idle.expect_end();
    expect_reset(&connect(address));
    record(&server, "too_many");
    drop((first, second));
}

/// A connection of a stream takes two descriptors. Where the second one is missing, the upstream is not to
/// blame: it was paused, and other clients were kept from it.
#[test]
fn a_server_does_not_count_as_failed_where_descriptors_run_out() {
    // With an even number of descriptors left, and with an odd one.
    for others in 0..2 {
        let (listener, there) = upstream();
        listener.set_nonblocking(true).expect("it can be set so");
        let text = configuration("grace = '100ms'", "proxy = 'db'")
            + &format!(
                "[upstreams.db]\nservers = '{there}'\nfailures = {{ max = 1, pause = '1h' }}\n"
            );
        let server = Site::configured(&text).descriptors(64).start();
        let address = stream_address(&server);
        let others: Vec<_> = (0..others).map(|_| server.connect()).collect();
        let mut held = Vec::new();
        while let Some(both) = connect_through(&server, address, &listener) {
            held.push(both);
        }
        assert!(held.len() > 5, "{}", held.len());
        drop((held, others));
        let mut client = connect(address);
        client.write_all(b"x").expect("it is open");
        // Behind the one that was queued when descriptors had run out, which is closed by now.
        until("a connection with an octet", || {
            let mut upstream = patient(listener.accept().ok()?.0);
            (upstream.read(&mut [0]).ok()? == 1).then_some(())
        });
        let lines = server.diagnostics();
        let paused = lines.iter().filter(|line| line.contains("has failed"));
        assert_eq!(paused.count(), 0, "{lines:#?}");
    }
}

/// A client that is connected to the upstream; `None` if the server has no descriptors for it.
fn connect_through(
    server: &Server,
    address: SocketAddr,
    listener: &TcpListener,
) -> Option<(TcpStream, TcpStream)> {
    let client = connect(address);
    let is_short = |line: &String| line.contains("Too many open files");
    let upstream = until("a connection, or none", || match listener.accept() {
        Ok((upstream, _)) => Some(Some(upstream)),
        Err(_) => server.diagnostics().iter().any(is_short).then_some(None),
    });
    upstream.map(|upstream| (client, upstream))
}

/// A database that has as many connections as it may have: the next client waits for one.
#[test]
fn a_client_waits_until_a_server_has_room() {
    let (listener, there) = upstream();
    let text = configuration("", "proxy = 'db'")
        + &format!(
            "[upstreams.db]\nservers = [{{ address = '{there}', max_connections = 1 }}]\nqueue.max = 1\n"
        );
    let server = Site::configured(&text).start();
    let address = stream_address(&server);
    let first = (connect(address), accept(&listener));
    let mut second = connect(address);
    second.write_all(b"early").expect("room");
    until("the queue", || {
        (server.status()["upstreams"][0]["waiting"] == 1).then_some(())
    });
    expect_reset(&connect(address));
    assert_eq!(record(&server, "queue_full")["status"], 503);
    drop(first);
    assert_eq!(read(&accept(&listener), 5), b"early");
}

/// It waited for the server that was there when it came, and was reset when its time was up.
#[test]
fn a_client_that_waits_gets_the_server_that_a_reload_has_brought() {
    let ((listener, there), (other, elsewhere)) = (upstream(), upstream());
    let text = configuration("", "proxy = 'db'")
        + &format!("[upstreams.db]\nservers = [{{ address = '{there}', max_connections = 1 }}]\n");
    let server = Site::configured(&text).start();
    let address = stream_address(&server);
    let _first = (connect(address), accept(&listener));
    let mut second = connect(address);
    second.write_all(b"early").expect("room");
    until("the queue", || {
        (server.status()["upstreams"][0]["waiting"] == 1).then_some(())
    });
    server.configure(text.replace(&there.to_string(), &elsewhere.to_string()));
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(read(&accept(&other), 5), b"early");
}

#[test]
fn no_server_gets_a_connection_of_a_client_that_broke_off_while_it_waited() {
    let (listener, there) = upstream();
    let text = configuration("", "proxy = 'db'")
        + &format!("[upstreams.db]\nservers = [{{ address = '{there}', max_connections = 1 }}]\n");
    let server = Site::configured(&text).start();
    let address = stream_address(&server);
    let first = (connect(address), accept(&listener));
    let mut others = Vec::new();
    for (count, octets) in [(1, b"second"), (2, b"third ")] {
        let mut client = connect(address);
        client.write_all(octets).expect("room");
        until("the queue", || {
            (server.status()["upstreams"][0]["waiting"] == count).then_some(())
        });
        others.push(client);
    }
    let broken = others.remove(0);
    let socket = socket2::SockRef::from(&broken);
    socket.set_linger(Some(Duration::ZERO)).expect("it is open");
    drop(broken);
    drop(first);
    assert_eq!(read(&accept(&listener), 6), b"third ");
    assert_eq!(record(&server, "client_gone")["status"], 499);
}
