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
mod step;
#[cfg(test)]
mod tests;
mod text;

pub use step::{Action, FieldChange, Impact, Kind, Step};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::{Config, Document};

/// The steps from one configuration to another. `Display` is the text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Settings first, then ports, VTEPs and networks, each network with what is in it.
    pub steps: Vec<Step>,
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
