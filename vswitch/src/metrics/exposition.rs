//! What `GET /metrics` says, in Prometheus' text format.
//!
//! Built on the control thread from the switch's own counters at every scrape; no driver is called.
//!
//! | metric | labels | what it counts |
//! |---|---|---|
//! | `vswitch_port_receive_packets_total`, `…_bytes_total` | port | frames received |
//! | `vswitch_port_transmit_packets_total`, `…_bytes_total` | port | frames transmitted |
//! | `vswitch_port_device_losses_total` | port, kind | what the device or its driver lost |
//! | `vswitch_port_up` | port | the link |
//! | `vswitch_drops_total` | reason, port, network | frames dropped |
//! | `vswitch_punted_packets_total` | vtep | frames given to the host interface |
//! | `vswitch_host_packets_total` | vtep | frames that the host interface sent |
//! | `vswitch_replicated_packets_total` | network | copies made by flooding |
//! | `vswitch_fdb_entries`, `vswitch_fdb_capacity` | network, none | MACs known, and room |
//! | `vswitch_fdb_learned_total`, `…_moves_total`, `…_aged_total`, `…_refused_total` | network | learning |
//! | `vswitch_next_hop_resolved` | vtep, remote_vtep | whether frames can go there |
//! | `vswitch_worker_cycles_total` | worker, state | TSC cycles, busy and idle |
//! | `vswitch_learn_events_lost_total` | worker | learn events that found their queue full |
//! | `vswitch_mbufs_in_use`, `vswitch_mbufs_capacity` | | packet buffers |
//! | `vswitch_unaccounted_packets` | | frames that left no trace: 0 |
//! | `vswitch_build_info` | version | 1 |

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, TextEncoder};

use crate::control::switch::Switch;
use crate::control::underlay::NextHop;

/// The text format's content type.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The scrape.
#[must_use]
pub fn encode(switch: &Switch) -> String {
    let mut families = Vec::new();
    ports(switch, &mut families);
    drops(switch, &mut families);
    networks(switch, &mut families);
    vteps(switch, &mut families);
    workers(switch, &mut families);
    process(switch, &mut families);
    // A family without a metric (no VTEP, say) is left out: the format has nothing to say of it.
    families.retain(|family| !family.get_metric().is_empty());
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
        tracing::error!(%error, "the metrics cannot be encoded");
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// One metric with its labelled values.
struct Family(MetricFamily);

impl Family {
    fn new(kind: MetricType, name: &str, help: &str) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self(family)
    }

    fn counter(name: &str, help: &str) -> Self {
        Self::new(MetricType::COUNTER, name, help)
    }

    fn gauge(name: &str, help: &str) -> Self {
        Self::new(MetricType::GAUGE, name, help)
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "Prometheus' values are doubles: exact below 2^53"
    )]
    fn add(&mut self, labels: &[(&str, &str)], value: u64) {
        self.add_f64(labels, value as f64);
    }

    fn add_f64(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut metric = Metric::default();
        let pair = |(name, value): &(&str, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        metric.set_label(labels.iter().map(pair).collect());
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }
}

fn ports(switch: &Switch, families: &mut Vec<MetricFamily>) {
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
        let Some(seat) = switch.ports.get(id.index()) else { continue };
        let totals = switch.port_totals(id);
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
    families.extend([rx_packets, rx_bytes, tx_packets, tx_bytes, losses, up].map(|f| f.0));
}

fn drops(switch: &Switch, families: &mut Vec<MetricFamily>) {
    let mut drops = Family::counter(
        "vswitch_drops_total",
        "Frames dropped, by reason; `vswitch show drops` says what each means.",
    );
    for row in switch.drop_rows() {
        let labels = [
            ("reason", row.reason.as_str()),
            ("port", row.port.as_str()),
            ("network", row.network.as_str()),
        ];
        drops.add(&labels, row.packets);
    }
    families.push(drops.0);
}

fn networks(switch: &Switch, families: &mut Vec<MetricFamily>) {
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
    for (domain, config) in switch.topology.networks() {
        let (learning, network) = (switch.learner.network(domain), ("network", &*config.name));
        entries.add(&[network], learning.entries);
        learned.add(&[network], learning.learned);
        moves.add(&[network], learning.moves);
        aged.add(&[network], learning.aged);
        refused.add(&[network], learning.refused);
        replicated.add(&[network], switch.replicated(domain));
    }
    families.extend([entries, learned, moves, aged, refused, replicated].map(|f| f.0));
}

fn vteps(switch: &Switch, families: &mut Vec<MetricFamily>) {
    let mut punted =
        Family::counter("vswitch_punted_packets_total", "Frames given to the host interface.");
    let mut sent =
        Family::counter("vswitch_host_packets_total", "Frames that the host interface sent.");
    for (id, config) in switch.topology.vteps() {
        let vtep = ("vtep", config.name.as_str());
        punted.add(&[vtep], switch.punted(id));
        sent.add(&[vtep], switch.hosts.get(id.index()).map_or(0, |host| host.sent_by_host));
    }
    let mut resolved = Family::gauge(
        "vswitch_next_hop_resolved",
        "Whether the next hop to a remote VTEP is known; `vswitch show vteps` says why not.",
    );
    for (tunnel, remote) in switch.topology.remotes() {
        let next_hop = switch.next_hops[tunnel.index()].as_ref();
        let Some(vtep) = switch.topology.vtep(remote.vtep) else { continue };
        let labels = [("vtep", vtep.name.as_str()), ("remote_vtep", &remote.address.to_string())];
        resolved.add(&labels, matches!(next_hop, Some(NextHop::Resolved { .. })).into());
    }
    families.extend([punted, sent, resolved].map(|f| f.0));
}

fn workers(switch: &Switch, families: &mut Vec<MetricFamily>) {
    let mut cycles = Family::counter(
        "vswitch_worker_cycles_total",
        "TSC cycles of loop turns that had a frame (busy) and that had none (idle).",
    );
    let mut lost = Family::counter(
        "vswitch_learn_events_lost_total",
        "Learn events that found the queue to the control thread full.",
    );
    for row in switch.worker_rows() {
        let number = row.worker.to_string();
        let worker = ("worker", number.as_str());
        cycles.add(&[worker, ("state", "busy")], row.busy_cycles);
        cycles.add(&[worker, ("state", "idle")], row.idle_cycles);
        lost.add(&[worker], row.learn_events_lost);
    }
    families.extend([cycles, lost].map(|f| f.0));
}

fn process(switch: &Switch, families: &mut Vec<MetricFamily>) {
    let mut capacity = Family::gauge("vswitch_fdb_capacity", "MACs that the FDB has room for.");
    capacity.add(&[], switch.learner.capacity() as u64);
    let mut in_use = Family::gauge(
        "vswitch_mbufs_in_use",
        "Packet buffers out of the pool: in devices' rings, in queues, in flight.",
    );
    in_use.add(&[], switch.pools.in_use() as u64);
    let mut buffers = Family::gauge("vswitch_mbufs_capacity", "Packet buffers there are.");
    buffers.add(&[], switch.pools.capacity() as u64);
    let mut unaccounted = Family::gauge(
        "vswitch_unaccounted_packets",
        "Frames received or made that were neither transmitted, nor dropped for a reason, nor punted: 0.",
    );
    #[allow(clippy::cast_precision_loss, reason = "0")]
    unaccounted.add_f64(&[], switch.unaccounted() as f64);
    let mut build = Family::gauge("vswitch_build_info", "The version of the switch, as a label.");
    build.add(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    families.extend([capacity, in_use, buffers, unaccounted, build].map(|f| f.0));
}
