//! For every drop reason: the setting behind it, and what would make the frame pass.
//!
//! The match has no wildcard, so a new reason does not compile without an answer. Where no setting
//! of this switch helps, the answer names what does, and still points at the setting that the frame
//! conflicts with.

use super::analysis::{Analysis, FRAME_OVERHEAD, TUNNEL_OVERHEAD, fixed, setting};
use super::answer::{Cause, Reason};
use super::config_names::listed;
use crate::datapath::tunnel::OUTER_LEN;
use crate::ids::PortId;
use crate::metrics::drop_reason::DropReason;
use crate::table::Destination;

/// A reason with its cause. `at` is the port where the frame was dropped, `to` where it was to go,
/// if that was decided.
pub(super) fn reason(
    analysis: &Analysis<'_>,
    reason: DropReason,
    at: PortId,
    to: Option<Destination>,
) -> Reason {
    Reason {
        reason: reason.label().to_owned(),
        meaning: reason.help().to_owned(),
        cause: cause(analysis, reason, at, to),
    }
}

#[allow(clippy::too_many_lines, reason = "a table: one entry for each reason")]
fn cause(
    analysis: &Analysis<'_>,
    reason: DropReason,
    at: PortId,
    to: Option<Destination>,
) -> Cause {
    use DropReason as R;
    let a = analysis;
    let names = a.names;
    let out = match to {
        Some(Destination::Port(port)) => port,
        Some(Destination::Tunnel(tunnel)) => a.uplink_of(tunnel),
        None => at,
    };
    match reason {
        R::Runt => fixed(
            names.at_port(at, ""),
            format!("port {}: every frame must have an Ethernet header", names.port(at)),
            format!("the sender must send whole frames: this one has {} bytes", a.frame.len()),
        ),
        R::NotContiguous => setting(
            names.at_port(at, "mtu"),
            a.mtu(at),
            "a frame of that MTU must fit into one buffer of the device: set a lower mtu, and see \
             what the driver says about its receive buffers",
        ),
        R::Oversize => setting(
            names.at_port(at, "mtu"),
            format!("{}, so frames up to {} bytes", a.mtu(at), a.longest(at)),
            format!(
                "this frame has {} bytes: set mtu to {} or more, or make the sender send shorter \
                 frames (its MTU; on a virtual interface `ethtool -K … tso off gso off`)",
                a.frame.len(),
                a.frame.len().saturating_sub(FRAME_OVERHEAD),
            ),
        ),
        R::PortUnused => setting(
            names.at_port(at, ""),
            format!(
                "no network has port {0} as a member, and no VTEP has it as its uplink",
                names.port(at)
            ),
            format!("add it to a network: `vswitch network attach NETWORK {}`", names.port(at)),
        ),
        R::VlanNotConfigured => fixed(
            a.membership(at),
            format!("{}: without a VLAN", a.membership_text(at)),
            "the sender must send untagged frames: ports do not support VLANs yet",
        ),
        R::InvalidSourceMac => fixed(
            a.membership(at),
            format!("{}: source addresses are those of single stations", a.membership_text(at)),
            format!("the sender must use an address of its own{}", a.source_text()),
        ),
        R::LinkLocalMulticast => fixed(
            a.membership(at),
            format!(
                "{}: a bridge does not forward frames to 01:80:c2:00:00:0x (IEEE 802.1Q, 8.6.3)",
                a.membership_text(at)
            ),
            "nothing: such frames are for the next device only",
        ),
        R::NotOurMac => a.of_vtep(at, "mac", |vtep, mac, _| {
            setting(
                names.at_vtep(vtep, "mac"),
                format!("VTEP {} has the MAC {mac}{}", names.vtep(vtep), a.mac_origin(vtep)),
                format!(
                    "the sender must send to {mac}{}: check its neighbour table, or set mac",
                    a.destination_text()
                ),
            )
        }),
        R::Truncated | R::OuterBadIhl | R::OuterBadLength | R::OuterBadChecksum => {
            a.of_vtep(at, "address", |vtep, _, address| {
                fixed(
                    names.at_vtep(vtep, "address"),
                    format!(
                        "VTEP {} has the address {address}: frames for it must have valid headers",
                        names.vtep(vtep)
                    ),
                    "the sender, or a device on the way, corrupts the frame: capture it there",
                )
            })
        }
        R::OuterFragment => setting(
            names.at_port(a.uplink(at), "mtu"),
            a.mtu(a.uplink(at)),
            format!(
                "tunnel frames must not be fragmented: raise the MTU of the whole underlay, or \
                 lower that of the tenants to the underlay's minus {}",
                TUNNEL_OVERHEAD + FRAME_OVERHEAD
            ),
        ),
        R::NotOurAddress => a.of_vtep(at, "address", |vtep, _, address| {
            setting(
                names.at_vtep(vtep, "address"),
                format!("VTEP {} has the address {address}", names.vtep(vtep)),
                format!(
                    "the sender must send to {address}{}: check its remote VTEPs",
                    a.outer_destination_text()
                ),
            )
        }),
        R::VxlanWrongUdpPort => a.of_vtep(at, "udp-port", |vtep, _, _| {
            setting(
                names.at_vtep(vtep, "udp-port"),
                format!("VTEP {}: udp-port = {}", names.vtep(vtep), a.udp_port(vtep)),
                format!("both ends need the same UDP port{}: change one of them", a.udp_text()),
            )
        }),
        R::VxlanNoVniFlag => a.of_vtep(at, "udp-port", |vtep, _, _| {
            fixed(
                names.at_vtep(vtep, "udp-port"),
                format!(
                    "VTEP {}: frames to UDP port {} must be VXLAN (RFC 7348)",
                    names.vtep(vtep),
                    a.udp_port(vtep)
                ),
                "the sender must set the I flag: does it send VXLAN?",
            )
        }),
        R::UnknownVni => a.unknown_vni(at),
        R::UnknownRemoteVtep => a.unknown_remote(at),
        R::InnerRunt => fixed(
            a.at_network("remote-vteps"),
            format!("{}: its remote VTEPs send whole Ethernet frames", a.network_text()),
            "the sender must encapsulate whole frames: capture it there",
        ),
        R::SamePort => a.same_port(at),
        R::SplitHorizon => a.split_horizon(),
        R::NoDestination => a.no_destination(at),
        R::NextHopUnresolved => a.next_hop_unresolved(to),
        R::ExceedsUnderlayMtu => {
            let room = a.longest(out).saturating_sub(OUTER_LEN);
            setting(
                names.at_port(out, "mtu"),
                format!("{}, so tenants' frames up to {room} bytes", a.mtu(out)),
                format!(
                    "this one has {} bytes: set mtu to {} or more on the whole underlay, or lower \
                     the MTU of the tenants to {}",
                    a.inner_len(),
                    a.inner_len() + TUNNEL_OVERHEAD,
                    room.saturating_sub(FRAME_OVERHEAD)
                ),
            )
        }
        R::ExceedsPortMtu => setting(
            names.at_port(out, "mtu"),
            format!("{}, so frames up to {} bytes", a.mtu(out), a.longest(out)),
            format!(
                "this one has {} bytes: set mtu to {} or more here and at the peer, or lower the \
                 MTU of the sender",
                a.inner_len(),
                a.inner_len().saturating_sub(FRAME_OVERHEAD)
            ),
        ),
        R::NoHeadroom => fixed(
            names.at_port(at, "device"),
            format!(
                "port {}: the device leaves less than {OUTER_LEN} bytes before a frame",
                names.port(at)
            ),
            "the driver must keep DPDK's headroom (RTE_PKTMBUF_HEADROOM, 128 bytes by default)",
        ),
        R::NoBuffers => setting(
            "/dpdk/packet-buffers".to_owned(),
            a.buffers_text(),
            "if vswitch_mbufs_in_use stays near vswitch_mbufs_capacity, raise packet-buffers, and \
             memory-mib with it",
        ),
        R::PuntQueueFull => a.of_vtep(at, "host-interface", |vtep, _, _| {
            fixed(
                names.at_vtep(vtep, "host-interface"),
                a.host_text(vtep),
                "more frames for the kernel than it can take: find out what floods it; keep \
                 main-core free of other work",
            )
        }),
        R::HostWriteFailed => a.of_vtep(at, "host-interface", |vtep, _, _| {
            fixed(
                names.at_vtep(vtep, "host-interface"),
                a.host_text(vtep),
                format!(
                    "the interface must be up: `ip link set {} up`; keep main-core free of other \
                     work",
                    names.host_interface(vtep)
                ),
            )
        }),
        R::HostQueueFull => a.of_vtep(at, "host-interface", |vtep, _, _| {
            fixed(
                names.at_vtep(vtep, "host-interface"),
                a.host_text(vtep),
                "the kernel sends faster than the worker of the uplink takes frames: see `vswitch \
                 show workers`",
            )
        }),
        R::HandoverQueueFull => setting(
            "/dpdk/worker-cores".to_owned(),
            a.workers_text(out),
            "a worker without a transmit queue on the port hands its frames to one that has one: \
             use fewer workers than the device has queues, or a device with more queues",
        ),
        R::TransmitQueueFull => setting(
            names.at_port(out, "queues"),
            a.queues_text(out),
            "the device, or its peer, is slower than the traffic: give it more queues if it has \
             them; for a virtual device look at the peer",
        ),
        R::PortRemoved => setting(
            "/port".to_owned(),
            format!(
                "ports: {}",
                listed(a.live.topology.ports().map(|(_, port)| port.name.clone()))
            ),
            "the port was removed while the frame waited; add it again if that was a mistake",
        ),
    }
}
