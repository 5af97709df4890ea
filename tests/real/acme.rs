//! Certificates from Pebble, the CA that Let's Encrypt has for tests, with `pebble-challtestsrv` as its DNS.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::Signal;

use crate::program::{Program, free_address};
use crate::support::{Client, Directory, Server, Site, ended_with, tls_fixture, until};

/// Pebble, and the ports at which it verifies names.
struct Pebble {
    directory: Arc<Directory>,
    address: SocketAddr,
    /// Where http-01 asks, and tls-alpn-01.
    http: SocketAddr,
    tls: SocketAddr,
    /// Further settings.
    settings: &'static str,
    environment: &'static [(&'static str, &'static str)],
}

/// Pebble while it runs.
struct Running(#[expect(dead_code, reason = "dropping them ends them")] [Program; 2]);

impl Pebble {
    /// Pebble that does not run yet. `settings` of its file begin with a comma.
    fn new(settings: &'static str, environment: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            directory: Arc::new(Directory::new()),
            address: free_address(),
            http: free_address(),
            tls: free_address(),
            settings,
            environment,
        }
    }

    fn start(&self) -> Running {
        let names = free_address();
        let management = free_address();
        let mut command = Command::new("/usr/bin/pebble-challtestsrv");
        command.args([
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv6",
            "",
        ]);
        command.args(["-dns01", &names.to_string()]);
        command.args(["-management", &management.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let dns = Program::at_port(command, management);
        let text = format!(
            "{{ \"pebble\": {{ \"listenAddress\": \"{}\", \"managementListenAddress\": \"{}\", \
             \"certificate\": {:?}, \"privateKey\": {:?}, \"httpPort\": {}, \"tlsPort\": {}{} }} }}",
            self.address,
            free_address(),
            tls_fixture("localhost.pem"),
            tls_fixture("localhost.key"),
            self.http.port(),
            self.tls.port(),
            self.settings,
        );
        self.directory.write("pebble.json", text);
        let log = std::fs::File::create(self.directory.join("pebble.log")).expect("ours");
        let mut command = Command::new("/usr/bin/pebble");
        command.args(["-strict", "-dnsserver", &names.to_string(), "-config"]);
        command.arg(self.directory.join("pebble.json"));
        command.env("PEBBLE_VA_NOSLEEP", "1");
        command.envs(self.environment.iter().copied());
        command.stdout(log).stderr(Stdio::null());
        Running([dns, Program::at_port(command, self.address)])
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("pebble.log")).unwrap_or_default()
    }

    /// `[acme]` with further `lines`, and the storage `storage` in the directory of Pebble.
    fn acme(&self, lines: &str) -> String {
        format!(
            "workers = 2\nlog.access = false\n[acme]\ncontact = 'mailto:ops@example.com'\n\
             agree = true\ndirectory = 'https://localhost:{}/dir'\nca = {:?}\nstorage = {:?}\n{lines}\n",
            self.address.port(),
            tls_fixture("ca.pem"),
            self.directory.join("acme"),
        )
    }

    /// A file of the storage.
    fn stored(&self, name: &str) -> String {
        let directory = format!("acme/localhost_{}_dir/{name}", self.address.port());
        std::fs::read_to_string(self.directory.join(directory)).unwrap_or_default()
    }
}

/// `[[server]]` at `address` for `hosts`, with `tls = "acme"`.
fn secure(address: SocketAddr, hosts: &str) -> String {
    format!(
        "[[server]]\nlisten = '{address}'\nhosts = {hosts}\ntls = 'acme'\nroutes.'/' = {{ respond = 'hello' }}\n"
    )
}

/// `[[server]]` at `address`, without TLS, which refuses all clients but a CA that verifies a name.
fn plain(address: SocketAddr) -> String {
    format!(
        "[[server]]\nlisten = '{address}'\ndeny = 'all'\nroutes.'/' = {{ respond = 'plain' }}\n"
    )
}

fn start(text: &str) -> Server {
    Site::configured(text).start()
}

/// What OpenSSL tells of the certificate for `name` at `address`: issuer, number, names. `None` if there
/// is no session.
fn shown(address: SocketAddr, name: &str) -> Option<String> {
    let connect = address.to_string();
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &connect, "-servername", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let output = client.stdout.take().expect("it is piped");
    let told = Command::new("openssl")
        .args([
            "x509",
            "-noout",
            "-issuer",
            "-serial",
            "-ext",
            "subjectAltName",
        ])
        .stdin(output)
        .output()
        .expect("openssl is installed");
    client.wait().expect("it has run");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// Waits until the certificate for `name` is one of Pebble's, and returns what is told of it.
fn until_issued(address: SocketAddr, name: &str) -> String {
    until("a certificate", || {
        shown(address, name).filter(|text| text.contains("Pebble"))
    })
}

/// The state of the first certificate, as `tidegate status` has it.
fn state(server: &Server) -> serde_json::Value {
    server.status()["acme"][0].clone()
}

#[test]
fn each_challenge_leads_to_a_certificate() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let pebble = Pebble::new("", &[]);
        let _running = pebble.start();
        let acme = pebble.acme(&format!("challenge = '{challenge}'"));
        let servers = secure(pebble.tls, "'a.example'") + &plain(pebble.http);
        let server = start(&(acme + &servers));
        let told = until_issued(pebble.tls, "a.example");
        assert!(told.contains("DNS:a.example"), "{told}");
        server.wait_for_line(|line| line.contains("a certificate for a.example was issued"));
        let state = until("the state", || {
            Some(state(&server)).filter(|state| state["state"] == "issued")
        });
        assert_eq!(state["names"], serde_json::json!(["a.example"]));
        assert!(state["days_left"].as_u64().is_some_and(|days| days > 1000));
        let log = pebble.log();
        let how = if challenge == "http-01" {
            "validate w/ HTTP"
        } else {
            "TLS-ALPN"
        };
        assert!(log.contains(how) || challenge == "tls-alpn-01", "{log}");
        assert!(
            pebble
                .stored("certificates/a.example.pem")
                .contains("PRIVATE KEY")
        );
        // The key of the challenge is gone, and so is the answer.
        let path = "/.well-known/acme-challenge/token";
        let mut client = Client::connect(pebble.http);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(client.last_response().status, 404);
    }
}

