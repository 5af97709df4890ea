//! `auth` with files that Apache's `htpasswd` makes, curl as the client, and the service in Python of
//! docs/passwords.md.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::documents::{at_any_port, block};
use crate::program::{Program, free_address};
use crate::support::{Server, Site, Upstream, ended_with};

const PAGE: &str = "passwords.md";

/// A line of Apache's tool for `user`, whose password is `sesame ü`.
fn htpasswd(option: &str, user: &str) -> String {
    let mut command = Command::new("htpasswd");
    let output = command.args(["-nb", option, user, "sesame ü"]).output();
    let output = output.expect("the package apache2-utils is installed");
    let text = String::from_utf8(output.stdout).expect("it is text");
    text.trim().to_owned() + "\n"
}

/// The status, a space, and the content that curl gets.
fn curl(server: &Server, target: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    let url = format!("http://{}{target}", server.address());
    command.args([
        "--silent",
        "--max-time",
        "30",
        "--write-out",
        " %{http_code} %{redirect_url}",
    ]);
    let output = command.args(arguments).arg(url).output();
    let output = output.expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn lines_of_apaches_tool_let_in_or_are_refused_with_their_number() {
    let site = Site::new("'/' = { files = 'www', auth = { basic = 'users' } }").file("a", "inside");
    let options = ["-B", "-m", "-s", "-2", "-5"];
    let users: Vec<String> = options
        .iter()
        .map(|option| format!("user{option}"))
        .collect();
    let lines = options
        .iter()
        .zip(&users)
        .map(|(option, user)| htpasswd(option, user));
    let good: String = lines.collect();
    for (option, why) in [("-d", "hash of crypt(3)"), ("-p", "the password itself")] {
        site.directory()
            .write("users", good.clone() + &htpasswd(option, "bad"));
        let refused = ended_with(1, &site.command_line(&["check"]));
        let place = format!("users`, line {}: ", options.len() + 1);
        assert!(
            refused.contains(&place) && refused.contains(why),
            "{refused}"
        );
        assert!(
            refused.contains("tidegate hash-password") && !refused.contains("sesame"),
            "{refused}"
        );
    }
    site.directory().write("users", good);
    let server = site.start();
    for user in &users {
        let right = format!("{user}:sesame ü");
        assert_eq!(
            curl(&server, "/a", &["--user", &right]),
            "inside 200",
            "{user}"
        );
        let wrong = format!("{user}:sesame u");
        let refused = curl(&server, "/a", &["--user", &wrong]);
        assert!(refused.ends_with(" 401"), "{user}: {refused}");
    }
    // curl asks without a password first, and then with it.
    let right = format!("{}:sesame ü", users[0]);
    assert_eq!(
        curl(&server, "/a", &["--anyauth", "--user", &right]),
        "inside 200"
    );
}

#[test]
fn the_directory_of_the_documents_asks_for_a_password() {
    let configuration = block(PAGE, "## A directory with a password", "toml", 0);
    let site = Site::configured(&at_any_port(&configuration))
        .file("index.html", "outside")
        .file("private/logo.svg", "logo");
    site.directory().write("private/index.html", "inside");
    site.directory()
        .write("users.htpasswd", htpasswd("-B", "alice"));
    let server = site.start();
    assert_eq!(curl(&server, "/", &[]), "outside 200");
    assert_eq!(curl(&server, "/private/logo.svg", &[]), "logo 200");
    assert!(curl(&server, "/private/", &[]).ends_with(" 401"));
    assert_eq!(
        curl(&server, "/private/", &["--user", "alice:sesame ü"]),
        "inside 200"
    );
}

/// Starts the service of the documents at `address`.
fn service(site: &Site, address: SocketAddr) -> Program {
    let script = block(PAGE, "### A service of your own", "python", 0);
    let script = script.replace("4181", &address.port().to_string());
    site.directory().write("verify.py", script);
    let mut command = Command::new("python3");
    command
        .arg(site.directory().join("verify.py"))
        .stderr(Stdio::null());
    Program::at_port(command, address)
}

#[test]
fn the_service_of_the_documents_says_who_is_let_in() {
    let application = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\napp");
    let address = free_address();
    let route = block(PAGE, "### A service of your own", "toml", 0)
        .replace("http://127.0.0.1:3000", &application.url())
        .replace("127.0.0.1:4181", &address.to_string());
    let site = Site::new(&route);
    let running = service(&site, address);
    let server = site.start();
    let refused = curl(
        &server,
        "/app/a?b=c",
        &["--header", "Cookie: session=guess"],
    );
    assert!(
        refused.starts_with("302 http://") && refused.ends_with("/login?to=/app/a?b=c"),
        "{refused}"
    );
    assert_eq!(application.requests().len(), 0);
    let fields = [
        "--header",
        "Cookie: session=s3cret",
        "--header",
        "Remote-User: eve",
    ];
    for _ in 0..3 {
        assert_eq!(
            curl(
                &server,
                "/app/a?b=c",
                &[&fields[..], &["--data", "x=y"]].concat()
            ),
            "app 200"
        );
    }
    let requests = application.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let head = String::from_utf8_lossy(&request.head).into_owned();
        assert!(
            head.starts_with("POST /app/a?b=c ") && request.content == b"x=y",
            "{head}"
        );
        assert!(
            head.contains("Remote-User: alice\r\n") && !head.contains("eve"),
            "{head}"
        );
    }
    drop(running);
    let down = curl(&server, "/app/a", &fields);
    assert!(down.ends_with(" 502"), "{down}");
    let _again = service_again(&server, address);
    assert_eq!(curl(&server, "/app/a", &fields), "app 200");
}

/// Starts the service of a server that runs once more.
fn service_again(server: &Server, address: SocketAddr) -> Program {
    let mut command = Command::new("python3");
    command
        .arg(server.directory().join("verify.py"))
        .stderr(Stdio::null());
    Program::at_port(command, address)
}
