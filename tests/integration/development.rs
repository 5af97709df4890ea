//! HTTPS for developers: `serve --tls`, `proxy --tls` and `tidegate certificate`, with a CA of the user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::{
    Client, Directory, Server, Site, Upstream, client_trusting, ended_with, program,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The program, for a user whose data are in `directory`.
fn program_with(directory: &Path) -> Command {
    let mut command = program();
    command.env("XDG_DATA_HOME", directory.join("data"));
    command
}

fn authority_file(directory: &Path) -> PathBuf {
    directory.join("data/tidegate/ca.pem")
}

/// `tidegate serve --tls` for the files of `directory`, where the user's data are, too.
fn serve(directory: &Arc<Directory>, arguments: &[&str]) -> Server {
    let mut command = program_with(directory.path());
    command
        .arg("serve")
        .arg(directory.path())
        .args(["--tls", "--listen", "127.0.0.1:0"])
        .args(arguments);
    Server::start(command, Arc::clone(directory))
}

/// Runs `tidegate certificate` with these arguments, in `directory`, where the user's data are, too.
fn certificate(directory: &Directory, arguments: &[&str]) -> std::process::Output {
    let mut command = program_with(directory.path());
    let command = command.current_dir(directory.path());
    let command = command.arg("certificate").args(arguments);
    command.output().expect("the program runs")
}

/// A client that trusts the CA of the user whose data are in `directory`.
fn trusting(directory: &Path) -> Arc<ClientConfig> {
    client_trusting(&authority_file(directory), None)
}

/// What a client that trusts the CA gets from the server that it asks for as `name`.
fn ask(server: &Server, name: &str) -> String {
    let config = trusting(server.directory().path());
    let client = Client::secured(server.address(), &config, name);
    client.expect("a session").exchange(GET).text()
}

fn directory() -> Arc<Directory> {
    let directory = Directory::new();
    directory.write("index.html", "the index");
    Arc::new(directory)
}

fn mode(path: &Path) -> u32 {
    let data = std::fs::metadata(path).expect("it is there");
    data.permissions().mode() & 0o777
}

#[test]
fn serve_speaks_https_and_says_how_to_trust_it() {
    let directory = directory();
    let server = serve(&directory, &["--hosts", "app.test,*.app.test"]);
    for name in ["localhost", "127.0.0.1", "::1", "app.test", "a.app.test"] {
        assert_eq!(ask(&server, name), "the index", "{name}");
    }
    let config = trusting(directory.path());
    assert!(Client::secured(server.address(), &config, "other.test").is_err());
    let banner = server.diagnostics().join("\n");
    let url = format!("https://localhost:{}/", server.address().port());
    let file = authority_file(directory.path()).display().to_string();
    for part in [
        &url,
        &format!("curl --cacert {file} {url}"),
        "Tidegate development CA of ",
        "made just now",
        "update-ca-certificates",
        &format!("copy {file} to it, and there run"),
        "security add-trusted-cert",
        "certutil -d sql:",
        "Firefox",
    ] {
        assert!(banner.contains(part), "{part} in {banner}");
    }
    assert!(!banner.contains("http://"), "{banner}");
    let data = directory.join("data/tidegate");
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("ca-key.pem")), 0o600);
    for file in std::fs::read_dir(data.join("serve")).expect("it is there") {
        assert_eq!(mode(&file.expect("a file").path()), 0o600);
    }
}

#[test]
fn the_second_server_has_the_same_ca_and_certificate() {
    let directory = directory();
    drop(serve(&directory, &[]));
    let files = || {
        let servers =
            std::fs::read_dir(directory.join("data/tidegate/serve")).expect("it is there");
        let mut files: Vec<PathBuf> = servers.map(|file| file.expect("a file").path()).collect();
        files.push(authority_file(directory.path()));
        let read = |file: &PathBuf| std::fs::read_to_string(file).expect("a text");
        files.iter().map(read).collect::<Vec<String>>()
    };
    let first = files();
    assert_eq!(first.len(), 2);
    let server = serve(&directory, &[]);
    assert_eq!(files(), first);
    assert_eq!(ask(&server, "localhost"), "the index");
    let banner = server.diagnostics().join("\n");
    assert!(banner.contains("curl --cacert "), "{banner}");
    assert!(banner.contains("tidegate certificate --ca"), "{banner}");
    assert!(!banner.contains("made just now"), "{banner}");
}

