//! What the host itself uses an interface for: addresses, routes, and interfaces on top of it (a bond,
//! a bridge, a VLAN).
//!
//! A command that takes such an interface or its address away can cut the host off, and end the
//! session in which it was typed. So a finding about such an interface has advice and no command.

use std::net::Ipv6Addr;

use super::host::Host;
use super::tcp;

/// What the host uses an interface for, in words; `None` if it uses it for nothing.
pub fn used_for(host: &Host, interface: &str) -> Option<String> {
    let all = with_uppers(host, interface);
    let default = all.iter().find(|name| routes(host, name).any(|route| route.is_default));
    if let Some(name) = default {
        return Some(format!("{name} has the default route of this host"));
    }
    let own = |name: &String| {
        if let Some((address, _)) = host.links.get(name).and_then(|link| link.addresses.first()) {
            return Some(format!("{name} has the address {address}"));
        }
        if let Some(address) = global_addresses(host, name).next() {
            return Some(format!("{name} has the address {address}"));
        }
        routes(host, name).next().map(|_| format!("{name} has a route of this host"))
    };
    all.iter().find_map(own).or_else(|| {
        let upper = all.get(1)?;
        Some(format!("{upper} is made on top of {interface}"))
    })
}

/// Why this host may be reached through an interface, in words: a route beyond the interface's own
/// subnet, or a TCP connection.
pub fn way_in(host: &Host, interface: &str) -> Option<String> {
    if routes(host, interface).any(|route| route.is_default) {
        return Some(format!("{interface} has the default route of this host"));
    }
    if routes(host, interface).any(|route| route.has_gateway) {
        return Some(format!("{interface} leads to a gateway"));
    }
    let sockets = tcp::sockets(host);
    let connected = |address: &Ipv6Addr| {
        let local = |socket: &tcp::TcpSocket| socket.local.ip().to_canonical();
        sockets.iter().any(|s| s.is_connected && local(s) == address.to_canonical())
    };
    let v4 = host.links.get(interface).into_iter().flat_map(|link| &link.addresses);
    let v4 = v4.map(|(address, _)| address.to_ipv6_mapped());
    let mut own = v4.chain(addresses(host, interface).map(|(address, _)| address));
    let address = own.find(connected)?.to_canonical();
    Some(format!("a TCP session is at {address}"))
}

/// An interface, and all interfaces on top of it.
fn with_uppers(host: &Host, interface: &str) -> Vec<String> {
    let mut all = vec![interface.to_owned()];
    let mut next = 0;
    while let Some(name) = all.get(next) {
        let files = host.list(format!("sys/class/net/{name}"));
        for upper in files.iter().filter_map(|file| file.strip_prefix("upper_")) {
            if all.iter().all(|known| known != upper) {
                all.push(upper.to_owned());
            }
        }
        next += 1;
    }
    all
}

struct Route {
    is_default: bool,
    has_gateway: bool,
}

/// The routes through an interface: for IPv4 those of the main table, for IPv6 all but the link-local
/// and multicast routes that every interface has.
fn routes(host: &Host, interface: &str) -> impl Iterator<Item = Route> {
    let of = |file: &str| host.read(file).unwrap_or_default();
    let is_zero = |hex: &str| hex.bytes().all(|digit| digit == b'0');
    let v4 = |line: &str| {
        // Interface, destination, gateway, five more, mask.
        let fields: Vec<_> = line.split_whitespace().collect();
        (*fields.first()? == interface).then_some(())?;
        let is_default = is_zero(fields.get(1)?) && fields.get(7).is_none_or(|mask| is_zero(mask));
        Some(Route { is_default, has_gateway: !is_zero(fields.get(2)?) })
    };
    let v6 = |line: &str| {
        // Destination, its length, two of the source, next hop, four more, interface.
        let fields: Vec<_> = line.split_whitespace().collect();
        (*fields.get(9)? == interface).then_some(())?;
        let to = fields.first()?;
        let is_everywhere = to.starts_with("fe8") || to.starts_with("ff");
        (!is_everywhere).then_some(())?;
        let is_default = is_zero(fields.get(1)?);
        Some(Route { is_default, has_gateway: !is_zero(fields.get(4)?) })
    };
    let mut all: Vec<_> = of("proc/net/route").lines().filter_map(v4).collect();
    all.extend(of("proc/net/ipv6_route").lines().filter_map(v6));
    all.into_iter()
}

/// The IPv6 addresses of an interface, and whether each is of global scope.
fn addresses(host: &Host, interface: &str) -> impl Iterator<Item = (Ipv6Addr, bool)> {
    let of_line = |line: &str| {
        // Address, index, length of its prefix, scope, flags, interface.
        let fields: Vec<_> = line.split_whitespace().collect();
        (*fields.get(5)? == interface).then_some(())?;
        let address = u128::from_str_radix(fields.first()?, 16).ok()?;
        Some((Ipv6Addr::from(address), *fields.get(3)? == "00"))
    };
    let text = host.read("proc/net/if_inet6").unwrap_or_default();
    text.lines().filter_map(of_line).collect::<Vec<_>>().into_iter()
}

