//! Processes: when they are asked, what they get, and that they end with the server.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::{Pid, Signal, kill_process};

use super::{
    answered, app, configuration, get, is_running, program, site, sockets, wait_for_end,
    wait_for_instances,
};
use crate::support::{Site, ended_with, until};

#[test]
fn an_instance_is_asked_when_it_is_ready() {
    let server = site(&format!("{}\nready = \"/ready\"", program("1"))).start();
    server.wait_for_line(|line| line.contains("listening") && line.contains("app app ["));
    assert_eq!(get(&server, "/").status, 503);
    server.wait_for_reason("upstream_not_ready");
    assert_eq!(get(&server, "/static").text(), "static");
    wait_for_instances(&server, 1, "starting");
    server.directory().write("ready", "");
    let [process] = wait_for_instances(&server, 1, "ready")[..] else {
        panic!("one instance")
    };
    assert_eq!(answered(&get(&server, "/")), ("1".to_owned(), process));
    let status = server.command_line(&["status"]);
    let status = ended_with(0, &status);
    assert!(
        status.contains(&format!("app app      process {process} ready for ")),
        "{status}"
    );
}

#[test]
fn an_instance_may_have_a_port() {
    let lines = "command = 'app.py'\nenvironment = { PATH = '.:/usr/bin:/bin', PORT = '${PORT}' }";
    let server = site(lines);
    let shell = "#!/bin/sh\nexec /usr/bin/env python3 program.py $PORT\n";
    server.directory().write("program.py", super::PROGRAM);
    server.directory().write("app.py", shell);
    let script = server.directory().join("app.py");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let server = server.start();
    let [process] = wait_for_instances(&server, 1, "ready")[..] else {
        panic!("one instance")
    };
    assert_eq!(answered(&get(&server, "/")).1, process);
    let address = app(&server)["instances"][0]["address"].clone();
    let address = address.as_str().expect("an address");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
}

#[test]
fn a_crash_loop_is_slow_and_is_told() {
    let lines = "command = ['sh', '-c', 'echo oops; echo at ${SOCKET} >&2; exit 3']";
    let server = site(lines).start();
    server.wait_for_line(|line| line.contains("app app [") && line.ends_with("]: oops"));
    server.wait_for_line(|line| line.contains("app app [") && line.contains("]: at /"));
    server.wait_for_line(|line| {
        line.contains("ended (exit status 3)") && line.contains("another is started in 1s")
    });
    server.wait_for_line(|line| line.contains("in 2s, after 2 crashes in a row"));
    let instance = until("a pause", || {
        let instance = app(&server)["instances"][0].clone();
        (instance["state"] == "restarting").then_some(instance)
    });
    assert!(instance["crashes"].as_u64() >= Some(2), "{instance}");
    assert!(instance["restarts_in_seconds"].is_u64(), "{instance}");
    assert_eq!(get(&server, "/").status, 503);
    assert!(app(&server)["restarts"].as_u64() >= Some(1));
}

#[test]
fn an_instance_that_is_late_is_ended_and_another_is_started() {
    let lines = "command = ['sh', '-c', 'echo late; exec sleep 1000', '${SOCKET}']\n\
                 ready_timeout = '100ms'";
    let server = site(lines).start();
    server.wait_for_line(|line| line.contains("was not ready within 100ms, and is ended"));
    let lines = || {
        server
            .diagnostics()
            .iter()
            .filter(|line| line.ends_with("late"))
            .count()
    };
    until("another one", || (lines() >= 2).then_some(()));
}

