//! The answer as data: what `POST /v1/explain` says, and `vswitch explain --json` prints.
//!
//! Everything has its name here, as the configuration has it; nothing has an index.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::difference::Edit;
use crate::control::events::Whereabouts;
use crate::control::rows::EntryKind;
use crate::datapath::worker::Stage;
use crate::decode::Layer;

/// What the switch would do with a frame now, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// All of it in a sentence.
    pub summary: String,
    /// What becomes of the frame.
    pub verdict: Outcome,
    /// Where it comes from.
    pub from: Origin,
    /// The frame.
    pub frame: Frame,
    /// The network that it belongs to, as soon as that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub network: Option<NetworkName>,
    /// The tunnel that it came through, if it is a VXLAN frame for a VTEP of this switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tunnel: Option<Tunnel>,
    /// What each stage of the data path decides, in their order, up to where the frame ends.
    pub steps: Vec<Step>,
    /// The FDB entries that were looked for.
    pub lookups: Vec<Lookup>,
    /// What the FDB would learn from the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub learns: Option<Learns>,
    /// What would leave the switch.
    pub copies: Vec<Copy>,
    /// How many more copies would leave: the first 1000 are described.
    pub copies_left_out: u64,
    /// Where the frame, or a copy of it, would end.
    pub drops: Vec<Dropped>,
    /// How many more copies would be dropped: the first 1000 are described.
    pub drops_left_out: u64,
    /// The reason that the question says the frame was dropped for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub was: Option<Reason>,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedOutcome)]
pub enum Outcome {
    /// It leaves by a port; a frame from the overlay without its outer headers.
    Forwarded,
    /// It leaves by an uplink, for one remote VTEP.
    Encapsulated,
    /// It leaves for everybody else in its network.
    Flooded,
    /// It goes to the kernel, by the host interface of a VTEP.
    Punted,
    /// It comes from the kernel, and leaves by the VTEP's uplink as it is.
    Relayed,
    /// Nothing of it leaves.
    Dropped,
}

/// Where a frame comes from: a port, or the kernel by the host interface of a VTEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schema(as = ExplainedOrigin)]
pub enum Origin {
    /// Name of the port that receives it.
    Port(String),
    /// Name of the VTEP whose host interface sends it.
    Vtep(String),
}

/// A frame, as bytes and decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedFrame)]
pub struct Frame {
    /// Its length in bytes, without FCS.
    pub length: usize,
    /// Its bytes, two hexadecimal digits each.
    pub hex: String,
    /// What is in it, from the outside in.
    pub layers: Vec<Layer>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedNetworkName)]
pub struct NetworkName {
    /// Its name.
    pub name: String,
    /// Its VNI.
    pub vni: u32,
}

/// A tunnel frame's way to this switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedTunnel)]
pub struct Tunnel {
    /// Name of the local VTEP.
    pub vtep: String,
    /// Address of the remote one.
    pub remote_vtep: String,
    /// The VNI in the frame.
    pub vni: u32,
}

/// What one stage decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedStep)]
pub struct Step {
    /// The stage: `relay`, `rx`, `parse`, `decap`, `learn`, `forward`, `flood`, `encap`, `tx`.
    pub stage: String,
    /// What it decides, and why.
    pub says: String,
    /// The frame ends here.
    pub drops: bool,
}

impl Step {
    /// What a stage says.
    pub(super) fn new(stage: Stage, says: impl Into<String>) -> Self {
        Self { stage: name(stage).to_owned(), says: says.into(), drops: false }
    }
}

/// The name of a stage: that of its module.
fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Relay => "relay",
        Stage::Rx => "rx",
        Stage::Parse => "parse",
        Stage::Decap => "decap",
        Stage::Learn => "learn",
        Stage::Forward => "forward",
        Stage::Flood => "flood",
        Stage::Encap => "encap",
        Stage::Tx | Stage::Flush => "tx",
    }
}

/// A look into the FDB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedLookup)]
pub struct Lookup {
    /// Whose address it is.
    pub of: Station,
    /// Name of the network.
    pub network: String,
    /// The MAC address.
    pub mac: String,
    /// The entry; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub entry: Option<FdbEntry>,
}

/// Whose MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedStation)]
pub enum Station {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

/// An entry of the FDB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedFdbEntry)]
pub struct FdbEntry {
    /// Where the station is.
    #[serde(flatten)]
    pub at: Whereabouts,
    /// Learned or configured.
    pub kind: EntryKind,
    /// Seconds since it was heard (learned entries only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub age_secs: Option<u32>,
}

/// What the FDB would learn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedLearns)]
pub struct Learns {
    /// What would become of the entry.
    pub what: Learning,
    /// Name of the network.
    pub network: String,
    /// The MAC address.
    pub mac: String,
    /// Where it would be known.
    pub at: Whereabouts,
    /// Where it is known now, if it would move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub from: Option<Whereabouts>,
}

/// What would become of an entry of the FDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedLearning)]
pub enum Learning {
    /// It would be new.
    Learned,
    /// It would be known at another place.
    Moved,
    /// It would live on: it is known there, and has not been heard for long.
    Refreshed,
    /// There is no room for it: `capacity` in `[fdb]`.
    Refused,
}

/// A frame that would leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedCopy)]
pub struct Copy {
    /// Where to.
    pub to: Exit,
    /// For whom, if it is encapsulated by this switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub encapsulated: Option<Encapsulated>,
    /// The frame.
    pub frame: Frame,
    /// How it differs from the frame that came: applied in their order, they make it of that frame.
    pub differences: Vec<Edit>,
}

/// The way out of the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedExit)]
pub enum Exit {
    /// By the port of this name.
    Port(String),
    /// To the kernel, by the host interface of the VTEP of this name.
    Vtep(String),
}

/// Whom an encapsulated frame is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedEncapsulation)]
pub struct Encapsulated {
    /// Address of the remote VTEP.
    pub remote_vtep: String,
    /// The VNI.
    pub vni: u32,
}

/// A frame, or a copy of it, that would end here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedDropped)]
pub struct Dropped {
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// Name of the port where it is counted.
    pub port: String,
    /// Name of the network where it is counted; empty if it is of none.
    pub network: String,
    /// Where it was to go, if that was decided: a port's name or a remote VTEP's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub to: Option<Whereabouts>,
    /// Its length in bytes as it ends.
    pub length: usize,
}

/// A reason to drop a frame, and what in the configuration makes it one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedReason)]
pub struct Reason {
    /// Its name, as in `vswitch show drops` and in the metrics.
    pub reason: String,
    /// What it means.
    pub meaning: String,
    /// The piece of configuration.
    pub cause: Cause,
}

/// A piece of configuration that decides about a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedCause)]
pub struct Cause {
    /// JSON pointer (RFC 6901) to it in `GET /v1/config`. If the last key is not there, its default holds.
    #[schema(example = "/network/0/remote-vteps")]
    pub pointer: String,
    /// What is configured, and what it amounts to here.
    pub configured: String,
    /// What would make such a frame pass.
    pub remedy: String,
    /// Whether a change of this switch's configuration could do it.
    pub by_configuration: bool,
}
