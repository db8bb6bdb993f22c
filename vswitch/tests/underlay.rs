//! The host interface and the underlay mirror against the kernel.
//!
//! Each test has a thread in a network namespace of its own, which the kernel removes with the
//! thread, whatever the outcome. The kernel has a real TAP there; the test plays the wire behind
//! it: it reads the kernel's frames and answers ARP as the hosts that it has put on that wire.
//!
//! Needs root. Without it the tests fail and say so: a test that skips itself proves nothing.

#![allow(clippy::unwrap_used, reason = "in a test, a step that fails is a failure")]

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, NetSlice};
use etherparse::{PacketBuilder, SlicedPacket};
use nix::sched::{CloneFlags, unshare};
use vswitch::ids::{MacAddr, RemoteId, VtepId};
use vswitch::kernel::host_interface::{HostInterface, HostInterfaceConfig, HostInterfaceError};
use vswitch::kernel::netdev;
use vswitch::kernel::underlay::{LocalVtep, NextHop, Underlay, UnresolvedReason};

const VTEP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const GATEWAY_A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 253);
const GATEWAY_B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 254);
/// Not on the link.
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// The promise: traffic follows within a second.
const PROMISE: Duration = Duration::from_secs(1);

fn mac(last: u8) -> MacAddr {
    MacAddr::from_bytes([2, 0, 0, 0, 1, last])
}

fn config() -> HostInterfaceConfig {
    HostInterfaceConfig {
        name: "vtep0".into(),
        mac: MacAddr::from_bytes([2, 0, 0, 0, 0, 1]),
        address: VTEP,
        prefix_len: 24,
        mtu: 1500,
    }
}

