//! JSON, read strictly. Serde's errors become problems that point at the value.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::problem::{Kind, Problem, Source, ValueProblem, pointer};

/// Valid JSON of another shape.
const WRONG_SHAPE: &str = "the body does not have the expected shape";

/// Parses JSON.
///
/// # Errors
/// The text is not JSON, or has another shape.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| json_problem(error.inner(), Some(error.path())))?;
    json.end().map_err(|error| json_problem(&error, None))?;
    Ok(value)
}

/// Parses a JSON object. Serde alone would also accept a list of the fields' values, and an empty
/// list if every field has a default.
///
/// # Errors
/// The text is not JSON, or has another shape.
pub fn object_from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    if text.trim_ascii_start().first() == Some(&b'[') {
        let error = ValueProblem::new(Source::Body, "", "invalid type: list", "expected an object");
        return Err(Problem::new(Kind::Invalid, WRONG_SHAPE).because(error));
    }
    from_json(text)
}

/// Converts a parsed JSON value to a type.
///
/// # Errors
/// The value has another shape.
pub fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| json_problem(error.inner(), Some(error.path())))
}

fn json_problem(error: &serde_json::Error, path: Option<&Path>) -> Problem {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    if let Some(path) = path.filter(|_| error.is_data()) {
        let error = field_problem(Source::Body, path, message);
        return Problem::new(Kind::Invalid, WRONG_SHAPE).because(error);
    }
    let help = "send one JSON value: strings in double quotes, no trailing commas";
    let mut value = ValueProblem::new(Source::Body, "", message, help);
    (value.line, value.column) = (Some(error.line()), Some(error.column()));
    Problem::new(Kind::BadRequest, format!("the body is not JSON: {message}")).because(value)
}

/// Converts serde's message about a field to a problem with the field's pointer and help.
pub(super) fn field_problem(source: Source, path: &Path, message: &str) -> ValueProblem {
    let mut segments: Vec<_> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect();
    let is_about_field = ["unknown field", "missing field", "duplicate field"]
        .iter()
        .any(|prefix| message.starts_with(prefix));
    // For these errors, serde's path ends at the object that should have the field.
    if is_about_field
        && let Some(field) = message.split('`').nth(1)
        && segments.last().is_none_or(|last| last != field)
    {
        segments.push(field.to_owned());
    }
    let (detail, expected) = match message.split_once(", expected ") {
        Some((detail, expected)) => (detail, Some(expected)),
        None => (message, None),
    };
    let help = match expected {
        Some(expected) if message.starts_with("unknown field") => {
            format!("known fields: {}", expected.trim_start_matches("one of "))
        }
        Some(expected) => format!("expected {expected}"),
        None if message.starts_with("missing field") => "add it".to_owned(),
        None if message.starts_with("duplicate field") => "send it once".to_owned(),
        None if message.starts_with("unknown field") => "no fields are known here".to_owned(),
        None => "GET /v1/openapi.json describes the expected shape".to_owned(),
    };
    ValueProblem::new(source, pointer(segments), detail, help)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "the tests only look at errors")]
    struct Outer {
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "the tests only look at errors")]
    struct Inner {
        number: i64,
    }

    #[test]
    fn an_error_names_the_value_and_what_is_expected() {
        let problem_of = |text: &str| from_json::<Outer>(text.as_bytes()).unwrap_err();
        for (text, at, detail, help) in [
            (r#"{"list": [{"number": "x"}]}"#, "/list/0/number", "string", "i64"),
            (r#"{"list": [{"number": 1, "nmber": 2}]}"#, "/list/0/nmber", "unknown", "number"),
            (r#"{"list": [{}]}"#, "/list/0/number", "missing", "add"),
            (r#"{"list": [{"number": 1, "number": 2}]}"#, "/list/0/number", "duplicate", "once"),
            (r#"{}"#, "/list", "missing", "add"),
            (r#"[1]"#, "/0", "", ""),
            (r#"{"list": {"a": 1}}"#, "/list", "map", "sequence"),
        ] {
            let problem = problem_of(text);
            assert!(problem.is(Kind::Invalid), "{text}: {problem:?}");
            let error = &problem.errors[0];
            if text != "[1]" {
                assert_eq!(error.pointer, at, "{text}: {error:?}");
            }
            assert!(error.detail.contains(detail), "{text}: {error:?}");
            assert!(error.help.contains(help), "{text}: {error:?}");
        }
        for text in ["", "{", "{}x", r#"{"list": [],}"#, "\u{0}"] {
            let problem = problem_of(text);
            let is_shape = text == "{}x";
            assert!(problem.is(Kind::BadRequest) || is_shape, "{text}: {problem:?}");
        }
    }
}
