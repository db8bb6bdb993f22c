//! The switch in memory: the very stages that workers run, with heap buffers for mbufs and a parameter
//! for the clock. No DPDK, no root, no time: for tests, fuzzing, Miri and replaying traffic.
//!
//! Single-threaded: the simulation plays worker and control thread in turn.

mod buffer;
mod io;
mod options;

pub use buffer::{Buffer, Buffers};
pub use io::{DroppedFrame, MemoryIo};
pub use options::Options;

use std::sync::Arc;

use crate::config::Config;
use crate::control::captures::Captures;
use crate::control::learner::{AGE_EVERY_MILLIS, Learner};
use crate::control::live_state::{LiveState, WhyUnresolved};
use crate::datapath::capture::Recorder;
use crate::datapath::generation::Generation;
use crate::datapath::io::{Relayed, RelayedFrom};
use crate::datapath::now::Now;
use crate::datapath::worker::Worker;
use crate::ids::{MacAddr, PortId, TunnelId, VtepId};
use crate::metrics::counters::{self, CountersView};
use crate::table::{Publisher, fdb, snapshot};
use crate::topology::{PortFacts, Topology};

use io::DropLog;
use options::NEXT_HOP;

/// A switch with one worker, whose ports are queues in memory.
pub struct Simulation {
    topology: Topology,
    facts: Vec<PortFacts>,
    next_hops: Vec<Option<MacAddr>>,
    publisher: Publisher<Generation>,
    learner: Learner,
    worker: Worker<MemoryIo>,
    view: CountersView,
    buffers: Buffers,
    options: Options,
    now: Now,
    captures: Captures,
    dropped: DropLog,
}

