//! curl, Python and nginx's cache as clients of `compress`: they decode what this server encodes.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::program::{Program, nginx_command};
use crate::support::{Directory, Server, Site, Upstream};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// Writes the content of a URL, in a coding, decoded with the modules that applications use, as it comes.
const PYTHON: &str = "
import sys, urllib.request

url, coding = sys.argv[1:]
if coding == 'gzip':
    import zlib
    decoder = zlib.decompressobj(31)
    decode, has_ended = decoder.decompress, lambda: decoder.eof
elif coding == 'br':
    import brotli
    decoder = brotli.Decompressor()
    decode, has_ended = decoder.process, decoder.is_finished
else:
    import zstandard
    decoder = zstandard.ZstdDecompressor().decompressobj()
    decode, has_ended = decoder.decompress, lambda: decoder.eof
request = urllib.request.Request(url, headers={'Accept-Encoding': coding})
with urllib.request.urlopen(request, timeout=30) as response:
    assert response.headers['Content-Encoding'] == coding, response.headers
    while octets := response.read1():
        sys.stdout.buffer.write(decode(octets))
        sys.stdout.flush()
assert has_ended()
";

/// The commands that write the content of `target`, in `coding`, decoded: curl's and Python's.
fn clients(server: &Server, target: &str, coding: &str) -> [Command; 2] {
    let url = format!("http://{}{target}", server.address());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--compressed", "--no-buffer", "--max-time", "30"])
        .args(["-H", &format!("Accept-Encoding: {coding}"), &url]);
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", PYTHON, &url, coding]);
    [curl, python]
}

/// Content of half a megabyte that can be compressed.
fn page() -> String {
    let line = |number: usize| {
        format!(
            "<li>the {number}th tide is {} cm</li>\n",
            number * 7919 % 541
        )
    };
    (0..15_000).map(line).collect()
}

/// A server that compresses a file, and what an upstream sends.
fn start() -> (Server, Upstream) {
    let page = page();
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{page}\r\n0\r\n\r\n",
        page.len()
    ));
    let site = Site::new(&format!(
        "'/' = {{ files = 'www' }}\n'/proxied' = {{ proxy = '{}' }}",
        upstream.url()
    ));
    let site = site.server("listen = '127.0.0.1:0'\ncompress = true");
    (site.file("page.html", page).start(), upstream)
}

#[test]
fn curl_and_python_decode_files_and_streams() {
    let (server, _upstream) = start();
    let page = page();
    for coding in CODINGS {
        for target in ["/page.html", "/proxied"] {
            for mut client in clients(&server, target, coding) {
                let done = client.output().expect("the program is installed");
                let told = String::from_utf8_lossy(&done.stderr);
                assert!(done.status.success(), "{coding} {target}: {told}");
                assert!(done.stdout == page.as_bytes(), "{coding} {target}: {told}");
            }
        }
    }
}

#[test]
fn curl_is_sent_the_coding_that_comes_first() {
    let (server, _upstream) = start();
    let url = format!("http://{}/page.html", server.address());
    let mut curl = Command::new("curl");
    curl.args([
        "-sS",
        "--compressed",
        "--output",
        "/dev/null",
        "--max-time",
        "30",
    ])
    .args([
        "--write-out",
        "%header{content-encoding} %{size_download}",
        &url,
    ]);
    let done = curl.output().expect("curl is installed");
    let told = String::from_utf8(done.stdout).expect("a name and a number");
    let (coding, size) = told.split_once(' ').expect("both");
    assert_eq!(coding, "zstd");
    let size: usize = size.trim().parse().expect("a number");
    assert!(size < page().len() / 4, "{size}");
}

#[test]
fn an_event_reaches_curl_and_python_at_once() {
    let upstream = Upstream::listen();
    let routes = format!("'/' = {{ proxy = '{}', compress = true }}", upstream.url());
    let server = Site::new(&routes).start();
    for coding in CODINGS {
        for mut client in clients(&server, "/", coding) {
            let client = client.stdout(Stdio::piped()).spawn();
            let mut client = client.expect("the program is installed");
            let mut shown = BufReader::new(client.stdout.take().expect("a pipe")).lines();
            let mut connection = upstream.accept();
            connection.request();
            connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            for number in 0..5 {
                let event = format!("data: {number}\n");
                connection.send(format!("{:x}\r\n{event}\r\n", event.len()));
                // The next one is sent when this one has arrived.
                let line = shown.next().and_then(Result::ok);
                assert_eq!(line.as_deref(), Some(event.trim_end()), "{coding}");
            }
            connection.send("0\r\n\r\n");
            assert!(shown.next().is_none());
            assert!(client.wait().expect("it was started").success(), "{coding}");
        }
    }
}

/// nginx keeps a response for each `Accept-Encoding`, because `Vary` says so, and compresses none again.
#[test]
fn a_cache_of_nginx_gives_each_client_the_coding_that_it_takes() {
    let (server, _upstream) = start();
    let directory = Directory::new();
    let here = directory.path().display();
    let http = format!(
        "proxy_cache_path {here}/cache keys_zone=kept:1m;\n\
         server {{ listen unix:{here}/peer.sock; gzip on; gzip_proxied any;\n\
         location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_cache kept;\n\
         proxy_cache_valid 200 10m; add_header X-Cache $upstream_cache_status; }} }}",
        server.address()
    );
    let socket = directory.join("peer.sock");
    let _nginx = Program::at_socket(nginx_command(&directory, &http), &socket);
    let page = page();
    for expected in ["MISS", "HIT"] {
        for coding in ["zstd", "br", "gzip", "identity"] {
            for target in ["/page.html", "/proxied"] {
                let mut curl = Command::new("curl");
                curl.args(["-sS", "--compressed", "--max-time", "30", "--unix-socket"])
                    .arg(&socket)
                    .args(["-H", &format!("Accept-Encoding: {coding}")])
                    .args([
                        "--write-out",
                        "%{stderr}%header{x-cache} %header{content-encoding}",
                    ])
                    .arg(format!("http://h{target}"));
                let done = curl.output().expect("curl is installed");
                let told = String::from_utf8_lossy(&done.stderr);
                let sent_as = if coding == "identity" { "" } else { coding };
                assert_eq!(told, format!("{expected} {sent_as}"), "{coding} {target}");
                assert!(done.stdout == page.as_bytes(), "{coding} {target}");
            }
        }
    }
}
