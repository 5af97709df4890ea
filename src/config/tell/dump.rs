//! The effective configuration in the file's own terms, every default filled in.
//!
//! What comes out reads back to the same configuration. Each level is written whole, inherited
//! settings included, which changes nothing: see [`policy`](super::policy). Paths are absolute,
//! since nobody knows where the text will be kept.

use std::path::Path;

use crate::address::ListenAddress;
use crate::config::keys::level::Level;
use crate::config::model::{
    Access, AccessLog, Blocking, Cgi, Cidr, Config, ErrorPages, Expectation, Fastcgi, Files,
    HeaderChanges, Limits, Log, LogFormat, LogLevel, Policy, Route, RouteTest, Server,
    StatusPattern, Verb,
};
use crate::config::words::units::{show_duration, show_size};

/// A table: keys, and values as TOML.
pub(crate) type Table = Vec<(String, String)>;

/// `config` as TOML.
pub(crate) fn dump(config: &Config) -> String {
    let mut text = lines(&top(config));
    let limits = limits(&config.policy.limits, Level::Top);
    for (title, table) in [("[log]", log(&config.log)), ("[limits]", limits)] {
        text += &format!("\n{title}\n{}", lines(&table));
    }
    for server in &config.servers {
        let routes: Table = server.routes.iter().map(route).collect();
        text += &format!("\n[[server]]\n{}", lines(&self::server(server)));
        text += &format!("\n[server.routes]\n{}", lines(&routes));
    }
    for test in &config.tests {
        text += &format!("\n[[test]]\n{}", lines(&self::test(test)));
    }
    text
}

pub(crate) fn top(config: &Config) -> Table {
    let Blocking { threads, queue } = config.blocking;
    let blocking = vec![
        entry("threads", threads.to_string()),
        entry("queue", queue.to_string()),
    ];
    let mut table = vec![
        entry("workers", config.workers.to_string()),
        entry("blocking", inline(&blocking)),
        entry("grace", string(&show_duration(config.grace))),
        entry("server_field", config.server_field.to_string()),
        entry("trusted_proxies", networks(&config.trusted_proxies)),
    ];
    table.extend(pages_and_headers(&config.policy));
    table
}

pub(crate) fn log(log: &Log) -> Table {
    let access = match &log.access {
        AccessLog::Off => "false".to_owned(),
        AccessLog::StandardOutput => string("-"),
        AccessLog::File(file) => path(file),
    };
    let format = match log.format {
        LogFormat::Combined => "combined",
        LogFormat::Common => "common",
        LogFormat::Json => "json",
    };
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    vec![
        entry("access", access),
        entry("format", string(format)),
        entry("level", string(level)),
    ]
}

/// The limits that may stand at `level`.
pub(crate) fn limits(limits: &Limits, level: Level) -> Table {
    let wait = |name, wait| entry(name, string(&show_duration(wait)));
    let mut table = vec![
        wait("body_timeout", limits.body_timeout),
        wait("send_timeout", limits.send_timeout),
        entry("max_content", string(&show_size(limits.max_content))),
    ];
    if level != Level::Route {
        let max_head = u64::try_from(limits.max_head).expect("at most 1 MiB");
        table.extend([
            wait("head_timeout", limits.head_timeout),
            wait("idle_timeout", limits.idle_timeout),
            entry("max_head", string(&show_size(max_head))),
            entry("max_fields", limits.max_fields.to_string()),
        ]);
    }
    if level == Level::Top {
        table.push(entry("max_connections", limits.max_connections.to_string()));
    }
    table
}

fn server(server: &Server) -> Table {
    let listen = server.listen.iter().map(address);
    let mut table = vec![entry("listen", array(listen))];
    if !server.hosts.is_empty() {
        let hosts = server.hosts.iter().map(|host| string(&host.to_string()));
        table.push(entry("hosts", array(hosts)));
    }
    table.extend(policy(&server.policy, Level::Server));
    table
}

