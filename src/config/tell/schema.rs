//! Every key of the file, its values, its default and what it says: as a JSON Schema (2020-12) for
//! editors, and as Markdown for docs/configuration.md. The words are from the tables of `keys`.

use serde_json::{Map, Value, json};

use crate::config::keys::TABLES;
use crate::config::keys::route::{VERBS, is_option};
use crate::config::keys::setting::{Kind, Row, Table};

/// The JSON Schema of the file.
pub(crate) fn schema() -> Value {
    let mut schema = table(TABLES[0]);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of tidegate",
    });
    if let (Value::Object(schema), Value::Object(head)) = (&mut schema, head) {
        schema.extend(head);
    }
    schema
}

fn table(table: &Table) -> Value {
    let rows = (table.rows)();
    let properties: Map<String, Value> = rows
        .iter()
        .map(|row| (row.key.to_owned(), property(row)))
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn property(row: &Row) -> Value {
    let mut property = value(row.kind);
    property["description"] = (*row.about).into();
    if let Some(default) = default_value(row) {
        property["default"] = default;
    }
    property
}

fn default_value(row: &Row) -> Option<Value> {
    let text = format!("default = {}", row.default);
    let table: toml::Table = text.parse().ok()?;
    serde_json::to_value(table.get("default")?).ok()
}

/// The schema of a value of that kind.
fn value(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Only(value) => json!({ "const": value }),
        Kind::Integer(low, high) => {
            json!({ "type": "integer", "minimum": low, "maximum": high })
        }
        Kind::Size => json!({ "type": ["integer", "string"] }),
        Kind::Duration | Kind::Text => json!({ "type": "string" }),
        // A variable may stand in place of the word.
        Kind::Word(words) => {
            json!({ "anyOf": [{ "enum": words() }, { "type": "string", "pattern": "\\$\\{" }] })
        }
        Kind::OneOrMore(kind) => {
            let one = value(*kind);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::Array(kind) => json!({ "type": "array", "items": value(*kind) }),
        Kind::Either(kinds) => {
            let kinds: Vec<Value> = kinds.iter().copied().map(value).collect();
            json!({ "anyOf": kinds })
        }
        Kind::Any => json!({}),
        Kind::Map(kind) => json!({ "type": "object", "additionalProperties": value(*kind) }),
        Kind::Table(inner) => table(inner),
        Kind::Route(inner) => route(inner),
        Kind::Tables(inner) => json!({ "type": "array", "items": table(inner) }),
    }
}

/// A table with exactly one of the verbs.
fn route(inner: &Table) -> Value {
    let verb = |key: &str, kind: Kind| {
        let mut verb = json!({ "required": [key] });
        // Beside another verb it is an option, with values of another kind.
        if is_option(key) {
            verb["properties"] = json!({ key: value(kind) });
        }
        verb
    };
    let mut route = table(inner);
    let verbs = VERBS.iter().map(|keys| verb(keys.key, keys.kind()));
    route["oneOf"] = verbs.collect();
    route
}

/// Every key as a Markdown table for each table of the file.
pub(crate) fn key_table() -> String {
    let mut text = String::new();
    for table in TABLES {
        let title = table.title;
        text += &format!("\n**{title}**\n\n| Key | Default | What it says |\n|---|---|---|\n");
        for row in (table.rows)() {
            let default = match row.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            text += &format!("| `{}` | {default} | {} |\n", row.key, row.about);
        }
    }
    text.trim_start().to_owned()
}
