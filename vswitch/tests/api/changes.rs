//! Changes of the running configuration: single things, whole files, and two who want different
//! things.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vswitch::config;
use vswitch::control::requests::ApplyError;

use crate::served::{CONFIG, Served, fake};

const TOML: (&str, &str) = ("content-type", "application/toml");
const JSON: (&str, &str) = ("content-type", "application/json");
const ANY: (&str, &str) = ("if-match", "*");

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn a_network_is_made_changed_and_removed() {
    let served = Served::default();
    let green = json!({"name": "green", "vni": 300, "vtep": "fabric"});
    let made = served.change("POST", "/v1/networks", &green).ok();
    assert_eq!((made.status, made.header("location")), (201, Some("/v1/networks/green")));
    assert_eq!(made.etag(), "\"2\"");
    assert_eq!(made.json()["generation"], 2);
    assert_eq!(made.json()["plan"]["steps"][0]["action"], "add");
    let seen = served.get("/v1/networks/green").ok();
    assert_eq!((seen.etag(), &seen.json()["vni"]), ("\"2\"", &json!(300)));

    let patch = [("content-type", "application/merge-patch+json"), ANY];
    let changes = json!({"mac-ageing-secs": 60, "vtep": null}).to_string();
    served.ask("PATCH", "/v1/networks/green", &patch, &changes).ok();
    let row = served.get("/v1/networks/green").ok().json();
    assert_eq!((&row["mac_ageing_secs"], &row["vtep"]), (&json!(60), &Value::Null));

    served.ask("DELETE", "/v1/networks/green", &[ANY], "").ok();
    served.get("/v1/networks/green").problem(404, "not-found");
    assert_eq!(names(&served.get("/v1/networks").ok().json()), ["blue", "red"]);
    assert_eq!(served.get("/v1/config").ok().etag(), "\"4\"");
}

#[test]
fn what_belongs_to_a_network_comes_and_goes() {
    let served = Served::default();
    let blue = "/v1/networks/blue";
    let added = served.change("POST", &format!("{blue}/members"), &json!({"port": "spare"})).ok();
    assert_eq!(added.header("location"), Some("/v1/networks/blue/members/spare"));
    let members = served.get(&format!("{blue}/members")).ok().json();
    assert_eq!(members, json!([{"port": "a"}, {"port": "spare"}]));

    let mac = json!({"address": "02:00:00:00:00:0a", "port": "spare"});
    let added = served.change("POST", &format!("{blue}/macs"), &mac).ok();
    assert_eq!(added.header("location"), Some("/v1/networks/blue/macs/02:00:00:00:00:0a"));
    assert_eq!(served.get(&format!("{blue}/macs")).ok().json()[1], mac);
    // A member whose stations are fixed there cannot go.
    let path = format!("{blue}/members/spare");
    let refused = served.ask("DELETE", &path, &[ANY], "").problem(409, "conflict");
    assert_eq!(refused["errors"][0]["in"], "configuration");
    assert_eq!(refused["errors"][0]["pointer"], "/network/0/mac/1/port");
    served.ask("DELETE", &format!("{blue}/macs/02:00:00:00:00:0A"), &[ANY], "").ok();
    served.ask("DELETE", &path, &[ANY], "").ok();

    let remote = json!({"address": "198.51.100.7"});
    let added = served.change("POST", &format!("{blue}/remote-vteps"), &remote).ok();
    assert_eq!(added.header("location"), Some("/v1/networks/blue/remote-vteps/198.51.100.7"));
    let remotes = served.get(&format!("{blue}/remote-vteps")).ok();
    assert_eq!(remotes.json(), json!(["198.51.100.2", "198.51.100.7"]));
    assert_eq!(remotes.etag(), served.get("/v1/networks").ok().etag());
    served.ask("DELETE", &format!("{blue}/remote-vteps/198.51.100.7"), &[ANY], "").ok();
    let document = served.get("/v1/config").ok().json();
    assert_eq!(document, Served::default().get("/v1/config").ok().json());
}

