//! What a thread does where frames come, go and end, so that captures and the sample of drops get them.
//!
//! Every worker has one, and the control thread for the frames that it carries. Without a capture it costs one
//! branch for each burst and point, and a comparison for each drop. With one, every frame looked at or taken is
//! paid for from the [`super::budget`].
//!
//! The control thread drops frames of ports that its generation does not have any more: nothing here may take an index
//! of a [`Site`] for one of the generation.
//!
//! A received frame is copied when it comes, as its outer headers may go; what becomes of it is known later. So
//! the records of a burst are *staged* until their verdicts are there, and then queued in the order
//! in which they were taken. Nothing is staged between two turns.

use super::budget::{self, Budget};
use super::drops::{DropQueue, DropSampler};
use super::queue::{Record, Watch, add};
use super::selection::{CapturePoint, CapturePoints, Selection};
use crate::datapath::generation::{Carried, Entrance, Generation};
use crate::datapath::now::Now;
use crate::datapath::packet::Packet;
use crate::datapath::tunnel::template::Written;
use crate::datapath::vector::{Burst, Vector};
use crate::datapath::verdict::{PackedVerdict, Verdict};
use crate::ids::{NetworkId, PortId, VtepId};
use crate::metrics::counters::{Place, Site};
use crate::metrics::drop_reason::DropReason;
use crate::table::PackedDestination;

/// The longest frame that is put together from several buffers, in bytes.
const SCRATCH: usize = 16 * 1024;

/// A record on its way, and the number of its watch in the generation.
struct Staged {
    watch: usize,
    record: Box<Record>,
}

/// What is known of a frame when it is looked at.
struct About {
    point: CapturePoint,
    port: PortId,
    network: NetworkId,
    origin: Option<PackedDestination>,
    verdict: Verdict,
    /// Its place in the burst.
    place: usize,
    is_undecided: bool,
}

/// Drops in a row for one reason at one place, which were not looked at.
#[derive(Clone, Copy)]
struct Unseen {
    site: Site,
    reason: DropReason,
    count: u64,
}

impl Selection {
    /// Whether it wants frames at a port, whatever their network.
    #[inline]
    fn wants_port(&self, generation: &Generation, port: PortId) -> bool {
        // A frame that was on its way to a port that is removed now is dropped by a generation without the port.
        let entrance = generation.entrance(port);
        self.port.is_none_or(|selected| selected == port)
            && self.vtep.is_none_or(|selected| vtep_of(generation, entrance) == Some(selected))
            && match entrance {
                // A frame's network is not known before it is decapsulated.
                Entrance::Underlay(_) => true,
                Entrance::Network(_) | Entrance::Unused => {
                    let network = network_of(entrance);
                    self.network.is_none_or(|selected| selected == network)
                }
            }
    }

    /// Whether it wants drops at a site, of which port and network are given.
    fn wants_drop(
        &self,
        generation: &Generation,
        (port, network): (PortId, NetworkId),
        reason: DropReason,
    ) -> bool {
        self.points.has(CapturePoint::Dropped)
            && self.wants_port(generation, port)
            && self.wants_end(network, Verdict::Drop(reason))
    }

    /// Whether it wants a frame of which network and verdict are known.
    fn wants_end(&self, network: NetworkId, verdict: Verdict) -> bool {
        self.network.is_none_or(|selected| selected == network)
            && self.reason.is_none_or(|selected| verdict == Verdict::Drop(selected))
    }
}

/// The network of frames of tenants; [`NetworkId::NONE`] of others.
fn network_of(entrance: Entrance) -> NetworkId {
    match entrance {
        Entrance::Network(network) => network,
        Entrance::Underlay(_) | Entrance::Unused => NetworkId::NONE,
    }
}

/// The VTEP on an underlay.
fn vtep_of(generation: &Generation, entrance: Entrance) -> Option<VtepId> {
    match entrance {
        Entrance::Underlay(underlay) => {
            generation.underlays.get(underlay.index()).map(|underlay| underlay.vtep)
        }
        Entrance::Network(_) | Entrance::Unused => None,
    }
}

/// A thread's.
pub struct Recorder {
    /// The number of the thread: whose counters it writes.
    thread: usize,
    /// What the captures of this turn's generation look at, all together.
    points: CapturePoints,
    now: Now,
    generation: u64,
    budget: Budget,
    /// The last of the drops since the budget was used up.
    unseen: Unseen,
    /// Never grows beyond its capacity, as no more can be paid for.
    staged: Vec<Staged>,
    scratch: Box<[u8]>,
    drops: DropSampler,
}

