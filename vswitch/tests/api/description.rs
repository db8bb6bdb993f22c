//! The OpenAPI document says what is: every route in it answers, as it says, and there is no other.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vswitch::api::problem::Kind;
use vswitch::control::events::Whereabouts;
use vswitch::ids::MacAddr;

use crate::served::{CONFIG, Said, Served, fake};

type Headers = &'static [(&'static str, &'static str)];

const NONE: Headers = &[];
const JSON: Headers = &[("content-type", "application/json"), ("if-match", "*")];
const TOML: Headers = &[("content-type", "application/toml"), ("if-match", "*")];
const PATCH: Headers = &[("content-type", "application/merge-patch+json"), ("if-match", "*")];

/// A request that succeeds: method, path in the document, path, headers, body.
#[rustfmt::skip]
const SUCCESSES: &[(&str, &str, &str, Headers, &str)] = &[
    ("get", "/v1/ports", "/v1/ports", NONE, ""),
    ("post", "/v1/ports", "/v1/ports", JSON, r#"{"name": "c", "device": "net_null7", "queues": 1}"#),
    ("get", "/v1/ports/{name}", "/v1/ports/uplink", NONE, ""),
    ("delete", "/v1/ports/{name}", "/v1/ports/spare", JSON, ""),
    ("get", "/v1/vteps", "/v1/vteps", NONE, ""),
    ("post", "/v1/vteps", "/v1/vteps", JSON, r#"{"name": "v", "port": "spare", "address": "203.0.113.1/24", "host-interface": "v0"}"#),
    ("get", "/v1/vteps/{name}", "/v1/vteps/fabric", NONE, ""),
    ("delete", "/v1/vteps/{name}", "/v1/vteps/unused", JSON, ""),
    ("get", "/v1/networks", "/v1/networks", NONE, ""),
    ("post", "/v1/networks", "/v1/networks", JSON, r#"{"name": "green", "vni": 3, "port": [{"port": "spare"}]}"#),
    ("get", "/v1/networks/{name}", "/v1/networks/blue", NONE, ""),
    ("patch", "/v1/networks/{name}", "/v1/networks/blue", PATCH, r#"{"vni": 101}"#),
    ("delete", "/v1/networks/{name}", "/v1/networks/blue", JSON, ""),
    ("get", "/v1/networks/{name}/members", "/v1/networks/blue/members", NONE, ""),
    ("post", "/v1/networks/{name}/members", "/v1/networks/blue/members", JSON, r#"{"port": "spare"}"#),
    ("delete", "/v1/networks/{name}/members/{port}", "/v1/networks/red/members/b", JSON, ""),
    ("get", "/v1/networks/{name}/macs", "/v1/networks/blue/macs", NONE, ""),
    ("post", "/v1/networks/{name}/macs", "/v1/networks/blue/macs", JSON, r#"{"address": "02:00:00:00:00:0a", "port": "a"}"#),
    ("delete", "/v1/networks/{name}/macs/{address}", "/v1/networks/blue/macs/02:00:00:00:00:09", JSON, ""),
    ("get", "/v1/networks/{name}/remote-vteps", "/v1/networks/blue/remote-vteps", NONE, ""),
    ("post", "/v1/networks/{name}/remote-vteps", "/v1/networks/blue/remote-vteps", JSON, r#"{"address": "198.51.100.9"}"#),
    ("delete", "/v1/networks/{name}/remote-vteps/{address}", "/v1/networks/blue/remote-vteps/198.51.100.2", JSON, ""),
    ("post", "/v1/migrate", "/v1/migrate", JSON, r#"{"port": {"name": "a", "from": "blue", "to": "red"}}"#),
    ("get", "/v1/fdb", "/v1/fdb?limit=1&kind=learned", NONE, ""),
    ("post", "/v1/fdb/flush", "/v1/fdb/flush?network=blue", NONE, ""),
    ("get", "/v1/status", "/v1/status", NONE, ""),
    ("get", "/v1/workers", "/v1/workers", NONE, ""),
    ("get", "/v1/drops", "/v1/drops", NONE, ""),
    ("post", "/v1/explain", "/v1/explain", JSON, r#"{"from": {"port": "a"}, "frame": "ffffffffffff02000000000188b50000"}"#),
    ("get", "/v1/drops/frames", "/v1/drops/frames?reason=runt", NONE, ""),
    ("get", "/v1/captures", "/v1/captures", NONE, ""),
    ("get", "/v1/generation", "/v1/generation", NONE, ""),
    ("get", "/v1/config", "/v1/config", NONE, ""),
    ("post", "/v1/plan", "/v1/plan", TOML, CONFIG),
    ("post", "/v1/apply", "/v1/apply?confirm-within-secs=60", TOML, CONFIG),
    ("post", "/v1/confirm", "/v1/confirm", NONE, ""),
    ("post", "/v1/roll-back", "/v1/roll-back", NONE, ""),
    ("get", "/v1/openapi.json", "/v1/openapi.json", NONE, ""),
];

/// Tested with the events and the captures themselves: they do not end, or their answers are no
/// JSON.
const STREAMS: [(&str, &str); 3] =
    [("get", "/v1/events"), ("get", "/v1/capture"), ("delete", "/v1/captures/{id}")];

fn served() -> Served {
    let mut fake = fake();
    for n in 1..=2 {
        let at = Whereabouts { port: Some("a".to_owned()), remote_vtep: None };
        fake.learn(("blue".to_owned(), MacAddr::from_u64(0x0200_0000_0100 + n), at));
    }
    Served::new(fake)
}

fn description() -> Value {
    Served::default().get("/v1/openapi.json").ok().json()
}

/// The operations: path, method, description.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(|(method, operation)| (path.clone(), method.clone(), operation.clone()))
        })
        .collect()
}

/// That an answer is as the operation says.
fn check(document: &Value, operation: &Value, said: &Said, of: &str) {
    let response = &operation["responses"][said.status.to_string()];
    assert!(response.is_object(), "{of}: {} is not described", said.status);
    let media = said.header("content-type").unwrap();
    let schema = &response["content"][media]["schema"];
    assert!(schema.is_object(), "{of}: {} as {media} is not described", said.status);
    // References lead to the components of the same document.
    let whole = json!({"components": document["components"], "allOf": [schema]});
    let validator = jsonschema::draft202012::new(&whole).unwrap_or_else(|e| panic!("{of}: {e}"));
    let errors: Vec<_> = validator.iter_errors(&said.json()).map(|e| e.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new(), "{of}: {}", said.body);
    for header in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        assert!(said.header(&header.to_lowercase()).is_some(), "{of}: no {header}: {said:?}");
    }
}

#[test]
fn every_route_answers_as_it_is_described() {
    let document = description();
    let mut left: BTreeSet<_> =
        operations(&document).into_iter().map(|(path, method, _)| (method, path)).collect();
    for (method, path) in STREAMS {
        assert!(left.remove(&(method.to_owned(), path.to_owned())));
    }
    for (method, described, path, headers, body) in SUCCESSES {
        let served = served();
        match *described {
            "/v1/confirm" | "/v1/roll-back" => {
                let next = CONFIG.replace("vni = 200", "vni = 201");
                served.ask("POST", "/v1/apply?confirm-within-secs=60", TOML, &next).ok();
            }
            "/v1/vteps/{name}" if *method == "delete" => {
                let vtep = json!({
                    "name": "unused", "port": "spare", "address": "203.0.113.1/24",
                    "host-interface": "v0",
                });
                served.change("POST", "/v1/vteps", &vtep).ok();
            }
            _ => {}
        }
        let said = served.ask(&method.to_uppercase(), path, headers, body).ok();
        let operation = &document["paths"][described][method];
        check(&document, operation, &said, &format!("{method} {path}"));
        left.remove(&((*method).to_owned(), (*described).to_owned()));
    }
    assert_eq!(left, BTreeSet::new(), "nobody tries these");
}

#[test]
fn every_route_refuses_what_it_does_not_know_as_it_is_described() {
    let (document, served) = (description(), served());
    for (path, method, operation) in operations(&document) {
        let concrete =
            path.replace("{name}", "absent").replace("{port}", "p").replace("{address}", "x");
        let concrete = concrete.replace("{id}", "0");
        let ask = |query: &str, headers: Headers, body: &str| {
            let said =
                served.ask(&method.to_uppercase(), &format!("{concrete}{query}"), headers, body);
            check(&document, &operation, &said, &format!("{method} {path}{query}"));
            said
        };
        ask("?surprise=1", JSON, "{}").problem(400, "bad-request");
        let has = |status: &str| operation["responses"][status].is_object();
        if has("428") {
            ask("", &[], "{}").problem(428, "precondition-required");
        }
        if operation["requestBody"].is_object() {
            ask("", &[("if-match", "*")], "{}").problem(415, "unsupported-media-type");
            ask("", JSON, "{").problem(400, "bad-request");
        } else if path.contains('{') {
            ask("", JSON, "").problem(404, "not-found");
        }
    }
}

#[test]
fn every_kind_of_problem_is_described_somewhere() {
    let text = description()["paths"].to_string();
    for kind in Kind::ALL {
        // Which route is asked in the wrong way is not known to any of them.
        let is_general = *kind == Kind::MethodNotAllowed;
        assert!(is_general || text.contains(&format!("`{}`", kind.slug())), "{kind:?}");
    }
}

#[test]
fn every_route_and_every_schema_says_what_it_is() {
    let document = description();
    for (path, method, operation) in operations(&document) {
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(summary.len() > 5, "{method} {path}: {operation}");
        assert!(operation["operationId"].is_string(), "{method} {path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{method} {path}: {parameter}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
    }
    assert_eq!(document["openapi"], "3.1.0");
}
