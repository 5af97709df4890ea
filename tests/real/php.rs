//! PHP-FPM behind `fastcgi`: Debian's `php-fpm`, with a pool of its own for every test.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::support::{Server, Site, pattern, until};

/// A PHP-FPM that listens at `php.sock` beside the configuration. It ends when it is dropped.
pub(crate) struct PhpFpm {
    child: Child,
    pool: PathBuf,
    socket: PathBuf,
}

impl PhpFpm {
    /// Starts one with so many processes.
    pub(crate) fn start(site: &Site, processes: usize) -> Self {
        let socket = site.directory().join("php.sock");
        let log = site.directory().join("php-fpm.log");
        // PHP-FPM runs as root only if it is told to.
        let user = match geteuid().is_root() {
            true => "user = root\ngroup = root",
            false => "",
        };
        let pool = format!(
            "[global]\ndaemonize = no\nerror_log = {}\n[www]\n{user}\nlisten = {}\npm = static\n\
             pm.max_children = {processes}\n\
             php_admin_value[post_max_size] = 64M\nphp_admin_value[upload_max_filesize] = 64M\n\
             php_admin_flag[display_errors] = off\nphp_admin_flag[log_errors] = on\n",
            log.display(),
            socket.display(),
        );
        site.directory().write("php-fpm.conf", pool);
        let pool = site.directory().join("php-fpm.conf");
        let child = run(&pool);
        let fpm = Self {
            child,
            pool,
            socket,
        };
        fpm.wait_until_it_listens();
        fpm
    }

    fn wait_until_it_listens(&self) {
        until("PHP-FPM listens", || UnixStream::connect(&self.socket).ok());
    }

    fn stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        self.child.wait().expect("it is our own child");
    }

    fn start_again(&mut self) {
        self.child = run(&self.pool);
        self.wait_until_it_listens();
    }
}

