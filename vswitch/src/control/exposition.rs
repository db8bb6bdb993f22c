//! What `GET /metrics` says.
//!
//! Built on the control thread from the switch's own counters at every scrape; no driver is called.
//! The text is written aside ([`crate::metrics::family::text`]). What to do about what is seen:
//! docs/monitoring.md.
//!
//! | metric | labels | what it counts |
//! |---|---|---|
//! | `vswitch_port_receive_packets_total`, `vswitch_port_receive_bytes_total` | port | frames received |
//! | `vswitch_port_transmit_packets_total`, `vswitch_port_transmit_bytes_total` | port | frames transmitted |
//! | `vswitch_port_device_losses_total` | port, kind | what the device or its driver lost |
//! | `vswitch_port_up` | port | the link |
//! | `vswitch_queue_receive_packets_total` | port, queue, worker | frames from a receive queue |
//! | `vswitch_queue_transmit_packets_total` | port, queue, worker | frames that a transmit queue took |
//! | `vswitch_drops_total` | reason, port, network | frames dropped |
//! | `vswitch_drops_by_reason_total` | reason | the same, everywhere, also at what is gone |
//! | `vswitch_punted_packets_total` | vtep | frames given to the host interface |
//! | `vswitch_host_packets_total` | vtep | frames that the host interface sent |
//! | `vswitch_replicated_packets_total` | network | copies made by flooding |
//! | `vswitch_fdb_entries`, `vswitch_fdb_capacity` | network, none | MACs known, and room |
//! | `vswitch_fdb_learned_total`, `vswitch_fdb_moves_total` | network | MACs learned, and moved |
//! | `vswitch_fdb_aged_total`, `vswitch_fdb_refused_total` | network | MACs aged out, and refused for want of room |
//! | `vswitch_next_hop_resolved` | vtep, remote_vtep | whether frames can go there |
//! | `vswitch_worker_receive_packets_total` | worker | frames from its receive queues |
//! | `vswitch_worker_transmit_packets_total` | worker | frames that its transmit queues took |
//! | `vswitch_worker_handed_over_packets_total` | worker | frames given to another worker to transmit |
//! | `vswitch_worker_cycles_total` | worker, state | TSC cycles, busy and idle |
//! | `vswitch_worker_turns_total` | worker, state | turns of the loop, busy and idle |
//! | `vswitch_worker_burst_frames` | worker | histogram: frames in a burst |
//! | `vswitch_worker_turn_seconds` | worker, state | histogram: how long a turn took; of idle ones from 64 µs on |
//! | `vswitch_learn_events_lost_total` | worker | learn events that found their queue full |
//! | `vswitch_control_work_seconds` | work | histogram: how long the control thread was busy with it |
//! | `vswitch_control_late_seconds` | | histogram: how late its millisecond's tick came |
//! | `vswitch_mbufs_in_use`, `vswitch_mbufs_capacity` | | packet buffers of all pools |
//! | `vswitch_pool_mbufs_in_use`, `vswitch_pool_mbufs_capacity` | pool | those of one |
//! | `vswitch_unaccounted_packets` | | frames that left no trace: 0 |
//! | `vswitch_generation` | | the configuration's generation |
//! | `vswitch_last_change_timestamp_seconds` | | when it was taken up |
//! | `vswitch_change_pending` | | whether it waits to be confirmed |
//! | `vswitch_state_saves_total` | result | how often the state was written |
//! | `vswitch_start_time_seconds` | | when the switch started |
//! | `vswitch_build_info` | version, revision, rustc, dpdk | 1 |
//!
//! # How many series there are
//! docs/monitoring.md counts them. Drops have only the reasons that can happen at a site
//! ([`DropReason::sites`]). They, and the counters of networks, are listed before they have counted
//! anything, so that a rate is right from the first frame, unless there would be more than
//! [`MAX_ZEROS`](super::row_builder::MAX_ZEROS) of them; then only those that are not zero.
//! `vswitch_drops_by_reason_total` is always whole. All the rest grows with ports × workers, with
//! remote VTEPs, and by one series (`vswitch_fdb_entries`) for each network.

use std::time::{SystemTime, UNIX_EPOCH};

use super::loop_timing::Work;
use super::switch::Switch;
use crate::ids::PortId;
use crate::kernel::underlay::NextHop;
use crate::metrics::build_info;
use crate::metrics::drop_reason::DropReason;
use crate::metrics::family::Family;
use crate::topology::narrow;