fn address(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Ip(address) => string(&address.to_string()),
        ListenAddress::Unix(path) => string(&format!("unix:{}", absolute(path))),
    }
}

fn route(route: &Route) -> (String, String) {
    let mut table = answer(route);
    table.extend(policy(&route.policy, Level::Route));
    (route.pattern.to_string(), inline(&table))
}

/// The verb of a route and its options.
pub(crate) fn answer(route: &Route) -> Table {
    let mut table = verb(&route.verb);
    if matches!(route.verb, Verb::Files(_)) {
        table.push(entry("strip_prefix", route.strip_prefix.to_string()));
    }
    table
}

fn verb(verb: &Verb) -> Table {
    let status = |status: crate::http::status::Status| entry("status", status.code().to_string());
    match verb {
        Verb::Files(options) => files(options),
        Verb::Respond(respond) => vec![
            entry("respond", string(&respond.content)),
            status(respond.status),
            entry("content_type", string(&respond.content_type)),
        ],
        Verb::Redirect(redirect) => vec![
            entry("redirect", string(&redirect.target)),
            status(redirect.status),
        ],
        Verb::Echo => vec![entry("echo", "true".to_owned())],
        Verb::Status => vec![entry("status", "true".to_owned())],
        Verb::Handler(plugin) => vec![
            entry("handler", string(&plugin.handler.name)),
            entry("options", options(plugin.handler.options.table())),
            entry("timeout", string(&show_duration(plugin.timeout))),
            entry("stream", plugin.stream.to_string()),
        ],
        Verb::Cgi(options) => cgi(options),
        Verb::Fastcgi(options) => fastcgi(options),
    }
}

fn files(files: &Files) -> Table {
    let cache_control: Table = files
        .cache_control
        .iter()
        .map(|rule| (rule.pattern.clone(), string(&rule.value)))
        .collect();
    vec![
        entry("files", path(&files.root)),
        entry("index", array(files.index.iter().map(|name| string(name)))),
        entry("listing", files.listing.to_string()),
        entry("spa", files.spa.to_string()),
        entry("clean_urls", files.clean_urls.to_string()),
        entry("precompressed", files.precompressed.to_string()),
        entry("cache_control", inline(&cache_control)),
        entry("revalidate", string(&show_duration(files.revalidate))),
    ]
}

/// The options of a handler, whose values mean something to it alone.
fn options(table: &toml::Table) -> String {
    let entries = table
        .iter()
        .map(|(name, value)| (name.clone(), toml_value(value)));
    inline(&entries.collect())
}

fn toml_value(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => string(text),
        toml::Value::Array(values) => array(values.iter().map(toml_value)),
        toml::Value::Table(table) => options(table),
        other => other.to_string(),
    }
}

fn cgi(cgi: &Cgi) -> Table {
    let environment: Table = cgi.environment.iter().map(field).collect();
    vec![
        entry("cgi", path(&cgi.root)),
        entry("timeout", string(&show_duration(cgi.timeout))),
        entry("max_processes", cgi.max_processes.to_string()),
        entry("environment", inline(&environment)),
    ]
}

fn fastcgi(fastcgi: &Fastcgi) -> Table {
    let texts = |texts: &[String]| array(texts.iter().map(|text| string(text)));
    let params: Table = fastcgi.params.iter().map(field).collect();
    let mut table = vec![
        entry("fastcgi", address(&fastcgi.peer)),
        entry("root", path(&fastcgi.root)),
        entry("index", texts(&fastcgi.index)),
        entry("scripts", texts(&fastcgi.scripts)),
        entry("static_files", fastcgi.static_files.to_string()),
        entry("params", inline(&params)),
        entry("timeout", string(&show_duration(fastcgi.timeout))),
        entry("sendfile", fastcgi.sendfile.to_string()),
    ];
    let fallback = fastcgi.fallback.iter();
    table.extend(fallback.map(|script| entry("fallback", string(script))));
    table
}

