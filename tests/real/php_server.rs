//! PHP's built-in server behind `proxy`: one process, one request at a time.

use std::process::{Command, Stdio};

use crate::program::{Program, free_address};
use crate::support::{Server, Site, pattern};

fn start() -> (Server, Program) {
    let address = free_address();
    let site = Site::new(&format!(
        "'/' = {{ proxy = 'http://{address}', limits = {{ max_content = '64 MiB' }} }}"
    ));
    site.directory().write(
        "public/index.php",
        "<?php header('X-Path: ' . $_SERVER['REQUEST_URI']); setcookie('a', 'b'); setcookie('c', 'd');
        echo $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['HTTP_X_FORWARDED_FOR'], ' ', $_POST['name'] ?? '';",
    );
    site.directory().write(
        "public/length.php",
        "<?php echo strlen(file_get_contents('php://input'));",
    );
    site.directory()
        .write("public/tide.bin", pattern(0, 1 << 20));
    let mut command = Command::new("php");
    command
        .args([
            "-d",
            "post_max_size=64M",
            "-S",
            &address.to_string(),
            "-t",
            "public",
        ])
        .current_dir(site.directory().path())
        .stderr(Stdio::null());
    let program = Program::at_port(command, address);
    (site.start(), program)
}

#[test]
fn it_works() {
    let (server, _program) = start();
    let mut client = server.connect();
    let page = client.exchange("GET /a%2Fb/?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((page.status, page.text().as_str()), (200, "GET 127.0.0.1 "));
    assert_eq!(page.field("X-Path"), Some("/a%2Fb/?x=1"));
    let form = client.exchange(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 15\r\n\r\nname=High+Water",
    );
    assert_eq!(form.text(), "POST 127.0.0.1 High Water");
    assert!(
        client
            .exchange("GET /tide.bin HTTP/1.1\r\nHost: h\r\n\r\n")
            .content
            == pattern(0, 1 << 20)
    );
    client.send("HEAD /tide.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_to_head().status, 200);
    assert_eq!(
        client
            .exchange("GET /none.txt HTTP/1.1\r\nHost: h\r\n\r\n")
            .status,
        404
    );
    let length = 20 << 20;
    client.send(format!(
        "POST /length.php HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(pattern(0, length));
    assert_eq!(client.response().text(), length.to_string());
}

#[test]
fn many_clients_share_its_one_process() {
    let (server, _program) = start();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = server.connect();
                for _ in 0..20 {
                    let response = client.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                    assert_eq!(response.text(), "GET 127.0.0.1 ");
                }
            });
        }
    });
}
