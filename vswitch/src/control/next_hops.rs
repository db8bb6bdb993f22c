//! The next hops of all tunnels, as the [underlay mirror](crate::kernel::underlay) last said.

use tracing::info;

use super::live_state::WhyUnresolved;
use crate::ids::{MacAddr, RemoteId, TunnelId};
use crate::kernel::underlay::{LocalVtep, NextHop};
use crate::topology::{Topology, narrow};

/// The VTEPs that the underlay mirror is to follow.
pub struct MirrorTargets {
    /// Local VTEPs.
    pub vteps: Vec<LocalVtep>,
    /// Remote VTEPs.
    pub remotes: Vec<RemoteId>,
}

/// Next hops by tunnel; `None` before the kernel was asked.
pub struct NextHops(Vec<Option<NextHop>>);

impl NextHops {
    /// No next hop is known yet.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        Self(vec![None; topology.tunnel_slots()])
    }

    /// The next hop of a tunnel; `None` before the kernel was asked.
    #[must_use]
    pub fn get(&self, tunnel: TunnelId) -> Option<&NextHop> {
        self.0.get(tunnel.index())?.as_ref()
    }

    /// The MAC addresses that are known, by tunnel.
    #[must_use]
    pub fn macs(&self) -> Vec<Option<MacAddr>> {
        let mac = |next_hop: &Option<NextHop>| match next_hop {
            Some(NextHop::Resolved { mac, .. }) => Some(*mac),
            _ => None,
        };
        self.0.iter().map(mac).collect()
    }

    /// Keeps the next hops of the tunnels that lead to the same remote VTEP in the next topology.
    pub fn inherit(&mut self, before: &Topology, next: &Topology) {
        for (index, next_hop) in self.0.iter_mut().enumerate() {
            let tunnel = TunnelId(narrow(index));
            let remote = before.remote(tunnel);
            if remote.is_none() || next.remote(tunnel) != remote {
                *next_hop = None;
            }
        }
        self.0.resize(next.tunnel_slots(), None);
    }

    /// Takes over what the mirror says.
    pub fn update(&mut self, topology: &Topology, changes: Vec<(RemoteId, NextHop)>) {
        for (remote, next_hop) in changes {
            let Some(tunnel) = topology.tunnel(remote) else { continue };
            let Some(vtep) = topology.vtep(remote.vtep).map(|vtep| &*vtep.name) else {
                continue;
            };
            let address = remote.address;
            match &next_hop {
                NextHop::Resolved { mac, gateway: Some(gateway) } => {
                    info!(vtep, remote = %address, %mac, %gateway, "next hop");
                }
                NextHop::Resolved { mac, gateway: None } => {
                    info!(vtep, remote = %address, %mac, "next hop");
                }
                NextHop::Unresolved { reason, .. } => {
                    info!(vtep, remote = %address, %reason, "no next hop");
                }
            }
            self.0[tunnel.index()] = Some(next_hop);
        }
    }
}

impl WhyUnresolved for NextHops {
    fn why_unresolved(&self, tunnel: TunnelId) -> Option<String> {
        match self.0.get(tunnel.index())? {
            Some(NextHop::Resolved { .. }) => None,
            Some(NextHop::Unresolved { reason, .. }) => Some(reason.to_string()),
            None => Some("the kernel has not been asked yet".to_owned()),
        }
    }
}
