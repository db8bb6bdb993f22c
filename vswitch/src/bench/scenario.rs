//! What can be measured, how large, and whether that makes sense.

use serde::Serialize;

use super::arena::DATA_ROOM;
use crate::datapath::tunnel::OUTER_LEN;
use crate::ids::{NetworkId, PortId};
use crate::wire::{ethernet, ipv4, udp};

/// What the frames' way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// From a tenant port to another port of its network.
    L2,
    /// From tenant ports to remote VTEPs.
    Encap,
    /// From remote VTEPs to tenant ports.
    Decap,
    /// Half encap, half decap.
    Mixed,
    /// From a tenant port to every remote VTEP.
    Flood,
    /// As l2, while a storm of new MAC addresses comes in.
    Learn,
    /// From remote VTEPs, of a network that is not there: each frame is a drop. For the
    /// [instruction count](super::instructions).
    #[value(skip)]
    UnknownVni,
}

impl Scenario {
    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Encap => "encap",
            Self::Decap => "decap",
            Self::Mixed => "mixed",
            Self::Flood => "flood",
            Self::Learn => "learn",
            Self::UnknownVni => "unknown-vni",
        }
    }

    /// Whether remote VTEPs take part.
    #[must_use]
    pub fn has_tunnels(self) -> bool {
        !matches!(self, Self::L2 | Self::Learn)
    }

    /// How many remote VTEPs there are if nobody says.
    #[must_use]
    pub fn usual_vteps(self) -> u32 {
        match self {
            Self::L2 | Self::Learn => 0,
            Self::Flood => 8,
            Self::Encap | Self::Decap | Self::Mixed | Self::UnknownVni => 1,
        }
    }

    /// How many pairs of stations, or in `learn` new MACs, there are if nobody says.
    #[must_use]
    pub fn usual_macs(self) -> u32 {
        if self == Self::Learn { 1_000_000 } else { 1000 }
    }
}

/// The frame check sequence, which sizes of frames include and buffers do not.
pub const FCS_LEN: usize = 4;
/// The shortest frame of Ethernet.
pub const MIN_SIZE: usize = 64;
/// The longest frame that fits a buffer with outer headers.
pub const MAX_SIZE: usize = DATA_ROOM - OUTER_LEN + FCS_LEN;
/// The most pairs of stations.
pub const MAX_MACS: u32 = 4_000_000;
/// The most networks. With two ports each they are within 16 bits.
pub const MAX_NETWORKS: u16 = 30_000;
/// The most remote VTEPs.
pub const MAX_VTEPS: u32 = 30_000;
/// Pairs of stations that talk while others are learned.
pub const KNOWN_IN_STORM: u32 = 1000;

const _: () =
    assert!(MIN_SIZE - FCS_LEN > ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN);

/// A scenario and its dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the frames' way is.
    pub scenario: Scenario,
    /// Pairs of stations that talk; in `learn` new MACs.
    pub macs: u32,
    /// Networks among which the pairs are spread.
    pub networks: u16,
    /// Remote VTEPs among which the far stations are spread, and to which each network floods.
    pub vteps: u32,
    /// Length of tenants' frames in bytes, with FCS, as sizes are quoted.
    pub size: usize,
    /// Workers, a core each.
    pub workers: usize,
    /// How long to measure, in seconds, after the warm-up.
    pub seconds: f64,
    /// The most MACs in the FDB; `None`: what the configuration has when it does not say, or more
    /// if the stations need it.
    pub fdb_capacity: Option<usize>,
}

impl Options {
    /// A scenario in its usual dimensions, for so many seconds.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            macs: scenario.usual_macs(),
            networks: 1,
            vteps: scenario.usual_vteps(),
            size: MIN_SIZE,
            workers: 1,
            seconds: 5.0,
            fdb_capacity: None,
        }
    }

    /// What is wrong with them, and the way out.
    ///
    /// # Errors
    /// In words of the command line.
    pub fn check(&self) -> Result<(), String> {
        let Self { scenario, macs, networks, vteps, size, workers, seconds, .. } = *self;
        let name = scenario.name();
        if !(MIN_SIZE..=MAX_SIZE).contains(&size) {
            return Err(format!(
                "--size {size}: a frame has {MIN_SIZE} bytes, FCS included, to {MAX_SIZE}: with \
                 {OUTER_LEN} of outer headers it must fit a buffer of {DATA_ROOM}"
            ));
        }
        if macs == 0 || macs > MAX_MACS {
            return Err(format!("--macs {macs}: at least 1, at most {MAX_MACS}"));
        }
        if networks == 0 || networks > MAX_NETWORKS {
            return Err(format!("--networks {networks}: at least 1, at most {MAX_NETWORKS}"));
        }
        if !scenario.has_tunnels() && vteps != 0 {
            return Err(format!("--vteps {vteps}: no frame of {name} leaves this host"));
        }
        if scenario.has_tunnels() && (vteps == 0 || vteps > MAX_VTEPS) {
            return Err(format!("--vteps {vteps}: at least 1, at most {MAX_VTEPS}"));
        }
        if scenario == Scenario::Learn && networks != 1 {
            return Err(format!("--networks {networks}: {name} has one network"));
        }
        if scenario == Scenario::Flood && u64::from(networks) * u64::from(vteps) > 1 << 24 {
            return Err(format!(
                "--networks {networks} --vteps {vteps}: each network floods to each remote VTEP, \
                 and that is more than 16 million pairs of them: use fewer of either"
            ));
        }
        for (option, count) in [("--networks", u32::from(networks)), ("--vteps", vteps)] {
            if count > self.pairs() && scenario != Scenario::Flood {
                return Err(format!(
                    "{option} {count}: only {} pairs of stations talk, so some would have no \
                     traffic: raise --macs to {count} or more",
                    self.pairs()
                ));
            }
        }
        if workers == 0 {
            return Err("--workers 0: at least 1".to_owned());
        }
        if !(0.1..=3600.0).contains(&seconds) {
            return Err(format!("--seconds {seconds}: at least 0.1, at most 3600"));
        }
        Ok(())
    }

    /// Length of tenants' frames in their buffers.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.size - FCS_LEN
    }

    /// Pairs of stations that are known from the start.
    #[must_use]
    pub fn pairs(&self) -> u32 {
        if self.scenario == Scenario::Learn { KNOWN_IN_STORM } else { self.macs }
    }

    /// A network's port for its near stations.
    #[must_use]
    pub fn near_port(&self, domain: NetworkId) -> PortId {
        PortId(1 + domain.0)
    }

    /// A network's port for its far stations, where they are on this host.
    #[must_use]
    pub fn far_port(&self, domain: NetworkId) -> PortId {
        PortId(1 + self.networks + domain.0)
    }

    /// How many ports there are: the uplink, and one or two of each network.
    #[must_use]
    pub fn ports(&self) -> u16 {
        1 + self.networks * if self.scenario.has_tunnels() { 1 } else { 2 }
    }
}
