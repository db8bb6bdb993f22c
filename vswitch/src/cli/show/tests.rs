use super::*;

const PIPE: Look = Look { width: None, colour: false };

const DROPS: &str = r#"[
    {"reason":"no_tunnel","help":"no next hop","port":"","network":"blue","packets":12},
    {"reason":"runt","help":"too short","port":"uplink","network":"","packets":0,"new":1}
]"#;

#[test]
fn zero_drops_are_only_counted() {
    let text = render(What::Drops, DROPS, false, PIPE).unwrap();
    assert_eq!(
        text,
        "REASON     PORT  NETWORK  PACKETS  MEANING\n\
         no_tunnel  -     blue          12  no next hop\n\
         1 row with zero packets (--all shows them)\n"
    );
    let text = render(What::Drops, DROPS, true, PIPE).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.ends_with("too short\n"), "{text}");
}

#[test]
fn an_empty_list_is_a_sentence() {
    for (what, expected) in [
        (What::Ports, "no ports\n"),
        (What::Networks, "no networks\n"),
        (What::Fdb, "no MAC addresses\n"),
        (What::Vteps, "no VTEPs\n"),
        (What::Workers, "no workers\n"),
        (What::Drops, "no drops\n"),
    ] {
        assert_eq!(render(what, "[]", false, PIPE).unwrap(), expected);
    }
}

#[test]
fn each_kind_of_row_has_its_table() {
    let port = r#"[{"name":"uplink","device":"net_tap0","driver":"net_tap",
        "mac":"02:00:00:00:00:01","numa_node":null,"mtu":1500,"rx_queues":1,"tx_queues":2,
        "link":"up","role":"uplink","members":[],"vtep":"fabric","receive_packets":1,
        "receive_bytes":60,"transmit_packets":0,"transmit_bytes":0,"drops":0}]"#;
    let network = r#"[{"name":"blue","vni":100,"vtep":"fabric","ports":["a","b"],
        "remote_vteps":[],"mac_ageing_secs":0,"fdb_entries":1,"fdb_moves":0,"fdb_refused":0,
        "drops":0}]"#;
    let fdb = r#"[{"network":"blue","vni":100,"mac":"02:00:00:00:00:09","port":null,
        "remote_vtep":"198.51.100.2","kind":"static","age_secs":null}]"#;
    let vtep = r#"[{"name":"fabric","address":"198.51.100.1/24","udp_port":4789,
        "port":"uplink","mac":"02:00:00:00:00:01","host_interface":"vtep0","punted_packets":1,
        "host_packets":2,"remotes":[{"address":"198.51.100.2","networks":["blue"],
        "next_hop":null,"next_hop_mac":null,"state":"unresolved","reason":"no route"}]}]"#;
    let worker = r#"[{"worker":0,"core":1,"numa_node":0,"queues":["uplink/0","a/0"],"loops":9,
        "received":8,"transmitted":7,"relayed":0,"replicated":0,"dropped":1,"punted":0,"handed_over":0,
        "busy_cycles":1,"idle_cycles":3,"busy_percent":25.0,"unaccounted":0,
        "learn_events_lost":0}]"#;
    for (what, json, words) in [
        (What::Ports, port, "uplink  uplink  fabric  up    net_tap"),
        (What::Networks, network, "blue     100  fabric  a,b    -              never"),
        (What::Fdb, fdb, "vtep 198.51.100.2  static    -"),
        (What::Vteps, vtep, "unresolved  -         -        blue      no route"),
        (What::Workers, worker, "uplink/0,a/0  25.0 %"),
    ] {
        let text = render(what, json, false, PIPE).unwrap();
        assert!(text.contains(words), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }
    assert!(render(What::Ports, fdb, false, PIPE).is_err());
}

const NETWORKS: &str = r#"[{"name":"blue","vni":100,"vtep":"fabric",
    "ports":["tenant-a","tenant-b","tenant-c"],"remote_vteps":["198.51.100.2"],
    "mac_ageing_secs":0,"fdb_entries":1,"fdb_moves":0,"fdb_refused":0,"drops":3}]"#;

fn networks_at(width: u16) -> String {
    let look = Look { width: Some(width), colour: false };
    render(What::Networks, NETWORKS, false, look).unwrap()
}

#[test]
fn a_narrow_terminal_gets_all_values_uncut() {
    let piped = render(What::Networks, NETWORKS, false, PIPE).unwrap();
    assert_eq!(networks_at(200), piped);
    assert_eq!(piped.lines().count(), 2);

    let folded = networks_at(95);
    assert!(folded.lines().all(|line| line.len() <= 95), "{folded}");
    assert_eq!(folded.lines().count(), 3, "{folded}");
    assert!(folded.contains("tenant-a,tenant-b,  198"), "{folded}");

    let blocks = networks_at(40);
    assert!(blocks.lines().all(|line| line.len() <= 40), "{blocks}");
    assert!(blocks.contains("PORTS         tenant-a,tenant-b,tenant-c\n"), "{blocks}");
    assert_eq!(blocks.lines().count(), 10);
}

#[test]
fn colours_are_added_and_change_nothing_else() {
    let look = Look { width: None, colour: true };
    let text = render(What::Networks, NETWORKS, false, look).unwrap();
    assert!(text.contains("\u{1b}["), "{text:?}");
    let mut plain = String::new();
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap());
    parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
    let trimmed: Vec<_> = plain.lines().map(str::trim_end).collect();
    let piped = render(What::Networks, NETWORKS, false, PIPE).unwrap();
    assert_eq!(trimmed, piped.lines().collect::<Vec<_>>());
}
