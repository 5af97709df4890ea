//! What the documents tell to write and to do works, word for word.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::geteuid;

use crate::php::PhpFpm;
use crate::support::{Directory, Server, Site, ended_with, until};

/// The content of the `number`th block of `language` behind `heading` in a page of docs/.
pub(crate) fn block(page: &str, heading: &str, language: &str, number: usize) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(page);
    let text = std::fs::read_to_string(path).expect("it is part of the repository");
    let (_, section) = text.split_once(heading).expect("the page has the heading");
    let fence = format!("\n```{language}\n");
    let rest = section.split(&fence).nth(number + 1).expect("the block");
    let (content, _) = rest.split_once("\n```").expect("the block ends");
    format!("{content}\n")
}

/// A configuration of the documents, at a port that the system chooses.
pub(crate) fn at_any_port(configuration: &str) -> String {
    configuration.replace("localhost:8080", "127.0.0.1:0")
}

const PAGE: &str = "scripts-and-php.md";

#[test]
fn the_cgi_script_greets() {
    let configuration = block(PAGE, "## Run a script", "toml", 0);
    let site = Site::configured(&at_any_port(&configuration));
    let script = block(PAGE, "## Run a script", "python", 0);
    site.directory().write("cgi-bin/hello.py", script);
    let path = site.directory().join("cgi-bin/hello.py");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, executable).expect("the file is ours");
    let server = site.start();
    let response = server.connect().exchange(
        "POST /cgi-bin/hello.py/some/where HTTP/1.1\r\nHost: localhost\r\n\
         Content-Length: 9\r\n\r\nname=Tide",
    );
    assert_eq!(
        response.text(),
        "Hello, Tide!\nBelow the script: /some/where\n"
    );
}

/// A configuration for PHP, with the socket of the test's own PHP-FPM.
fn php(number: usize) -> String {
    let configuration = block(PAGE, "## Run PHP", "toml", number);
    at_any_port(&configuration.replace("/run/php/php-fpm.sock", "php.sock"))
}

/// The configuration for WordPress, whose files are in `wordpress`.
pub(crate) fn wordpress() -> String {
    php(1)
}

#[test]
fn the_php_site_greets() {
    let site = Site::configured(&php(0));
    for (name, language) in [("site/index.php", "php"), ("site/style.css", "css")] {
        let content = block(PAGE, "## Run PHP", language, 0);
        site.directory().write(name, content);
    }
    let _fpm = PhpFpm::start(&site, 2);
    let server = site.start();
    let get = |target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        server.connect().exchange(request)
    };
    assert_eq!(get("/").text(), "Hello from PHP, at /\n");
    let target = "/2024/05/a-post/?page=2";
    assert_eq!(get(target).text(), format!("Hello from PHP, at {target}\n"));
    assert_eq!(get("/style.css").text(), "body { max-width: 40em }\n");
}

/// The archive of WordPress has no directory for uploads, and so the recipe for it was refused.
#[test]
fn what_the_recipe_for_wordpress_unpacks_is_enough() {
    let site = Site::configured(&wordpress());
    site.directory().write("wordpress/index.php", "<?php");
    for command in block(PAGE, "## Run PHP", "sh", 2).lines() {
        if command.starts_with("mkdir") {
            let mut shell = Command::new("sh");
            shell.current_dir(site.directory().path());
            ended_with(0, &shell.args(["-c", command]).output().expect("a shell"));
        }
    }
    let _fpm = PhpFpm::start(&site, 2);
    ended_with(0, &site.command_line(&["check", "--strict"]));
}

/// Rotates the logs in `directory` as docs/deploy/tidegate.logrotate says, with `systemctl` as a stand-in
/// for systemd's.
fn rotate(directory: &Directory, systemctl: &str) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy/tidegate.logrotate");
    let recipe = std::fs::read_to_string(path).expect("it is part of the repository");
    let state = std::fs::metadata(directory.path()).expect("it is there");
    let logs = directory.join("*.log").display().to_string();
    let owner = format!("create 0640 {} {}", state.uid(), state.gid());
    let recipe = recipe
        .replace("/var/log/tidegate/*.log", &logs)
        .replace("create 0640 tidegate adm", &owner);
    directory.write("rotate", recipe);
    directory.write("bin/systemctl", format!("#!/bin/sh\n{systemctl}\n"));
    for (name, mode) in [("rotate", 0o644), ("bin/systemctl", 0o755)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(directory.join(name), permissions).expect("the file is ours");
    }
    Command::new("/usr/sbin/logrotate")
        .args(["--force", "--state"])
        .arg(directory.join("state"))
        .arg(directory.join("rotate"))
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", directory.join("bin").display()),
        )
        .output()
        .expect("logrotate is installed")
}

/// `systemctl kill` fails while the server does not run, and so did the rotation.
#[test]
fn logrotate_renames_the_access_log() {
    if !geteuid().is_root() {
        return; // logrotate would have to give files to another user.
    }
    let server = Site::new("'/' = { respond = 'ok' }")
        .log("access = 'access.log'")
        .start();
    let directory = server.directory();
    let kill = |server: &Server| format!("kill -USR1 {}", server.id());
    for round in ["/1", "/2", "/3"] {
        // Until the server has opened the new file, lines go to the renamed one.
        until("a line in the new file", || {
            assert_eq!(server.get(round).status, 200);
            let log = std::fs::read_to_string(directory.join("access.log")).ok()?;
            log.contains(round).then_some(())
        });
        ended_with(0, &rotate(directory, &kill(&server)));
        assert!(directory.read("access.log.1").contains(round));
    }
    assert!(directory.join("access.log.3.gz").exists());
    directory.write("access.log", "a last line\n");
    ended_with(
        0,
        &rotate(directory, "echo No main process to kill >&2; exit 1"),
    );
    assert!(directory.read("access.log.1").contains("a last line"));
}
