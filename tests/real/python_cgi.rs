//! A CGI script as people write them in Python: it takes a form, and an uploaded file.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Response, Server, Site, pattern};

/// A script that answers with what it was sent, as JSON: the fields of a form, and the name, length and
/// digest of a file. The standard library's parser of mail reads multipart/form-data (RFC 7578).
const SCRIPT: &str = r#"#!/usr/bin/env python3
import email.policy, hashlib, json, os, sys, urllib.parse
from email.parser import BytesParser

length = int(os.environ.get("CONTENT_LENGTH") or 0)
content = sys.stdin.buffer.read(length)
assert len(content) == length and not sys.stdin.buffer.read(1)
media_type = os.environ.get("CONTENT_TYPE", "")
found = {
    "method": os.environ["REQUEST_METHOD"],
    "info": os.environ.get("PATH_INFO"),
    "query": urllib.parse.parse_qs(os.environ["QUERY_STRING"]),
}
if media_type == "application/x-www-form-urlencoded":
    found["form"] = urllib.parse.parse_qs(content.decode())
elif media_type.startswith("multipart/form-data"):
    head = f"Content-Type: {media_type}\r\n\r\n".encode()
    parts = BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
    found["form"] = {}
    for part in parts.iter_parts():
        name = part.get_param("name", header="content-disposition")
        octets = part.get_payload(decode=True)
        if part.get_filename():
            value = [part.get_filename(), len(octets), hashlib.sha256(octets).hexdigest()]
        else:
            value = octets.decode()
        found["form"][name] = value
print("refused" if not found.get("form") else "taken", file=sys.stderr)
sys.stdout.write("Content-Type: application/json\r\n\r\n")
json.dump(found, sys.stdout)
"#;

fn server() -> Server {
    let site = Site::new("'/cgi-bin' = { cgi = 'scripts' }");
    let directory = site.directory();
    directory.write("scripts/form.py", SCRIPT);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.join("scripts/form.py"), mode).expect("the file is ours");
    site.start()
}

/// The response to content of this media type, at `target` below the script.
fn post(server: &Server, target: &str, media_type: &str, content: &[u8]) -> Response {
    let head = format!(
        "POST /cgi-bin/form.py{target} HTTP/1.1\r\nHost: h\r\nContent-Type: {media_type}\r\n\
         Content-Length: {}\r\n\r\n",
        content.len()
    );
    server
        .connect()
        .exchange([head.as_bytes(), content].concat())
}

#[test]
fn a_form_is_posted() {
    let server = server();
    let form = b"name=High+Water&city=D%C3%BCsseldorf&city=K%C3%B6ln";
    let media_type = "application/x-www-form-urlencoded";
    let answer = post(&server, "/a/b?x=1&x=2", media_type, form);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    let expected = serde_json::json!({
        "method": "POST",
        "info": "/a/b",
        "query": { "x": ["1", "2"] },
        "form": { "name": ["High Water"], "city": ["Düsseldorf", "Köln"] },
    });
    assert_eq!(answer.json(), expected);
    server.wait_for_line(|line| line.contains("script `form.py`: taken"));
}

#[test]
fn a_file_is_uploaded() {
    let server = server();
    let file = pattern(0, 5 * 1024 * 1024);
    let content = [
        b"--tide\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA file\r\n\
          --tide\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
          Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n",
        &file[..],
        b"\r\n--tide--\r\n",
    ]
    .concat();
    let answer = post(&server, "", "multipart/form-data; boundary=tide", &content);
    assert_eq!(answer.status, 200, "{:#?}", server.diagnostics());
    let form = &answer.json()["form"];
    assert_eq!(form["title"], "A file");
    assert_eq!(form["file"][0], "a.bin");
    assert_eq!(form["file"][1], file.len());
    assert_eq!(form["file"][2], digest_of(&server, &file));
}

/// The digest of `octets` that `sha256sum` finds.
fn digest_of(server: &Server, octets: &[u8]) -> String {
    server.directory().write("octets", octets);
    let mut program = std::process::Command::new("sha256sum");
    let told = program.arg(server.directory().join("octets")).output();
    let told = String::from_utf8(told.expect("coreutils").stdout).expect("text");
    told.split(' ').next().expect("a digest").to_owned()
}
