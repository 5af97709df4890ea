//! What the documents show of the program's output is what it prints.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{Directory, Site, UnixClient, ended_with, program, speak_plainly};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).expect("it is part of the repository")
}

/// What stands behind the command `$ COMMAND` of a sample, up to an empty line or the end of the sample.
fn sample<'p>(page: &'p str, command: &str) -> Vec<&'p str> {
    let (_, rest) = page
        .split_once(&format!("\n$ {command}\n"))
        .expect("the page shows the command");
    let ends = |line: &&str| !line.is_empty() && *line != "```";
    rest.lines().take_while(ends).collect()
}

/// The first word of each line.
fn labels<'t>(lines: impl IntoIterator<Item = &'t str>) -> Vec<&'t str> {
    let words = lines.into_iter().map(|line| line.split_whitespace().next());
    words.map(Option::unwrap_or_default).collect()
}

/// Each `tidegate COMMAND` of `text`, with the options that stand behind it up to the end of the line or of the code.
fn commands(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let calls = text.match_indices("tidegate ").filter_map(|(at, name)| {
        let call = text[at + name.len()..]
            .split(['\n', '`', '|', ';'])
            .next()?;
        let mut words = call.split([' ', '[', ']', '=']);
        let is_name = |word: &&str| {
            word.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        // A user may be called tidegate, too.
        let command = words.find(|word| *word != "tidegate").filter(is_name)?;
        Some((
            command,
            words.filter(|word| word.starts_with("--")).collect(),
        ))
    });
    calls.filter(|(_, options): &(_, Vec<_>)| !options.is_empty())
}

/// What to do about `access_denied` was told with an option that no command has.
#[test]
fn the_options_that_documents_name_are_there() {
    let told = |arguments: &[&str]| {
        let output = program().args(arguments).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let entries = std::fs::read_dir(directory).expect("it is part of the repository");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let names = names.map(|name| format!("docs/{}", name.expect("UTF-8")));
    let pages = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| page(&name));
    let mut texts: Vec<String> = pages.collect();
    texts.extend([page("README.md"), page("SECURITY.md"), told(&["reasons"])]);
    let mut count = 0;
    for (command, options) in texts.iter().flat_map(|text| commands(text)) {
        let help = told(&[command, "--help"]);
        for option in options {
            count += 1;
            let is_there = help.split_whitespace().any(|word| word == option);
            assert!(is_there, "`tidegate {command}` has no {option}");
        }
    }
    assert!(count > 30, "only {count} were found");
}

/// The sample of `status` had lines that the program does not print, and lacked others.
#[test]
fn the_sample_of_status_has_the_lines_of_status() {
    speak_plainly();
    let operations = page("docs/operations.md");
    let shown = sample(&operations, "tidegate status");
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let printed = ended_with(0, &server.command_line(&["status"]));
    assert_eq!(labels(shown.iter().copied()), labels(printed.lines()));
}

#[test]
fn the_sample_of_a_certificate_is_what_is_printed() {
    let https = page("docs/https.md");
    let shown = sample(&https, "tidegate certificate");
    let directory = Directory::new();
    let made = program()
        .arg("certificate")
        .current_dir(directory.path())
        .env("XDG_DATA_HOME", directory.join("data"))
        .output()
        .expect("the program runs");
    let printed = String::from_utf8_lossy(&made.stdout).into_owned();
    let root = directory.path().canonicalize().expect("it is there");
    let printed = printed.replace(&root.display().to_string(), "/home/ada");
    let lines: Vec<&str> = printed.lines().take(2).collect();
    assert_eq!(shown[..2], lines);
    assert_eq!(
        labels(shown.iter().copied()),
        labels(printed.lines().take(3))
    );
    let tls = printed.lines().last().expect("a line of TOML");
    assert!(https.contains(&format!("\n{tls}\n")), "{tls}");
}

/// The places that samples name in the example of docs/configuration.md moved whenever it grew.
#[test]
fn samples_name_places_of_the_example() {
    let page = page("docs/configuration.md");
    let (_, example) = page
        .split_once("<!-- example -->\n```toml\n")
        .expect("it begins");
    let line = |beginning: &str| {
        let number = example.lines().position(|line| line.starts_with(beginning));
        number.expect("the example has it") + 1
    };
    let explained = sample(&page, "tidegate explain http://example.com:8080/docs/").join("\n");
    for (route, does) in [("/", "matches less of the path"), ("/docs", "answers")] {
        let place = line(&format!("\"{route}\" "));
        let expected = format!(" {route} (config.toml:{place}) {does}");
        assert!(explained.contains(&expected), "{expected}:\n{explained}");
    }
    let place = line("request = \"GET /users/7?full=1\"") - 1;
    let expected =
        format!("error: config.toml:{place}: GET /users/7?full=1: expected status 201, got 200");
    assert!(page.contains(&expected), "{expected}");
}

#[test]
fn the_sample_of_a_request_to_an_upstream_is_what_explain_prints() {
    let page = page("docs/configuration.md");
    let command = "tidegate explain --config examples/config/proxy.toml POST \
                   'http://localhost:8080/api/orders?a=b'";
    let shown = sample(&page, command).join("\n");
    let arguments = command
        .split(' ')
        .skip(1)
        .map(|word| word.trim_matches('\''));
    let output = program()
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let printed = ended_with(0, &output.expect("the program runs"));
    assert_eq!(shown, printed.trim_end());
}

#[test]
fn the_table_of_paths_shows_what_servers_are_asked_for() {
    let page = page("docs/configuration.md");
    let (_, table) = page
        .split_once("| Route | The client asks for | The server is asked for |\n|---|---|---|\n")
        .expect("the page has the table");
    let mut route = "";
    let mut rows = 0;
    for row in table.lines().take_while(|line| !line.is_empty()) {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, shown, asked, expected, _] = cells.as_slice() else {
            panic!("{row}")
        };
        if *shown != "the same" {
            route = shown;
        }
        let site = Site::new(route).top("upstreams.app.servers = '127.0.0.1:1'");
        let output = site.command_line(&["explain", "--json", asked]);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let line = told["upstream"]["request"][0].as_str().expect("a line");
        assert_eq!(line, format!("GET {expected} HTTP/1.1"), "{row}");
        rows += 1;
    }
    assert_eq!(rows, 6);
}