#[test]
fn ports_and_vteps_come_and_go() {
    let served = Served::default();
    let port = json!({"name": "up/2 ", "device": "net_null4"});
    let wrong = served.change("POST", "/v1/ports", &port).problem(422, "invalid");
    assert_eq!(wrong["errors"][0]["pointer"], "/name");
    let port = json!({"name": "größer", "device": "net_null4", "mtu": 1600});
    let added = served.change("POST", "/v1/ports", &port).ok();
    assert_eq!(added.header("location"), Some("/v1/ports/gr%C3%B6%C3%9Fer"));
    assert_eq!(served.get("/v1/ports/gr%C3%B6%C3%9Fer").ok().json()["role"], "unused");
    let vtep = json!({
        "name": "second", "port": "größer", "address": "203.0.113.1/24", "host-interface": "vtep1",
    });
    served.change("POST", "/v1/vteps", &vtep).ok();
    assert_eq!(served.get("/v1/vteps/second").ok().json()["udp_port"], 4789);
    let used = served.ask("DELETE", "/v1/ports/gr%C3%B6%C3%9Fer", &[ANY], "");
    let used = used.problem(409, "conflict");
    assert_eq!(used["errors"][0]["pointer"], "/vtep/1/port");
    served.ask("DELETE", "/v1/vteps/second", &[ANY], "").ok();
    served.ask("DELETE", "/v1/ports/gr%C3%B6%C3%9Fer", &[ANY], "").ok();
    assert_eq!(names(&served.get("/v1/ports").ok().json()), ["uplink", "a", "b", "spare"]);
    assert_eq!(names(&served.get("/v1/vteps").ok().json()), ["fabric"]);
}

#[test]
fn a_migration_is_one_change() {
    let served = Served::default();
    let mac = json!({"address": "02:00:00:00:00:0a", "port": "a"});
    served.change("POST", "/v1/networks/blue/macs", &mac).ok();
    let there = json!({"port": {"name": "a", "from": "blue", "to": "red"}});
    let moved = served.change("POST", "/v1/migrate", &there).ok().json();
    assert_eq!(moved["generation"], 3);
    assert_eq!(served.get("/v1/networks/red").ok().json()["ports"], json!(["b", "a"]));
    assert_eq!(served.get("/v1/networks/red/macs").ok().json(), json!([mac]));
    let again = served.change("POST", "/v1/migrate", &there).problem(404, "not-found");
    assert_eq!(again["errors"][0]["pointer"], "/port/name");

    let home = json!({
        "mac": {"network": "blue", "address": "02:00:00:00:00:09", "remote-vtep": "198.51.100.3"},
    });
    served.change("POST", "/v1/migrate", &home).ok();
    let macs = served.get("/v1/networks/blue/macs").ok().json();
    assert_eq!(macs[0]["remote-vtep"], "198.51.100.3");
    let wrong = json!({
        "mac": {"network": "blue", "address": "02:00:00:00:00:09", "remote-vtep": "198.51.100.999"},
    });
    let wrong = served.change("POST", "/v1/migrate", &wrong).problem(422, "invalid");
    assert_eq!(wrong["errors"][0]["pointer"], "/mac/remote-vtep");
    assert_eq!(served.get("/v1/config").ok().etag(), "\"4\"");
}

#[test]
fn the_running_configuration_applies_without_a_difference_in_both_formats() {
    let served = Served::default();
    let toml = served.ask("GET", "/v1/config", &[("accept", "application/toml")], "").ok();
    assert_eq!(toml.header("content-type"), Some("application/toml"));
    let config = config::parse("answer.toml", &toml.body).unwrap();
    assert_eq!(config.networks, config::parse("test.toml", CONFIG).unwrap().networks);
    let json = served.get("/v1/config").ok();
    for (form, text) in [(TOML, &toml.body), (JSON, &json.body)] {
        let plan = served.ask("POST", "/v1/plan", &[form], text).ok();
        assert_eq!(plan.json(), json!({"steps": []}));
        assert_eq!(plan.etag(), json.etag());
    }
    served.ask("GET", "/v1/config", &[("accept", "text/html")], "").problem(406, "not-acceptable");
}