/// Runs a test on a thread in a new network namespace, inside a runtime.
fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes network namespaces and TAPs: run it as root"
    );
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { test().await });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` in the thread's namespace.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
}

fn ip_says(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn resolved(mac: MacAddr, gateway: Option<Ipv4Addr>) -> NextHop {
    NextHop::Resolved { mac, gateway }
}

fn unresolved(reason: UnresolvedReason) -> NextHop {
    NextHop::Unresolved { gateway: None, reason }
}

fn remote(address: Ipv4Addr) -> RemoteId {
    RemoteId { vtep: VtepId(0), address }
}

/// The wire behind the TAP, and the hosts on it.
struct Wire {
    tap: HostInterface,
    hosts: HashMap<Ipv4Addr, MacAddr>,
    /// ARP requests seen, of which to a MAC address and not to all.
    requests: u32,
    unicast: u32,
    others: Vec<Vec<u8>>,
}

impl Wire {
    fn new(config: HostInterfaceConfig) -> Self {
        let tap = HostInterface::create(config).expect("a host interface");
        Self { tap, hosts: HashMap::new(), requests: 0, unicast: 0, others: Vec::new() }
    }

    fn host(mut self, address: Ipv4Addr, mac: MacAddr) -> Self {
        self.hosts.insert(address, mac);
        self
    }

    /// Reads what the kernel sent and answers as the hosts would.
    fn serve(&mut self) {
        let mut frame = [0; 2048];
        while let Ok(Some(len)) = self.tap.try_read(&mut frame) {
            self.hear(&frame[..len]);
        }
    }

    fn hear(&mut self, frame: &[u8]) {
        let packet = SlicedPacket::from_ethernet(frame).expect("the kernel sends valid frames");
        let to = MacAddr::from_bytes(frame[..6].try_into().unwrap());
        let Some(NetSlice::Arp(arp)) = packet.net else {
            self.others.push(frame.to_vec());
            return;
        };
        if arp.operation() != ArpOperation::REQUEST {
            return;
        }
        self.requests += 1;
        self.unicast += u32::from(!to.is_multicast());
        let target: [u8; 4] = arp.target_protocol_addr().try_into().unwrap();
        let target = Ipv4Addr::from(target);
        // A host hears what is sent to it or to all.
        if let Some(&host) = self.hosts.get(&target)
            && (to == host || to == MacAddr::BROADCAST)
        {
            let asker: [u8; 6] = arp.sender_hw_addr().try_into().unwrap();
            let sender: [u8; 4] = arp.sender_protocol_addr().try_into().unwrap();
            self.send_arp(ArpOperation::REPLY, (host, target), (asker, sender.into()), asker);
        }
    }

    /// A gratuitous ARP request (RFC 5227 §3).
    fn announce(&mut self, address: Ipv4Addr, mac: MacAddr) {
        self.hosts.insert(address, mac);
        self.send_arp(ArpOperation::REQUEST, (mac, address), ([0; 6], address), [0xff; 6]);
    }

    fn send_arp(
        &self,
        operation: ArpOperation,
        from: (MacAddr, Ipv4Addr),
        target: ([u8; 6], Ipv4Addr),
        to: [u8; 6],
    ) {
        let from_mac = from.0.to_bytes();
        let arp = ArpPacket::new(
            ArpHardwareId::ETHERNET,
            EtherType::IPV4,
            operation,
            &from_mac,
            &from.1.octets(),
            &target.0,
            &target.1.octets(),
        );
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(from_mac, to).arp(arp.unwrap()).write(&mut frame).unwrap();
        assert!(self.tap.try_write(&frame).expect("the TAP takes frames"));
    }
}

/// The mirror under test, beside the wire, and what the mirror last said.
struct Bench {
    wire: Wire,
    underlay: Underlay,
    said: HashMap<RemoteId, NextHop>,
    changes: usize,
}

impl Bench {
    fn new(wire: Wire, remotes: &[Ipv4Addr]) -> Self {
        let local = LocalVtep { vtep: VtepId(0), if_index: wire.tap.ifindex(), address: VTEP };
        let remotes = remotes.iter().map(|r| remote(*r)).collect();
        let underlay = Underlay::new(vec![local], remotes).expect("an underlay mirror");
        Self { wire, underlay, said: HashMap::new(), changes: 0 }
    }

    /// Runs wire and mirror until the mirror says `next_hop` of the remote; how long that took.
    async fn until(&mut self, address: Ipv4Addr, next_hop: NextHop, limit: Duration) -> Duration {
        let start = Instant::now();
        while self.said.get(&remote(address)) != Some(&next_hop) {
            let left = limit.checked_sub(start.elapsed()).unwrap_or_else(|| {
                let said = self.said.get(&remote(address));
                panic!("{address}: not {next_hop:?} within {limit:?} but {said:?}")
            });
            self.step(left).await;
        }
        start.elapsed()
    }

    async fn run(&mut self, time: Duration) {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed()) {
            self.step(left).await;
        }
    }

    async fn step(&mut self, at_most: Duration) {
        tokio::select! {
            changes = self.underlay.next_change() => {
                let changes = changes.expect("the mirror works");
                assert!(!changes.is_empty(), "a change is one");
                self.changes += changes.len();
                for (id, next_hop) in changes {
                    let before = self.said.insert(id, next_hop.clone());
                    assert_ne!(before, Some(next_hop), "nothing is said twice");
                }
            }
            ready = self.wire.tap.readable() => {
                ready.expect("the TAP can be waited for");
                self.wire.serve();
            }
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

#[test]
fn an_on_link_remote_resolves() {
    in_namespace(|| async {
        let mut bench = Bench::new(Wire::new(config()).host(REMOTE, mac(2)), &[REMOTE]);
        bench.until(REMOTE, unresolved(UnresolvedReason::NeighbourPending), PROMISE).await;
        let took = bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        println!("on-link next hop resolved after {took:?}");
    });
}

#[test]
fn a_remote_behind_a_gateway_follows_its_route() {
    in_namespace(|| async {
        let wire = Wire::new(config()).host(GATEWAY_A, mac(0xa)).host(GATEWAY_B, mac(0xb));
        ip(&format!("route add 203.0.113.0/24 via {GATEWAY_A}"));
        let mut bench = Bench::new(wire, &[FAR]);
        bench.until(FAR, resolved(mac(0xa), Some(GATEWAY_A)), PROMISE).await;

        ip(&format!("route replace 203.0.113.0/24 via {GATEWAY_B}"));
        let took = bench.until(FAR, resolved(mac(0xb), Some(GATEWAY_B)), PROMISE).await;
        println!("route change to a gateway not yet known followed after {took:?}");

        ip(&format!("route add {FAR}/32 via {GATEWAY_A}"));
        let took = bench.until(FAR, resolved(mac(0xa), Some(GATEWAY_A)), PROMISE).await;
        println!("more specific route followed after {took:?}");

        ip(&format!("route delete {FAR}/32"));
        bench.until(FAR, resolved(mac(0xb), Some(GATEWAY_B)), PROMISE).await;
    });
}

#[test]
fn an_announced_mac_change_is_followed() {
    in_namespace(|| async {
        let mut bench = Bench::new(Wire::new(config()).host(REMOTE, mac(2)), &[REMOTE]);
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        for new in 3..8 {
            bench.run(Duration::from_millis(150)).await;
            bench.wire.announce(REMOTE, mac(new));
            let took = bench.until(REMOTE, resolved(mac(new), None), PROMISE).await;
            println!("announced MAC change followed after {took:?}");
        }
    });
}

#[test]
fn a_silent_mac_change_is_followed_within_a_second() {
    in_namespace(|| async {
        let wire = Wire::new(config()).host(REMOTE, mac(2)).host(GATEWAY_A, mac(0xa));
        ip(&format!("route add 203.0.113.0/24 via {GATEWAY_A}"));
        let mut bench = Bench::new(wire, &[REMOTE, FAR]);
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        bench.until(FAR, resolved(mac(0xa), Some(GATEWAY_A)), PROMISE).await;
        let mut worst = Duration::ZERO;
        for new in 0x10..0x1a {
            // At different moments of the verification's period.
            bench.run(Duration::from_millis(137)).await;
            bench.wire.hosts.insert(REMOTE, mac(new));
            worst = worst.max(bench.until(REMOTE, resolved(mac(new), None), PROMISE).await);
            bench.run(Duration::from_millis(61)).await;
            bench.wire.hosts.insert(GATEWAY_A, mac(new));
            let expected = resolved(mac(new), Some(GATEWAY_A));
            worst = worst.max(bench.until(FAR, expected, PROMISE).await);
        }
        println!("silent MAC change followed after {worst:?} at the most");
    });
}

#[test]
fn verification_is_quiet_when_nothing_changes() {
    in_namespace(|| async {
        let mut bench = Bench::new(Wire::new(config()).host(REMOTE, mac(2)), &[REMOTE]);
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        let (requests, unicast) = (bench.wire.requests, bench.wire.unicast);
        let changes = bench.changes;
        bench.run(Duration::from_secs(3)).await;
        let requests = bench.wire.requests - requests;
        assert!((4..=8).contains(&requests), "two per second: {requests} in three seconds");
        let unicast = bench.wire.unicast - unicast;
        assert_eq!(unicast, requests, "a next hop that answers is not asked by broadcast");
        assert_eq!(bench.changes, changes, "nothing changed: {:?}", bench.said);
    });
}

#[test]
fn an_operators_neighbour_is_followed_and_left_alone() {
    in_namespace(|| async {
        let mut bench = Bench::new(Wire::new(config()).host(REMOTE, mac(2)), &[REMOTE]);
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        ip(&format!("neigh replace {REMOTE} lladdr {} dev vtep0 nud permanent", mac(9)));
        let took = bench.until(REMOTE, resolved(mac(9), None), PROMISE).await;
        println!("ip neigh replace followed after {took:?}");
        bench.run(Duration::from_millis(1500)).await;
        let entry = ip_says("neigh show dev vtep0");
        assert!(entry.contains("PERMANENT"), "verification must not touch it: {entry}");
        assert_eq!(bench.said[&remote(REMOTE)], resolved(mac(9), None));

        ip(&format!("neigh delete {REMOTE} dev vtep0"));
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        bench.run(PROMISE).await;
        ip("neigh flush dev vtep0");
        bench.until(REMOTE, unresolved(UnresolvedReason::NeighbourPending), PROMISE).await;
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
    });
}

#[test]
fn a_next_hop_that_dies_fails_and_comes_back() {
    in_namespace(|| async {
        let mut bench = Bench::new(Wire::new(config()).host(REMOTE, mac(2)), &[REMOTE]);
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        bench.wire.hosts.clear();
        let failed = unresolved(UnresolvedReason::NeighbourFailed);
        let took = bench.until(REMOTE, failed, Duration::from_secs(3)).await;
        println!("a silent next hop failed after {took:?}");

        let (changes, requests) = (bench.changes, bench.wire.requests);
        bench.run(Duration::from_secs(3)).await;
        assert_eq!(bench.changes, changes, "it is no news that it still does not answer");
        let requests = bench.wire.requests - requests;
        assert!((6..=12).contains(&requests), "three per second: {requests} in three seconds");

        bench.wire.hosts.insert(REMOTE, mac(2));
        let limit = Duration::from_millis(1100);
        let took = bench.until(REMOTE, resolved(mac(2), None), limit).await;
        println!("a next hop that came back without a word resolved after {took:?}");
    });
}

#[test]
fn the_host_interface_going_down_and_up_is_followed() {
    in_namespace(|| async {
        let mut bench = Bench::new(Wire::new(config()).host(REMOTE, mac(2)), &[REMOTE]);
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        ip("link set vtep0 down");
        bench.until(REMOTE, unresolved(UnresolvedReason::HostInterfaceDown), PROMISE).await;
        ip("link set vtep0 up");
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        ip("address delete 198.51.100.1/24 dev vtep0");
        bench.until(REMOTE, unresolved(UnresolvedReason::NoSourceAddress), PROMISE).await;
        ip("address add 198.51.100.1/24 dev vtep0");
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        ip("link delete vtep0");
        let gone = unresolved(UnresolvedReason::HostInterfaceGone);
        while bench.said[&remote(REMOTE)] != gone {
            let changes = tokio::time::timeout(PROMISE, bench.underlay.next_change()).await;
            bench.said.extend(changes.expect("soon").unwrap());
        }
    });
}

#[test]
fn each_way_to_have_no_route_is_named() {
    in_namespace(|| async {
        let wire = Wire::new(config()).host(GATEWAY_A, mac(0xa));
        let via = format!("route replace {FAR}/32 via {GATEWAY_A}");
        ip(&via);
        let mut bench = Bench::new(wire, &[FAR]);
        let good = resolved(mac(0xa), Some(GATEWAY_A));
        bench.until(FAR, good.clone(), PROMISE).await;

        ip(&format!("route delete {FAR}/32"));
        let took = bench.until(FAR, unresolved(UnresolvedReason::NoRoute), PROMISE).await;
        println!("removed route followed after {took:?}");
        for (kind, reason) in [
            ("unreachable", UnresolvedReason::Unreachable),
            ("prohibit", UnresolvedReason::Prohibited),
            ("blackhole", UnresolvedReason::Blackhole),
        ] {
            ip(&format!("route add {kind} {FAR}/32"));
            bench.until(FAR, unresolved(reason), PROMISE).await;
            ip(&format!("route delete {kind} {FAR}/32"));
            ip(&via);
            bench.until(FAR, good.clone(), PROMISE).await;
            ip(&format!("route delete {FAR}/32"));
        }

        ip("link add other0 type veth peer name other1");
        ip("link set other0 up");
        ip("link set other1 up");
        ip("address add 203.0.113.1/24 dev other0");
        let other = UnresolvedReason::OtherInterface { interface: "other0".into() };
        bench.until(FAR, unresolved(other), PROMISE).await;
        ip(&format!("address add {FAR}/32 dev lo"));
        let local = UnresolvedReason::NotRemote { kind: "local" };
        bench.until(FAR, unresolved(local), PROMISE).await;
        ip(&format!("address delete {FAR}/32 dev lo"));
        ip("link delete other0");
        bench.until(FAR, unresolved(UnresolvedReason::NoRoute), PROMISE).await;
    });
}

#[test]
fn a_next_hop_object_and_a_multipath_route_are_followed() {
    in_namespace(|| async {
        let wire = Wire::new(config()).host(GATEWAY_A, mac(0xa)).host(GATEWAY_B, mac(0xb));
        ip(&format!("nexthop add id 7 via {GATEWAY_A} dev vtep0"));
        ip("route add 203.0.113.0/24 nhid 7");
        let mut bench = Bench::new(wire, &[FAR]);
        bench.until(FAR, resolved(mac(0xa), Some(GATEWAY_A)), PROMISE).await;
        ip(&format!("nexthop replace id 7 via {GATEWAY_B} dev vtep0"));
        bench.until(FAR, resolved(mac(0xb), Some(GATEWAY_B)), PROMISE).await;

        ip("route delete 203.0.113.0/24");
        bench.until(FAR, unresolved(UnresolvedReason::NoRoute), PROMISE).await;
        ip(&format!("route add 203.0.113.0/24 nexthop via {GATEWAY_A} nexthop via {GATEWAY_B}"));
        bench.run(PROMISE).await;
        assert!(matches!(bench.said[&remote(FAR)], NextHop::Resolved { gateway: Some(_), .. }));
    });
}

#[test]
fn a_policy_rule_on_the_source_counts() {
    in_namespace(|| async {
        let wire = Wire::new(config()).host(GATEWAY_A, mac(0xa)).host(GATEWAY_B, mac(0xb));
        ip(&format!("route add default via {GATEWAY_A}"));
        ip(&format!("route add default via {GATEWAY_B} table 77"));
        let mut bench = Bench::new(wire, &[FAR]);
        bench.until(FAR, resolved(mac(0xa), Some(GATEWAY_A)), PROMISE).await;
        ip(&format!("rule add from {VTEP} lookup 77"));
        bench.until(FAR, resolved(mac(0xb), Some(GATEWAY_B)), PROMISE).await;
    });
}

#[test]
fn two_vteps_share_a_namespace() {
    in_namespace(|| async {
        let first = Wire::new(config()).host(REMOTE, mac(2));
        let address = Ipv4Addr::new(203, 0, 113, 1);
        let second = HostInterfaceConfig { name: "vtep1".into(), address, ..config() };
        let mut second = Wire::new(second).host(FAR, mac(3));
        let locals = vec![
            LocalVtep { vtep: VtepId(0), if_index: first.tap.ifindex(), address: VTEP },
            LocalVtep { vtep: VtepId(1), if_index: second.tap.ifindex(), address },
        ];
        let far = RemoteId { vtep: VtepId(1), address: FAR };
        let crossed = RemoteId { vtep: VtepId(1), address: REMOTE };
        let underlay = Underlay::new(locals, vec![remote(REMOTE), far, crossed]).unwrap();
        let mut bench = Bench { wire: first, underlay, said: HashMap::new(), changes: 0 };
        let start = Instant::now();
        while bench.said.get(&far) != Some(&resolved(mac(3), None)) {
            assert!(start.elapsed() < PROMISE, "{:?}", bench.said);
            bench.step(Duration::from_millis(5)).await;
            second.serve();
        }
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        let reason = UnresolvedReason::OtherInterface { interface: "vtep0".into() };
        assert_eq!(bench.said[&crossed], unresolved(reason));
    });
}

#[test]
fn a_dropped_call_loses_nothing() {
    in_namespace(|| async {
        let mut bench = Bench::new(Wire::new(config()).host(REMOTE, mac(2)), &[REMOTE]);
        bench.until(REMOTE, resolved(mac(2), None), PROMISE).await;
        let start = Instant::now();
        let mut last = None;
        for new in 3..13 {
            bench.wire.announce(REMOTE, mac(new));
            while last != Some(resolved(mac(new), None)) {
                assert!(start.elapsed() < Duration::from_secs(5), "{last:?}");
                let limit = Duration::from_micros(50);
                let call = tokio::time::timeout(limit, bench.underlay.next_change());
                if let Ok(changes) = call.await {
                    last = changes.unwrap().pop().map(|(_, next_hop)| next_hop);
                }
                bench.wire.serve();
            }
        }
    });
}

#[test]
fn a_thousand_remotes_are_resolved_at_a_bounded_rate() {
    in_namespace(|| async {
        // 249 on the link, each with a MAC of its own; 256 behind two gateways; all of it from two
        // VTEPs that share an interface, which only a test does.
        let mut addresses: Vec<_> = (2..=250).map(|n| Ipv4Addr::new(198, 51, 100, n)).collect();
        let mut wire = Wire::new(config()).host(GATEWAY_A, mac(0xa)).host(GATEWAY_B, mac(0xb));
        for address in &addresses {
            wire.hosts.insert(*address, mac(address.octets()[3]));
        }
        ip(&format!("route add 203.0.113.0/24 via {GATEWAY_A}"));
        ip(&format!("route add 203.0.113.128/25 via {GATEWAY_B}"));
        addresses.extend((0..=255).map(|n| Ipv4Addr::new(203, 0, 113, n)));
        let if_index = wire.tap.ifindex();
        let vteps = [VtepId(0), VtepId(1)];
        let locals = vteps.map(|vtep| LocalVtep { vtep, if_index, address: VTEP });
        let remotes: Vec<_> = vteps
            .iter()
            .flat_map(|&vtep| addresses.iter().map(move |&address| RemoteId { vtep, address }))
            .collect();
        let count = remotes.len();
        let underlay = Underlay::new(locals.to_vec(), remotes).unwrap();
        let mut bench = Bench { wire, underlay, said: HashMap::new(), changes: 0 };

        let start = Instant::now();
        bench.step(PROMISE).await;
        println!("the first answer for {count} remotes took {:?}", start.elapsed());
        assert_eq!(bench.said.len(), count);
        let known = |said: &HashMap<_, _>| {
            said.values().filter(|next_hop| matches!(next_hop, NextHop::Resolved { .. })).count()
        };
        while known(&bench.said) < count {
            assert!(start.elapsed() < Duration::from_secs(5), "{} known", known(&bench.said));
            bench.step(Duration::from_millis(100)).await;
        }
        println!("{count} remotes with 251 next hops resolved after {:?}", start.elapsed());

        let before = bench.wire.requests;
        bench.run(Duration::from_secs(5)).await;
        let rate = (bench.wire.requests - before) / 5;
        println!("251 next hops are verified by {rate} requests per second");
        assert!((100..=200).contains(&rate), "{rate}");

        ip(&format!("route replace 203.0.113.0/24 via {GATEWAY_B}"));
        let took = bench.until(FAR, resolved(mac(0xb), Some(GATEWAY_B)), PROMISE).await;
        println!("a route of 256 among {count} remotes followed after {took:?}");
    });
}

#[test]
fn a_storm_of_notifications_is_survived() {
    in_namespace(|| async {
        let wire = Wire::new(config()).host(GATEWAY_A, mac(0xa)).host(GATEWAY_B, mac(0xb));
        ip(&format!("route add 203.0.113.0/24 via {GATEWAY_A}"));
        let mut bench = Bench::new(wire, &[FAR]);
        bench.until(FAR, resolved(mac(0xa), Some(GATEWAY_A)), PROMISE).await;
        // More than the socket holds, while nobody reads: the change among them is lost.
        let mut batch = String::new();
        for n in 0..20_000 {
            let (verb, last) = (if n % 2 == 0 { "add" } else { "delete" }, n / 2 % 250);
            batch += &format!("route {verb} 203.0.113.{last}/32 via {GATEWAY_A} table 99\n");
        }
        batch += &format!("route replace 203.0.113.0/24 via {GATEWAY_B}\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, batch).unwrap();
        ip(&format!("-batch {}", file.path().display()));
        let took = bench.until(FAR, resolved(mac(0xb), Some(GATEWAY_B)), PROMISE).await;
        println!("a route change after 20000 others followed after {took:?}");
    });
}

#[test]
fn a_taken_name_is_refused_and_a_second_run_works() {
    in_namespace(|| async {
        let first = HostInterface::create(config()).unwrap();
        assert_eq!(first.name(), "vtep0");
        let other = HostInterfaceConfig { address: REMOTE, ..config() };
        let error = HostInterface::create(other).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, HostInterfaceError::NameTaken { .. }), "{text}");
        let start = "host-interface \"vtep0\": an interface of this name exists already; ";
        assert!(text.starts_with(start), "{text}");
        drop(first);
        assert!(!netdev::exists("vtep0"), "it goes with its owner");
        drop(HostInterface::create(config()).expect("a second run"));

        for command in ["link add vtep0 type veth peer name vtep9", "tuntap add dev vtep0 mode tap"]
        {
            ip(command);
            let error = HostInterface::create(config()).unwrap_err();
            assert!(matches!(error, HostInterfaceError::NameTaken { .. }), "{error}");
            ip("link delete vtep0");
        }
        drop(HostInterface::create(config()).expect("a third run"));
    });
}

#[test]
fn a_host_interface_is_what_was_asked_for() {
    in_namespace(|| async {
        let mut wire = Wire::new(HostInterfaceConfig { mtu: 9000, ..config() });
        let index = wire.tap.ifindex();
        assert_eq!(netdev::mtu_of(index).unwrap(), 9000);
        assert_eq!(netdev::mac_of(index).unwrap(), config().mac);
        let addresses = ip_says("-oneline address show dev vtep0");
        assert!(addresses.contains("198.51.100.1/24 brd 198.51.100.255"), "{addresses}");
        assert!(!addresses.contains("inet6"), "{addresses}");
        let link = ip_says("-details link show dev vtep0");
        assert!(link.contains("tun type tap pi off") && link.contains("persist off"), "{link}");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        wire.serve();
        assert!(wire.others.is_empty(), "the interface is silent: {:x?}", wire.others);
    });
}

#[test]
fn what_cannot_be_a_host_interface_is_refused_with_its_reason() {
    in_namespace(|| async {
        let refused = |change: &dyn Fn(&mut HostInterfaceConfig)| {
            let mut wrong = config();
            change(&mut wrong);
            let error = HostInterface::create(wrong).unwrap_err();
            assert!(!netdev::exists("vtep0"), "nothing is left behind");
            error
        };
        let error = refused(&|c| c.name = "sixteen-bytes--1".into());
        assert!(matches!(error, HostInterfaceError::InvalidName { .. }), "{error}");
        let error = refused(&|c| c.mac = MacAddr::BROADCAST);
        assert!(matches!(error, HostInterfaceError::MacRefused { .. }), "{error}");
        let error = refused(&|c| c.mtu = 70_000);
        assert!(matches!(error, HostInterfaceError::MtuRefused { .. }), "{error}");
        let error = refused(&|c| c.address = Ipv4Addr::new(224, 0, 0, 1));
        assert!(matches!(error, HostInterfaceError::AddressRefused { .. }), "{error}");
        let error = refused(&|c| c.prefix_len = 33);
        assert!(matches!(error, HostInterfaceError::AddressRefused { .. }), "{error}");
        ip("address add 198.51.100.1/32 dev lo");
        let error = refused(&|_| ());
        let on_lo =
            matches!(&error, HostInterfaceError::AddressInUse { holder, .. } if holder == "lo");
        assert!(on_lo, "{error}");
        ip("address delete 198.51.100.1/32 dev lo");
        drop(HostInterface::create(config()).unwrap());

        // The bare system call changes this thread alone, not the others' tests.
        // SAFETY: the call takes three numbers.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(result, 0);
        let error = refused(&|_| ());
        assert!(matches!(error, HostInterfaceError::NotPermitted { .. }), "{error}");
    });
}
