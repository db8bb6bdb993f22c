//! The FDB's one writer: learns, moves, refreshes and ages MACs as workers' events say.
//!
//! Runs on the control thread. Sans-I/O: events and the time come in as arguments.

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;
use hashbrown::HashMap;

use crate::datapath::generation::Generation;
use crate::datapath::io::{LearnEvent, LearnKind};
use crate::datapath::now::Now;
use crate::ids::NetworkId;
use crate::table::Table;
use crate::table::{Destination, Entry, FdbWriter, Key, TableFull};

use crate::topology::inheritance::{heirs, wider};
use crate::topology::{Role, Topology, refresh_after_secs};

/// Learns for every network.
pub struct Learner {
    fdb: FdbWriter,
    /// By index.
    networks: Vec<Network>,
    /// Static entries that have not taken the place of what is there: see [`Learner::arrive`].
    awaited: HashMap<Key, Awaited>,
}

/// A static entry that is put in its place at a moment at the latest, in milliseconds since start.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    entry: Entry,
    until_millis: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Network {
    /// An entry whose stamp is older is forgotten, in seconds; `None`: never. The stamp of a MAC
    /// that is heard all the time may be this much older than the ageing time: see
    /// [`refresh_after_secs`].
    keep_secs: Option<u32>,
    totals: LearningTotals,
}

/// What learning has done for one network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearningTotals {
    /// Entries now, static ones included.
    pub entries: u64,
    /// MACs learned since start.
    pub learned: u64,
    /// MACs that moved since start.
    pub moves: u64,
    /// Entries that aged out since start.
    pub aged: u64,
    /// New MACs refused since start because the table was full.
    pub refused: u64,
}

/// What became of a MAC address: for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Network and MAC.
    pub key: Key,
    /// Where it is, or for [`Fate::Aged`] was.
    pub place: Destination,
    /// What became of it.
    pub fate: Fate,
}

/// See [`News`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// New, and known from now on.
    Learned,
    /// Known at another place before.
    Moved {
        /// That place.
        from: Destination,
    },
    /// Not heard for so long that it was forgotten.
    Aged,
    /// New, and there is no room for it.
    Refused,
}

/// Learn events of one worker that wait for [`Learner::drain`], which empties the queue every
/// millisecond. A million new MACs a second fill it in a quarter of one: longer than the kernel has
/// been seen to keep the control thread from its core, or to clear the memory of a larger table.
pub const EVENT_QUEUE_LEN: usize = 256 * 1024;
/// How often [`Learner::age`] is to be called.
pub const AGE_EVERY_MILLIS: u64 = 100;
/// How long a MAC stays where it was known while the next hop to its new home is not. The kernel
/// asks a neighbour once a second.
pub const ARRIVAL_MILLIS: u64 = 1500;
/// The most events of a queue in one call: some milliseconds, after which the kernel's frames have
/// their turn.
const AT_ONCE: usize = 8 * 1024;
/// How many events are taken from a queue together: their cache misses overlap.
const TOGETHER: usize = 16;
/// In how many calls of [`Learner::age`] the whole table is looked at once.
const SWEEP_CALLS: usize = 10;

impl Learner {
    /// A learner for the topology's networks, with its static entries in place.
    ///
    /// # Errors
    /// The FDB has no room for the static entries.
    pub fn new(fdb: FdbWriter, topology: &Topology) -> Result<Self, TableFull> {
        let mut learner = Self { fdb, networks: Vec::new(), awaited: HashMap::new() };
        learner.name_networks(topology, |_| false);
        for (key, entry) in topology.static_entries() {
            learner.put(key, entry)?;
        }
        Ok(learner)
    }

    /// Takes the networks' ageing times over. What has been learned for a network counts on if it
    /// `is_known`.
    fn name_networks(&mut self, topology: &Topology, is_known: impl Fn(NetworkId) -> bool) {
        let slots = topology.network_slots().max(self.networks.len());
        self.networks.resize(slots, Network::default());
        for (domain, network) in topology.networks() {
            let keep_secs = match network.mac_ageing_secs {
                0 => None,
                ageing => Some(ageing + refresh_after_secs(ageing)),
            };
            let known = &mut self.networks[domain.index()];
            let totals = if is_known(domain) { known.totals } else { LearningTotals::default() };
            *known = Network { keep_secs, totals };
        }
    }

    fn put(&mut self, key: Key, entry: Entry) -> Result<Option<Entry>, TableFull> {
        let replaced = self.fdb.insert(key, entry)?;
        if replaced.is_none() {
            self.totals(key).entries += 1;
        }
        Ok(replaced)
    }

