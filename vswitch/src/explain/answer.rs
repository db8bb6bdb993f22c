//! The explanation as data: the answer of `POST /v1/explain`, and of `vswitch explain --json`.
//!
//! Everything has its name from the configuration; nothing has an index.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::difference::Edit;
use crate::control::events::Whereabouts;
use crate::control::rows::EntryKind;
use crate::datapath::observer::Stage;
use crate::decode::Layer;

/// What the switch would do with a frame now, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The explanation in one sentence.
    pub summary: String,
    /// What becomes of the frame.
    pub verdict: Outcome,
    /// Where the frame comes from.
    pub from: Origin,
    /// The frame.
    pub frame: Frame,
    /// The network of the frame, if that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub network: Option<NetworkName>,
    /// The tunnel that the frame came through, if it is a VXLAN frame for a VTEP of this switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tunnel: Option<Tunnel>,
    /// The decisions of the stages, in their order, up to the stage where the frame ends.
    pub steps: Vec<Step>,
    /// The lookups in the FDB.
    pub lookups: Vec<Lookup>,
    /// What the FDB would learn from the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub learns: Option<Learns>,
    /// The frames that would leave the switch.
    pub copies: Vec<Copy>,
    /// The number of further copies that would leave. The first 1000 are described.
    pub copies_left_out: u64,
    /// The drops of the frame or of its copies.
    pub drops: Vec<Dropped>,
    /// The number of further drops. The first 1000 are described.
    pub drops_left_out: u64,
    /// The reason of an earlier drop, from the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub was: Option<Reason>,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedOutcome)]
pub enum Outcome {
    /// It leaves by a port; a frame from a tunnel leaves without its outer headers.
    Forwarded,
    /// It leaves by an uplink, encapsulated for one remote VTEP.
    Encapsulated,
    /// Copies leave to all other members of its network.
    Flooded,
    /// It goes to the kernel, through the host interface of a VTEP.
    Punted,
    /// It comes from the kernel, and leaves by the VTEP's uplink unchanged.
    Relayed,
    /// Nothing of it leaves.
    Dropped,
}

/// Where a frame comes from: a port, or the kernel through the host interface of a VTEP.
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
    /// Its headers and payload, from the outside in.
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

/// The tunnel that a frame came through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedTunnel)]
pub struct Tunnel {
    /// Name of the local VTEP.
    pub vtep: String,
    /// Address of the remote VTEP.
    pub remote_vtep: String,
    /// The VNI in the frame.
    pub vni: u32,
}

/// The decision of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedStep)]
pub struct Step {
    /// The stage: `relay`, `rx`, `parse`, `decap`, `learn`, `forward`, `flood`, `encap`, `tx`.
    pub stage: String,
    /// The decision, with its reason.
    pub says: String,
    /// The frame ends here.
    pub drops: bool,
}

impl Step {
    /// A stage that does not drop the frame.
    pub(super) fn new(stage: Stage, says: impl Into<String>) -> Self {
        Self { stage: name(stage).to_owned(), says: says.into(), drops: false }
    }
}

/// The name of a stage, which is the name of its module.
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

/// A lookup in the FDB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedLookup)]
pub struct Lookup {
    /// Whose address it is.
    pub of: Station,
    /// Name of the network.
    pub network: String,
    /// The MAC address.
    pub mac: String,
    /// The entry, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub entry: Option<FdbEntry>,
}

/// The owner of a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedStation)]
pub enum Station {
    /// The sender.
    Source,
    /// The receiver.
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
    /// Seconds since its last frame (learned entries only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub age_secs: Option<u32>,
}

/// What the FDB would learn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedLearns)]
pub struct Learns {
    /// The change of the entry.
    pub what: Learning,
    /// Name of the network.
    pub network: String,
    /// The MAC address.
    pub mac: String,
    /// Its new location.
    pub at: Whereabouts,
    /// Its present location, if it would move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub from: Option<Whereabouts>,
}

/// A change of an FDB entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedLearning)]
pub enum Learning {
    /// It would be new.
    Learned,
    /// It would move to another location.
    Moved,
    /// Its age would be reset: it is known there, and has been silent for a while.
    Refreshed,
    /// It would not be learned: the table is full (`capacity` in `[fdb]`).
    Refused,
}

/// A frame that would leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedCopy)]
pub struct Copy {
    /// Its way out.
    pub to: Exit,
    /// The receiver, if this switch encapsulates the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub encapsulated: Option<Encapsulated>,
    /// The frame.
    pub frame: Frame,
    /// The differences from the frame that came: applied in their order, they produce this frame.
    pub differences: Vec<Edit>,
}

/// The way out of the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExplainedExit)]
pub enum Exit {
    /// By the port of this name.
    Port(String),
    /// To the kernel, through the host interface of the VTEP of this name.
    Vtep(String),
}

/// The receiver of an encapsulated frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedEncapsulation)]
pub struct Encapsulated {
    /// Address of the remote VTEP.
    pub remote_vtep: String,
    /// The VNI.
    pub vni: u32,
}

/// A drop of the frame, or of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedDropped)]
pub struct Dropped {
    /// The reason.
    #[serde(flatten)]
    pub reason: Reason,
    /// Name of the port where it is counted.
    pub port: String,
    /// Name of the network where it is counted; empty if there is none.
    pub network: String,
    /// Where it was to go, if that was decided: a port's name or a remote VTEP's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub to: Option<Whereabouts>,
    /// Its length in bytes when it is dropped.
    pub length: usize,
}

/// A drop reason, and the setting behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedReason)]
pub struct Reason {
    /// Its name, as in `vswitch show drops` and in the metrics.
    pub reason: String,
    /// Its meaning.
    pub meaning: String,
    /// The setting behind it.
    pub cause: Cause,
}

/// The setting behind a drop reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedCause)]
pub struct Cause {
    /// JSON pointer (RFC 6901) to the setting in `GET /v1/config`. If the last key is missing, its
    /// default applies.
    #[schema(example = "/network/0/remote-vteps")]
    pub pointer: String,
    /// The configured value, and its effect on the frame.
    pub configured: String,
    /// What would make such a frame pass.
    pub remedy: String,
    /// Whether a setting of this switch would.
    pub by_configuration: bool,
}
