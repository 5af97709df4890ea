//! HTTPS with the clients that people have: curl, OpenSSL, Python, Java.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::support::{Directory, Server, Site, Upstream, tls_fixture};

/// A script that sends the content back.
const CAT: &str = "#!/bin/sh\nprintf 'Content-Type: application/octet-stream\\n\\n'\nexec cat\n";

/// A server for `localhost`, with further settings of `tls`, which begin with a comma.
pub(crate) fn start(more: &str) -> Server {
    start_with("", more)
}

/// As `start`, for Java. Java sends no SNI for a name without a dot.
fn start_for_java(more: &str) -> Server {
    start_with("tls_default = true\n", more)
}

fn start_with(settings: &str, more: &str) -> Server {
    let site = Site::configured(&format!(
        "workers = 2\nlog.access = false\n[[server]]\nlisten = '127.0.0.1:0'\nhosts = 'localhost'\n\
         {settings}tls = {{ certificate = {:?}, key = {:?}{more} }}\nroutes.'/' = {{ files = 'www' }}\n\
         routes.'/cat' = {{ cgi = '.', script = 'cat.sh', limits = {{ max_content = '16 MiB' }} }}\n",
        tls_fixture("localhost.pem"),
        tls_fixture("localhost.key"),
    ))
    .file("../cat.sh", CAT)
    .file("index.html", "hello\n")
    .file("large", vec![b'x'; 3_000_000]);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(site.directory().join("cat.sh"), mode).expect("it is ours");
    site.start()
}

fn path(name: &str) -> String {
    tls_fixture(name).display().to_string()
}

/// What a command prints, and whether it says that it went well.
pub(crate) fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn curl_takes_files_by_either_version_and_shows_a_certificate() {
    let server = start("");
    let url = format!("https://localhost:{}", server.address().port());
    let ca = path("ca.pem");
    for version in ["1.2", "1.3"] {
        let (is_good, text) = run(
            "curl",
            &[
                "-sS",
                "--cacert",
                &ca,
                "--tls-max",
                version,
                "--tlsv1.2",
                &url,
            ],
        );
        assert!(is_good && text == "hello\n", "{version}: {text}");
    }
    let (is_good, text) = run("curl", &["-sS", &url]);
    assert!(!is_good && text.contains("certificate"), "{text}");
    let length = [
        "-sS",
        "--cacert",
        &ca,
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
    ];
    let (_, text) = run("curl", &[&length[..], &[&format!("{url}/large")]].concat());
    assert_eq!(text, "3000000");

    let server = start(&format!(", client_ca = {:?}", tls_fixture("ca.pem")));
    let url = format!("https://localhost:{}", server.address().port());
    let (certificate, key) = (path("client.pem"), path("client.key"));
    let (is_good, text) = run("curl", &["-sS", "--cacert", &ca, &url]);
    assert!(!is_good && text.contains("alert"), "{text}");
    let shown = [
        "-sS",
        "--cacert",
        &ca,
        "--cert",
        &certificate,
        "--key",
        &key,
        &url,
    ];
    assert_eq!(run("curl", &shown), (true, "hello\n".to_owned()));
}

/// A server that needs a certificate, and tells `upstream` what it says.
fn start_telling(upstream: &Upstream) -> Server {
    Site::configured(&format!(
        "workers = 1\nlog.access = false\n[[server]]\nlisten = '127.0.0.1:0'\n\
         tls = {{ certificate = {:?}, key = {:?}, client_ca = {:?}, client = 'request' }}\n\
         routes.'/' = {{ proxy = 'http://{}', client = 'require', client_certificate = {{ \
         Subject = 'subject', Issuer = 'issuer', Serial = 'serial', Fingerprint = 'fingerprint' }} }}\n",
        tls_fixture("localhost.pem"),
        tls_fixture("localhost.key"),
        tls_fixture("ca.pem"),
        upstream.address()
    ))
    .start()
}

