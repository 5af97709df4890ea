//! `redact`: what logs leave out.
//!
//! ```toml
//! redact = { query = ["token", "password"], fields = ["client"] }
//! ```

use crate::config::keys::setting::{Kind, Setting, Table, read_table, rows, show, words};
use crate::config::model::{Log, LogField, Redaction};
use crate::config::tree::node::Node;
use crate::config::words::written;

pub(super) const REDACT: Setting<Log> = Setting {
    key: "redact",
    kind: Kind::Table(&TABLE),
    about: "what access logs leave out; diagnostics leave out the same of a query",
    read: |node, log| read_table(node, SETTINGS, &mut log.redact, HELP),
    show: |log| Some(written::inline(show(SETTINGS, &log.redact))),
    ..Setting::BLANK
};

const HELP: &str = "write redact = { query = [\"token\"], fields = [\"client\"] }";

pub(crate) const TABLE: Table = Table {
    title: "`redact`",
    home: |_| "`redact`, in `[log]`".to_owned(),
    rows: || rows(SETTINGS),
};

const SETTINGS: &[Setting<Redaction>] = &[
    Setting {
        key: "query",
        kind: Kind::TEXTS,
        default: "[\"access_token\", \"api_key\", \"apikey\", \"auth\", \"client_secret\", \"code\", \
                  \"id_token\", \"jwt\", \"passwd\", \"password\", \"pwd\", \"refresh_token\", \
                  \"secret\", \"session\", \"sig\", \"signature\", \"token\"]",
        about: "parameters of queries whose values are not written, in targets and in `Referer`, in any \
                case; []: all are",
        read: |node, redaction| {
            redaction.query = texts(node)?;
            Some(())
        },
        show: |redaction| Some(written::strings(&redaction.query)),
        ..Setting::BLANK
    },
    Setting {
        key: "fields",
        kind: Kind::OneOrMore(&Kind::Word(|| words(FIELDS))),
        default: "[]",
        about: "what is not written at all",
        read: |node, redaction| {
            let fields = node.one_or_more().into_iter();
            redaction.fields = fields
                .map(|node| node.word(FIELDS))
                .collect::<Option<_>>()?;
            Some(())
        },
        show: |redaction| Some(show_fields(&redaction.fields)),
        ..Setting::BLANK
    },
];

const FIELDS: &[(&str, LogField)] = &[
    ("client", LogField::Client),
    ("user", LogField::User),
    ("query", LogField::Query),
    ("host", LogField::Host),
    ("referer", LogField::Referer),
    ("user_agent", LogField::UserAgent),
];

fn texts(node: Node<'_>) -> Option<Vec<String>> {
    let texts = node.one_or_more().into_iter();
    texts.map(|node| Some(node.text()?.value)).collect()
}

fn show_fields(fields: &[LogField]) -> String {
    let name = |field: &LogField| {
        let mut names = FIELDS.iter();
        let found = names.find(|(_, known)| known == field);
        written::string(found.map_or("", |(name, _)| name))
    };
    written::array(fields.iter().map(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_that_is_told_is_the_one_that_holds() {
        let told = SETTINGS[0].default.replace("  ", " ");
        let told: toml::Table = format!("query = {told}").parse().expect("TOML");
        let holds = Redaction::default().query;
        let told: Vec<&str> = told["query"]
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(toml::Value::as_str)
            .collect();
        assert_eq!(told, holds);
    }
}
