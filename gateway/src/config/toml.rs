//! TOML → Node: the same tree, with places, that OpenAPI documents are read into.

use crate::model::Place;
use crate::openapi::node::{Entry, Fault, Map, Node, Value};
use toml::de::{DeTable, DeValue};

/// Reads a document; all its syntax errors at once.
pub(super) fn read(text: &str) -> Result<Node, Vec<Fault>> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node { place: Place { line: 1, column: 1 }, value: lines.table(table.get_ref()) });
    }
    let fault = |e: &toml::de::Error| {
        let place = lines.place(e.span().map_or(0, |s| s.start));
        let instead = match e.message().contains("duplicate") {
            true => "keep one of them",
            false => "check brackets and quotes around it: text stands in double quotes",
        };
        Fault::new(place, format!("this is not TOML: {}", e.message()), instead)
    };
    Err(errors.iter().map(fault).collect())
}

/// Byte offset → line and column.
struct Lines<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let column = self.text.get(start..offset).map_or(0, |t| t.chars().count()) + 1;
        Place { line, column }
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                place: self.place(key.span().start),
                value: self.node(value.get_ref(), value.span().start),
            })
            .collect();
        entries.sort_by_key(|e| e.place);
        Value::Map(Map { entries })
    }

    fn node(&self, value: &DeValue<'_>, offset: usize) -> Node {
        let value = match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => Value::Number(number.to_string()),
            DeValue::Float(number) => Value::Number(number.to_string()),
            DeValue::Boolean(b) => Value::Bool(*b),
            DeValue::Datetime(date) => Value::String(date.to_string()),
            DeValue::Array(list) => {
                Value::List(list.iter().map(|v| self.node(v.get_ref(), v.span().start)).collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Node { place: self.place(offset), value }
    }
}
