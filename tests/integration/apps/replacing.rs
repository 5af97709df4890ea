//! Reloads, restarts and upgrades: new processes take over, and no request fails.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    answered, app, configuration, get, is_running, program, site, wait_for_end, wait_for_instances,
};
use crate::support::{Server, ended_with, until};

/// Asks `server` again and again, from several clients, while `change` runs. Every request must be
/// answered.
fn under_load(server: &Server, change: impl FnOnce()) {
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let over = || is_over.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for nth in 0..3 {
            let (over, count) = (&over, &count);
            scope.spawn(move || {
                let mut client = server.connect();
                while !over() {
                    // Each on its own connections, or on one that is kept.
                    let response = if nth == 0 {
                        get(server, "/")
                    } else {
                        let response = client.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                        if response.says_close() {
                            client = server.connect();
                        }
                        response
                    };
                    answered(&response);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _over = Over(&is_over);
        change();
        let so_far = count.load(Ordering::Relaxed);
        until("further answers", || {
            (count.load(Ordering::Relaxed) > so_far + 20).then_some(())
        });
    });
}

fn reload(server: &Server) -> String {
    ended_with(0, &server.command_line(&["reload"]))
}

#[test]
fn a_reload_replaces_what_has_changed_and_no_request_fails() {
    let two = |version: &str| format!("{}\ninstances = 2\nready = \"/\"", program(version));
    let server = site(&two("0")).start();
    let first = wait_for_instances(&server, 2, "ready");
    under_load(&server, || {
        for version in ["1", "2", "3"] {
            server.configure(configuration(&two(version)));
            let told = reload(&server);
            assert!(told.contains("app app: environment changed"), "{told}");
            assert_eq!(answered(&get(&server, "/")).0, version);
        }
    });
    first.into_iter().for_each(wait_for_end);
    let before = wait_for_instances(&server, 2, "ready");
    reload(&server);
    assert_eq!(wait_for_instances(&server, 2, "ready"), before, "unchanged");
}

/// No task of the tunnel looked whether its process is still asked before the process was told to end.
#[test]
fn a_restart_ends_the_tunnels_to_the_processes_of_before() {
    let lines = format!("{}\nstop_timeout = \"10m\"", program("1"));
    let text = configuration(&lines).replace("\"app\" }", "\"app\", tunnel_grace = \"50ms\" }");
    let server = site(&lines).start();
    server.configure(text);
    reload(&server);
    let [old] = wait_for_instances(&server, 1, "ready")[..] else {
        panic!("one instance")
    };
    let mut client = server.connect();
    client.send(
        "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.response_head().status, 101);
    ended_with(0, &server.command_line(&["restart-app", "app"]));
    client.some_of(usize::MAX);
    wait_for_end(old);
}

/// A reload to fewer instances kept the first ones, whatever their state: the only one that answered was ended.
#[test]
fn a_reload_to_fewer_instances_keeps_those_that_are_ready() {
    let lines = |instances: u8| {
        format!(
            "command = ['sh', '-c', 'test -e broken && exit 1; exec python3 app.py \"$0\"', '${{SOCKET}}']\n\
             instances = {instances}"
        )
    };
    let server = site(&lines(2)).start();
    let [first, second] = wait_for_instances(&server, 2, "ready")[..] else {
        panic!("two instances")
    };
    server.directory().write("broken", "");
    let process = Pid::from_raw(first as i32).expect("a process");
    kill_process(process, Signal::KILL).expect("it is our server's");
    until("the end of the first is noticed", || {
        let state = app(&server)["instances"][0]["state"].clone();
        (state != "ready").then_some(())
    });
    server.configure(configuration(&lines(1)));
    reload(&server);
    assert_eq!(wait_for_instances(&server, 1, "ready"), [second]);
    assert_eq!(answered(&get(&server, "/")).1, second);
}

#[test]
fn a_request_that_is_under_way_is_answered_by_the_process_that_has_it() {
    let server = site(&program("1")).start();
    let [old] = wait_for_instances(&server, 1, "ready")[..] else {
        panic!("one instance")
    };
    let mut client = server.connect();
    client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    until("the request", || {
        let status = get(&server, "/");
        (answered(&status).1 == old).then_some(())
    });
    server.configure(configuration(&program("2")));
    reload(&server);
    assert_eq!(answered(&get(&server, "/")).0, "2");
    let states = |server: &Server| {
        let app = app(server);
        let instances = app["instances"].as_array().expect("an array");
        let states = instances
            .iter()
            .map(|instance| instance["state"].to_string());
        states.collect::<String>()
    };
    assert_eq!(states(&server), "\"ready\"\"leaving\"");
    assert!(is_running(old));
    server.directory().write("go", "");
    assert_eq!(answered(&client.response()), ("1".to_owned(), old));
    wait_for_end(old);
}

#[test]
fn a_reload_is_refused_if_the_new_processes_do_not_become_ready() {
    let server = site(&program("1")).start();
    let before = wait_for_instances(&server, 1, "ready");
    for (lines, reason) in [
        (
            "command = ['sh', '-c', 'exit 4', '${SOCKET}']",
            "ended (exit status 4) before it was asked",
        ),
        (
            "command = ['sleep', '1000']\nenvironment = { A = '${SOCKET}' }\nready_timeout = '50ms'",
            "was not ready within 50ms",
        ),
    ] {
        server.configure(configuration(lines));
        let told = ended_with(1, &server.command_line(&["reload"]));
        assert!(told.contains(reason), "{told}");
        assert!(
            told.contains("the configuration that ran goes on"),
            "{told}"
        );
        assert_eq!(answered(&get(&server, "/")), ("1".to_owned(), before[0]));
    }
    assert_eq!(server.status()["generation"]["number"], 1);
    until("what was tried has ended", || {
        let app = app(&server);
        (app["instances"].as_array().expect("an array").len() == 1).then_some(())
    });
}

#[test]
fn settings_around_the_processes_change_without_new_ones() {
    let lines =
        |instances: usize, more: &str| format!("{}\ninstances = {instances}\n{more}", program("1"));
    let server = site(&lines(1, "")).start();
    let one = wait_for_instances(&server, 1, "ready");
    server.configure(configuration(&lines(
        3,
        "stop_timeout = '1s'\ntimeouts.head = '5s'",
    )));
    reload(&server);
    let three = wait_for_instances(&server, 3, "ready");
    assert!(three.contains(&one[0]));
    server.configure(configuration(&lines(2, "")));
    reload(&server);
    let two = wait_for_instances(&server, 2, "ready");
    assert!(two.iter().all(|process| three.contains(process)));
}

#[test]
fn an_application_comes_and_goes_by_reloads() {
    let without =
        "[[server]]\nlisten = \"127.0.0.1:0\"\n[server.routes]\n\"/\" = { respond = \"none\" }";
    let server = site(&program("1"));
    server.directory().write("config.toml", without);
    let server = server.run_from("config.toml").start();
    assert_eq!(server.status()["apps"], serde_json::json!([]));
    server.configure(configuration(&program("1")));
    reload(&server);
    let (version, process) = answered(&get(&server, "/"));
    assert_eq!(version, "1");
    server.configure(without);
    let told = reload(&server);
    assert!(told.contains("app app removed"), "{told}");
    assert_eq!(get(&server, "/").text(), "none");
    wait_for_end(process);
}

#[test]
fn a_trial_that_is_not_confirmed_brings_the_old_processes_settings_back() {
    let server = site(&program("1")).start();
    wait_for_instances(&server, 1, "ready");
    server.configure(configuration(&program("2")));
    ended_with(0, &server.command_line(&["reload", "--confirm", "100ms"]));
    server.wait_for_line(|line| line.contains("the reload was not confirmed"));
    assert_eq!(answered(&get(&server, "/")).0, "1");
}

#[test]
fn a_restart_replaces_the_processes_and_no_request_fails() {
    let server = site(&format!("{}\ninstances = 2", program("1"))).start();
    let before = wait_for_instances(&server, 2, "ready");
    under_load(&server, || {
        let told = ended_with(0, &server.command_line(&["restart-app", "app"]));
        assert!(told.contains("app app: new processes are asked"), "{told}");
    });
    before.into_iter().for_each(wait_for_end);
    let told = ended_with(1, &server.command_line(&["restart-app", "other"]));
    assert!(
        told.contains("there is no app `other`; there is app"),
        "{told}"
    );
}

#[test]
fn an_upgrade_waits_for_the_new_processes_and_no_request_fails() {
    let server = site(&format!("{}\nready = \"/\"", program("1"))).start();
    let before = wait_for_instances(&server, 1, "ready");
    under_load(&server, || {
        let told = ended_with(0, &server.command_line(&["upgrade"]));
        assert!(told.contains("upgraded"), "{told}");
        until("another process", || {
            (answered(&get(&server, "/")).1 != before[0]).then_some(())
        });
    });
    crate::upgrade::stop(server);
    before.into_iter().for_each(wait_for_end);
}

#[test]
fn an_upgrade_whose_processes_do_not_become_ready_is_refused() {
    let server = site(&program("1")).start();
    let before = wait_for_instances(&server, 1, "ready");
    server.configure(configuration(
        "command = ['sh', '-c', 'exit 4', '${SOCKET}']",
    ));
    let told = ended_with(1, &server.command_line(&["upgrade"]));
    assert!(
        told.contains("no upgrade, the server that ran goes on"),
        "{told}"
    );
    server.wait_for_line(|line| line.contains("ended (exit status 4) before it was asked"));
    assert_eq!(answered(&get(&server, "/")).1, before[0]);
}

/// While a successor waited for its application, the server answered no command, and no signal ended it.
#[test]
fn commands_do_not_wait_for_a_successor() {
    for stops_by_signal in [true, false] {
        let mut server = site(&program("1")).start();
        wait_for_instances(&server, 1, "ready");
        server.configure(configuration(
            "command = ['sh', '-c', 'echo waits; exec sleep 1000', '${SOCKET}']\nready_timeout = '1h'",
        ));
        server.signal(Signal::USR2);
        server.wait_for_line(|line| line.ends_with("]: waits"));
        let under_way = "an upgrade is under way";
        let told = ended_with(0, &server.command_line(&["status"]));
        assert!(told.contains(under_way), "{told}");
        let successor = told.split("process ").find_map(|rest| {
            let (number, _) = rest.split_once(" does not serve yet")?;
            number.parse::<u32>().ok()
        });
        for command in ["reload", "upgrade"] {
            let told = ended_with(1, &server.command_line(&[command]));
            assert!(told.contains(under_way), "{told}");
        }
        server.signal(Signal::HUP);
        server.wait_for_line(|line| line.contains("SIGHUP is refused"));
        if stops_by_signal {
            server.signal(Signal::TERM);
        } else {
            ended_with(0, &server.command_line(&["stop"]));
        }
        assert!(server.wait().expect("our own child").success());
        let successor = format!("/proc/{}", successor.expect("a process"));
        assert!(!std::path::Path::new(&successor).exists());
        let lines = server.diagnostics();
        let is_told = |line: &String| line.contains("told to stop before the new process served");
        assert!(lines.iter().any(is_told), "{lines:?}");
    }
}

/// An application that is not ready until there is a file `go`.
const UNTIL_GO: &str = "command = ['sh', '-c', 'echo waits; until [ -e go ]; do sleep 0.05; done; exec python3 app.py $0', '${SOCKET}']";

/// A server with one application, of which a reload waits for another version, and an upgrade for the reload.
fn with_upgrade_waiting() -> Server {
    let server = site(&program("1")).start();
    wait_for_instances(&server, 1, "ready");
    server.configure(configuration(UNTIL_GO));
    server.signal(Signal::HUP);
    server.wait_for_line(|line| line.ends_with("]: waits"));
    server.signal(Signal::USR2);
    ended_with(0, &server.command_line(&["status"]));
    server
}

/// The upgrade was carried out first, and the new process served on.
#[test]
fn a_stop_comes_before_an_upgrade_that_waits() {
    let mut server = with_upgrade_waiting();
    server.signal(Signal::TERM);
    assert!(server.wait().expect("our own child").success());
    let lines = server.diagnostics();
    assert!(
        !lines.iter().any(|line| line.contains("upgrade")),
        "{lines:?}"
    );
}

/// It was answered by nobody, and the process that it had reached never ended.
#[test]
fn a_command_behind_an_upgrade_is_answered_by_the_successor() {
    let server = with_upgrade_waiting();
    let mut restart = server.command_for(&["restart-app", "app"]);
    let restart = restart.stdout(Stdio::piped()).stderr(Stdio::piped());
    let restart = restart.spawn().expect("it is our program");
    ended_with(0, &server.command_line(&["status"]));
    server.directory().write("go", "");
    let told = ended_with(0, &restart.wait_with_output().expect("it ends"));
    assert!(told.contains("app app: new processes are asked"), "{told}");
    crate::upgrade::stop(server);
}

/// Further sockets, of more workers or of a new address, took connections while nothing accepted from them
/// yet; a refusal reset those connections, and left a socket with its new permissions.
#[test]
fn connections_do_not_wait_for_an_application() {
    let path = std::env::temp_dir().join(format!("tidegate-staged-{}", std::process::id()));
    let listen = |mode: &str| {
        let socket = path.display();
        format!("listen = ['127.0.0.1:0', 'unix:{socket}']\nsocket_mode = '{mode}'")
    };
    let lines = |workers: usize, listen: &str, app: &str| {
        let configuration = configuration(app);
        let with_listen = configuration.replace("listen = \"127.0.0.1:0\"", listen);
        format!("workers = {workers}\n{with_listen}")
    };
    let ip = "listen = '127.0.0.1:0'";
    let server = site(&program("1"));
    server
        .directory()
        .write("config.toml", lines(1, ip, &program("1")));
    let server = server.run_from("config.toml").start();
    wait_for_instances(&server, 1, "ready");
    server.configure(lines(8, &listen("0600"), UNTIL_GO));
    server.signal(Signal::HUP);
    server.wait_for_line(|line| line.ends_with("]: waits"));
    for _ in 0..40 {
        assert_eq!(get(&server, "/static").text(), "static");
    }
    let refused = std::os::unix::net::UnixStream::connect(&path).expect_err("not yet");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    server.directory().write("go", "");
    server.wait_for_line(|line| line.contains("SIGHUP: reloaded"));
    for _ in 0..40 {
        assert_eq!(get(&server, "/static").text(), "static");
    }
    drop(crate::support::UnixClient::connect(&path));
    let fails = "command = ['sh', '-c', 'exit 4', '${SOCKET}']";
    server.configure(lines(8, &listen("0666"), fails));
    ended_with(1, &server.command_line(&["reload"]));
    let mode = std::fs::metadata(&path).expect("bound").permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
}

/// A server that has, on trial for `time`, another version of its application, and reloads to an application that is
/// never ready. It stops `delay` after it was told to.
fn on_trial(time: &str, delay: &str) -> Server {
    let never =
        "command = ['sh', '-c', 'echo waits; exec sleep 1000', '${SOCKET}']\nready_timeout = '1h'";
    let lines = |app: &str| format!("drain_delay = '{delay}'\n{}", configuration(app));
    let site = site(&program("1"));
    site.directory().write("config.toml", lines(&program("1")));
    let server = site.run_from("config.toml").start();
    wait_for_instances(&server, 1, "ready");
    server.configure(lines(&program("2")));
    ended_with(0, &server.command_line(&["reload", "--confirm", time]));
    server.configure(lines(never));
    server.signal(Signal::HUP);
    server
}

/// The end of `drain_delay`, and the return of a reload on trial, waited until the application was ready, or
/// late.
#[test]
fn deadlines_end_the_wait_for_new_processes() {
    let mut server = on_trial("300ms", "300ms");
    server.wait_for_line(|line| line.contains("the reload was not confirmed"));
    assert_eq!(answered(&get(&server, "/")).0, "1");
    server.signal(Signal::TERM);
    server.wait_for_line(|line| line.contains("stopping in 300ms"));
    server.signal(Signal::HUP);
    assert!(server.wait().expect("our own child").success());
}

/// It waited behind the application, and the end of the trial came first.
#[test]
fn a_confirmation_does_not_wait_for_new_processes() {
    let mut server = on_trial("1h", "1ms");
    server.wait_for_line(|line| line.ends_with("]: waits"));
    let told = ended_with(0, &server.command_line(&["confirm"]));
    assert!(told.contains("stays"), "{told}");
    server.signal(Signal::TERM);
    assert!(server.wait().expect("our own child").success());
    let back = |line: &String| line.contains("was not confirmed");
    assert!(!server.diagnostics().iter().any(back));
}

/// A second signal cut what clients had, and then the applications had all of their `stop_timeout`.
#[test]
fn a_second_signal_kills_applications() {
    let ignores = "command = ['sh', '-c', 'trap \"\" TERM; exec python3 app.py $0', '${SOCKET}']\n\
                   stop_timeout = '1h'";
    let server = site(ignores);
    let text = format!("grace = '1h'\n{}", configuration(ignores));
    server.directory().write("config.toml", text);
    let mut server = server.run_from("config.toml").start();
    wait_for_instances(&server, 1, "ready");
    let mut client = server.connect();
    client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    until("the request", || {
        let upstreams = &server.status()["upstreams"][0]["servers"][0];
        (upstreams["in_flight"].as_u64() > Some(0)).then_some(())
    });
    server.signal(Signal::TERM);
    server.wait_for_line(|line| line.contains("exchanges in flight have"));
    server.signal(Signal::TERM);
    assert!(server.wait().expect("our own child").success());
}

#[test]
fn a_signal_to_stop_ends_the_wait_for_new_processes() {
    let mut server = site(&program("1")).start();
    wait_for_instances(&server, 1, "ready");
    let lines = "command = ['sh', '-c', 'echo waiting; exec sleep 1000', '${SOCKET}']";
    server.configure(configuration(lines));
    server.signal(Signal::HUP);
    server.wait_for_line(|line| line.ends_with("]: waiting"));
    // Questions are answered meanwhile.
    let app = app(&server);
    assert_eq!(app["instances"][1]["state"], "taking over", "{app}");
    server.signal(Signal::TERM);
    assert!(server.wait().expect("our own child").success());
    let lines = server.diagnostics();
    let is_told = |line: &String| line.contains("told to stop before they were ready");
    assert!(lines.iter().any(is_told), "{lines:?}");
}
