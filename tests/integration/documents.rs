//! What the documents show of the program's output is what it prints.

use std::path::Path;

use crate::support::{Site, ended_with};

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

/// The sample of `status` had lines that the program does not print, and lacked others.
#[test]
fn the_sample_of_status_has_the_lines_of_status() {
    let operations = page("docs/operations.md");
    let shown = sample(&operations, "tidegate status");
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let printed = ended_with(0, &server.command_line(&["status"]));
    assert_eq!(labels(shown.iter().copied()), labels(printed.lines()));
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
