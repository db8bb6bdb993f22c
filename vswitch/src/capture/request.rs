//! Which frames a user wants to capture, by names. The indices behind the names can change while
//! the capture runs.

use std::time::Duration;

use crate::datapath::capture::{CapturePoint, Selection};
use crate::metrics::drop_reason::DropReason;
use crate::topology::Topology;

/// Memory for the waiting frames of a capture, in bytes.
const MEMORY: usize = 16 * 1024 * 1024;
/// Memory of a record in addition to the bytes of its frame, allocator included, in bytes.
const RECORD_OVERHEAD: usize = 160;
/// The most records of a capture. At full rate they are some milliseconds of traffic.
const MAX_RECORDS: usize = 16 * 1024;
/// The most bytes of each frame that a capture can ask for.
pub const MAX_SNAPLEN: usize = 16 * 1024;

/// The selected frames. A field that is `None` selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureRequest {
    /// Name of a port.
    pub port: Option<String>,
    /// Name of a network.
    pub network: Option<String>,
    /// Name of a local VTEP.
    pub vtep: Option<String>,
    /// A drop reason.
    pub reason: Option<DropReason>,
    /// Where frames are captured. Empty: everywhere, or with a drop reason where frames are
    /// dropped.
    pub points: Vec<CapturePoint>,
    /// A filter, see pcap-filter(7).
    pub filter: Option<String>,
}

/// When a capture ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// After so many frames.
    pub count: Option<u64>,
    /// After so long.
    pub time: Option<Duration>,
}

impl CaptureRequest {
    /// The stages at which frames are captured.
    #[must_use]
    pub fn points(&self) -> Vec<CapturePoint> {
        match (&self.points[..], self.reason) {
            ([], Some(_)) => vec![CapturePoint::Dropped],
            ([], None) => CapturePoint::ALL.to_vec(),
            (points, _) => points.to_vec(),
        }
    }

    /// The same by the indices of a topology. `None`: a name does not exist, so nothing can be
    /// captured.
    #[must_use]
    pub fn selection(&self, topology: &Topology) -> Option<Selection> {
        let found = |name: Option<&String>, has: &dyn Fn(&str) -> Option<u16>| match name {
            Some(name) => has(name).map(Some),
            None => Some(None),
        };
        let port = |name: &str| topology.ports().find(|(_, p)| p.name == name).map(|(id, _)| id.0);
        let network =
            |name: &str| topology.networks().find(|(_, n)| n.name == name).map(|(id, _)| id.0);
        let vtep = |name: &str| topology.vteps().find(|(_, v)| v.name == name).map(|(id, _)| id.0);
        Some(Selection {
            points: self.points().into_iter().collect(),
            port: found(self.port.as_ref(), &port)?.map(crate::ids::PortId),
            network: found(self.network.as_ref(), &network)?.map(crate::ids::NetworkId),
            vtep: found(self.vtep.as_ref(), &vtep)?.map(crate::ids::VtepId),
            reason: self.reason,
        })
    }

    /// For people: `port tenant-a, network blue, filter "arp"`.
    #[must_use]
    pub fn description(&self) -> String {
        let names = [("port", &self.port), ("network", &self.network), ("VTEP", &self.vtep)];
        let names =
            names.iter().filter_map(|(what, name)| Some(format!("{what} {}", (*name).as_ref()?)));
        let reason = self.reason.map(|reason| format!("reason {}", reason.label()));
        let points = self.points().iter().map(|point| point.name()).collect::<Vec<_>>().join("+");
        let filter = self.filter.as_ref().map(|filter| format!("filter \"{filter}\""));
        names.chain(reason).chain([points]).chain(filter).collect::<Vec<_>>().join(", ")
    }
}

/// The number of records of a capture, for frames of `snaplen` bytes.
#[must_use]
pub fn records(snaplen: usize) -> usize {
    (MEMORY / (snaplen + RECORD_OVERHEAD)).min(MAX_RECORDS)
}