/// Why there is no simulation of a configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SimulationError {
    /// See [`crate::topology::TooMany`].
    #[error(transparent)]
    TooMany(#[from] crate::topology::TooMany),
    /// The static entries do not fit.
    #[error(transparent)]
    TableFull(#[from] crate::table::TableFull),
}

/// Port `n` has the MAC 02:ff:00:00:00:n.
fn facts_of(topology: &Topology, options: Options) -> Vec<PortFacts> {
    let facts = |id: PortId| PortFacts {
        mac: Simulation::mac_of(id),
        mtu: topology.port(id).and_then(|port| port.mtu).unwrap_or(options.mtu),
    };
    (0..).map(PortId).take(topology.port_slots()).map(facts).collect()
}

impl Simulation {
    /// A switch as configured. Port `n` has the MAC 02:ff:00:00:00:n.
    ///
    /// # Errors
    /// See [`SimulationError`].
    pub fn new(config: Config, options: Options) -> Result<Self, SimulationError> {
        let topology = Topology::new(config)?;
        let facts = facts_of(&topology, options);
        let next_hops = vec![options.next_hop; topology.tunnel_slots()];
        let (writer, mut fdb) = fdb::new(topology.config().fdb_capacity, options.seed, 1);
        let learner = Learner::new(writer, &topology)?;
        let generation = topology.generation(&facts, &next_hops, 0);
        let (publisher, mut readers) = snapshot::channel(Box::new(generation), 1);
        let (counters, view) = counters::new();
        let buffers = Buffers::new(options.buffers);
        let (ports, vteps) = (Topology::MAX_PORTS, Topology::MAX_VTEPS);
        let io = MemoryIo::new(ports, vteps, &buffers, options);
        let generations = readers.remove(0);
        let (recorder, drops) = Recorder::new(0);
        let captures = Captures::new(&topology, 0, vec![drops], Arc::new(|| 0));
        let worker = Worker::new(io, generations, fdb.remove(0), counters, recorder, ports);
        let now = Now::default();
        Ok(Self {
            topology,
            facts,
            next_hops,
            publisher,
            learner,
            worker,
            view,
            buffers,
            options,
            now,
            captures,
            dropped: DropLog::default(),
        })
    }

    /// The MAC of the next hop to every remote VTEP, unless [`Options::next_hop`] or
    /// [`Simulation::set_next_hop`] says another.
    #[must_use]
    pub fn next_hop() -> MacAddr {
        NEXT_HOP
    }

    /// The configuration, with its indices.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The port of a name in the configuration.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<PortId> {
        self.topology.ports().find(|(_, port)| port.name == name).map(|(id, _)| id)
    }

    /// The MAC of the port with an index: 02:ff:00:00:00:n.
    #[must_use]
    pub fn mac_of(port: PortId) -> MacAddr {
        MacAddr::from_u64(0x02ff_0000_0000 | u64::from(port.0))
    }

    /// The MAC of a port.
    #[must_use]
    pub fn mac(&self, port: PortId) -> MacAddr {
        self.facts[port.index()].mac
    }

    /// Makes the next hop to every remote VTEP known, or unknown.
    pub fn set_next_hop(&mut self, next_hop: Option<MacAddr>) {
        self.next_hops.fill(next_hop);
        let current = self.publisher.current();
        let generation = self.topology.with_next_hops(current, &self.facts, &self.next_hops);
        self.publisher.publish(Box::new(generation));
    }

    /// Hands the worker the generation of what is.
    fn publish(&mut self) {
        let generation = self.topology.generation(&self.facts, &self.next_hops, 0);
        let watches = self.captures.watches(&self.topology);
        self.publisher.publish(Box::new(generation.watched(self.captures.number(), watches)));
    }

    /// What is captured, and the frames that were dropped last. A capture that is begun here is taken up in
    /// the next [`run`](Self::run).
    pub fn captures(&mut self) -> &mut Captures {
        &mut self.captures
    }

    /// What the control thread does for captures every millisecond.
    pub fn look_after_captures(&mut self) {
        let is_everywhere = self.publisher.lagging().next().is_none();
        if self.captures.look_after(is_everywhere) {
            let watches = self.captures.watches(&self.topology);
            let generation = self.publisher.current().watched(self.captures.number(), watches);
            self.publisher.publish(Box::new(generation));
        }
        self.captures.keep_drops();
    }

    /// Changes the configuration as the control thread does. `between` is called when the new generation is
    /// published and nothing has taken it up.
    ///
    /// # Errors
    /// See [`SimulationError`]; nothing is changed.
    pub fn change(
        &mut self,
        config: Config,
        between: impl FnOnce(&mut Self),
    ) -> Result<(), SimulationError> {
        let next = self.topology.next(config)?;
        if !self.learner.has_room_for(&next) {
            return Err(crate::table::TableFull.into());
        }
        self.facts = facts_of(&next, self.options);
        self.next_hops.resize(next.tunnel_slots(), self.options.next_hop);
        let is_new = |tunnel| next.remote(tunnel) != self.topology.remote(tunnel);
        for tunnel in (0..).map(TunnelId).take(next.tunnel_slots()).filter(|id| is_new(*id)) {
            self.next_hops[tunnel.index()] = self.options.next_hop;
        }
        let number = self.captures.number() + 1;
        self.captures.configured(number, &next);
        let generation = next.generation(&self.facts, &self.next_hops, 0);
        let generation = generation.watched(number, self.captures.watches(&next));
        let moved = self.learner.prepare(&self.topology, &next, &generation);
        self.publisher.publish(Box::new(generation));
        self.topology = next;
        between(self);
        self.worker.turn_observed(self.now, &mut self.dropped);
        self.worker.counters().publish();
        self.hear();
        let generation = self.publisher.current();
        self.learner.settle(&self.topology, generation, moved, self.now)?;
        self.leave_old_homes();
        Ok(())
    }

    fn leave_old_homes(&mut self) {
        if self.topology.arrived(|key| self.learner.awaits(key)) {
            self.publish();
            self.learner.forget_strays(self.publisher.current());
        }
    }

    fn hear(&mut self) {
        for event in self.worker.io_mut().take_events() {
            self.learner.handle(event, self.publisher.current(), self.now.secs(), |_| ());
        }
    }

    /// Puts a frame into a port's receive queue; false where no buffer is free.
    #[must_use]
    pub fn receive(&mut self, port: PortId, frame: &[u8]) -> bool {
        self.receive_as(port, frame, |_| ())
    }

    /// As [`Simulation::receive`], with what the device says of the frame besides its bytes.
    #[must_use]
    pub fn receive_as(
        &mut self,
        port: PortId,
        frame: &[u8],
        mark: impl FnOnce(&mut Buffer),
    ) -> bool {
        let Some(mut buffer) = self.buffers.take(frame, self.options.headroom) else {
            return false;
        };
        mark(&mut buffer);
        self.worker.io_mut().push_received(port, buffer);
        true
    }

    /// Lets a VTEP's host interface send a frame; false where no buffer is free.
    #[must_use]
    pub fn send_from_host(&mut self, vtep: VtepId, frame: &[u8]) -> bool {
        let uplink = self.topology.vtep(vtep).map(|vtep| self.topology.uplink_of(vtep));
        uplink.is_some_and(|port| self.relay(port, frame, RelayedFrom::Host))
    }

    /// Lets another worker hand over a frame that leaves by a port; false where no buffer is free.
    #[must_use]
    pub fn hand_in(&mut self, port: PortId, frame: &[u8]) -> bool {
        self.relay(port, frame, RelayedFrom::Worker)
    }

    fn relay(&mut self, port: PortId, frame: &[u8], from: RelayedFrom) -> bool {
        let Some(packet) = self.buffers.take(frame, self.options.headroom) else { return false };
        self.worker.io_mut().push_relayed(Relayed { port, packet, from });
        true
    }

    /// Lets time pass: ages the FDB as the control thread would.
    pub fn advance_millis(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(AGE_EVERY_MILLIS) {
            self.now = Now::from_millis(self.now.millis + AGE_EVERY_MILLIS);
            self.learner.age(self.now.secs(), |_| ());
            self.arrive();
        }
    }

    fn arrive(&mut self) {
        if self.publisher.lagging().next().is_none() {
            self.learner.arrive(self.publisher.current(), self.now);
            self.leave_old_homes();
        }
    }

    /// Runs worker and control thread until every received frame has had its verdict.
    pub fn run(&mut self) {
        self.look_after_captures();
        while self.worker.io_mut().has_work() {
            self.worker.turn_observed(self.now, &mut self.dropped);
            self.worker.counters().publish();
            self.publisher.reclaim();
            self.learner.upkeep();
            self.hear();
            self.arrive();
        }
        self.look_after_captures();
    }

    /// Takes what a port has transmitted (or, with [`Options::hand_over`], was to transmit).
    pub fn transmitted(&mut self, port: PortId) -> Vec<Vec<u8>> {
        self.worker.io_mut().take_transmitted(port)
    }

    /// Takes what a VTEP's host interface was given.
    pub fn punted(&mut self, vtep: VtepId) -> Vec<Vec<u8>> {
        self.worker.io_mut().take_punted(vtep)
    }

    /// Takes what was dropped, in order.
    pub fn dropped(&mut self) -> Vec<DroppedFrame> {
        std::mem::take(&mut self.dropped.0)
    }

    /// What decides about a frame now.
    #[must_use]
    pub fn live_state(&self) -> LiveState<'_> {
        LiveState {
            topology: &self.topology,
            generation: self.publisher.current(),
            fdb: self.learner.table(),
            fdb_is_full: self.learner.is_full(),
            facts: &self.facts,
            next_hops: self,
            now: self.now,
        }
    }

    /// The number of the generation that workers see: one more with each change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.publisher.version()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &CountersView {
        &self.view
    }

    /// The learner, with the FDB.
    #[must_use]
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// How many buffers are in use: 0 once everything transmitted and punted has been taken.
    #[must_use]
    pub fn buffers_in_use(&self) -> usize {
        self.buffers.in_use()
    }
}