impl Recorder {
    /// That of a thread, and the queue of what it sees dropped.
    #[must_use]
    pub fn new(thread: usize) -> (Self, DropQueue) {
        let (drops, queue) = DropSampler::new();
        let recorder = Self {
            thread,
            points: CapturePoints::NONE,
            now: Now::default(),
            generation: 0,
            budget: Budget::default(),
            unseen: Unseen { site: Site::default(), reason: DropReason::Runt, count: 0 },
            staged: Vec::with_capacity(budget::MOST_IN_A_TURN),
            scratch: vec![0; SCRATCH].into(),
            drops,
        };
        (recorder, queue)
    }

    /// Begins a turn.
    #[inline(always)]
    pub fn begin(&mut self, now: Now, generation: &Generation) {
        self.now = now;
        self.generation = generation.number;
        self.points = generation.points;
        if !self.points.is_empty() {
            self.budget.begin(now);
        }
    }

    /// After `rx`: the frames as they came.
    #[inline(always)]
    pub fn received<P: Packet>(&mut self, generation: &Generation, vector: &Vector<P>) {
        if self.points.has(CapturePoint::Received) {
            self.take_burst(generation, vector, CapturePoint::Received);
        }
    }

    /// After `decap`: those that lost their outer headers there.
    #[inline(always)]
    pub fn decapsulated<P: Packet>(&mut self, generation: &Generation, vector: &Vector<P>) {
        if self.points.has(CapturePoint::Decapsulated)
            && matches!(vector.entrance, Entrance::Underlay(_))
        {
            self.take_burst(generation, vector, CapturePoint::Decapsulated);
        }
    }

    /// After `forward`: where the frames are to go, and the network of each.
    #[inline(always)]
    pub fn decided<P>(&mut self, vector: &Vector<P>) {
        if !self.staged.is_empty() {
            self.note_verdicts(vector);
        }
    }

    /// After `tx`: those that were to go and could not.
    #[inline(always)]
    pub fn ended<P>(&mut self, generation: &Generation, vector: &Vector<P>) {
        if !self.staged.is_empty() {
            self.note_ends(vector);
            self.queue_all(generation);
        }
    }

    /// At the end of a turn.
    #[inline(always)]
    pub fn release(&mut self, generation: &Generation) {
        if !self.staged.is_empty() || self.unseen.count != 0 {
            self.queue_all(generation);
            self.count_unseen(generation);
        }
    }

    /// Before frames go to a port: says where [`transmitted`](Self::transmitted) finds them, if somebody wants them.
    #[inline(always)]
    pub fn transmitting<P: Packet>(
        &mut self,
        generation: &Generation,
        port: PortId,
        packets: &Burst<P>,
    ) -> Option<usize> {
        if !self.points.has(CapturePoint::Transmitted) {
            return None;
        }
        let mark = self.staged.len();
        self.take_outgoing(generation, port, packets);
        Some(mark)
    }

    /// So many of them, from the front, were taken by a transmit queue of this worker.
    #[inline(always)]
    pub fn transmitted(&mut self, generation: &Generation, mark: Option<usize>, sent: usize) {
        if let Some(mark) = mark {
            self.keep_sent(generation, mark, sent);
        }
    }

    /// A frame that is dropped, while it is there.
    #[inline(always)]
    pub fn dropped<P: Packet>(
        &mut self,
        generation: &Generation,
        site: Site,
        reason: DropReason,
        packet: &P,
    ) {
        if self.points.has(CapturePoint::Dropped) || !self.drops.has_enough(reason, self.now) {
            self.note_drop(generation, site, reason, packet);
        }
    }

    #[inline(never)]
    fn note_drop<P: Packet>(
        &mut self,
        generation: &Generation,
        site: Site,
        reason: DropReason,
        packet: &P,
    ) {
        if self.drops.take_turn(reason, self.now) {
            self.drops.keep(site, reason, (self.now.nanos, self.generation), packet);
        }
        if self.points.has(CapturePoint::Dropped) {
            // Drops come one by one, not in bursts. A storm of them is mostly one of the same kind, and what cannot
            // be paid for any more costs a comparison then.
            if self.budget.is_used_up() {
                if (self.unseen.site, self.unseen.reason) != (site, reason) {
                    self.count_unseen(generation);
                    self.unseen = Unseen { site, reason, count: 0 };
                }
                self.unseen.count += 1;
            } else {
                self.take_dropped(generation, site, reason, packet);
            }
        }
    }

