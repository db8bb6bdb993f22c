//! For every drop reason: the piece of configuration that makes it one, and what would make the frame pass.
//!
//! The match has no wildcard: a new reason does not compile without an answer. Where no setting of this switch
//! can help, the answer says so and who can; it still points at what the frame ran into.

use super::answer::{Cause, Reason};
use super::case::{Case, FRAME_OVERHEAD, TUNNEL_OVERHEAD, fixed, setting};
use super::names::listed;
use crate::datapath::generation::OUTER_LEN;
use crate::ids::PortId;
use crate::metrics::drop_reason::DropReason;
use crate::table::Destination;

/// A reason with its cause. `at` is the port where it happened, `to` where the frame was to go, if that was decided.
pub(super) fn reason(
    case: &Case<'_>,
    reason: DropReason,
    at: PortId,
    to: Option<Destination>,
) -> Reason {
    Reason {
        reason: reason.label().to_owned(),
        meaning: reason.help().to_owned(),
        cause: cause(case, reason, at, to),
    }
}

#[allow(clippy::too_many_lines, reason = "a table: one entry for each reason")]
fn cause(case: &Case<'_>, reason: DropReason, at: PortId, to: Option<Destination>) -> Cause {
    use DropReason as R;
    let names = case.names;
    let out = match to {
        Some(Destination::Port(port)) => port,
        Some(Destination::Tunnel(tunnel)) => case.uplink_of(tunnel),
        None => at,
    };
    match reason {
        R::Runt => fixed(
            names.at_port(at, ""),
            format!("port {}: every frame that it receives has an Ethernet header", names.port(at)),
            format!("the sender has to send whole frames: this one has {} bytes", case.frame.len()),
        ),
        R::NotContiguous => setting(
            names.at_port(at, "mtu"),
            case.mtu(at),
            "frames of that MTU have to fit into one buffer of the device: set a lower mtu, and look \
             at what the driver says of its receive buffers",
        ),
        R::Oversize => setting(
            names.at_port(at, "mtu"),
            format!("{}, so frames up to {} bytes", case.mtu(at), case.longest(at)),
            format!(
                "this frame has {} bytes: set mtu to {} or more, or have the sender send shorter ones (its MTU; \
                 on a virtual interface `ethtool -K … tso off gso off`)",
                case.frame.len(),
                case.frame.len().saturating_sub(FRAME_OVERHEAD),
            ),
        ),
        R::PortUnused => setting(
            names.at_port(at, ""),
            format!("no network has port {0} as a member, and no VTEP has it as its uplink", names.port(at)),
            format!("add it to a network: `vswitch network attach NETWORK {}`", names.port(at)),
        ),
        R::VlanNotConfigured => fixed(
            case.membership(at),
            format!("{}: without a VLAN", case.membership_text(at)),
            "the sender has to send untagged frames: ports take no VLANs yet",
        ),
        R::InvalidSourceMac => fixed(
            case.membership(at),
            format!("{}: its stations have addresses of single stations", case.membership_text(at)),
            format!("the sender has to use an address of its own{}", case.source_text()),
        ),
        R::LinkLocalMulticast => fixed(
            case.membership(at),
            format!("{}: a bridge ends frames to 01:80:c2:00:00:0x (IEEE 802.1Q, 8.6.3)", case.membership_text(at)),
            "nothing: such frames are for the next device only",
        ),
        R::NotOurMac => case.of_vtep(at, "mac", |vtep, mac, _| setting(
            names.at_vtep(vtep, "mac"),
            format!("VTEP {} has the MAC {mac}{}", names.vtep(vtep), case.mac_origin(vtep)),
            format!("the sender has to send to {mac}{}: look at its neighbour table, or set mac", case.destination_text()),
        )),
        R::Truncated | R::OuterBadIhl | R::OuterBadLength | R::OuterBadChecksum => {
            case.of_vtep(at, "address", |vtep, _, address| fixed(
                names.at_vtep(vtep, "address"),
                format!("VTEP {} has the address {address}: what is for it has to be right", names.vtep(vtep)),
                "the sender, or something on the way, spoils the frame: capture it there",
            ))
        }
        R::OuterFragment => setting(
            names.at_port(case.uplink(at), "mtu"),
            case.mtu(case.uplink(at)),
            format!(
                "tunnel frames must not be fragmented: raise the MTU of the whole underlay, or lower that of the \
                 tenants to at most the underlay's less {}", TUNNEL_OVERHEAD + FRAME_OVERHEAD
            ),
        ),
        R::NotOurAddress => case.of_vtep(at, "address", |vtep, _, address| setting(
            names.at_vtep(vtep, "address"),
            format!("VTEP {} has the address {address}", names.vtep(vtep)),
            format!("the sender has to send to {address}{}: look at its remote VTEPs", case.outer_destination_text()),
        )),
        R::VxlanWrongUdpPort => case.of_vtep(at, "udp-port", |vtep, _, _| setting(
            names.at_vtep(vtep, "udp-port"),
            format!("VTEP {}: udp-port = {}", names.vtep(vtep), case.udp_port(vtep)),
            format!("both ends need the same UDP port{}: change one of them", case.udp_text()),
        )),
        R::VxlanNoVniFlag => case.of_vtep(at, "udp-port", |vtep, _, _| fixed(
            names.at_vtep(vtep, "udp-port"),
            format!("VTEP {}: what arrives on UDP port {} is VXLAN (RFC 7348)", names.vtep(vtep), case.udp_port(vtep)),
            "the sender has to set the I flag: is it VXLAN that it sends?",
        )),
        R::UnknownVni => case.unknown_vni(at),
        R::UnknownRemoteVtep => case.unknown_remote(at),
        R::InnerRunt => fixed(
            case.at_network("remote-vteps"),
            format!("{}: its remote VTEPs send whole Ethernet frames", case.network_text()),
            "the sender has to encapsulate whole frames: capture it there",
        ),
        R::SamePort => case.same_port(at),
        R::SplitHorizon => case.split_horizon(),
        R::NoDestination => case.no_destination(at),
        R::NextHopUnresolved => case.next_hop_unresolved(to),
        R::ExceedsUnderlayMtu => {
            let room = case.longest(out).saturating_sub(OUTER_LEN);
            let needed = case.inner_len() + TUNNEL_OVERHEAD;
            setting(
                names.at_port(out, "mtu"),
                format!("{}, so tenants' frames up to {room} bytes", case.mtu(out)),
                format!(
                    "this one has {} bytes: set mtu to {needed} or more, on the whole underlay, or lower the MTU of \
                     the tenants to {}", case.inner_len(), room.saturating_sub(FRAME_OVERHEAD)
                ),
            )
        }
        R::ExceedsPortMtu => setting(
            names.at_port(out, "mtu"),
            format!("{}, so frames up to {} bytes", case.mtu(out), case.longest(out)),
            format!(
                "this one has {} bytes: set mtu to {} or more, there and at its peer, or lower the MTU of the sender",
                case.inner_len(), case.inner_len().saturating_sub(FRAME_OVERHEAD)
            ),
        ),
        R::NoHeadroom => fixed(
            names.at_port(at, "device"),
            format!("port {}: the device leaves less than {OUTER_LEN} bytes before a frame", names.port(at)),
            "it needs a driver that keeps DPDK's headroom (RTE_PKTMBUF_HEADROOM, 128 bytes by default)",
        ),
        R::NoBuffers => setting(
            "/dpdk/packet-buffers".to_owned(),
            case.buffers_text(),
            "if vswitch_mbufs_in_use stays near vswitch_mbufs_capacity, raise packet-buffers, and memory-mib with it",
        ),
        R::PuntQueueFull => case.of_vtep(at, "host-interface", |vtep, _, _| fixed(
            names.at_vtep(vtep, "host-interface"),
            case.host_text(vtep),
            "more frames for the host than the kernel is given: see what floods it; keep main-core free of other work",
        )),
        R::HostWriteFailed => case.of_vtep(at, "host-interface", |vtep, _, _| fixed(
            names.at_vtep(vtep, "host-interface"),
            case.host_text(vtep),
            format!("the interface has to be up: `ip link set {} up`; keep main-core free of other work",
                names.host_interface(vtep)),
        )),
        R::HostQueueFull => case.of_vtep(at, "host-interface", |vtep, _, _| fixed(
            names.at_vtep(vtep, "host-interface"),
            case.host_text(vtep),
            "the host sends faster than the worker of its uplink takes: see `vswitch show workers`",
        )),
        R::HandoverQueueFull => setting(
            "/dpdk/worker-cores".to_owned(),
            case.workers_text(out),
            "a worker without a transmit queue on the port hands frames to one that has: use fewer workers than the \
             device has queues, or a device with more of them",
        ),
        R::TransmitQueueFull => setting(
            names.at_port(out, "queues"),
            case.queues_text(out),
            "the device, or whoever reads from it, is slower than the traffic: give it more queues if it has them; \
             for a virtual device look at its peer",
        ),
        R::PortRemoved => setting(
            "/port".to_owned(),
            format!("ports: {}", listed(case.live.topology.ports().map(|(_, port)| port.name.clone()))),
            "it was removed while the frame waited; nothing to do, unless it should not have been",
        ),
    }
}
