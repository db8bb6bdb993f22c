//! The static entries of the FDB.

use super::model::{Home, Topology};
use crate::ids::RemoteId;
use crate::table::{Destination, Entry, Key};

impl Topology {
    /// The FDB's static entries.
    pub fn static_entries(&self) -> impl Iterator<Item = (Key, Entry)> + '_ {
        self.networks().flat_map(move |(domain, network)| {
            network.macs.iter().filter_map(move |mac| {
                let destination = match mac.home {
                    Home::Member(member) => Destination::Port(self.member(member)?.port),
                    Home::RemoteVtep(address) => {
                        Destination::Tunnel(self.tunnel(RemoteId { vtep: network.vtep?, address })?)
                    }
                };
                // Never old, so that no worker looks twice at a frame from there.
                let entry = Entry { destination, is_static: true, refreshed_secs: u32::MAX };
                Some((Key::new(domain, mac.address), entry))
            })
        })
    }
}
