//! Each verb, its text and its JSON, and what is said when it cannot be done.

use serde_json::json;

use crate::served::{Served, fake};
use vswitch::control::events::Whereabouts;

#[test]
fn networks_are_made_changed_and_deleted() {
    let served = Served::default();
    let made = served.types("network create green --vni 300 --vtep fabric --port spare").ok();
    assert_eq!(made.lines().last(), Some("applied: generation 2"), "{made}");
    assert!(made.starts_with("+ network green: "), "{made}");
    assert!(made.contains("loss-free"), "{made}");

    served.types("network remote-vtep add green 198.51.100.7").ok();
    served.types("network detach green spare").ok();
    served.types("network attach green spare").ok();
    let row = served.types("network show green --json").json();
    assert_eq!(row["ports"], json!(["spare"]));
    assert_eq!(row["remote_vteps"], json!(["198.51.100.7"]));
    served.types("network remote-vtep remove green 198.51.100.7").ok();
    let text = served.types("network show green").ok();
    assert!(text.starts_with("NETWORK  VNI  VTEP    PORTS  REMOTE VTEPS  AGEING"), "{text}");
    assert!(text.ends_with("\n\nno static MACs\n"), "{text}");
    let all = served.types("network show").ok();
    assert_eq!(all, served.types("show networks").ok());
    assert_eq!(all.lines().count(), 4);

    let gone = served.types("network delete green --json").json();
    assert_eq!(gone["generation"], 7);
    assert_eq!(gone["plan"]["steps"][0]["action"], "remove");
    assert_eq!(served.types("network show").ok().lines().count(), 3);
}

#[test]
fn ports_and_vteps_are_added_and_removed() {
    let served = Served::default();
    served.types("port add up2 --device net_null9 --mtu 1600 --queues 1").ok();
    let added = served
        .types("vtep add second --port up2 --address 203.0.113.1/24 --host-interface vtep1")
        .ok();
    assert!(added.starts_with("+ VTEP second: "), "{added}");
    let used = served.types("port remove up2").failed(1);
    assert_eq!(
        used,
        "vswitch: error: in the configuration, vtep/1/port: port `up2` is the uplink of VTEP `second`\n\
         help: remove the VTEP first\n"
    );
    served.types("vtep remove second").ok();
    let removed = served.types("port remove up2").ok();
    assert_eq!(removed.lines().last(), Some("applied: generation 5"), "{removed}");
}

#[test]
fn macs_are_added_removed_moved_and_forgotten() {
    let mut switch = fake();
    for (network, mac, port) in
        [("blue", "02:00:00:00:00:01", "a"), ("red", "02:00:00:00:00:02", "b")]
    {
        let at = Whereabouts { port: Some(port.into()), remote_vtep: None };
        switch.learn((network.into(), mac.parse().unwrap(), at));
    }
    let served = Served::new(switch);
    let mac = "02:00:00:00:00:0a";
    let added = served.types(&format!("mac add blue {mac} --port a")).ok();
    assert!(added.starts_with(&format!("+ MAC {mac} in network blue: ")), "{added}");
    let moved = served.types(&format!(
        "network migrate --mac {mac} --network blue --to-remote-vtep 198.51.100.2"
    ));
    let moved = moved.ok();
    assert!(moved.starts_with(&format!("~ MAC {mac} in network blue: ")), "{moved}");
    let shown = served.types("network show blue").ok();
    assert!(shown.contains(&format!("{mac}  vtep 198.51.100.2")), "{shown}");
    served.types(&format!("mac remove blue {mac}")).ok();

    let moved = served.types("network migrate --port a --from blue --to red").ok();
    assert!(moved.starts_with("~ member a"), "{moved}");
    assert_eq!(moved.lines().last(), Some("applied: generation 5"));
    let again = served.types("network migrate --port a --from red --to red").ok();
    assert_eq!(again, "no difference\nunchanged: generation 5\n");

    assert_eq!(served.types("mac flush --network blue").ok(), "1 learned MAC forgotten\n");
    assert_eq!(served.types("mac flush --json").json(), json!({"flushed": 1}));
    assert_eq!(served.types("mac flush").ok(), "0 learned MACs forgotten\n");
    // Not a change of the configuration.
    let generation = served.get("/v1/config").ok().etag().to_owned();
    assert_eq!(generation, "\"5\"");
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let served = Served::default();
    for (line, status, words) in [
        ("network create green --vni 0", 2, "error: vni: "),
        ("network create green --vni 100", 2, "error: vni: "),
        ("network create blue --vni 7", 1, "there is a network `blue` already"),
        ("network create green --vni 7 --port nope", 2, "port/0/port: no port is named `nope`"),
        ("network delete Blue", 1, "there is no network `Blue`\nhelp: did you mean `blue`? known"),
        ("network attach blue b", 1, "port: port `b` is in network `red`\nhelp: "),
        ("network attach blue a", 1, "port: network `blue` has port `a` already\nhelp: "),
        ("network detach blue b", 1, "network `blue` has no port `b`\nhelp: its ports: `a`"),
        ("network remote-vtep remove blue 1.2.3.4", 1, "has no remote VTEP `1.2.3.4`\nhelp: its"),
        ("network create green --vni -5", 2, "vni: `vni` is -5"),
        ("network show nope", 1, "there is no network `nope`"),
        ("network remote-vtep add blue 1.2.3", 2, "address: "),
        ("mac add blue zz --port a", 2, "address: "),
        ("mac flush --mac zz", 2, "mac: `zz` is not a MAC address"),
        ("mac flush --network nope", 1, "there is no network `nope`"),
        ("port add x --device net_null1", 2, "device: "),
        ("port remove nope", 1, "there is no port `nope`"),
        ("port remove a", 1, "port `a` is in network `blue`\nhelp: take it"),
        ("vtep remove fabric", 1, "network/0/vtep"),
        ("confirm", 1, "no change waits to be confirmed\nhelp: "),
        ("roll-back", 1, "no change waits to be confirmed\nhelp: "),
    ] {
        let said = served.types(line).failed(status);
        assert!(said.starts_with("vswitch: error: ") && said.contains(words), "{line}: {said}");
        assert!(said.contains("help: "), "{line}: {said}");
        assert!(!said.contains("/v1/"), "{line}: {said}");
    }
    assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"");
}

#[test]
fn a_switch_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none");
    let mut command = crate::typed::vswitch();
    command.args(["network", "delete", "blue", "--socket"]).arg(&socket);
    let said = crate::typed::ended(command, "").failed(1);
    let expected = format!("{}: error: there is no such socket\nhelp: ", socket.display());
    assert!(said.starts_with(&expected), "{said}");
}