#[test]
fn proxy_speaks_https_as_well() {
    let upstream = Upstream::start(|connection| {
        let head = connection.request().head;
        let head = String::from_utf8_lossy(&head).to_lowercase();
        assert!(head.contains("x-forwarded-proto: https"), "{head}");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    });
    let directory = directory();
    let mut command = program_with(directory.path());
    command
        .args(["proxy", "--tls", "--listen", "127.0.0.1:0", "--to"])
        .arg(upstream.address());
    let server = Server::start(command, Arc::clone(&directory));
    assert_eq!(ask(&server, "localhost"), "up");
    let banner = server.diagnostics().join("\n");
    assert!(banner.contains("https://localhost:"), "{banner}");
}

#[test]
fn first_runs_at_once_have_one_ca() {
    let directory = directory();
    let start = |number: usize| {
        let mut command = program_with(directory.path());
        let out = directory.join(format!("out{number}"));
        command.arg("certificate").arg("--out").arg(out);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    };
    let running: Vec<_> = (0..8).map(start).collect();
    let mut makers = 0;
    for child in running {
        let finished = child.wait_with_output().expect("it ends");
        makers += usize::from(ended_with(0, &finished).contains("made just now"));
    }
    assert_eq!(makers, 1);
    // Each is of the CA that is there in the end.
    for number in 0..8 {
        let file = |end: &str| directory.join(format!("out{number}/localhost+2{end}.pem"));
        let site = Site::configured(&format!(
            "log.access = false\n[[server]]\nlisten = '127.0.0.1:0'\n\
             tls = {{ certificate = {:?}, key = {:?} }}\nroutes.'/' = {{ respond = 'ok' }}\n",
            file(""),
            file("-key")
        ));
        let server = site.start();
        let config = trusting(directory.path());
        let client = Client::secured(server.address(), &config, "localhost");
        assert_eq!(client.expect("a session").exchange(GET).text(), "ok");
    }
}

fn block(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Replaces the only certificate of `serve` by one that its CA has issued, and that has expired.
fn let_expire(directory: &Directory) -> PathBuf {
    let authority = directory.join("data/tidegate/ca-key.pem");
    let key = PrivateKeyDer::from_pem_file(&authority).expect("a key");
    let key = KeyPair::try_from(&key).expect("a key");
    let certificate = CertificateDer::from_pem_file(&authority).expect("a certificate");
    let issuer = Issuer::from_ca_cert_der(&certificate, key).expect("a CA");
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut parameters = CertificateParams::new(names.to_vec()).expect("names");
    parameters.use_authority_key_identifier_extension = true;
    let now = SystemTime::now();
    parameters.not_before = (now - Duration::from_secs(7200)).into();
    parameters.not_after = (now - Duration::from_secs(3600)).into();
    let key = KeyPair::generate().expect("a key");
    let signed = parameters.signed_by(&key, &issuer).expect("a certificate");
    let text = block("PRIVATE KEY", key.serialized_der()) + &block("CERTIFICATE", signed.der());
    let mut files = std::fs::read_dir(directory.join("data/tidegate/serve")).expect("it is there");
    let file = files.next().expect("one file").expect("a file").path();
    assert!(files.next().is_none());
    std::fs::write(&file, text).expect("it can be written");
    file
}

#[test]
fn a_certificate_that_has_expired_is_made_anew() {
    let directory = directory();
    drop(serve(&directory, &[]));
    let authority = std::fs::read(authority_file(directory.path())).expect("a CA");
    let file = let_expire(&directory);
    let expired = std::fs::read(&file).expect("it is there");
    let server = serve(&directory, &[]);
    assert_eq!(ask(&server, "localhost"), "the index");
    assert_ne!(std::fs::read(&file).ok(), Some(expired));
    assert_eq!(
        std::fs::read(authority_file(directory.path())).ok(),
        Some(authority)
    );
}

#[test]
fn a_place_that_is_no_good_is_named_with_a_remedy() {
    let directory = directory();
    let closed = directory.join("closed");
    std::fs::create_dir(&closed).expect("it can be made");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o555)).expect("it is ours");
    // Root may write everywhere, unless it gives that up.
    let is_root = rustix::process::geteuid().is_root();
    for arguments in [&["serve", "--tls", "--port", "0"][..], &["certificate"]] {
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-dac_override,-dac_read_search"]);
            command.arg(env!("CARGO_BIN_EXE_tidegate"));
            command
        } else {
            program()
        };
        command.args(arguments).current_dir(directory.path());
        let closed_to = command.env("XDG_DATA_HOME", &closed).output();
        let said = ended_with(1, &closed_to.expect("it runs"));
        let place = format!("`{}`", closed.join("tidegate").display());
        for part in [&place, "Permission denied", "XDG_DATA_HOME"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
        let homeless = command
            .env_remove("XDG_DATA_HOME")
            .env_remove("HOME")
            .output();
        let said = ended_with(1, &homeless.expect("it runs"));
        assert!(said.contains("neither XDG_DATA_HOME nor HOME"), "{said}");
    }
    assert!(!directory.join("localhost+2.pem").exists());
}