/// What is scraped.
#[must_use]
pub fn families(switch: &Switch) -> Vec<Family> {
    let mut families = Vec::new();
    ports(switch, &mut families);
    queues(switch, &mut families);
    drops(switch, &mut families);
    networks(switch, &mut families);
    vteps(switch, &mut families);
    workers(switch, &mut families);
    control(switch, &mut families);
    buffers(switch, &mut families);
    process(switch, &mut families);
    families
}

fn ports(switch: &Switch, families: &mut Vec<Family>) {
    let mut rx_packets = Family::counter("vswitch_port_receive_packets_total", "Frames received.");
    let mut rx_bytes =
        Family::counter("vswitch_port_receive_bytes_total", "Bytes received, without FCS.");
    let mut tx_packets =
        Family::counter("vswitch_port_transmit_packets_total", "Frames transmitted.");
    let mut tx_bytes =
        Family::counter("vswitch_port_transmit_bytes_total", "Bytes transmitted, without FCS.");
    let mut losses = Family::counter(
        "vswitch_port_device_losses_total",
        "Frames that the device or its driver lost by itself, as of the last second; \
         receive_missed: its ring was full, so workers are too slow.",
    );
    let mut up = Family::gauge("vswitch_port_up", "Whether the link is up, as of the last second.");
    for (id, config) in switch.topology.ports() {
        let Some(seat) = switch.devices.ports.get(id.index()) else { continue };
        let totals = switch.counting.port(id);
        let port = ("port", config.name.as_str());
        rx_packets.add(&[port], totals.receive_packets);
        rx_bytes.add(&[port], totals.receive_bytes);
        tx_packets.add(&[port], totals.transmit_packets);
        tx_bytes.add(&[port], totals.transmit_bytes);
        losses.add(&[port, ("kind", "receive_missed")], seat.losses.rx_missed);
        losses.add(&[port, ("kind", "receive_error")], seat.losses.rx_errors);
        losses.add(&[port, ("kind", "receive_no_buffer")], seat.losses.rx_no_buffer);
        losses.add(&[port, ("kind", "transmit_error")], seat.losses.tx_errors);
        if let Some(link) = seat.link {
            up.add(&[port], link.up.into());
        }
    }
    families.extend([rx_packets, rx_bytes, tx_packets, tx_bytes, losses, up]);
}

fn queues(switch: &Switch, families: &mut Vec<Family>) {
    let mut received =
        Family::counter("vswitch_queue_receive_packets_total", "Frames from a receive queue.");
    let mut transmitted = Family::counter(
        "vswitch_queue_transmit_packets_total",
        "Frames that a transmit queue took. A worker that has none of its own on a port is not listed: it hands over.",
    );
    let add = |family: &mut Family, port: PortId, queue: u16, worker: usize, packets| {
        let Some(port) = switch.topology.port(port) else { return };
        let (queue, worker) = (queue.to_string(), worker.to_string());
        let labels = [("port", port.name.as_str()), ("queue", &queue), ("worker", &worker)];
        family.add(&labels, packets);
    };
    for (worker, seat) in switch.workers.wiring.workers.iter().enumerate() {
        for polled in &seat.polled {
            let packets = polled.received.packets();
            add(&mut received, polled.port, polled.queue, worker, packets);
        }
    }
    for (id, seat) in switch.devices.ports.iter() {
        let id = PortId(narrow(id));
        // Each worker has the queue of its own number, as long as there are enough.
        for (worker, queue) in (0..switch.workers.seats.len()).zip(0..seat.port.info().tx_queues) {
            let packets = switch.counting.port_by(id, worker).transmit_packets;
            add(&mut transmitted, id, queue, worker, packets);
        }
    }
    families.extend([received, transmitted]);
}

fn drops(switch: &Switch, families: &mut Vec<Family>) {
    let mut drops = Family::counter(
        "vswitch_drops_total",
        "Frames dropped, by reason; `vswitch show drops` says what each means.",
    );
    switch.each_drop(|reason, port, network, packets| {
        let labels = [("reason", reason.label()), ("port", port), ("network", network)];
        drops.add(&labels, packets);
    });
    let mut by_reason = Family::counter(
        "vswitch_drops_by_reason_total",
        "Frames dropped, by reason, at whatever port or network, those included that were removed.",
    );
    for (reason, packets) in DropReason::ALL.iter().zip(switch.counting.all_drops()) {
        by_reason.add(&[("reason", reason.label())], packets);
    }
    families.extend([drops, by_reason]);
}