    /// Whether there is room for the static entries of another topology. What was learned makes
    /// room for them.
    #[must_use]
    pub fn has_room_for(&self, next: &Topology) -> bool {
        next.static_entries().count() <= self.fdb.capacity()
    }

    /// Forgets as much as is in the way of the static entries. What is learned again meanwhile is
    /// flooded to, as after a flush.
    fn make_room_for(&mut self, statics: &HashMap<Key, Entry>) {
        let new = statics.keys().filter(|key| self.fdb.get(**key).is_none()).count();
        let mut excess = (self.fdb.len() + new).saturating_sub(self.fdb.capacity());
        if excess > 0 {
            self.retain(|key, _| {
                let is_kept = excess == 0 || statics.contains_key(&key);
                excess -= usize::from(!is_kept);
                is_kept
            });
        }
    }

    /// Before a generation is published. What it makes of the FDB is right for workers with either
    /// generation: an entry takes a frame nowhere but where one of the two does, from one that may
    /// send there.
    ///
    /// An entry for a port that leaves the entry's network stays until [`settle`](Self::settle),
    /// unless the port is no tenant's any more, or somebody joins the network, who would reach a
    /// port that is not in it. What is learned is known in its new network, and static entries are
    /// in their places, where nothing else is there yet, unless somebody leaves the network, who
    /// would reach a port that comes. So nobody is flooded to for being moved.
    ///
    /// Returns what was learned of stations that are in another network now: for
    /// [`settle`](Self::settle).
    pub fn prepare(
        &mut self,
        before: &Topology,
        topology: &Topology,
        next: &Generation,
    ) -> Vec<(Key, Entry)> {
        let name = |topology: &Topology, domain| topology.network(domain).map(|n| n.name.clone());
        self.name_networks(topology, |domain| name(before, domain) == name(topology, domain));
        let (joined, left) = (wider(topology, before), wider(before, topology));
        let heirs = heirs(before, topology);
        let mut moved = Vec::new();
        self.retain(|key, entry| {
            let (domain, place) = (key.network(), entry.destination);
            if next.has_stations_at(domain, place) {
                return true;
            }
            let (to, may_stay) = match place {
                Destination::Port(port) => match topology.role(port) {
                    Role::Tenant(to) => (Some(to), !joined.contains(&domain)),
                    Role::Unused => (None, topology.has(place) && !joined.contains(&domain)),
                    Role::Uplink(_) => (None, false),
                },
                // If it only leaves, it may be replaced in its place.
                Destination::Tunnel(_) => (heirs.get(&domain).copied(), topology.has(place)),
            };
            if let Some(to) = to.filter(|to| !entry.is_static && next.has_stations_at(*to, place)) {
                moved.push((Key::new(to, key.mac()), entry));
            }
            may_stay
        });
        for (key, entry) in topology.static_entries().chain(moved.iter().copied()) {
            let domain = key.network();
            let is_known = before.network(domain).is_none() || before.has(entry.destination);
            if is_known && !left.contains(&domain) && self.fdb.get(key).is_none() {
                // Where there is no room, `settle` makes it.
                let _ = self.put(key, entry);
            }
        }
        moved
    }

    /// After every worker has taken up the generation of a topology: static entries become as
    /// configured, in their places, what was `moved` is known in its new network, and what refers
    /// to something that is gone is forgotten. A MAC whose new home cannot be reached yet stays
    /// where it is, until it [arrives](Self::arrive).
    ///
    /// # Errors
    /// The FDB has no room for a static entry; [`has_room_for`](Self::has_room_for) would have said
    /// so. All else is done.
    pub fn settle(
        &mut self,
        topology: &Topology,
        generation: &Generation,
        moved: Vec<(Key, Entry)>,
        now: Now,
    ) -> Result<(), TableFull> {
        let statics: HashMap<Key, Entry> = topology.static_entries().collect();
        self.make_room_for(&statics);
        let before = std::mem::take(&mut self.awaited);
        let mut outcome = Ok(());
        for (key, entry) in &statics {
            let there = self.fdb.get(*key);
            let may_wait =
                there.is_some_and(|t| generation.has_stations_at(key.network(), t.destination));
            if there == Some(*entry) {
                continue;
            }
            if may_wait && !generation.reaches(entry.destination) {
                let since_before = before.get(key).filter(|awaited| awaited.entry == *entry);
                let until_millis = now.millis + ARRIVAL_MILLIS;
                let awaited = Awaited { entry: *entry, until_millis };
                self.awaited.insert(*key, since_before.copied().unwrap_or(awaited));
            } else if let Err(full) = self.put(*key, *entry) {
                self.totals(*key).refused += 1;
                outcome = Err(full);
            }
        }
        for (key, entry) in moved {
            if self.fdb.get(key).is_none() {
                // Nothing is lost if there is no room: it is heard again.
                let _ = self.put(key, entry);
            }
        }
        self.retain(|key, entry| match entry.is_static {
            true => statics.contains_key(&key),
            false => generation.has_stations_at(key.network(), entry.destination),
        });
        outcome
    }

