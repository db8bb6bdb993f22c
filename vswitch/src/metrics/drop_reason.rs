//! Every reason for which a frame is dropped, declared once.
//!
//! A variant, its metric label, its help text and where it can happen come from one entry of the list below. Counters, metrics,
//! `vswitch show drops` and the documentation are generated from the list.

/// What a [site](crate::metrics::counters::Site) of drops is. A site has only the reasons that can happen at one of
/// its kind; that none is missing in the list below is what the property test checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// A tenant's port, with its network.
    Tenant,
    /// An uplink, before the frame's network is known.
    Uplink,
    /// A network on its VTEP's uplink.
    Network,
    /// A port that is neither an uplink nor in a network.
    Unused,
}

macro_rules! drop_reasons {
    ($($(#[doc = $help:literal])+ $variant:ident = $label:literal at [$($kind:ident),+],)+) => {
        /// Why a frame was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $help])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of their indices.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The value of the label `reason` in metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }

            /// The reason that has a label.
            #[must_use]
            pub fn of_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.label() == label)
            }

            /// What it means and what to look at, for people.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($help),+).trim_ascii()),+ }
            }

            /// Where it can happen.
            #[must_use]
            pub const fn sites(self) -> &'static [SiteKind] {
                match self { $(Self::$variant => &[$(SiteKind::$kind),+]),+ }
            }

            /// The index of the reason in arrays of [`Self::COUNT`].
            #[inline(always)]
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