fn networks(switch: &Switch, families: &mut Vec<Family>) {
    let mut entries = Family::gauge("vswitch_fdb_entries", "MACs known, static ones included.");
    let mut learned = Family::counter("vswitch_fdb_learned_total", "MACs learned.");
    let mut moves = Family::counter("vswitch_fdb_moves_total", "Learned MACs that moved.");
    let mut aged = Family::counter("vswitch_fdb_aged_total", "Learned MACs that aged out.");
    let mut refused = Family::counter(
        "vswitch_fdb_refused_total",
        "New MACs not learned because the table was full; their frames were flooded.",
    );
    let mut replicated = Family::counter(
        "vswitch_replicated_packets_total",
        "Copies of frames that flooding called for; one for which no buffer was free is a drop as well.",
    );
    let zeros = switch.lists_zeros();
    for (domain, config) in switch.topology.networks() {
        let (learning, network) = (switch.learner.network(domain), ("network", &*config.name));
        entries.add(&[network], learning.entries);
        for (family, value) in [
            (&mut learned, learning.learned),
            (&mut moves, learning.moves),
            (&mut aged, learning.aged),
            (&mut refused, learning.refused),
            (&mut replicated, switch.counting.replicated(domain)),
        ] {
            if zeros || value > 0 {
                family.add(&[network], value);
            }
        }
    }
    let mut capacity = Family::gauge("vswitch_fdb_capacity", "MACs that the FDB has room for.");
    capacity.add(&[], switch.learner.capacity() as u64);
    families.push(capacity);
    families.extend([entries, learned, moves, aged, refused, replicated]);
}

fn vteps(switch: &Switch, families: &mut Vec<Family>) {
    let mut punted =
        Family::counter("vswitch_punted_packets_total", "Frames given to the host interface.");
    let mut sent =
        Family::counter("vswitch_host_packets_total", "Frames that the host interface sent.");
    for (id, config) in switch.topology.vteps() {
        let vtep = ("vtep", config.name.as_str());
        punted.add(&[vtep], switch.counting.tap_took(id));
        sent.add(&[vtep], switch.punt_paths.tap_gave(id));
    }
    let mut resolved = Family::gauge(
        "vswitch_next_hop_resolved",
        "Whether the next hop to a remote VTEP is known; `vswitch show vteps` says why not.",
    );
    for (tunnel, remote) in switch.topology.remotes() {
        let next_hop = switch.next_hops.get(tunnel);
        let Some(vtep) = switch.topology.vtep(remote.vtep) else { continue };
        let labels = [("vtep", vtep.name.as_str()), ("remote_vtep", &remote.address.to_string())];
        resolved.add(&labels, matches!(next_hop, Some(NextHop::Resolved { .. })).into());
    }
    families.extend([punted, sent, resolved]);
}

fn workers(switch: &Switch, families: &mut Vec<Family>) {
    let mut received = Family::counter(
        "vswitch_worker_receive_packets_total",
        "Frames that a worker took from its receive queues.",
    );
    let mut transmitted = Family::counter(
        "vswitch_worker_transmit_packets_total",
        "Frames that a worker's transmit queues took.",
    );
    let mut handed_over = Family::counter(
        "vswitch_worker_handed_over_packets_total",
        "Frames that a worker gave to another, which owns the transmit queue.",
    );
    let mut cycles = Family::counter(
        "vswitch_worker_cycles_total",
        "TSC cycles of loop turns that had a frame (busy) and that had none (idle).",
    );
    let mut turns = Family::counter(
        "vswitch_worker_turns_total",
        "Turns of a worker's loop that had a frame (busy) and that had none (idle).",
    );
    let mut bursts = Family::histogram(
        "vswitch_worker_burst_frames",
        "Frames in a burst from a receive queue, empty ones left out.",
    );
    let mut durations = Family::histogram(
        "vswitch_worker_turn_seconds",
        "How long a turn took that had a frame (busy: all that a frame waits for inside the switch is a few of them) \
         or none (idle: a long one is a worker that did not have its core).",
    );
    let mut lost = Family::counter(
        "vswitch_learn_events_lost_total",
        "Learn events that found the queue to the control thread full.",
    );
    for number in 0..switch.workers.seats.len() {
        let view = switch.counting.worker(number);
        let (ledger, totals) = (view.ledger(), view.turns());
        let number = number.to_string();
        let worker = ("worker", number.as_str());
        let (busy, idle) = (("state", "busy"), ("state", "idle"));
        received.add(&[worker], ledger.received);
        transmitted.add(&[worker], ledger.transmitted);
        handed_over.add(&[worker], ledger.handed_out);
        cycles.add(&[worker, busy], totals.busy_cycles);
        cycles.add(&[worker, idle], totals.idle_cycles);
        turns.add(&[worker, busy], totals.busy_turns.count());
        turns.add(&[worker, idle], totals.idle_turns.count());
        bursts.add_totals(&[worker], &totals.bursts);
        durations.add_totals(&[worker, busy], &totals.busy_turns);
        durations.add_totals(&[worker, idle], &totals.idle_turns);
        lost.add(&[worker], totals.learn_events_lost);
    }
    families.extend([received, transmitted, handed_over, cycles, turns, bursts, durations, lost]);
}