#[test]
fn a_damaged_ca_is_named_and_left_alone() {
    let directory = directory();
    directory.write("data/tidegate/ca-key.pem", "damaged");
    let said = ended_with(1, &certificate(&directory, &[]));
    let path = directory
        .join("data/tidegate/ca-key.pem")
        .display()
        .to_string();
    assert!(
        said.contains(&path) && said.contains("delete the file"),
        "{said}"
    );
    assert_eq!(directory.read("data/tidegate/ca-key.pem"), "damaged");
}

#[test]
fn serve_warns_of_wildcards_that_browsers_refuse() {
    let directory = directory();
    let server = serve(&directory, &["--hosts", "*.test,*.app.test"]);
    let banner = server.diagnostics().join("\n");
    assert!(banner.contains("browsers do not take `*.test`"), "{banner}");
    assert!(!banner.contains("take `*.app.test`"), "{banner}");
}

#[test]
fn certificate_tells_a_replaced_ca_from_a_new_one() {
    let directory = directory();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let now = SystemTime::now();
    parameters.not_before = (now - Duration::from_secs(7200)).into();
    parameters.not_after = (now - Duration::from_secs(3600)).into();
    let key = KeyPair::generate().expect("a key");
    let expired = parameters.self_signed(&key).expect("a certificate");
    let text = block("PRIVATE KEY", key.serialized_der());
    let text = text + &block("CERTIFICATE", expired.der());
    directory.write("data/tidegate/ca-key.pem", &text);
    let said = ended_with(0, &certificate(&directory, &[]));
    assert!(
        said.contains("made just now because the one before has expired"),
        "{said}"
    );
}

#[test]
fn a_key_of_the_ca_that_others_may_read_is_told() {
    let directory = directory();
    let quiet = ended_with(0, &certificate(&directory, &[]));
    assert!(!quiet.contains("warning"), "{quiet}");
    let authority = directory.join("data/tidegate");
    let key = authority.join("ca-key.pem");
    for (path, mode, told) in [(&authority, 0o755, "chmod 700"), (&key, 0o644, "chmod 600")] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
        let said = ended_with(0, &certificate(&directory, &["--force"]));
        let place = format!("`{}` has the mode 0{mode:o}", path.display());
        assert!(said.contains("warning: the CA: "), "{said}");
        assert!(said.contains(&place) && said.contains(told), "{said}");
    }
    let banner = serve(&directory, &[]).diagnostics().join("\n");
    assert!(banner.contains("has the mode 0644"), "{banner}");
}

/// The line that begins with `key = ` in what the program has printed.
fn line<'t>(printed: &'t str, key: &str) -> &'t str {
    let found = printed
        .lines()
        .find(|line| line.starts_with(&format!("{key} = ")));
    found.unwrap_or_else(|| panic!("{key} in {printed}"))
}