drop_reasons! {
    /// The frame is shorter than an Ethernet header (14 bytes).
    Runt = "runt" at [Tenant, Uplink],
    /// The device scattered the frame over several buffers; the switch asks for one. Look at the port's mtu.
    NotContiguous = "not_contiguous" at [Tenant, Uplink, Unused],
    /// The frame is longer than the MTU of the port that it came by allows. Compare the MTUs of the two ends; on a virtual interface, turn off segmentation offload (`ethtool -K … tso off gso off`).
    Oversize = "oversize" at [Tenant, Uplink, Unused],
    /// The port is neither an uplink nor a member of a network.
    PortUnused = "port_unused" at [Unused],
    /// The frame carries a VLAN tag where no VLAN is configured.
    VlanNotConfigured = "vlan_not_configured" at [Tenant, Uplink, Network, Unused],
    /// The source MAC is zero or a group address: no station sends so.
    InvalidSourceMac = "invalid_source_mac" at [Tenant, Network],
    /// The destination is reserved for the local link (01:80:c2:00:00:0x: spanning tree, PAUSE, LACP, LLDP); no bridge passes it on.
    LinkLocalMulticast = "link_local_multicast" at [Tenant, Network],
    /// Uplink: the destination MAC is neither the VTEP's nor a group address.
    NotOurMac = "not_our_mac" at [Uplink],
    /// Uplink: the frame ends before its outer headers or the lengths they claim do.
    Truncated = "truncated" at [Uplink],
    /// Uplink: the outer IPv4 version is not 4 or its header length is below 20 bytes.
    OuterBadIhl = "outer_bad_ihl" at [Uplink],
    /// Uplink: the outer IPv4 and UDP lengths contradict each other.
    OuterBadLength = "outer_bad_length" at [Uplink],
    /// Uplink: the outer IPv4 header checksum is wrong.
    OuterBadChecksum = "outer_bad_checksum" at [Uplink],
    /// Uplink: an outer UDP fragment for the VTEP. Tunnel frames are not reassembled: raise the underlay's MTU or lower the tenants'.
    OuterFragment = "outer_fragment" at [Uplink],
    /// Uplink: a VXLAN frame for an address that is not the VTEP's.
    NotOurAddress = "not_our_address" at [Uplink],
    /// Uplink: a frame for the VTEP on another tunnel's UDP port (4789, 4790 or 8472). Compare udp-port with the peer's setting.
    VxlanWrongUdpPort = "vxlan_wrong_udp_port" at [Uplink],
    /// Uplink: a VXLAN frame whose I flag, which says that the VNI is valid, is not set.
    VxlanNoVniFlag = "vxlan_no_vni_flag" at [Uplink],
    /// Uplink: a VXLAN frame of a VNI that no network of this VTEP has.
    UnknownVni = "unknown_vni" at [Uplink],
    /// Uplink: a VXLAN frame from a host that is not a remote VTEP of the frame's network. Add it to remote-vteps if it should be.
    UnknownRemoteVtep = "unknown_remote_vtep" at [Network],
    /// Uplink: the frame inside a VXLAN frame is shorter than an Ethernet header (14 bytes).
    InnerRunt = "inner_runt" at [Network],
    /// The destination is on the port that the frame came from.
    SamePort = "same_port" at [Tenant],
    /// A frame from the overlay whose destination is in the overlay: it is never sent back there.
    SplitHorizon = "split_horizon" at [Network],
    /// A frame for everybody in a network where there is nobody else.
    NoDestination = "no_destination" at [Tenant, Network],
    /// The next hop to the remote VTEP has no known MAC (yet). `vswitch show vteps` says why.
    NextHopUnresolved = "next_hop_unresolved" at [Tenant],
    /// With its outer headers (50 bytes) the frame would exceed the uplink's MTU. It is never fragmented: raise the underlay's MTU or lower the tenants'.
    ExceedsUnderlayMtu = "exceeds_underlay_mtu" at [Tenant],
    /// The frame exceeds the MTU of the port that it would leave by.
    ExceedsPortMtu = "exceeds_port_mtu" at [Tenant, Uplink, Network],
    /// The buffer has no room for the outer headers.
    NoHeadroom = "no_headroom" at [Tenant],
    /// No packet buffer was free for a copy of a flooded frame, or for a frame from the host interface.
    NoBuffers = "no_buffers" at [Tenant, Uplink, Network],
    /// The queue to the host interface is full: more frames for the host than the kernel takes.
    PuntQueueFull = "punt_queue_full" at [Uplink],
    /// The host interface did not take the frame: it is down, or the kernel is slower than the frames come.
    HostWriteFailed = "host_write_failed" at [Uplink],
    /// A frame from the host interface found the queue to the uplink full.
    HostQueueFull = "host_queue_full" at [Uplink],
    /// The queue to the worker that owns the port's transmit queue is full.
    HandoverQueueFull = "handover_queue_full" at [Tenant, Uplink],
    /// The port's transmit queue is full: the device or its peer is slower than the traffic.
    TransmitQueueFull = "transmit_queue_full" at [Tenant, Uplink],
    /// The port that the frame was to leave by was removed while it waited for another worker.
    PortRemoved = "port_removed" at [Tenant, Uplink],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_helps_are_sentences() {
        let mut labels: Vec<_> = DropReason::ALL.iter().map(|r| r.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), DropReason::COUNT);
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(DropReason::of_label(reason.label()), Some(*reason));
            assert!(reason.help().ends_with('.'), "{reason:?}");
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(reason.label().chars().all(plain), "{reason:?}");
            // "Uplink: …" in a help says that the frame came from an uplink.
            if reason.help().starts_with("Uplink: ") {
                let elsewhere = [SiteKind::Tenant, SiteKind::Unused];
                assert!(!reason.sites().iter().any(|kind| elsewhere.contains(kind)), "{reason:?}");
            }
        }
    }

    #[test]
    fn the_guide_to_watching_a_switch_has_every_reason_and_how_many_there_are() {
        let guide = include_str!("../../../docs/monitoring.md");
        let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let listed: Vec<_> = rows.map(|(label, _)| label).collect();
        for reason in DropReason::ALL {
            let times = listed.iter().filter(|label| **label == reason.label()).count();
            assert_eq!(times, 1, "a row of {} in docs/monitoring.md", reason.label());
        }
        let at = |kind| DropReason::ALL.iter().filter(|r| r.sites().contains(&kind)).count();
        let counts =
            [SiteKind::Tenant, SiteKind::Uplink, SiteKind::Unused, SiteKind::Network].map(at);
        let [tenant, uplink, unused, network] = counts;
        for row in [
            format!(
                "{tenant} for a tenant's port, {uplink} for an uplink, {unused} for an unused port, \
                 {network} for a network with a VTEP"
            ),
            format!("| one for each reason: {} |", DropReason::COUNT),
        ] {
            assert!(guide.contains(&row), "{row}");
        }
    }
}