/// What a server or a route says beside its own settings.
fn policy(policy: &Policy, level: Level) -> Table {
    let mut table = pages_and_headers(policy);
    table.push(entry("limits", inline(&limits(&policy.limits, level))));
    let Access { allow, deny } = &policy.access;
    if !allow.is_empty() {
        table.push(entry("allow", networks(allow)));
    }
    table.push(entry("deny", networks(deny)));
    table
}

fn pages_and_headers(policy: &Policy) -> Table {
    vec![
        entry("headers", headers(&policy.headers)),
        entry("error_pages", error_pages(&policy.error_pages)),
    ]
}

pub(crate) fn headers(changes: &HeaderChanges) -> String {
    let set: Table = changes.set.iter().map(field).collect();
    let mut add: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in &changes.add {
        match add.iter_mut().find(|(other, _)| other == name) {
            Some((_, values)) => values.push(string(value)),
            None => add.push((name.clone(), vec![string(value)])),
        }
    }
    let add: Table = add
        .into_iter()
        .map(|(name, values)| (name, array(values)))
        .collect();
    let remove = changes.remove.iter().map(|name| string(name));
    inline(&vec![
        entry("set", inline(&set)),
        entry("add", inline(&add)),
        entry("remove", array(remove)),
    ])
}

pub(crate) fn error_pages(pages: &ErrorPages) -> String {
    let page = |(pattern, file): (StatusPattern, &Path)| (pattern.to_string(), path(file));
    inline(&pages.iter().map(page).collect::<Table>())
}

fn test(test: &RouteTest) -> Table {
    let request = format!("{} {}", test.method, test.target);
    let mut table = vec![entry("request", string(&request))];
    table.extend(test.host.iter().map(|host| entry("host", string(host))));
    let fields: Table = test.fields.iter().map(field).collect();
    table.push(entry("headers", inline(&fields)));
    table.push(entry("expect", inline(&expectation(&test.expect))));
    table
}

fn expectation(expect: &Expectation) -> Table {
    let status = expect.status.iter();
    let mut table: Table = status
        .map(|status| entry("status", status.code().to_string()))
        .collect();
    let route = expect.route.iter();
    table.extend(route.map(|route| entry("route", string(&route.to_string()))));
    let header: Table = expect
        .fields
        .iter()
        .map(|(name, value)| {
            let value = value.as_deref().map_or("false".to_owned(), string);
            (name.clone(), value)
        })
        .collect();
    table.push(entry("header", inline(&header)));
    table
}

fn field((name, value): &(String, String)) -> (String, String) {
    (name.clone(), string(value))
}

pub(crate) fn networks(networks: &[Cidr]) -> String {
    array(networks.iter().map(|network| string(&network.to_string())))
}

fn path(path: &Path) -> String {
    string(&absolute(path))
}

fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.to_string_lossy().into_owned()
}

fn entry(key: &str, value: String) -> (String, String) {
    (key.to_owned(), value)
}

/// A line for each key.
fn lines(table: &Table) -> String {
    let line = |(name, value): &(String, String)| format!("{} = {value}\n", key(name));
    table.iter().map(line).collect()
}

fn inline(table: &Table) -> String {
    let entries: Vec<String> = table
        .iter()
        .map(|(name, value)| format!("{} = {value}", key(name)))
        .collect();
    match entries.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{ {} }}", entries.join(", ")),
    }
}

fn array(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(", "))
}

fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match !name.is_empty() && name.bytes().all(is_bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// A value; a dollar is doubled, or it would begin a variable.
fn string(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// A basic string (TOML 1.0, "String").
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_back() {
        for text in ["", "a", "a\"b\\c", "a\nb\r\u{7f}", "${HOME} $", "\u{e9}"] {
            let parsed: toml::Table = format!("a = {}", quoted(text)).parse().expect("TOML");
            assert_eq!(parsed["a"].as_str(), Some(text));
        }
        assert_eq!((key("a-b"), key("= /a")), ("a-b".into(), "\"= /a\"".into()));
        assert_eq!(string("${A}"), "\"$${A}\"");
    }
}
