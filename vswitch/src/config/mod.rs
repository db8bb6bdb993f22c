//! The configuration file: what it means, validated and ready to run.
//!
//! Two steps. `raw` reads the TOML into tables of values with their places in the file (what
//! was typed). `validate` turns them into the types below (what it means): names become indices,
//! texts become addresses, and every rule that the rest of the switch relies on is checked here and
//! nowhere else. Both steps go on after a problem, so that one run reports all of them;
//! `diagnostic` renders each as `file:line:column: error: …` with the line and a way out.
//!
//! Called once, by the command line, on the main thread before anything is started. It reads one
//! file and touches nothing else: a name that no device answers to, or a core that the machine does
//! not have, is found at start-up, not here. Every key is described in `docs/configuration.md`.

mod address;
mod api;
#[cfg(test)]
pub(crate) mod arbitrary;
mod checks;
mod defaults;
pub mod device;
mod diagnostic;
pub mod document;
mod dpdk;
mod location;
mod names;
mod networks;
mod ports;
mod raw;
mod validate;
mod vteps;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::ids::{MacAddr, Vni};
pub(crate) use defaults::SOCKET;
pub use diagnostic::{Diagnostic, Errors, LoadError, Severity};
pub(crate) use diagnostic::{listed, nearest, quoted};
pub use document::{Document, FieldError};
#[cfg(feature = "dpdk")]
pub(crate) use ports::devices_conflict;

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
    /// What is allowed but probably not meant. To be shown to whoever wrote the file.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// This configuration without some ports and VTEPs, by their names, and without what says something of them.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dpdk {
    /// Cores that poll, one worker each. Not empty, no duplicates. If
    /// `main_core` is among them, worker and control thread share it.
    pub worker_cores: Vec<u32>,
    /// The core of the control thread.
    pub main_core: u32,
    /// Memory for packet buffers and rings, in MiB.
    pub memory_mib: u32,
    /// The fewest packet buffers to have; `None`: as many as queues and workers can hold.
    pub packet_buffers: Option<u32>,
    /// Whether that memory comes from hugepages.
    pub hugepages: bool,
    /// Further arguments, passed on to EAL as they are.
    pub eal_args: Vec<String>,
}

/// Whether EAL arguments say how much memory to take, in place of `memory-mib`.
#[must_use]
pub fn overrides_memory(eal_args: &[String]) -> bool {
    eal_args.iter().any(|arg| arg.starts_with("-m") || arg.starts_with("--socket-mem"))
}

/// Where the switch can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The Unix socket of the JSON API. At most 107 bytes long (`sun_path`, unix(7)).
    pub socket: PathBuf,
    /// The TCP address that answers `GET /metrics`.
    pub metrics: SocketAddr,
    /// Whether the page there may tell what dropped frames say.
    pub page_frames: bool,
    /// The group that may open the socket, besides root.
    pub group: Option<String>,
    /// The API over TCP; `None`: it is on the socket alone.
    pub tcp: Option<Tcp>,
}

/// The API over TCP: only with TLS and a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Where. Another address than that of the metrics.
    pub listen: SocketAddr,
    /// The PEM file with the certificate.
    pub tls_certificate: PathBuf,
    /// The PEM file with its key.
    pub tls_key: PathBuf,
    /// The file with the bearer token.
    pub token_file: PathBuf,
}

/// An attachment of the switch: one DPDK ethdev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Unique among the ports.
    pub name: String,
    /// DPDK devargs, or a PCI address.
    pub device: String,
    /// Receive queues wanted; `None`: as many as there are workers, if the device has them.
    pub queues: Option<u16>,
    /// Largest layer-3 packet in bytes; `None`: what the device has.
    pub mtu: Option<u16>,
}

/// A tunnel end of this switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vtep {
    /// Unique among the VTEPs.
    pub name: String,
    /// Its uplink. No other VTEP and no network uses this port.
    pub port: PortIndex,
    /// Its unicast address on the underlay. Unique among the VTEPs.
    pub address: Ipv4Addr,
    /// Length of the underlay subnet's prefix, 1..=32.
    pub prefix_len: u8,
    /// Name of the TAP that holds the address. A valid Linux interface name, unique.
    pub host_interface: String,
    /// UDP port that VXLAN arrives on and is sent to. Not 0.
    pub udp_port: u16,
    /// MAC that the underlay sees; `None`: the uplink's own.
    pub mac: Option<MacAddr>,
}

/// One tenant's broadcast domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Unique among the networks.
    pub name: String,
    /// Unique among the networks.
    pub vni: Vni,
    /// The VTEP that carries it to other hosts; `None`: it stays on this host.
    pub vtep: Option<VtepIndex>,
    /// Who gets flooded frames. No duplicates, none of our own; empty without a VTEP.
    pub remote_vteps: Vec<Ipv4Addr>,
    /// Seconds after which a learned MAC that was not seen is forgotten; 0: never.
    pub mac_ageing_secs: u32,
    /// Its ports on this host. A port is in one network at most.
    pub ports: Vec<PortIndex>,
    /// Static entries of the FDB. One per address.
    pub macs: Vec<StaticMac>,
}

/// A MAC address whose place is configured, which learning never overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticMac {
    /// The address of one station.
    pub address: MacAddr,
    /// Where frames to it go.
    pub home: Home,
}

/// Where a static MAC lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// On this port, a member of the same network.
    Port(PortIndex),
    /// Behind this remote VTEP. It is a known peer of the network even if it is not among
    /// [`Network::remote_vteps`]; it then receives no flooded frames.
    RemoteVtep(Ipv4Addr),
}

/// Reads and validates a file.
///
/// # Errors
/// The file cannot be read, is not UTF-8, or is not a valid configuration.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_path_buf(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        LoadError::NotUtf8 { path: path.to_path_buf(), line }
    })?;
    Ok(parse(&path.display().to_string(), &text)?)
}

/// Validates the text of a configuration. `file_name` appears in the messages only.
///
/// # Errors
/// The first syntax error; without one, everything else that is wrong, in the order of the file.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Errors> {
    checked(diagnostic::Problems::new(file_name, text))
}

/// Validates the TOML of a document; what is wrong has a JSON pointer in place of a line.
fn parse_document(text: &str) -> Result<Config, Errors> {
    checked(diagnostic::Problems::of_document(text))
}

fn checked(mut problems: diagnostic::Problems) -> Result<Config, Errors> {
    let config = raw::read(&mut problems).map(|document| validate::check(&document, &mut problems));
    let (errors, warnings) = problems.finish();
    match config {
        Some(config) if errors.is_empty() => Ok(Config { warnings, ..config }),
        _ => Err(errors),
    }
}
