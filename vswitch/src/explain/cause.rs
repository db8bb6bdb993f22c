//! For every drop reason: the piece of configuration that makes it one, and what would make the frame pass.
//!
//! The match has no wildcard: a new reason does not compile without an answer. Where no setting of this switch
//! can help, the answer says so and who can; it still points at what the frame ran into.

use super::answer::{Cause, Reason};
use super::journey::{Journey, Seen};
use super::layers::{Header, Layer};
use super::names::{Names, listed};
use super::{Entrance, Live};
use crate::datapath::generation::{OUTER_LEN, Role};
use crate::datapath::verdict::DropReason;
use crate::datapath::worker::Stage;
use crate::ids::{BridgeDomain, PortId, TunnelId, VtepId};
use crate::table::Destination;
use crate::wire::ethernet;

/// By how much a frame is longer than what its MTU counts, in bytes.
const FRAME_OVERHEAD: usize = ethernet::HEADER_LEN;
/// By how much a tunnel's inner frame is shorter than its uplink's MTU.
const TUNNEL_OVERHEAD: usize = OUTER_LEN - ethernet::HEADER_LEN;

/// All that is known of one frame.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub live: Live<'a>,
    pub names: Names<'a>,
    pub entrance: Entrance,
    pub journey: &'a Journey,
    /// As it came.
    pub frame: &'a [u8],
    /// The same, decoded.
    pub layers: &'a [Layer],
}

/// A setting that decides.
fn setting(pointer: String, configured: impl Into<String>, remedy: impl Into<String>) -> Cause {
    let (configured, remedy) = (configured.into(), remedy.into());
    Cause { pointer, configured, remedy, by_configuration: true }
}

/// Something that no setting lets pass.
fn fixed(pointer: String, configured: impl Into<String>, remedy: impl Into<String>) -> Cause {
    Cause { by_configuration: false, ..setting(pointer, configured, remedy) }
}

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