#[test]
fn a_plan_changes_nothing_and_applying_does_what_it_said() {
    let served = Served::default();
    let next = CONFIG.replace("vni = 200", "vni = 201");
    let plan = served.ask("POST", "/v1/plan", &[TOML], &next).ok().json();
    assert_eq!(plan["steps"][0]["changes"][0]["to"], "201");
    assert_eq!(served.get("/v1/networks/red").ok().json()["vni"], 200);
    let applied = served.ask("POST", "/v1/apply", &[TOML, ("if-match", "\"1\"")], &next).ok();
    assert_eq!(applied.json()["plan"], plan);
    assert_eq!(applied.etag(), "\"2\"");
    assert_eq!(served.get("/v1/networks/red").ok().json()["vni"], 201);
    // A port that nothing uses was a warning of the file; here it is one, too.
    let warning = &applied.json()["warnings"][0];
    assert!(warning["message"].as_str().unwrap().contains("spare"), "{warning}");
}

#[test]
fn a_file_that_is_wrong_in_the_middle_changes_nothing() {
    let served = Served::default();
    let before = served.get("/v1/config").ok();
    let wrong = CONFIG.replace("name = \"red\"\nvni = 200", "name = \"red\"\nvni = 0");
    for path in ["/v1/plan", "/v1/apply"] {
        let problem = served.ask("POST", path, &[TOML, ANY], &wrong).problem(422, "invalid");
        let error = &problem["errors"][0];
        assert_eq!((&error["line"], &error["column"]), (&json!(31), &json!(7)), "{problem}");
        assert!(error["help"].as_str().unwrap().contains("from 1 to"), "{problem}");
    }
    let mut document = before.json();
    document["network"][1]["vni"] = json!(0);
    document["network"][0]["mac"][0]["address"] = json!("zero");
    let problem = served.change("POST", "/v1/apply", &document).problem(422, "invalid");
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str()).collect();
    assert_eq!(pointers, [Some("/network/0/mac/0/address"), Some("/network/1/vni")]);
    let after = served.get("/v1/config").ok();
    assert_eq!((after.etag(), &after.body), (before.etag(), &before.body));
}

#[test]
fn of_two_who_change_the_same_generation_one_is_told() {
    let served = Served::default();
    let (one, two) = (served.get("/v1/config").ok(), served.get("/v1/networks").ok());
    assert_eq!(one.etag(), two.etag());
    let body = |vni: u32| json!({"vni": vni}).to_string();
    let first =
        served.ask("PATCH", "/v1/networks/red", &[JSON, ("if-match", one.etag())], &body(201));
    assert_eq!(first.ok().etag(), "\"2\"");
    let second =
        served.ask("PATCH", "/v1/networks/red", &[JSON, ("if-match", two.etag())], &body(202));
    let problem = second.problem(412, "precondition-failed");
    assert_eq!(problem["generation"], 2);
    assert_eq!(served.get("/v1/networks/red").ok().json()["vni"], 201);
    let without = served.ask("PATCH", "/v1/networks/red", &[JSON], &body(202));
    let problem = without.problem(428, "precondition-required");
    assert_eq!(problem["errors"][0]["pointer"], "/if-match");
}

/// Each adds a network to what he has just read, and tries again when somebody else was faster.
#[test]
fn many_who_change_at_once_lose_nothing() {
    let served = Served::default();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let served = &served;
            scope.spawn(move || {
                for n in 0..10 {
                    let vni = 1000 + client * 100 + n;
                    let body = json!({"name": format!("n{vni}"), "vni": vni}).to_string();
                    loop {
                        let seen = served.get("/v1/config").ok();
                        let headers = [JSON, ("if-match", seen.etag())];
                        let said = served.ask("POST", "/v1/networks", &headers, &body);
                        if said.status == 201 {
                            break;
                        }
                        said.problem(412, "precondition-failed");
                    }
                }
            });
        }
    });
    assert_eq!(served.get("/v1/networks").ok().json().as_array().unwrap().len(), 82);
    assert_eq!(served.get("/v1/config").ok().etag(), "\"81\"");
}

