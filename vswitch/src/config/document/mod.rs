//! The declaration of the configuration: every key with its type, default, range and example.
//!
//! A [`Document`] is a configuration by names, for people and programs: the content of a file, the
//! body of the API's requests and answers, what `vswitch show config` prints, and what the state
//! file holds. In JSON it has the keys of the TOML file. [`Config`] is for the switch: names have
//! become indices, and texts addresses.
//!
//! The structs below are the only list of keys. serde reads and writes their JSON, and their
//! derived schema describes the API. Through `schema`, the same schema decides how
//! a file is read, checked and written, and what a plan compares. What a key means stands in
//! `validate` and its neighbours.
//!
//! Numbers are as wide as TOML's, so that one that is out of range is refused with its range
//! and the reason for it.
//!
//! Pure; called on any thread. The cost of a check grows with the size of the document only.

mod render;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::defaults;
use super::diagnostic::Diagnostic;
use super::model::{Config, Home, Network, PortIndex};
use super::schema::Table;

/// The tables and keys that are declared here.
pub(super) static FILE: LazyLock<Table> = LazyLock::new(Table::of::<Document>);

/// A configuration by names. [`check`](Self::check) tells whether it is valid.
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
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DpdkDocument {
    /// The CPUs that poll, one worker each.
    #[serde(default = "defaults::worker_cores")]
    #[schema(example = json!([1, 2]))]
    pub worker_cores: Vec<i64>,
    /// The CPU of the control thread.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1023, example = 0)]
    pub main_core: i64,
    /// Memory for packet buffers and rings, in MiB.
    #[serde(default = "defaults::memory_mib")]
    #[schema(minimum = 64, maximum = 1_048_576, example = 512)]
    pub memory_mib: i64,
    /// The least number of packet buffers; absent: as many as queues and workers can hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1024, maximum = 16_777_215, example = 131_071)]
    pub packet_buffers: Option<i64>,
    /// Whether the memory comes from hugepages.
    #[serde(default = "defaults::yes")]
    #[schema(example = true)]
    pub hugepages: bool,
    /// Further arguments for EAL, unchanged.
    #[serde(default)]
    #[schema(example = json!(["--log-level=debug"]))]
    pub eal_args: Vec<String>,
}

/// Where the switch can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ApiDocument {
    /// Path of the Unix socket of this API.
    #[serde(default = "defaults::socket")]
    #[schema(max_length = 107, example = "/run/vswitch/vswitch.sock")]
    pub socket: String,
    /// IP address and port that answer `GET /metrics`.
    #[serde(default = "defaults::metrics")]
    #[schema(example = "127.0.0.1:9144")]
    pub metrics: String,
    /// Whether the page there may show the contents of dropped frames.
    #[serde(default = "defaults::yes")]
    #[schema(example = false)]
    pub page_frames: bool,
    /// The group that may open the socket, besides root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "vswitch")]
    pub group: Option<String>,
    /// IP address and port of this API over TCP, which needs the three files below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "127.0.0.1:9143")]
    pub listen: Option<String>,
    /// PEM file with the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/etc/vswitch/tls.pem")]
    pub tls_certificate: Option<String>,
    /// PEM file with the key of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/etc/vswitch/tls-key.pem")]
    pub tls_key: Option<String>,
    /// File with the bearer token that every request over TCP carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/etc/vswitch/token")]
    pub token_file: Option<String>,
}

/// The table of MAC addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FdbDocument {
    /// The most MAC addresses known at one time, over all networks.
    #[serde(default = "defaults::fdb_capacity")]
    #[schema(minimum = 64, maximum = 16_777_216, example = 1_048_576)]
    pub capacity: i64,
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
    /// Requested receive queues; absent: one for each worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1024, example = 2)]
    pub queues: Option<i64>,
    /// Largest layer-3 packet in bytes; absent: the device's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 576, maximum = 9728, example = 1500)]
    pub mtu: Option<i64>,
}

/// A tunnel end of this switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VtepDocument {
    /// Unique among the VTEPs.
    #[schema(min_length = 1, max_length = 63, example = "fabric")]
    pub name: String,
    /// The uplink: the name of a port that nothing else uses.
    #[schema(example = "uplink")]
    pub port: String,
    /// IPv4 address on the underlay with the prefix length of the subnet.
    #[schema(example = "198.51.100.1/24")]
    pub address: String,
    /// Name of the TAP through which the kernel sees the uplink.
    #[schema(min_length = 1, max_length = 15, example = "vtep0")]
    pub host_interface: String,
    /// Destination port of VXLAN, received and sent.
    #[serde(default = "defaults::udp_port")]
    #[schema(minimum = 1, maximum = 65535, example = 4789)]
    pub udp_port: i64,
    /// MAC address on the underlay; absent: the uplink's own.
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
    /// The VTEP that carries the network to other hosts; absent: it stays on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "fabric")]
    pub vtep: Option<String>,
    /// IPv4 addresses of the other hosts' VTEPs. Each gets a copy of every flooded frame.
    #[serde(default)]
    #[schema(example = json!(["198.51.100.2"]))]
    pub remote_vteps: Vec<String>,
    /// Seconds without a frame after which a learned MAC is forgotten; 0: never.
    #[serde(default = "defaults::mac_ageing_secs")]
    #[schema(minimum = 0, maximum = 1_000_000, example = 300)]
    pub mac_ageing_secs: i64,
    /// Ports on this host.
    #[serde(default)]
    pub port: Vec<MemberDocument>,
    /// Static MAC addresses.
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

