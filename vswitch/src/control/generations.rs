//! Makes [generations](crate::datapath::generation) from the configuration and what is known of ports
//! and next hops. Called by the control thread whenever one of these changes; pure.

use std::net::Ipv4Addr;

use hashbrown::HashMap;

use super::underlay::RemoteId;
use crate::config::{Config, Home, Network};
use crate::datapath::directory::Directory;
use crate::datapath::generation::{
    Domain, Generation, Membership, OuterPattern, PeerSets, Port, Role, Template, Tunnel, Vtep,
};
use crate::ids::{BridgeDomain, MacAddr, PortId, TunnelId, VtepId};
use crate::metrics::counters::Shape;
use crate::table::{Destination, Entry, Key};
use crate::wire::ethernet;

/// What a frame has beside its payload, in bytes, without FCS.
#[allow(clippy::cast_possible_truncation, reason = "14")]
const FRAME_OVERHEAD: u32 = ethernet::HEADER_LEN as u32;

/// What a port turned out to be.
#[derive(Clone, Copy, Debug)]
pub struct PortFacts {
    /// Its MAC.
    pub mac: MacAddr,
    /// The longest payload of a frame, in bytes.
    pub mtu: u16,
}

/// The configuration with every name turned into an index.
#[derive(Debug)]
pub struct Topology {
    config: Config,
    roles: Vec<Role>,
    remotes: Vec<RemoteId>,
    tunnels: HashMap<RemoteId, TunnelId>,
}

/// More of something than an index has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} {what}: at most 65535 are possible")]
pub struct TooMany {
    what: &'static str,
    count: usize,
}

fn index(n: usize, what: &'static str) -> Result<u16, TooMany> {
    u16::try_from(n).map_err(|_| TooMany { what, count: n + 1 })
}

fn indices<T, I>(items: &[T], wrap: impl Fn(u16) -> I) -> impl Iterator<Item = (I, &T)> {
    (0..=u16::MAX).map(wrap).zip(items)
}

impl Topology {
    /// Gives every remote VTEP its tunnel.
    ///
    /// # Errors
    /// More ports, networks, VTEPs or pairs of local and remote VTEP than 16 bits count.
    pub fn new(config: Config) -> Result<Self, TooMany> {
        index(config.ports.len(), "ports")?;
        index(config.networks.len(), "networks")?;
        index(config.vteps.len(), "VTEPs")?;
        let mut topology =
            Self { config, roles: Vec::new(), remotes: Vec::new(), tunnels: HashMap::new() };
        topology.roles = topology.find_roles();
        for network in &topology.config.networks {
            let Some(vtep) = network.vtep else { continue };
            for address in peers(network) {
                let remote = RemoteId { vtep, address };
                if !topology.tunnels.contains_key(&remote) {
                    let id = TunnelId(index(topology.remotes.len(), "remote VTEPs")?);
                    topology.tunnels.insert(remote, id);
                    topology.remotes.push(remote);
                }
            }
        }
        Ok(topology)
    }

    /// The configuration that this was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Remote VTEPs by [`TunnelId`].
    #[must_use]
    pub fn remotes(&self) -> &[RemoteId] {
        &self.remotes
    }

    /// The tunnel to a remote VTEP.
    #[must_use]
    pub fn tunnel(&self, remote: RemoteId) -> Option<TunnelId> {
        self.tunnels.get(&remote).copied()
    }

    /// The networks that each remote VTEP is a peer of, by [`TunnelId`].
    #[must_use]
    pub fn networks_of_remotes(&self) -> Vec<Vec<BridgeDomain>> {
        let mut networks = vec![Vec::new(); self.remotes.len()];
        for (domain, network) in self.networks() {
            let Some(vtep) = network.vtep else { continue };
            for tunnel in peers(network).filter_map(|a| self.tunnel(RemoteId { vtep, address: a }))
            {
                let of_tunnel: &mut Vec<_> = &mut networks[tunnel.index()];
                if of_tunnel.last() != Some(&domain) {
                    of_tunnel.push(domain);
                }
            }
        }
        networks
    }

