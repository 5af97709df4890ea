//! Reloads, upgrades and the end of the server, with connections that are open.

use std::io::Write as _;

use rustix::process::Signal;

use super::*;
use crate::support::{ended_with, pattern, speak_plainly, tls_fixture, until};

/// Sends an octet each way.
fn use_both_ways(client: &TcpStream, upstream: &TcpStream) {
    for (mut from, to) in [(client, upstream), (upstream, client)] {
        from.write_all(b"x").expect("it is open");
        assert_eq!(read(to, 1), b"x");
    }
}

fn reload(server: &Server) -> String {
    let output = server.command_line(&["reload"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn a_reload_is_seen_by_the_next_connection_and_open_ones_go_on() {
    let ((before, first), (after, second)) = (upstream(), upstream());
    let server = start("", &format!("proxy = '{first}'"));
    let address = stream_address(&server);
    let open = (connect(address), accept(&before));
    server.configure(configuration(
        "",
        &format!("proxy = '{second}'\nmax_connections = 9"),
    ));
    let told = reload(&server);
    let changed = format!("stream at 127.0.0.2:0: proxy {first} → {second}");
    assert!(told.contains(&changed), "{told}");
    let new = (connect(address), accept(&after));
    use_both_ways(&open.0, &open.1);
    use_both_ways(&new.0, &new.1);
    // Both count, also for a limit that came with the reload.
    server.configure(configuration(
        "",
        &format!("proxy = '{second}'\nmax_connections = 2"),
    ));
    reload(&server);
    expect_reset(&connect(address));
    let status = server.status();
    assert_eq!(status["streams"]["open"], 2, "{status}");
    assert_eq!(status["streams"]["accepted"], 3, "{status}");
}

#[test]
fn connections_of_a_stream_that_is_removed_go_on() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    let open = (connect(address), accept(&listener));
    let text = configuration("", "");
    let (without, _) = text.split_once("[[stream]]").expect("there is one");
    server.configure(without);
    let told = reload(&server);
    assert!(told.contains("stream at 127.0.0.2:0 removed"), "{told}");
    until("nothing listens there", || {
        TcpStream::connect(address).err().map(drop)
    });
    use_both_ways(&open.0, &open.1);
    drop(open.0);
    expect_end(&open.1);
    drop(open.1);
    record(&server, "complete");
}

/// A connection that stayed open meanwhile counts.
#[test]
fn a_limit_holds_when_a_stream_is_removed_and_comes_back() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\nmax_connections = 1"));
    let address = stream_address(&server);
    let open = (connect(address), accept(&listener));
    let text = server.directory().read("config.toml");
    let elsewhere = text.replace("127.0.0.2:0", "127.0.0.3:0");
    for text in [elsewhere, text] {
        server.configure(text);
        reload(&server);
    }
    let old = address.to_string();
    let is_new = |line: &str| line.contains("listening at 127.0.0.2:") && !line.contains(&old);
    let line = server.wait_for_line(is_new);
    let (_, address) = line.split_once("listening at ").expect("it says where");
    let (address, _) = address.split_once(',').expect("and for what");
    expect_reset(&connect(address.parse().expect("an address")));
    use_both_ways(&open.0, &open.1);
}

/// The sockets of an address stay the same, so that no connection is lost; what they are for changes.
#[test]
fn an_address_may_become_a_stream_and_a_server_again() {
    speak_plainly();
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    let of_server = format!(
        "[[server]]\nlisten = '127.0.0.2:0'\nroutes.'/' = {{ respond = 'ok' }}\n\
         [[stream]]\nlisten = '127.0.0.1:0'\nproxy = '{there}'\n"
    );
    for _ in 0..2 {
        server.configure(&of_server);
        reload(&server);
        let mut client = crate::support::Client::connect(address);
        assert_eq!(
            client.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n").text(),
            "ok"
        );
        server.configure(configuration("", &format!("proxy = '{there}'")));
        reload(&server);
        let client = connect(address);
        use_both_ways(&client, &accept(&listener));
    }
}

#[test]
fn an_upgrade_keeps_the_address_and_the_open_connections() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    let open = (connect(address), accept(&listener));
    ended_with(0, &server.command_line(&["upgrade"]));
    let new = (connect(address), accept(&listener));
    use_both_ways(&open.0, &open.1);
    use_both_ways(&new.0, &new.1);
    drop((open, new));
    crate::upgrade::stop(server);
}

#[test]
fn a_stop_lets_connections_end_within_the_grace_period_and_cuts_the_others() {
    let (listener, there) = upstream();
    let server = start("grace = '3s'", &format!("proxy = '{there}'"));
    let address = stream_address(&server);
    let mut ends = (connect(address), accept(&listener));
    let stays = (connect(address), accept(&listener));
    use_both_ways(&ends.0, &ends.1);
    server.signal(Signal::TERM);
    until("nothing listens there", || {
        TcpStream::connect(address).err().map(drop)
    });
    let octets = pattern(0, 80_000);
    ends.0.write_all(&octets).expect("it goes on");
    assert_eq!(read(&ends.1, octets.len()), octets);
    drop(ends.0);
    expect_end(&ends.1);
    drop(ends.1);
    assert_eq!(record(&server, "complete")["bytes_received"], 80_001);
    // Neither side may take the cut for an end.
    expect_reset(&stays.0);
    expect_reset(&stays.1);
    assert_eq!(record(&server, "cut")["server"], there.to_string());
    let mut server = server;
    assert!(server.wait().expect("it is our own child").success());
}