    /// Moves static MACs to their new homes as soon as these can be reached, or [`ARRIVAL_MILLIS`]
    /// after the change that gave them the home: to be called every millisecond while every worker
    /// works by `generation`.
    ///
    /// Until then they are where they were before the change, perhaps behind a remote VTEP that the
    /// configuration does not have any more: see [`Topology::arrived`]. So no frame is lost because
    /// the kernel did not know the way to the new home yet.
    pub fn arrive(&mut self, generation: &Generation, now: Now) {
        let is_due = |awaited: &Awaited| {
            now.millis >= awaited.until_millis || generation.reaches(awaited.entry.destination)
        };
        let mut awaited = std::mem::take(&mut self.awaited);
        for (key, Awaited { entry, .. }) in awaited.extract_if(|_, awaited| is_due(awaited)) {
            // It takes the place of what is there. If that was flushed meanwhile and others have
            // filled the table, it is flooded to until there is room.
            if self.put(key, entry).is_err() {
                self.totals(key).refused += 1;
            }
        }
        self.awaited = awaited;
    }

    /// Whether a static MAC is to arrive yet.
    #[must_use]
    pub fn awaits(&self, key: Key) -> bool {
        self.awaited.contains_key(&key)
    }

    /// Forgets what is where a generation has no stations of the entry's network.
    pub fn forget_strays(&mut self, generation: &Generation) {
        self.retain(|key, entry| generation.has_stations_at(key.network(), entry.destination));
    }

    /// Forgets learned entries that a condition holds for; returns how many.
    pub fn flush(&mut self, mut condition: impl FnMut(Key, Entry) -> bool) -> usize {
        self.retain(|key, entry| entry.is_static || !condition(key, entry))
    }

    /// Keeps the entries that a condition holds for; returns how many others there were.
    fn retain(&mut self, mut keep: impl FnMut(Key, Entry) -> bool) -> usize {
        let networks = &mut self.networks;
        self.fdb.retain_some(self.fdb.buckets(), |key, entry| {
            let is_kept = keep(key, entry);
            if !is_kept {
                networks[key.network().index()].totals.entries -= 1;
            }
            is_kept
        })
    }

    fn totals(&mut self, key: Key) -> &mut LearningTotals {
        &mut self.networks[key.network().index()].totals
    }

    /// Does what the events in a worker's queue ask for: some of those that were there, so that
    /// neither a storm nor a worker that is faster can hold the control thread; the others wait for
    /// the next time.
    pub fn drain(
        &mut self,
        events: &ArrayQueue<LearnEvent>,
        generation: &Generation,
        now_secs: u32,
        mut tell: impl FnMut(News),
    ) {
        let mut left = events.len().min(AT_ONCE);
        while left > 0 {
            let some: ArrayVec<_, TOGETHER> =
                std::iter::from_fn(|| events.pop()).take(left.min(TOGETHER)).collect();
            some.iter().for_each(|event| self.fdb.prefetch(event.key));
            left -= left.min(TOGETHER);
            some.into_iter().for_each(|event| self.handle(event, generation, now_secs, &mut tell));
        }
    }

    /// Does what an event asks for, unless it is of a place where the network's stations cannot be
    /// any more. Static entries stay as they are.
    pub fn handle(
        &mut self,
        event: LearnEvent,
        generation: &Generation,
        now_secs: u32,
        mut tell: impl FnMut(News),
    ) {
        let LearnEvent { key, origin, kind } = event;
        if !generation.has_stations_at(key.network(), origin) {
            return;
        }
        let fresh = Entry { destination: origin, is_static: false, refreshed_secs: now_secs };
        match (self.fdb.get(key), kind) {
            (Some(entry), _) if entry.is_static => {}
            (Some(entry), _) if entry.destination == origin => {
                self.fdb.refresh(key, now_secs);
            }
            // Late: the MAC has moved, or aged out, since.
            (_, LearnKind::Refresh) => {}
            (Some(before), LearnKind::Heard) => {
                // An entry that is there is replaced in its place, which cannot fail.
                if self.fdb.insert(key, fresh).is_ok() {
                    self.totals(key).moves += 1;
                    let fate = Fate::Moved { from: before.destination };
                    tell(News { key, place: origin, fate });
                }
            }
            (None, LearnKind::Heard) => match self.fdb.insert(key, fresh) {
                Ok(_) => {
                    let totals = self.totals(key);
                    totals.learned += 1;
                    totals.entries += 1;
                    tell(News { key, place: origin, fate: Fate::Learned });
                }
                Err(TableFull { .. }) => {
                    self.totals(key).refused += 1;
                    tell(News { key, place: origin, fate: Fate::Refused });
                }
            },
        }
    }

