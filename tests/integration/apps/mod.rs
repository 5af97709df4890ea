//! Applications that the server runs: `[apps.NAME]`. They are small programs in Python, and shells.

mod replacing;
mod running;

use crate::support::{Directory, Response, Server, Site, until};

const PROGRAM: &str = include_str!("app.py");

/// A configuration whose `/` is answered by the application `app`, which has these lines.
fn configuration(app: &str) -> String {
    format!(
        "log.access = false\n[[server]]\nlisten = \"127.0.0.1:0\"\n[server.routes]\n\
         \"/\" = {{ proxy = \"app\" }}\n\"/static\" = {{ respond = \"static\" }}\n[apps.app]\n{app}\n"
    )
}

/// The lines of an application that runs [`PROGRAM`], and says `version`.
fn program(version: &str) -> String {
    format!(
        "command = [\"python3\", \"app.py\", \"${{SOCKET}}\"]\nenvironment = {{ VERSION = \"{version}\" }}"
    )
}

/// A site of the application with these lines, beside which [`PROGRAM`] stands.
fn site(app: &str) -> Site {
    let site = Site::configured(&configuration(app));
    site.directory().write("app.py", PROGRAM);
    site
}

/// The application in `status`.
fn app(server: &Server) -> serde_json::Value {
    server.status()["apps"][0].clone()
}

/// Waits until there are so many instances, all of them in `state`; returns the numbers of their processes.
fn wait_for_instances(server: &Server, count: usize, state: &str) -> Vec<u64> {
    until("the state of its instances", || {
        let app = app(server);
        let instances = app["instances"].as_array().expect("an array");
        let all = instances.iter().all(|instance| instance["state"] == state);
        let processes = instances.iter().map(|instance| &instance["process"]);
        (all && instances.len() == count)
            .then(|| processes.filter_map(serde_json::Value::as_u64).collect())
    })
}

/// Whether a process of that number runs. One that has ended and is not reaped does not.
fn is_running(process: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

fn wait_for_end(process: u64) {
    until("the end of a process", || {
        (!is_running(process)).then_some(())
    });
}

/// The response to a GET for `target`, by a client that keeps its side of the connection open: one that
/// closes it has gone for what is proxied.
fn get(server: &Server, target: &str) -> Response {
    let mut client = server.connect();
    client.exchange(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"))
}

/// The process that gave a response of [`PROGRAM`], and the version that it said.
fn answered(response: &Response) -> (String, u64) {
    assert_eq!(response.status, 200, "{}", response.text());
    let text = response.text();
    let (version, process) = text.split_once(' ').expect("two words");
    (version.to_owned(), process.parse().expect("a number"))
}

/// The sockets of applications beneath the directory of a test.
fn sockets(directory: &Directory) -> Vec<std::path::PathBuf> {
    let entries = |path: &std::path::Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let apps = entries(&directory.join("run"));
    let apps = apps
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "apps"));
    let instances = apps.flat_map(|path| entries(path));
    instances.flat_map(|path| entries(&path)).collect()
}
