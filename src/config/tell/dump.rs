//! The effective configuration in the terms of the file, with every default.
//!
//! The result reads back to the same configuration, but for secrets: a word stands in their place. Each level is
//! written as a whole, with inherited settings, which changes nothing: see `model::policy`. Paths are absolute,
//! because the text may be kept anywhere. The tables of `keys` say how a key is shown.

use crate::config::keys::app::show_app;
use crate::config::keys::rate::show_rate_table;
use crate::config::keys::route::show_route;
use crate::config::keys::server::show_server;
use crate::config::keys::stream::show_stream;
use crate::config::keys::test::show_test;
use crate::config::keys::top::{show_tables, show_top};
use crate::config::keys::upstream::show_upstream;
use crate::config::model::{Config, Route};
use crate::config::words::written::{self, array, inline, key, lines};

/// `config` as TOML, without its secrets.
pub(crate) fn dump(config: &Config) -> String {
    written::without_secrets(&write(config))
}

/// As [`dump`], with the secrets: what is read back is the same configuration.
#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) fn dump_with_secrets(config: &Config) -> String {
    written::with_secrets(&write(config))
}

/// `config` as TOML. Marks stand around its secrets.
fn write(config: &Config) -> String {
    let mut text = lines(&show_top(config));
    let tables = show_tables(config).into_iter();
    for (name, table) in tables.filter(|(_, table)| !table.is_empty()) {
        text += &format!("\n[{name}]\n{}", lines(&table));
    }
    for server in config.servers.iter().filter(|server| !server.is_companion) {
        let routes = server.routes.chunk_by(|a, b| a.pattern == b.pattern);
        let routes = routes.map(show_pattern).collect();
        text += &format!("\n[[server]]\n{}", lines(&show_server(server)));
        text += &format!("\n[server.routes]\n{}", lines(&routes));
    }
    for stream in &config.streams {
        text += &format!("\n[[stream]]\n{}", lines(&show_stream(stream)));
    }
    let named = config
        .upstreams
        .iter()
        .filter(|upstream| upstream.is_named());
    for upstream in named {
        let name = key(&upstream.name);
        text += &format!("\n[upstreams.{name}]\n{}", lines(&show_upstream(upstream)));
    }
    for app in &config.apps {
        text += &format!("\n[apps.{}]\n{}", key(app.name()), lines(&show_app(app)));
    }
    for rate in &config.rates {
        text += &format!(
            "\n[rates.{}]\n{}",
            key(&rate.name),
            lines(&show_rate_table(rate))
        );
    }
    for test in &config.tests {
        text += &format!("\n[[test]]\n{}", lines(&show_test(test)));
    }
    text
}

/// The routes of one pattern: a table, or an array of them.
fn show_pattern(routes: &[Route]) -> (String, String) {
    let pattern = routes.first().map(|route| route.pattern.to_string());
    let mut tables = routes.iter().map(|route| inline(show_route(route)));
    let value = match routes {
        [_] => tables.next().unwrap_or_default(),
        _ => array(tables),
    };
    (pattern.unwrap_or_default(), value)
}
