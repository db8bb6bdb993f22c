//! A switch in memory, for tests of the server: configuration, rows and events like those of a
//! running switch, and a data path that only drops one frame for each reason.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use vswitch::config::Config;
use vswitch::config::document::{Document, NetworkDocument};
use vswitch::control::captures::Captures;
use vswitch::control::events::{Events, Happening, RollBackReason, Whereabouts};
use vswitch::control::fdb_pages::{FdbFilter, FdbScan};
use vswitch::control::learner::Learner;
use vswitch::control::live_state::{LiveState, WhyUnresolved};
use vswitch::control::requests::{
    Applied, ApplyError, ApplyOptions, LiveSwitch, Proposed, Request,
};
use vswitch::control::rows::{
    DropRow, EntryKind, FdbRow, Link, MemberRow, NetworkRow, NextHopState, PortRow, RemoteRow,
    Role, Status, VtepRow, WorkerRow,
};
use vswitch::datapath::capture::Recorder;
use vswitch::datapath::capture::recorder::Frame;
use vswitch::datapath::generation::Generation;
use vswitch::datapath::now::Now;
use vswitch::ids::{MacAddr, PortId, TunnelId};
use vswitch::metrics::counters::Site;
use vswitch::metrics::drop_reason::DropReason;
use vswitch::metrics::family::Family;
use vswitch::sim::Simulation;
use vswitch::table::fdb;
use vswitch::topology::{PortFacts, Topology};

/// The interval at which the data path runs during a capture.
const TURN: Duration = Duration::from_millis(1);
/// The longest frame.
const LONGEST_FRAME: usize = 1514;
/// The dropped frame: from 02:00:00:00:00:01 to 02:00:00:00:00:02, EtherType 88b5.
const DROPPED: [u8; 60] = {
    let mut frame = [0; 60];
    (frame[0], frame[5], frame[6], frame[11]) = (2, 2, 2, 1);
    (frame[12], frame[13]) = (0x88, 0xb5);
    frame
};

/// FDB entries in one step of a scan.
const PIECE: usize = 100;

/// A learned MAC address: name of the network, address and location.
pub type Learned = (String, MacAddr, Whereabouts);

/// A switch in memory.
pub struct Fake {
    config: Config,
    /// The state that explains frames; made for the first one.
    forwarding: OnceCell<Forwarding>,
    generation: u64,
    learned: Vec<Learned>,
    events: Events,
    pending: Option<Pending>,
    captures: Captures,
    recorder: Recorder,
    began: Instant,
    /// The unaccounted frames that the status reports.
    pub unaccounted: i64,
    /// The error that the next call of `apply` returns.
    pub refusal: Option<ApplyError>,
}

/// The state of workers: an empty FDB, and all next hops known.
struct Forwarding {
    topology: Topology,
    facts: Vec<PortFacts>,
    generation: Generation,
    learner: Learner,
}

impl Forwarding {
    fn new(config: Config) -> Self {
        let (writer, _) = fdb::new(config.fdb_capacity, 0, 0);
        let topology = Topology::new(config).unwrap();
        let learner = Learner::new(writer, &topology).unwrap();
        let fact = |id| PortFacts { mac: Simulation::mac_of(id), mtu: 1500 };
        let facts: Vec<_> = (0..).map(PortId).take(topology.port_slots()).map(fact).collect();
        let next_hops = vec![Some(Simulation::next_hop()); topology.tunnel_slots()];
        let generation = topology.generation(&facts, &next_hops, 0);
        Self { topology, facts, generation, learner }
    }
}

impl WhyUnresolved for Fake {
    fn why_unresolved(&self, _: TunnelId) -> Option<String> {
        None
    }
}

/// A change that waits for confirmation.
struct Pending {
    former: Config,
    expires: Instant,
}

impl Fake {
    /// Makes a switch whose first generation is this configuration.
    pub fn new(config: Config) -> Self {
        let (recorder, drops) = Recorder::new(0);
        let began = Instant::now();
        let since_start = move || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let topology = Topology::new(config.clone()).unwrap();
        let captures = Captures::new(&topology, 1, vec![drops], Arc::new(since_start));
        Self {
            config,
            forwarding: OnceCell::new(),
            generation: 1,
            learned: Vec::new(),
            events: Events::new(),
            pending: None,
            captures,
            recorder,
            began,
            unaccounted: 0,
            refusal: None,
        }
    }

