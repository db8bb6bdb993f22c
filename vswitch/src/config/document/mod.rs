//! The configuration by names: what a file says, with every default filled in.
//!
//! [`Config`] is for the switch: names have become indices and texts addresses. A [`Document`] is for
//! people and programs: the body of the API's requests and answers, the file that `vswitch show
//! config` prints, and the content of the state file. In JSON it has the very keys of the TOML file.
//!
//! There is one validator, that of files. [`Document::check`] writes the document as TOML, has that
//! read and checked, and turns the places of problems into JSON pointers. For the same reason all
//! numbers are as wide as TOML's: one that is out of range is refused there, with a range and why.
//!
//! Pure; called on any thread. The cost of a check grows with the size of the document only.

mod render;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, Config, Diagnostic, Home, Network, PortIndex, Vtep, defaults, parse_document};

/// A number as it was typed.
pub type Integer = i64;

/// A configuration by names. Not known to be valid: see [`check`](Self::check).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Document {
    /// Cores and memory.
    pub dpdk: DpdkDocument,
    /// Where the switch can be asked.
    pub api: ApiDocument,
    /// The table of MAC addresses.
    pub fdb: FdbDocument,
    /// The ports.
    pub port: Vec<PortDocument>,
    /// The VTEPs of this switch.
    pub vtep: Vec<VtepDocument>,
    /// The networks.
    pub network: Vec<NetworkDocument>,
}

/// Cores and memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct DpdkDocument {
    /// The CPUs that poll, one worker each.
    pub worker_cores: Vec<i64>,
    /// The CPU of the control thread.
    #[schema(minimum = 0, maximum = 1023)]
    pub main_core: i64,
    /// Memory for packet buffers and rings, in MiB.
    #[schema(minimum = 64, maximum = 1_048_576)]
    pub memory_mib: i64,
    /// The fewest packet buffers to have; absent: as many as queues and workers can hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1024, maximum = 16_777_215)]
    pub packet_buffers: Option<i64>,
    /// Whether that memory comes from hugepages.
    pub hugepages: bool,
    /// Further arguments for EAL, as they are.
    pub eal_args: Vec<String>,
}

impl Default for DpdkDocument {
    fn default() -> Self {
        Self {
            worker_cores: defaults::WORKER_CORES.map(Integer::from).to_vec(),
            main_core: defaults::MAIN_CORE.into(),
            memory_mib: defaults::MEMORY_MIB.into(),
            packet_buffers: None,
            hugepages: defaults::HUGEPAGES,
            eal_args: Vec::new(),
        }
    }
}

/// Where the switch can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ApiDocument {
    /// Path of the Unix socket of this API.
    #[schema(max_length = 107)]
    pub socket: String,
    /// IP address and port that answer `GET /metrics`.
    pub metrics: String,
    /// Whether the page there may tell what dropped frames say.
    pub page_frames: bool,
    /// The group that may open the socket, besides root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// IP address and port of this API over TCP; the three files are then needed, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "127.0.0.1:9143")]
    pub listen: Option<String>,
    /// PEM file with the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<String>,
    /// PEM file with its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<String>,
    /// File with the bearer token that every request over TCP carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
}

impl Default for ApiDocument {
    fn default() -> Self {
        Self {
            socket: defaults::SOCKET.to_owned(),
            metrics: defaults::METRICS.to_string(),
            page_frames: true,
            group: None,
            listen: None,
            tls_certificate: None,
            tls_key: None,
            token_file: None,
        }
    }
}

/// The table of MAC addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct FdbDocument {
    /// The most MAC addresses known at one time, over all networks.
    #[schema(minimum = 64, maximum = 16_777_216)]
    pub capacity: i64,
}

impl Default for FdbDocument {
    fn default() -> Self {
        Self { capacity: wide(defaults::FDB_CAPACITY) }
    }
}

