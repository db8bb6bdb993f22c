//! All that is known about one frame, and the settings that concern it as text.

use super::answer::Cause;
use super::config_names::{ConfigNames, listed};
use super::question::Entrance;
use super::stage_log::{FrameState, StageLog};
use crate::control::live_state::LiveState;
use crate::datapath::observer::Stage;
use crate::datapath::tunnel::UNDERLAY_OVERHEAD;
use crate::decode::{Fields, Layer};
use crate::ids::{NetworkId, PortId, TunnelId, VtepId};
use crate::table::Destination;
use crate::topology::Role;
use crate::wire::ethernet;

/// The bytes of a frame that its MTU does not count.
pub(super) const FRAME_OVERHEAD: usize = ethernet::HEADER_LEN;
/// By how many bytes a tunnel's inner frame must be shorter than the MTU of its uplink.
pub(super) const TUNNEL_OVERHEAD: usize = UNDERLAY_OVERHEAD;

/// All that is known about one frame.
#[derive(Clone, Copy)]
pub(super) struct Analysis<'a> {
    pub live: LiveState<'a>,
    pub names: ConfigNames<'a>,
    pub entrance: Entrance,
    pub stage_log: &'a StageLog,
    /// The frame as it came.
    pub frame: &'a [u8],
    /// The same frame, decoded.
    pub layers: &'a [Layer],
}

/// The cause is a setting; a change of it lets such frames pass.
pub(super) fn setting(
    pointer: String,
    configured: impl Into<String>,
    remedy: impl Into<String>,
) -> Cause {
    let (configured, remedy) = (configured.into(), remedy.into());
    Cause { pointer, configured, remedy, by_configuration: true }
}

/// No setting of this switch lets such frames pass.
pub(super) fn fixed(
    pointer: String,
    configured: impl Into<String>,
    remedy: impl Into<String>,
) -> Cause {
    Cause { by_configuration: false, ..setting(pointer, configured, remedy) }
}