impl Drop for PhpFpm {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(pool: &PathBuf) -> Child {
    let directory = std::fs::read_dir("/usr/sbin").expect("a Debian");
    let mut programs = directory.filter_map(|entry| Some(entry.ok()?.path()));
    let is_fpm = |path: &PathBuf| path.to_string_lossy().starts_with("/usr/sbin/php-fpm");
    let program = programs.find(is_fpm).expect("php-fpm is installed");
    let mut command = Command::new(program);
    command.arg("--nodaemonize").arg("--fpm-config").arg(pool);
    if geteuid().is_root() {
        command.arg("--allow-to-run-as-root");
    }
    let silent = command.stdin(Stdio::null()).stderr(Stdio::null());
    silent.spawn().expect("php-fpm can be started")
}

fn site(options: &str) -> Site {
    Site::new(&format!(
        "'/' = {{ fastcgi = 'unix:php.sock', root = 'www' {options} }}"
    ))
}

fn start(site: Site, processes: usize) -> (Server, PhpFpm) {
    let fpm = PhpFpm::start(&site, processes);
    (site.start(), fpm)
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn a_script_reads_ten_mebibytes_and_streams_ten_back() {
    const LENGTH: usize = 10 * 1024 * 1024;
    let script = "<?php header('Content-Type: application/octet-stream');
        $in = fopen('php://input', 'rb');
        while (!feof($in)) { echo fread($in, 30000); flush(); }";
    let (server, _fpm) = start(site("").file("echo.php", script), 1);
    let mut client = server.connect();
    let head = "POST /echo.php HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\n";
    client.send(format!("{head}Content-Length: {LENGTH}\r\n\r\n"));
    client.send(pattern(0, LENGTH));
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.content == pattern(0, LENGTH));
    // The same content, of unknown length.
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
    for block in pattern(0, LENGTH).chunks(100_000) {
        client.send([format!("{:x}\r\n", block.len()).as_bytes(), block, b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    assert!(client.response().content == pattern(0, LENGTH));
}

#[test]
fn files_are_uploaded() {
    let script = "<?php foreach ($_FILES['f']['tmp_name'] as $i => $f)
        echo $_FILES['f']['name'][$i], ' ', filesize($f), ' ', md5_file($f) === md5($_POST['content']), \"\\n\";";
    let (server, _fpm) = start(site("").file("upload.php", script), 1);
    let content = "x".repeat(1_000_000);
    let part = |name: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\r\n\r\n{content}\r\n")
    };
    let body = [
        part("content\""),
        part("f[]\"; filename=\"a.txt\""),
        part("f[]\"; filename=\"\u{fc}.txt\""),
        "--b--\r\n".to_owned(),
    ]
    .concat();
    let mut client = server.connect();
    let response = client.exchange(format!(
        "POST /upload.php HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(response.text(), "a.txt 1000000 1\n\u{fc}.txt 1000000 1\n");
}

#[test]
fn a_front_controller_gets_what_is_no_file() {
    let script = "<?php echo json_encode(array_map(fn($name) => $_SERVER[$name] ?? null,
        ['SCRIPT_NAME', 'PATH_INFO', 'PHP_SELF', 'REQUEST_URI']) + ['get' => $_GET],
        JSON_UNESCAPED_SLASHES);";
    let site = site(", fallback = 'index.php'")
        .file("index.php", script)
        .file("wp-admin/index.php", "<?php echo 'admin';")
        .file("wp-content/style.css", "body {}")
        .file("wp-config.php", "<?php // secret");
    let (server, _fpm) = start(site, 1);
    let mut client = server.connect();
    for (target, expected) in [
        (
            "/index.php/2024/05/post/?p=1",
            r#"{"0":"/index.php","1":"/2024/05/post/","2":"/index.php/2024/05/post/","3":"/index.php/2024/05/post/?p=1","get":{"p":"1"}}"#,
        ),
        (
            "/2024/05/post/?p=1",
            r#"{"0":"/index.php","1":null,"2":"/index.php","3":"/2024/05/post/?p=1","get":{"p":"1"}}"#,
        ),
        (
            "/",
            r#"{"0":"/index.php","1":null,"2":"/index.php","3":"/","get":[]}"#,
        ),
        ("/wp-admin/", "admin"),
        ("/wp-content/style.css", "body {}"),
        ("/wp-config.php", ""),
    ] {
        let response = client.exchange(get(target));
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, expected),
            "{target}"
        );
    }
    let redirect = client.exchange(get("/wp-admin"));
    assert_eq!(redirect.field("Location"), Some("wp-admin/"));
}

#[test]
fn warnings_go_to_the_log_and_errors_are_answers() {
    let site = site("")
        .file("warns.php", "<?php echo $none; echo 'on';")
        .file("dies.php", "<?php throw new Exception('it died');")
        .file(
            "asks.php",
            "<?php http_response_code(402); setcookie('a', 'b'); setcookie('c', 'd');",
        )
        .file("moves.php", "<?php header('Location: /warns.php');");
    let (server, _fpm) = start(site, 1);
    let mut client = server.connect();
    let warned = client.exchange(get("/warns.php"));
    assert_eq!((warned.status, warned.text().as_str()), (200, "on"));
    let line = server.wait_for_line(|line| line.contains("Undefined variable $none"));
    assert!(line.contains("warning: route `/` ("), "{line}");
    assert_eq!(client.exchange(get("/dies.php")).status, 500);
    server.wait_for_line(|line| line.contains("it died"));
    let asked = client.exchange(get("/asks.php"));
    let cookies = asked.fields.iter().filter(|(name, _)| name == "Set-Cookie");
    assert_eq!((asked.status, cookies.count()), (402, 2));
    let moved = client.exchange(get("/moves.php"));
    assert_eq!(
        (moved.status, moved.field("Location")),
        (302, Some("/warns.php"))
    );
}

#[test]
fn a_script_leaves_a_file_to_the_server() {
    let script = "<?php header('Content-Type: application/pdf');
        header('Content-Disposition: attachment'); header('X-Accel-Redirect: /.paid/a.pdf');";
    let site = site(", sendfile = true")
        .file("download.php", script)
        .file(".paid/a.pdf", pattern(0, 800_000));
    let (server, _fpm) = start(site, 1);
    let mut client = server.connect();
    let whole = client.exchange(get("/download.php"));
    assert!(whole.content == pattern(0, 800_000));
    assert_eq!(whole.field("Content-Disposition"), Some("attachment"));
    let part = "GET /download.php HTTP/1.1\r\nHost: h\r\nRange: bytes=8-23\r\n\r\n";
    let part = client.exchange(part);
    assert_eq!((part.status, part.content), (206, pattern(8, 16)));
    assert_eq!(client.exchange(get("/.paid/a.pdf")).status, 404);
}

#[test]
fn more_clients_than_processes_all_have_their_turn() {
    let site = site("").file("hello.php", "<?php usleep(1000); echo 'hello';");
    let (server, _fpm) = start(site, 2);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut client = server.connect();
                for _ in 0..30 {
                    assert_eq!(client.exchange(get("/hello.php")).text(), "hello");
                }
            });
        }
    });
}

#[test]
fn a_restart_under_load_is_recovered_from() {
    let site = site("").file("hello.php", "<?php usleep(500); echo 'hello';");
    let (server, mut fpm) = start(site, 4);
    let (is_over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answered = |more: usize| {
        let goal = answers.load(Ordering::Relaxed) + more;
        until("answers go on", || {
            thread::yield_now();
            (answers.load(Ordering::Relaxed) >= goal).then_some(())
        });
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.connect();
                while !is_over.load(Ordering::Relaxed) {
                    let response = client.exchange(get("/hello.php"));
                    assert!([200, 502].contains(&response.status), "{}", response.status);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        answered(100);
        for _ in 0..3 {
            fpm.stop();
            answered(100);
            fpm.start_again();
            answered(100);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let mut client = server.connect();
    for _ in 0..10 {
        assert_eq!(client.exchange(get("/hello.php")).status, 200);
    }
}
