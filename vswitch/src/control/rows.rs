//! What the API says: one row type for each `GET /v1/…`, which answers with a JSON list of them;
//! `/v1/status` with one.
//!
//! The server fills them from its counters and tables, `vswitch show` reads them back; the field
//! names are the contract with everyone else who asks. Unknown fields are ignored when reading, so
//! that an older client understands a newer switch. Counters count from the start of the switch.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::captures::{KeptDrop, RunningCapture};
use crate::decode;
use crate::hex;

/// One port: `GET /v1/ports`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortRow {
    /// The name in the configuration.
    pub name: String,
    /// The devargs in the configuration.
    pub device: String,
    /// The DPDK driver that serves it.
    pub driver: String,
    /// Its own MAC address.
    pub mac: String,
    /// The NUMA node it is attached to; `None` if it has none.
    pub numa_node: Option<i32>,
    /// Largest layer-3 packet, in bytes.
    pub mtu: u16,
    /// Receive queues in use.
    pub rx_queues: u16,
    /// Transmit queues in use.
    pub tx_queues: u16,
    /// Whether there is a carrier.
    pub link: Link,
    /// What the port is for.
    pub role: Role,
    /// The networks that it belongs to, for a tenant's port; today one at most.
    pub members: Vec<MemberRow>,
    /// The VTEP it carries, for an uplink.
    pub vtep: Option<String>,
    /// Frames received.
    pub receive_packets: u64,
    /// Bytes received, without the frame check sequence.
    pub receive_bytes: u64,
    /// Frames transmitted.
    pub transmit_packets: u64,
    /// Bytes transmitted, without the frame check sequence.
    pub transmit_bytes: u64,
    /// Frames received here, or to be sent here, that were dropped.
    pub drops: u64,
}

impl PortRow {
    /// Names of the networks that the port belongs to, or of the VTEP that it carries.
    pub(crate) fn belongs_to(&self) -> Vec<String> {
        let networks = self.members.iter().map(|member| member.network.clone());
        networks.chain(self.vtep.clone()).collect()
    }
}

/// A port's membership of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberRow {
    /// Name of the network.
    pub network: String,
}

/// The state of a port's carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// There is one.
    Up,
    /// There is none.
    Down,
    /// The driver does not say.
    Unknown,
}

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It carries the underlay.
    Uplink,
    /// It belongs to a network.
    Tenant,
    /// Neither.
    Unused,
}

/// One network: `GET /v1/networks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkRow {
    /// The name in the configuration.
    pub name: String,
    /// Its VNI.
    pub vni: u32,
    /// The VTEP that carries it; `None` if it stays on this host.
    pub vtep: Option<String>,
    /// Names of its ports.
    pub ports: Vec<String>,
    /// Addresses of the remote VTEPs that it floods to.
    pub remote_vteps: Vec<String>,
    /// Seconds after which a learned MAC that was not seen is forgotten; 0: never.
    pub mac_ageing_secs: u32,
    /// MAC addresses known now, static and learned.
    pub fdb_entries: u64,
    /// Times that a learned MAC moved.
    pub fdb_moves: u64,
    /// Times that a MAC could not be learned, as the table was full.
    pub fdb_refused: u64,
    /// Frames of this network that were dropped.
    pub drops: u64,
}

/// One known MAC address: `GET /v1/fdb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FdbRow {
    /// Name of the network.
    pub network: String,
    /// VNI of the network.
    pub vni: u32,
    /// The MAC address.
    pub mac: String,
    /// The port it is on, if it is on this host.
    pub port: Option<String>,
    /// The remote VTEP it is behind, if it is not.
    pub remote_vtep: Option<String>,
    /// Where the entry comes from.
    pub kind: EntryKind,
    /// Seconds since a frame from it was seen; `None` for a static entry.
    pub age_secs: Option<u64>,
}

/// Where an entry of the FDB comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The configuration.
    Static,
    /// A frame.
    Learned,
}

/// One local VTEP: `GET /v1/vteps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VtepRow {
    /// The name in the configuration.
    pub name: String,
    /// Its address with the prefix length of the underlay's subnet.
    pub address: String,
    /// UDP port that VXLAN arrives on.
    pub udp_port: u16,
    /// Name of its uplink.
    pub port: String,
    /// The MAC that the underlay sees.
    pub mac: String,
    /// The TAP that the kernel sees.
    pub host_interface: String,
    /// Frames from the uplink handed to the kernel.
    pub punted_packets: u64,
    /// Frames from the kernel sent by the uplink.
    pub host_packets: u64,
    /// The remote VTEPs it knows.
    pub remotes: Vec<RemoteRow>,
}

/// One remote VTEP as seen from a local one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoteRow {
    /// Its address.
    pub address: String,
    /// Names of the networks that reach hosts through it.
    pub networks: Vec<String>,
    /// The neighbour that frames to it are sent to, if the kernel has a route.
    pub next_hop: Option<String>,
    /// The MAC of that neighbour, if the kernel knows it.
    pub next_hop_mac: Option<String>,
    /// Whether frames can be sent to it now.
    pub state: NextHopState,
    /// Why they cannot.
    pub reason: Option<String>,
}