    #[inline(never)]
    fn take_burst<P: Packet>(
        &mut self,
        generation: &Generation,
        vector: &Vector<P>,
        point: CapturePoint,
    ) {
        let (port, len) = (vector.port, vector.len());
        let network_of_port = network_of(vector.entrance);
        for (number, watch) in generation.watches.iter().enumerate() {
            let selection = &watch.selection;
            if !selection.points.has(point) || !selection.wants_port(generation, port) {
                continue;
            }
            for (place, packet) in vector.packets[..len].iter().enumerate() {
                let network = match point {
                    CapturePoint::Received => network_of_port,
                    _ => vector.networks[place],
                };
                if point == CapturePoint::Decapsulated
                    && (vector.verdicts[place] != PackedVerdict::PENDING
                        || network == NetworkId::NONE
                        || selection.network.is_some_and(|wanted| wanted != network))
                {
                    continue;
                }
                if self.is_spent(watch, len - place) {
                    break;
                }
                let about = About {
                    point,
                    port,
                    network,
                    origin: None,
                    verdict: Verdict::Pending,
                    place,
                    is_undecided: true,
                };
                self.look(number, watch, packet, about);
            }
        }
    }

    #[cold]
    fn take_outgoing<P: Packet>(
        &mut self,
        generation: &Generation,
        port: PortId,
        packets: &Burst<P>,
    ) {
        for (number, watch) in generation.watches.iter().enumerate() {
            let selection = &watch.selection;
            if !selection.points.has(CapturePoint::Transmitted)
                || selection.reason.is_some()
                || !selection.wants_port(generation, port)
            {
                continue;
            }
            for (place, packet) in packets.iter().enumerate() {
                if self.is_spent(watch, packets.len() - place) {
                    break;
                }
                let network = network_of_outgoing(generation, port, packet.bytes());
                if selection.network.is_some_and(|wanted| wanted != network) {
                    continue;
                }
                let verdict = Verdict::Forward(port);
                let (point, origin, is_undecided) = (CapturePoint::Transmitted, None, false);
                let about = About { point, port, network, origin, verdict, place, is_undecided };
                self.look(number, watch, packet, about);
            }
        }
    }

    #[cold]
    fn keep_sent(&mut self, generation: &Generation, mark: usize, sent: usize) {
        let mut kept = mark;
        for at in mark..self.staged.len() {
            if self.staged[at].record.place < sent {
                self.staged.swap(kept, at);
                kept += 1;
            }
        }
        for Staged { watch, mut record } in self.staged.drain(kept..) {
            record.is_wanted = false;
            generation.watches[watch].capture.put(record);
        }
    }

    #[cold]
    fn take_dropped<P: Packet>(
        &mut self,
        generation: &Generation,
        site: Site,
        reason: DropReason,
        packet: &P,
    ) {
        let Some((port, network)) = port_and_network(generation, site) else { return };
        for (number, watch) in generation.watches.iter().enumerate() {
            let is_for_it = watch.selection.wants_drop(generation, (port, network), reason);
            if !is_for_it || self.is_spent(watch, 1) {
                continue;
            }
            let (point, origin, is_undecided) = (CapturePoint::Dropped, None, false);
            let verdict = Verdict::Drop(reason);
            let about = About { point, port, network, origin, verdict, place: 0, is_undecided };
            self.look(number, watch, packet, about);
        }
    }

    /// Whether nothing is left to look at a frame with; then so many are missed.
    #[inline]
    fn is_spent(&mut self, watch: &Watch, frames: usize) -> bool {
        let instructions = watch.capture.filter.as_ref().map(|filter| filter.instructions);
        let is_spent = !self.budget.has(budget::look(instructions));
        if is_spent {
            self.budget.use_up();
            add(&watch.capture.counts[self.thread].over_budget, frames as u64);
        }
        is_spent
    }

