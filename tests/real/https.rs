//! HTTPS with the clients that people have: curl, OpenSSL, Python.

use std::process::{Command, Stdio};

use crate::support::{Server, Site, tls_fixture};

fn start(more: &str) -> Server {
    Site::configured(&format!(
        "workers = 2\nlog.access = false\n[[server]]\nlisten = '127.0.0.1:0'\nhosts = 'localhost'\n\
         tls = {{ certificate = {:?}, key = {:?}{more} }}\nroutes.'/' = {{ files = 'www' }}\n",
        tls_fixture("localhost.pem"),
        tls_fixture("localhost.key"),
    ))
    .file("index.html", "hello\n")
    .file("large", vec![b'x'; 3_000_000])
    .start()
}

fn path(name: &str) -> String {
    tls_fixture(name).display().to_string()
}

/// What a command prints, and whether it says that it went well.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
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
