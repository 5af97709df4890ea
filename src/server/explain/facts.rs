//! The head of an answer, as far as it is known without a client.

use serde_json::{Value, json};

use crate::http::field_list::FieldList;
use crate::http::status::Status;

/// What can be said of an answer.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    /// Every field of the head that is sent. The length is left out where only the running server
    /// knows it.
    pub(crate) fields: FieldList,
}

impl Facts {
    /// What an encoded head says.
    pub(super) fn of_head(status: Status, encoded: &[u8]) -> Self {
        let line = encoded.iter().position(|octet| *octet == b'\n');
        let fields = FieldList::parse(&encoded[line.map_or(0, |end| end + 1)..]);
        Self { status, fields }
    }

    /// Gives `row` the status, and a line for each field.
    pub(super) fn to_rows(&self, mut row: impl FnMut(&str, &str)) {
        row("status", &self.status.to_string());
        for (index, line) in self.fields.iter().enumerate() {
            let (name, value) = (&line.name, line.text());
            let label = if index == 0 { "fields" } else { "" };
            row(label, &format!("{name}: {value}"));
        }
    }

    /// Describes the fields for a program.
    pub(super) fn fields_to_json(&self) -> Vec<Value> {
        let fields = self.fields.iter();
        fields.map(|line| json!([line.name, line.text()])).collect()
    }
}
