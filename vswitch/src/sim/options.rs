//! How a simulation differs from the defaults.

use crate::ids::MacAddr;

/// The MAC of the next hop to every remote VTEP where nothing else is said.
pub(super) const NEXT_HOP: MacAddr = MacAddr::from_u64(0x02ee_0000_0001);

/// How a simulation differs from the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many buffers there are.
    pub buffers: usize,
    /// How many frames a transmit queue takes before it is full.
    pub transmit_queue: usize,
    /// Whether the transmit queues are another worker's: frames are handed over to it.
    pub hand_over: bool,
    /// How many frames the queue to a host interface holds.
    pub punt_queue: usize,
    /// Room before a received frame, in bytes.
    pub headroom: usize,
    /// The ports' MTU where the configuration does not say.
    pub mtu: u16,
    /// The MAC of the next hop to a remote VTEP, from the start or from the change on that brings it.
    pub next_hop: Option<MacAddr>,
    /// The seed of the FDB's hash.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            buffers: 1 << 16,
            transmit_queue: 1 << 16,
            hand_over: false,
            punt_queue: 1 << 16,
            headroom: 128,
            mtu: 1500,
            next_hop: Some(NEXT_HOP),
            seed: 0x5eed,
        }
    }
}
