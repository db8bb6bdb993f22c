//! The chain of MTUs: what a tenant sends must fit the uplink with the outer headers around it, what the uplink
//! brings must fit the tenant's port, and each port's MTU must be one that its driver can have.

use super::edit::{Table, quoted};
use super::host::Host;
use super::{Check, Finding, View, pci};
use crate::config::device::{argument, mtu_limit, pci_address, ring_arguments, ring_slot};
use crate::config::{Config, Port};
use crate::control::memory::USUAL_MTU;

/// What VXLAN puts around a tenant's packet: its Ethernet header (14), VXLAN (8), UDP (8) and IPv4 (20); RFC 7348 §5.
const OUTER_HEADERS: u32 = 50;

/// The MTU that a port will have, and the interface that has it where the file does not say.
fn mtu_of<'p>(host: &Host, port: &'p Port) -> Option<(u32, Option<&'p str>)> {
    if let Some(mtu) = port.mtu {
        return Some((mtu.into(), None));
    }
    if let Some(address) = pci_address(&port.device) {
        return Some((pci::mtu_beside_kernel(host, &address).unwrap_or(USUAL_MTU.into()), None));
    }
    let names = crate::config::device::interfaces_needed(&port.device);
    let name = names.into_iter().next()?;
    Some((host.links.get(name)?.mtu, Some(name)))
}

/// The same, where a port's need of memory is computed.
pub(super) fn known(host: &Host, port: &Port) -> Option<u16> {
    // The loopback interface has 65536.
    mtu_of(host, port).map(|(mtu, _)| u16::try_from(mtu).unwrap_or(u16::MAX))
}

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let mut findings: Vec<_> =
        config.ports.iter().filter_map(|port| beyond_driver(view, port)).collect();
    findings.extend(config.ports.iter().filter_map(|port| unlike_peer(view.host, port)));
    findings.extend(too_small_uplinks(view, config));
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Mtu, seen(view.host, config)));
    }
    findings
}

/// The chain in words.
fn seen(host: &Host, config: &Config) -> String {
    let all: Vec<_> = config
        .ports
        .iter()
        .map(|port| match mtu_of(host, port) {
            Some((mtu, _)) => format!("{} {mtu}", port.name),
            None => format!("{} as its interface has it", port.name),
        })
        .collect();
    all.join(", ")
}

/// More than the driver can have.
fn beyond_driver(view: &View<'_>, port: &Port) -> Option<Finding> {
    let (mtu, interface) = mtu_of(view.host, port)?;
    let limit = mtu_limit(&port.device)?;
    if mtu <= limit.into() {
        return None;
    }
    let whose = interface.map_or("its mtu".to_owned(), |name| format!("the MTU of {name}"));
    let found = format!(
        "port {:?}: {whose} is {mtu}, and device {:?} is limited to {limit}",
        port.name, port.device
    );
    if let (Some(slot), Ok(mtu)) = (ring_slot(&port.device), u16::try_from(mtu)) {
        let larger = ring_arguments(mtu);
        let kept: Vec<_> = port
            .device
            .split(',')
            .filter(|part| !part.starts_with("framesz=") && !part.starts_with("blocksz="))
            .collect();
        let device = format!("\"{},{larger}\"", kept.join(","));
        let table = Table::Named("port", &port.name);
        return Some(
            Finding::problem(
                Check::Mtu,
                found,
                format!(
                    "a slot of its ring has {slot} bytes, and the kernel cuts longer frames to fit"
                ),
            )
            .mend_if(view.file.and_then(|f| f.set(table, "device", &device)))
            .advice(format!("lower the MTU, or add {larger} to the device")),
        );
    }
    let finding = Finding::problem(Check::Mtu, found, "its driver takes no longer frames");
    let set = |name: &str| format!("ip link set {} mtu {limit}", quoted(name));
    let edit = || {
        view.file.and_then(|f| f.set(Table::Named("port", &port.name), "mtu", &limit.to_string()))
    };
    let advice = "or choose another device";
    Some(finding.mend_if(interface.map(set).or_else(edit)).advice(advice))
}

/// The other end of a veth, where it is in sight.
fn unlike_peer(host: &Host, port: &Port) -> Option<Finding> {
    let names = crate::config::device::interfaces_needed(&port.device);
    let link = host.links.get(names.into_iter().next()?)?;
    let index = link.peer?;
    let (name, peer) = host.links.iter().find(|(_, peer)| peer.index == index)?;
    let mtu = port.mtu.map_or(link.mtu, u32::from);
    (peer.mtu != mtu).then(|| {
        Finding::warning(
            Check::Mtu,
            format!(
                "port {:?}: its MTU is {mtu}, and that of its peer {name} is {}",
                port.name, peer.mtu
            ),
            "longer frames than the smaller of the two are lost between them",
        )
        .mend(format!("ip link set {} mtu {mtu}", quoted(name)))
    })
}