#[test]
fn the_place_of_one_that_crashes_is_filled_and_others_answer_meanwhile() {
    let server = site(&format!("{}\ninstances = 2", program("1"))).start();
    let before = wait_for_instances(&server, 2, "ready");
    // A request that is not idempotent goes to no other instance.
    let mut client = server.connect();
    let response = client.exchange("POST /die HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(response.status, 502);
    server.wait_for_line(|line| line.contains("ended (exit status 3)"));
    for _ in 0..10 {
        assert!(before.contains(&answered(&get(&server, "/")).1));
    }
    let after = until("a new process", || {
        let after = wait_for_instances(&server, 2, "ready");
        (after != before).then_some(after)
    });
    assert!(after.iter().any(|process| before.contains(process)));
    // Whatever has ended was reaped.
    let tasks = format!("/proc/{}/task", server.id());
    until("no zombies", || {
        let tasks = std::fs::read_dir(&tasks).expect("it runs").flatten();
        let children = tasks.map(|task| std::fs::read_to_string(task.path().join("children")));
        let children: Vec<String> = children.flatten().collect();
        let children = children.iter().flat_map(|line| line.split_whitespace());
        let children: Vec<u64> = children.filter_map(|child| child.parse().ok()).collect();
        assert!(
            children.len() >= 3,
            "two instances and their guard: {children:?}"
        );
        children.into_iter().all(is_running).then_some(())
    });
}

#[test]
fn the_environment_is_clean() {
    let lines = "command = ['python3', 'app.py', '${SOCKET}']\n\
                 environment = { OWN = 'a $$ ${SOCKET}', LANG = 'xx' }";
    let server = site(lines)
        .environment("SECRET", "1")
        .environment("LC_TIME", "de")
        .environment("TZ", "Europe/Vienna")
        .environment("LANG", "C")
        .start();
    wait_for_instances(&server, 1, "ready");
    let about = get(&server, "/about").text();
    let has = |start: &str| about.lines().any(|line| line.starts_with(start));
    assert!(
        has("PATH=/") && has("TZ=Europe/Vienna") && has("LC_TIME=de"),
        "{about}"
    );
    assert!(has("LANG=xx") && has("OWN=a $ /"), "{about}");
    assert!(
        !has("SECRET") && !has("TIDEGATE") && !has("CARGO"),
        "{about}"
    );
}

#[test]
fn a_socket_is_of_its_user_alone_and_goes_with_the_server() {
    let server = site(&program("1")).start();
    wait_for_instances(&server, 1, "ready");
    let [socket] = &sockets(server.directory())[..] else {
        panic!("one socket")
    };
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(socket), 0o600);
    assert_eq!(mode(socket.parent().expect("a directory")), 0o700);
    // A server that was killed removes nothing. The next one does.
    let server = server.kill_and_start_again();
    wait_for_instances(&server, 1, "ready");
    assert!(!socket.exists());
    let directory = socket.ancestors().nth(2).expect("a directory").to_owned();
    assert_eq!(sockets(server.directory()).len(), 1);
    assert_eq!(get(&server, "/").status, 200);
    server.signal(Signal::TERM);
    until("nothing of it is left", || {
        (!directory.exists()).then_some(())
    });
}

/// An application of several processes: the first one's number, and that of one that it has started.
fn family(server: &crate::support::Server) -> [u64; 2] {
    let line = server.wait_for_line(|line| line.contains("]: child "));
    let (_, child) = line.rsplit_once(' ').expect("two words");
    let processes = wait_for_instances(server, 1, "ready");
    [processes[0], child.parse().expect("a number")]
}

const FAMILY: &str =
    "command = ['sh', '-c', 'sleep 1000 & echo child $!; exec python3 app.py ${SOCKET}']";

#[test]
fn all_processes_of_an_application_end_with_the_server() {
    let mut server = site(FAMILY).start();
    let family = family(&server);
    server.signal(Signal::TERM);
    assert!(server.wait().expect("our own child").success());
    family.into_iter().for_each(wait_for_end);
}

#[test]
fn all_processes_of_an_application_end_with_a_server_that_is_killed() {
    let server = site(FAMILY).start();
    let family = family(&server);
    let server = server.kill_and_start_again();
    family.into_iter().for_each(wait_for_end);
    drop(server);
}

