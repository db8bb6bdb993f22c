use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{arbitrary, parse};

/// Carries out a plan on a document in the most literal way, and checks that each value before was
/// what the plan says. A difference that the plan does not tell is missing from the result.
fn carry_out(plan: &Plan, document: &Document) -> Document {
    let mut document = serde_json::to_value(document).unwrap();
    let removed_first = |step: &&Step| step.action != Action::Remove;
    let (later, first): (Vec<_>, Vec<_>) = plan.steps.iter().partition(removed_first);
    // Networks before what is in them, whether they come or go.
    for step in first.into_iter().chain(later) {
        match step.kind {
            Kind::Setting => {
                let (table, _) = step.name.split_once('.').unwrap();
                change(&mut document[table], &step.changes);
            }
            Kind::Port => thing(&mut document["port"], "name", step),
            Kind::Vtep => thing(&mut document["vtep"], "name", step),
            Kind::Network => thing(&mut document["network"], "name", step),
            Kind::Member => {
                let [change] = &step.changes[..] else { panic!("{step:?}") };
                if let Some(from) = &change.from
                    && let Some(from) = find(&mut document["network"], "name", from)
                {
                    remove(&mut from["port"], "port", &step.name);
                }
                if let Some(to) = &change.to {
                    let to = find(&mut document["network"], "name", to).unwrap();
                    to["port"].as_array_mut().unwrap().push(json!({ "port": step.name }));
                }
            }
            Kind::RemoteVtep => {
                let network = step.network.as_ref().unwrap();
                let network = find(&mut document["network"], "name", network).unwrap();
                let list = network["remote-vteps"].as_array_mut().unwrap();
                match step.action {
                    Action::Add => list.push(json!(step.name)),
                    _ => list.retain(|address| *address != json!(step.name)),
                }
            }
            Kind::Mac => {
                let network = step.network.as_ref().unwrap();
                let network = find(&mut document["network"], "name", network).unwrap();
                let [change] = &step.changes[..] else { panic!("{step:?}") };
                if step.action != Action::Add {
                    let was = remove(&mut network["mac"], "address", &step.name);
                    assert_eq!(was, mac(&step.name, change.from.as_ref().unwrap()));
                }
                if let Some(to) = &change.to {
                    network["mac"].as_array_mut().unwrap().push(mac(&step.name, to));
                }
            }
        }
    }
    serde_json::from_value(document).unwrap()
}

fn find<'v>(list: &'v mut Value, key: &str, name: &str) -> Option<&'v mut Value> {
    list.as_array_mut().unwrap().iter_mut().find(|thing| thing[key] == name)
}

fn remove(list: &mut Value, key: &str, name: &str) -> Value {
    let list = list.as_array_mut().unwrap();
    let index = list.iter().position(|thing| thing[key] == name).unwrap();
    list.remove(index)
}

fn thing(list: &mut Value, key: &str, step: &Step) {
    match step.action {
        Action::Remove => {
            let mut was = remove(list, key, &step.name);
            change(&mut was, &step.changes);
        }
        Action::Change => change(find(list, key, &step.name).unwrap(), &step.changes),
        Action::Add => {
            let mut new = json!({ key: step.name });
            if step.kind == Kind::Network {
                new["port"] = json!([]);
                new["mac"] = json!([]);
                new["remote-vteps"] = json!([]);
            }
            change(&mut new, &step.changes);
            list.as_array_mut().unwrap().push(new);
        }
    }
}

fn mac(address: &str, home: &str) -> Value {
    match home.strip_prefix("port ") {
        Some(port) => json!({ "address": address, "port": port }),
        None => {
            json!({ "address": address, "remote-vtep": home.strip_prefix("remote VTEP ").unwrap() })
        }
    }
}