/// Uplinks that the longest frame of a tenant does not fit with the headers around it.
fn too_small_uplinks(view: &View<'_>, config: &Config) -> Vec<Finding> {
    let host = view.host;
    let of_vtep = |(index, vtep): (usize, &crate::config::Vtep)| {
        let uplink = &config.ports[vtep.port.0];
        let (have, interface) = mtu_of(host, uplink)?;
        let networks =
            config.networks.iter().filter(|n| n.vtep.is_some_and(|vtep| vtep.0 == index));
        let members =
            networks.flat_map(|network| network.ports.iter().map(move |id| (network, *id)));
        let longest = members
            .filter_map(|(network, id)| {
                let port = &config.ports[id.0];
                Some((mtu_of(host, port)?.0, network, port))
            })
            .max_by_key(|(mtu, _, _)| *mtu)?;
        let (mtu, network, tenant) = longest;
        let need = mtu + OUTER_HEADERS;
        if have >= need {
            return None;
        }
        let finding = Finding::warning(
            Check::Mtu,
            format!(
                "uplink {:?} has an MTU of {have}, and port {:?} of network {:?} needs {need}",
                uplink.name, tenant.name, network.name
            ),
            format!(
                "VXLAN puts {OUTER_HEADERS} bytes around a packet of {mtu}: what is too long is dropped (exceeds_port_mtu)"
            ),
        );
        let finding =
            match interface {
                Some(name) => finding.mend(format!("ip link set {} mtu {need}", quoted(name))),
                None => finding.mend_if(view.file.and_then(|f| {
                    f.set(Table::Named("port", &uplink.name), "mtu", &need.to_string())
                })),
            };
        let device = &uplink.device;
        let slots = argument(device, "framesz").is_none()
            && mtu_limit(device).is_some_and(|limit| u32::from(limit) < need);
        let slots = match u16::try_from(need) {
            Ok(need) if slots => format!("; its device then needs {}", ring_arguments(need)),
            _ => String::new(),
        };
        Some(finding.advice(format!(
            "every switch and host on the way must take {need} bytes as well; or give the tenants {}{slots}",
            have.saturating_sub(OUTER_HEADERS)
        )))
    };
    config.vteps.iter().enumerate().filter_map(of_vtep).collect()
}

#[cfg(test)]
mod tests {
    use super::super::edit::File;
    use super::super::fixture::{Fixture, config};
    use super::*;
    use crate::kernel::netdev::Link;

    const TWO: [&str; 2] = ["net_af_packet0,iface=up0", "net_af_packet1,iface=ta"];

    fn links(uplink: u32, tenant: u32) -> Fixture {
        let link =
            |index, mtu| Link { index, mtu, is_up: true, has_carrier: true, ..Link::default() };
        Fixture::new().link("up0", link(3, uplink)).link("ta", link(5, tenant))
    }

    #[test]
    fn an_uplink_has_room_for_the_headers() {
        links(1550, 1500).all_is_well(&config(&TWO), check);
        let finding = links(1500, 1500).warning(&config(&TWO), check);
        assert!(finding.found.contains("needs 1550"), "{finding}");
        assert_eq!(finding.mend, ["ip link set up0 mtu 1550"]);
    }

    #[test]
    fn a_configured_mtu_is_changed_in_the_file() {
        let mut config = config(&TWO);
        config.ports[0].mtu = Some(1500);
        let file = File::with("f.toml", "[[port]]\nname = \"p0\"\nmtu = 1500\n");
        let finding = links(1500, 1500).with_file(&file).warning(&config, check);
        let edit = file.set(Table::Named("port", "p0"), "mtu", "1550");
        assert_eq!(finding.mend, [edit.unwrap()]);
    }

    #[test]
    fn frames_fit_the_slots_of_a_packet_socket() {
        let file = File::with(
            "f.toml",
            "[[port]]\nname = \"p0\"\ndevice = \"net_af_packet0,iface=up0\"\n",
        );
        let finding = links(9000, 1500).with_file(&file).problem(&config(&TWO), check);
        assert!(finding.found.contains("limited to 1967"), "{finding}");
        let device = "\"net_af_packet0,iface=up0,framesz=16384,blocksz=16384\"";
        let edit = file.set(Table::Named("port", "p0"), "device", device);
        assert_eq!(finding.mend, [edit.unwrap()]);
    }

    #[test]
    fn other_drivers_have_other_limits() {
        let xdp = config(&["net_af_xdp0,iface=up0"]);
        let finding = links(9000, 1500).problem(&xdp, check);
        assert_eq!(finding.mend, ["ip link set up0 mtu 3542"]);
        let nic = config(&["0000:01:00.0", "net_af_packet1,iface=ta"]);
        links(0, 9000).problem(&nic, check);
        links(0, 1450).all_is_well(&nic, check);
    }

    #[test]
    fn a_nic_has_the_usual_mtu_if_it_is_not_told_another() {
        let mut nic = config(&["0000:01:00.0", "net_af_packet1,iface=ta"]);
        let file = File::with("f.toml", "[[port]]\nname = \"p0\"\n");
        let fixture = links(0, 1500).with_file(&file);
        let finding = fixture.warning(&nic, check);
        assert!(finding.found.contains("\"p0\" has an MTU of 1500"), "{finding}");
        let edit = file.set(Table::Named("port", "p0"), "mtu", "1550");
        assert_eq!(finding.mend, [edit.unwrap()]);
        nic.ports[0].mtu = Some(1550);
        fixture.all_is_well(&nic, check);
        // One that stays with the kernel's driver has what its interface has.
        nic.ports[0].mtu = None;
        let device = "sys/bus/pci/devices/0000:01:00.0";
        let fixture = fixture
            .points(&format!("{device}/driver"), "/drivers/mlx5_core")
            .directory(&format!("{device}/net/eth3"))
            .link("eth3", Link { index: 7, mtu: 9000, ..Link::default() });
        fixture.all_is_well(&nic, check);
    }

    #[test]
    fn a_peer_in_sight_has_the_same_mtu() {
        let mut fixture = links(1600, 1500);
        fixture.host.links.get_mut("ta").unwrap().peer = Some(6);
        let fixture = fixture.link("ta1", Link { index: 6, mtu: 1400, ..Link::default() });
        let finding = fixture.warning(&config(&TWO), check);
        assert_eq!(finding.mend, ["ip link set ta1 mtu 1500"]);
    }
}