/// Names that have to be escaped, in a certificate of the fixtures' CA: OpenSSL writes them as an upstream is
/// told of them.
#[test]
fn upstreams_are_told_of_a_certificate_as_openssl_describes_it() {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.next_request() {
            let head = String::from_utf8_lossy(&request.head).into_owned();
            let length = head.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}"
            ));
        }
    });
    let server = start_telling(&upstream);
    let ca = path("ca.pem");
    let (certificate, key) = issue_one(server.directory());
    let url = format!("https://localhost:{}", server.address().port());
    let asking = ["-sS", "--cacert", &ca, &url];
    let (_, refused) = run("curl", &[&asking[..], &["-w", "%{http_code}"]].concat());
    assert!(refused.ends_with("403"), "{refused}");
    let showing = [&asking[..], &["--cert", &certificate, "--key", &key]].concat();
    let (is_good, told) = run("curl", &showing);
    assert!(is_good, "{told}");
    let about = [
        "-subject",
        "-issuer",
        "-serial",
        "-fingerprint",
        "-sha256",
        "-nameopt",
        "RFC2253",
    ];
    let in_file = ["x509", "-noout", "-in", &certificate];
    let (_, described) = run("openssl", &[&in_file[..], &about].concat());
    let lines = ["Subject", "Issuer", "Serial", "Fingerprint"].map(|name| {
        let line = told
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name}: {told}")).to_owned()
    });
    // OpenSSL writes a space at an edge as such, behind a backslash.
    let [subject, ..] = &lines;
    assert_eq!(
        subject.replace("\\20", "\\ "),
        line_of(&described, "subject=")
    );
    assert_eq!(lines[1], line_of(&described, "issuer="));
    assert_eq!(lines[2], line_of(&described, "serial="));
    assert_eq!(
        lines[3],
        line_of(&described, "sha256 Fingerprint=").replace(':', "")
    );
}

/// Has OpenSSL issue a certificate in `directory`. Returns its path and that of its key.
fn issue_one(directory: &Directory) -> (String, String) {
    const NAME: &str = "/O=Tide, Gate + Sons/OU=\"a\" <b>;c\\\\d/CN=#Åsa ";
    let file = |name: &str| directory.join(name).display().to_string();
    let (key, request, certificate) = (file("c.key"), file("c.csr"), file("c.pem"));
    let (ca, ca_key, extensions) = (path("ca.pem"), path("ca.key"), file("extensions"));
    directory.write("extensions", "extendedKeyUsage = clientAuth\n");
    let ask = format!(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -utf8 -keyout {key} -out {request}"
    );
    let issue = format!(
        "x509 -req -set_serial 0xA1B2 -days 9 -CA {ca} -CAkey {ca_key} -extfile {extensions} -in {request} \
         -out {certificate}"
    );
    for (words, more) in [(ask, &["-subj", NAME][..]), (issue, &[])] {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (is_good, text) = run("openssl", &[&words[..], more].concat());
        assert!(is_good, "{text}");
    }
    (certificate, key)
}

/// What follows `start` in its line of `text`.
fn line_of<'t>(text: &'t str, start: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or_else(|| panic!("{start}: {text}"))
}

#[test]
fn openssl_finds_what_it_verifies_and_no_old_version() {
    let server = start("");
    let address = server.address().to_string();
    let ca = path("ca.pem");
    let connect = |more: &[&str]| {
        let always = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            "localhost",
            "-CAfile",
            &ca,
        ];
        run("openssl", &[&always[..], more].concat())
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let (is_good, text) = connect(&[version, "-verify_return_error"]);
        assert!(
            is_good && text.contains("Verification: OK"),
            "{version}: {text}"
        );
        assert!(text.contains("Secure Renegotiation IS") || version == "-tls1_3");
    }
    for refused in [
        &["-tls1_1", "-cipher", "ALL@SECLEVEL=0"][..],
        &["-tls1_2", "-cipher", "AES128-SHA"],
        &["-servername", "nobody.test"],
        &["-alpn", "h2"],
    ] {
        let (is_good, text) = connect(refused);
        assert!(!is_good, "{refused:?}: {text}");
    }
    let (_, text) = connect(&["-alpn", "h2,http/1.1"]);
    assert!(text.contains("ALPN protocol: http/1.1"), "{text}");
    // Sessions that are resumed: the first is new, the others are not.
    let (_, text) = connect(&["-tls1_2", "-reconnect"]);
    assert_eq!(text.matches("Reused, TLSv1.2").count(), 5, "{text}");
}

