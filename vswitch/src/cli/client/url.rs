//! Paths and queries of the API.

use std::fmt;

use crate::api::uri::percent_encoded;

/// A path below `/v1`, percent-encoded: names may have any character.
#[must_use]
pub fn path(parts: &[&dyn fmt::Display]) -> String {
    let part = |part: &&dyn fmt::Display| format!("/{}", percent_encoded(&part.to_string()));
    format!("/v1{}", parts.iter().map(part).collect::<String>())
}

/// A path with a query of the parameters that have a value.
#[must_use]
pub fn query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut text = path.to_owned();
    for (name, value) in parameters {
        if let Some(value) = value {
            let separator = if text.contains('?') { '&' } else { '?' };
            text.push_str(&format!("{separator}{name}={}", percent_encoded(value)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        assert_eq!(path(&[&"networks", &"a/b ü"]), "/v1/networks/a%2Fb%20%C3%BC");
        let given = [("mac", None), ("port", Some("a&b".to_owned())), ("n", Some("1".to_owned()))];
        assert_eq!(query("/v1/fdb", &given), "/v1/fdb?port=a%26b&n=1");
    }
}