    /// Runs the data path once: it drops a frame for each reason on the first port.
    fn drop_one_of_each(&mut self) {
        let Ok(topology) = Topology::new(self.config.clone()) else { return };
        let facts = vec![PortFacts::NONE; topology.port_slots()];
        let generation = topology.generation(&facts, &[], 0);
        let generation = generation.watched(self.generation, self.captures.watches(&topology));
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.recorder.begin(Now::from_nanos(nanos), &generation);
        for &reason in DropReason::ALL {
            let site = Site::port(PortId(0));
            self.recorder.dropped(&generation, site, reason, &Frame(&DROPPED));
        }
        self.recorder.release(&generation);
        drop(generation);
        // The only thread that records has released the generation.
        let _ = self.captures.look_after(true);
        self.captures.keep_drops();
    }

    /// Learns a MAC address.
    pub fn learn(&mut self, learned: Learned) {
        let (network, mac, at) = learned.clone();
        let mac = mac.to_string();
        self.events.tell_mac(|| Happening::MacLearned { network, mac, at });
        self.learned.push(learned);
    }

    /// Answers requests until all senders are dropped.
    pub async fn run(mut self, mut asked: mpsc::Receiver<Request>) -> Self {
        loop {
            let expires = self.pending.as_ref().map(|pending| pending.expires);
            let mut wait =
                expires.map_or(Duration::MAX, |e| e.saturating_duration_since(Instant::now()));
            if !self.captures.is_empty() {
                wait = wait.min(TURN);
            }
            match tokio::time::timeout(wait, asked.recv()).await {
                Ok(Some(request)) => request.answer(&mut self),
                Ok(None) => return self,
                Err(_) if expires.is_some_and(|expires| Instant::now() >= expires) => {
                    self.go_back(RollBackReason::Expired);
                }
                Err(_) => {}
            }
            if !self.captures.is_empty() || self.captures.dropped().is_empty() {
                self.drop_one_of_each();
            }
        }
    }

    fn go_back(&mut self, reason: RollBackReason) {
        let Some(Pending { former, .. }) = self.pending.take() else { return };
        self.put_in_force(former);
        self.generation += 1;
        let generation = self.generation;
        self.events.tell(Happening::ConfigurationRolledBack { generation, reason });
    }

    fn put_in_force(&mut self, config: Config) -> Config {
        self.forwarding.take();
        std::mem::replace(&mut self.config, config)
    }

    fn document(&self) -> Document {
        Document::from(&self.config)
    }

    /// The MAC of a port in the simulation.
    fn mac_of(&self, port: &str) -> String {
        let index = self.config.ports.iter().position(|other| other.name == port);
        let index = index.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX);
        Simulation::mac_of(PortId(index)).to_string()
    }

    /// All FDB entries with their keys.
    fn entries(&self) -> impl Iterator<Item = (u64, FdbRow)> {
        let document = Document::from(&self.config);
        let key = |index: usize, mac: MacAddr| (index as u64) << 48 | mac.to_u64();
        let row = |network: &NetworkDocument, mac: MacAddr, kind| FdbRow {
            network: network.name.clone(),
            vni: u32::try_from(network.vni).unwrap_or_default(),
            mac: mac.to_string(),
            port: None,
            remote_vtep: None,
            kind,
            age_secs: (kind == EntryKind::Learned).then_some(0),
        };
        let mut rows = Vec::new();
        for (index, network) in document.network.iter().enumerate() {
            for entry in &network.mac {
                let mac = entry.address.parse().unwrap_or(MacAddr::ZERO);
                let fixed = FdbRow {
                    port: entry.port.clone(),
                    remote_vtep: entry.remote_vtep.clone(),
                    ..row(network, mac, EntryKind::Static)
                };
                rows.push((key(index, mac), fixed));
            }
        }
        for (name, mac, at) in &self.learned {
            let found = document.network.iter().enumerate().find(|(_, n)| n.name == *name);
            let Some((index, network)) = found else { continue };
            let learned = FdbRow {
                port: at.port.clone(),
                remote_vtep: at.remote_vtep.clone(),
                ..row(network, *mac, EntryKind::Learned)
            };
            rows.push((key(index, *mac), learned));
        }
        rows.into_iter()
    }
}

