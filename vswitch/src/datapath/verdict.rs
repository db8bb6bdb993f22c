//! What happened to one frame, as a value.
//!
//! The reasons for a drop are declared in [`drop_reason`](crate::metrics::drop_reason).

use crate::ids::{PortId, TunnelId, VtepId};
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, PackedDestination};

/// The verdict on one frame. Stages turn `Pending` into one of the others; nothing is left pending
/// at the end of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Pending,
    /// Leaves by this port as it is.
    Forward(PortId),
    /// Gets this tunnel's outer header, then leaves by the tunnel's uplink.
    Encapsulate(TunnelId),
    /// Goes to every other member of its network.
    Flood,
    /// Goes to the kernel, through this VTEP's host interface.
    Punt(VtepId),
    /// Ends here, for this reason.
    Drop(DropReason),
}

/// A [`Verdict`] as it stands in a burst: one word, so that bursts are compared by wide loads. The way
/// to a destination is the destination as the FDB has it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct PackedVerdict(u32);

impl PackedVerdict {
    /// [`Verdict::Pending`].
    pub const PENDING: Self = Self(0);
    /// [`Verdict::Flood`].
    pub const FLOOD: Self = Self(1 << 16);
    const PUNT: u32 = 2 << 16;
    const DROP: u32 = 3 << 16;

    /// The way to a destination: out of the port, or through the tunnel.
    #[inline(always)]
    #[must_use]
    pub const fn to(destination: PackedDestination) -> Self {
        Self(destination.to_u32())
    }

    /// [`Verdict::Drop`].
    #[inline(always)]
    #[must_use]
    pub const fn drop(reason: DropReason) -> Self {
        Self(Self::DROP | reason as u32)
    }

    /// The tunnel, if it is [`Verdict::Encapsulate`].
    #[inline(always)]
    #[must_use]
    pub fn tunnel(self) -> Option<TunnelId> {
        match PackedDestination::from_u32(self.0)?.into() {
            Destination::Tunnel(tunnel) => Some(tunnel),
            Destination::Port(_) => None,
        }
    }

    /// For people and for `match`.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the index is the low half")]
    pub fn unpack(self) -> Verdict {
        let index = self.0 as u16;
        match PackedDestination::from_u32(self.0).map(Destination::from) {
            Some(Destination::Port(port)) => Verdict::Forward(port),
            Some(Destination::Tunnel(tunnel)) => Verdict::Encapsulate(tunnel),
            None if self == Self::PENDING => Verdict::Pending,
            None if self == Self::FLOOD => Verdict::Flood,
            None if self.0 & Self::DROP == Self::PUNT => Verdict::Punt(VtepId(index)),
            None => Verdict::Drop(DropReason::ALL[usize::from(index)]),
        }
    }
}

impl From<Verdict> for PackedVerdict {
    #[inline(always)]
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pending => Self::PENDING,
            Verdict::Forward(port) => Self::to(Destination::Port(port).into()),
            Verdict::Encapsulate(tunnel) => Self::to(Destination::Tunnel(tunnel).into()),
            Verdict::Flood => Self::FLOOD,
            Verdict::Punt(vtep) => Self(Self::PUNT | u32::from(vtep.0)),
            Verdict::Drop(reason) => Self::drop(reason),
        }
    }
}

impl std::fmt::Debug for PackedVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.unpack().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_comes_back() {
        let indices = [0, 1, u16::MAX];
        let mut verdicts = vec![Verdict::Pending, Verdict::Flood];
        verdicts.extend(indices.map(|n| Verdict::Forward(PortId(n))));
        verdicts.extend(indices.map(|n| Verdict::Encapsulate(TunnelId(n))));
        verdicts.extend(indices.map(|n| Verdict::Punt(VtepId(n))));
        verdicts.extend(DropReason::ALL.iter().map(|reason| Verdict::Drop(*reason)));
        for verdict in &verdicts {
            assert_eq!(PackedVerdict::from(*verdict).unpack(), *verdict);
        }
        let distinct: std::collections::HashSet<_> =
            verdicts.iter().map(|verdict| PackedVerdict::from(*verdict).0).collect();
        assert_eq!(distinct.len(), verdicts.len());
    }
}