#[test]
fn a_change_stays_if_it_is_confirmed_and_goes_if_not() {
    let served = Served::default();
    let next = CONFIG.replace("vni = 200", "vni = 201");
    let vni = || served.get("/v1/networks/red").ok().json()["vni"].clone();
    served.ask("POST", "/v1/confirm", &[], "").problem(409, "nothing-pending");
    served.ask("POST", "/v1/roll-back", &[], "").problem(409, "nothing-pending");

    let path = "/v1/apply?confirm-within-secs=60";
    let applied = served.ask("POST", path, &[TOML, ANY], &next).ok().json();
    assert!(applied["confirm_before_unix_millis"].as_u64().unwrap() > 1_700_000_000_000);
    let other = served.ask("POST", "/v1/apply", &[TOML, ANY], CONFIG);
    other.problem(409, "awaits-confirmation");
    let of_another = [("if-match", "\"1\"")];
    served.ask("POST", "/v1/confirm", &of_another, "").problem(412, "precondition-failed");
    assert_eq!(served.ask("POST", "/v1/confirm", &[], "").ok().json(), json!({"generation": 2}));
    assert_eq!(vni(), 201);

    served.ask("POST", path, &[TOML, ANY], CONFIG).ok();
    assert_eq!(vni(), 200);
    let back = served.ask("POST", "/v1/roll-back", &[], "").ok();
    assert_eq!((back.etag(), back.json()), ("\"4\"", json!({"generation": 4})));
    assert_eq!(vni(), 201);

    served.ask("POST", "/v1/apply?confirm-within-secs=1", &[TOML, ANY], CONFIG).ok();
    assert_eq!(vni(), 200);
    let began = Instant::now();
    while vni() == 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "it did not go back");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// It would keep everybody else from changing anything until it expires.
#[test]
fn what_changes_nothing_does_not_wait_to_be_confirmed() {
    let served = Served::default();
    let path = "/v1/apply?confirm-within-secs=60";
    let applied = served.ask("POST", path, &[TOML, ANY], CONFIG).ok().json();
    assert_eq!(applied["confirm_before_unix_millis"], json!(null));
    served.ask("POST", "/v1/confirm", &[], "").problem(409, "nothing-pending");
}

#[test]
fn what_the_switch_refuses_is_passed_on() {
    let refused = |refusal| {
        let mut fake = fake();
        fake.refusal = Some(refusal);
        let served = Served::new(fake);
        let port = json!({"name": "c", "device": "net_null9"});
        let said = served.change("POST", "/v1/ports", &port);
        assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"");
        said
    };
    let refusal = |pointer: Option<&str>| ApplyError::Refused {
        pointer: pointer.map(str::to_owned),
        message: "no such device".to_owned(),
        help: "look".to_owned(),
    };
    let device = refused(refusal(Some("/port/4/device"))).problem(422, "invalid");
    let error = &device["errors"][0];
    assert_eq!((&error["in"], &error["pointer"]), (&json!("body"), &json!("/device")));
    assert_eq!((&error["detail"], &error["help"]), (&json!("no such device"), &json!("look")));
    let other = refused(refusal(Some("/port/3/device"))).problem(409, "conflict");
    assert_eq!(other["errors"][0]["in"], "configuration");
    refused(refusal(None)).problem(409, "conflict");
    let storage = ApplyError::Storage { message: "disk full".into(), help: "make room".into() };
    refused(storage).problem(507, "storage");

    let served = Served::default();
    let larger = format!("[fdb]\ncapacity = 64\n{CONFIG}");
    let restart = served.ask("POST", "/v1/apply", &[TOML, ANY], &larger);
    let restart = restart.problem(409, "needs-restart");
    assert_eq!(restart["steps"][0]["name"], "fdb.capacity");
}
