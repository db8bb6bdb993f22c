//! The switch as the API sees it.
//!
//! Runs on the control thread, for one request at a time.

use crate::api::dto::{DropRow, EntryKind, NetworkRow, PortRow, VtepRow, WorkerRow};
use crate::api::events::Events;
use crate::api::fdb::{FdbFilter, FdbScan};
use crate::api::running::{Applied, ApplyError, ApplyOptions, NothingToConfirm, Running};
use crate::config::{Config, Document};
use crate::metrics::exposition;
use crate::table::{Destination, Entry, Key};

use super::plan::Plan;
use super::switch::Switch;

/// Buckets of the FDB that are looked at in one piece: some 100 microseconds.
const PIECE: usize = 2048;

impl Running for Switch {
    fn generation(&self) -> u64 {
        1
    }

    fn document(&self) -> Document {
        Document::from(self.topology.config())
    }

    fn plan(&self, new: &Config) -> Plan {
        Plan::between(self.topology.config(), new)
    }

    fn apply(&mut self, _: Config, _: ApplyOptions) -> Result<Applied, ApplyError> {
        Err(ApplyError::Refused {
            pointer: None,
            message: "the running configuration cannot be changed yet".to_owned(),
            help: "restart the switch with the new configuration".to_owned(),
        })
    }

    fn confirm(&mut self) -> Result<u64, NothingToConfirm> {
        Err(NothingToConfirm)
    }

    fn roll_back(&mut self) -> Result<u64, ApplyError> {
        Err(ApplyError::NothingPending)
    }

    fn flush(&mut self, _: &FdbFilter) -> u64 {
        0
    }

    fn port_rows(&self) -> Vec<PortRow> {
        self.port_rows()
    }

    fn network_rows(&self) -> Vec<NetworkRow> {
        self.network_rows()
    }

    fn vtep_rows(&self) -> Vec<VtepRow> {
        self.vtep_rows()
    }

    fn worker_rows(&self) -> Vec<WorkerRow> {
        self.worker_rows()
    }

    fn drop_rows(&self) -> Vec<DropRow> {
        self.drop_rows()
    }

    fn scan_fdb(&self, scan: &mut FdbScan) {
        let from = scan.position(self.learner.layout());
        let count = if scan.is_impatient() { usize::MAX } else { PIECE };
        let filter = scan.filter().clone();
        let selection = Selection::new(self, &filter);
        for (key, entry) in self.learner.entries_from(from, count) {
            if selection.has(self, key, entry) {
                scan.offer(key.to_u64());
            }
        }
        let reached = from.saturating_add(count);
        scan.go_on_at(reached);
        if reached >= self.learner.buckets() {
            scan.complete(|key| {
                let key = Key::from_u64(key);
                self.fdb_row(key, self.learner.entry(key)?)
            });
        }
    }

    fn events(&self) -> Events {
        self.events.clone()
    }

    fn metrics(&self) -> String {
        exposition::encode(self)
    }
}

/// A filter with its names as indices; a name that nothing has selects nothing.
struct Selection<'f> {
    filter: &'f FdbFilter,
    network: Option<Option<crate::ids::BridgeDomain>>,
    port: Option<Option<crate::ids::PortId>>,
}

impl<'f> Selection<'f> {
    fn new(switch: &Switch, filter: &'f FdbFilter) -> Self {
        let network = filter.network.as_ref().map(|name| {
            let mut networks = switch.topology.networks();
            networks.find(|(_, network)| network.name == *name).map(|(domain, _)| domain)
        });
        let port = filter.port.as_ref().map(|name| {
            switch.topology.ports().find(|(_, port)| port.name == *name).map(|(id, _)| id)
        });
        Self { filter, network, port }
    }

    fn has(&self, switch: &Switch, key: Key, entry: Entry) -> bool {
        let (port, remote) = match entry.destination {
            Destination::Port(port) => (Some(port), None),
            Destination::Tunnel(tunnel) => {
                (None, switch.topology.remote(tunnel).map(|remote| remote.address))
            }
        };
        let kind = if entry.is_static { EntryKind::Static } else { EntryKind::Learned };
        let FdbFilter { mac, remote_vtep, kind: wanted, .. } = self.filter;
        self.network.is_none_or(|wanted| wanted == Some(key.domain()))
            && mac.is_none_or(|mac| mac == key.mac())
            && self.port.is_none_or(|wanted| wanted.is_some() && wanted == port)
            && remote_vtep.is_none_or(|wanted| remote == Some(wanted))
            && wanted.is_none_or(|wanted| wanted == kind)
    }
}
