//! Reads a file into a [`Document`]: every key is known, every value has the type of its key, and
//! nothing else is checked.
//!
//! The tables are read from the TOML crate's spanned tree, not through serde: serde stops at its
//! first error, and words it in Rust's types. Here every unknown key, missing key and wrong type is
//! reported in one run. A value that could not be read is replaced, and [`Problems`] knows of it.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problems, listed, nearest, quoted};
use super::document::{Document, FILE};
use super::location::{Location, Span};
use super::schema::{Key, Kind, Table};

/// Reads the text; `None` after a syntax error, which is then reported.
pub(super) fn read(problems: &mut Problems) -> Option<Document> {
    match DeTable::parse(problems.text) {
        Ok(root) => {
            let read = table(root.get_ref(), &FILE, &Location::root(), &(0..0), problems);
            let document = serde_json::from_value(read);
            Some(document.unwrap_or_else(|error| unreachable!("it has the schema's form: {error}")))
        }
        Err(error) => {
            syntax_error(&error, problems);
            None
        }
    }
}

fn syntax_error(error: &toml::de::Error, problems: &mut Problems) {
    let at = error.span().unwrap_or(problems.text.len()..problems.text.len());
    let at_text = problems.text.get(at.clone()).unwrap_or_default();
    let (message, help) = match error.message() {
        "duplicate key" => (
            format!("{} is given a second time", quoted(at_text)),
            "keep one of the two; a further port, VTEP or network starts with its own \
             `[[port]]`, `[[vtep]]` or `[[network]]`"
                .to_owned(),
        ),
        message if message.starts_with("string values must be quoted") => (
            format!("{} is neither a number nor a text in quotes", quoted(at_text)),
            format!("if it is a text, write it as `\"{}\"`", at_text.escape_debug()),
        ),
        message => (
            format!("not valid TOML: {message}"),
            "one `key = value` on each line, texts in double quotes, lists in brackets; \
             see https://toml.io"
                .to_owned(),
        ),
    };
    problems.error_in_text(&at, message, help);
}

fn table(
    table: &DeTable<'_>,
    declared: &Table,
    at: &Location,
    header: &Span,
    problems: &mut Problems,
) -> Value {
    let mut read = Map::new();
    for (name, typed) in table {
        let Some(key) = declared.key(name.get_ref()) else {
            unknown_key(name.get_ref(), &name.span(), declared, problems);
            continue;
        };
        if let Some(value) = value(typed, &key.kind, key, &at.key(&key.name), problems) {
            read.insert(key.name.clone(), value);
        }
    }
    for key in declared.keys.iter().filter(|key| key.is_required) {
        let name = &key.name;
        if !table.contains_key(name.as_str()) {
            let help = format!("add it below, for example `{}`", key.example);
            problems.error_in_text(header, format!("{} has no `{name}`", declared.title), help);
        }
        if !read.contains_key(name) {
            read.insert(name.clone(), stand_in(&key.kind));
            problems.replaced(&at.key(name));
        }
    }
    Value::Object(read)
}

/// Reads one value; `None` if it does not have the right type, which is then reported.
fn value(
    typed: &Spanned<DeValue<'_>>,
    kind: &Kind,
    key: &Key,
    at: &Location,
    problems: &mut Problems,
) -> Option<Value> {
    match (kind, typed.get_ref()) {
        (Kind::Text, DeValue::String(text)) => Some(Value::from(text.as_ref())),
        (Kind::Boolean, DeValue::Boolean(value)) => Some(Value::from(*value)),
        (Kind::Integer, DeValue::Integer(digits)) => {
            let read = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
            if read.is_none() {
                let message = format!("the number for `{}` does not fit in 64 bits", key.name);
                problems.error_in_text(&typed.span(), message, example(key));
            }
            read.map(Value::from)
        }
        (Kind::Table(declared), DeValue::Table(inner)) => {
            Some(table(inner, declared, at, &typed.span(), problems))
        }
        (Kind::List(kind), DeValue::Array(items)) => {
            let mut item = |(index, item)| {
                let at = at.item(index);
                value(item, kind, key, &at, problems).unwrap_or_else(|| {
                    problems.replaced(&at);
                    stand_in(kind)
                })
            };
            Some(items.iter().enumerate().map(&mut item).collect())
        }
        (kind, other) => {
            wrong_type(other, &typed.span(), kind, key, problems);
            // A table with one pair of brackets too few is read nevertheless: its name is known.
            match (kind, other) {
                (Kind::List(kind), DeValue::Table(_)) if kind.table().is_some() => {
                    value(typed, kind, key, &at.item(0), problems).map(|table| vec![table].into())
                }
                _ => None,
            }
        }
    }
}

/// A value that is valid for no key of this kind, as far as there is one.
fn stand_in(kind: &Kind) -> Value {
    match kind {
        Kind::Text => Value::from(""),
        Kind::Integer => Value::from(i64::MIN),
        Kind::Boolean => Value::from(false),
        Kind::List(_) => Value::Array(Vec::new()),
        Kind::Table(table) => {
            let required = table.keys.iter().filter(|key| key.is_required);
            required.map(|key| (key.name.clone(), stand_in(&key.kind))).collect()
        }
    }
}

fn example(key: &Key) -> String {
    format!("write it like this: `{}`", key.example)
}

fn wrong_type(typed: &DeValue<'_>, at: &Span, kind: &Kind, key: &Key, problems: &mut Problems) {
    let typed = match typed {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let message = format!("`{}` must be {}, but this is {typed}", key.name, kind.one());
    problems.error_in_text(at, message, example(key));
}

fn unknown_key(name: &str, at: &Span, table: &Table, problems: &mut Problems) {
    let keys = || table.keys.iter().map(|key| key.name.as_str());
    let elsewhere = || {
        let tables = FILE.all().skip(1).filter(|table| table.key(name).is_some());
        let titles: Vec<_> = tables.map(|table| table.title.as_str()).collect();
        (!titles.is_empty()).then(|| format!("it is a key of {}; ", titles.join(" and of ")))
    };
    let hint = nearest(name, keys())
        .map(|near| format!("did you mean `{near}`? "))
        .or_else(elsewhere)
        .unwrap_or_default();
    problems.error_in_text(
        at,
        format!("unknown key {} in {}", quoted(name), table.title),
        format!("{hint}known keys: {}", listed(keys(), table.keys.len())),
    );
}
