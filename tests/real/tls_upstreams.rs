//! TLS between this server and programs of others: nginx and HAProxy behind it and in front, and OpenSSL's
//! client before a stream.
//!
//! ```text
//! client ─→ tidegate ══→ nginx, HAProxy        ══ is TLS
//! HAProxy ══→ tidegate
//! openssl s_client ══→ tidegate ─→ line server
//! ```

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::haproxy::get;
use crate::program::{Program, free_address, haproxy_command, nginx_command};
use crate::support::{Directory, Server, Site, Upstream, pattern, tls_fixture, until};

fn file(name: &str) -> String {
    tls_fixture(name).display().to_string()
}

/// Starts nginx at `address`, over this version of TLS.
fn nginx(directory: &Directory, address: SocketAddr, version: &str, server: &str) -> Program {
    let (certificate, key, ca) = (file("localhost.pem"), file("localhost.key"), file("ca.pem"));
    let http = format!(
        "server {{ listen {address} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
         ssl_protocols {version}; ssl_client_certificate {ca}; ssl_verify_client optional;\n\
         ssl_session_cache builtin;\n{server} }}"
    );
    Program::at_port(nginx_command(directory, &http), address)
}

fn in_front_of(address: SocketAddr) -> Site {
    let (ca, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let routes = "'/' = { proxy = 'peer', limits = { max_content = '1 GiB' } }";
    Site::new(routes).top(&format!(
        "workers = 1\n[upstreams.peer]\nservers = ['https://{address}']\n\
         tls = {{ ca = '{ca}', server_name = 'localhost', certificate = '{certificate}', key = '{key}' }}\n"
    ))
}

#[test]
fn nginx_answers_over_tls() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let address = free_address();
        let site = in_front_of(address);
        let here = site.directory().path().display().to_string();
        site.directory()
            .write("public/tide.bin", pattern(0, 20 << 20));
        let locations = format!(
            "root {here}/public; keepalive_requests 3;\n\
             location /put {{ dav_methods PUT; create_full_put_path on; root {here}; }}\n\
             location /seen {{ return 200 \"$ssl_protocol $ssl_client_verify $ssl_session_reused $ssl_server_name\"; }}"
        );
        let _nginx = nginx(site.directory(), address, version, &locations);
        let server = site.start();
        let mut client = server.connect();
        let mut reused = 0;
        // Every third connection is the last, with the words that TLS has for it.
        for _ in 0..20 {
            let seen = client
                .exchange("GET /seen HTTP/1.1\r\nHost: h\r\n\r\n")
                .text();
            assert!(seen.starts_with(&format!("{version} SUCCESS ")), "{seen}");
            assert!(seen.ends_with(" localhost"), "{seen}");
            reused += usize::from(seen.contains(" r "));
        }
        assert!(reused > 0, "{version}: no session was resumed");
        let file = client.exchange("GET /tide.bin HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(file.content == pattern(0, 20 << 20), "{version}");
        let length = 20 << 20;
        client.send(format!(
            "PUT /put/a HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(pattern(0, length));
        assert_eq!(client.response().status, 201);
        let put = std::fs::read(server.directory().join("put/a")).expect("nginx wrote it");
        assert!(put == pattern(0, length), "{version}");
    }
}

/// Starts HAProxy with these sections.
fn haproxy(directory: &Directory, address: SocketAddr, sections: &str) -> Program {
    let configuration = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n{sections}\n"
    );
    Program::at_port(haproxy_command(directory, &configuration), address)
}

/// The PROXY protocol goes before the handshake.
#[test]
fn haproxy_in_front_says_who_the_client_is_before_the_handshake() {
    for send in ["send-proxy", "send-proxy-v2"] {
        let (certificate, key) = (file("localhost.pem"), file("localhost.key"));
        let server = Site::new("'/' = { echo = true }")
            .top("trusted_proxies = '127.0.0.1'")
            .server(&format!(
                "listen = '127.0.0.1:0'\naccept_proxy_protocol = true\n\
                 tls = {{ certificate = '{certificate}', key = '{key}' }}"
            ))
            .start();
        let (front, us, ca) = (free_address(), server.address(), file("ca.pem"));
        let sections = format!(
            "frontend f\n  bind {front}\n  default_backend us\nbackend us\n  \
             server us {us} {send} ssl verify required ca-file {ca} verifyhost localhost sni str(localhost)\n"
        );
        let _haproxy = haproxy(server.directory(), front, &sections);
        let text = until("an answer", || get(front));
        assert!(text.contains("\"127.0.0.9\""), "{send}: {text}");
    }
}

#[test]
fn haproxy_behind_a_stream_is_told_who_the_client_is_before_the_handshake() {
    for version in ["v1", "v2"] {
        let there = free_address();
        let ca = file("ca.pem");
        let server = Site::configured(&format!(
            "[upstreams.peer]\nservers = 'tls://{there}'\ntls = {{ ca = '{ca}' }}\n\
             [[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = '' }}\n\
             [[stream]]\nlisten = '127.0.0.2:0'\nproxy = 'peer'\nproxy_protocol = '{version}'\n"
        ))
        .start();
        let both = [file("localhost.pem"), file("localhost.key")];
        let both = both
            .map(|path| std::fs::read(path).expect("the fixture"))
            .concat();
        server.directory().write("both.pem", both);
        let pem = server.directory().join("both.pem");
        let sections = format!(
            "frontend f\n  bind {there} accept-proxy ssl crt {}\n  \
             http-request return status 200 content-type text/plain lf-string \"client %ci %sslv\"\n",
            pem.display()
        );
        let _haproxy = haproxy(server.directory(), there, &sections);
        let address = stream_address(&server);
        let text = until("an answer", || get(address));
        assert!(
            text.ends_with("client 127.0.0.9 TLSv1.3"),
            "{version}: {text}"
        );
    }
}

fn stream_address(server: &Server) -> SocketAddr {
    let line = server.wait_for_line(|line| line.contains("for a stream"));
    let address = line.split_once("listening at ").expect("it says where").1;
    let address = address.split_once(',').expect("and for what").0;
    address.parse().expect("an address")
}

/// A server that greets, and answers each line with the same line.
#[test]
fn openssl_talks_to_a_line_server() {
    let lines = Upstream::start(|connection| {
        connection.send("220 ready\n");
        while let Some(line) = connection.some() {
            connection.send(line);
        }
    });
    let (certificate, key) = (file("localhost.pem"), file("localhost.key"));
    let server = Site::configured(&format!(
        "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = '' }}\n\
         [[stream]]\nlisten = '127.0.0.2:0'\nproxy = '{}'\n\
         tls = {{ certificate = '{certificate}', key = '{key}' }}\n",
        lines.address()
    ))
    .start();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-verify_return_error",
                version,
                "-connect",
            ])
            .arg(stream_address(&server).to_string())
            .args(["-servername", "localhost", "-CAfile", &file("ca.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let mut input = client.stdin.take().expect("it is piped");
        let mut output = BufReader::new(client.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        assert_eq!(line, "220 ready\n", "{version}");
        input.write_all(b"EHLO tide\n").expect("it reads");
        line.clear();
        output.read_line(&mut line).expect("a line");
        assert_eq!(line, "EHLO tide\n", "{version}");
        drop(input);
        client.kill().expect("it runs");
        client.wait().expect("it ends");
    }
}
