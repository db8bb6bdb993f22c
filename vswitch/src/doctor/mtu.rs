//! MTUs: a tenant's longest frame must fit the uplink with the outer headers around it, both ends of a
//! veth must agree, and the driver must support the MTU of its port.

use super::finding::{Check, Finding, set};
use super::host::Host;
use super::pci;
use super::view::View;
use crate::config::device::{argument, mtu_limit, pci_address, ring_arguments, ring_slot};
use crate::config::{Config, Port};
use crate::control::memory::USUAL_MTU;
use crate::datapath::tunnel::MTU_OVERHEAD;
use crate::text::shell_quoted;

/// The bytes that VXLAN puts around a tenant's packet: Ethernet header (14), VXLAN (8), UDP (8) and
/// IPv4 (20); RFC 7348 §5.
#[allow(clippy::cast_possible_truncation, reason = "50")]
const OUTER_HEADERS: u32 = MTU_OVERHEAD as u32;

/// The MTU that a port will have, and the interface that sets it if the configuration does not.
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

/// The MTU that a port will have, to compute the memory that it needs.
pub(super) fn known(host: &Host, port: &Port) -> Option<u16> {
    // The loopback interface has 65536.
    mtu_of(host, port).map(|(mtu, _)| u16::try_from(mtu).unwrap_or(u16::MAX))
}

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let mut findings: Vec<_> =
        config.ports.iter().filter_map(|port| beyond_driver(view.host, port)).collect();
    findings.extend(config.ports.iter().filter_map(|port| unlike_peer(view.host, port)));
    findings.extend(too_small_uplinks(view.host, config));
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Mtu, seen(view.host, config)));
    }
    findings
}

/// The MTU of each port, in words.
fn seen(host: &Host, config: &Config) -> String {
    let all: Vec<_> = config
        .ports
        .iter()
        .map(|port| match mtu_of(host, port) {
            Some((mtu, _)) => format!("{} {mtu}", port.name),
            None => format!("{} from its interface", port.name),
        })
        .collect();
    all.join(", ")
}

/// An MTU that the driver does not support.
fn beyond_driver(host: &Host, port: &Port) -> Option<Finding> {
    let (mtu, interface) = mtu_of(host, port)?;
    let limit = mtu_limit(&port.device)?;
    if mtu <= limit.into() {
        return None;
    }
    let table = format!("[[port]] {:?}", port.name);
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
        return Some(
            Finding::problem(
                Check::Mtu,
                found,
                format!(
                    "a slot of its ring has {slot} bytes, and the kernel cuts longer frames to fit"
                ),
            )
            .advice(format!("lower the MTU, or {}", set("device", device, table))),
        );
    }
    let finding = Finding::problem(Check::Mtu, found, "its driver does not support longer frames");
    Some(match interface {
        Some(name) => finding
            .mend(format!("ip link set {} mtu {limit}", shell_quoted(name)))
            .advice("or choose another device"),
        None => finding.advice(format!("{}, or choose another device", set("mtu", limit, table))),
    })
}

/// Another MTU on the other end of a veth, if that is in this namespace.
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
            "frames longer than the smaller MTU are lost between them",
        )
        .mend(format!("ip link set {} mtu {mtu}", shell_quoted(name)))
    })
}

/// Uplinks that are too small for a tenant's longest frame with the outer headers around it.
fn too_small_uplinks(host: &Host, config: &Config) -> Vec<Finding> {
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
                "VXLAN puts {OUTER_HEADERS} bytes around a packet of {mtu}: longer frames are dropped \
                 (exceeds_port_mtu)"
            ),
        );
        let (finding, edit) = match interface {
            Some(name) => {
                let command = format!("ip link set {} mtu {need}", shell_quoted(name));
                (finding.mend(command), String::new())
            }
            None => {
                let table = format!("[[port]] {:?}", uplink.name);
                (finding, set("mtu", need, table) + "; ")
            }
        };
        let device = &uplink.device;
        let slots = argument(device, "framesz").is_none()
            && mtu_limit(device).is_some_and(|limit| u32::from(limit) < need);
        let slots = match u16::try_from(need) {
            Ok(need) if slots => format!("; its device then needs {}", ring_arguments(need)),
            _ => String::new(),
        };
        Some(finding.advice(format!(
            "{edit}every switch and host on the way must support {need} bytes too; or lower the \
             tenants' MTU to {}{slots}",
            have.saturating_sub(OUTER_HEADERS)
        )))
    };
    config.vteps.iter().enumerate().filter_map(of_vtep).collect()
}

#[cfg(test)]
mod tests {
    use super::super::test_host::{TestHost, config};
    use super::*;
    use crate::kernel::netdev::Link;

    const TWO: [&str; 2] = ["net_af_packet0,iface=up0", "net_af_packet1,iface=ta"];

    fn links(uplink: u32, tenant: u32) -> TestHost {
        let link =
            |index, mtu| Link { index, mtu, is_up: true, has_carrier: true, ..Link::default() };
        TestHost::new().link("up0", link(3, uplink)).link("ta", link(5, tenant))
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
        let finding = links(1500, 1500).warning(&config, check);
        assert!(finding.advice.starts_with("set `mtu = 1550` in [[port]] \"p0\""), "{finding}");
    }

    #[test]
    fn frames_fit_the_slots_of_a_packet_socket() {
        let finding = links(9000, 1500).problem(&config(&TWO), check);
        assert!(finding.found.contains("limited to 1967"), "{finding}");
        let device = "set `device = \"net_af_packet0,iface=up0,framesz=16384,blocksz=16384\"` in";
        assert!(finding.advice.contains(device), "{finding}");
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
        let fixture = links(0, 1500);
        let finding = fixture.warning(&nic, check);
        assert!(finding.found.contains("\"p0\" has an MTU of 1500"), "{finding}");
        assert!(finding.advice.starts_with("set `mtu = 1550` in [[port]] \"p0\""), "{finding}");
        nic.ports[0].mtu = Some(1550);
        fixture.all_is_well(&nic, check);
        // One that stays with the kernel's driver has what its interface has.
        nic.ports[0].mtu = None;
        let device = "sys/bus/pci/devices/0000:01:00.0";
        let fixture = fixture
            .symlink(&format!("{device}/driver"), "/drivers/mlx5_core")
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
