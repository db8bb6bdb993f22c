//! Every error is a problem that names what is wrong, whatever was wrong.

use crate::served::Served;

type Headers = &'static [(&'static str, &'static str)];

const JSON: Headers = &[("content-type", "application/json"), ("if-match", "*")];
const TOML: Headers = &[("content-type", "application/toml"), ("if-match", "*")];
const BARE: Headers = &[];

/// Method, path, headers, body; status, slug; `in`, pointer, words of the detail, words of the
/// help.
type Case = (
    (&'static str, &'static str, Headers, &'static str),
    (u16, &'static str),
    (&'static str, &'static str, &'static str, &'static str),
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (("GET", "/", BARE, ""), (404, "not-found"), ("path", "", "`/`", "openapi.json")),
    (("GET", "/v1/nothing", BARE, ""), (404, "not-found"), ("path", "", "/v1/nothing", "openapi.json")),
    (("GET", "/v1/networks/green", BARE, ""), (404, "not-found"), ("path", "/name", "no network `green`", "known networks: `blue`, `red`")),
    (("GET", "/v1/networks/green/macs", BARE, ""), (404, "not-found"), ("path", "/name", "no network `green`", "known networks: `blue`, `red`")),
    (("GET", "/v1/ports/%ff", BARE, ""), (400, "bad-request"), ("path", "/name", "UTF-8", "percent-encode")),
    (("GET", "/v1/ports?name=a", BARE, ""), (400, "bad-request"), ("query", "/name", "unknown field `name`", "no fields")),
    (("GET", "/v1/openapi.json?x", BARE, ""), (400, "bad-request"), ("query", "/x", "unknown", "no fields")),
    (("GET", "/v1/fdb?vni=1", BARE, ""), (400, "bad-request"), ("query", "/vni", "unknown", "`network`")),
    (("GET", "/v1/fdb?kind=dynamic", BARE, ""), (400, "bad-request"), ("query", "/kind", "dynamic", "`static`")),
    (("GET", "/v1/fdb?limit=many", BARE, ""), (400, "bad-request"), ("query", "/limit", "invalid digit", "openapi")),
    (("GET", "/v1/fdb?limit=0", BARE, ""), (400, "bad-request"), ("query", "/limit", "0 is not", "from 1 to 10000")),
    (("GET", "/v1/fdb?limit=1&limit=2", BARE, ""), (400, "bad-request"), ("query", "/limit", "duplicate", "once")),
    (("GET", "/v1/fdb?cursor=begin", BARE, ""), (400, "bad-request"), ("query", "/cursor", "begin", "Link")),
    (("GET", "/v1/fdb?mac=02", BARE, ""), (400, "bad-request"), ("query", "/mac", "`02`", "02:00")),
    (("GET", "/v1/fdb?remote-vtep=host", BARE, ""), (400, "bad-request"), ("query", "/remote-vtep", "`host`", "198.51")),
    (("GET", "/v1/fdb?network=green", BARE, ""), (404, "not-found"), ("query", "/network", "green", "known networks: `blue`")),
    (("POST", "/v1/fdb/flush?port=nowhere", BARE, ""), (404, "not-found"), ("query", "/port", "nowhere", "known ports: ")),
    (("POST", "/v1/fdb/flush?kind=static", BARE, ""), (400, "bad-request"), ("query", "/kind", "unknown", "`mac`")),
    (("POST", "/v1/networks", BARE, "{}"), (428, "precondition-required"), ("header", "/if-match", "missing", "ETag")),
    (("POST", "/v1/networks", &[("if-match", "7")], "{}"), (400, "bad-request"), ("header", "/if-match", "not a list", "quotation")),
    (("POST", "/v1/networks", &[("if-match", "\"7\""), ("content-type", "application/json")],
        r#"{"name": "green", "vni": 3}"#), (412, "precondition-failed"), ("header", "/if-match", "not the running generation", "read")),
    (("POST", "/v1/networks", &[("if-match", "*")], "{}"), (415, "unsupported-media-type"), ("header", "/content-type", "no Content-Type", "application/json")),
    (("POST", "/v1/networks", TOML, "name = 1"), (415, "unsupported-media-type"), ("header", "/content-type", "toml", "application/json")),
    (("POST", "/v1/networks", JSON, ""), (400, "bad-request"), ("body", "", "EOF", "one JSON value")),
    (("POST", "/v1/networks", JSON, "{\"name\": }"), (400, "bad-request"), ("body", "", "expected value", "one JSON value")),
    (("POST", "/v1/networks", JSON, "{} {}"), (422, "invalid"), ("body", "/name", "missing", "add")),
    (("POST", "/v1/networks", JSON, r#"{"name": "green"}"#), (422, "invalid"), ("body", "/vni", "missing", "add")),
    (("POST", "/v1/networks", JSON, r#"{"name": "green", "vni": "3"}"#), (422, "invalid"), ("body", "/vni", "string", "i64")),
    (("POST", "/v1/networks", JSON, r#"{"name": "green", "vni": 3, "vnni": 3}"#), (422, "invalid"), ("body", "/vnni", "unknown", "`vni`")),
    (("POST", "/v1/networks", JSON, r#"{"name": "green", "vni": 0}"#), (422, "invalid"), ("body", "/vni", "`vni` is 0", "from 1 to 16777215")),
    (("POST", "/v1/networks", JSON, r#"{"name": "green", "vni": 100}"#), (422, "invalid"), ("body", "/vni", "VNI 100 is already", "its own")),
    (("POST", "/v1/networks", JSON, r#"{"name": "green", "vni": 3, "port": [{"port": "a"}]}"#), (422, "invalid"), ("body", "/port/0/port", "a", "")),
    (("POST", "/v1/networks", JSON, r#"{"name": "green", "vni": 3, "vtep": "fabrik"}"#), (422, "invalid"), ("body", "/vtep", "no VTEP is named `fabrik`", "did you mean `fabric`")),
    (("POST", "/v1/networks", JSON, r#"{"name": "blue", "vni": 3}"#), (409, "conflict"), ("body", "/name", "already", "another name")),
    (("PATCH", "/v1/networks/green", JSON, "{}"), (404, "not-found"), ("path", "/name", "green", "known networks: ")),
    (("PATCH", "/v1/networks/red", JSON, "3"), (422, "invalid"), ("body", "", "integer", "NetworkDocument")),
    (("PATCH", "/v1/networks/red", JSON, r#"{"vni": null}"#), (422, "invalid"), ("body", "/vni", "missing", "add")),
    (("PATCH", "/v1/networks/red", JSON, r#"{"vni": -5}"#), (422, "invalid"), ("body", "/vni", "-5", "from 1")),
    (("DELETE", "/v1/networks/green", JSON, ""), (404, "not-found"), ("path", "/name", "green", "known networks: ")),
    (("POST", "/v1/networks/blue/members", JSON, r#"{"port": "c"}"#), (422, "invalid"), ("body", "/port", "no port is named `c`", "known ports")),
    (("POST", "/v1/networks/blue/members", JSON, r#"{"port": "a"}"#), (409, "conflict"), ("body", "/port", "already", "")),
    (("DELETE", "/v1/networks/blue/members/b", JSON, ""), (404, "not-found"), ("path", "/port", "`blue` has no port `b`", "its ports: `a`")),
    (("POST", "/v1/networks/blue/macs", JSON, r#"{"address": "01:00:00:00:00:00", "port": "a"}"#), (422, "invalid"), ("body", "/address", "multicast", "one station")),
    (("POST", "/v1/networks/blue/macs", JSON, r#"{"address": "02:00:00:00:00:01"}"#), (422, "invalid"), ("body", "", "neither", "say where")),
    (("DELETE", "/v1/networks/blue/macs/02:00:00:00:00:01", JSON, ""), (404, "not-found"), ("path", "/address", "no static MAC", "its static MACs: ")),
    (("POST", "/v1/networks/blue/remote-vteps", JSON, r#"{"address": "198.51.100.1"}"#), (422, "invalid"), ("body", "/address", "own VTEP", "other hosts")),
    (("DELETE", "/v1/networks/blue/remote-vteps/198.51.100.1", JSON, ""), (404, "not-found"), ("path", "/address", "198.51.100.1", "its remote VTEPs: ")),
    (("POST", "/v1/ports", JSON, r#"{"name": "c", "device": "net_null0"}"#), (422, "invalid"), ("body", "/device", "net_null0", "its own device")),
    (("DELETE", "/v1/ports/a", JSON, ""), (409, "conflict"), ("configuration", "/network/0/port/0/port", "port `a` is in network `blue`", "take it out")),
    (("DELETE", "/v1/vteps/fabric", JSON, ""), (409, "conflict"), ("configuration", "/network/0/vtep", "carries network `blue`", "another VTEP")),
    (("POST", "/v1/migrate", JSON, r#"{"port": {"name": "a", "from": "blue"}}"#), (422, "invalid"), ("body", "/port/to", "missing", "add")),
    (("POST", "/v1/migrate", JSON, r#"{"network": {}}"#), (422, "invalid"), ("body", "", "unknown variant", "`port`")),
    (("POST", "/v1/migrate", JSON, r#"{"port": {"name": "a", "from": "blue", "to": "green"}}"#), (404, "not-found"), ("body", "/port/to", "green", "known networks: ")),
    (("POST", "/v1/migrate", JSON, r#"{"mac": {"address": "02:00:00:00:00:09", "network": "blue", "port": "b"}}"#), (422, "invalid"), ("body", "/mac/port", "not in network", "its ports are")),
    (("POST", "/v1/plan", JSON, " []"), (422, "invalid"), ("body", "", "list", "an object")),
    (("POST", "/v1/networks", JSON, r#"["green", 3]"#), (422, "invalid"), ("body", "", "list", "an object")),
    (("POST", "/v1/networks/blue/members", JSON, r#"{"port": "b"}"#), (409, "conflict"), ("body", "/port", "port `b` is in network `red`", "migrate")),
    (("POST", "/v1/apply?confirm-within-secs=0", TOML, ""), (400, "bad-request"), ("query", "/confirm-within-secs", "0 is not", "86400")),
    (("POST", "/v1/apply?confirm=1", TOML, ""), (400, "bad-request"), ("query", "/confirm", "unknown", "confirm-within-secs")),
    (("POST", "/v1/apply", BARE, ""), (428, "precondition-required"), ("header", "/if-match", "missing", "ETag")),
    (("POST", "/v1/plan", BARE, ""), (415, "unsupported-media-type"), ("header", "/content-type", "no Content-Type", "application/toml")),
    (("POST", "/v1/plan", TOML, "[port"), (422, "invalid"), ("body", "", "not valid TOML", "toml.io")),
    (("POST", "/v1/plan", TOML, "[porta]"), (422, "invalid"), ("body", "", "unknown key `porta`", "did you mean")),
    (("POST", "/v1/plan", JSON, r#"{"port": [{"name": "a"}]}"#), (422, "invalid"), ("body", "/port/0/device", "missing", "add")),
    (("GET", "/v1/config", &[("accept", "application/xml")], ""), (406, "not-acceptable"), ("header", "/accept", "neither", "application/toml")),
];

#[test]
fn every_error_names_what_is_wrong() {
    let served = Served::default();
    let mut wrong = Vec::new();
    for ((method, path, headers, body), (status, slug), (place, pointer, detail, help)) in CASES {
        let said = served.ask(method, path, headers, body);
        let text = format!("{method} {path} {body}: {said:?}");
        if said.status != *status {
            wrong.push(text);
            continue;
        }
        let problem = said.problem(*status, slug);
        let error = &problem["errors"][0];
        let has = |key: &str, words: &str| error[key].as_str().is_some_and(|t| t.contains(words));
        let is_right = error["in"] == *place
            && error["pointer"] == *pointer
            && has("detail", detail)
            && has("help", help);
        if !is_right {
            wrong.push(text);
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"", "an error changed something");
}

#[test]
fn a_method_that_is_not_for_a_path_is_told_which_are() {
    let served = Served::default();
    for (method, path, allowed) in [
        ("DELETE", "/v1/ports", "GET,HEAD,POST"),
        ("PUT", "/v1/networks/blue", "GET,HEAD,PATCH,DELETE"),
        ("GET", "/v1/apply", "POST"),
        ("POST", "/v1/openapi.json", "GET,HEAD"),
        ("BREW", "/v1/workers", "GET,HEAD"),
    ] {
        let said = served.ask(method, path, &[], "");
        let mut allow: Vec<_> = said.header("allow").unwrap_or("none").split(',').collect();
        allow.sort_unstable();
        let mut expected: Vec<_> = allowed.split(',').collect();
        expected.sort_unstable();
        assert_eq!(allow, expected, "{method} {path}: {said:?}");
        said.problem(405, "method-not-allowed");
    }
}

#[test]
fn a_line_is_named_where_there_are_lines() {
    let served = Served::default();
    let said = served.ask("POST", "/v1/plan", TOML, "[fdb]\n\ncapacity = 1\n");
    let error = &said.problem(422, "invalid")["errors"][0];
    assert_eq!((error["line"].as_u64(), error["column"].as_u64()), (Some(3), Some(12)));
    let said = served.ask("POST", "/v1/networks", JSON, "{\n\"name\" 3}");
    let error = &said.problem(400, "bad-request")["errors"][0];
    assert_eq!((error["line"].as_u64(), error["column"].as_u64()), (Some(2), Some(8)));
}

#[test]
fn nothing_is_kept_by_caches() {
    let served = Served::default();
    for path in ["/v1/ports", "/v1/nothing", "/v1/config"] {
        assert_eq!(served.get(path).header("cache-control"), Some("no-store"), "{path}");
    }
}
