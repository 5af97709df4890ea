//! Compares the schema and the tables of keys with the walk, with files, and with the documentation.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::config::keys::TABLES;
use crate::config::keys::route::VERBS;
use crate::config::keys::setting::Row;
use crate::config::tests::{FIXTURES, good_configurations, surroundings};
use crate::config::{Strictness, load, parse};
use crate::test_support::TemporaryDirectory;

/// Files with `line` in the table of that title. For a route there is one for each verb.
fn files_with(title: &str, line: &str) -> Vec<String> {
    let server = "[[server]]\nlisten = \":1\"\n";
    let routes = |options: String| format!("{server}[server.routes.\"/\"]\n{options}\n");
    let within = |key: &str| vec![format!("[{key}]\n{line}\n{server}")];
    match title {
        "The top of the file" => vec![format!("{line}\n{server}")],
        "`blocking`" => within("blocking"),
        "`[log]`" => within("log"),
        "`[limits]`" => within("limits"),
        "`headers` and `request_headers`" => {
            vec![format!("[headers]\nremove.a = 1\n{line}\n{server}")]
        }
        "`[[server]]`" => vec![format!("{server}{line}\n")],
        "`[tracing]`" => vec![format!("[tracing]\n{line}\n{server}")],
        "`[acme]`" => vec![format!("[acme]\n{line}\n{server}")],
        "`external_account`" => vec![format!("[acme.external_account]\n{line}\n{server}")],
        "`tls`" => vec![format!("{server}[server.tls]\n{line}\n")],
        "`limits` of a server" => vec![format!("{server}[server.limits]\n{line}\n")],
        "A route" => [
            "files = \"www\"",
            "respond = \"\"",
            "redirect = \"/a\"",
            "echo = true",
            "status = true",
            "metrics = true",
            "ready = true",
            "live = true",
            "dashboard = true",
            "handler = \"greet\"",
            "cgi = \"www\"",
            "fastcgi = \"127.0.0.1:9000\"\nroot = \"www\"",
            "proxy = \"http://127.0.0.1:9000\"",
        ]
        .map(|verb| routes(format!("{verb}\n{line}")))
        .into(),
        "`auth`" | "`cors`" | "`compress`" => {
            let key = title.trim_matches('`');
            vec![format!(
                "[[server]]\nlisten = \":1\"\nroutes.\"/\" = {{ respond = \"\" }}\n[server.{key}]\n{line}\n"
            )]
        }
        "`[[log.access]]`" => vec![format!("[[log.access]]\n{line}\n{server}")],
        "`when`" => vec![format!(
            "[[log.access]]\n[log.access.when]\n{line}\n{server}"
        )],
        "`redact`" => vec![format!("[log.redact]\n{line}\n{server}")],
        "`ready`" => vec![routes(format!("[server.routes.\"/\".ready]\n{line}"))],
        "`limits` of a route" => vec![routes(format!("[server.routes.\"/\".limits]\n{line}"))],
        "`when` of a route" => vec![routes(format!(
            "respond = \"\"\n[server.routes.\"/\".when]\n{line}"
        ))],
        "`[[stream]]`" => vec![format!(
            "[[stream]]\nlisten = \":1\"\nproxy = \"[::1]:2\"\n{line}\n"
        )],
        "`tls` of `[[stream]]`" => vec![format!(
            "[[stream]]\nlisten = \":1\"\nproxy = \"[::1]:2\"\n[stream.tls]\n{line}\n"
        )],
        "`tls` of `[upstreams.NAME]`" => vec![format!("[upstreams.a.tls]\n{line}\n{server}")],
        "`[upstreams.NAME]`" => vec![format!("[upstreams.a]\n{line}\n{server}")],
        "A server of `[upstreams.NAME]`" => {
            vec![format!("[[upstreams.a.servers]]\n{line}\n{server}")]
        }
        "`sticky`" | "`failures`" | "`health`" | "`timeouts`" | "`retry`" | "`queue`" => {
            let key = title.trim_matches('`');
            vec![format!("[upstreams.a.{key}]\n{line}\n{server}")]
        }
        "`[rates.NAME]`" => vec![format!("[rates.a]\n{line}\n{server}")],
        "`[apps.NAME]`" => vec![format!("[apps.a]\n{line}\n{server}")],
        "`[[test]]`" => vec![format!("{server}[[test]]\n{line}\n")],
        "`expect`" => vec![format!(
            "{server}[[test]]\nrequest = \"GET /\"\n[test.expect]\n{line}\n"
        )],
        other => panic!("no example of {other}"),
    }
}

