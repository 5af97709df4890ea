//! An exchange that is followed (`tidegate log -f`) allocates nothing on the fast path either. The task that
//! sends lines to the follower allocates for each block of them, some dozens of times a second.
//!
//! Only a program that runs from a file can be followed, and finds its control socket by the environment. So
//! the test runs once more as a process of its own, with another environment, and is that program there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use super::{EXCHANGES, PATIENCE, PER_SECOND, counted};

/// In the environment: the directory of the control socket.
const DIRECTORY: &str = "TIDEGATE_RUNTIME_DIR";

/// In the environment of the process that is the program.
const IS_PROGRAM: &str = "TIDEGATE_TEST_IS_PROGRAM";

/// Blocks of lines that a follower is sent in a second: one in a tick of the loop, which is 16 ms.
const BLOCKS: usize = 63;

const REQUEST: &str = "GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n";

/// Whether this process is the program.
pub(super) fn is_program() -> bool {
    std::env::var_os(IS_PROGRAM).is_some()
}

/// Runs `test`, which is named so, in a process of its own.
pub(super) fn run_as_program(test: &str) {
    let name = format!("followed-{}", std::process::id());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("cargo's directory takes another");
    let program = std::env::current_exe().expect("it runs");
    let run = Command::new(program)
        .args(["--exact", test])
        .env(DIRECTORY, &directory)
        .env(IS_PROGRAM, "yes")
        .output()
        .expect("it runs once more");
    std::fs::remove_dir_all(&directory).expect("it is ours");
    let said = [&run.stdout[..], &run.stderr].concat();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// Counts the exchanges during which the program allocates while it is followed.
pub(super) fn count() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("it is set"));
    let (address, program) = start(&directory);
    let mut client = connect(address);
    let socket = control_socket(&directory);
    let follower = follow(&socket);
    let mut answer = [0; 4096];
    client.write_all(REQUEST.as_bytes()).expect("it reads");
    let length = client.read(&mut answer).expect("it answers");
    let mut exchange = || {
        client.write_all(REQUEST.as_bytes()).expect("it reads");
        let answer = &mut answer[..length];
        client.read_exact(answer).expect("it answers alike");
    };
    for _ in 0..EXCHANGES {
        exchange();
    }
    let started = Instant::now();
    let allocating = (0..EXCHANGES)
        .filter(|_| counted(&mut exchange) > 0)
        .count();
    let seconds = started.elapsed().as_secs() as usize;
    // The memory of a block is asked for during one exchange, and perhaps that of its chunk during the next.
    let allowed = (PER_SECOND + 2 * BLOCKS) * (seconds + 1);
    assert!(
        allocating <= allowed,
        "{allocating} of {EXCHANGES} exchanges that are followed allocated, where {allowed} may"
    );
    drop(client);
    stop(&socket);
    assert_eq!(program.join().expect("no panic"), ExitCode::SUCCESS);
    let told = follower.join().expect("no panic");
    assert_eq!(told, 2 * EXCHANGES + 1);
}

/// Starts the program on a thread.
fn start(directory: &Path) -> (SocketAddr, std::thread::JoinHandle<ExitCode>) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let config = directory.join("config.toml");
    let text = format!(
        r#"
        workers = 1
        log = {{ access = false, level = "error" }}
        [[server]]
        listen = "{address}"
        routes."/fixed" = {{ respond = "ok" }}
        "#
    );
    std::fs::write(&config, text).expect("it is ours");
    let arguments = ["tidegate".into(), "run".into(), config.into_os_string()];
    let program = std::thread::spawn(|| tidegate::main(arguments, &tidegate::Handlers::new()));
    (address, program)
}

/// Connects as soon as the program listens.
fn connect(address: SocketAddr) -> TcpStream {
    let started = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
    }
}

/// The control socket, as soon as it is there.
fn control_socket(directory: &Path) -> PathBuf {
    let started = Instant::now();
    let is_socket = |path: &PathBuf| path.extension().is_some_and(|end| end == "sock");
    loop {
        let entries = std::fs::read_dir(directory).expect("it is ours");
        let mut paths = entries.map(|entry| entry.expect("it can be read").path());
        if let Some(path) = paths.find(is_socket) {
            return path;
        }
        assert!(started.elapsed() < PATIENCE, "there is no control socket");
    }
}

/// Follows on a thread, which allocates nothing. Returns how many exchanges it was told of.
fn follow(socket: &Path) -> std::thread::JoinHandle<usize> {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    let request = b"GET /exchanges?format=%7Bstatus%7D+%7Bpath%7D HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).expect("it reads");
    let mut block = vec![0; 64 * 1024];
    let count = stream.read(&mut block).expect("it answers");
    assert!(block[..count].starts_with(b"HTTP/1.1 200 "));
    std::thread::spawn(move || {
        let mut told = 0;
        loop {
            match stream.read(&mut block) {
                Ok(0) | Err(_) => return told,
                // Of all that is sent, `/fixed` alone has an x.
                Ok(count) => told += memchr::memchr_iter(b'x', &block[..count]).count(),
            }
        }
    })
}

/// Has the program end.
fn stop(socket: &Path) {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    let request = b"POST /stop HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    assert!(answer.starts_with(b"HTTP/1.1 2"), "it does not stop");
}
