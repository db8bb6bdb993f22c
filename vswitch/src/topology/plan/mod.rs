//! The difference between two configurations as steps, each with its impact on traffic.
//!
//! Things are matched by their names: settings by key, ports, VTEPs and networks by name, a member
//! by its port, static MACs and remote VTEPs by network and address. So the order of tables makes
//! no difference, a port that moves to another network is one step, and a network with another name
//! is another network.
//!
//! A plan describes a change; it is not a script. A configuration is applied whole, as one
//! generation, and [`between`](Plan::between) compares any two configurations: the running one and
//! a file, or a former one and the running one.
//!
//! Pure; called on any thread. The cost is one pass over both configurations.

mod between;
mod impact;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::{Config, Document};

/// The steps from one configuration to another. `Display` is the text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Settings first, then ports, VTEPs and networks, each network with what is in it.
    pub steps: Vec<Step>,
}

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

impl Plan {
    /// The steps from one configuration to another.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        Self { steps: between::steps(&Document::from(old), &Document::from(new)) }
    }

    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether no step interrupts traffic or needs a restart.
    #[must_use]
    pub fn is_loss_free(&self) -> bool {
        self.steps.iter().all(|step| step.impact == Impact::LossFree)
    }

    /// The steps that cannot be made while the switch runs.
    pub fn needing_restart(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.impact, Impact::NeedsRestart { .. }))
    }
}
