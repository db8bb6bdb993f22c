//! From what the learner says of MAC addresses to events with names.

use super::events::{Events, Happening, Whereabouts};
use super::learner::{Fate, News};
use crate::table::Destination;
use crate::topology::Topology;

/// Reports what became of a MAC address, with names in place of indices.
pub(super) fn report(topology: &Topology, events: &Events, News { key, place, fate }: News) {
    let at = |place| match place {
        Destination::Port(port) => Whereabouts {
            port: topology.port(port).map(|port| port.name.clone()),
            remote_vtep: None,
        },
        Destination::Tunnel(tunnel) => Whereabouts {
            port: None,
            remote_vtep: topology.remote(tunnel).map(|remote| remote.address.to_string()),
        },
    };
    events.tell_mac(|| {
        let network = topology.network(key.network()).map(|n| n.name.clone()).unwrap_or_default();
        let (mac, at, from) = (key.mac().to_string(), at(place), at);
        match fate {
            Fate::Learned => Happening::MacLearned { network, mac, at },
            Fate::Moved { from: before } => {
                Happening::MacMoved { network, mac, at, from: from(before) }
            }
            Fate::Aged => Happening::MacAged { network, mac, at },
            Fate::Refused => Happening::MacRefused { network, mac, at },
        }
    });
}
