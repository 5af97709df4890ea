//! The recipes of docs/application-servers.md, word for word, with the ports and the packages of
//! this machine.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::documents::{at_any_port, block};
use crate::program::{Program, free_address};
use crate::spring::class_path;
use crate::support::{Response, SAFETY, Server, Site, ended_with, until};

const PAGE: &str = "application-servers.md";

/// The commands of a block that begin with `program`, without the `&` that leaves them running.
fn commands(heading: &str, number: usize, program: &str) -> Vec<String> {
    let block = block(PAGE, heading, "sh", number);
    let lines = block.lines().filter(|line| line.starts_with(program));
    let lines: Vec<String> = lines
        .map(|line| line.trim_end_matches(" &").to_owned())
        .collect();
    assert!(!lines.is_empty(), "{program} is not among the commands");
    lines
}

/// A command in `directory`, with the system's own programs. `exec` has no shell stand between.
fn shell(directory: &Path, command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {command}")])
        .current_dir(directory)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("NODE_PATH", "/usr/share/nodejs")
        .stdin(Stdio::null());
    shell
}

fn run(directory: &Path, command: &str) -> String {
    let finished = shell(directory, command).output();
    ended_with(0, &finished.expect("there is a shell"))
}

/// A command that goes on; the tests have no use for what it says.
fn background(directory: &Path, command: &str) -> Command {
    let mut shell = shell(directory, command);
    shell.stdout(Stdio::null()).stderr(Stdio::null());
    shell
}

fn get(server: &Server, target: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
    server.connect().exchange(request)
}

#[test]
fn django_takes_five_minutes() {
    let heading = "\n## Django";
    let site = Site::configured(&at_any_port(&block(PAGE, heading, "toml", 0)));
    let directory = site.directory().path().to_owned();
    for command in commands(heading, 0, "django-admin") {
        run(&directory, &command);
    }
    let settings = site.directory().read("shop/settings.py");
    let added = block(PAGE, heading, "python", 0);
    site.directory()
        .write("shop/settings.py", settings + &added);
    for command in commands(heading, 1, "python3") {
        run(&directory, &command);
    }
    let servers = [(1, "gunicorn"), (2, "uvicorn")];
    let server = site.start();
    for (number, name) in servers {
        let command = background(&directory, &commands(heading, number, name)[0]);
        let socket = directory.join("shop.sock");
        let program = Program::at_socket(command, &socket);
        let page = get(&server, "/admin/login/");
        assert_eq!(page.status, 200, "{name}");
        let by = page.field("Server").unwrap_or_default();
        assert!(by.starts_with(name), "{by}");
        let style = get(&server, "/static/admin/css/base.css");
        assert_eq!(
            (style.status, style.field("Server")),
            (200, Some("tidegate"))
        );
        drop(program);
        // The next one's first connection must not be to a process that has not quite ended.
        std::fs::remove_file(socket).expect("it was there");
    }
}

#[test]
fn spring_takes_five_minutes() {
    let heading = "\n## Spring";
    let address = free_address();
    let configuration = block(PAGE, heading, "toml", 0);
    let configuration = configuration.replace("127.0.0.1:8000", &address.to_string());
    let site = Site::configured(&at_any_port(&configuration));
    let directory = site.directory().path().to_owned();
    let program = block(PAGE, heading, "java", 0);
    let program = program.replace("setPort(8000)", &format!("setPort({})", address.port()));
    site.directory().write("Hello.java", program);
    site.directory()
        .write("beans.xml", block(PAGE, heading, "xml", 0));
    let class_path = class_path();
    for command in commands(heading, 1, "javac") {
        let mut shell = shell(&directory, &command);
        let compiled = shell.env("CLASSPATH", &class_path).output();
        ended_with(0, &compiled.expect("there is a shell"));
    }
    let mut command = background(&directory, &commands(heading, 1, "java ")[0]);
    command.env("CLASSPATH", &class_path);
    let _program = Program::at_port(command, address);
    let expected = "Hello, 127.0.0.1, at http://localhost:8080/\n";
    assert_eq!(get(&site.start(), "/").text(), expected);
}

