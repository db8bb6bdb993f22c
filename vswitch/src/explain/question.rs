//! The question: a frame, and where it enters the switch.

use super::answer::Origin;
use super::io::RxFlags;
use crate::control::live_state::LiveState;
use crate::ids::{PortId, VtepId};
use crate::metrics::drop_reason::DropReason;

/// A frame to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where the frame comes from.
    pub from: Origin,
    /// Its bytes, without FCS.
    pub frame: Vec<u8>,
    /// What the device reports about the frame.
    pub rx_flags: RxFlags,
    /// A reason for which such a frame was dropped earlier, and the port where it was dropped.
    /// Explained in addition to what would happen now.
    pub was: Option<(DropReason, Option<String>)>,
}

/// The question has a name that does not exist; the names that do are listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The port where the frame comes from.
    #[error("there is no port `{0}`")]
    Port(String, Vec<String>),
    /// The VTEP where the frame comes from.
    #[error("there is no VTEP `{0}`")]
    Vtep(String, Vec<String>),
    /// The port where the frame was dropped.
    #[error("there is no port `{0}`")]
    WasPort(String, Vec<String>),
}

/// Where a frame enters the switch, by index.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entrance {
    /// A port receives it.
    Port(PortId),
    /// The kernel sends it by the host interface of a VTEP, whose uplink this port is.
    Vtep(VtepId, PortId),
}

/// An earlier drop: the reason, and the port where the frame was dropped.
pub(super) type EarlierDrop = (DropReason, Option<PortId>);

/// The indices of the names in a question.
pub(super) fn resolve(
    live: LiveState<'_>,
    question: &Question,
) -> Result<(Entrance, Option<EarlierDrop>), Unknown> {
    let entrance = entrance(live, &question.from)?;
    let was = match &question.was {
        None => None,
        Some((reason, None)) => Some((*reason, None)),
        Some((reason, Some(name))) => {
            let found = live.topology.ports().find(|(_, port)| port.name == *name);
            let (id, _) = found.ok_or_else(|| Unknown::WasPort(name.clone(), ports_of(live)))?;
            Some((*reason, Some(id)))
        }
    };
    Ok((entrance, was))
}

fn entrance(live: LiveState<'_>, from: &Origin) -> Result<Entrance, Unknown> {
    // The workers' generation has no entry for a port that they do not know yet.
    let is_known = |port: PortId| port.index() < live.generation.ports.len();
    match from {
        Origin::Port(name) => {
            let mut ports = live.topology.ports();
            let found = ports.find(|(id, port)| port.name == *name && is_known(*id));
            let (id, _) = found.ok_or_else(|| Unknown::Port(name.clone(), ports_of(live)))?;
            Ok(Entrance::Port(id))
        }
        Origin::Vtep(name) => {
            let mut vteps = live.topology.vteps();
            let found = vteps
                .find(|(_, vtep)| vtep.name == *name && is_known(live.topology.uplink_of(vtep)));
            let (id, vtep) = found.ok_or_else(|| {
                let known = live.topology.vteps().map(|(_, vtep)| vtep.name.clone());
                Unknown::Vtep(name.clone(), known.collect())
            })?;
            Ok(Entrance::Vtep(id, live.topology.uplink_of(vtep)))
        }
    }
}

fn ports_of(live: LiveState<'_>) -> Vec<String> {
    live.topology.ports().map(|(_, port)| port.name.clone()).collect()
}
