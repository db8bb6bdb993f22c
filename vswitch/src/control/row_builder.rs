//! The state of the switch in words: rows for the API, for `vswitch show` and for the metrics.
//!
//! Runs on the control thread when somebody asks, and once in a second for the service manager.
//! Reads counters; never calls a driver.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use crate::control::rows::{
    DropRow, EntryKind, FdbRow, Link, MemberRow, NetworkRow, NextHopState, PortRow, RemoteRow,
    Role, Status, VtepRow, WorkerRow,
};
use crate::ids::{NetworkId, PortId, RemoteId, TunnelId, VtepId};
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::{DropReason, SiteKind};
use crate::metrics::rate::busy_percent;
use crate::table::{Destination, Entry, Key};

use super::devices::PortSeat;
use super::offsets::Drops;
use super::switch::Switch;
use super::wiring::Polled;
use super::workers::WorkerSeat;
use crate::kernel::underlay::NextHop;
use crate::topology::{self, Member};

/// Up to how many series of drops are listed while they are zero: those of some thousand networks,
/// or of half as many beside the most ports that there can be.
pub const MAX_ZEROS: usize = 10_000;

impl Switch {
    fn port_name(&self, port: PortId) -> String {
        self.topology.port(port).map(|port| port.name.clone()).unwrap_or_default()
    }

    fn vtep_name(&self, vtep: VtepId) -> String {
        self.topology.vtep(vtep).map(|vtep| vtep.name.clone()).unwrap_or_default()
    }

    fn network_name(&self, domain: NetworkId) -> String {
        self.topology.network(domain).map(|network| network.name.clone()).unwrap_or_default()
    }

