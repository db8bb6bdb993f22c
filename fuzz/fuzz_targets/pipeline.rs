//! Arbitrary bytes through the whole pipeline in memory: it never panics, accounts for every frame
//! and gives every buffer back.
//!
//! The input is a sequence of frames, each as a byte that chooses the port, two bytes of length
//! (little-endian), and its contents.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vswitch::config;
use vswitch::ids::{PortId, VtepId};
use vswitch::sim::{Options, Simulation};

const CONFIG: &str = r#"
[fdb]
capacity = 64
[[port]]
name = "uplink"
device = "net_null0"
[[port]]
name = "a"
device = "net_null1"
[[port]]
name = "b"
device = "net_null2"
[[port]]
name = "g"
device = "net_null3"
mtu = 576
[[vtep]]
name = "fabric"
port = "uplink"
address = "198.51.100.1/24"
host-interface = "vtep0"
[[network]]
name = "blue"
vni = 100
vtep = "fabric"
remote-vteps = ["198.51.100.2", "198.51.100.3"]
  [[network.port]]
  port = "a"
  [[network.port]]
  port = "b"
[[network]]
name = "green"
vni = 200
vtep = "fabric"
remote-vteps = ["198.51.100.2"]
  [[network.port]]
  port = "g"
"#;
const PORTS: u16 = 4;

fuzz_target!(|data: &[u8]| {
    let config = config::parse("fuzz.toml", CONFIG).unwrap();
    let options = Options { buffers: 40, transmit_queue: 30, punt_queue: 5, ..Options::default() };
    let mut switch = Simulation::new(config, options).unwrap();
    let (mut rest, mut received) = (data, 0);
    while let [port, low, high, after @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (frame, after) = after.split_at(len);
        received += u64::from(switch.receive(PortId(u16::from(*port) % PORTS), frame));
        rest = after;
    }
    switch.run();
    let left: usize = (0..PORTS).map(|port| switch.transmitted(PortId(port)).len()).sum();
    let punted = switch.punted(VtepId(0)).len();
    let ledger = switch.counters().ledger();
    assert_eq!(ledger.unaccounted(), 0, "{ledger:?}");
    assert_eq!(ledger.received, received);
    assert_eq!(ledger.transmitted, left as u64);
    assert_eq!(ledger.punted, punted as u64);
    assert_eq!(switch.buffers_in_use(), 0);
});