fn change(table: &mut Value, changes: &[FieldChange]) {
    for FieldChange { field, from, to } in changes {
        assert_ne!(from, to);
        if let Some(address) = field.strip_prefix("mac ") {
            match to {
                Some(to) => table["mac"].as_array_mut().unwrap().push(mac(address, to)),
                None => assert_eq!(
                    remove(&mut table["mac"], "address", address),
                    mac(address, from.as_ref().unwrap())
                ),
            }
            continue;
        }
        let value = |text: &String| match field.as_str() {
            "device" | "port" | "vtep" | "address" | "host-interface" | "mac" | "socket"
            | "metrics" | "group" | "listen" | "tls-certificate" | "tls-key" | "token-file" => {
                json!(text)
            }
            "remote-vteps" => text.split(", ").collect(),
            _ => serde_json::from_str(text).unwrap(),
        };
        let was = table.get(field).cloned().filter(|was| *was != json!([]));
        assert_eq!(was, from.as_ref().map(value).filter(|was| *was != json!([])), "{field}");
        match to {
            Some(to) => table[field] = value(to),
            None => drop(table.as_object_mut().unwrap().remove(field)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_difference_appears_and_nothing_else(
        old in arbitrary::config(),
        new in arbitrary::config(),
    ) {
        let plan = Plan::between(&old, &new);
        let (old, new) = (Document::from(&old), Document::from(&new).sorted());
        prop_assert_eq!(plan.is_empty(), old.clone().sorted() == new);
        prop_assert_eq!(carry_out(&plan, &old).sorted(), new);
        let text = plan.to_string();
        for step in &plan.steps {
            prop_assert!(text.contains(&step.name), "{}\n{}", step.name, text);
        }
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }

    #[test]
    fn there_is_no_difference_to_oneself_in_any_order(config in arbitrary::odd_config()) {
        prop_assert_eq!(Plan::between(&config, &config), Plan::default());
        let sorted = Document::from(&config).sorted().check().unwrap();
        prop_assert_eq!(Plan::between(&config, &sorted), Plan::default());
    }

    #[test]
    fn the_way_back_undoes_each_step(old in arbitrary::config(), new in arbitrary::config()) {
        let there = Plan::between(&old, &new);
        let back = Plan::between(&new, &old);
        prop_assert_eq!(there.steps.len(), back.steps.len());
        for step in &there.steps {
            let undone = back.steps.iter().any(|other| {
                let opposite = match step.action {
                    Action::Add => Action::Remove,
                    Action::Change => Action::Change,
                    Action::Remove => Action::Add,
                };
                (other.kind, &other.name, other.action) == (step.kind, &step.name, opposite)
            });
            prop_assert!(undone, "{:?}", step);
        }
    }
}

const OLD: &str = r#"
[[port]]
name = "uplink"
device = "net_af_packet0,iface=up"
[[port]]
name = "a"
device = "net_af_packet1,iface=a"
[[port]]
name = "b"
device = "net_af_packet2,iface=b"
mtu = 1500
[[port]]
name = "spare"
device = "net_af_packet3,iface=s"
[[vtep]]
name = "fabric"
port = "uplink"
address = "198.51.100.1/24"
host-interface = "vtep0"
[[network]]
name = "blue"
vni = 100
vtep = "fabric"
remote-vteps = ["198.51.100.2"]
  [[network.port]]
  port = "a"
  [[network.mac]]
  address = "02:00:00:00:00:09"
  remote-vtep = "198.51.100.2"
[[network]]
name = "green"
vni = 200
  [[network.port]]
  port = "b"
"#;

/// The text of the plan from OLD to OLD with replacements.
fn plan(replacements: &[(&str, &str)]) -> String {
    let mut new = OLD.to_owned();
    for (from, to) in replacements {
        assert_eq!(new.matches(from).count(), 1, "{from}");
        new = new.replace(from, to);
    }
    let read = |text: &str| parse("f", text).unwrap_or_else(|errors| panic!("{errors}"));
    Plan::between(&read(OLD), &read(&new)).to_string()
}

#[test]
fn no_difference_says_so() {
    assert_eq!(plan(&[]), "no difference");
}

#[test]
fn a_move_is_one_step() {
    let expected = "\
~ member b: network green → blue
    loss-free; concerns stations on port b, which leave network green for blue

1 step: 0 to add, 1 to change, 0 to remove; all loss-free";
    let to = [
        ("  [[network.port]]\n  port = \"b\"\n", ""),
        ("port = \"a\"\n", "port = \"a\"\n[[network.port]]\nport = \"b\"\n"),
    ];
    assert_eq!(plan(&to), expected);
}

#[test]
fn what_is_in_a_network_that_stays_has_its_own_steps() {
    let expected = "\
~ network blue: mac-ageing-secs 300 → 60
    loss-free; concerns network blue
- remote VTEP 198.51.100.2 in network blue
    interrupts hosts behind 198.51.100.2, which leave network blue
+ remote VTEP 198.51.100.3 in network blue
    loss-free; concerns hosts behind 198.51.100.3, which get the flooded frames of network blue
~ MAC 02:00:00:00:00:09 in network blue: remote VTEP 198.51.100.2 → port a
    loss-free; concerns frames to 02:00:00:00:00:09 in network blue

4 steps: 1 to add, 2 to change, 1 to remove; 1 step interrupts traffic";
    let to = [
        (
            "remote-vteps = [\"198.51.100.2\"]",
            "remote-vteps = [\"198.51.100.3\"]\nmac-ageing-secs = 60",
        ),
        ("remote-vtep = \"198.51.100.2\"", "port = \"a\""),
    ];
    assert_eq!(plan(&to), expected);
}

#[test]
fn the_last_static_mac_behind_a_remote_vtep_takes_it_along() {
    let mac = |n: u32, home: &str| {
        format!(
            "[[network.mac]]\naddress = \"02:00:00:00:00:{n:02}\"\n\
             remote-vtep = \"198.51.100.{home}\"\n"
        )
    };
    let of = |macs: &[String]| {
        let mut text = OLD.to_owned();
        // Network blue, which floods to 198.51.100.2, comes before green.
        text.insert_str(text.find("[[network]]\nname = \"green\"").unwrap(), &macs.concat());
        parse("f", &text).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let step = |old: &[String], new: &[String]| {
        let plan = Plan::between(&of(old), &of(new)).to_string();
        plan.lines().nth(1).unwrap().trim().to_owned()
    };
    let frames = "loss-free; concerns frames to 02:00:00:00:00:11 in network blue";
    assert_eq!(
        step(&[mac(11, "3")], &[]),
        "interrupts hosts behind 198.51.100.3, which leave network blue"
    );
    assert_eq!(
        step(&[mac(11, "3")], &[mac(11, "4")]),
        format!("{frames}, and hosts behind 198.51.100.3, which leave it")
    );
    // Somebody else is there.
    assert_eq!(step(&[mac(11, "3"), mac(12, "3")], &[mac(12, "3")]), frames);
    assert_eq!(step(&[mac(11, "2")], &[]), frames);
}

#[test]
fn networks_come_and_go_with_all_they_have() {
    let expected = "\
- network blue: vni 100, vtep fabric, mac-ageing-secs 300, remote-vteps 198.51.100.2, mac 02:00:00:00:00:09 remote VTEP 198.51.100.2
    loss-free; concerns stations of network blue, which lose it
+ network azure: vni 100, vtep fabric, mac-ageing-secs 300, remote-vteps 198.51.100.2, mac 02:00:00:00:00:09 remote VTEP 198.51.100.2
    loss-free; concerns network azure
~ member a: network blue → azure
    loss-free; concerns stations on port a, which leave network blue for azure

3 steps: 1 to add, 1 to change, 1 to remove; all loss-free";
    assert_eq!(plan(&[("\"blue\"", "\"azure\"")]), expected);
}

#[test]
fn ports_and_vteps_that_change_interrupt_who_uses_them() {
    let expected = "\
~ port uplink: mtu none → 9000
    interrupts remote traffic of network blue, and the host's own traffic on interface vtep0
~ port b: mtu 1500 → 1400
    interrupts stations on port b, in network green
~ port spare: device net_af_packet3,iface=s → net_af_packet3,iface=t
    loss-free; concerns port spare
~ VTEP fabric: udp-port 4789 → 8472
    interrupts remote traffic of network blue, and the host's own traffic on interface vtep0
~ network blue: vni 100 → 101
    interrupts remote traffic of network blue
~ network green: vni 200 → 201
    loss-free; concerns network green

6 steps: 0 to add, 6 to change, 0 to remove; 4 steps interrupt traffic";
    let to = [
        ("iface=up\"", "iface=up\"\nmtu = 9000"),
        ("mtu = 1500", "mtu = 1400"),
        ("iface=s", "iface=t"),
        ("\"vtep0\"", "\"vtep0\"\nudp-port = 8472"),
        ("vni = 100", "vni = 101"),
        ("vni = 200", "vni = 201"),
    ];
    assert_eq!(plan(&to), expected);
}

#[test]
fn what_goes_for_good_interrupts_who_used_it() {
    let expected = "\
- port b: device net_af_packet2,iface=b, mtu 1500
    interrupts stations on port b, in network green
- network green: vni 200, mac-ageing-secs 300
    loss-free; concerns stations of network green, which lose it
- member b: network green
    interrupts stations on port b, which leave network green

3 steps: 0 to add, 0 to change, 3 to remove; 2 steps interrupt traffic";
    let to = [
        ("[[port]]\nname = \"b\"\ndevice = \"net_af_packet2,iface=b\"\nmtu = 1500\n", ""),
        ("[[network]]\nname = \"green\"\nvni = 200\n  [[network.port]]\n  port = \"b\"\n", ""),
    ];
    assert_eq!(plan(&to), expected);
}

#[test]
fn settings_need_a_restart() {
    let expected = "\
~ setting dpdk.memory-mib: 512 → 1024
    needs a restart: DPDK takes cores and memory once, at its start
~ setting dpdk.packet-buffers: none → 4096
    needs a restart: DPDK takes cores and memory once, at its start
~ setting dpdk.eal-args: [] → [\"--log-level=debug\", \"\\u001b[2J\"]
    needs a restart: DPDK takes cores and memory once, at its start
~ setting api.metrics: 127.0.0.1:9144 → 127.0.0.1:9145
    needs a restart: the API's socket and the address of the metrics are opened at the start
~ setting fdb.capacity: 1048576 → 64
    needs a restart: the greatest size of the table is fixed at the start

5 steps: 0 to add, 5 to change, 0 to remove; 5 steps need a restart";
    let settings = "[dpdk]\nmemory-mib = 1024\npacket-buffers = 4096\n\
        eal-args = [\"--log-level=debug\", \"\\u001b[2J\"]\n\
        [api]\nmetrics = \"127.0.0.1:9145\"\n[fdb]\ncapacity = 64\n";
    let first = "[[port]]\nname = \"uplink\"";
    assert_eq!(plan(&[(first, &format!("{settings}{first}"))]), expected);
}