/// The IPv6 addresses of global scope.
fn global_addresses(host: &Host, interface: &str) -> impl Iterator<Item = Ipv6Addr> {
    addresses(host, interface).filter(|(_, is_global)| *is_global).map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::test_host::TestHost;
    use super::*;
    use crate::kernel::netdev::Link;

    const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";

    fn v4(line: &str) -> TestHost {
        TestHost::new().file("proc/net/route", &format!("{HEAD}{line}\n"))
    }

    fn v6(to: &str, length: &str, hop: &str) -> TestHost {
        let zero = "0".repeat(32);
        let line = format!("{to:0<32} {length} {zero} 00 {hop:0<32} 400 1 0 00000001 eth3\n");
        TestHost::new().file("proc/net/ipv6_route", &line)
    }

    fn with_address(name: &str) -> TestHost {
        let addresses = vec![(Ipv4Addr::new(198, 51, 100, 1), 24)];
        TestHost::new().link(name, Link { addresses, ..Link::default() })
    }

    #[test]
    fn an_interface_without_address_and_route_is_nobodys() {
        let link_local = "fe800000000000000000000000000001 03 40 20 80 eth3\n";
        let fixture = v6("fe80", "40", "").file("proc/net/if_inet6", link_local);
        let other = fixture.file("proc/net/route", &format!("{HEAD}eth4\t00000000\t016433C6\n"));
        assert_eq!(used_for(&other.host, "eth3"), None);
        assert_eq!(way_in(&other.host, "eth3"), None);
    }

    #[test]
    fn addresses_and_routes_of_both_families_are_seen() {
        let default = "eth3 has the default route of this host";
        let route = "eth3 has a route of this host";
        for (fixture, words) in [
            (v4("eth3\t00000000\t016433C6\t0003\t0\t0\t0\t00000000"), default),
            (v4("eth3\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF"), route),
            // Half of the Internet is not all of it.
            (v4("eth3\t00000000\t016433C6\t0003\t0\t0\t0\t00000080"), route),
            (v6("", "00", "fe80"), default),
            (v6("20010db8", "40", ""), route),
            (with_address("eth3"), "eth3 has the address 198.51.100.1"),
            (
                TestHost::new().file(
                    "proc/net/if_inet6",
                    "20010db8000000000000000000000001 03 40 00 80 eth3\n",
                ),
                "eth3 has the address 2001:db8::1",
            ),
        ] {
            assert_eq!(used_for(&fixture.host, "eth3").as_deref(), Some(words));
        }
    }

    #[test]
    fn what_is_made_on_top_counts_too() {
        let on_top = |fixture: TestHost| {
            fixture
                .symlink("sys/class/net/eth3/upper_bond0", "bond0")
                .symlink("sys/class/net/bond0/upper_bond0.5", "bond0.5")
        };
        let used = |fixture: TestHost| used_for(&on_top(fixture).host, "eth3");
        assert_eq!(
            used(with_address("bond0.5")).as_deref(),
            Some("bond0.5 has the address 198.51.100.1")
        );
        assert_eq!(used(TestHost::new()).as_deref(), Some("bond0 is made on top of eth3"));
    }

    #[test]
    fn others_come_in_by_a_gateway_or_a_session() {
        let gateway = v4("eth3\t007100CB\t016433C6\t0003\t0\t0\t0\t00FFFFFF");
        assert_eq!(way_in(&gateway.host, "eth3").as_deref(), Some("eth3 leads to a gateway"));
        let subnet = v4("eth3\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF");
        assert_eq!(way_in(&subnet.host, "eth3"), None);

        let session = |state: &str, file: &str, local: &str| {
            let line =
                format!("  sl  local_address …\n   0: {local}:0016 0202000A:C000 {state} 0\n");
            with_address("eth3").file(file, &line)
        };
        let said = |fixture: TestHost| way_in(&fixture.host, "eth3");
        let words = Some("a TCP session is at 198.51.100.1".to_owned());
        assert_eq!(said(session("01", "proc/net/tcp", "016433C6")), words);
        assert_eq!(said(session("0A", "proc/net/tcp", "016433C6")), None);
        assert_eq!(said(session("01", "proc/net/tcp", "026433C6")), None);
        let mapped = "0000000000000000FFFF0000016433C6";
        assert_eq!(said(session("01", "proc/net/tcp6", mapped)), words);
        let v6 = session("01", "proc/net/tcp6", "B80D0120000000000000000001000000")
            .file("proc/net/if_inet6", "20010db8000000000000000000000001 03 40 00 80 eth3\n");
        assert_eq!(said(v6).as_deref(), Some("a TCP session is at 2001:db8::1"));
    }
}