#[test]
fn a_process_that_ignores_being_told_is_killed() {
    let lines = "command = ['sh', '-c', 'trap \"\" TERM; python3 app.py ${SOCKET}']\n\
                 stop_timeout = '200ms'";
    let mut server = site(lines).start();
    let [shell] = wait_for_instances(&server, 1, "ready")[..] else {
        panic!("one instance")
    };
    server.signal(Signal::TERM);
    assert!(server.wait().expect("our own child").success());
    assert!(!is_running(shell));
    let lines = server.diagnostics();
    let is_told = |line: &String| line.contains("has not ended within 200ms, and is killed");
    assert!(lines.iter().any(is_told), "{lines:?}");
}

#[test]
fn another_user_runs_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let script = super::PROGRAM.replace('$', "$$");
    let lines = format!(
        "command = ['/usr/bin/env', 'python3', '-c', '''{script}''', '${{PORT}}']\n\
         environment = {{ PATH = '/usr/bin:/bin' }}\ndirectory = '/'\nuser = 'nobody'"
    );
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return;
    }
    let server = site(&lines).environment("HOME", "/nowhere").start();
    wait_for_instances(&server, 1, "ready");
    let about = get(&server, "/about").text();
    let nobody = nix::unistd::User::from_name("nobody").expect("it can be looked up");
    let nobody = nobody.expect("there is one");
    let first = format!("uid {} groups [{}]", nobody.uid, nobody.gid);
    assert!(about.contains(&first), "{about}");
    assert!(
        about.contains("USER=nobody\n") && !about.contains("/nowhere"),
        "{about}"
    );
}

#[test]
fn neither_check_nor_explain_starts_an_application() {
    let lines = "command = ['sh', '-c', 'touch started; sleep 1000', '${SOCKET}']";
    let tests = "[[test]]\nrequest = 'GET /static'\nexpect = { status = 200 }";
    let site = Site::configured(&format!("{}{tests}", configuration(lines)));
    ended_with(0, &site.command_line(&["check"]));
    let explained = ended_with(0, &site.command_line(&["explain", "/"]));
    assert!(explained.contains("app"), "{explained}");
    assert!(!site.directory().join("started").exists());
}

#[test]
fn a_process_that_is_killed_is_replaced() {
    let server = site(&program("1")).start();
    let [process] = wait_for_instances(&server, 1, "ready")[..] else {
        panic!("one instance")
    };
    let number = i32::try_from(process).ok().and_then(Pid::from_raw);
    kill_process(number.expect("a process"), Signal::KILL).expect("it is our server's");
    server.wait_for_line(|line| line.contains("ended (signal 9)"));
    let next = until("another one", || {
        let next = wait_for_instances(&server, 1, "ready");
        (next != [process]).then_some(next)
    });
    assert_eq!(answered(&get(&server, "/")).1, next[0]);
}

/// The thread that waits for the end of a process took a signal to the server for that end, and the process
/// was killed.
#[test]
fn a_signal_to_the_server_ends_no_application() {
    let command = "command = ['sh', '-c', 'exec python3 app.py $0 > /dev/null 2>&1', '${SOCKET}']";
    let server = site(command).start();
    let before = wait_for_instances(&server, 1, "ready");
    let tasks = format!("/proc/{}/task", server.id());
    let threads = std::fs::read_dir(tasks).expect("it runs").flatten();
    let mut waiting = threads.filter(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm"));
        name.is_ok_and(|name| name.trim_end() == "tidegate-app")
    });
    let thread = waiting.next().expect("one for the instance").file_name();
    let thread = thread.to_str().expect("a number");
    let script = "import ctypes, signal, sys, time\n\
                  for _ in range(100):\n  \
                  assert not ctypes.CDLL(None).tgkill(int(sys.argv[1]), int(sys.argv[2]), signal.SIGUSR1)\n  \
                  time.sleep(0.001)\n";
    let mut python = std::process::Command::new("python3");
    let sent = python.args(["-c", script, &server.id().to_string(), thread]);
    assert!(sent.status().expect("python3").success());
    assert_eq!(wait_for_instances(&server, 1, "ready"), before);
}