/// A session has one handshake, and no content of a client comes before the end of it.
#[test]
fn openssl_cannot_renegotiate_or_send_early() {
    let server = start("");
    let (address, ca) = (server.address().to_string(), path("ca.pem"));
    let directory = server.directory();
    let session = directory.join("session").display().to_string();
    directory.write("early", "GET / HTTP/1.0\r\n\r\n");
    let early = directory.join("early").display().to_string();
    let converse = |version: &str, more: &[&str], input: &str| {
        let mut client = Command::new("openssl")
            .args(["s_client", "-servername", "localhost", "-connect", &address])
            .args(["-CAfile", &ca, version])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl is installed");
        // It ends with the connection, and not with the input.
        let mut sender = client.stdin.take().expect("it is piped");
        sender.write_all(input.as_bytes()).expect("it reads");
        let output = client.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let text = converse("-tls1_2", &[], "R\n");
    assert!(text.contains("no renegotiation"), "{text}");
    let get = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let text = converse("-tls1_3", &["-sess_out", &session], get);
    assert!(
        text.contains("hello") && text.contains("Max Early Data: 0"),
        "{text}"
    );
    let early = ["-sess_in", &session, "-early_data", &early];
    let text = converse("-tls1_3", &early, get);
    assert!(
        text.contains("Reused, TLSv1.3") && text.contains("Early data was not sent"),
        "{text}"
    );
}

#[test]
fn python_resumes_its_sessions() {
    const SCRIPT: &str = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
session, reused = None, 0
for _ in range(6):
    plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    with context.wrap_socket(plain, server_hostname='localhost', session=session) as secured:
        secured.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')
        answer = b''
        while piece := secured.recv(4096):
            answer += piece
        assert answer.endswith(b'hello\\n'), answer
        session, reused = secured.session, reused + secured.session_reused
print(reused)
";
    let server = start("");
    let port = server.address().port().to_string();
    let printed = run("python3", &["-c", SCRIPT, &port, &path("ca.pem")]);
    assert_eq!(printed, (true, "5\n".to_owned()));
}

/// What `tests/real/https/Https.java` prints, with these arguments behind its step and the address
/// of `server`.
fn java(server: &Server, step: &str, files: &[&str]) -> String {
    let directory = server.directory();
    directory.write("Https.java", include_str!("https/Https.java"));
    let here = directory.path().display().to_string();
    let source = directory.join("Https.java").display().to_string();
    let (is_compiled, text) = run("javac", &["-d", &here, &source]);
    assert!(is_compiled, "{text}");
    let url = format!("https://localhost:{}/", server.address().port());
    let files: Vec<String> = files.iter().map(|name| path(name)).collect();
    let mut arguments = vec!["-cp", &here, "Https", step, &url];
    arguments.extend(files.iter().map(String::as_str));
    let (is_good, text) = run("java", &arguments);
    assert!(is_good, "{text}");
    text
}

#[test]
fn java_keeps_connections_and_uploads_and_resumes() {
    let server = start_for_java("");
    let accepted = || server.status()["connections"]["accepted"].as_u64();
    let printed = java(&server, "client", &["ca.pem"]);
    assert_eq!(
        printed,
        "HTTP_1_1 200 hello\n3000000\ntrue\ntrue\ntrue\ntrue\n"
    );
    // Twenty at once have made theirs, the others have shared one.
    let before = accepted().expect("a count");
    assert!((1..=25).contains(&before), "{before}");
    let printed = java(&server, "connection", &["ca.pem"]);
    assert_eq!(printed, "200 hello\n");
    assert_eq!(accepted(), Some(before + 1));
    let printed = java(&server, "resume", &["ca.pem"]);
    assert_eq!(printed, "TLSv1.2 5\nTLSv1.3 5\n");
    let status = server.status();
    assert_eq!(status["handshakes"]["failed"], 0, "{status}");
}

#[test]
fn java_shows_a_certificate() {
    let server = start_for_java(&format!(", client_ca = {:?}", tls_fixture("ca.pem")));
    let files = ["ca.pem", "client.pem", "client.key"];
    let printed = java(&server, "connection", &files);
    assert_eq!(printed, "200 hello\n");
    let printed = java(&server, "resume", &files);
    assert_eq!(printed, "TLSv1.2 5\nTLSv1.3 5\n");
}
