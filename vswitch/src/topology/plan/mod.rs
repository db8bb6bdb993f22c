//! The difference between two configurations, and for each step of it what traffic feels.
//!
//! Things are matched by what people call them: settings by key, ports, VTEPs and networks by name,
//! a member by its port, a static MAC by network and address, a remote VTEP by network and address.
//! So the order of tables makes no difference, a port that goes from one network to another is one
//! step, and a network with another name is another network.
//!
//! A plan says what will happen; it is not a script. A configuration is put in force whole, as
//! one generation, and [`between`](Plan::between) compares any two: the running one and a file, or
//! a former one and the running one.
//!
//! Pure; called on any thread. Its cost is one pass over both configurations.

mod between;
mod impact;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::{Config, Document};

/// What it takes to get from one configuration to another. `Display` is the text for people.
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
    /// To what kind of thing.
    pub kind: Kind,
    /// Which one: the name of a port, VTEP or network; for a member the name of its port; the
    /// address of a MAC or remote VTEP; a setting as `dpdk.memory-mib`.
    pub name: String,
    /// The network that the thing is in after the step, or was in if the step removes it: of
    /// members, MACs and remote VTEPs.
    pub network: Option<String>,
    /// What changes: of a new thing every value, of one that goes every value it had.
    pub changes: Vec<FieldChange>,
    /// What traffic feels.
    pub impact: Impact,
    /// Whom the step concerns. Nobody else notices it, unless it needs a restart.
    pub concerns: String,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// There was none of that name.
    Add,
    /// It stays, with other values.
    Change,
    /// It goes.
    Remove,
}

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A key of `[dpdk]`, `[api]` or `[fdb]`.
    Setting,
    /// A port.
    Port,
    /// A tunnel end of this switch.
    Vtep,
    /// A network, with the remote VTEPs and MACs that it comes or goes with.
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
    /// The key, as the file has it.
    pub field: String,
    /// The value before; `None` if there was none.
    pub from: Option<String>,
    /// The value after; `None` if there is none.
    pub to: Option<String>,
}

/// What traffic feels of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Impact {
    /// No frame is lost but those to and from what is removed.
    LossFree,
    /// Some traffic stops for a moment or for good.
    Interrupts {
        /// Which.
        what: String,
    },
    /// It cannot be done while the switch runs.
    NeedsRestart {
        /// Why not.
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

    /// Whether nobody loses a frame, but to and from what is removed.
    #[must_use]
    pub fn is_loss_free(&self) -> bool {
        self.steps.iter().all(|step| step.impact == Impact::LossFree)
    }

    /// The steps that cannot be done while the switch runs.
    pub fn needing_restart(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.impact, Impact::NeedsRestart { .. }))
    }
}