impl Analysis<'_> {
    /// The port that received the frame, or the uplink that it leaves by if the kernel sent it.
    pub fn port(&self) -> PortId {
        match self.entrance {
            Entrance::Port(port) | Entrance::Vtep(_, port) => port,
        }
    }

    /// Length of the tenant's frame.
    pub fn inner_len(&self) -> usize {
        let seen = self.stage_log.after(Stage::Forward);
        seen.map_or(self.frame.len(), |seen| seen.len as usize)
    }

    /// The network of the frame, or of its port.
    pub fn domain(&self) -> Option<NetworkId> {
        let of_port = match self.live.topology.role(self.port()) {
            Role::Tenant(domain) => Some(domain),
            _ => None,
        };
        self.stage_log.domain().or(of_port)
    }

    pub fn uplink_of(&self, tunnel: TunnelId) -> PortId {
        self.live.generation.tunnels.get(tunnel.index()).map_or(self.port(), |t| t.port())
    }

    /// The VTEP whose uplink is the port `at`; otherwise the VTEP of the frame or of its network.
    pub fn vtep(&self, at: PortId) -> Option<VtepId> {
        if let Role::Uplink(vtep) = self.live.topology.role(at) {
            return Some(vtep);
        }
        match self.entrance {
            Entrance::Vtep(vtep, _) => Some(vtep),
            Entrance::Port(_) => self.domain().and_then(|domain| self.names.vtep_of(domain)),
        }
    }

    pub fn uplink(&self, at: PortId) -> PortId {
        let vtep = self.vtep(at).and_then(|vtep| self.live.topology.vtep(vtep));
        vtep.map_or(at, |vtep| self.live.topology.uplink_of(vtep))
    }

    /// A cause at the VTEP of a port. `cause` gets the VTEP with its MAC and address. Without a
    /// VTEP, the cause is that there is none.
    pub fn of_vtep(
        &self,
        at: PortId,
        key: &str,
        cause: impl FnOnce(VtepId, String, String) -> Cause,
    ) -> Cause {
        let found = self.vtep(at).and_then(|id| Some((id, self.live.topology.vtep(id)?)));
        let Some((id, vtep)) = found else {
            let text = format!("no VTEP has port {} as its uplink", self.names.port(at));
            return setting("/vtep".to_owned(), text, format!("a VTEP decides this, by {key}"));
        };
        let known = self.live.topology.uplink_of(vtep).index() < self.live.facts.len();
        let mac = known.then(|| self.live.topology.vtep_mac(vtep, self.live.facts).to_string());
        cause(id, mac.unwrap_or_else(|| "unknown".to_owned()), vtep.address.to_string())
    }

    /// The longest frame that a port accepts.
    pub fn longest(&self, port: PortId) -> usize {
        self.live.generation.ports.get(port.index()).map_or(0, |port| port.max_frame_len as usize)
    }

    /// As in "port a: mtu = 1500".
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

    pub fn membership(&self, at: PortId) -> String {
        match self.live.topology.role(at) {
            Role::Tenant(domain) => self.names.at_member(domain, at),
            Role::Uplink(vtep) => match self.stage_log.domain() {
                Some(domain) => self.names.at_network(domain, "remote-vteps"),
                None => self.names.at_vtep(vtep, "port"),
            },
            Role::Unused => self.names.at_port(at, ""),
        }
    }

    pub fn membership_text(&self, at: PortId) -> String {
        let port = self.names.port(at);
        match self.live.topology.role(at) {
            Role::Tenant(domain) => {
                format!("port {port} is in network {}", self.names.network(domain))
            }
            Role::Uplink(vtep) => match self.stage_log.domain() {
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

    /// The source MAC that the stages check: that of the frame, or inside our tunnel. A tenant may
    /// have tunnels of its own inside.
    pub fn source_text(&self) -> String {
        let ours = usize::from(self.stage_log.tunnelled().is_some());
        let mut sources = self.layers.iter().filter_map(|layer| match &layer.fields {
            Fields::Ethernet { source, .. } => Some(source),
            _ => None,
        });
        sources.nth(ours).map_or(String::new(), |source| format!(", not {source}"))
    }

    pub fn destination_text(&self) -> String {
        match self.layers.first().map(|layer| &layer.fields) {
            Some(Fields::Ethernet { destination, .. }) => format!(", not to {destination}"),
            _ => String::new(),
        }
    }

    pub fn outer_destination_text(&self) -> String {
        let found = self.layers.iter().find_map(|layer| match &layer.fields {
            Fields::Ipv4 { destination, .. } => Some(destination),
            _ => None,
        });
        found.map_or(String::new(), |address| format!(", not to {address}"))
    }

    pub fn udp_text(&self) -> String {
        let found = self.layers.iter().find_map(|layer| match &layer.fields {
            Fields::Udp { destination, .. } => Some(destination),
            _ => None,
        });
        found.map_or(String::new(), |port| format!(", and this frame is for {port}"))
    }

    pub fn mac_origin(&self, vtep: VtepId) -> String {
        let vtep = self.live.topology.vtep(vtep);
        match vtep.map(|vtep| self.live.topology.underlay_of(vtep)) {
            Some(underlay) if underlay.mac.is_none() => {
                let port = self.names.port(underlay.port);
                format!(": mac is not set, so it is the MAC of port {port}")
            }
            _ => String::new(),
        }
    }

    pub fn udp_port(&self, vtep: VtepId) -> u16 {
        self.live.topology.vtep(vtep).map_or(0, |vtep| vtep.udp_port)
    }

    pub fn network_text(&self) -> String {
        self.domain()
            .map_or("no network".to_owned(), |d| format!("network {}", self.names.network(d)))
    }

    pub fn at_network(&self, key: &str) -> String {
        self.domain().map_or_else(|| "/network".to_owned(), |d| self.names.at_network(d, key))
    }

    pub fn unknown_vni(&self, at: PortId) -> Cause {
        let vtep = self.vtep(at).map_or_else(|| "NAME".to_owned(), |vtep| self.names.vtep(vtep));
        let Some(vni) = self.stage_log.tunnelled().map(|tunnelled| tunnelled.vni) else {
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
            format!("no network has VNI {vni}; VTEP {vtep} has the VNIs {}", self.vnis(at)),
            format!(
                "create a network: `vswitch network create NAME --vni {vni} --vtep {vtep} \
                 --remote-vtep {}`",
                self.remote_text()
            ),
        )
    }

    pub fn vnis(&self, at: PortId) -> String {
        let vtep = self.vtep(at);
        let networks =
            self.live.topology.networks().filter(|(_, n)| n.vtep.is_some() && n.vtep == vtep);
        listed(networks.map(|(_, n)| format!("{} ({})", n.vni.get(), n.name)))
    }

    pub fn remote_text(&self) -> String {
        let remote = self.stage_log.tunnelled().map(|tunnelled| tunnelled.remote);
        remote.map_or("ADDRESS".to_owned(), |r| std::net::Ipv4Addr::from_bits(r).to_string())
    }

    pub fn remotes_text(&self, domain: NetworkId) -> String {
        let network = self.live.topology.network(domain);
        let remotes = network.map(|network| network.remote_vteps.clone()).unwrap_or_default();
        listed(remotes.iter().map(ToString::to_string))
    }

    pub fn unknown_remote(&self, at: PortId) -> Cause {
        let Some(domain) = self.domain() else {
            let text =
                format!("{}: each network has its own remote VTEPs", self.membership_text(at));
            return setting("/network".to_owned(), text, "the sender must be one of them");
        };
        let (name, remote) = (self.names.network(domain), self.remote_text());
        setting(
            self.names.at_network(domain, "remote-vteps"),
            format!("network {name}: remote-vteps are {}", self.remotes_text(domain)),
            format!(
                "if {remote} should be one of them: `vswitch network remote-vtep add {name} \
                 {remote}`"
            ),
        )
    }

    /// The result of looking up the receiver, and its network.
    pub fn receiver(&self) -> Option<(&FrameState, NetworkId)> {
        let seen = self.stage_log.looked_up()?;
        Some((seen, seen.destination.0.network()))
    }

    /// The pointer to the receiver's static MAC, how to change it, and whether that is a setting;
    /// for a learned one the pointer `otherwise`, and how to forget it.
    pub fn entry(&self, otherwise: impl Fn(NetworkId) -> String) -> (String, String, bool) {
        let Some((seen, domain)) = self.receiver() else {
            return (self.at_network("mac"), String::new(), false);
        };
        let (key, found) = seen.destination;
        let network = self.names.network(domain);
        match self.names.at_mac(domain, key.mac()).filter(|_| found.is_static()) {
            Some(pointer) => {
                let remedy = format!(
                    "if the station is elsewhere, change its location: `vswitch network migrate \
                     --mac {} --network {network} …`",
                    key.mac()
                );
                (pointer, remedy, true)
            }
            None => {
                let remedy = format!(
                    "if the station is elsewhere, its next frame corrects the entry; or forget it: \
                     `vswitch mac flush --network {network} --mac {}`",
                    key.mac()
                );
                (otherwise(domain), remedy, false)
            }
        }
    }

    pub fn receiver_text(&self) -> String {
        let Some((seen, domain)) = self.receiver() else { return self.network_text() };
        let (key, found) = seen.destination;
        let location = found.destination().map_or(String::new(), |to| self.names.location(to));
        let kind = if found.is_static() { "a static MAC" } else { "learned" };
        format!("network {}: {} is {location} ({kind})", self.names.network(domain), key.mac())
    }

    pub fn same_port(&self, at: PortId) -> Cause {
        self.back_to_its_sender(
            |domain| self.names.at_member(domain, at),
            "where the frame comes from",
            "nothing, if both stations are there: they reach each other without the switch",
        )
    }

    /// The frame would have to go back to where it comes from. `otherwise` is the first remedy; the
    /// second is a change of the receiver's entry.
    fn back_to_its_sender(
        &self,
        at: impl Fn(NetworkId) -> String,
        why: &str,
        otherwise: &str,
    ) -> Cause {
        let (pointer, remedy, by_configuration) = self.entry(at);
        let remedy = format!("{otherwise}; {remedy}");
        Cause {
            pointer,
            configured: format!("{}, {why}", self.receiver_text()),
            remedy: remedy.trim_end_matches("; ").to_owned(),
            by_configuration,
        }
    }

    pub fn split_horizon(&self) -> Cause {
        self.back_to_its_sender(
            |domain| self.names.at_network(domain, "remote-vteps"),
            "and the frame comes from the overlay",
            "the sender must send to that remote VTEP itself: it needs that VTEP as a remote VTEP",
        )
    }

    pub fn no_destination(&self, at: PortId) -> Cause {
        let Some(domain) = self.domain() else {
            return setting(
                "/network".to_owned(),
                self.membership_text(at),
                "the network needs other members",
            );
        };
        let name = self.names.network(domain);
        let topology = self.live.topology;
        let ports = topology.network(domain).into_iter().flat_map(|n| topology.ports_of(n));
        let ports = listed(ports.map(|port| self.names.port(port)));
        let from_overlay = self.live.topology.role(at) != Role::Tenant(domain);
        let attach = format!("`vswitch network attach {name} PORT`");
        if from_overlay {
            return setting(
                self.names.at_network(domain, "port"),
                format!("network {name}: ports are {ports}"),
                format!("attach the port of the receiving station: {attach}"),
            );
        }
        setting(
            self.names.at_network(domain, "remote-vteps"),
            format!(
                "network {name}: ports are {ports}, remote-vteps are {}",
                self.remotes_text(domain)
            ),
            format!(
                "add another port, {attach}, or a remote VTEP, `vswitch network remote-vtep add {name} \
                 ADDRESS`"
            ),
        )
    }

    pub fn next_hop_unresolved(&self, to: Option<Destination>) -> Cause {
        let Some(Destination::Tunnel(tunnel)) = to else {
            let (at, text) = (self.at_network("remote-vteps"), self.network_text());
            return fixed(at, text, "`vswitch show vteps` says why the next hop is unresolved");
        };
        let remote = self.names.remote(tunnel);
        let key = self.domain().and_then(|domain| {
            let network = self.live.topology.network(domain)?;
            let address = self.live.topology.remote(tunnel)?.address;
            let index = network.remote_vteps.iter().position(|known| *known == address);
            index.map(|index| format!("remote-vteps/{index}")).or_else(|| {
                let (key, _) = self.receiver()?.0.destination;
                let index = network.macs.iter().position(|mac| mac.address == key.mac());
                index.map(|index| format!("mac/{index}/remote-vtep"))
            })
        });
        let why = self.live.next_hops.why_unresolved(tunnel);
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        fixed(
            self.at_network(key.as_deref().unwrap_or("remote-vteps")),
            format!(
                "{}: the next hop to remote VTEP {remote} has no known MAC{why}",
                self.network_text()
            ),
            format!(
                "the kernel must reach it: check `ip route get {remote}` and `ip neigh`; is that host \
                 up?"
            ),
        )
    }

    pub fn buffers_text(&self) -> String {
        let dpdk = &self.live.topology.config().dpdk;
        let buffers =
            dpdk.packet_buffers.map_or("packet-buffers is not set".to_owned(), |buffers| {
                format!("packet-buffers = {buffers}")
            });
        format!("{buffers}, memory-mib = {}", dpdk.memory_mib)
    }

    pub fn host_text(&self, vtep: VtepId) -> String {
        let core = self.live.topology.config().dpdk.main_core;
        let (name, interface) = (self.names.vtep(vtep), self.names.host_interface(vtep));
        format!("VTEP {name}: host-interface = {interface:?}, served on main-core {core}")
    }

    pub fn workers_text(&self, port: PortId) -> String {
        let cores = &self.live.topology.config().dpdk.worker_cores;
        let cores = listed(cores.iter().map(ToString::to_string));
        format!(
            "worker-cores are {cores}, and port {} has fewer transmit queues",
            self.names.port(port)
        )
    }

    pub fn queues_text(&self, port: PortId) -> String {
        let name = self.names.port(port);
        match self.live.topology.port(port).and_then(|port| port.queues) {
            Some(queues) => format!("port {name}: queues = {queues}"),
            None => format!(
                "port {name}: queues is not set, so it has one per worker, if the device has as \
                     many"
            ),
        }
    }
}