#[test]
fn node_takes_five_minutes_with_web_sockets() {
    let (node, sockets) = ("\n## Node", "\n## WebSockets");
    let (application, chat) = (free_address(), free_address());
    let at_ports = |text: &str| {
        text.replace("127.0.0.1:3000", &application.to_string())
            .replace("127.0.0.1:3001", &chat.to_string())
            .replace("(3000,", &format!("({},", application.port()))
            .replace("port: 3001", &format!("port: {}", chat.port()))
    };
    let configuration = block(PAGE, node, "toml", 0);
    let site = Site::configured(&at_any_port(&at_ports(&configuration)));
    let directory = site.directory().path().to_owned();
    for (name, heading, number) in [("app.js", node, 0), ("chat.js", sockets, 0)] {
        let program = block(PAGE, heading, "js", number);
        site.directory().write(name, at_ports(&program));
    }
    let command = background(&directory, &commands(node, 1, "node")[0]);
    let _program = Program::at_port(command, application);
    let server = site.start();
    let expected = "Hello, 127.0.0.1, at http://localhost:8080\n";
    assert_eq!(get(&server, "/").text(), expected);
    let _chat = Program::at_port(background(&directory, "node chat.js"), chat);
    let configuration = at_ports(&block(PAGE, sockets, "toml", 0));
    let address = server.address().to_string();
    server.configure(configuration.replace("localhost:8080", &address));
    ended_with(0, &server.command_line(&["reload"]));
    let client = block(PAGE, sockets, "js", 1).replace("localhost:8080", &address);
    server.directory().write("client.js", client);
    assert_eq!(run(&directory, "node client.js"), "heard: high water\n");
}

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";

/// The application of two servers that are replaced one after the other.
const REPLACED: &str = "
def application(environ, start):
    length = len(environ['wsgi.input'].read())
    start('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '1')])
    return [b'%d' % length]
";

/// Draining, as the page tells it: clients that send without a pause get an answer to every request.
#[test]
fn servers_are_replaced_without_a_failed_request() {
    let addresses = [free_address(), free_address()];
    let servers = addresses.map(|address| format!("'{address}'")).join(", ");
    let site = Site::new("'/' = { proxy = 'shop' }")
        .top(&format!("upstreams.shop = {{ servers = [{servers}] }}"));
    let directory = site.directory().path().to_owned();
    site.directory().write("replaced.py", REPLACED);
    let begin = |address: SocketAddr| {
        let command = format!("gunicorn replaced --workers 2 --bind {address}");
        Some(Program::at_port(background(&directory, &command), address))
    };
    let mut programs = addresses.map(begin);
    let (server, is_over) = (&site.start(), &AtomicBool::new(false));
    let change = |verb: &str, address: SocketAddr| {
        let name = format!("shop/{address}");
        ended_with(0, &server.command_line(&["upstream", verb, &name]));
    };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", POST].repeat(3) {
            scope.spawn(move || {
                let mut client = server.connect();
                while !is_over.load(Ordering::Relaxed) && begun.elapsed() < 4 * SAFETY {
                    assert_eq!(client.exchange(request).status, 200, "{request}");
                }
            });
        }
        for (address, program) in addresses.into_iter().zip(&mut programs) {
            change("drain", address);
            until("nothing is in flight", || {
                let status = ended_with(0, &server.command_line(&["status"]));
                let address = address.to_string();
                let line = status.lines().find(|line| line.contains(&address));
                line?.contains("drained: 0 in flight").then_some(())
            });
            *program = None;
            until("its workers have ended, too", || {
                TcpStream::connect(address).is_err().then_some(())
            });
            *program = begin(address);
            change("enable", address);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