/// The rows of all tables.
fn all_rows() -> impl Iterator<Item = Row> {
    TABLES.iter().flat_map(|table| (table.rows)())
}

/// The keys that the walk says it takes in the table of that title.
fn keys_of_the_walk(title: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for file in files_with(title, "\"zzzz zzzz\" = 1979-05-27") {
        let name = Path::new(FIXTURES).join("a.toml");
        let report = parse(file, &name, surroundings())
            .finish()
            .expect_err("an unknown key")
            .to_string();
        let told = report
            .split("unknown key `zzzz zzzz`")
            .nth(1)
            .expect("it is unknown");
        let (_, list) = told.split_once(" takes ").expect("the keys are listed");
        let list = list.lines().next().unwrap_or_default();
        keys.extend(list.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    keys
}

/// The diagnostic about `key` in a file; `None` if there is none.
fn complaint(file: String, key: &str) -> Option<String> {
    let name = Path::new(FIXTURES).join("a.toml");
    let report = parse(file, &name, surroundings())
        .finish()
        .err()?
        .to_string();
    let mut complaints = report.split("\n\n");
    let complaint = complaints.find(|text| text.contains(&format!(" `{key}` ")))?;
    Some(complaint.to_owned())
}

#[test]
fn every_key_has_a_hint_where_it_does_not_belong() {
    for table in TABLES {
        let known = (table.rows)();
        let is_foreign = |row: &Row| known.iter().all(|other| other.key != row.key);
        for row in all_rows().filter(is_foreign) {
            for file in files_with(table.title, &format!("{} = 1979-05-27", row.key)) {
                let complaint = complaint(file, row.key)
                    .unwrap_or_else(|| panic!("{} is known in {}", row.key, table.title));
                let is_hint = ["belongs ", "did you mean ", "see ", "= help: "]
                    .iter()
                    .any(|word| complaint.contains(word));
                let is_list = complaint.contains(" takes `");
                assert!(is_hint && !is_list, "{}: {complaint}", table.title);
            }
        }
    }
}

#[test]
fn a_hint_names_the_place_of_a_key() {
    let cases = [
        (
            "`[[server]]`",
            "include",
            "`include` belongs in the top of the file",
        ),
        (
            "`[[server]]`",
            "test",
            "`test` belongs in the top of the file",
        ),
        (
            "`[log]`",
            "headers",
            "`headers` belongs in the top of the file, `[tracing]`, `[[server]]`, a route, `cors` or `[[test]]`",
        ),
        (
            "`[[server]]`",
            "timeout",
            "`timeout` belongs in a route with `handler`, `cgi`, `fastcgi` or `proxy`",
        ),
        (
            "`[[server]]`",
            "handler",
            "`handler` belongs in a route: `\"/hello\" = { handler = \"hello\" }`",
        ),
        ("`[[server]]`", "route", "did you mean `routes`?"),
    ];
    for (title, key, expected) in cases {
        for file in files_with(title, &format!("{key} = 1")) {
            let complaint = complaint(file, key).expect("it is unknown there");
            assert!(complaint.contains(expected), "{title}: {complaint}");
        }
    }
}

#[test]
fn the_walk_and_the_schema_know_the_same_keys() {
    for table in TABLES {
        let rows = (table.rows)();
        let known: BTreeSet<String> = rows.iter().map(|row| row.key.to_owned()).collect();
        assert_eq!(keys_of_the_walk(table.title), known, "{}", table.title);
    }
}

#[test]
fn the_schema_tells_the_defaults_that_a_dump_fills_in() {
    let minimal = Path::new(FIXTURES).join("good_minimal.toml");
    let loaded = load(&minimal, surroundings(), Strictness::Lenient)
        .finish()
        .expect("a good file");
    let dumped: toml::Table = dump(&loaded.config).parse().expect("TOML");
    let route = dumped["server"][0]["routes"]["/"]
        .as_table()
        .expect("a route");
    let proxy = Path::new(FIXTURES).join("good_proxy.toml");
    let loaded = load(&proxy, surroundings(), Strictness::Lenient)
        .finish()
        .expect("a good file");
    let proxies: toml::Table = dump(&loaded.config).parse().expect("TOML");
    let upstream = proxies["upstreams"]["blog"].as_table().expect("a table");
    let tables = [
        ("`[upstreams.NAME]`", upstream),
        ("The top of the file", &dumped),
        (
            "`blocking`",
            dumped["blocking"].as_table().expect("a table"),
        ),
        ("`[log]`", dumped["log"].as_table().expect("a table")),
        ("`[limits]`", dumped["limits"].as_table().expect("a table")),
        ("A route", route),
    ];
    for (title, table) in tables {
        let known = TABLES.iter().find(|table| table.title == title);
        let rows = (known.expect("a table").rows)();
        for row in rows.iter().filter(|row| !row.default.is_empty()) {
            let default: toml::Table = format!("x = {}", row.default).parse().expect("TOML");
            let is_told = match (row.key, table.get(row.key)) {
                // The one depends on the machine, the other is a table of empty tables.
                ("workers" | "headers", _) | (_, None) => true,
                ("idle_timeout", Some(value)) => value.as_str() == Some("1m 15s"),
                (_, Some(value)) => *value == default["x"],
            };
            assert!(is_told, "{title}: {} = {:?}", row.key, table.get(row.key));
        }
    }
}

#[test]
fn good_files_are_valid_by_the_schema_and_slips_are_not() {
    let schema = schema();
    let json = |text: &str| {
        let table: toml::Table = text.parse().expect("TOML");
        serde_json::to_value(table).expect("JSON has all that we use")
    };
    for (path, config) in good_configurations() {
        let text = std::fs::read_to_string(&path).expect("a fixture");
        for text in [text, dump(&config)] {
            assert_eq!(fault(&schema, &json(&text)), None, "{}", path.display());
        }
    }
    for slip in [
        "worker = 1",
        "workers = 0",
        "grace = 10",
        "log.level = \"loud\"",
        "server = { listen = \":1\" }",
        "[[server]]\nroutes.\"/\" = { files = \"a\", respond = \"b\" }",
        "[[server]]\nroutes.\"/\" = { listing = true }",
        "[[server]]\nroutes.\"/\" = { files = \"a\", limits.max_head = 1 }",
    ] {
        assert!(fault(&schema, &json(slip)).is_some(), "{slip}");
    }
}

#[test]
fn the_table_of_keys_names_every_key() {
    let text = key_table();
    let rows = text.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, all_rows().count());
}

/// The page that shows the example and the table of keys.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

/// What the page has between `<!-- NAME -->` and `<!-- end of NAME -->`.
fn of_the_readme(name: &str) -> String {
    let readme = std::fs::read_to_string(PAGE);
    let readme = readme.expect("it is part of the repository");
    let (_, rest) = readme
        .split_once(&format!("<!-- {name} -->\n"))
        .expect("it begins");
    let (part, _) = rest
        .split_once(&format!("<!-- end of {name} -->\n"))
        .expect("it ends");
    part.trim().to_owned()
}

#[test]
fn the_readme_has_the_table_of_keys() {
    assert_eq!(of_the_readme("keys"), key_table().trim());
}

#[test]
fn the_page_names_every_verb() {
    let page = std::fs::read_to_string(PAGE).expect("it is part of the repository");
    let (_, rest) = page
        .split_once("exactly one of the verbs ")
        .expect("it names them");
    let (sentence, _) = rest.split_once('.').expect("the sentence ends");
    for verb in VERBS {
        assert!(
            sentence.contains(&format!("`{}`", verb.key)),
            "{}",
            verb.key
        );
    }
}

#[test]
fn the_example_in_the_readme_is_good_and_has_every_key() {
    let example = of_the_readme("example");
    let example = example
        .trim_start_matches("```toml\n")
        .trim_end_matches("```");
    let directory = TemporaryDirectory::new("readme");
    for name in [
        "www", "manual", "scripts", "errors", "sites", "run", "blog", "tls",
    ] {
        std::fs::create_dir(directory.path().join(name)).expect("the directory is ours");
    }
    for name in [
        "errors/403.html",
        "errors/404.html",
        "errors/5xx.html",
        "sites/a.toml",
        "blog/index.php",
        "tls/intern.pem",
        "tls/intern.key",
        "tls/staff.pem",
        "tls/private-ca.pem",
    ] {
        std::fs::write(directory.path().join(name), "").expect("the directory is ours");
    }
    let file = directory.path().join("config.toml");
    std::fs::write(&file, example).expect("the directory is ours");
    let loaded = load(&file, surroundings(), Strictness::Strict).finish();
    assert_eq!(
        loaded.map(|_| ()).map_err(|report| report.to_string()),
        Ok(())
    );
    let keys: BTreeSet<String> = keys_of(&example.parse().expect("TOML"));
    for row in all_rows() {
        assert!(keys.contains(row.key), "{}", row.key);
    }
}

/// Every key of `table` and of the tables in it.
fn keys_of(table: &toml::Table) -> BTreeSet<String> {
    fn inner(value: &toml::Value) -> BTreeSet<String> {
        match value {
            toml::Value::Table(table) => keys_of(table),
            toml::Value::Array(values) => values.iter().flat_map(inner).collect(),
            _ => BTreeSet::new(),
        }
    }
    let inner = table.values().flat_map(inner);
    table.keys().cloned().chain(inner).collect()
}

/// The first fault of `value` by `schema`. It knows the part of JSON Schema that we use.
fn fault(schema: &Value, value: &Value) -> Option<String> {
    let keywords = schema.as_object().expect("a schema is an object");
    keywords.iter().find_map(|(keyword, wanted)| {
        let is_met = match keyword.as_str() {
            "type" => types(wanted).iter().any(|name| is_of_type(value, name)),
            "enum" => wanted.as_array().expect("an array").contains(value),
            "const" => wanted == value,
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "maximum" => value.as_f64() <= wanted.as_f64(),
            "pattern" => value.as_str().is_some_and(|text| text.contains("${")),
            "required" => wanted
                .as_array()?
                .iter()
                .all(|key| value.get(key.as_str().expect("a key")).is_some()),
            "anyOf" => matching(wanted, value) > 0,
            "oneOf" => matching(wanted, value) == 1,
            "items" => {
                return value
                    .as_array()?
                    .iter()
                    .find_map(|item| fault(wanted, item));
            }
            "properties" => return faulty_property(wanted, value),
            "additionalProperties" => return faulty_addition(schema, wanted, value),
            "$schema" | "title" | "description" | "default" => true,
            other => panic!("a keyword this validator does not know: {other}"),
        };
        (!is_met).then(|| format!("{value} is not {keyword} {wanted}"))
    })
}

fn types(wanted: &Value) -> Vec<&str> {
    match wanted {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("a type this validator does not know: {other}"),
    }
}

fn matching(schemas: &Value, value: &Value) -> usize {
    let schemas = schemas.as_array().expect("an array").iter();
    schemas
        .filter(|schema| fault(schema, value).is_none())
        .count()
}

fn faulty_property(properties: &Value, value: &Value) -> Option<String> {
    let entries = value.as_object()?.iter();
    let mut known = entries.filter_map(|(key, value)| Some((properties.get(key)?, value)));
    known.find_map(|(schema, value)| fault(schema, value))
}

fn faulty_addition(schema: &Value, wanted: &Value, value: &Value) -> Option<String> {
    let is_known = |key: &str| {
        schema
            .get("properties")
            .is_some_and(|known| known.get(key).is_some())
    };
    let mut others = value.as_object()?.iter().filter(|(key, _)| !is_known(key));
    others.find_map(|(key, value)| match wanted {
        Value::Bool(true) => None,
        Value::Bool(false) => Some(format!("`{key}` is unknown")),
        schema => fault(schema, value),
    })
}