fn control(switch: &Switch, families: &mut Vec<Family>) {
    let mut work = Family::histogram(
        "vswitch_control_work_seconds",
        "How long the control thread was busy with one thing.",
    );
    for kind in Work::ALL {
        work.add_totals(&[("work", kind.label())], &switch.timing.work(kind));
    }
    let mut late = Family::histogram(
        "vswitch_control_late_seconds",
        "How late the control thread came to the tick of each millisecond, when it learns and serves the host.",
    );
    late.add_totals(&[], &switch.timing.late());
    let mut saves = Family::counter(
        "vswitch_state_saves_total",
        "How often the state was written to the disk, and how often that failed.",
    );
    let of_state = switch.in_force().saves();
    saves.add(&[("result", "done")], of_state.done);
    saves.add(&[("result", "failed")], of_state.failed);
    families.extend([work, late, saves]);
}

fn buffers(switch: &Switch, families: &mut Vec<Family>) {
    let mut in_use = Family::gauge(
        "vswitch_mbufs_in_use",
        "Packet buffers out of the pools: in devices' rings, in queues, in flight.",
    );
    let mut capacity = Family::gauge("vswitch_mbufs_capacity", "Packet buffers there are.");
    let mut pool_in_use =
        Family::gauge("vswitch_pool_mbufs_in_use", "Packet buffers out of one pool.");
    let mut pool_capacity =
        Family::gauge("vswitch_pool_mbufs_capacity", "Packet buffers that one pool has.");
    in_use.add(&[], switch.devices.pools.in_use() as u64);
    capacity.add(&[], switch.devices.pools.capacity() as u64);
    for (name, pool) in switch.devices.pools.named() {
        pool_in_use.add(&[("pool", &name)], pool.in_use() as u64);
        pool_capacity.add(&[("pool", &name)], pool.capacity() as u64);
    }
    families.extend([in_use, capacity, pool_in_use, pool_capacity]);
}

fn process(switch: &Switch, families: &mut Vec<Family>) {
    let mut unaccounted = Family::gauge(
        "vswitch_unaccounted_packets",
        "Frames received or made that were neither transmitted, nor dropped for a reason, nor punted: 0.",
    );
    #[allow(clippy::cast_precision_loss, reason = "0")]
    unaccounted.add_f64(&[], switch.counting.unaccounted() as f64);
    let in_force = switch.in_force();
    let mut generation = Family::gauge(
        "vswitch_generation",
        "The generation of the configuration: one more with each change.",
    );
    generation.add(&[], in_force.generation());
    let mut changed = Family::gauge(
        "vswitch_last_change_timestamp_seconds",
        "When the configuration in force was taken up, in Unix time.",
    );
    changed.add_f64(&[], unix_secs(in_force.changed()));
    let mut pending = Family::gauge(
        "vswitch_change_pending",
        "Whether a change waits to be confirmed, or else goes back by itself.",
    );
    pending.add(&[], in_force.is_pending().into());
    let mut started =
        Family::gauge("vswitch_start_time_seconds", "When the switch started, in Unix time.");
    started.add_f64(&[], unix_secs(in_force.started()));
    let mut build = Family::gauge("vswitch_build_info", "What runs, as labels.");
    let labels = [
        ("version", build_info::VERSION),
        ("revision", build_info::revision()),
        ("rustc", build_info::RUSTC),
        ("dpdk", &switch.devices.eal.version()),
    ];
    build.add(&labels, 1);
    families.extend([unaccounted, generation, changed, pending, started, build]);
}

fn unix_secs(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
