//! Programs that trust the CA of `serve --tls`, as it tells them to.

use std::sync::Arc;

use crate::https::run;
use crate::support::{Directory, Server, program};

/// `serve --tls` tells how to trust its CA; the commands are taken from what it prints.
#[test]
fn the_commands_of_serve_have_programs_trust_its_ca() {
    let directory = Arc::new(Directory::new());
    directory.write("site/index.html", "hello\n");
    let mut serve = program();
    let data = directory.join("the user's data");
    serve.env("XDG_DATA_HOME", &data);
    serve.env("HOME", directory.path());
    serve.args(["serve", "--tls", "--listen", "127.0.0.1:0"]);
    serve.arg(directory.join("site"));
    let server = Server::start(serve, Arc::clone(&directory));
    let url = format!("https://localhost:{}/", server.address().port());
    let command = |program: &str| {
        let lines = server.diagnostics();
        let mut commands = lines
            .iter()
            .filter_map(|line| line.trim().strip_prefix(program));
        commands.next().expect(program).trim().to_owned()
    };
    let shell = |command: &str| run("sh", &["-c", command]);
    let quiet = command("curl ").replace("curl", "curl -sS");
    assert_eq!(shell(&quiet), (true, "hello\n".to_owned()));

    let script = format!("fetch('{url}').then(reply => reply.text()).then(console.log)");
    let (is_good, text) = shell(&format!("node -e \"{script}\""));
    assert!(!is_good, "{text}");
    let trusting = format!("{} node -e \"{script}\"", command("Node"));
    assert_eq!(shell(&trusting), (true, "hello\n\n".to_owned()));

    // Debian's command, for a store of its own, and without the hooks, which write to the store of Java.
    let [local, store, hooks] = ["local", "store", "hooks"].map(|name| {
        let made = directory.join(name);
        std::fs::create_dir(&made).expect("a directory");
        made.display().to_string()
    });
    let system = command("Debian, Ubuntu")
        .replace("sudo ", "")
        .replace("/usr/local/share/ca-certificates", &local);
    let system =
        format!("{system} --localcertsdir {local} --etccertsdir {store} --hooksdir {hooks}");
    let (is_good, text) = shell(&system);
    assert!(is_good, "{text}");
    let trusting = format!("curl -sS --cacert {store}/ca-certificates.crt {url}");
    assert_eq!(shell(&trusting), (true, "hello\n".to_owned()));

    let (is_good, text) = shell(&command("Chromium"));
    assert!(is_good, "{text}");
    let database = format!("sql:{}", data.join("pki/nssdb").display());
    let (_, text) = run("certutil", &["-L", "-d", &database]);
    let mut lines = text.lines();
    let is_authority = |line: &str| line.starts_with("Tidegate") && line.trim().ends_with("C,,");
    assert!(lines.any(is_authority), "{text}");
}
