//! The tables and keys of a file, as the schema of a document declares them.
//!
//! Each key is declared once, as a field of a table in `document`: with its type, its range,
//! whether it is required, and an example. utoipa derives a schema from that for the API's
//! description. This is the same schema in the form in which a file is read, checked, written and
//! compared.

use std::collections::HashMap;
use std::iter;
use std::ops::RangeInclusive;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayItems, Object, Schema, SchemaType, Type};
use utoipa::{Number, ToSchema};

use super::location::Location;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    /// Its header, as `[[network.port]]`.
    pub title: String,
    /// In the order of their declaration.
    pub keys: Vec<Key>,
}

/// A key of a table.
#[derive(Debug)]
pub(super) struct Key {
    pub name: String,
    pub is_required: bool,
    pub kind: Kind,
    /// The numbers that an integer may be.
    pub range: Option<RangeInclusive<i64>>,
    /// A line of a file with this key.
    pub example: String,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    Table(Table),
    List(Box<Kind>),
}

impl Table {
    /// The tables of a whole file.
    pub fn of<T: ToSchema>() -> Self {
        let mut named = Vec::new();
        T::schemas(&mut named);
        let declared = Declared(named.into_iter().collect());
        let root = T::schema();
        declared.table(declared.object(&root), "", "the file".to_owned())
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The key behind a location, as seen from this table. The items of a list are its key's.
    pub fn find(&self, location: &Location) -> Option<&Key> {
        let mut names = location.keys();
        let first = self.key(names.next()?)?;
        names.try_fold(first, |key, name| key.kind.table()?.key(name))
    }

    /// This table and all within it.
    pub fn all(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        let inner = self.keys.iter().filter_map(|key| key.kind.table());
        Box::new(iter::once(self).chain(inner.flat_map(Self::all)))
    }
}

impl Kind {
    /// The table that this is, or is a list of.
    pub fn table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            Self::List(items) => items.table(),
            Self::Text | Self::Integer | Self::Boolean => None,
        }
    }

    /// What one value must be, in a message.
    pub fn one(&self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::Table(_) => "a table",
            Self::List(items) => match **items {
                Self::Text => "a list of strings",
                Self::Integer => "a list of integers",
                Self::Boolean => "a list of booleans",
                Self::Table(_) => "a list of tables",
                Self::List(_) => "a list of lists",
            },
        }
    }
}

/// The schemas of a document's tables, by name.
struct Declared(HashMap<String, RefOr<Schema>>);

impl Declared {
    fn resolve<'s>(&'s self, schema: &'s RefOr<Schema>) -> &'s Schema {
        match schema {
            RefOr::T(schema) => schema,
            RefOr::Ref(to) => {
                let name = to.ref_location.rsplit('/').next().unwrap_or_default();
                self.resolve(&self.0[name])
            }
        }
    }

    fn object<'s>(&'s self, schema: &'s RefOr<Schema>) -> &'s Object {
        match self.resolve(schema) {
            Schema::Object(object) => object,
            _ => unreachable!("a table is an object"),
        }
    }

    fn table(&self, table: &Object, path: &str, title: String) -> Table {
        let key = |(name, schema): (&String, _)| {
            let path = format!("{path}{name}");
            let (kind, range, example) = match self.resolve(schema) {
                Schema::Array(array) => {
                    let ArrayItems::RefOrSchema(items) = &array.items else {
                        unreachable!("the items of a list have a type")
                    };
                    let items = self.kind(items, &path, format!("[[{path}]]"));
                    (Kind::List(Box::new(items)), None, &array.example)
                }
                Schema::Object(object) => {
                    let range = object.minimum.as_ref().zip(object.maximum.as_ref());
                    let range = range.map(|(least, most)| integer(least)..=integer(most));
                    (self.kind(schema, &path, format!("[{path}]")), range, &object.example)
                }
                _ => unreachable!("`{name}` is a list, a table, or a plain value"),
            };
            let example = match (kind.table(), example) {
                (Some(table), _) => table.title.clone(),
                (None, Some(serde_json::Value::Array(items))) => {
                    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                    format!("{name} = [{}]", items.join(", "))
                }
                (None, Some(example)) => format!("{name} = {example}"),
                (None, None) => unreachable!("`{name}` has no example"),
            };
            let is_required = table.required.contains(name);
            Key { name: name.clone(), is_required, kind, range, example }
        };
        Table { title, keys: table.properties.iter().map(key).collect() }
    }

    /// What a value is that is no list. `path` and `title` are for a table.
    fn kind(&self, schema: &RefOr<Schema>, path: &str, title: String) -> Kind {
        let object = self.object(schema);
        let is = |wanted| match &object.schema_type {
            SchemaType::Type(is) => *is == wanted,
            // Of a key that may be absent, `null` is the other.
            SchemaType::Array(either) => either.contains(&wanted),
            SchemaType::AnyValue => false,
        };
        if is(Type::Integer) {
            Kind::Integer
        } else if is(Type::Boolean) {
            Kind::Boolean
        } else if is(Type::String) {
            Kind::Text
        } else {
            Kind::Table(self.table(object, &format!("{path}."), title))
        }
    }
}

fn integer(number: &Number) -> i64 {
    let integer = match number {
        Number::Int(number) => i64::try_from(*number).ok(),
        Number::UInt(number) => i64::try_from(*number).ok(),
        Number::Float(_) => None,
    };
    integer.unwrap_or_else(|| unreachable!("a limit is an integer"))
}