/// No server was asked for it, so that it was not passed on.
#[test]
fn a_stop_resets_a_connection_that_waits_for_a_server() {
    let (listener, there) = upstream();
    let text = configuration("grace = '50ms'", "proxy = 'db'")
        + &format!("[upstreams.db]\nservers = [{{ address = '{there}', max_connections = 1 }}]\n");
    // Of two workers, the one that is cut last may give its connection the place of the other's.
    let text = text.replace("workers = 2", "workers = 1");
    let mut server = Site::configured(&text).start();
    let address = stream_address(&server);
    let open = (connect(address), accept(&listener));
    let waits = connect(address);
    until("the queue", || {
        (server.status()["upstreams"][0]["waiting"] == 1).then_some(())
    });
    server.signal(Signal::TERM);
    expect_reset(&waits);
    expect_reset(&open.0);
    expect_reset(&open.1);
    for status in [200, 503] {
        let status = format!("\"status\":{status},\"end\":\"cut\"");
        server.wait_for_record(|line| line.contains(&status));
    }
    assert!(server.wait().expect("it is our own child").success());
}

#[test]
fn streams_stand_in_included_files_as_well() {
    let (listener, there) = upstream();
    let site = Site::configured(
        "include = 'streams/*.toml'\n[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = '' }\n",
    );
    let stream = format!("[[stream]]\nlisten = '127.0.0.2:0'\nproxy = '{there}'\n");
    std::fs::create_dir(site.directory().join("streams")).expect("it is new");
    site.directory().write("streams/db.toml", stream);
    let server = site.start();
    let client = connect(stream_address(&server));
    use_both_ways(&client, &accept(&listener));
}

/// A file with streams alone is a whole configuration.
#[test]
fn a_server_may_have_streams_alone() {
    let (listener, there) = upstream();
    let text = format!("[[stream]]\nlisten = '127.0.0.1:0'\nproxy = '{there}'\n");
    let site = Site::configured(&text);
    let mut child = site
        .command_for(&["run"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let child = child.as_mut().expect("the program can be started");
    let stderr = child.stderr.take().expect("it is piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            let address = line.split_once("listening at ")?.1;
            address.strip_suffix(", for a stream").map(str::to_owned)
        })
        .expect("it listens");
    let client = connect(address.parse().expect("an address"));
    use_both_ways(&client, &accept(&listener));
    drop(client);
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, Signal::TERM).expect("it is our own child");
    lines.for_each(drop);
    assert!(child.wait().expect("it is our own child").success());
}

/// Every configuration of the page about streams is one that `check` takes.
#[test]
fn what_the_document_tells_to_write_is_good() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/databases-and-mail.md");
    let page = std::fs::read_to_string(page).expect("it is part of the repository");
    let blocks = page.split("\n```toml\n").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|rest| rest.split_once("\n```").map(|(block, _)| block))
        .collect();
    assert!(blocks.len() >= 5, "{}", blocks.len());
    for block in blocks {
        let mut text = block.to_owned();
        if text.contains("\"postgres\"") && !text.contains("[upstreams.") {
            text += "\n[upstreams.postgres]\nservers = '127.0.0.1:5432'\n";
        }
        // Ports that the machine may have given away.
        for (port, free) in [
            (":25", "2"),
            (":143", "3"),
            (":6432", "4"),
            (":8080", "5"),
            (":993", "6"),
        ] {
            text = text.replace(
                &format!("listen = \"{port}\""),
                &format!("listen = '127.0.0.{free}:0'"),
            );
        }
        let mut text = text.replace("127.0.0.1:6432", "127.0.0.2:0");
        for (name, fixture) in [
            ("mail.", "localhost."),
            ("db.pem", "localhost.pem"),
            ("db.key", "localhost.key"),
            ("internal.pem", "ca.pem"),
        ] {
            let path = tls_fixture(fixture);
            text = text.replace(&format!("\"{name}"), &format!("\"{}", path.display()));
        }
        let text = text.replace("db.internal", "127.0.0.1");
        let site = Site::configured(&text).file("index.html", "");
        let checked = site.command_line(&["check"]);
        assert!(checked.status.success(), "{block}\n{checked:?}");
    }
}

#[test]
fn a_record_leaves_the_client_out_where_redact_says_so() {
    let stream = "proxy = '127.0.0.1:9'\ndeny = '127.0.0.1'";
    let redact = "format = 'json'\nredact.fields = ['client']";
    let text = configuration("", stream).replace("format = 'json'", redact);
    let server = Site::configured(&text).start();
    expect_reset(&connect(stream_address(&server)));
    assert_eq!(record(&server, "denied")["client"], "-");
}
