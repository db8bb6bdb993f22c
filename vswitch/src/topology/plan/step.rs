//! One step of a plan: the thing, what changes, and the effect on traffic.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// The kind of the thing.
    pub kind: Kind,
    /// The thing: the name of a port, VTEP or network; the name of a member's port; the address of
    /// a MAC or remote VTEP; a setting as `dpdk.memory-mib`.
    pub name: String,
    /// For a member, MAC or remote VTEP: the network that it is in after the step, or was in before
    /// a step that removes it.
    pub network: Option<String>,
    /// What changes: every value of a new thing, and every former value of a removed one.
    pub changes: Vec<FieldChange>,
    /// The effect on traffic.
    pub impact: Impact,
    /// Whom the step concerns. Nobody else notices the step, unless it needs a restart.
    pub concerns: String,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The thing is new.
    Add,
    /// The thing stays, with other values.
    Change,
    /// The thing is removed.
    Remove,
}

/// The kind of thing that a step concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A key of `[dpdk]`, `[api]` or `[fdb]`.
    Setting,
    /// A port.
    Port,
    /// A tunnel end of this switch.
    Vtep,
    /// A network. If it is added or removed, its remote VTEPs and MACs are part of the step.
    Network,
    /// A port's membership of a network.
    Member,
    /// A static MAC of a network that stays.
    Mac,
    /// A remote VTEP of a network that stays.
    RemoteVtep,
}

/// One value before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// The key in the file.
    pub field: String,
    /// The value before; `None` if there was none.
    pub from: Option<String>,
    /// The value after; `None` if there is none.
    pub to: Option<String>,
}

/// The effect of a step on traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Impact {
    /// No frame is lost, except to and from removed things.
    LossFree,
    /// Some traffic stops for a moment or for good.
    Interrupts {
        /// The traffic that stops.
        what: String,
    },
    /// The step cannot be made while the switch runs.
    NeedsRestart {
        /// The reason.
        why: String,
    },
}
