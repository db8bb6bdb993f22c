//! Frames explained over the API.

use serde_json::{Value, json};

use crate::served::{Said, Served};

/// From station 1 to station 9, which is behind remote VTEP 198.51.100.2 by configuration.
const FRAME: &str = "020000000009 020000000001 88b5 0011223344556677";

fn ask(served: &Served, body: &Value) -> Said {
    served.ask("POST", "/v1/explain", &[("content-type", "application/json")], &body.to_string())
}

#[test]
fn a_frame_is_explained_by_names() {
    let served = Served::default();
    let said = ask(&served, &json!({"from": {"port": "a"}, "frame": FRAME})).ok();
    assert_eq!(said.etag(), "\"1\"", "the generation that it was explained by");
    let told = said.json();
    assert_eq!(told["summary"], "The frame leaves by port uplink, encapsulated for 198.51.100.2.");
    assert_eq!(told["verdict"], "encapsulated");
    assert_eq!(told["network"], json!({"name": "blue", "vni": 100}));
    let stages: Vec<_> = told["steps"].as_array().unwrap().iter().map(|s| &s["stage"]).collect();
    assert_eq!(stages, ["rx", "parse", "learn", "forward", "encap", "tx"]);
    assert_eq!(
        told["lookups"][1],
        json!({"of": "destination", "network": "blue", "mac": "02:00:00:00:00:09",
            "entry": {"remote_vtep": "198.51.100.2", "kind": "static"}})
    );
    assert_eq!(told["learns"]["what"], "learned");
    let copy = &told["copies"][0];
    assert_eq!(copy["to"], json!({"port": "uplink"}));
    assert_eq!(copy["encapsulated"], json!({"remote_vtep": "198.51.100.2", "vni": 100}));
    let layers = copy["frame"]["layers"].as_array().unwrap();
    let layers: Vec<_> = layers.iter().map(|layer| layer["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["ethernet", "ipv4", "udp", "vxlan", "ethernet", "payload"]);
    let hex = copy["frame"]["hex"].as_str().unwrap();
    assert_eq!(hex[100..], FRAME.replace(' ', ""));
    let put = json!({"kind": "put", "at": 0, "length": 50, "hex": hex[..100]});
    assert_eq!(copy["differences"], json!([put]));
    assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"", "nothing was changed");
}

#[test]
fn a_frame_that_is_dropped_names_the_piece_of_configuration() {
    let served = Served::default();
    let told = ask(&served, &json!({"from": {"port": "spare"}, "frame": FRAME})).ok().json();
    assert_eq!(told["verdict"], "dropped");
    let drop = &told["drops"][0];
    assert_eq!((&drop["reason"], &drop["port"]), (&json!("port_unused"), &json!("spare")));
    assert_eq!(drop["cause"]["pointer"], "/port/3");
    assert_eq!(drop["cause"]["by_configuration"], true);
    // The pointer leads into what the API says is configured.
    let config = served.get("/v1/config").ok().json();
    assert_eq!(config.pointer("/port/3/name"), Some(&json!("spare")));
}

#[test]
fn what_is_said_of_a_frame_counts() {
    let served = Served::default();
    let marked = |mark: &str| {
        let mut body = json!({"from": {"port": "a"}, "frame": FRAME});
        body[mark] = json!(true);
        ask(&served, &body).ok().json()["drops"][0]["reason"].clone()
    };
    assert_eq!(marked("stripped-vlan"), "vlan_not_configured");
    assert_eq!(marked("scattered"), "not_contiguous");
    let from_host = json!({"from": {"vtep": "fabric"}, "frame": FRAME});
    let told = ask(&served, &from_host).ok().json();
    assert_eq!(
        (&told["verdict"], &told["steps"][0]["stage"]),
        (&json!("relayed"), &json!("relay"))
    );
    assert_eq!(told["copies"][0]["differences"], json!([]));
    let was = json!({"from": {"port": "a"}, "frame": FRAME,
        "was": {"reason": "transmit_queue_full", "port": "uplink"}});
    let told = ask(&served, &was).ok().json();
    assert_eq!(told["verdict"], "encapsulated", "what would happen now");
    assert_eq!(told["was"]["cause"]["pointer"], "/port/0/queues");
}

#[test]
fn what_is_wrong_with_a_question_is_said() {
    let served = Served::default();
    for (body, status, slug, pointer) in [
        (json!({"from": {"port": "a"}, "frame": "0x00"}), 422, "invalid", "/frame"),
        (json!({"from": {"port": "a"}, "frame": "000"}), 422, "invalid", "/frame"),
        (json!({"from": {"port": "a"}, "frame": ""}), 422, "invalid", "/frame"),
        (json!({"from": {"port": "a"}}), 422, "invalid", "/frame"),
        (json!({"frame": FRAME}), 422, "invalid", "/from"),
        (json!({"from": {"port": "nobody"}, "frame": FRAME}), 404, "not-found", "/from/port"),
        (json!({"from": {"vtep": "nobody"}, "frame": FRAME}), 404, "not-found", "/from/vtep"),
        (
            json!({"from": {"port": "a"}, "frame": FRAME, "was": {"reason": "bad luck"}}),
            422,
            "invalid",
            "/was/reason",
        ),
        (
            json!({"from": {"port": "a"}, "frame": FRAME, "was": {"reason": "runt", "port": "x"}}),
            404,
            "not-found",
            "/was/port",
        ),
        (json!({"from": {"port": "a"}, "frame": FRAME, "vlan": 5}), 422, "invalid", "/vlan"),
    ] {
        let problem = ask(&served, &body).problem(status, slug);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
        assert_ne!(problem["errors"][0]["help"], "", "{problem}");
    }
}