impl WhyUnresolved for Simulation {
    fn why_unresolved(&self, tunnel: TunnelId) -> Option<String> {
        let is_known = self.next_hops.get(tunnel.index()).is_some_and(Option::is_some);
        (!is_known).then(|| "the simulation has none".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::again::MAX_PASSES;
    use crate::datapath::generation::Entrance;
    use crate::datapath::packet::Packet as _;

    const CONFIG: &str = r#"
        [[port]]
        name = "a"
        device = "net_null0"
        [[port]]
        name = "b"
        device = "net_null1"
        [[network]]
        name = "blue"
        vni = 100
        [[network.port]]
        port = "a"
        [[network.port]]
        port = "b"
    "#;

    /// A frame that passes again enters where it was said, goes through all stages, and is accounted for once.
    #[test]
    fn a_frame_passes_the_stages_again() {
        let config = crate::config::parse("test.toml", CONFIG).unwrap();
        let mut sim = Simulation::new(config, Options::default()).unwrap();
        let (a, b) = (sim.port("a").unwrap(), sim.port("b").unwrap());
        let entrance = sim.publisher.current().ports[a.index()].entrance;
        let frame = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 0x88, 0xb5], &[0; 46]].concat();
        // One for the network of port a, one that enters nowhere.
        for entrance in [entrance, Entrance::Unused] {
            let packet = sim.buffers.take(&frame, 128).unwrap();
            sim.worker.counters().injected(1);
            sim.worker.again_mut().push(packet, a, entrance, 0).unwrap();
        }
        sim.worker.turn_observed(sim.now, &mut sim.dropped);
        sim.worker.counters().publish();
        assert_eq!(sim.transmitted(b), std::slice::from_ref(&frame));
        let dropped = sim.dropped();
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0].reason, crate::metrics::drop_reason::DropReason::PortUnused);
        let ledger = sim.counters().ledger();
        assert_eq!((ledger.received, ledger.transmitted, ledger.dropped), (0, 1, 1));
        assert_eq!((ledger.unaccounted(), sim.buffers_in_use()), (0, 0));
        assert!(sim.worker.again_mut().is_empty());
        let events = sim.worker.io_mut().take_events();
        assert_eq!(events.len(), 1, "its sender is learned");

        let packet = sim.buffers.take(&frame, 128).unwrap();
        let refused = sim.worker.again_mut().push(packet, a, entrance, MAX_PASSES - 1);
        assert_eq!(refused.unwrap_err().bytes(), frame, "it passes no more often");
    }
}