    /// `GET /v1/status`.
    #[must_use]
    pub fn status(&self) -> Status {
        let in_force = self.in_force();
        let started = in_force.started().duration_since(UNIX_EPOCH).unwrap_or_default();
        let host = nix::unistd::gethostname().unwrap_or_default();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host.to_string_lossy().into_owned(),
            generation: in_force.generation(),
            started_unix_millis: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
            dropped: self.counting.all_drops().iter().sum(),
            unaccounted: self.counting.unaccounted(),
        }
    }

    /// `GET /v1/ports`.
    #[must_use]
    pub fn port_rows(&self) -> Vec<PortRow> {
        let row = |(id, config): (PortId, &crate::config::Port)| {
            let (seat, totals) = (self.devices.ports.get(id.index())?, self.counting.port(id));
            let info = seat.port.info();
            let (role, vtep) = match self.topology.role(id) {
                topology::Role::Uplink(vtep) => (Role::Uplink, Some(self.vtep_name(vtep))),
                topology::Role::Tenant(_) => (Role::Tenant, None),
                topology::Role::Unused => (Role::Unused, None),
            };
            let member = self.topology.member_of(id).and_then(|id| self.topology.member(id));
            let row = |member: Member| MemberRow { network: self.network_name(member.network) };
            let members = member.map(row).into_iter().collect();
            Some(PortRow {
                name: config.name.clone(),
                device: config.device.clone(),
                driver: info.driver.clone(),
                mac: info.mac.to_string(),
                numa_node: info.numa_node.and_then(|node| i32::try_from(node).ok()),
                mtu: info.mtu,
                rx_queues: info.rx_queues,
                tx_queues: info.tx_queues,
                link: match seat.link {
                    Some(link) if link.up => Link::Up,
                    Some(_) => Link::Down,
                    None => Link::Unknown,
                },
                role,
                members,
                vtep,
                receive_packets: totals.receive_packets,
                receive_bytes: totals.receive_bytes,
                transmit_packets: totals.transmit_packets,
                transmit_bytes: totals.transmit_bytes,
                drops: self.port_drops(id),
            })
        };
        self.topology.ports().filter_map(row).collect()
    }

    /// Everything dropped at a port, whatever network it was in; on an uplink, of whatever network.
    fn port_drops(&self, port: PortId) -> u64 {
        let own: u64 = self.counting.port_drops(port).iter().sum();
        let topology::Role::Uplink(vtep) = self.topology.role(port) else { return own };
        let networks = self.topology.networks().filter(|(_, network)| network.vtep == Some(vtep));
        own + networks
            .flat_map(|(domain, _)| self.counting.site_drops(Site::network(domain)))
            .sum::<u64>()
    }

    /// Everything dropped of a network, at its ports and on its VTEP's uplink.
    fn network_drops(&self, domain: NetworkId, network: &crate::topology::Network) -> u64 {
        let ports = self.topology.ports_of(network);
        let at_ports = ports.flat_map(|port| self.counting.site_drops(Site::port(port)));
        at_ports.chain(self.counting.site_drops(Site::network(domain))).sum()
    }

    /// `GET /v1/networks`.
    #[must_use]
    pub fn network_rows(&self) -> Vec<NetworkRow> {
        let row = |(domain, config): (NetworkId, &crate::topology::Network)| {
            let learning = self.learner.network(domain);
            NetworkRow {
                name: config.name.clone(),
                vni: config.vni.get(),
                vtep: config.vtep.map(|vtep| self.vtep_name(vtep)),
                ports: self.topology.ports_of(config).map(|port| self.port_name(port)).collect(),
                remote_vteps: config.remote_vteps.iter().map(ToString::to_string).collect(),
                mac_ageing_secs: config.mac_ageing_secs,
                fdb_entries: learning.entries,
                fdb_moves: learning.moves,
                fdb_refused: learning.refused,
                drops: self.network_drops(domain, config),
            }
        };
        self.topology.networks().map(row).collect()
    }

    /// A row of `GET /v1/fdb`; `None` if its network is just being removed.
    pub(super) fn fdb_row(&self, key: Key, entry: Entry) -> Option<FdbRow> {
        let network = self.topology.network(key.network())?;
        let (port, remote_vtep) = match entry.destination {
            Destination::Port(port) => (Some(self.port_name(port)), None),
            Destination::Tunnel(tunnel) => {
                (None, self.topology.remote(tunnel).map(|remote| remote.address.to_string()))
            }
        };
        let age = self.clock.now().secs().saturating_sub(entry.refreshed_secs);
        Some(FdbRow {
            network: network.name.clone(),
            vni: network.vni.get(),
            mac: key.mac().to_string(),
            port,
            remote_vtep,
            kind: if entry.is_static { EntryKind::Static } else { EntryKind::Learned },
            age_secs: (!entry.is_static).then_some(age.into()),
        })
    }

    /// `GET /v1/vteps`.
    #[must_use]
    pub fn vtep_rows(&self) -> Vec<VtepRow> {
        let networks = self.topology.networks_of_remotes();
        let row = |(id, config): (VtepId, &crate::topology::Vtep)| VtepRow {
            name: config.name.clone(),
            address: format!("{}/{}", config.address, config.prefix_len),
            udp_port: config.udp_port,
            port: self.port_name(self.topology.uplink_of(config)),
            mac: self.topology.vtep_mac(config, &self.devices.facts).to_string(),
            host_interface: self.topology.underlay_of(config).host_interface.clone(),
            punted_packets: self.counting.tap_took(id),
            host_packets: self.punt_paths.tap_gave(id),
            remotes: self.remote_rows(id, &networks),
        };
        self.topology.vteps().map(row).collect()
    }

    fn remote_rows(&self, vtep: VtepId, networks: &[Vec<NetworkId>]) -> Vec<RemoteRow> {
        let row = |(tunnel, remote): (TunnelId, RemoteId)| {
            let (hop, mac, reason) = match self.next_hops.get(tunnel) {
                Some(NextHop::Resolved { mac, gateway }) => {
                    (Some(gateway.unwrap_or(remote.address)), Some(mac.to_string()), None)
                }
                Some(NextHop::Unresolved { gateway, reason }) => {
                    (*gateway, None, Some(reason.to_string()))
                }
                None => (None, None, Some("the kernel has not been asked yet".to_owned())),
            };
            RemoteRow {
                address: remote.address.to_string(),
                networks: networks[tunnel.index()]
                    .iter()
                    .map(|domain| self.network_name(*domain))
                    .collect(),
                next_hop: hop.map(|hop| hop.to_string()),
                state: match mac {
                    Some(_) => NextHopState::Resolved,
                    None => NextHopState::Unresolved,
                },
                next_hop_mac: mac,
                reason,
            }
        };
        self.topology.remotes().filter(|(_, remote)| remote.vtep == vtep).map(row).collect()
    }

    /// `GET /v1/workers`.
    #[must_use]
    pub fn worker_rows(&self) -> Vec<WorkerRow> {
        let row = |(number, worker): (u32, &WorkerSeat)| {
            let view = self.counting.worker(number as usize);
            let (ledger, turns) = (view.ledger(), view.turns());
            let queue =
                |polled: &Polled| format!("{}/{}", self.port_name(polled.port), polled.queue);
            WorkerRow {
                worker: number,
                core: worker.core,
                numa_node: i32::try_from(worker.numa_node).ok(),
                queues: self.workers.wiring.workers[number as usize]
                    .polled
                    .iter()
                    .map(queue)
                    .collect(),
                loops: turns.turns,
                received: ledger.received,
                transmitted: ledger.transmitted,
                relayed: ledger.injected + ledger.handed_in,
                replicated: ledger.replicated,
                dropped: ledger.dropped,
                punted: ledger.punted,
                handed_over: ledger.handed_out,
                busy_cycles: turns.busy_cycles,
                idle_cycles: turns.idle_cycles,
                busy_percent: (busy_percent(turns.busy_cycles, turns.idle_cycles) * 10.0).round()
                    / 10.0,
                unaccounted: ledger.unaccounted(),
                learn_events_lost: turns.learn_events_lost,
            }
        };
        (0..).zip(&self.workers.seats).map(row).collect()
    }

    /// `GET /v1/drops`. The same rows are `vswitch_drops_total`.
    #[must_use]
    pub fn drop_rows(&self) -> Vec<DropRow> {
        let mut rows = Vec::new();
        self.each_drop(|reason, port, network, packets| {
            rows.push(DropRow {
                reason: reason.label().to_owned(),
                help: reason.help().to_owned(),
                port: port.to_owned(),
                network: network.to_owned(),
                packets,
            });
        });
        rows
    }

    /// For `systemctl status`.
    pub(super) fn status_line(&self) -> String {
        let up = |seat: &PortSeat| seat.link.is_some_and(|link| link.up);
        let (ports, up) = self
            .devices
            .ports
            .iter()
            .fold((0, 0), |(all, some), (_, seat)| (all + 1, some + usize::from(up(seat))));
        let networks = self.topology.networks().count();
        let mut line = format!(
            "generation {}; ports: {ports}, up: {up}; networks: {networks}; workers: {}",
            self.in_force.generation(),
            self.workers.seats.len()
        );
        for (number, worker) in
            self.workers.seats.iter().enumerate().filter(|(_, worker)| worker.is_stuck)
        {
            let _ = write!(line, "; worker {number} on core {} does not turn", worker.core);
        }
        line
    }

    /// Tells of drops by reason, port and network (empty: none). Where [zeros are
    /// listed](Self::lists_zeros): of every reason at every site where it can happen. What is not
    /// zero is told of in any case.
    pub fn each_drop(&self, mut tell: impl FnMut(DropReason, &str, &str, u64)) {
        let zeros = self.lists_zeros();
        let mut site = |kind, port: &str, network: &str, drops: Drops| {
            for (reason, packets) in DropReason::ALL.iter().zip(drops) {
                if packets > 0 || (zeros && reason.sites().contains(&kind)) {
                    tell(*reason, port, network, packets);
                }
            }
        };
        for (id, port) in self.topology.ports() {
            let (kind, network) = match self.topology.role(id) {
                topology::Role::Tenant(domain) => (SiteKind::Tenant, self.topology.network(domain)),
                topology::Role::Uplink(_) => (SiteKind::Uplink, None),
                topology::Role::Unused => (SiteKind::Unused, None),
            };
            let network = network.map_or("", |network| &network.name);
            site(kind, &port.name, network, self.counting.site_drops(Site::port(id)));
        }
        for (domain, network) in self.topology.networks() {
            let Some(vtep) = network.vtep.and_then(|vtep| self.topology.vtep(vtep)) else {
                continue;
            };
            let Some(uplink) = self.topology.port(self.topology.uplink_of(vtep)) else { continue };
            site(
                SiteKind::Network,
                &uplink.name,
                &network.name,
                self.counting.site_drops(Site::network(domain)),
            );
        }
    }

    /// Whether drops and the counters of networks are told of before they have counted anything. A
    /// rate is right from the first frame on then; in a switch of very many networks it would be
    /// nothing but zeros, and is left out.
    #[must_use]
    pub fn lists_zeros(&self) -> bool {
        let reasons = |kind| DropReason::ALL.iter().filter(|r| r.sites().contains(&kind)).count();
        let at_port = reasons(SiteKind::Tenant).max(reasons(SiteKind::Uplink));
        let (ports, networks) = (self.topology.ports().count(), self.topology.networks().count());
        ports * at_port + networks * reasons(SiteKind::Network) <= MAX_ZEROS
    }

    /// Says on the standard output what was started.
    #[allow(clippy::print_stdout, reason = "what `vswitch run` promises to print")]
    pub fn print_start(&self) {
        let config = self.topology.config();
        let workers: Vec<_> = self.worker_rows().iter().map(|w| w.core.to_string()).collect();
        println!("vswitch {}: running", env!("CARGO_PKG_VERSION"));
        println!(
            "  cores     workers on {}, control on {}; {} packet buffers",
            workers.join(", "),
            config.dpdk.main_core,
            self.devices.pools.capacity()
        );
        for port in self.port_rows() {
            let node = port.numa_node.map_or_else(|| "any".to_owned(), |node| node.to_string());
            println!(
                "  port      {}: {} ({}), MAC {}, MTU {}, {} receive and {} transmit queues, NUMA node {node}",
                port.name,
                port.device,
                port.driver,
                port.mac,
                port.mtu,
                port.rx_queues,
                port.tx_queues,
            );
        }
        for vtep in self.vtep_rows() {
            println!(
                "  vtep      {}: {} UDP port {} on port {}, MAC {}, host interface {}",
                vtep.name, vtep.address, vtep.udp_port, vtep.port, vtep.mac, vtep.host_interface,
            );
        }
        for network in self.network_rows() {
            let to = |names: Vec<String>| {
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            };
            println!(
                "  network   {}: VNI {}, ports {}, remote VTEPs {}",
                network.name,
                network.vni,
                to(network.ports),
                to(network.remote_vteps),
            );
        }
        println!("  metrics   http://{}/metrics", config.api.metrics);
        println!("  API       {}", config.api.socket.display());
        if let Some(tcp) = &config.api.tcp {
            println!("  API       https://{}/v1/", tcp.listen);
        }
    }
}