    /// Looks at a frame, and takes it if it is wanted and can be had.
    fn look<P: Packet>(&mut self, number: usize, watch: &Watch, packet: &P, about: About) {
        let (capture, len) = (&watch.capture, packet.len());
        let counts = &capture.counts[self.thread];
        let instructions = capture.filter.as_ref().map(|filter| filter.instructions);
        let is_paid = self.budget.spend(budget::look(instructions));
        debug_assert!(is_paid, "the caller has asked");
        let bytes = if packet.bytes().len() == len {
            packet.bytes()
        } else {
            if !self.budget.spend(budget::copy(len.min(SCRATCH))) {
                self.budget.use_up();
                return add(&counts.over_budget, 1);
            }
            let count = packet.gather(&mut self.scratch);
            &self.scratch[..count]
        };
        if capture.filter.as_ref().is_some_and(|filter| !(filter.test)(bytes)) {
            return;
        }
        let kept = bytes.len().min(capture.snaplen);
        let price = budget::take(kept);
        if !self.budget.has(price) {
            self.budget.use_up();
            return add(&counts.over_budget, 1);
        }
        let Some(mut record) = capture.take_free() else { return add(&counts.no_room, 1) };
        let is_paid = self.budget.spend(price);
        debug_assert!(is_paid, "it was there");
        record.bytes.clear();
        // There is room: it was made for as many bytes as the capture keeps.
        record.bytes.extend_from_slice(&bytes[..kept]);
        let About { point, port, network, origin, verdict, place, is_undecided } = about;
        let (nanos, generation) = (self.now.nanos, self.generation);
        let bytes = std::mem::take(&mut record.bytes);
        *record = Record {
            point,
            port,
            network,
            origin,
            verdict,
            nanos,
            generation,
            len,
            bytes,
            place,
            is_undecided,
            is_wanted: true,
        };
        debug_assert!(self.staged.len() < self.staged.capacity(), "more than was paid for");
        self.staged.push(Staged { watch: number, record });
    }

    /// Has each capture that would have looked at the drops miss them.
    #[cold]
    fn count_unseen(&mut self, generation: &Generation) {
        let Unseen { site, reason, .. } = self.unseen;
        let unseen = std::mem::take(&mut self.unseen.count);
        let Some(at) = port_and_network(generation, site) else { return };
        for Watch { selection, capture } in generation.watches.iter() {
            if selection.wants_drop(generation, at, reason) {
                add(&capture.counts[self.thread].over_budget, unseen);
            }
        }
    }

    #[cold]
    fn note_verdicts<P>(&mut self, vector: &Vector<P>) {
        for Staged { record, .. } in &mut self.staged {
            if record.is_undecided {
                record.verdict = vector.verdicts[record.place].unpack();
                // What was dropped early has none there, though its port may have one.
                if vector.networks[record.place] != NetworkId::NONE {
                    record.network = vector.networks[record.place];
                }
                record.origin = Some(vector.origins[record.place]);
            }
        }
    }

    #[cold]
    fn note_ends<P>(&mut self, vector: &Vector<P>) {
        for Staged { record, .. } in &mut self.staged {
            if !std::mem::take(&mut record.is_undecided) {
                continue;
            }
            let end = vector.verdicts[record.place].unpack();
            // The end of a flooded frame is that of its last replica, unless there was none.
            let is_its_own = match record.verdict {
                Verdict::Flood => end == Verdict::Drop(DropReason::NoDestination),
                _ => matches!(end, Verdict::Drop(_)),
            };
            if is_its_own {
                record.verdict = end;
            }
        }
    }

    #[cold]
    fn queue_all(&mut self, generation: &Generation) {
        for Staged { watch, mut record } in self.staged.drain(..) {
            let Watch { selection, capture } = &generation.watches[watch];
            // Now that network and verdict are known.
            record.is_wanted = selection.wants_end(record.network, record.verdict);
            capture.put(record);
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Bytes as a frame: those that the control thread drops.
pub struct Frame<'a>(pub &'a [u8]);

impl Packet for Frame<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }

    fn narrow(&mut self, start: usize, len: usize) {
        self.0 = &self.0[start..start + len];
    }

    fn grow_front(&mut self, _count: usize) -> Option<&mut [u8]> {
        None
    }

    fn accept(&mut self) -> crate::datapath::packet::Received {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        crate::datapath::packet::Received { len, is_contiguous: true, has_stripped_vlan: false }
    }
}

/// The port and the network of a site. `None` if it is a network without a VTEP, which has no such site.
fn port_and_network(generation: &Generation, site: Site) -> Option<(PortId, NetworkId)> {
    match site.place() {
        Place::Port(port) => Some((port, network_of(generation.entrance(port)))),
        Place::Network(network) => {
            let uplink = generation.networks.get(network.index())?.uplink?;
            Some((uplink, network))
        }
    }
}

/// The network of a frame that leaves by a port: of one that was encapsulated, what its VNI says.
fn network_of_outgoing(generation: &Generation, port: PortId, frame: &[u8]) -> NetworkId {
    let entrance = generation.entrance(port);
    let Entrance::Underlay(underlay) = entrance else { return network_of(entrance) };
    let underlay = &generation.underlays[underlay.index()];
    let written = Written::read(frame).filter(|w| w.udp_port == underlay.recognition.udp_port());
    let carried = written.and_then(|w| generation.vteps[underlay.vtep.index()].networks.get(w.vni));
    carried.map_or(NetworkId::NONE, |word| Carried::from(word).network)
}