/// An attachment of the switch: one DPDK device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PortDocument {
    /// Unique among the ports.
    #[schema(min_length = 1, max_length = 63, example = "tenant-a")]
    pub name: String,
    /// A PCI address or DPDK devargs.
    #[schema(min_length = 1, example = "net_af_packet0,iface=veth-a")]
    pub device: String,
    /// Receive queues wanted; absent: as many as there are workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1024)]
    pub queues: Option<i64>,
    /// Largest layer-3 packet in bytes; absent: what the device has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 576, maximum = 9728)]
    pub mtu: Option<i64>,
}

/// A tunnel end of this switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VtepDocument {
    /// Unique among the VTEPs.
    #[schema(min_length = 1, max_length = 63, example = "fabric")]
    pub name: String,
    /// Its uplink: the name of a port that nothing else uses.
    #[schema(example = "uplink")]
    pub port: String,
    /// Its IPv4 address on the underlay with the prefix length of the subnet.
    #[schema(example = "198.51.100.1/24")]
    pub address: String,
    /// Name of the TAP through which the kernel sees the uplink.
    #[schema(min_length = 1, max_length = 15, example = "vtep0")]
    pub host_interface: String,
    /// UDP port that VXLAN arrives on and is sent to.
    #[serde(default = "udp_port")]
    #[schema(minimum = 1, maximum = 65535)]
    pub udp_port: i64,
    /// MAC that the underlay sees; absent: the uplink's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "02:00:00:00:00:01")]
    pub mac: Option<String>,
}

/// One tenant's broadcast domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkDocument {
    /// Unique among the networks.
    #[schema(min_length = 1, max_length = 63, example = "blue")]
    pub name: String,
    /// VXLAN network identifier, unique among the networks.
    #[schema(minimum = 1, maximum = 16_777_215, example = 100)]
    pub vni: i64,
    /// The VTEP that carries it to other hosts; absent: it stays on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vtep: Option<String>,
    /// IPv4 addresses of the other hosts' VTEPs; each gets a copy of every flooded frame.
    #[serde(default)]
    pub remote_vteps: Vec<String>,
    /// Seconds after which a learned MAC that was not seen is forgotten; 0: never.
    #[serde(default = "mac_ageing_secs")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub mac_ageing_secs: i64,
    /// Its ports on this host.
    #[serde(default)]
    pub port: Vec<MemberDocument>,
    /// Its static MAC addresses.
    #[serde(default)]
    pub mac: Vec<MacDocument>,
}

/// A port's membership of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MemberDocument {
    /// Name of a port that is no uplink and belongs to no other network.
    #[schema(example = "tenant-a")]
    pub port: String,
}

/// A MAC address whose place is configured. Exactly one of `port` and `remote-vtep` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MacDocument {
    /// That of one station, once for each network.
    #[schema(example = "02:00:00:00:00:09")]
    pub address: String,
    /// The port of this network that the station is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The address of the remote VTEP that the station is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_vtep: Option<String>,
}

/// What is wrong with a document, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) of the value, for example `/network/3/mac/0/address`.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the configuration" } else { &self.pointer };
        write!(f, "{place}: {}\nhelp: {}", self.message, self.help)
    }
}

impl From<&Diagnostic> for FieldError {
    /// Also for the warnings of a configuration that [`Document::check`] gave.
    fn from(from: &Diagnostic) -> Self {
        Self {
            pointer: from.pointer.clone().unwrap_or_default(),
            message: from.message.clone(),
            help: from.help.clone(),
        }
    }
}

impl NetworkDocument {
    /// A network with nothing in it.
    #[must_use]
    pub fn new(name: &str, vni: Integer) -> Self {
        Self {
            name: name.to_owned(),
            vni,
            vtep: None,
            remote_vteps: Vec::new(),
            mac_ageing_secs: mac_ageing_secs(),
            port: Vec::new(),
            mac: Vec::new(),
        }
    }

