//! Which frames a capture wants, and where it looks for them.

use crate::ids::{NetworkId, PortId, VtepId};
use crate::metrics::drop_reason::DropReason;

/// The most captures at a time.
pub const MAX_CAPTURES: usize = 4;

/// Where on its way a frame is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CapturePoint {
    /// As it came from a receive queue.
    Received,
    /// Without the outer headers that it came with.
    Decapsulated,
    /// As a transmit queue took it.
    Transmitted,
    /// As it was when it was dropped.
    Dropped,
}

impl CapturePoint {
    /// All, in the order of a frame's journey.
    pub const ALL: [Self; 4] =
        [Self::Received, Self::Decapsulated, Self::Transmitted, Self::Dropped];

    /// Its name, for users and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Decapsulated => "decapsulated",
            Self::Transmitted => "transmitted",
            Self::Dropped => "dropped",
        }
    }
}

/// Some of the points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapturePoints(u8);

impl CapturePoints {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether the point is one of them.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, point: CapturePoint) -> bool {
        self.0 >> point as u8 & 1 != 0
    }

    /// Whether there is none.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<CapturePoint> for CapturePoints {
    fn from_iter<T: IntoIterator<Item = CapturePoint>>(points: T) -> Self {
        Self(points.into_iter().fold(0, |bits, point| bits | 1 << point as u8))
    }
}

impl std::ops::BitOr for CapturePoints {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which frames a capture wants. What is `None` does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Where.
    pub points: CapturePoints,
    /// Those of a port: received there, sent there, or dropped there.
    pub port: Option<PortId>,
    /// Those of a network.
    pub network: Option<NetworkId>,
    /// Those on the uplink of a VTEP.
    pub vtep: Option<VtepId>,
    /// Those that are dropped for this reason.
    pub reason: Option<DropReason>,
}