#[test]
fn servers_have_certificates_of_their_own_with_all_their_names() {
    // Half of all nonces are refused.
    let pebble = Pebble::new("", &[("PEBBLE_WFE_NONCEREJECT", "50")]);
    let _running = pebble.start();
    let servers = secure(pebble.tls, "['a.example', 'www.a.example', 'A2.example']")
        + &secure(pebble.tls, "'b.example'");
    let _server = start(&(pebble.acme("") + &servers));
    let first = until_issued(pebble.tls, "a.example");
    for name in ["DNS:a.example", "DNS:www.a.example", "DNS:a2.example"] {
        assert!(first.contains(name), "{first}");
    }
    assert_eq!(shown(pebble.tls, "www.a.example"), Some(first));
    let second = until_issued(pebble.tls, "b.example");
    assert!(second.contains("DNS:b.example") && !second.contains("a.example"));
}

#[test]
fn the_address_that_leads_to_https_answers_the_ca() {
    let pebble = Pebble::new("", &[]);
    let _running = pebble.start();
    let redirect = format!("http_redirect = '{}'\nroutes", pebble.http);
    let server = secure(pebble.tls, "'a.example'").replacen("routes", &redirect, 1);
    let _server = start(&(pebble.acme("challenge = 'http-01'") + &server));
    until_issued(pebble.tls, "a.example");
    let mut client = Client::connect(pebble.http);
    let response = client.exchange("GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(response.status, 308);
}

#[test]
fn a_ca_that_is_down_is_asked_again() {
    let pebble = Pebble::new("", &[]);
    let text = pebble.acme("") + &secure(pebble.tls, "'a.example'");
    let server = start(&text);
    server.wait_for_line(|line| line.contains("acme: no certificate for a.example: localhost:"));
    let told = shown(pebble.tls, "a.example").expect("a session");
    assert!(
        told.contains("not issued yet") && told.contains("DNS:a.example"),
        "{told}"
    );
    let failed = until("the state", || {
        Some(state(&server)).filter(|state| state["state"] == "failed")
    });
    let failure = failed["failure"].as_str().unwrap_or_default();
    assert!(failure.contains("refused"), "{failure}");
    let _running = pebble.start();
    until_issued(pebble.tls, "a.example");
}

#[test]
fn clients_may_be_refused_until_then() {
    let pebble = Pebble::new("", &[]);
    let text = pebble.acme("until_issued = 'refuse'") + &secure(pebble.tls, "'a.example'");
    let server = start(&text);
    server.wait_for_line(|line| line.contains("acme: no certificate"));
    assert_eq!(shown(pebble.tls, "a.example"), None);
    let _running = pebble.start();
    until_issued(pebble.tls, "a.example");
}

#[test]
fn a_certificate_is_renewed_in_time() {
    let pebble = Pebble::new(", \"certificateValidityPeriod\": 24", &[]);
    let _running = pebble.start();
    let server = start(&(pebble.acme("") + &secure(pebble.tls, "'a.example'")));
    let first = until_issued(pebble.tls, "a.example");
    let second = until("another", || {
        shown(pebble.tls, "a.example").filter(|text| *text != first)
    });
    assert!(second.contains("Pebble"), "{second}");
    // A reload changes nothing.
    ended_with(0, &server.command_line(&["reload"]));
    let told = shown(pebble.tls, "a.example").expect("a session");
    assert!(told.contains("Pebble"), "{told}");
}

#[test]
fn a_name_that_is_added_leaves_the_others_as_they_are() {
    let pebble = Pebble::new("", &[]);
    let running = pebble.start();
    let server = start(&(pebble.acme("") + &secure(pebble.tls, "'a.example'")));
    let first = until_issued(pebble.tls, "a.example");
    drop(running);
    server.configure(pebble.acme("") + &secure(pebble.tls, "['a.example', 'b.example']"));
    ended_with(0, &server.command_line(&["reload"]));
    server.wait_for_line(|line| line.contains("no certificate for a.example, b.example"));
    assert_eq!(shown(pebble.tls, "a.example"), Some(first));
    let _running = pebble.start();
    let told = until("the new one", || {
        shown(pebble.tls, "a.example").filter(|text| text.contains("b.example"))
    });
    assert_eq!(shown(pebble.tls, "b.example"), Some(told));
}

#[test]
fn an_order_goes_on_through_reloads() {
    let slow = &[("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "4")];
    let pebble = Pebble::new("", slow);
    let _running = pebble.start();
    let text = pebble.acme("") + &secure(pebble.tls, "'a.example'");
    let server = start(&text);
    until("an order", || {
        let order = pebble.stored("orders/a.example.json");
        order.contains("/my-order/").then_some(())
    });
    let further = "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = 'more' }\n";
    server.configure(text + further);
    ended_with(0, &server.command_line(&["reload"]));
    until_issued(pebble.tls, "a.example");
    assert_eq!(pebble.log().matches("Added order ").count(), 1);
}

#[test]
fn an_order_goes_on_after_a_restart() {
    let pebble = Pebble::new(
        "",
        &[("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "4")],
    );
    let _running = pebble.start();
    let server = start(&(pebble.acme("") + &secure(pebble.tls, "'a.example'")));
    until("an order", || {
        let order = pebble.stored("orders/a.example.json");
        order.contains("/my-order/").then_some(())
    });
    let account = pebble.stored("account.json");
    let _server = server.kill_and_start_again();
    until_issued(pebble.tls, "a.example");
    assert_eq!(pebble.stored("account.json"), account);
    let log = pebble.log();
    assert_eq!(log.matches("Added order ").count(), 1, "{log}");
}

#[test]
fn what_the_ca_says_is_told() {
    let pebble = Pebble::new("", &[]);
    let _running = pebble.start();
    // No server listens at the port where the CA asks.
    let elsewhere = free_address();
    let text = pebble.acme("challenge = 'tls-alpn-01'") + &secure(elsewhere, "'a.example'");
    let server = start(&text);
    let line = server.wait_for_line(|line| line.contains("acme: no certificate for a.example"));
    assert!(
        line.contains("could not verify a.example by tls-alpn-01: "),
        "{line}"
    );
    assert!(line.contains("Failed to connect"), "{line}");
    let state = until("the state", || {
        Some(state(&server)).filter(|state| state["state"] == "failed")
    });
    assert!(
        state["failure"]
            .as_str()
            .is_some_and(|text| text.contains("Failed to connect"))
    );
    assert!(state["next_try"].is_string());
    let orders = pebble.log().matches("Added order ").count();
    // A restart does not ask sooner.
    let server = server.kill_and_start_again();
    until("the state", || {
        Some(server.status()["acme"][0].clone()).filter(|state| state["state"] == "failed")
    });
    assert_eq!(pebble.log().matches("Added order ").count(), orders);
}

#[test]
fn processes_may_share_the_storage() {
    let pebble = Pebble::new("", &[]);
    let _running = pebble.start();
    let acme = pebble.acme("");
    let first = start(&(acme.clone() + &secure(pebble.tls, "'a.example'")));
    let told = until_issued(pebble.tls, "a.example");
    let second_address = free_address();
    let second = start(&(acme + &secure(second_address, "'a.example'")));
    assert_eq!(shown(second_address, "a.example"), Some(told.clone()));
    until("the state", || {
        (state(&second)["state"] == "left to another process").then_some(())
    });
    first.stop();
    until("the lock", || {
        (state(&second)["state"] == "issued").then_some(())
    });
    assert_eq!(shown(second_address, "a.example"), Some(told));
    assert_eq!(pebble.log().matches("Added order ").count(), 1);
}

#[test]
fn processes_that_share_the_storage_order_certificates_for_different_names() {
    let pebble = Pebble::new("", &[]);
    let _running = pebble.start();
    let acme = pebble.acme("challenge = 'http-01'");
    let _first = start(&(acme.clone() + &secure(pebble.tls, "'a.example'") + &plain(pebble.http)));
    until_issued(pebble.tls, "a.example");
    // The first process holds the lock of its own certificate alone. The CA asks at the port of the first
    // one, so that it cannot verify the name of the second.
    let second = start(&(acme + &secure(free_address(), "'b.example'")));
    let line = second.wait_for_line(|line| line.contains("acme: no certificate for b.example"));
    assert!(line.contains("could not verify b.example"), "{line}");
    assert_eq!(pebble.log().matches("Added order ").count(), 2);
}

#[test]
fn a_lock_that_cannot_be_taken_is_told() {
    let pebble = Pebble::new("", &[]);
    let lock = format!(
        "acme/localhost_{}_dir/orders/a.example.lock",
        pebble.address.port()
    );
    let lock = pebble.directory.join(&lock);
    std::fs::create_dir_all(&lock).expect("ours");
    let server = start(&(pebble.acme("") + &secure(pebble.tls, "'a.example'")));
    let line = server.wait_for_line(|line| line.contains("acme: a.example cannot be ordered"));
    assert!(line.contains("cannot open the lock `"), "{line}");
    assert!(line.contains("a.example.lock"), "{line}");
    let state = until("the state", || {
        Some(state(&server)).filter(|state| state["state"] == "failed")
    });
    let failure = state["failure"].as_str().unwrap_or_default();
    assert!(failure.contains("cannot open the lock"), "{failure}");
    // The directory that the test has made is open to other users.
    server.wait_for_line(|line| line.contains("keeps other users out"));
}

/// A member of the file of the account.
fn of_account(pebble: &Pebble, member: &str) -> String {
    let account: serde_json::Value =
        serde_json::from_str(&pebble.stored("account.json")).expect("an account");
    account[member].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_account_gets_a_new_key_and_goes_on() {
    let pebble = Pebble::new("", &[("PEBBLE_WFE_NONCEREJECT", "30")]);
    let _running = pebble.start();
    let text = pebble.acme("") + &secure(pebble.tls, "'a.example'");
    let server = start(&text);
    until_issued(pebble.tls, "a.example");
    let (key, url) = (of_account(&pebble, "key"), of_account(&pebble, "url"));
    let told = server.command_line(&["acme", "roll-key"]);
    assert_eq!(ended_with(0, &told), "the account has a new key\n");
    server.wait_for_line(|line| line.contains("acme: the account has a new key"));
    let next = of_account(&pebble, "key");
    assert!(next != key && of_account(&pebble, "next_key").is_empty());
    // The new key orders for the same account.
    server.configure(text + &secure(pebble.tls, "'b.example'"));
    ended_with(0, &server.command_line(&["reload"]));
    until_issued(pebble.tls, "b.example");
    assert_eq!(of_account(&pebble, "url"), url);
    assert_eq!(of_account(&pebble, "key"), next);
}

#[test]
fn a_crash_within_a_change_of_the_key_loses_no_account() {
    let pebble = Pebble::new("", &[]);
    let _running = pebble.start();
    let text = pebble.acme("") + &secure(pebble.tls, "'a.example'");
    let server = start(&text);
    until_issued(pebble.tls, "a.example");
    let (first, url) = (of_account(&pebble, "key"), of_account(&pebble, "url"));
    ended_with(0, &server.command_line(&["acme", "roll-key"]));
    let second = of_account(&pebble, "key");
    let leave = |key: &str, next: &str| {
        let account = serde_json::json!({
            "key": key, "next_key": next, "url": url, "contact": ["mailto:ops@example.com"],
        });
        let path = format!("acme/localhost_{}_dir/account.json", pebble.address.port());
        pebble.directory.write(&path, account.to_string());
    };
    // The CA has made the change, and the process had no time to keep it.
    leave(&first, &second);
    let server = server.kill_and_start_again();
    server.wait_for_line(|line| line.contains("acme: the account has a new key"));
    assert_eq!(of_account(&pebble, "key"), second);
    // The next key is kept, and the CA has not heard of it.
    leave(&second, &first);
    let server = server.kill_and_start_again();
    server.wait_for_line(|line| line.contains("acme: the account has a new key"));
    assert_eq!(of_account(&pebble, "key"), first);
    server.configure(text + &secure(pebble.tls, "'b.example'"));
    ended_with(0, &server.command_line(&["reload"]));
    until_issued(pebble.tls, "b.example");
    assert_eq!(of_account(&pebble, "url"), url);
}

#[test]
fn a_key_that_cannot_be_changed_is_told() {
    let pebble = Pebble::new("", &[]);
    let server = start(&plain(free_address()));
    let told = server.command_line(&["acme", "roll-key"]);
    let said = ended_with(1, &told);
    assert!(
        said.contains("no server of the running configuration has `tls = \"acme\"`"),
        "{said}"
    );
    let server = start(&(pebble.acme("") + &secure(pebble.tls, "'a.example'")));
    let told = server.command_line(&["acme", "roll-key"]);
    let said = ended_with(1, &told);
    assert!(
        said.contains("error: the account keeps its key: localhost:"),
        "{said}"
    );
}

#[test]
fn an_upgrade_hands_the_storage_on() {
    let pebble = Pebble::new("", &[]);
    let _running = pebble.start();
    let server = start(&(pebble.acme("") + &secure(pebble.tls, "'a.example'")));
    until_issued(pebble.tls, "a.example");
    server.signal(Signal::USR2);
    let status = || {
        let told = server.command_line(&["status", "--json"]);
        serde_json::from_slice::<serde_json::Value>(&told.stdout).ok()
    };
    let successor = until("the lock", || {
        let is_there = |status: &serde_json::Value| {
            status["process"] != server.id() && status["acme"][0]["state"] == "issued"
        };
        status().filter(is_there)
    });
    let process = successor["process"].as_u64().expect("a number");
    let process = i32::try_from(process)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(process.expect("a process"), Signal::TERM).expect("it runs");
    until("the end", || {
        shown(pebble.tls, "a.example").is_none().then_some(())
    });
}

#[test]
fn an_account_may_be_bound_to_one_that_the_ca_has() {
    let settings = ", \"externalAccountBindingRequired\": true, \"externalAccountMACKeys\": { \"kid-1\": \
                    \"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\" }";
    let pebble = Pebble::new(settings, &[]);
    let _running = pebble.start();
    let server = start(&(pebble.acme("") + &secure(pebble.tls, "'a.example'")));
    server.wait_for_line(|line| line.contains("write external_account in [acme]"));
    server.stop();
    std::fs::remove_dir_all(pebble.directory.join("acme")).expect("it is ours");
    let account = "external_account = { key_id = 'kid-1', hmac_key = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' }";
    let _server = start(&(pebble.acme(account) + &secure(pebble.tls, "'a.example'")));
    until_issued(pebble.tls, "a.example");
}

#[test]
fn a_storage_that_cannot_be_used_is_named() {
    let pebble = Pebble::new("", &[]);
    pebble.directory.write("acme", "a file");
    let text = pebble.acme("") + &secure(pebble.tls, "'a.example'");
    let finished = Site::configured(&text).run();
    let told = ended_with(1, &finished);
    let path = pebble.directory.join("acme");
    assert!(told.contains(&path.display().to_string()), "{told}");
}