#[test]
fn certificate_writes_what_a_configuration_can_use() {
    let directory = directory();
    // A single dollar would begin a variable.
    let out = ["--out", "new/$certificates"];
    let hosts = ["--hosts", "app.test,192.0.2.1", "--hosts", "*.app.test"];
    let printed = ended_with(0, &certificate(&directory, &[&hosts[..], &out].concat()));
    let written = directory.join("new/$certificates");
    for (file, expected) in [("app.test+2.pem", 0o644), ("app.test+2-key.pem", 0o600)] {
        let path = written.join(file);
        assert_eq!(mode(&path), expected, "{file}");
        let path = path
            .canonicalize()
            .expect("it is there")
            .display()
            .to_string();
        assert!(
            printed.lines().any(|line| line.ends_with(&path)),
            "{path} in {printed}"
        );
    }
    let tls = line(&printed, "tls");
    let site = Site::configured(&format!(
        "log.access = false\n[[server]]\nlisten = '127.0.0.1:0'\nhosts = ['app.test', '192.0.2.1', '*.app.test']\n\
         tls_default = true\n{tls}\nroutes.'/' = {{ respond = 'ok' }}\n"
    ));
    // It is for all of its hosts, without a doubt.
    let checked = ended_with(0, &site.command_line(&["check", "--strict"]));
    assert!(
        checked.contains("for app.test, 192.0.2.1, *.app.test: "),
        "{checked}"
    );
    let server = site.start();
    let config = trusting(directory.path());
    for name in ["app.test", "192.0.2.1", "b.app.test"] {
        let mut client = Client::secured(server.address(), &config, name).expect("a session");
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
        assert_eq!(client.exchange(request).text(), "ok", "{name}");
    }
}

#[test]
fn certificate_replaces_nothing_unless_it_is_told_to() {
    let directory = directory();
    ended_with(0, &certificate(&directory, &["--hosts", "app.test"]));
    let files = || {
        (
            directory.read("app.test.pem"),
            directory.read("app.test-key.pem"),
        )
    };
    let first = files();
    let said = ended_with(1, &certificate(&directory, &["--hosts", "app.test"]));
    assert!(said.contains("app.test.pem` is there already"), "{said}");
    assert!(said.contains("--force"), "{said}");
    assert_eq!(files(), first);
    ended_with(
        0,
        &certificate(&directory, &["--hosts", "app.test", "--force"]),
    );
    let second = files();
    assert!(second.0 != first.0 && second.1 != first.1);
    for (arguments, complaint) in [
        (&["--hosts", "app.test,a b"][..], "cannot stand in a host"),
        (&["--hosts", "https://app.test"], "no scheme"),
        (&["--hosts", ""], "empty part"),
        (&["--client", ""], "a client has a name"),
        (
            &["--client", "Ada", "--hosts", "app.test"],
            "cannot be used with",
        ),
        (&["app.test"], "unexpected argument"),
    ] {
        let said = ended_with(2, &certificate(&directory, arguments));
        assert!(said.contains(complaint), "{said}");
    }
    assert_eq!(files(), second);
}

#[test]
fn a_client_shows_the_certificate_that_was_made_for_it() {
    let directory = directory();
    let printed = ended_with(0, &certificate(&directory, &["--client", "Ada Lovelace"]));
    let server_made = ended_with(0, &certificate(&directory, &[]));
    let tls = line(&server_made, "tls").trim_end_matches(" }");
    let asked = line(&printed, "client_ca");
    let server = Site::configured(&format!(
        "log.access = false\n[[server]]\nlisten = '127.0.0.1:0'\n{tls}, {asked} }}\n\
         routes.'/' = {{ respond = 'ok' }}\n"
    ))
    .start();
    let shown = |name: &str| {
        let chain = [directory.join(format!("{name}.pem"))];
        let key = directory.join(format!("{name}-key.pem"));
        let config = client_trusting(&authority_file(directory.path()), Some((&chain, &key)));
        let mut client = Client::secured(server.address(), &config, "localhost")?;
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        client.try_send(request)?;
        client.rest()
    };
    assert!(shown("Ada_Lovelace-client").is_ok_and(|octets| octets.ends_with(b"ok")));
    // A server's certificate is none for a client.
    assert!(shown("localhost+2").is_err());
}

#[test]
fn the_ca_and_how_to_trust_it_are_told_again() {
    let directory = directory();
    let told = certificate(&directory, &["--ca"]);
    let told = ended_with(0, &told);
    let file = authority_file(directory.path());
    assert_eq!(told.lines().next(), Some(&*file.display().to_string()));
    assert!(told.contains("update-ca-certificates"), "{told}");
    assert!(!directory.join("localhost+2.pem").exists());
    assert_eq!(ended_with(0, &certificate(&directory, &["--ca"])), told);
}
