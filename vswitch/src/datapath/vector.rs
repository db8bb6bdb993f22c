//! A burst of frames from one queue with what the stages find out about each: arrays side by side,
//! so that a stage touches only what it needs, and what is the same for all frames is filled in by
//! wide stores.

use arrayvec::ArrayVec;

use super::generation::Entrance;
use super::tunnel::recognition::Tunnelled;
use super::verdict::PackedVerdict;
use crate::ids::{NetworkId, PortId};
use crate::metrics::counters::Site;
use crate::table::{Destination, Found, Key, PackedDestination};

/// The most frames in a burst.
pub const BURST: usize = 64;

/// Frames in a row, owned.
pub type Burst<P> = ArrayVec<P, BURST>;

/// A burst. Of each array, the first `packets.len()` elements mean something.
#[derive(Debug)]
pub struct Vector<P> {
    /// The port that the burst came from.
    pub port: PortId,
    /// Where it enters the stages.
    pub entrance: Entrance,
    /// How often its frames have passed the stages before.
    pub passes: u8,
    /// The frames.
    pub packets: Burst<P>,
    /// Length of each in bytes, as it is now.
    pub lens: [u32; BURST],
    /// What happens to each.
    pub verdicts: [PackedVerdict; BURST],
    /// The network of each, or [`NetworkId::NONE`] as long as it has none.
    pub networks: [NetworkId; BURST],
    /// Where the sender of each is: the port, or the tunnel, that it came from.
    pub origins: [PackedDestination; BURST],
    /// The tunnel frame that `parse` found, for `decap`.
    pub tunnelled: [Tunnelled; BURST],
    /// (network, source MAC) of each frame that has a network.
    pub sources: [Key; BURST],
    /// (network, destination MAC) of each frame that has a network.
    pub destinations: [Key; BURST],
    /// What the FDB has for `sources`.
    pub sources_found: [Found; BURST],
    /// What the FDB has for `destinations`.
    pub destinations_found: [Found; BURST],
}

impl<P> Vector<P> {
    /// An empty burst, on the heap: it is some kilobytes.
    #[must_use]
    pub fn new() -> Box<Self> {
        Box::new(Self {
            port: PortId(0),
            entrance: Entrance::Unused,
            passes: 0,
            packets: Burst::new(),
            lens: [0; BURST],
            verdicts: [PackedVerdict::PENDING; BURST],
            networks: [NetworkId::NONE; BURST],
            origins: [Destination::Port(PortId(0)).into(); BURST],
            tunnelled: [Tunnelled::default(); BURST],
            sources: [NOBODY; BURST],
            destinations: [NOBODY; BURST],
            sources_found: [Found::MISS; BURST],
            destinations_found: [Found::MISS; BURST],
        })
    }

    /// How many frames there are: at most [`BURST`], which the compiler is told here, so that loops
    /// up to it need no bounds checks.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len().min(BURST)
    }

    /// Whether there is no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Makes the frames new to the stages, none of them decided.
    #[inline(always)]
    pub fn begin(&mut self) {
        let len = self.len();
        self.verdicts[..len].fill(PackedVerdict::PENDING);
        self.networks[..len].fill(NetworkId::NONE);
        self.origins[..len].fill(Destination::Port(self.port).into());
    }

    /// Where a drop of frame `i` is counted: at its port; on an underlay at its network, as soon as that is
    /// known.
    #[must_use]
    pub fn site(&self, i: usize) -> Site {
        match self.entrance {
            Entrance::Underlay(_) if self.networks[i] != NetworkId::NONE => {
                Site::network(self.networks[i])
            }
            _ => Site::port(self.port),
        }
    }
}

/// A key that is never in the FDB: no group address is learned.
pub const NOBODY: Key = Key::new(NetworkId(0), crate::ids::MacAddr::BROADCAST);
