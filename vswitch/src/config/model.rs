//! A valid configuration, ready to run: names have become indices, and texts addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use super::diagnostic::Diagnostic;
use crate::ids::{MacAddr, Vni};

/// The position of a port in [`Config::ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortIndex(pub usize);

/// The position of a VTEP in [`Config::vteps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VtepIndex(pub usize);

/// A whole, valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[dpdk]`: cores and memory.
    pub dpdk: Dpdk,
    /// `[api]`: where the switch can be asked.
    pub api: Api,
    /// `[fdb] capacity`: the most MAC addresses known at one time, over all networks.
    pub fdb_capacity: usize,
    /// `[[port]]`, in the order of the file.
    pub ports: Vec<Port>,
    /// `[[vtep]]`, in the order of the file.
    pub vteps: Vec<Vtep>,
    /// `[[network]]`, in the order of the file.
    pub networks: Vec<Network>,
    /// What is allowed but probably not intended, for the author of the file.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// This configuration without the ports and VTEPs of these names and without everything that
    /// refers to them.
    #[must_use]
    pub fn without(&self, ports: &[&str], vteps: &[&str]) -> Self {
        let stays = |port: PortIndex| !ports.contains(&&*self.ports[port.0].name);
        let is_carried = |vtep: &Vtep| stays(vtep.port) && !vteps.contains(&&*vtep.name);
        let port_index = |PortIndex(port): PortIndex| {
            PortIndex((0..port).filter(|before| stays(PortIndex(*before))).count())
        };
        let vtep_index = |VtepIndex(vtep): VtepIndex| {
            VtepIndex(self.vteps[..vtep].iter().filter(|before| is_carried(before)).count())
        };
        let network = |network: &Network| {
            let vtep = network.vtep.filter(|vtep| is_carried(&self.vteps[vtep.0]));
            let mac = |mac: &StaticMac| match mac.home {
                Home::Port(port) => {
                    stays(port).then(|| StaticMac { home: Home::Port(port_index(port)), ..*mac })
                }
                Home::RemoteVtep(_) => vtep.map(|_| *mac),
            };
            Network {
                vtep: vtep.map(vtep_index),
                remote_vteps: vtep.map_or(Vec::new(), |_| network.remote_vteps.clone()),
                ports: network
                    .ports
                    .iter()
                    .filter(|p| stays(**p))
                    .map(|p| port_index(*p))
                    .collect(),
                macs: network.macs.iter().filter_map(mac).collect(),
                ..network.clone()
            }
        };
        let vteps = self.vteps.iter().filter(|vtep| is_carried(vtep));
        Self {
            vteps: vteps.map(|vtep| Vtep { port: port_index(vtep.port), ..vtep.clone() }).collect(),
            networks: self.networks.iter().map(network).collect(),
            ports: self.ports.iter().filter(|p| !ports.contains(&&*p.name)).cloned().collect(),
            ..self.clone()
        }
    }
}

/// Cores and memory, as EAL gets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dpdk {
    /// Cores that poll, one worker each. Not empty, no duplicates. If
    /// `main_core` is among them, worker and control thread share it.
    pub worker_cores: Vec<u32>,
    /// The core of the control thread.
    pub main_core: u32,
    /// Memory for packet buffers and rings, in MiB.
    pub memory_mib: u32,
    /// The least number of packet buffers; `None`: as many as queues and workers can hold.
    pub packet_buffers: Option<u32>,
    /// Whether the memory comes from hugepages.
    pub hugepages: bool,
    /// Further arguments for EAL, unchanged.
    pub eal_args: Vec<String>,
}

/// Whether EAL arguments say how much memory to take, in place of `memory-mib`.
#[must_use]
pub fn overrides_memory(eal_args: &[String]) -> bool {
    eal_args.iter().any(|arg| arg.starts_with("-m") || arg.starts_with("--socket-mem"))
}

/// Where the switch can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Api {
    /// The Unix socket of the JSON API. At most 107 bytes long (`sun_path`, unix(7)).
    pub socket: PathBuf,
    /// The TCP address that answers `GET /metrics`.
    pub metrics: SocketAddr,
    /// Whether the page there may show the contents of dropped frames.
    pub page_frames: bool,
    /// The group that may open the socket, besides root.
    pub group: Option<String>,
    /// The API over TCP; `None`: it is on the socket only.
    #[serde(flatten)]
    pub tcp: Option<Tcp>,
}

/// The API over TCP: only with TLS and a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tcp {
    /// The address to listen on, different from that of the metrics.
    pub listen: SocketAddr,
    /// The PEM file with the certificate.
    pub tls_certificate: PathBuf,
    /// The PEM file with its key.
    pub tls_key: PathBuf,
    /// The file with the bearer token.
    pub token_file: PathBuf,
}

/// An attachment of the switch: one DPDK ethdev.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Port {
    /// Unique among the ports.
    pub name: String,
    /// DPDK devargs, or a PCI address.
    pub device: String,
    /// Requested receive queues; `None`: one for each worker. A device with fewer gets fewer.
    pub queues: Option<u16>,
    /// Largest layer-3 packet in bytes; `None`: the device's own.
    pub mtu: Option<u16>,
}

/// A tunnel end of this switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vtep {
    /// Unique among the VTEPs.
    pub name: String,
    /// Its uplink. No other VTEP and no network uses this port.
    #[serde(skip)]
    pub port: PortIndex,
    /// Its unicast address on the underlay. Unique among the VTEPs.
    #[serde(skip)]
    pub address: Ipv4Addr,
    /// Length of the underlay subnet's prefix, 1..=32.
    #[serde(skip)]
    pub prefix_len: u8,
    /// Name of the TAP that holds the address. A valid Linux interface name, unique.
    pub host_interface: String,
    /// Destination port of VXLAN, received and sent. Not 0.
    pub udp_port: u16,
    /// MAC address on the underlay; `None`: the uplink's own.
    #[serde(skip)]
    pub mac: Option<MacAddr>,
}

/// One tenant's broadcast domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Network {
    /// Unique among the networks.
    pub name: String,
    /// Unique among the networks.
    #[serde(skip)]
    pub vni: Vni,
    /// The VTEP that carries the network to other hosts; `None`: it stays on this host.
    #[serde(skip)]
    pub vtep: Option<VtepIndex>,
    /// Remote VTEPs that get a copy of every flooded frame. No duplicates, none of this switch's
    /// own; empty without a VTEP.
    pub remote_vteps: Vec<Ipv4Addr>,
    /// Seconds without a frame after which a learned MAC is forgotten; 0: never.
    pub mac_ageing_secs: u32,
    /// Ports on this host. A port is in one network at most.
    #[serde(skip)]
    pub ports: Vec<PortIndex>,
    /// Static FDB entries, one for each address.
    #[serde(skip)]
    pub macs: Vec<StaticMac>,
}

/// A MAC address with a configured place, which learning never overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticMac {
    /// The address of one station.
    pub address: MacAddr,
    /// Where frames to this address go.
    pub home: Home,
}

/// The place of a static MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// On this port, a member of the same network.
    Port(PortIndex),
    /// Behind this remote VTEP, which is a peer of the network even if it is not among
    /// [`Network::remote_vteps`]. It then receives no flooded frames.
    RemoteVtep(Ipv4Addr),
}