fn selects(filter: &FdbFilter, row: &FdbRow) -> bool {
    let same = |wanted: &Option<String>, is: Option<&String>| {
        wanted.as_ref().is_none_or(|wanted| is == Some(wanted))
    };
    same(&filter.network, Some(&row.network))
        && same(&filter.mac.map(|mac| mac.to_string()), Some(&row.mac))
        && same(&filter.port, row.port.as_ref())
        && same(&filter.remote_vtep.map(|a| a.to_string()), row.remote_vtep.as_ref())
        && filter.kind.is_none_or(|kind| kind == row.kind)
}

impl LiveSwitch for Fake {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn apply(&mut self, new: Proposed, options: ApplyOptions) -> Result<Applied, ApplyError> {
        let Proposed { config: new, plan, .. } = new;
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        if self.pending.is_some() {
            return Err(ApplyError::AwaitsConfirmation);
        }
        let restarts: Vec<_> = plan.needing_restart().cloned().collect();
        if !restarts.is_empty() {
            return Err(ApplyError::NeedsRestart(restarts));
        }
        let former = self.put_in_force(new);
        self.generation += u64::from(!plan.is_empty());
        let within = options.confirm_within.filter(|_| !plan.is_empty());
        let generation = self.generation;
        self.pending = within.map(|within| Pending { former, expires: Instant::now() + within });
        if !plan.is_empty() {
            let confirm_within_secs = within.map(|within| within.as_secs());
            self.events.tell(Happening::ConfigurationApplied { generation, confirm_within_secs });
        }
        Ok(Applied { generation, plan, confirm_before: within.map(|w| SystemTime::now() + w) })
    }

    fn confirm(&mut self) -> Result<u64, ApplyError> {
        self.pending.take().ok_or(ApplyError::NothingPending)?;
        let generation = self.generation;
        self.events.tell(Happening::ConfigurationConfirmed { generation });
        Ok(generation)
    }

    fn roll_back(&mut self) -> Result<u64, ApplyError> {
        if self.pending.is_none() {
            return Err(ApplyError::NothingPending);
        }
        self.go_back(RollBackReason::Asked);
        Ok(self.generation)
    }