impl Case<'_> {
    /// The port that the frame came by, or leaves by if it comes from the host.
    pub fn port(&self) -> PortId {
        match self.entrance {
            Entrance::Port(port) | Entrance::Vtep(_, port) => port,
        }
    }

    /// Length of the frame as the tenant has it.
    pub fn inner_len(&self) -> usize {
        let seen = self.journey.after(Stage::Forward);
        seen.map_or(self.frame.len(), |seen| seen.len as usize)
    }

    /// The network, of the frame or of its port.
    fn domain(&self) -> Option<BridgeDomain> {
        let of_port = match self.live.topology.role(self.port()) {
            Role::Tenant(domain) => Some(domain),
            _ => None,
        };
        self.journey.domain().or(of_port)
    }

    fn uplink_of(&self, tunnel: TunnelId) -> PortId {
        self.live.generation.tunnels.get(tunnel.index()).map_or(self.port(), |t| t.port())
    }

    /// The VTEP whose uplink a port is; else that of the frame, or of its network.
    fn vtep(&self, at: PortId) -> Option<VtepId> {
        if let Role::Uplink(vtep) = self.live.topology.role(at) {
            return Some(vtep);
        }
        match self.entrance {
            Entrance::Vtep(vtep, _) => Some(vtep),
            Entrance::Port(_) => self.domain().and_then(|domain| self.names.vtep_of(domain)),
        }
    }

    fn uplink(&self, at: PortId) -> PortId {
        let vtep = self.vtep(at).and_then(|vtep| self.live.topology.vtep(vtep));
        vtep.map_or(at, |vtep| vtep.port)
    }

    /// A cause at the VTEP of a port, given its MAC and address; if there is none, the place where it would be.
    fn of_vtep(
        &self,
        at: PortId,
        key: &str,
        say: impl FnOnce(VtepId, String, String) -> Cause,
    ) -> Cause {
        let found = self.vtep(at).and_then(|id| Some((id, self.live.topology.vtep(id)?)));
        let Some((id, vtep)) = found else {
            let text = format!("no VTEP has port {} as its uplink", self.names.port(at));
            return setting("/vtep".to_owned(), text, format!("a VTEP decides this, by {key}"));
        };
        let known = vtep.port.index() < self.live.facts.len();
        let mac = known.then(|| self.live.topology.vtep_mac(vtep, self.live.facts).to_string());
        say(id, mac.unwrap_or_else(|| "unknown".to_owned()), vtep.address.to_string())
    }

    /// The longest frame of a port.
    pub fn longest(&self, port: PortId) -> usize {
        self.live.generation.ports.get(port.index()).map_or(0, |port| port.max_frame_len as usize)
    }

    /// "port a: mtu = 1500".
    pub fn mtu(&self, port: PortId) -> String {
        let name = self.names.port(port);
        match self.live.topology.port(port).map(|port| port.mtu) {
            Some(Some(mtu)) => format!("port {name}: mtu = {mtu}"),
            Some(None) => {
                let mtu = self.longest(port).saturating_sub(FRAME_OVERHEAD);
                format!("port {name}: mtu is not set; the device has {mtu}")
            }
            None => format!("port {name}"),
        }
    }

    fn membership(&self, at: PortId) -> String {
        match self.live.topology.role(at) {
            Role::Tenant(domain) => self.names.at_member(domain, at),
            Role::Uplink(vtep) => match self.journey.domain() {
                Some(domain) => self.names.at_network(domain, "remote-vteps"),
                None => self.names.at_vtep(vtep, "port"),
            },
            Role::Unused => self.names.at_port(at, ""),
        }
    }

    fn membership_text(&self, at: PortId) -> String {
        let port = self.names.port(at);
        match self.live.topology.role(at) {
            Role::Tenant(domain) => {
                format!("port {port} is in network {}", self.names.network(domain))
            }
            Role::Uplink(vtep) => match self.journey.domain() {
                Some(domain) => {
                    format!(
                        "network {} takes frames from its remote VTEPs",
                        self.names.network(domain)
                    )
                }
                None => format!("port {port} is the uplink of VTEP {}", self.names.vtep(vtep)),
            },
            Role::Unused => format!("port {port} is in no network"),
        }
    }

    fn innermost(&self) -> Option<(&str, &str)> {
        self.layers.iter().rev().find_map(|layer| match &layer.header {
            Header::Ethernet { destination, source, .. } => Some((&**destination, &**source)),
            _ => None,
        })
    }

    fn source_text(&self) -> String {
        self.innermost().map_or(String::new(), |(_, source)| format!(", not {source}"))
    }

    fn destination_text(&self) -> String {
        match self.layers.first().map(|layer| &layer.header) {
            Some(Header::Ethernet { destination, .. }) => format!(", not to {destination}"),
            _ => String::new(),
        }
    }

    fn outer_destination_text(&self) -> String {
        let found = self.layers.iter().find_map(|layer| match &layer.header {
            Header::Ipv4 { destination, .. } => Some(destination),
            _ => None,
        });
        found.map_or(String::new(), |address| format!(", not to {address}"))
    }

    fn udp_text(&self) -> String {
        let found = self.layers.iter().find_map(|layer| match &layer.header {
            Header::Udp { destination, .. } => Some(destination),
            _ => None,
        });
        found.map_or(String::new(), |port| format!(", and this frame is for {port}"))
    }

    fn mac_origin(&self, vtep: VtepId) -> String {
        let vtep = self.live.topology.vtep(vtep);
        match vtep {
            Some(vtep) if vtep.mac.is_none() => {
                format!(": mac is not set, so it is that of port {}", self.names.port(vtep.port))
            }
            _ => String::new(),
        }
    }

    fn udp_port(&self, vtep: VtepId) -> u16 {
        self.live.topology.vtep(vtep).map_or(0, |vtep| vtep.udp_port)
    }

    fn network_text(&self) -> String {
        self.domain()
            .map_or("no network".to_owned(), |d| format!("network {}", self.names.network(d)))
    }

    fn at_network(&self, key: &str) -> String {
        self.domain().map_or_else(|| "/network".to_owned(), |d| self.names.at_network(d, key))
    }

    fn unknown_vni(&self, at: PortId) -> Cause {
        let vtep = self.vtep(at).map_or_else(|| "NAME".to_owned(), |vtep| self.names.vtep(vtep));
        let Some(vni) = self.journey.tunnelled().map(|tunnelled| tunnelled.vni) else {
            let text = format!("the networks of VTEP {vtep} have the VNIs {}", self.vnis(at));
            return setting("/network".to_owned(), text, "one of them needs the VNI of the frame");
        };
        if let Some(domain) = self.names.network_of(vni) {
            let name = self.names.network(domain);
            let elsewhere = self.names.vtep_of(domain).map_or_else(
                || format!("network {name} has VNI {vni} and no VTEP"),
                |other| format!("network {name} has VNI {vni} on VTEP {}", self.names.vtep(other)),
            );
            let remedy = format!("frames for it arrive at VTEP {vtep}: set vtep = {vtep:?} there");
            return setting(self.names.at_network(domain, "vtep"), elsewhere, remedy);
        }
        setting(
            "/network".to_owned(),
            format!("no network has VNI {vni}; those of VTEP {vtep} have {}", self.vnis(at)),
            format!(
                "make a network of it: `vswitch network create NAME --vni {vni} --vtep {vtep} --remote-vtep {}`",
                self.remote_text()
            ),
        )
    }

    fn vnis(&self, at: PortId) -> String {
        let vtep = self.vtep(at);
        let networks =
            self.live.topology.networks().filter(|(_, n)| n.vtep.is_some() && n.vtep == vtep);
        listed(networks.map(|(_, n)| format!("{} ({})", n.vni.get(), n.name)))
    }

    fn remote_text(&self) -> String {
        let remote = self.journey.tunnelled().map(|tunnelled| tunnelled.remote);
        remote.map_or("ADDRESS".to_owned(), |r| std::net::Ipv4Addr::from_bits(r).to_string())
    }

    fn remotes_text(&self, domain: BridgeDomain) -> String {
        let network = self.live.topology.network(domain);
        let remotes = network.map(|network| network.remote_vteps.clone()).unwrap_or_default();
        listed(remotes.iter().map(ToString::to_string))
    }

    fn unknown_remote(&self, at: PortId) -> Cause {
        let Some(domain) = self.domain() else {
            let text =
                format!("{}: each network has its own remote VTEPs", self.membership_text(at));
            return setting("/network".to_owned(), text, "the sender has to be one of them");
        };
        let (name, remote) = (self.names.network(domain), self.remote_text());
        setting(
            self.names.at_network(domain, "remote-vteps"),
            format!("network {name}: remote-vteps are {}", self.remotes_text(domain)),
            format!(
                "if {remote} should be one of them: `vswitch network remote-vtep add {name} {remote}`"
            ),
        )
    }

    /// Where the FDB has the receiver.
    fn receiver(&self) -> Option<(&Seen, BridgeDomain)> {
        let seen = self.journey.looked_up()?;
        Some((seen, seen.destination.0.domain()))
    }

    /// The configured entry of the receiver, or what is there instead, and how to forget a learned one.
    fn entry(&self, otherwise: impl Fn(BridgeDomain) -> String) -> (String, String, bool) {
        let Some((seen, domain)) = self.receiver() else {
            return (self.at_network("mac"), String::new(), false);
        };
        let (key, found) = seen.destination;
        let network = self.names.network(domain);
        match self.names.at_mac(domain, key.mac()).filter(|_| found.is_static()) {
            Some(pointer) => {
                let remedy = format!(
                    "if the station is elsewhere, change its home: `vswitch network migrate --mac {} --network {network} …`",
                    key.mac()
                );
                (pointer, remedy, true)
            }
            None => {
                let remedy = format!(
                    "if the station is elsewhere, it is known there with its next frame, or forget it: \
                     `vswitch mac flush --network {network} --mac {}`",
                    key.mac()
                );
                (otherwise(domain), remedy, false)
            }
        }
    }

    fn receiver_text(&self) -> String {
        let Some((seen, domain)) = self.receiver() else { return self.network_text() };
        let (key, found) = seen.destination;
        let place = found.destination().map_or(String::new(), |place| self.names.place(place));
        let kind = if found.is_static() { "a static MAC" } else { "learned" };
        format!("network {}: {} is {place} ({kind})", self.names.network(domain), key.mac())
    }

    fn same_port(&self, at: PortId) -> Cause {
        let (pointer, remedy, by_configuration) =
            self.entry(|domain| self.names.at_member(domain, at));
        let text = format!("{}, where the frame comes from", self.receiver_text());
        let remedy = format!(
            "nothing, if both stations are there: they reach each other without the switch; {remedy}"
        );
        Cause {
            pointer,
            configured: text,
            remedy: remedy.trim_end_matches("; ").to_owned(),
            by_configuration,
        }
    }

    fn split_horizon(&self) -> Cause {
        let (pointer, remedy, by_configuration) =
            self.entry(|domain| self.names.at_network(domain, "remote-vteps"));
        let text = format!("{}, and the frame comes from the overlay", self.receiver_text());
        let remedy = format!(
            "the sender has to send to that remote VTEP itself: its network needs it among its remote VTEPs; {remedy}"
        );
        Cause {
            pointer,
            configured: text,
            remedy: remedy.trim_end_matches("; ").to_owned(),
            by_configuration,
        }
    }

    fn no_destination(&self, at: PortId) -> Cause {
        let Some(domain) = self.domain() else {
            return setting(
                "/network".to_owned(),
                self.membership_text(at),
                "a network needs other members",
            );
        };
        let name = self.names.network(domain);
        let network = self.live.topology.network(domain);
        let ports =
            listed(network.into_iter().flat_map(|n| &n.ports).map(|port| self.names.port(*port)));
        let from_overlay = self.live.topology.role(at) != Role::Tenant(domain);
        let attach = format!("`vswitch network attach {name} PORT`");
        if from_overlay {
            return setting(
                self.names.at_network(domain, "port"),
                format!("network {name}: ports are {ports}"),
                format!("give it the port of the station that the frame is for: {attach}"),
            );
        }
        setting(
            self.names.at_network(domain, "remote-vteps"),
            format!(
                "network {name}: ports are {ports}, remote-vteps are {}",
                self.remotes_text(domain)
            ),
            format!(
                "give it another port, {attach}, or a remote VTEP, `vswitch network remote-vtep add {name} ADDRESS`"
            ),
        )
    }

    fn next_hop_unresolved(&self, to: Option<Destination>) -> Cause {
        let Some(Destination::Tunnel(tunnel)) = to else {
            let (at, text) = (self.at_network("remote-vteps"), self.network_text());
            return fixed(at, text, "`vswitch show vteps` says why the next hop is not known");
        };
        let remote = self.names.remote(tunnel);
        let key = self.domain().and_then(|domain| {
            let network = self.live.topology.network(domain)?;
            let place = network.remote_vteps.iter().position(|known| known.to_string() == remote);
            place.map(|place| format!("remote-vteps/{place}")).or_else(|| {
                let (key, _) = self.receiver()?.0.destination;
                let place = network.macs.iter().position(|mac| mac.address == key.mac());
                place.map(|place| format!("mac/{place}/remote-vtep"))
            })
        });
        let why = (self.live.unresolved)(tunnel);
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        fixed(
            self.at_network(key.as_deref().unwrap_or("remote-vteps")),
            format!(
                "{}: the next hop to remote VTEP {remote} has no known MAC{why}",
                self.network_text()
            ),
            format!(
                "the host needs a way there: `ip route get {remote}`, `ip neigh`; is that host up?"
            ),
        )
    }

    fn buffers_text(&self) -> String {
        let dpdk = &self.live.topology.config().dpdk;
        let buffers =
            dpdk.packet_buffers.map_or("packet-buffers is not set".to_owned(), |buffers| {
                format!("packet-buffers = {buffers}")
            });
        format!("{buffers}, memory-mib = {}", dpdk.memory_mib)
    }

    fn host_text(&self, vtep: VtepId) -> String {
        let core = self.live.topology.config().dpdk.main_core;
        let (name, interface) = (self.names.vtep(vtep), self.names.host_interface(vtep));
        format!("VTEP {name}: host-interface = {interface:?}, served on main-core {core}")
    }

    fn workers_text(&self, port: PortId) -> String {
        let cores = &self.live.topology.config().dpdk.worker_cores;
        let cores = listed(cores.iter().map(ToString::to_string));
        format!(
            "worker-cores are {cores}, and port {} has fewer transmit queues",
            self.names.port(port)
        )
    }

    fn queues_text(&self, port: PortId) -> String {
        let name = self.names.port(port);
        match self.live.topology.port(port).and_then(|port| port.queues) {
            Some(queues) => format!("port {name}: queues = {queues}"),
            None => format!(
                "port {name}: queues is not set; as many as there are workers, if the device has them"
            ),
        }
    }
}