    /// How many of everything the counters are for.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            ports: self.config.ports.len(),
            networks: self.config.networks.len(),
            vteps: self.config.vteps.len(),
        }
    }

    /// Ports with their indices.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &crate::config::Port)> {
        indices(&self.config.ports, PortId)
    }

    /// Networks with their indices.
    pub fn networks(&self) -> impl Iterator<Item = (BridgeDomain, &Network)> {
        indices(&self.config.networks, BridgeDomain)
    }

    /// Local VTEPs with their indices.
    pub fn vteps(&self) -> impl Iterator<Item = (VtepId, &crate::config::Vtep)> {
        indices(&self.config.vteps, VtepId)
    }

    fn find_roles(&self) -> Vec<Role> {
        let mut roles = vec![Role::Unused; self.config.ports.len()];
        for (domain, network) in self.networks() {
            for port in &network.ports {
                roles[port.index()] = Role::Tenant(domain);
            }
        }
        for (id, vtep) in self.vteps() {
            roles[vtep.port.index()] = Role::Uplink(id);
        }
        roles
    }

    /// What a port is for.
    #[must_use]
    pub fn role(&self, port: PortId) -> Role {
        self.roles[port.index()]
    }

    /// The MAC that the underlay sees of a VTEP: the configured one, or its uplink's own.
    #[must_use]
    pub fn vtep_mac(&self, vtep: VtepId, ports: &[PortFacts]) -> MacAddr {
        let vtep = &self.config.vteps[vtep.index()];
        vtep.mac.unwrap_or_else(|| ports[vtep.port.index()].mac)
    }

    /// The FDB's static entries.
    pub fn static_entries(&self) -> impl Iterator<Item = (Key, Entry)> + '_ {
        self.networks().flat_map(move |(domain, network)| {
            network.macs.iter().filter_map(move |mac| {
                let destination = match mac.home {
                    Home::Port(port) => Destination::Port(port),
                    Home::RemoteVtep(address) => {
                        Destination::Tunnel(self.tunnel(RemoteId { vtep: network.vtep?, address })?)
                    }
                };
                // Never old, so that no worker looks twice at a frame from there.
                let entry = Entry { destination, is_static: true, refreshed_secs: u32::MAX };
                Some((Key::new(domain, mac.address), entry))
            })
        })
    }

    /// A generation. `next_hops` holds, by [`TunnelId`], the MAC to which the tunnel's frames go
    /// next, as far as known.
    #[must_use]
    pub fn generation(&self, ports: &[PortFacts], next_hops: &[Option<MacAddr>]) -> Generation {
        let mut sets = PeerSets::new(self.remotes.len());
        let vtep = |(id, vtep)| self.vtep(id, vtep, ports, &mut sets);
        let vteps = self.vteps().map(vtep).collect();
        Generation {
            peers: sets,
            vteps,
            ports: self.ports().map(|(id, _)| self.port(id, ports)).collect(),
            domains: self.networks().map(|(_, network)| self.domain(network)).collect(),
            tunnels: (self.remotes.iter().zip(next_hops))
                .map(|(remote, next_hop)| self.tunnel_entry(*remote, *next_hop, ports))
                .collect(),
            refresh_after_secs: self
                .networks()
                .map(|(_, network)| refresh_after_secs(network.mac_ageing_secs))
                .min()
                .unwrap_or(u32::MAX),
        }
    }

    fn port(&self, id: PortId, ports: &[PortFacts]) -> Port {
        let max_frame_len = u32::from(ports[id.index()].mtu) + FRAME_OVERHEAD;
        Port { role: self.role(id), max_frame_len }
    }

    fn domain(&self, network: &Network) -> Domain {
        Domain {
            vni: network.vni,
            ports: network.ports.clone().into(),
            flood: self.tunnels_to(network, network.remote_vteps.iter().copied()).collect(),
            refresh_after_secs: refresh_after_secs(network.mac_ageing_secs),
        }
    }

    fn tunnels_to(
        &self,
        network: &Network,
        addresses: impl Iterator<Item = Ipv4Addr>,
    ) -> impl Iterator<Item = TunnelId> {
        let vtep = network.vtep;
        addresses.filter_map(move |address| self.tunnel(RemoteId { vtep: vtep?, address }))
    }

    fn vtep(
        &self,
        id: VtepId,
        vtep: &crate::config::Vtep,
        ports: &[PortFacts],
        sets: &mut PeerSets,
    ) -> Vtep {
        let networks = self.networks().filter(|(_, network)| network.vtep == Some(id));
        let networks = networks.map(|(domain, network)| {
            let peers = sets.add(self.tunnels_to(network, peers(network)));
            (network.vni.get(), Membership { domain, peers }.into())
        });
        let tunnels = indices(&self.remotes, TunnelId).filter(|(_, remote)| remote.vtep == id);
        let tunnels = tunnels.map(|(id, remote)| (remote.address.to_bits(), u32::from(id.0)));
        let mac = self.vtep_mac(id, ports);
        Vtep {
            mac,
            address: vtep.address.to_bits(),
            udp_port: vtep.udp_port,
            outer: OuterPattern::new(mac, vtep.address, vtep.udp_port),
            networks: Directory::new(&networks.collect::<Vec<_>>()),
            tunnels: Directory::new(&tunnels.collect::<Vec<_>>()),
        }
    }

    fn tunnel_entry(
        &self,
        remote: RemoteId,
        next_hop: Option<MacAddr>,
        ports: &[PortFacts],
    ) -> Tunnel {
        let vtep = &self.config.vteps[remote.vtep.index()];
        let mac = self.vtep_mac(remote.vtep, ports);
        let template = next_hop.map(|next_hop| {
            Template::new(next_hop, mac, vtep.address, remote.address, vtep.udp_port)
        });
        Tunnel::new(vtep.port, ports[vtep.port.index()].mtu, template)
    }
}

/// Everybody whose frames a network accepts: those it floods to, and the homes of static MACs.
fn peers(network: &Network) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let homes = network.macs.iter().filter_map(|mac| match mac.home {
        Home::RemoteVtep(address) => Some(address),
        Home::Port(_) => None,
    });
    network.remote_vteps.iter().copied().chain(homes)
}

/// When a hit asks for a refresh: often enough that an entry in use never ages out, seldom enough
/// to cost nothing; at most once per second.
pub(super) fn refresh_after_secs(ageing_secs: u32) -> u32 {
    if ageing_secs == 0 { u32::MAX } else { (ageing_secs / 8).max(1) }
}
