//! A document as TOML, laid out as the files in `docs/examples` are: in the order in which the keys
//! are declared, a network's tables set in below it, and without empty lists of tables.

use serde_json::Value;
use toml_edit::{Array, DocumentMut, Item};

use crate::config::schema::{Kind, Table};

/// The file whose tables are declared so, with these values.
pub(super) fn render(declared: &Table, values: &Value) -> String {
    let mut root = DocumentMut::new();
    *root.as_table_mut() = table(declared, values, "", "");
    root.to_string().trim_start().to_owned()
}

/// A table: what stands before its header, and the indent of its keys.
fn table(declared: &Table, values: &Value, header: &str, indent: &str) -> toml_edit::Table {
    let mut table = toml_edit::Table::new();
    table.decor_mut().set_prefix(header);
    // Between tables of the first rank there is an empty line, and none before those within one.
    let is_root = header.is_empty();
    let (header, inner) = if is_root { ("\n", "") } else { ("  ", "  ") };
    for key in &declared.keys {
        let item = match (&key.kind, &values[&key.name]) {
            (_, Value::Null) => continue,
            (Kind::Table(declared), value) => {
                Item::Table(self::table(declared, value, header, inner))
            }
            (Kind::List(items), Value::Array(values)) if items.table().is_some() => {
                let Some(declared) = items.table().filter(|_| !values.is_empty()) else { continue };
                let tables = values.iter().map(|value| self::table(declared, value, header, inner));
                Item::ArrayOfTables(tables.collect())
            }
            (_, value) => Item::Value(plain(value)),
        };
        let is_plain = item.is_value();
        table.insert(&key.name, item);
        if let Some(mut key) = table.key_mut(&key.name).filter(|_| is_plain) {
            key.leaf_decor_mut().set_prefix(indent);
        }
    }
    table
}

/// A value without tables in it.
fn plain(value: &Value) -> toml_edit::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.as_i64().unwrap_or_default().into(),
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(plain).collect::<Array>().into(),
        Value::Null | Value::Object(_) => unreachable!("neither is a value of a key"),
    }
}