    /// Removes what has aged out from the next part of the table; a whole round takes a second.
    pub fn age(&mut self, now_secs: u32, mut tell: impl FnMut(News)) {
        let buckets = self.fdb.buckets().div_ceil(SWEEP_CALLS);
        let networks = &mut self.networks;
        self.fdb.retain_some(buckets, |key, entry| {
            let network = &mut networks[key.network().index()];
            let age = now_secs.saturating_sub(entry.refreshed_secs);
            if entry.is_static || network.keep_secs.is_none_or(|keep| age <= keep) {
                return true;
            }
            network.totals.entries -= 1;
            network.totals.aged += 1;
            tell(News { key, place: entry.destination, fate: Fate::Aged });
            false
        });
    }

    /// To be called every millisecond: see [`FdbWriter::upkeep`].
    pub fn upkeep(&mut self) {
        self.fdb.upkeep();
    }

    /// What learning has done for a network.
    #[must_use]
    pub fn network(&self, domain: NetworkId) -> LearningTotals {
        self.networks[domain.index()].totals
    }

    /// Every entry, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (Key, Entry)> + '_ {
        self.fdb.iter()
    }

    /// The entries in a part of the table: see [`FdbWriter::iter_from`].
    pub fn entries_from(
        &self,
        bucket: usize,
        count: usize,
    ) -> impl Iterator<Item = (Key, Entry)> + '_ {
        self.fdb.iter_from(bucket, count)
    }

    /// How many buckets the table has.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.fdb.buckets()
    }

    /// The table as the workers have it.
    #[must_use]
    pub fn table(&self) -> &Table {
        self.fdb.table()
    }

    /// Whether a MAC that is not known cannot be learned: there is no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.fdb.len() >= self.fdb.capacity()
    }

    /// See [`FdbWriter::layout`].
    #[must_use]
    pub fn layout(&self) -> u64 {
        self.fdb.layout()
    }

    /// The entry of a key.
    #[must_use]
    pub fn entry(&self, key: Key) -> Option<Entry> {
        self.fdb.get(key)
    }

    /// How many entries there may be.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.fdb.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, sample};
    use crate::ids::{MacAddr, PortId};
    use crate::table::fdb;
    use crate::topology::PortFacts;

    fn text() -> String {
        let mac = "[[network.mac]]\naddress = \"02:00:00:00:00:05\"\nport = \"a\"\n";
        sample::ports(&["a", "b"]) + &sample::network("blue", 100, "", &["a", "b"]) + mac
    }

    fn topology() -> Topology {
        Topology::new(config::parse("test.toml", &text()).unwrap()).unwrap()
    }

    fn generation() -> Generation {
        let facts = PortFacts { mac: MacAddr::ZERO, mtu: 1500 };
        topology().generation(&[facts; 2], &[], 0)
    }

    fn learner() -> Learner {
        Learner::new(fdb::new(64, 1, 0).0, &topology()).unwrap()
    }

    fn event(mac: u64, port: u16, kind: LearnKind) -> LearnEvent {
        let key = Key::new(NetworkId(0), MacAddr::from_u64(0x0200_0000_0000 | mac));
        LearnEvent { key, origin: Destination::Port(PortId(port)), kind }
    }

    /// A worker sends none for a static entry that it sees, but may not see it yet.
    #[test]
    fn an_event_does_not_change_a_static_entry() {
        let mut learner = learner();
        let before: Vec<_> = learner.entries().collect();
        for kind in [LearnKind::Heard, LearnKind::Refresh] {
            learner.handle(event(5, 1, kind), &generation(), 10, |_| ());
            learner.handle(event(5, 0, kind), &generation(), 10, |_| ());
        }
        assert_eq!(learner.entries().collect::<Vec<_>>(), before);
        assert_eq!(learner.network(NetworkId(0)).entries, 1);
    }

    /// Whoever watches is told once of each thing that happens to a MAC, and of nothing else.
    #[test]
    fn what_becomes_of_a_mac_is_told() {
        let mut learner = learner();
        let (place, one) = (|port| Destination::Port(PortId(port)), event(1, 0, LearnKind::Heard));
        let mut told = Vec::new();
        for (secs, port) in [(0, 0), (1, 0), (2, 1)] {
            let heard = event(1, port, LearnKind::Heard);
            learner.handle(heard, &generation(), secs, |news| told.push(news));
        }
        let news = |at, fate| News { key: one.key, place: place(at), fate };
        let moved = Fate::Moved { from: place(0) };
        assert_eq!(told, [news(0, Fate::Learned), news(1, moved)]);

        told.clear();
        let ageing = 300 + refresh_after_secs(300);
        for secs in [2 + ageing, 3 + ageing] {
            assert_eq!(told, [], "not before its time");
            (0..SWEEP_CALLS).for_each(|_| learner.age(secs, |news| told.push(news)));
        }
        assert_eq!(told, [news(1, Fate::Aged)]);

        told.clear();
        let others = learner.capacity() as u64 - 1; // there is a static one
        for mac in 0..=others {
            let heard = event(0x100 + mac, 0, LearnKind::Heard);
            learner.handle(heard, &generation(), 0, |news| told.push(news));
        }
        let refused = told.pop().map(|news| (news.key, news.place, news.fate));
        let last = event(0x100 + others, 0, LearnKind::Heard).key;
        assert_eq!(refused, Some((last, place(0), Fate::Refused)));
        assert!(told.iter().all(|news| news.fate == Fate::Learned));
        let totals = learner.network(NetworkId(0));
        assert_eq!((totals.moves, totals.aged, totals.refused), (1, 1, 1));
        assert_eq!(told.len() as u64, others);
    }

    /// Tenants cannot keep an operator from saying where a MAC is, nor a change from being rolled
    /// back.
    #[test]
    fn what_was_learned_makes_room_for_static_entries() {
        let mut learner = learner();
        let capacity = learner.capacity() as u64;
        for mac in 0..2 * capacity {
            learner.handle(event(0x100 + mac, 0, LearnKind::Heard), &generation(), 0, |_| ());
        }
        assert_eq!(learner.entries().count(), learner.capacity());
        let macs = |count: u64| {
            let mac = |n| {
                format!("[[network.mac]]\naddress = \"02:00:00:00:02:{n:02x}\"\nport = \"b\"\n")
            };
            let text = format!("{}{}", text(), (0..count).map(mac).collect::<String>());
            topology().next(config::parse("test.toml", &text).unwrap()).unwrap()
        };
        // One is there already.
        assert!(!learner.has_room_for(&macs(capacity)));
        for count in [1, capacity - 1, 1] {
            let next = macs(count);
            assert!(learner.has_room_for(&next));
            learner.prepare(&topology(), &next, &generation());
            learner.settle(&next, &generation(), Vec::new(), Now::default()).unwrap();
            let mut statics: Vec<_> = learner.entries().filter(|(_, e)| e.is_static).collect();
            let mut expected: Vec<_> = next.static_entries().collect();
            statics.sort_by_key(|(key, _)| key.to_u64());
            expected.sort_by_key(|(key, _)| key.to_u64());
            assert_eq!(statics, expected);
            let entries = learner.entries().count();
            assert!(entries <= learner.capacity());
            assert_eq!(learner.network(NetworkId(0)).entries, entries as u64);
        }
    }

    /// Two workers: one hears the MAC move while the other's refresh is on its way.
    #[test]
    fn a_late_refresh_neither_moves_nor_learns() {
        let mut learner = learner();
        learner.handle(event(1, 0, LearnKind::Heard), &generation(), 0, |_| ());
        learner.handle(event(1, 1, LearnKind::Heard), &generation(), 5, |_| ());
        learner.handle(event(1, 0, LearnKind::Refresh), &generation(), 6, |_| ());
        learner.handle(event(2, 0, LearnKind::Refresh), &generation(), 6, |_| ());
        let entry = learner.entries().find(|(_, entry)| !entry.is_static).map(|(_, entry)| entry);
        let moved = Entry {
            destination: Destination::Port(PortId(1)),
            is_static: false,
            refreshed_secs: 5,
        };
        assert_eq!(entry, Some(moved));
        let totals = learner.network(NetworkId(0));
        assert_eq!((totals.entries, totals.learned, totals.moves), (2, 1, 1));
    }
}