/// A MAC address with a configured place. Exactly one of `port` and `remote-vtep` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MacDocument {
    /// MAC address of one station, once in each network.
    #[schema(example = "02:00:00:00:00:09")]
    pub address: String,
    /// The port of this network at which the station is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "tenant-a")]
    pub port: Option<String>,
    /// The address of the remote VTEP behind which the station is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "198.51.100.2")]
    pub remote_vtep: Option<String>,
}

/// An error in a document, with its location and a way out.
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
    /// Also for the warnings of a configuration from [`Document::check`].
    fn from(from: &Diagnostic) -> Self {
        Self {
            pointer: from.pointer.clone().unwrap_or_default(),
            message: from.message.clone(),
            help: from.help.clone(),
        }
    }
}

/// A table with these keys; the others have their defaults.
fn table<T: DeserializeOwned>(keys: Value) -> T {
    serde_json::from_value(keys).unwrap_or_else(|error| unreachable!("{error}"))
}

/// A table of a [`Config`], whose keys are those of the file; `named` has those that it keeps in
/// another form.
fn table_of<T: DeserializeOwned>(config: &impl Serialize, named: Value) -> T {
    let mut keys = json!(config);
    if let (Value::Object(keys), Value::Object(named)) = (&mut keys, named) {
        keys.extend(named);
    }
    table(keys)
}

impl Default for DpdkDocument {
    fn default() -> Self {
        table(json!({}))
    }
}

impl Default for ApiDocument {
    fn default() -> Self {
        table(json!({}))
    }
}

impl Default for FdbDocument {
    fn default() -> Self {
        table(json!({}))
    }
}

impl NetworkDocument {
    /// A network with nothing in it.
    #[must_use]
    pub fn new(name: &str, vni: i64) -> Self {
        table(json!({ "name": name, "vni": vni }))
    }

    /// A network of a configuration.
    #[must_use]
    pub fn of(network: &Network, config: &Config) -> Self {
        let port_name = |port: PortIndex| &config.ports[port.0].name;
        let ports = network.ports.iter().map(|port| json!({ "port": port_name(*port) }));
        let macs = network.macs.iter().map(|mac| {
            let address = mac.address.to_string();
            match mac.home {
                Home::Port(port) => json!({ "address": address, "port": port_name(port) }),
                Home::RemoteVtep(remote) => json!({ "address": address, "remote-vtep": remote }),
            }
        });
        let named = json!({
            "vni": network.vni.get(),
            "vtep": network.vtep.map(|vtep| &config.vteps[vtep.0].name),
            "port": ports.collect::<Value>(),
            "mac": macs.collect::<Value>(),
        });
        table_of(network, named)
    }
}

impl Document {
    /// The document as a file: canonical, without comments, and read back as an equal [`Config`].
    #[must_use]
    pub fn to_toml(&self) -> String {
        render::render(&FILE, &json!(self))
    }

    /// The document with sorted lists, where their order means nothing. Two documents mean the same
    /// if and only if they are then equal.
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

/// The keys of a table of the first rank (`dpdk`, `port`, `network`, …) in the order of their
/// declaration, and their values, without the name and the tables within. An absent key has the
/// value null.
#[must_use]
pub fn keys_of(kind: &str, document: &impl Serialize) -> Vec<(&'static str, Value)> {
    let keys = FILE.key(kind).and_then(|key| key.kind.table()).into_iter().flat_map(|t| &t.keys);
    let keys = keys.filter(|key| key.name != "name" && key.kind.table().is_none());
    let values = json!(document);
    keys.map(|key| (key.name.as_str(), values[&key.name].clone())).collect()
}

impl From<&Config> for Document {
    fn from(config: &Config) -> Self {
        let vteps = config.vteps.iter().map(|vtep| {
            let named = json!({
                "port": config.ports[vtep.port.0].name,
                "address": format!("{}/{}", vtep.address, vtep.prefix_len),
                "mac": vtep.mac.map(|mac| mac.to_string()),
            });
            table_of(vtep, named)
        });
        Self {
            dpdk: table_of(&config.dpdk, json!({})),
            api: table_of(&config.api, json!({})),
            fdb: table(json!({ "capacity": config.fdb_capacity })),
            port: config.ports.iter().map(|port| table_of(port, json!({}))).collect(),
            vtep: vteps.collect(),
            network: config.networks.iter().map(|n| NetworkDocument::of(n, config)).collect(),
        }
    }
}