/// Whether a remote VTEP can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NextHopState {
    /// Route and neighbour are known.
    Resolved,
    /// They are not; frames to it are dropped and counted.
    Unresolved,
}

/// One worker: `GET /v1/workers`.
///
/// `received + relayed + replicated = transmitted + dropped + punted + handed_over`, and
/// [`unaccounted`](Self::unaccounted) is the difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerRow {
    /// Its index.
    pub worker: u32,
    /// The core it is pinned to.
    pub core: u32,
    /// The NUMA node of that core; `None` if unknown.
    pub numa_node: Option<i32>,
    /// The receive queues it polls, as `port/queue`.
    pub queues: Vec<String>,
    /// Turns of its loop.
    pub loops: u64,
    /// Frames received.
    pub received: u64,
    /// Frames transmitted.
    pub transmitted: u64,
    /// Frames taken over from the host interfaces and from other workers, to be transmitted.
    pub relayed: u64,
    /// Copies made for flooding.
    pub replicated: u64,
    /// Frames dropped, for any reason.
    pub dropped: u64,
    /// Frames handed to the kernel.
    pub punted: u64,
    /// Frames handed to another worker.
    pub handed_over: u64,
    /// TSC cycles spent in turns that had frames.
    pub busy_cycles: u64,
    /// TSC cycles spent in turns that had none.
    pub idle_cycles: u64,
    /// Busy cycles as a share of all, 0 to 100.
    pub busy_percent: f64,
    /// Frames that went in and are in no other count: always 0.
    pub unaccounted: i64,
    /// MACs to learn that were not passed on, as the control thread's queue was full.
    pub learn_events_lost: u64,
}

/// The switch itself: `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The version of vswitch.
    pub version: String,
    /// The name of the host that it runs on.
    pub host: String,
    /// The generation of the configuration.
    pub generation: u64,
    /// When it started, in milliseconds since 1970 (UTC). After another start every counter has
    /// begun anew.
    pub started_unix_millis: u64,
    /// Frames dropped since then, for whatever reason, also at what was removed meanwhile.
    pub dropped: u64,
    /// Frames that went in and are in no other count, of the workers and of the control thread:
    /// always 0.
    pub unaccounted: i64,
}

/// The drops for one reason at one place: `GET /v1/drops`, zeros included up to 10,000 rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropRow {
    /// The reason, as the metric's label has it.
    pub reason: String,
    /// What the reason means.
    pub help: String,
    /// Name of the port, empty if the drop belongs to none.
    pub port: String,
    /// Name of the network, empty if the drop belongs to none.
    pub network: String,
    /// Frames dropped.
    pub packets: u64,
}

/// A frame that was dropped lately: `GET /v1/drops/frames`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DroppedFrameRow {
    /// When, in microseconds since 1970 (UTC).
    pub unix_micros: u64,
    /// The reason, as the metric's label has it.
    pub reason: String,
    /// Name of the port, empty if the drop belongs to none.
    pub port: String,
    /// Name of the network, empty if the drop belongs to none.
    pub network: String,
    /// The generation of the configuration by which it was dropped.
    pub generation: u64,
    /// Length of the whole frame in bytes.
    pub len: u64,
    /// The frame in a line: who sends to whom, and what.
    pub summary: String,
    /// Its first bytes, at most 256, in hexadecimal.
    pub bytes: String,
}

impl DroppedFrameRow {
    /// A frame of the ring. VXLAN is looked for on the well-known UDP ports and on `udp_ports`.
    pub(crate) fn of(kept: &KeptDrop, udp_ports: &[u16]) -> Self {
        let frame = &kept.frame;
        Self {
            unix_micros: kept.unix_nanos / 1000,
            reason: frame.reason.label().to_owned(),
            port: kept.port.clone(),
            network: kept.network.clone(),
            generation: frame.generation,
            len: frame.len as u64,
            summary: decode::line(frame.bytes(), udp_ports),
            bytes: hex::text(frame.bytes()),
        }
    }
}

/// A capture that runs: `GET /v1/captures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaptureRow {
    /// Its number.
    pub id: u64,
    /// What is captured, in words.
    pub what: String,
    /// Frames that it missed as whoever reads it is too slow.
    pub missed_no_room: u64,
    /// Frames that it missed as they would have slowed forwarding by more than is allowed.
    pub missed_over_budget: u64,
}

impl From<RunningCapture> for CaptureRow {
    fn from(running: RunningCapture) -> Self {
        let RunningCapture { id, what, missed } = running;
        let (missed_no_room, missed_over_budget) = (missed.no_room, missed.over_budget);
        Self { id, what, missed_no_room, missed_over_budget }
    }
}