/// The recipe once ran `index.php` for each of these paths, and left `/wp-login.php/x` open.
#[test]
fn the_second_password_of_wordpress_is_asked_for_where_its_page_says() {
    let page = page("docs/passwords.md");
    let (_, recipe) = page
        .split_once("stay open:\n\n```toml\n")
        .expect("the page has the recipe");
    let (recipe, _) = recipe.split_once("```").expect("it ends");
    let site = Site::configured(&recipe.replace("/var/www/wordpress", "wordpress"));
    let directory = site.directory();
    directory.write("users.htpasswd", "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n");
    for name in ["index", "wp-login", "wp-admin/index", "wp-admin/admin-ajax"] {
        directory.write(format!("wordpress/{name}.php"), "");
    }
    for (path, script, is_closed) in [
        ("/a", "index", false),
        ("/wp-login.php", "wp-login", true),
        ("/wp-login.php/x", "wp-login", true),
        ("/wp-admin/", "wp-admin/index", true),
        ("/wp-admin/admin-ajax.php", "wp-admin/admin-ajax", false),
        ("/wp-admin/admin-ajax.php/x", "wp-admin/admin-ajax", true),
    ] {
        let explain =
            |field: &str| ended_with(0, &site.command_line(&["explain", "-H", field, path]));
        let asked = explain("A: b").contains("401 Unauthorized");
        assert_eq!(asked, is_closed, "{path}");
        let let_in = explain("Authorization: Basic YTpwYXNzd29yZA==");
        assert!(
            let_in.contains(&format!("wordpress/{script}.php (script)")),
            "{path}: {let_in}"
        );
    }
}

/// The table lacked the resources of upstreams, of applications and of the account with the CA.
#[test]
fn the_table_of_the_control_socket_has_every_resource_with_its_method() {
    let operations = page("docs/operations.md");
    let (_, table) = operations
        .split_once("| Resource | What it does |\n|---|---|\n")
        .expect("the page has the table");
    let rows = table.lines().take_while(|line| !line.is_empty());
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let mut shown = BTreeSet::new();
    for row in rows {
        let resource = row.split('`').nth(1).expect("a resource in backticks");
        let (method, target) = resource.split_once(' ').expect("a method and a target");
        let other = if method == "GET" { "POST" } else { "GET" };
        let mut control = UnixClient::connect(&server.control_socket());
        let status = control.exchange(other, target).status;
        assert_eq!(status, 405, "{other} {target}");
        shown.extend(target.split('?').next());
    }
    // The match of the handler has each path as a literal.
    let handler = page("src/handlers/control.rs");
    let literals = handler.split("b\"/").skip(1);
    let paths = literals.map(|rest| format!("/{}", rest.split('"').next().unwrap_or_default()));
    let paths: BTreeSet<String> = paths.collect();
    let shown: BTreeSet<String> = shown.into_iter().map(str::to_owned).collect();
    assert_eq!(shown, paths);
}