    fn flush(&mut self, filter: &FdbFilter) -> u64 {
        let gone: Vec<_> = self
            .entries()
            .filter(|(_, row)| row.kind == EntryKind::Learned && selects(filter, row))
            .map(|(_, row)| (row.network, row.mac))
            .collect();
        self.learned.retain(|(network, mac, _)| {
            !gone.iter().any(|(n, m)| n == network && *m == mac.to_string())
        });
        gone.len() as u64
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: "memory".to_owned(),
            generation: self.generation,
            started_unix_millis: 1_767_225_600_000,
            dropped: 0,
            unaccounted: self.unaccounted,
        }
    }

    fn port_rows(&self) -> Vec<PortRow> {
        let document = self.document();
        let mac = |name: &str| self.mac_of(name);
        let row = |port: &vswitch::config::document::PortDocument| {
            let is_member =
                |n: &&NetworkDocument| n.port.iter().any(|member| member.port == port.name);
            let networks = document.network.iter().filter(is_member);
            let members: Vec<_> = networks.map(|n| MemberRow { network: n.name.clone() }).collect();
            let vtep = document.vtep.iter().find(|v| v.port == port.name).map(|v| v.name.clone());
            let role = match (members.is_empty(), &vtep) {
                (false, _) => Role::Tenant,
                (true, Some(_)) => Role::Uplink,
                (true, None) => Role::Unused,
            };
            PortRow {
                name: port.name.clone(),
                device: port.device.clone(),
                driver: "net_fake".to_owned(),
                mac: mac(&port.name),
                numa_node: None,
                mtu: 1500,
                rx_queues: 1,
                tx_queues: 2,
                link: Link::Up,
                role,
                members,
                vtep,
                receive_packets: 1,
                receive_bytes: 60,
                transmit_packets: 2,
                transmit_bytes: 120,
                drops: 0,
            }
        };
        document.port.iter().map(row).collect()
    }

    fn network_rows(&self) -> Vec<NetworkRow> {
        let mut known = HashMap::<String, u64>::new();
        for (_, row) in self.entries() {
            *known.entry(row.network).or_default() += 1;
        }
        let row = |network: NetworkDocument| NetworkRow {
            fdb_entries: known.get(&network.name).copied().unwrap_or(0),
            name: network.name,
            vni: u32::try_from(network.vni).unwrap_or_default(),
            vtep: network.vtep,
            ports: network.port.into_iter().map(|member| member.port).collect(),
            remote_vteps: network.remote_vteps,
            mac_ageing_secs: u32::try_from(network.mac_ageing_secs).unwrap_or_default(),
            fdb_moves: 0,
            fdb_refused: 0,
            drops: 0,
        };
        self.document().network.into_iter().map(row).collect()
    }

    fn vtep_rows(&self) -> Vec<VtepRow> {
        let row = |vtep: vswitch::config::document::VtepDocument| VtepRow {
            mac: vtep.mac.unwrap_or_else(|| self.mac_of(&vtep.port)),
            name: vtep.name,
            address: vtep.address,
            udp_port: u16::try_from(vtep.udp_port).unwrap_or_default(),
            port: vtep.port,
            host_interface: vtep.host_interface,
            punted_packets: 0,
            host_packets: 0,
            remotes: vec![RemoteRow {
                address: "198.51.100.2".to_owned(),
                networks: Vec::new(),
                next_hop: None,
                next_hop_mac: None,
                state: NextHopState::Unresolved,
                reason: Some("a switch in memory has no neighbours".to_owned()),
            }],
        };
        self.document().vtep.into_iter().map(row).collect()
    }

    fn worker_rows(&self) -> Vec<WorkerRow> {
        vec![WorkerRow {
            worker: 0,
            core: 1,
            numa_node: Some(0),
            queues: vec!["uplink/0".to_owned()],
            loops: 1,
            received: 1,
            transmitted: 1,
            relayed: 0,
            replicated: 0,
            dropped: 0,
            punted: 0,
            handed_over: 0,
            busy_cycles: 1,
            idle_cycles: 3,
            busy_percent: 25.0,
            unaccounted: 0,
            learn_events_lost: 0,
        }]
    }

    fn drop_rows(&self) -> Vec<DropRow> {
        let ports = self.document().port;
        let row = |reason: &DropReason, port: &str| DropRow {
            reason: reason.label().to_owned(),
            help: reason.help().to_owned(),
            port: port.to_owned(),
            network: String::new(),
            packets: 0,
        };
        let of_port = |port: &vswitch::config::document::PortDocument| {
            DropReason::ALL.iter().map(|reason| row(reason, &port.name)).collect::<Vec<_>>()
        };
        ports.iter().flat_map(of_port).collect()
    }

    fn scan_fdb(&self, scan: &mut FdbScan) {
        let from = scan.position(0);
        let piece = if scan.is_impatient() { usize::MAX } else { PIECE };
        let entries: Vec<_> = self.entries().collect();
        for (key, row) in entries.iter().skip(from).take(piece) {
            if selects(scan.filter(), row) {
                scan.offer(*key);
            }
        }
        let reached = from.saturating_add(piece);
        scan.go_on_at(reached);
        if reached >= entries.len() {
            scan.complete(|key| entries.iter().find(|(k, _)| *k == key).map(|(_, r)| r.clone()));
        }
    }

    fn live_state(&self) -> LiveState<'_> {
        let Forwarding { topology, facts, generation, learner } =
            self.forwarding.get_or_init(|| Forwarding::new(self.config.clone()));
        LiveState {
            topology,
            generation,
            fdb: learner.table(),
            fdb_is_full: learner.is_full(),
            facts,
            next_hops: self,
            now: Now::default(),
        }
    }

    fn events(&self) -> Events {
        self.events.clone()
    }

    fn captures(&mut self) -> &mut Captures {
        &mut self.captures
    }

    fn longest_frame(&self) -> usize {
        LONGEST_FRAME
    }

    fn metrics(&self) -> Vec<Family> {
        let mut generation = Family::gauge("vswitch_generation", "The configuration's.");
        generation.add(&[], self.generation);
        vec![generation]
    }
}