    /// A network of a configuration.
    #[must_use]
    pub fn of(network: &Network, config: &Config) -> Self {
        let port_name = |port: PortIndex| config.ports[port.0].name.clone();
        Self {
            name: network.name.clone(),
            vni: network.vni.get().into(),
            vtep: network.vtep.map(|vtep| config.vteps[vtep.0].name.clone()),
            remote_vteps: network.remote_vteps.iter().map(ToString::to_string).collect(),
            mac_ageing_secs: network.mac_ageing_secs.into(),
            port: network.ports.iter().map(|p| MemberDocument { port: port_name(*p) }).collect(),
            mac: network
                .macs
                .iter()
                .map(|mac| {
                    let (port, remote_vtep) = match mac.home {
                        Home::Port(port) => (Some(port_name(port)), None),
                        Home::RemoteVtep(address) => (None, Some(address.to_string())),
                    };
                    MacDocument { address: mac.address.to_string(), port, remote_vtep }
                })
                .collect(),
        }
    }
}

impl Document {
    /// What the document means.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the document.
    pub fn check(&self) -> Result<Config, Vec<FieldError>> {
        parse_document(&self.to_toml())
            .map_err(|errors| errors.iter().map(FieldError::from).collect())
    }

    /// The document as a file: canonical, without comments, and read back as an equal [`Config`].
    #[must_use]
    pub fn to_toml(&self) -> String {
        render::render(self)
    }

    /// The same with all lists whose order means nothing in the order of their names. Two documents
    /// say the same if and only if they are then equal.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.port.sort_by(|a, b| a.name.cmp(&b.name));
        self.vtep.sort_by(|a, b| a.name.cmp(&b.name));
        self.network.sort_by(|a, b| a.name.cmp(&b.name));
        for network in &mut self.network {
            network.remote_vteps.sort();
            network.port.sort_by(|a, b| a.port.cmp(&b.port));
            network.mac.sort_by(|a, b| a.address.cmp(&b.address));
        }
        self
    }
}

impl From<&Config> for Document {
    fn from(config: &Config) -> Self {
        let dpdk = &config.dpdk;
        Self {
            dpdk: DpdkDocument {
                worker_cores: dpdk.worker_cores.iter().copied().map(Integer::from).collect(),
                main_core: dpdk.main_core.into(),
                memory_mib: dpdk.memory_mib.into(),
                packet_buffers: dpdk.packet_buffers.map(Integer::from),
                hugepages: dpdk.hugepages,
                eal_args: dpdk.eal_args.clone(),
            },
            api: api_document(&config.api),
            fdb: FdbDocument { capacity: wide(config.fdb_capacity) },
            port: config
                .ports
                .iter()
                .map(|port| PortDocument {
                    name: port.name.clone(),
                    device: port.device.clone(),
                    queues: port.queues.map(Integer::from),
                    mtu: port.mtu.map(Integer::from),
                })
                .collect(),
            vtep: config.vteps.iter().map(|vtep| vtep_document(vtep, config)).collect(),
            network: config.networks.iter().map(|n| NetworkDocument::of(n, config)).collect(),
        }
    }
}

fn api_document(api: &Api) -> ApiDocument {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let tcp = api.tcp.as_ref();
    ApiDocument {
        socket: text(&api.socket),
        metrics: api.metrics.to_string(),
        page_frames: api.page_frames,
        group: api.group.clone(),
        listen: tcp.map(|tcp| tcp.listen.to_string()),
        tls_certificate: tcp.map(|tcp| text(&tcp.tls_certificate)),
        tls_key: tcp.map(|tcp| text(&tcp.tls_key)),
        token_file: tcp.map(|tcp| text(&tcp.token_file)),
    }
}

fn vtep_document(vtep: &Vtep, config: &Config) -> VtepDocument {
    VtepDocument {
        name: vtep.name.clone(),
        port: config.ports[vtep.port.0].name.clone(),
        address: format!("{}/{}", vtep.address, vtep.prefix_len),
        host_interface: vtep.host_interface.clone(),
        udp_port: vtep.udp_port.into(),
        mac: vtep.mac.map(|mac| mac.to_string()),
    }
}

fn udp_port() -> Integer {
    defaults::UDP_PORT.into()
}

fn mac_ageing_secs() -> Integer {
    defaults::MAC_AGEING_SECS.into()
}

/// A size as TOML has it; none comes near 2^63.
fn wide(size: usize) -> Integer {
    Integer::try_from(size).unwrap_or(Integer::MAX)
}
